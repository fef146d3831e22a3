//! epoll(7), edge-triggered: no system call re-arms a connection after a message.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::event::epoll;
use rustix::event::epoll::EventData;
use rustix::event::epoll::EventFlags;

use super::BATCH;
use super::Event;
use super::NOTIFIED;
use super::Watch;
use crate::sys::Descriptor;
use crate::sys::signal::Signal;
use crate::sys::wait::timespec;

/// Registrations stay armed.
pub(crate) const EDGE: bool = true;

#[derive(Debug)]
pub(crate) struct Poller {
    epoll: OwnedFd,
    notify: Signal,
}

/// One batch of events.
#[derive(Debug)]
pub(crate) struct Events(Vec<Event>);

impl Events {
    pub(crate) fn new() -> Self {
        Self(Vec::with_capacity(BATCH))
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = Event> + '_ {
        self.0.iter().copied()
    }
}

impl Poller {
    pub(crate) fn new() -> io::Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let notify = Signal::new()?;
        epoll::add(&epoll, notify.descriptor(), EventData::new_u64(NOTIFIED), EventFlags::IN | EventFlags::ET)?;
        Ok(Self { epoll, notify })
    }

    /// Registers a connection, edge-triggered.
    pub(crate) fn add(&self, descriptor: Descriptor<'_>, token: u64) -> io::Result<()> {
        Ok(epoll::add(&self.epoll, descriptor, EventData::new_u64(token), edge(Watch::Read))?)
    }

    /// Registers something that is reported for as long as it is ready: listeners, signals, child exits.
    pub(crate) fn add_level(&self, descriptor: Descriptor<'_>, token: u64) -> io::Result<()> {
        Ok(epoll::add(&self.epoll, descriptor, EventData::new_u64(token), EventFlags::IN)?)
    }

    /// Changes what a connection waits for; what is ready already is reported.
    pub(crate) fn modify(&self, descriptor: Descriptor<'_>, token: u64, watch: Watch) -> io::Result<()> {
        Ok(epoll::modify(&self.epoll, descriptor, EventData::new_u64(token), edge(watch))?)
    }

    /// Nothing to do: level-triggered registrations stay armed.
    #[allow(clippy::unused_self, clippy::unnecessary_wraps, reason = "the portable poller has work here")]
    pub(crate) fn rearm_level(&self, _: Descriptor<'_>, _: u64) -> io::Result<()> {
        Ok(())
    }

    /// Takes a descriptor out of the set.
    pub(crate) fn delete(&self, descriptor: Descriptor<'_>) -> io::Result<()> {
        Ok(epoll::delete(&self.epoll, descriptor)?)
    }

    /// As [`delete`](Self::delete) for one that is about to be closed, which does it by itself: epoll(7), Q6.
    #[allow(clippy::unused_self, reason = "the portable poller has work here")]
    pub(crate) fn forget(&self, _: Descriptor<'_>) {}

    /// Replaces the contents of `events` by what is ready; empty after the timeout or an interruption.
    pub(crate) fn wait(&self, events: &mut Events, timeout: Option<Duration>) -> io::Result<()> {
        events.0.clear();
        let timeout = timeout.map(timespec);
        let mut ready = [MaybeUninit::uninit(); BATCH];
        let ready = match epoll::wait(&self.epoll, &mut ready, timeout.as_ref()) {
            Ok((ready, _)) => ready,
            Err(rustix::io::Errno::INTR) => return Ok(()),
            Err(errno) => return Err(errno.into()),
        };
        let ending = EventFlags::RDHUP | EventFlags::HUP | EventFlags::ERR;
        events.0.extend(ready.iter().map(|event| {
            let flags = event.flags;
            Event { token: event.data.u64(), hangup: flags.intersects(ending) }
        }));
        Ok(())
    }

    /// Makes the current or the next wait return, with an event [`NOTIFIED`].
    pub(crate) fn notify(&self) {
        self.notify.raise();
    }

    #[cfg(unix)]
    pub(crate) fn raw_descriptor(&self) -> std::os::fd::RawFd {
        use std::os::fd::AsRawFd;
        self.epoll.as_raw_fd()
    }
}

fn edge(watch: Watch) -> EventFlags {
    let read = EventFlags::IN | EventFlags::RDHUP | EventFlags::ET;
    match watch {
        Watch::Read => read,
        Watch::Write => read | EventFlags::OUT,
    }
}
