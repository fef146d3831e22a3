//! The `polling` crate in its one mode that is everywhere: one-shot, armed again after each event.

mod keys;

use std::io;
use std::time::Duration;

use polling::PollMode;
#[cfg(any(target_os = "macos", target_os = "freebsd"))]
use polling::os::kqueue::PollerKqueueExt;
#[cfg(any(target_os = "macos", target_os = "freebsd"))]
use polling::os::kqueue::Process;
#[cfg(any(target_os = "macos", target_os = "freebsd"))]
use polling::os::kqueue::ProcessOps;

use self::keys::Keys;
use super::BATCH;
use super::Event;
use super::NOTIFIED;
use crate::sys::Descriptor;
use crate::sys::Interest;
use crate::sys::Watch;

/// Registrations fire once.
pub(crate) const EDGE: bool = false;

#[derive(Debug)]
pub(crate) struct Poller {
    inner: polling::Poller,
    keys: Keys,
}

/// Room for one batch of events.
pub(crate) struct Events {
    events: polling::Events,
    tokens: Vec<u64>,
    notified: bool,
}

impl std::fmt::Debug for Events {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Events").finish_non_exhaustive()
    }
}

impl Events {
    pub(crate) fn new() -> Self {
        let capacity = BATCH.try_into().unwrap_or(std::num::NonZeroUsize::MIN);
        Self { events: polling::Events::with_capacity(capacity), tokens: Vec::new(), notified: false }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = Event> + '_ {
        let notified = self.notified.then_some(Event { token: NOTIFIED, hangup: false });
        // `polling` does not say whether the peer has closed, so every event may mean it.
        self.tokens.iter().map(|token| Event { token: *token, hangup: true }).chain(notified)
    }
}

impl Poller {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self { inner: polling::Poller::new()?, keys: Keys::new() })
    }

    pub(crate) fn add(&self, descriptor: Descriptor<'_>, token: u64) -> io::Result<()> {
        self.add_level(descriptor, token)
    }

    pub(crate) fn add_exclusive(&self, descriptor: Descriptor<'_>, token: u64) -> io::Result<()> {
        self.add_level(descriptor, token)
    }

    pub(crate) fn add_level(&self, descriptor: Descriptor<'_>, token: u64) -> io::Result<()> {
        // SAFETY: the one who registers a descriptor calls `delete` or `forget` before it is closed.
        unsafe {
            self.inner.add_with_mode(&descriptor, polling::Event::readable(self.keys.key(token)), PollMode::Oneshot)
        }
    }

    pub(crate) fn modify(&self, descriptor: Descriptor<'_>, token: u64, interest: Interest) -> io::Result<()> {
        let event = match interest {
            Interest::Read => polling::Event::readable(self.keys.key(token)),
            Interest::Write => polling::Event::all(self.keys.key(token)),
        };
        self.inner.modify_with_mode(descriptor, event, PollMode::Oneshot)
    }

    /// As [`modify`](Self::modify), for exactly this: what is not waited for would be reported again and again.
    pub(crate) fn watch(&self, descriptor: Descriptor<'_>, token: u64, watch: Watch) -> io::Result<()> {
        let event = polling::Event::new(self.keys.key(token), watch.read, watch.write);
        self.inner.modify_with_mode(descriptor, event, PollMode::Oneshot)
    }

    /// Registrations that have fired watch for nothing anyway.
    #[allow(clippy::unused_self, clippy::unnecessary_wraps, reason = "epoll has work here")]
    pub(crate) fn disarm(&self, _: Descriptor<'_>, _: u64) -> io::Result<()> {
        Ok(())
    }

    /// Whether the next wait may return at once; where that cannot be told, it may.
    #[cfg_attr(not(unix), allow(clippy::unused_self, reason = "its descriptor can tell elsewhere"))]
    pub(crate) fn has_events(&self) -> bool {
        #[cfg(unix)]
        {
            use std::os::fd::AsFd;
            let now = Some(std::time::Instant::now());
            matches!(
                crate::sys::wait::wait(self.inner.as_fd(), Interest::Read, &[], now),
                Ok(crate::sys::wait::Woken::Ready)
            )
        }
        #[cfg(not(unix))]
        true
    }

    pub(crate) fn rearm_level(&self, descriptor: Descriptor<'_>, token: u64) -> io::Result<()> {
        self.modify(descriptor, token, Interest::Read)
    }

    pub(crate) fn delete(&self, descriptor: Descriptor<'_>) -> io::Result<()> {
        self.inner.delete(descriptor)
    }

    pub(crate) fn forget(&self, descriptor: Descriptor<'_>) {
        // A descriptor that is gone already has nothing left to forget.
        let _ = self.inner.delete(descriptor);
    }

    /// Reports `token` once the child has ended. It tells once, and may tell before the child can be collected.
    #[cfg(any(target_os = "macos", target_os = "freebsd"))]
    pub(crate) fn add_child(&self, pid: rustix::process::Pid, token: u64) -> io::Result<()> {
        self.inner.add_filter(exit_of(pid), self.keys.key(token), PollMode::Oneshot)
    }

    /// Ends what [`add_child`](Self::add_child) has begun, also if that has failed half-way.
    #[cfg(any(target_os = "macos", target_os = "freebsd"))]
    pub(crate) fn delete_child(&self, pid: rustix::process::Pid) {
        // A filter that has told is gone in the kernel already, and still known here.
        let _ = self.inner.delete_filter(exit_of(pid));
    }

    pub(crate) fn wait(&self, events: &mut Events, timeout: Option<Duration>) -> io::Result<()> {
        events.events.clear();
        events.tokens.clear();
        let count = self.inner.wait(&mut events.events, timeout)?;
        events.tokens.extend(events.events.iter().map(|event| self.keys.token(event.key)));
        // Nothing ready before the timeout: a thread has notified, or the timeout has passed; both are worth a look.
        events.notified = count == 0;
        Ok(())
    }

    pub(crate) fn notify(&self) {
        // It can only fail where the poller itself is broken, and then the wait fails too.
        let _ = self.inner.notify();
    }

    #[cfg(unix)]
    pub(crate) fn descriptor(&self) -> Descriptor<'_> {
        use std::os::fd::AsFd;
        self.inner.as_fd()
    }
}

#[cfg(any(target_os = "macos", target_os = "freebsd"))]
fn exit_of(pid: rustix::process::Pid) -> Process<'static> {
    // SAFETY: only children that have not been collected are watched, and each is deleted when it has been.
    unsafe { Process::from_pid(pid.as_raw_nonzero(), ProcessOps::Exit) }
}
