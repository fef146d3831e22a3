//! A new process, from its start until it serves, or does not.

use std::io;
use std::os::fd::AsFd;
use std::os::fd::OwnedFd;
use std::time::Duration;
use std::time::Instant;

use super::launch::Started;
use crate::engine::errands::Scene;
use crate::engine::serve_loop::ERRAND;
use crate::sys::child::Child;
use crate::sys::child::Exit;
use crate::sys::start::NOT_STARTED;

/// A process that does not serve yet.
pub(super) struct Pending {
    pub(super) pid: u32,
    /// The server whose loop waits for it.
    pub(super) place: usize,
    pub(super) until: Instant,
    timeout: Duration,
    /// When it closed its end: it is about to exit, with a code that is worth to be told.
    closed: Option<Instant>,
    child: Child,
    ready: OwnedFd,
}

pub(super) enum Progress {
    Waits(Pending),
    Ready {
        pid: u32,
    },
    /// With the child, if it has still to be collected.
    Failed {
        child: Option<Child>,
        error: io::Error,
    },
}

impl Pending {
    pub(super) fn new(started: Started, place: usize, scene: &Scene<'_>, timeout: Duration) -> io::Result<Self> {
        let Started { pid, ready } = started;
        let child = Child::new(pid).ok_or_else(|| io::Error::other("the new process has no process ID"))?;
        let until = scene.now.checked_add(timeout).unwrap_or(scene.now + Duration::from_secs(3600));
        if let Err(error) = scene.poller.add_level(ready.as_fd(), ERRAND) {
            let _ = child.kill(true);
            return Err(error);
        }
        Ok(Self { pid, place, until, timeout, closed: None, child, ready })
    }

    /// What the new process has told.
    pub(super) fn look(mut self, scene: &Scene<'_>) -> Progress {
        let mut message = [0; 5];
        match rustix::io::read(&self.ready, &mut message) {
            Ok(5..) if message[0] == NOT_STARTED => {
                let [_, errno @ ..] = message;
                let reason = io::Error::from_raw_os_error(i32::from_ne_bytes(errno));
                let (child, _) = self.give_up("", scene);
                let error = io::Error::new(reason.kind(), format!("the program cannot be executed: {reason}"));
                Progress::Failed { child, error }
            }
            Ok(1..) => {
                self.forget(scene);
                Progress::Ready { pid: self.pid }
            }
            Ok(_) if self.is_about_to_exit(scene) => Progress::Waits(self),
            Ok(_) => self.failed("it has closed what it was to tell this process on", scene),
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) if scene.now < self.until => {
                // Where registrations fire once.
                let _ = scene.poller.rearm_level(self.ready.as_fd(), ERRAND);
                Progress::Waits(self)
            }
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => {
                let why = format!("it does not serve after {:?}, and was killed", self.timeout);
                self.failed(&why, scene)
            }
            Err(errno) => self.failed(&errno.to_string(), scene),
        }
    }

    /// The end of its descriptors comes a moment before its own.
    fn is_about_to_exit(&mut self, scene: &Scene<'_>) -> bool {
        const PATIENCE: Duration = Duration::from_secs(1);
        const LOOK_AGAIN: Duration = Duration::from_millis(5);
        if self.closed.is_none() {
            self.forget(scene);
        }
        let closed = *self.closed.get_or_insert(scene.now);
        self.until = scene.now + LOOK_AGAIN;
        !self.child.has_ended() && scene.now < closed + PATIENCE
    }

    fn failed(self, why: &str, scene: &Scene<'_>) -> Progress {
        let (child, error) = self.give_up(why, scene);
        Progress::Failed { child, error }
    }

    /// Ends the new process; it, unless it has been collected, and what to say of it.
    pub(super) fn give_up(self, why: &str, scene: &Scene<'_>) -> (Option<Child>, io::Error) {
        self.forget(scene);
        let Self { pid, child, .. } = self;
        let text = match child.try_wait() {
            Some(Exit { code: Some(code), .. }) => format!("process {pid} has exited with {code} before it served"),
            Some(Exit { signal: Some(signal), .. }) => {
                format!("process {pid} was ended by signal {signal} before it served")
            }
            Some(_) => format!("process {pid} has ended before it served"),
            None => {
                let _ = child.kill(true);
                return (Some(child), io::Error::other(format!("process {pid} has failed: {why}")));
            }
        };
        (None, io::Error::other(text))
    }

    fn forget(&self, scene: &Scene<'_>) {
        // It is closed next.
        let _ = scene.poller.delete(self.ready.as_fd());
    }
}
