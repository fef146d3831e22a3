//! Processes of a test's own: `Fork` must have one thread, and the usual harness has more.

#![allow(unsafe_code, reason = "fork, in tests")]

use std::fs::File;
use std::io::Read;
use std::io::Seek;
use std::io::Write;
use std::panic::AssertUnwindSafe;
use std::panic::catch_unwind;
use std::process::Child;
use std::process::Command;
use std::process::ExitStatus;
use std::process::Stdio;
use std::time::Duration;
use std::time::Instant;

use rustix::process::Pid;
use rustix::process::Signal;
use rustix::process::WaitId;
use rustix::process::WaitIdOptions;
use rustix::process::kill_process;
use rustix::process::kill_process_group;
use rustix::process::waitid;

use super::PATIENCE;

/// A forked process. It is killed if it is forgotten.
#[derive(Debug)]
pub struct Forked {
    pid: Pid,
    waited: bool,
}

impl Forked {
    /// Runs `child` in a process of its own, which has one thread, and exits with 0 if that does not panic.
    ///
    /// No other thread may run meanwhile.
    pub fn start(child: impl FnOnce()) -> Self {
        let _ = std::io::stdout().flush();
        // SAFETY: the only other thread that there may be is that of the harness, which sleeps and holds no lock.
        match unsafe { libc::fork() } {
            0 => {
                let code = if catch_unwind(AssertUnwindSafe(child)).is_ok() { 0 } else { 101 };
                let _ = std::io::stdout().flush();
                // SAFETY: it does not return.
                unsafe { libc::_exit(code) }
            }
            pid => Self { pid: Pid::from_raw(pid).filter(|_| pid > 0).expect("fork"), waited: false },
        }
    }

    /// Whether it has ended; it is still to be waited for.
    pub fn is_finished(&self) -> bool {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        waitid(WaitId::Pid(self.pid), options).expect("a child").is_some()
    }

    /// Waits for its end; whether it was a good one.
    pub fn wait(mut self) -> bool {
        self.waited = true;
        let status = waitid(WaitId::Pid(self.pid), WaitIdOptions::EXITED).expect("a child").expect("it has ended");
        status.exit_status() == Some(0)
    }
}

impl Drop for Forked {
    fn drop(&mut self) {
        if !self.waited {
            let _ = kill_process(self.pid, Signal::KILL);
            let _ = waitid(WaitId::Pid(self.pid), WaitIdOptions::EXITED);
        }
    }
}

/// Set in a process that was started for one test.
const ALONE: &str = "SOCKETSERVER_TEST_ALONE";

/// Runs the test `fork` of this module in a process that has one thread, and has no child at its end.
///
/// The harness runs tests on threads. So this program is started again, for this test alone, and forks there, where the
/// harness does nothing but wait for it.
#[track_caller]
pub fn alone(module: &str, test: impl FnOnce()) {
    if !is_alone() {
        // The name of the target is no part of a test's name.
        let (_, path) = module.split_once("::").expect("a module");
        return start_again(&format!("{path}::fork"));
    }
    wait_for_the_harness();
    let ended_well = Forked::start(|| {
        test();
        #[cfg(target_os = "linux")]
        assert_eq!(super::children(std::process::id()), [], "children are left");
    })
    .wait();
    assert!(ended_well, "see above");
}

/// Whether this process runs one test, alone.
pub fn is_alone() -> bool {
    std::env::var_os(ALONE).is_some()
}

/// Its thread has begun this one, and may not sleep yet.
fn wait_for_the_harness() {
    #[cfg(target_os = "linux")]
    super::eventually("the harness waits", || {
        let main = std::process::id();
        let stat = std::fs::read_to_string(format!("/proc/self/task/{main}/stat")).expect("/proc");
        stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with('S'))
    });
    #[cfg(not(target_os = "linux"))]
    std::thread::sleep(Duration::from_millis(100));
}

#[track_caller]
fn start_again(test: &str) {
    use std::os::unix::process::CommandExt;

    let mut output = unnamed_file();
    let handle = || Stdio::from(output.try_clone().expect("a copy of the descriptor"));
    let mut this = Command::new(std::env::current_exe().expect("this program"))
        .args([test, "--exact", "--include-ignored", "--nocapture", "--test-threads=1"])
        .env(ALONE, "1")
        .stdin(Stdio::null())
        .stdout(handle())
        .stderr(handle())
        // So that whatever it has forked can be ended with it.
        .process_group(0)
        .spawn()
        .expect("this program, again");
    let status = wait(&mut this);
    let group = Pid::from_child(&this);
    let _ = kill_process_group(group, Signal::KILL);
    let mut said = String::new();
    output.rewind().expect("the beginning");
    output.read_to_string(&mut said).expect("its output");
    let how = status.map_or_else(
        || format!("it did not end within {:?} and was killed", 10 * PATIENCE),
        |status| status.to_string(),
    );
    // One that is not found would pass.
    let passed = said.contains("1 passed");
    assert!(passed && status.is_some_and(|status| status.success()), "{test} in a process of its own: {how}\n{said}");
}

/// `None` if it has been killed, because it took too long.
fn wait(child: &mut Child) -> Option<ExitStatus> {
    let until = Instant::now() + 10 * PATIENCE;
    while Instant::now() < until {
        if let Some(status) = child.try_wait().expect("a child") {
            return Some(status);
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    child.kill().expect("kill");
    child.wait().expect("a child");
    None
}

fn unnamed_file() -> File {
    let dir = super::TempDir::new();
    let options = &mut File::options();
    options.read(true).write(true).create_new(true).open(dir.join("output")).expect("a temporary file")
}
