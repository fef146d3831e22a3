//! What the tests of faults have in common: clients that give up late, folders that clean up, figures of this process.

#![allow(dead_code, unused_imports, unused_macros, reason = "each test target uses what it needs")]

use std::fmt::Debug;
use std::io::BufRead;
use std::io::BufReader;
use std::io::Read;
use std::io::Write;
use std::net::SocketAddr;
use std::net::TcpStream;
use std::path::Path;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

/// When a test that hangs gives up. Nothing is expected to take so long.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Makes each of the tests three times: under `Sync`, `ThreadPerRequest` and `Pool`, as `Dispatch`.
macro_rules! under_every_dispatch {
    ($($(#[$attribute:meta])* fn $name:ident() $body:block)*) => {
        mod sync {
            use super::*;
            type Dispatch = socketserver::Sync;
            $(#[test] $(#[$attribute])* fn $name() $body)*
        }
        mod thread_per_request {
            use super::*;
            type Dispatch = socketserver::ThreadPerRequest;
            $(#[test] $(#[$attribute])* fn $name() $body)*
        }
        mod pool {
            use super::*;
            type Dispatch = socketserver::Pool;
            $(#[test] $(#[$attribute])* fn $name() $body)*
        }
    };
}

/// A client whose reads and writes do not hang for ever.
pub(crate) fn connect(address: SocketAddr) -> TcpStream {
    let client = TcpStream::connect(address).expect("connect");
    client.set_read_timeout(Some(PATIENCE)).expect("set_read_timeout");
    client.set_write_timeout(Some(PATIENCE)).expect("set_write_timeout");
    client
}

/// Sends a line and reads one.
pub(crate) fn ask(client: &mut (impl Read + Write), line: &str) -> String {
    client.write_all(line.as_bytes()).expect("send");
    read_line(client)
}

/// Reads up to a newline, byte by byte, so that nothing after it is lost.
pub(crate) fn read_line(client: &mut impl Read) -> String {
    let mut line = Vec::new();
    let mut byte = [0];
    while client.read(&mut byte).expect("receive") == 1 {
        line.push(byte[0]);
        if byte[0] == b'\n' {
            break;
        }
    }
    String::from_utf8(line).expect("UTF-8")
}

/// What comes until the server closes; panics if it resets.
pub(crate) fn read_rest(client: &mut impl Read) -> Vec<u8> {
    let mut rest = Vec::new();
    client.read_to_end(&mut rest).expect("receive up to the end");
    rest
}

/// Resets the connection.
pub(crate) fn reset(client: TcpStream) {
    socket2::SockRef::from(&client).set_linger(Some(Duration::ZERO)).expect("SO_LINGER");
    drop(client);
}

/// Waits for what no event tells of.
pub(crate) fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "not within {PATIENCE:?}: {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// As [`eventually`], and tells the values of a figure that did not become what it should.
pub(crate) fn becomes<V: PartialEq + Debug>(what: &str, expected: &V, mut value: impl FnMut() -> V) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let found = value();
        if found == *expected {
            return;
        }
        assert!(Instant::now() < deadline, "{what}: {found:?}, not {expected:?}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// The open descriptors of this process.
pub(crate) fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").expect("/proc/self/fd").count()
}

/// The threads of this process.
pub(crate) fn threads() -> usize {
    std::fs::read_dir("/proc/self/task").expect("/proc/self/task").count()
}

/// A folder that goes when dropped.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("socketserver-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir(&path).expect("a temporary folder");
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn join(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// An example program, built with the tests; started by `sh` after `preamble`.
#[cfg(unix)]
pub(crate) struct Example {
    child: Child,
    pub(crate) address: String,
}

#[cfg(unix)]
impl Example {
    pub(crate) fn start(name: &str, preamble: &str, arguments: &str) -> Self {
        let mut program = std::env::current_exe().expect("current_exe");
        program.pop();
        if program.ends_with("deps") {
            program.pop();
        }
        let program = program.join("examples").join(name);
        assert!(program.exists(), "{} is not there: `cargo build --examples` makes it", program.display());
        Self::start_program(&program, preamble, arguments)
    }

    pub(crate) fn start_program(program: &Path, preamble: &str, arguments: &str) -> Self {
        let mut child = Command::new("sh")
            .arg("-c")
            .arg(format!("{preamble} exec {} {arguments}", program.display()))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("start the example");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("piped")).read_line(&mut line).expect("its first line");
        let address =
            line.trim().strip_prefix("listening on ").unwrap_or_else(|| panic!("it said {line:?}")).to_owned();
        Self { child, address }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn socket_address(&self) -> SocketAddr {
        self.address.parse().expect("an address")
    }

    pub(crate) fn signal(&self, signal: i32) {
        let pid = rustix::process::Pid::from_raw(self.child.id().cast_signed()).expect("a process ID");
        let signal = rustix::process::Signal::from_named_raw(signal).expect("a signal");
        rustix::process::kill_process(pid, signal).expect("kill");
    }

    /// Stops it with SIGTERM; its exit code, and what it said on standard error.
    pub(crate) fn stop(mut self) -> (Option<i32>, String) {
        self.signal(libc::SIGTERM);
        let mut said = String::new();
        self.child.stderr.take().expect("piped").read_to_string(&mut said).expect("standard error");
        (self.child.wait().expect("wait").code(), said)
    }
}

#[cfg(unix)]
impl Drop for Example {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The time on a processor that a process has used so far.
pub(crate) fn processor_time(pid: u32) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("stat");
    let fields: Vec<&str> = stat.rsplit(") ").next().expect("fields").split(' ').collect();
    // utime and stime are the 14th and 15th field of proc_pid_stat(5), counted in hundredths of a second.
    let ticks: u64 = fields[11].parse::<u64>().expect("utime") + fields[12].parse::<u64>().expect("stime");
    Duration::from_millis(ticks * 10)
}

/// The children of a process, each with its state (`Z` for a zombie).
pub(crate) fn children(pid: u32) -> Vec<(u32, char)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").expect("/proc").flatten() {
        let Some(child) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        // One that ends meanwhile is gone.
        let Ok(stat) = std::fs::read_to_string(format!("/proc/{child}/stat")) else { continue };
        let Some(rest) = stat.rsplit(") ").next() else { continue };
        let mut fields = rest.split(' ');
        let state = fields.next().and_then(|state| state.chars().next()).unwrap_or('?');
        if fields.next().and_then(|parent| parent.parse().ok()) == Some(pid) {
            found.push((child, state));
        }
    }
    found
}
