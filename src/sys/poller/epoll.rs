//! epoll(7), edge-triggered: no system call re-arms a connection after a message.

use std::fmt;
use std::io;
use std::os::fd::AsFd;
use std::os::fd::OwnedFd;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

use rustix::buffer::spare_capacity;
use rustix::event::epoll;
use rustix::event::epoll::EventData;
use rustix::event::epoll::EventFlags;
use rustix::time::Itimerspec;
use rustix::time::TimerfdClockId;
use rustix::time::TimerfdFlags;
use rustix::time::TimerfdTimerFlags;
use rustix::time::Timespec;
use rustix::time::timerfd_create;
use rustix::time::timerfd_settime;

use super::BATCH;
use super::Event;
use super::NOTIFIED;
use crate::sys::Descriptor;
use crate::sys::Interest;
use crate::sys::Watch;
use crate::sys::flag::Flag;
use crate::sys::wait::Woken;
use crate::sys::wait::timespec;
use crate::sys::wait::wait;

/// Registrations stay armed.
pub(crate) const EDGE: bool = true;

#[derive(Debug)]
pub(crate) struct Poller {
    epoll: OwnedFd,
    notify: Flag,
    /// Ends waits. A timeout of epoll_wait(2) would make the kernel set and cancel a timer in every call; this one is
    /// set anew only when it has to ring sooner.
    timer: OwnedFd,
    epoch: Instant,
    /// When the timer rings, in nanoseconds after `epoch`.
    rings_at: AtomicU64,
}

/// One batch of events, as the kernel wrote them.
pub(crate) struct Events(Vec<epoll::Event>);

// SAFETY: the kernel's type could hold a pointer; registrations here are made with numbers only, and read as such.
unsafe impl Send for Events {}

impl Events {
    pub(crate) fn new() -> Self {
        Self(Vec::with_capacity(BATCH))
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = Event> + '_ {
        let more = EventFlags::RDHUP | EventFlags::HUP | EventFlags::ERR | EventFlags::PRI;
        self.0.iter().map(move |event| {
            let flags = event.flags;
            Event { token: event.data.u64(), hangup: flags.intersects(more) }
        })
    }
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl Poller {
    pub(crate) fn new() -> io::Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let notify = Flag::new()?;
        epoll::add(&epoll, notify.descriptor(), EventData::new_u64(NOTIFIED), EventFlags::IN | EventFlags::ET)?;
        let timer = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK)?;
        // Never read: setting it anew takes a ring back, and each ring is an edge.
        epoll::add(&epoll, &timer, EventData::new_u64(NOTIFIED), EventFlags::IN | EventFlags::ET)?;
        Ok(Self { epoll, notify, timer, epoch: Instant::now(), rings_at: AtomicU64::new(0) })
    }

    /// Registers a connection, edge-triggered.
    pub(crate) fn add(&self, descriptor: Descriptor<'_>, token: u64) -> io::Result<()> {
        Ok(epoll::add(&self.epoll, descriptor, EventData::new_u64(token), edge(Interest::Read))?)
    }

    /// Registers something that is reported for as long as it is ready: listeners, flags, child exits.
    pub(crate) fn add_level(&self, descriptor: Descriptor<'_>, token: u64) -> io::Result<()> {
        Ok(epoll::add(&self.epoll, descriptor, EventData::new_u64(token), EventFlags::IN)?)
    }

    /// As [`add_level`](Self::add_level) for a listener that other processes wait on, too: not all of them are woken. It
    /// cannot be [modified](Self::modify), only taken out and put back.
    pub(crate) fn add_exclusive(&self, descriptor: Descriptor<'_>, token: u64) -> io::Result<()> {
        let flags = EventFlags::IN | EventFlags::EXCLUSIVE;
        Ok(epoll::add(&self.epoll, descriptor, EventData::new_u64(token), flags)?)
    }

    /// Changes what a connection waits for; what is ready already is reported.
    pub(crate) fn modify(&self, descriptor: Descriptor<'_>, token: u64, interest: Interest) -> io::Result<()> {
        Ok(epoll::modify(&self.epoll, descriptor, EventData::new_u64(token), edge(interest))?)
    }

    /// As [`modify`](Self::modify), for exactly this.
    pub(crate) fn watch(&self, descriptor: Descriptor<'_>, token: u64, watch: Watch) -> io::Result<()> {
        let wanted = [(watch.read, edge(Interest::Read)), (watch.write, EventFlags::OUT | EventFlags::ET)];
        let flags = wanted.into_iter().filter(|(wanted, _)| *wanted).map(|(_, flags)| flags).collect();
        Ok(epoll::modify(&self.epoll, descriptor, EventData::new_u64(token), flags)?)
    }

    /// Watches a connection for nothing, until it is [modified](Self::modify).
    pub(crate) fn disarm(&self, descriptor: Descriptor<'_>, token: u64) -> io::Result<()> {
        Ok(epoll::modify(&self.epoll, descriptor, EventData::new_u64(token), EventFlags::ET)?)
    }

    /// Whether a registration has something to tell: neither a [notification](Self::notify) nor a timeout is.
    pub(crate) fn has_events(&self) -> bool {
        // What is not watched for is not lost: it is reported when it is watched for again.
        let _ = self.watch_own(EventFlags::ET);
        let ready = wait(self.epoll.as_fd(), Interest::Read, &[], Some(Instant::now()));
        let _ = self.watch_own(EventFlags::IN | EventFlags::ET);
        matches!(ready, Ok(Woken::Ready))
    }

    fn watch_own(&self, flags: EventFlags) -> rustix::io::Result<()> {
        epoll::modify(&self.epoll, self.notify.descriptor(), EventData::new_u64(NOTIFIED), flags)?;
        epoll::modify(&self.epoll, &self.timer, EventData::new_u64(NOTIFIED), flags)
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
        let timeout = match timeout {
            Some(timeout) if !timeout.is_zero() => {
                self.ring_within(timeout)?;
                None
            }
            other => other.map(timespec),
        };
        match epoll::wait(&self.epoll, spare_capacity(&mut events.0), timeout.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Sees to it that the timer rings within `timeout`; sooner than asked for is a wake-up for nothing, and rare.
    fn ring_within(&self, timeout: Duration) -> io::Result<()> {
        let nanos = |duration: Duration| u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        let now = nanos(self.epoch.elapsed());
        let until = now.saturating_add(nanos(timeout));
        let rings_at = self.rings_at.load(Ordering::Relaxed);
        if rings_at > now && rings_at <= until {
            return Ok(());
        }
        let never = Timespec { tv_sec: 0, tv_nsec: 0 };
        let value = Itimerspec { it_interval: never, it_value: timespec(timeout) };
        timerfd_settime(&self.timer, TimerfdTimerFlags::empty(), &value)?;
        self.rings_at.store(until, Ordering::Relaxed);
        Ok(())
    }

    /// Makes the current or the next wait return, with an event [`NOTIFIED`].
    pub(crate) fn notify(&self) {
        self.notify.raise();
    }

    pub(crate) fn descriptor(&self) -> Descriptor<'_> {
        self.epoll.as_fd()
    }
}

fn edge(interest: Interest) -> EventFlags {
    let read = EventFlags::IN | EventFlags::RDHUP | EventFlags::PRI | EventFlags::ET;
    match interest {
        Interest::Read => read,
        Interest::Write => read | EventFlags::OUT,
    }
}
