//! Starting programs as systemd does: with sockets that are there already, and a socket that it is told things on.

#![allow(dead_code, unreachable_pub, reason = "each test target uses what it needs")]

use std::collections::VecDeque;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::Command;
use std::process::Stdio;
use std::time::Duration;
use std::time::Instant;

use super::PATIENCE;
use super::TempDir;

/// The program, with one or two sockets by these names. The second takes the place of its standard error.
pub fn activated<const N: usize>(program: &Path, flags: &[&str], names: &str, sockets: [OwnedFd; N]) -> Command {
    let mut sockets = sockets.into_iter();
    let mut command = Command::new("sh");
    let (first, second) = (sockets.next().expect("a socket"), sockets.next());
    let redirect = if second.is_some() { "3<&0 4<&2 0</dev/null 2>/dev/null" } else { "3<&0 0</dev/null" };
    let script = format!("export LISTEN_PID=$$ LISTEN_FDS={N} LISTEN_FDNAMES={names}; exec \"$0\" \"$@\" {redirect}");
    command.arg("-c").arg(script).arg(program).args(flags).stdin(first);
    command.stderr(second.map_or_else(Stdio::piped, Stdio::from));
    command
}

/// The manager's end of its notification socket.
pub struct Manager {
    folder: TempDir,
    socket: UnixDatagram,
    heard: VecDeque<String>,
}

impl Manager {
    pub fn new() -> Self {
        let folder = TempDir::new();
        let socket = UnixDatagram::bind(folder.join("notify")).unwrap();
        Self { folder, socket, heard: VecDeque::new() }
    }

    /// Has the program tell this manager.
    pub fn of<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        command.env("NOTIFY_SOCKET", self.folder.join("notify"))
    }

    /// The next assignment that is told within this time, if one is.
    pub fn next_within(&mut self, time: Duration) -> Option<String> {
        let until = Instant::now() + time;
        while self.heard.is_empty() {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return None;
            }
            self.socket.set_read_timeout(Some(left)).unwrap();
            let mut buffer = [0; 4096];
            if let Ok(count) = self.socket.recv(&mut buffer) {
                let text = String::from_utf8(buffer[..count].to_vec()).unwrap();
                self.heard.extend(text.lines().map(str::to_owned));
            }
        }
        self.heard.pop_front()
    }

    /// Waits for the next assignment that begins like this.
    #[track_caller]
    pub fn wait_for(&mut self, beginning: &str) -> String {
        let until = Instant::now() + PATIENCE;
        let mut others = Vec::new();
        loop {
            match self.next_within(until.saturating_duration_since(Instant::now())) {
                Some(told) if told.starts_with(beginning) => return told,
                Some(told) => others.push(told),
                None => panic!("no {beginning} has been told, but {others:?}"),
            }
        }
    }
}
