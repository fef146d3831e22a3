//! One child process: waited for by its own process ID or descriptor, never "any child".

use std::io;

use rustix::process::Pid;
use rustix::process::Signal;
use rustix::process::WaitId;
use rustix::process::WaitIdOptions;

use super::exit::ExitWatch;
use super::poller::Poller;

/// A child that has not been waited for yet.
#[derive(Debug)]
pub(crate) struct Child {
    pid: Pid,
    /// What tells a poller of its end.
    exit: Option<ExitWatch>,
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
        Some(Self { pid, exit: ExitWatch::new(pid) })
    }

    /// Has the poller report `token` once the child has ended; where it cannot, the child [is not
    /// watched](Self::is_watched).
    pub(crate) fn watch(&mut self, poller: &Poller, token: u64) {
        if self.exit.as_ref().is_some_and(|exit| exit.add(poller, token).is_err()) {
            self.unwatch(poller);
        }
    }

    /// From here on it has to be looked after, as where the system has no such thing.
    pub(crate) fn unwatch(&mut self, poller: &Poller) {
        if let Some(exit) = self.exit.take() {
            exit.remove(poller);
        }
    }

    /// Whether the poller will tell of its end.
    pub(crate) fn is_watched(&self) -> bool {
        self.exit.is_some()
    }

    /// Collects the child if it has ended. One that other code has collected counts as ended, in an unknown way.
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

    /// Whether it has ended; it is left to be collected.
    #[cfg(feature = "systemd")]
    pub(crate) fn has_ended(&self) -> bool {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        !matches!(rustix::process::waitid(WaitId::Pid(self.pid), options), Ok(None) | Err(rustix::io::Errno::INTR))
    }

    /// Sends the signal of this number to this child and no other; real-time signals are not sent.
    pub(crate) fn send(&self, signal: i32) -> io::Result<()> {
        Signal::from_named_raw(signal).map_or(Ok(()), |signal| self.send_named(signal))
    }

    /// Sends SIGTERM, or SIGKILL, to this child and no other.
    pub(crate) fn kill(&self, hard: bool) -> io::Result<()> {
        self.send_named(if hard { Signal::KILL } else { Signal::TERM })
    }

    fn send_named(&self, signal: Signal) -> io::Result<()> {
        match &self.exit {
            Some(exit) => exit.kill(signal),
            // Not collected yet, so its process ID cannot have been given to another.
            None => Ok(rustix::process::kill_process(self.pid, signal)?),
        }
    }
}
