//! One child process: waited for by its own process ID or descriptor, never "any child".

use std::io;
#[cfg(target_os = "linux")]
use std::os::fd::AsFd;
#[cfg(target_os = "linux")]
use std::os::fd::OwnedFd;

use rustix::process::Pid;
use rustix::process::Signal;
use rustix::process::WaitId;
use rustix::process::WaitIdOptions;

#[cfg(target_os = "linux")]
use crate::sys::Descriptor;

/// A child that has not been waited for yet.
#[derive(Debug)]
pub(crate) struct Child {
    pid: Pid,
    /// pidfd_open(2): readable once the child has ended.
    #[cfg(target_os = "linux")]
    pidfd: Option<OwnedFd>,
}

/// The number of the signal that [`Child::kill`] sends when it is hard.
pub(crate) const KILL: i32 = Signal::KILL.as_raw();

/// How a child ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Exit {
    pub(crate) code: Option<i32>,
    pub(crate) signal: Option<i32>,
}

impl Child {
    pub(crate) fn new(pid: u32) -> Option<Self> {
        let pid = i32::try_from(pid).ok().and_then(Pid::from_raw)?;
        Some(Self {
            pid,
            #[cfg(target_os = "linux")]
            pidfd: rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty()).ok(),
        })
    }

    /// Readable once the child has ended; `None` where the system has no such thing.
    #[cfg(target_os = "linux")]
    pub(crate) fn descriptor(&self) -> Option<Descriptor<'_>> {
        self.pidfd.as_ref().map(AsFd::as_fd)
    }

    /// From here on it is looked after as where the system has no such thing.
    #[cfg(target_os = "linux")]
    pub(crate) fn unwatch(&mut self) {
        self.pidfd = None;
    }

    /// Whether a descriptor tells of its end.
    pub(crate) fn is_watched(&self) -> bool {
        #[cfg(target_os = "linux")]
        return self.pidfd.is_some();
        #[cfg(not(target_os = "linux"))]
        false
    }

    /// Collects the child if it has ended. One that somebody else has collected counts as ended, how is unknown.
    pub(crate) fn try_wait(&self) -> Option<Exit> {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG;
        loop {
            match rustix::process::waitid(WaitId::Pid(self.pid), options) {
                Ok(None) => return None,
                Ok(Some(status)) => {
                    return Some(Exit { code: status.exit_status(), signal: status.terminating_signal() });
                }
                Err(rustix::io::Errno::INTR) => {}
                Err(_) => return Some(Exit { code: None, signal: None }),
            }
        }
    }

    /// Sends SIGTERM, or SIGKILL, to this child and no other.
    pub(crate) fn kill(&self, hard: bool) -> io::Result<()> {
        let signal = if hard { Signal::KILL } else { Signal::TERM };
        #[cfg(target_os = "linux")]
        if let Some(pidfd) = &self.pidfd {
            return Ok(rustix::process::pidfd_send_signal(pidfd, signal)?);
        }
        // Not collected yet, so its process ID cannot have been given to another.
        Ok(rustix::process::kill_process(self.pid, signal)?)
    }
}
