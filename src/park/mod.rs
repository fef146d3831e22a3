//! Where idle connections wait: a poller, a table with a state machine for each connection, and timers.
//!
//! `Sync` and `Pool` use the same place. A connection is in one of three states (see [`table`]): vacant, parked (the
//! table owns its job) or running (a worker does). A thread that takes a job out of the table must park or remove it again;
//! there is no other way in or out:
//!
//! - [`insert`](ParkingPlace::insert) registers a connection; it is running until parked.
//! - [`wake`](ParkingPlace::wake) answers an event: the job, or a note for the worker that runs it.
//! - [`park`](ParkingPlace::park) lets it wait, or gives it back at once if there was news while it ran.
//! - [`remove`](ParkingPlace::remove) frees the slot; events still on their way find its generation gone.
//! - [`notified`](ParkingPlace::notified) tells which connections have been sent a message from elsewhere: to be woken,
//!   as by an event.
//! - [`expired`](ParkingPlace::expired), [`take_all`](ParkingPlace::take_all),
//!   [`take_longest_idle`](ParkingPlace::take_longest_idle) take parked ones out for the timer, the drain, and
//!   shedding.

use std::io;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

#[cfg(all(test, socketserver_shuttle))]
mod model;
mod table;
mod timers;
pub(crate) mod token;
mod wake_queue;

use table::Found;
use table::Parked;
use table::Parking;
use table::Table;
use timers::Timers;
use token::Class;
use token::Token;
use wake_queue::WakeQueue;

use crate::request::OtherSide;
use crate::sync::Mutex;
use crate::sync::Notify;
use crate::sync::atomic::AtomicU64;
use crate::sync::atomic::AtomicUsize;
use crate::sync::atomic::Ordering;
use crate::sys::Descriptor;
use crate::sys::Interest;
use crate::sys::poller::EDGE;
use crate::sys::poller::Events;
use crate::sys::poller::Poller;
use crate::sys::wait::Woken;
use crate::sys::wait::wait;

/// What a job that wants to wait, waits for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Wait {
    pub(crate) class: Class,
    /// From now, or what is left of an older deadline; `None` for ever.
    pub(crate) timeout: Option<Duration>,
    pub(crate) interest: Interest,
}

/// The poller, the table and the timers of one server.
#[derive(Debug)]
pub(crate) struct ParkingPlace<J> {
    pub(crate) poller: Arc<Poller>,
    wake_queue: Arc<WakeQueue>,
    table: Table<J>,
    timers: Timers,
    /// Candidates for shedding from the last look at the table, the longest idle last.
    sheddable: Mutex<Vec<(u64, Token)>>,
    /// Until when a thread waits in the poller, on the timers' clock; 0 while none does.
    waits_until: AtomicU64,
    /// How many connections are slow.
    slow: AtomicUsize,
}

/// A job that can wait on a descriptor.
pub(crate) trait Waits {
    /// What its poller watches.
    fn descriptor(&self) -> Option<Descriptor<'_>>;

    /// Another connection that it waits for as well, and what it is waited for itself while it does.
    fn other_side(&self) -> Option<&OtherSide> {
        None
    }
}

impl<J: Waits> ParkingPlace<J> {
    pub(crate) fn new() -> io::Result<Self> {
        let poller = Arc::new(Poller::new()?);
        Ok(Self {
            wake_queue: Arc::new(WakeQueue::new(Arc::clone(&poller))),
            poller,
            table: Table::new(),
            timers: Timers::new(),
            sheddable: Mutex::new(Vec::new()),
            waits_until: AtomicU64::new(0),
            slow: AtomicUsize::new(0),
        })
    }

    /// Registers a connection; it counts as running until it is parked or removed.
    pub(crate) fn insert(&self, descriptor: Descriptor<'_>) -> io::Result<Token> {
        let token = self.table.insert();
        match self.poller.add(descriptor, token.raw()) {
            Ok(()) => Ok(token),
            Err(error) => {
                self.vacate(token);
                Err(error)
            }
        }
    }

    /// An event for `token`: its job if it was parked.
    pub(crate) fn wake(&self, token: Token, hangup: bool) -> Option<J> {
        match self.table.wake(token, hangup) {
            Found::Job(job) => Some(job),
            Found::Told | Found::Gone => None,
        }
    }

    /// Lets a job wait. `Some` gives it back: there is news already, and the flag says whether the peer may have
    /// closed.
    ///
    /// # Errors
    ///
    /// The job with what the poller said, if its registration could not be changed.
    pub(crate) fn park(
        &self,
        token: Token,
        job: J,
        wait: Wait,
        now: Instant,
    ) -> Result<Option<(J, bool)>, (J, io::Error)> {
        let since = self.timers.millis(now);
        let parking = Parking {
            since,
            deadline: Timers::deadline(wait.timeout, since),
            class: wait.class,
            interest: wait.interest,
        };
        let mut job = job;
        let mut rearmed = false;
        // Armed before it is in the table: an event that comes first finds it running and leaves a note.
        if let Some(other) = job.other_side()
            && let Err(error) = other.arm(&self.poller, token.raw())
        {
            return Err((job, error));
        }
        if !EDGE {
            if let Err(error) = self.arm(token, &job, wait.interest) {
                return Err((job, error));
            }
            rearmed = true;
        }
        loop {
            match self.table.park(token, job, parking, rearmed) {
                Parked::Waits { queue_timer } => {
                    if queue_timer {
                        self.queue_timer(parking.deadline, token);
                    }
                    return Ok(None);
                }
                Parked::News(job, hangup) => return Ok(Some((job, hangup))),
                Parked::Unarmed(unarmed) => {
                    job = unarmed;
                    if let Err(error) = self.arm(token, &job, wait.interest) {
                        return Err((job, error));
                    }
                    rearmed = true;
                }
            }
        }
    }

    /// Who waits in the poller must not sleep past the new deadline.
    fn queue_timer(&self, deadline: u64, token: Token) {
        self.timers.push(deadline, token);
        if deadline < self.waits_until.load(Ordering::SeqCst) {
            self.poller.notify();
        }
    }

    fn arm(&self, token: Token, job: &J, interest: Interest) -> io::Result<()> {
        let Some(descriptor) = job.descriptor() else { return Ok(()) };
        match job.other_side().map(|other| other.watches().0) {
            Some(own) if !EDGE && own.is_nothing() => Ok(()),
            Some(own) if !EDGE => self.poller.watch(descriptor, token.raw(), own),
            _ => self.poller.modify(descriptor, token.raw(), interest),
        }
    }

    /// The handler of a running connection waits for its peer by itself: what comes for it need not wake the thread that
    /// polls.
    pub(crate) fn disarm(&self, token: Token, descriptor: Descriptor<'_>) {
        // A registration that fires once is not armed while its connection runs.
        if EDGE && self.poller.disarm(descriptor, token.raw()).is_ok() {
            self.table.set_disarmed(token);
        }
    }

    /// Frees the slot of a running job, before its descriptor is closed.
    pub(crate) fn remove(&self, token: Token, job: &J) {
        if let Some(descriptor) = job.descriptor() {
            self.poller.forget(descriptor);
        }
        self.vacate(token);
    }

    /// As [`remove`](Self::remove) for a descriptor that stays open elsewhere.
    pub(crate) fn release(&self, token: Token, descriptor: Descriptor<'_>) -> io::Result<()> {
        self.vacate(token);
        self.poller.delete(descriptor)
    }

    /// Waits for events until the first deadline, or for `at_most`, whichever is sooner.
    pub(crate) fn wait(&self, events: &mut Events, at_most: Option<Duration>) -> io::Result<()> {
        // A deadline that is queued from here on, before this thread has looked, makes the wait return at once.
        self.waits_until.store(u64::MAX, Ordering::SeqCst);
        let now = Instant::now();
        let timeout = [self.timers.next(now), at_most].into_iter().flatten().min();
        let until = timeout.map_or(u64::MAX, |timeout| self.timers.millis(now + timeout));
        self.waits_until.store(until, Ordering::SeqCst);
        let outcome = self.poller.wait(events, timeout);
        self.waits_until.store(0, Ordering::SeqCst);
        outcome
    }

    /// Where parked connections are notified of news, whether or not a thread polls at the moment.
    pub(crate) fn wake_queue(&self) -> Arc<dyn Notify> {
        Arc::clone(&self.wake_queue) as Arc<dyn Notify>
    }

    /// Tells which connections have been notified since the last look; the next [`wait`](Self::wait) returns at once for
    /// those that come later.
    pub(crate) fn notified(&self, each: impl FnMut(Token)) {
        self.wake_queue.take(each);
    }

    /// Whether there are any that [`notified`](Self::notified) has not told.
    pub(crate) fn has_notified(&self) -> bool {
        self.wake_queue.has_any()
    }

    /// Takes out every job whose deadline has passed.
    pub(crate) fn expired(&self, now: Instant, each: impl FnMut(Token, Class, J)) {
        self.timers.expire(now, |token, entry, now| self.table.expire(token, entry, now), each);
    }

    /// Takes out every job that is parked now.
    pub(crate) fn take_all(&self) -> impl Iterator<Item = (Token, J)> + '_ {
        self.table.parked().into_iter().filter_map(|token| Some((token, self.table.take_parked(token)?)))
    }

    /// Takes out the job that has waited longest for its next message.
    pub(crate) fn take_longest_idle(&self) -> Option<(Token, J)> {
        /// One look at the table serves this many.
        const LOOK: usize = 64;
        let mut candidates = self.sheddable.lock();
        for fresh in [false, true] {
            if fresh {
                *candidates = self.table.longest_idle(LOOK);
                candidates.reverse();
            }
            while let Some((since, token)) = candidates.pop() {
                // One that has spoken since the look is not the longest idle any more, nor is one whose message has
                // come but has not been taken in yet.
                if let Some(job) = self.table.take_idle_since(token, since, is_silent) {
                    return Some((token, job));
                }
            }
        }
        None
    }

    pub(crate) fn is_slow(&self, token: Token) -> bool {
        self.table.is_slow(token)
    }

    /// Whether any connection is slow, for those who look at each event.
    pub(crate) fn any_slow(&self) -> bool {
        self.slow.load(Ordering::Relaxed) > 0
    }

    pub(crate) fn set_slow(&self, token: Token, slow: bool) {
        match (self.table.set_slow(token, slow), slow) {
            (false, true) => {
                self.slow.fetch_add(1, Ordering::Relaxed);
            }
            (true, false) => self.less_slow(),
            _ => {}
        }
    }

    fn less_slow(&self) {
        self.slow.fetch_sub(1, Ordering::Relaxed);
    }

    fn vacate(&self, token: Token) {
        if self.table.remove(token) {
            self.less_slow();
        }
    }
}

/// Whether nothing has arrived for a job that waits.
fn is_silent<J: Waits>(job: &J) -> bool {
    let ready = |descriptor| wait(descriptor, Interest::Read, &[], Some(Instant::now()));
    job.descriptor().is_none_or(|descriptor| !matches!(ready(descriptor), Ok(Woken::Ready)))
}
