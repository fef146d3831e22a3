//! epoll as model checks see it: the kernel is asked what is ready, and the waiting is the checker's.
//!
//! So registrations, edges and their order are the real ones, and a wait that nothing ends is a deadlock that the checker
//! reports. What makes a descriptor ready has to be told by [`Poller::look`] afterwards.

use std::fmt;
use std::io;
use std::time::Duration;

use super::Event;
use super::epoll;
pub(crate) use super::epoll::EDGE;
use crate::sync::Condvar;
use crate::sync::Mutex;
use crate::sync::thread;
use crate::sys::Descriptor;
use crate::sys::Interest;
use crate::sys::Watch;

pub(crate) struct Poller {
    epoll: epoll::Poller,
    lock: Mutex<()>,
    changed: Condvar,
}

#[derive(Debug)]
pub(crate) struct Events(epoll::Events);

impl Events {
    pub(crate) fn new() -> Self {
        Self(epoll::Events::new())
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = Event> + '_ {
        self.0.iter()
    }
}

impl Poller {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self { epoll: epoll::Poller::new()?, lock: Mutex::new(()), changed: Condvar::default() })
    }

    pub(crate) fn add(&self, descriptor: Descriptor<'_>, token: u64) -> io::Result<()> {
        self.epoll.add(descriptor, token)?;
        self.look();
        Ok(())
    }

    pub(crate) fn add_exclusive(&self, descriptor: Descriptor<'_>, token: u64) -> io::Result<()> {
        self.epoll.add_exclusive(descriptor, token)?;
        self.look();
        Ok(())
    }

    pub(crate) fn add_level(&self, descriptor: Descriptor<'_>, token: u64) -> io::Result<()> {
        self.epoll.add_level(descriptor, token)?;
        self.look();
        Ok(())
    }

    pub(crate) fn disarm(&self, descriptor: Descriptor<'_>, token: u64) -> io::Result<()> {
        self.epoll.disarm(descriptor, token)
    }

    pub(crate) fn has_events(&self) -> bool {
        self.epoll.has_events()
    }

    pub(crate) fn modify(&self, descriptor: Descriptor<'_>, token: u64, interest: Interest) -> io::Result<()> {
        self.epoll.modify(descriptor, token, interest)?;
        self.look();
        Ok(())
    }

    pub(crate) fn watch(&self, descriptor: Descriptor<'_>, token: u64, watch: Watch) -> io::Result<()> {
        self.epoll.watch(descriptor, token, watch)?;
        self.look();
        Ok(())
    }

    pub(crate) fn rearm_level(&self, descriptor: Descriptor<'_>, token: u64) -> io::Result<()> {
        self.epoll.rearm_level(descriptor, token)
    }

    pub(crate) fn delete(&self, descriptor: Descriptor<'_>) -> io::Result<()> {
        self.epoll.delete(descriptor)
    }

    pub(crate) fn forget(&self, descriptor: Descriptor<'_>) {
        self.epoll.forget(descriptor);
    }

    /// Without a timeout it waits until something is ready; any other may have passed already.
    pub(crate) fn wait(&self, events: &mut Events, timeout: Option<Duration>) -> io::Result<()> {
        if timeout.is_some_and(|timeout| !timeout.is_zero()) {
            thread::park_timeout(Duration::ZERO);
        }
        let mut guard = self.lock.lock();
        loop {
            self.epoll.wait(&mut events.0, Some(Duration::ZERO))?;
            if timeout.is_some() || events.iter().next().is_some() {
                return Ok(());
            }
            guard = self.changed.wait(guard);
        }
    }

    pub(crate) fn notify(&self) {
        self.epoll.notify();
        self.look();
    }

    /// Something may have become ready.
    pub(crate) fn look(&self) {
        drop(self.lock.lock());
        self.changed.notify_one();
    }

    pub(crate) fn descriptor(&self) -> Descriptor<'_> {
        self.epoll.descriptor()
    }
}

impl fmt::Debug for Poller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Poller").field("epoll", &self.epoll).finish_non_exhaustive()
    }
}
