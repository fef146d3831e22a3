//! How a poller learns that a child has ended: by a pidfd on Linux, by a process event of kqueue on macOS and FreeBSD.
//!
//! The tests run on Linux; the kqueue side is only type-checked. If this fails or fires early, the periodic sweep
//! collects the child.

use std::io;
#[cfg(target_os = "linux")]
use std::os::fd::AsFd;
#[cfg(target_os = "linux")]
use std::os::fd::OwnedFd;

use rustix::process::Pid;
use rustix::process::Signal;

use super::poller::Poller;

/// Something that the poller can wait on for the end of one child.
#[cfg(target_os = "linux")]
#[derive(Debug)]
pub(crate) struct ExitWatch(OwnedFd);

#[cfg(target_os = "linux")]
impl ExitWatch {
    /// `None` where no descriptor is left, or a sandbox allows no pidfd_open(2).
    pub(crate) fn new(pid: Pid) -> Option<Self> {
        rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty()).ok().map(Self)
    }

    pub(crate) fn add(&self, poller: &Poller, token: u64) -> io::Result<()> {
        poller.add_level(self.0.as_fd(), token)
    }

    /// Younger children have inherited it: closing it here would not end its registration (epoll(7), Q6).
    pub(crate) fn remove(&self, poller: &Poller) {
        // It may not have been added.
        let _ = poller.delete(self.0.as_fd());
    }

    /// As [`Child::kill`](super::child::Child::kill), safe from another process with the same ID.
    pub(crate) fn kill(&self, signal: Signal) -> io::Result<()> {
        Ok(rustix::process::pidfd_send_signal(&self.0, signal)?)
    }
}

/// Something that the poller can wait on for the end of one child.
#[cfg(not(target_os = "linux"))]
#[derive(Debug)]
pub(crate) struct ExitWatch(Pid);

#[cfg(any(target_os = "macos", target_os = "freebsd"))]
impl ExitWatch {
    /// There is always one; the poller tells whether it can be used.
    pub(crate) fn new(pid: Pid) -> Option<Self> {
        Some(Self(pid))
    }

    /// A child that has ended already is an error on macOS.
    pub(crate) fn add(&self, poller: &Poller, token: u64) -> io::Result<()> {
        poller.add_child(self.0, token)
    }

    pub(crate) fn remove(&self, poller: &Poller) {
        poller.delete_child(self.0);
    }
}

#[cfg(not(any(target_os = "linux", target_os = "macos", target_os = "freebsd")))]
impl ExitWatch {
    /// No exit notification on this platform.
    pub(crate) fn new(_: Pid) -> Option<Self> {
        None
    }

    pub(crate) fn add(&self, _: &Poller, _: u64) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(crate) fn remove(&self, _: &Poller) {}
}

#[cfg(not(target_os = "linux"))]
impl ExitWatch {
    /// It is not collected yet, so that its process ID cannot have been given to another.
    pub(crate) fn kill(&self, signal: Signal) -> io::Result<()> {
        Ok(rustix::process::kill_process(self.0, signal)?)
    }
}
