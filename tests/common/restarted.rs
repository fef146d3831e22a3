//! Example programs that are restarted hot.

#![allow(dead_code, unreachable_pub, reason = "each test target uses what it needs")]

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::Stdio;

use rustix::process::Pid;
use rustix::process::Signal;
use rustix::process::kill_process;

use super::TempDir;
use super::eventually;
use super::example::program;

/// A program whose process is another one after each restart. What it prints goes to files, which all of them share.
pub struct Restarted {
    pub pid: u32,
    pub output: PathBuf,
    errors: PathBuf,
    pub address: String,
    pub folder: TempDir,
}

impl Restarted {
    /// A copy of the example, which can be made another program.
    pub fn start(name: &str, flags: &[&str]) -> Self {
        let folder = TempDir::new();
        let copy = folder.join(name);
        copy_program(&program(name), &copy);
        Self::start_in(folder, Command::new(copy).args(flags).stdin(Stdio::null()))
    }

    pub fn start_in(folder: TempDir, command: &mut Command) -> Self {
        let (output, errors) = (folder.join("output"), folder.join("errors"));
        let append = |path: &Path| fs::OpenOptions::new().create(true).append(true).open(path).unwrap();
        command.stdout(append(&output)).stderr(append(&errors));
        let mut child = command.spawn().unwrap();
        let mut this = Self { pid: child.id(), output, errors, address: String::new(), folder };
        // Collected, so that its end can be seen; its successors are collected by the system.
        std::thread::spawn(move || child.wait());
        eventually("it listens", || !this.said(&this.output).is_empty());
        let first = this.said(&this.output);
        this.address = first.lines().next().unwrap().strip_prefix("listening on ").unwrap().to_owned();
        this
    }

    pub fn said(&self, path: &Path) -> String {
        let text = fs::read_to_string(path).unwrap();
        text.rsplit_once('\n').map_or_else(String::new, |(lines, _)| format!("{lines}\n"))
    }

    pub fn errors(&self) -> String {
        self.said(&self.errors)
    }

    pub fn address(&self) -> SocketAddr {
        self.address.parse().unwrap()
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_raw(self.pid.cast_signed()).unwrap(), signal).unwrap();
    }

    /// Asks for a restart, and waits until it is told what has become of it.
    pub fn ask_for_restart(&self) -> String {
        let before = self.errors().len();
        self.signal(Signal::USR2);
        let mut said = String::new();
        eventually("the restart is over", || {
            let errors = self.errors();
            said = errors[before..]
                .lines()
                .filter(|line| line.starts_with("restarted: ") || line.starts_with("no restart: "))
                .map(str::to_owned)
                .collect::<Vec<_>>()
                .join("\n");
            !said.is_empty()
        });
        said
    }

    /// The process before.
    #[track_caller]
    pub fn restart(&mut self) -> u32 {
        let said = self.ask_for_restart();
        let pid = said.strip_prefix("restarted: process ").unwrap_or_else(|| panic!("{said}"));
        let new = pid.split(' ').next().unwrap().parse().unwrap();
        std::mem::replace(&mut self.pid, new)
    }

    /// Ends the last of the processes in order.
    pub fn stop(self) -> String {
        self.end(Signal::TERM)
    }

    /// Ends the last of the processes with this signal; what all have said.
    pub fn end(self, signal: Signal) -> String {
        self.signal(signal);
        self.wait()
    }

    /// Waits for the end of the last of the processes; what all have said.
    pub fn wait(mut self) -> String {
        eventually("it has gone", || !is_there(self.pid));
        // It may be the name of another process from here on.
        self.pid = 0;
        self.errors()
    }
}

impl Drop for Restarted {
    fn drop(&mut self) {
        if let Some(pid) = Pid::from_raw(self.pid.cast_signed()) {
            let _ = kill_process(pid, Signal::KILL);
        }
    }
}

/// Whether it runs; one that waits to be collected does not.
pub fn is_there(pid: u32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|stat| !stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('Z')))
}

/// By another process: a child that another test starts meanwhile would have the file open for writing until it executes
/// its program, and for so long this one could not be executed.
pub fn copy_program(from: &Path, to: &Path) {
    let status = Command::new("cp").arg("--preserve=mode").args([from, to]).status().unwrap();
    assert!(status.success(), "{status}");
}
