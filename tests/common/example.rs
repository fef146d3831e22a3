//! Example programs, run as their users run them.

#![allow(dead_code, unreachable_pub, reason = "each test target uses what it needs")]

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io::BufRead;
use std::io::BufReader;
use std::io::Read;
use std::net::SocketAddr;
use std::path::Path;
use std::path::PathBuf;
use std::process::Child;
use std::process::ChildStdout;
use std::process::Command;
use std::process::ExitStatus;
use std::process::Stdio;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;
use std::time::Instant;

use rustix::process::Pid;
use rustix::process::Signal;
use rustix::process::kill_process;

/// A program that takes longer than this to end does not end.
const PATIENCE: Duration = Duration::from_secs(30);

/// The program of an example, up to date with its sources, also where only one test target was asked for.
pub fn program(name: &str) -> PathBuf {
    /// To ask cargo once is enough, and it takes its time.
    static BUILT: Mutex<BTreeMap<String, PathBuf>> = Mutex::new(BTreeMap::new());
    let mut built = BUILT.lock().unwrap_or_else(PoisonError::into_inner);
    built.entry(name.to_owned()).or_insert_with(|| build(name)).clone()
}

fn build(name: &str) -> PathBuf {
    // .../PROFILE/deps/test-1234
    let test = std::env::current_exe().expect("the path of this test");
    let profile = test.parent().and_then(|deps| deps.parent()).expect("the folder of the profile");
    let mut build = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    build.args(["build", "--quiet", "--example", name]).current_dir(env!("CARGO_MANIFEST_DIR"));
    // What Cargo tells this test of itself: build scripts that ask for it would run again, and in the next build, too.
    for (name, _) in std::env::vars_os() {
        let told = name.to_string_lossy();
        if ["CARGO_MANIFEST_", "CARGO_PKG_", "CARGO_CRATE_", "CARGO_BIN_", "CARGO_PRIMARY_"]
            .iter()
            .any(|of| told.starts_with(of))
        {
            build.env_remove(&name);
        }
    }
    build.arg("--target-dir").arg(profile.parent().expect("the target folder"));
    if profile.ends_with("release") {
        build.arg("--release");
    }
    assert!(build.status().expect("cargo").success(), "the example {name} does not compile");
    profile.join("examples").join(name)
}

/// The command of a program that ignores no signal. This test may have been started with some of them ignored, as in
/// the background of a shell script, and what it starts would be, too.
pub fn with_default_signals(program: impl AsRef<OsStr>) -> Command {
    if cfg!(not(target_os = "linux")) {
        return Command::new(program);
    }
    let mut command = Command::new("env");
    command.arg("--default-signal").arg(program);
    command
}

/// How a program ended, and what it said.
pub struct Ended {
    pub code: Option<i32>,
    pub output: String,
    pub errors: String,
}

/// Runs it to its end; one that does not end is killed, and has failed.
pub fn finish(command: &mut Command) -> Ended {
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
    wait(child, &format!("{command:?}"))
}

/// Waits for the end of a program that runs already.
pub fn wait(mut child: Child, what: &str) -> Ended {
    let until = Instant::now() + PATIENCE;
    let status = loop {
        if let Some(status) = child.try_wait().expect("its status") {
            break status;
        }
        if Instant::now() > until {
            let _ = child.kill();
            panic!("{what} does not end");
        }
        std::thread::sleep(Duration::from_millis(1));
    };
    let (mut output, mut errors) = (String::new(), String::new());
    if let Some(mut pipe) = child.stdout.take() {
        pipe.read_to_string(&mut output).expect("its output");
    }
    if let Some(mut pipe) = child.stderr.take() {
        pipe.read_to_string(&mut errors).expect("its errors");
    }
    Ended { code: status.code(), output, errors }
}

/// A server example that runs; it is killed if the test forgets to stop it.
pub struct Example {
    child: Child,
    output: BufReader<ChildStdout>,
    /// What its first line says.
    pub address: String,
}

impl Example {
    /// Starts it and waits until it listens.
    pub fn start(name: &str, flags: &[&str]) -> Self {
        Self::spawn(Command::new(program(name)).args(flags))
    }

    /// As [`start`](Self::start), by a shell that first does what `preamble` says.
    pub fn start_after(preamble: &str, program: &Path, flags: &[&str]) -> Self {
        let script = format!("{preamble}; exec \"$0\" \"$@\"");
        Self::spawn(with_default_signals("sh").arg("-c").arg(script).arg(program).args(flags))
    }

    /// As [`start`](Self::start), by a user whom the limits on processes hold: those of the superuser hold nobody.
    pub fn start_unprivileged(program: &Path, flags: &[&str]) -> Self {
        let nobody = "setpriv --reuid=65534 --regid=65534 --clear-groups --inh-caps=-all --bounding-set=-all";
        let run = if rustix::process::getuid().is_root() { nobody } else { "" };
        Self::spawn(Command::new("sh").arg("-c").arg(format!("exec {run} \"$0\" \"$@\"")).arg(program).args(flags))
    }

    /// Starts what says "listening on" first.
    pub fn spawn(command: &mut Command) -> Self {
        Self::spawn_with(command.stdin(Stdio::null()).stderr(Stdio::piped()))
    }

    /// As [`spawn`](Self::spawn), with the standard input and standard error of `command`.
    pub fn spawn_with(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().expect("the example starts");
        let mut output = BufReader::new(child.stdout.take().expect("its output"));
        let mut line = String::new();
        output.read_line(&mut line).expect("its first line");
        let Some(address) = line.trim_end().strip_prefix("listening on ") else {
            let _ = child.kill();
            let mut said = String::new();
            let _ = child.stderr.take().map(|mut errors| errors.read_to_string(&mut said));
            panic!("{command:?} does not listen: {line}{said}");
        };
        Self { address: address.to_owned(), child, output }
    }

    /// Where it listens.
    pub fn socket_address(&self) -> SocketAddr {
        self.address.parse().expect("an address")
    }

    /// The port of its address.
    pub fn port(&self) -> &str {
        self.address.rsplit(':').next().expect("a port")
    }

    /// The next line it prints.
    pub fn line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).expect("a line of output");
        line
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Tells it to stop; how it exits, and what it printed on standard error.
    pub fn stop(self) -> (ExitStatus, String) {
        kill_process(Pid::from_child(&self.child), Signal::TERM).expect("a signal");
        self.wait()
    }

    /// How it exits by itself, and what it printed on standard error.
    pub fn wait(mut self) -> (ExitStatus, String) {
        let mut report = String::new();
        if let Some(mut errors) = self.child.stderr.take() {
            errors.read_to_string(&mut report).expect("its report");
        }
        report.lines().for_each(assert_adds_up);
        (self.child.wait().expect("its exit"), report)
    }
}

/// The line is no report, or one whose figures add up. An example has no observer that could be asked for more.
fn assert_adds_up(line: &str) {
    let Some((accepted, ends)) = line.split_once(" accepted: ") else { return };
    let ends = ends.split(';').next().unwrap_or_default();
    let counts = ends.split(", ").map(|end| end.split(' ').next().and_then(|count| count.parse().ok()).unwrap_or(0));
    assert_eq!(accepted.rsplit(' ').next().and_then(|count| count.parse().ok()), Some(counts.sum::<u64>()), "{line}");
}

impl Drop for Example {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
