//! Leadership: one thread at a time polls, accepts, and takes what there is into its ring.

use std::time::Duration;

use super::Scheduler;
use super::Work;
use crate::dispatch::Task;
use crate::engine::acceptor::Acceptor;
use crate::engine::serve_loop::Ready;
use crate::engine::serve_loop::Waiter;
use crate::engine::source::Observe;
use crate::sync::Condvar;
use crate::sync::Mutex;
use crate::sync::atomic::AtomicBool;
use crate::sync::atomic::AtomicUsize;
use crate::sync::atomic::Ordering;
use crate::sync::now;

/// While the server drains, no thread waits longer than this without looking.
const DRAIN_LOOK: Duration = Duration::from_millis(20);

/// No worker has been called to poll.
const NO_HEIR: usize = usize::MAX;

pub(super) struct Leadership<J: Task> {
    leader: Mutex<Leader<J>>,
    /// A thread is in the poll.
    polling: AtomicBool,
    /// The thread that polls, or was the last to do so.
    index: AtomicUsize,
    /// A worker that has been called to poll, until it is awake.
    heir: AtomicUsize,
    /// The acceptor on its way to the leader.
    incoming: Mutex<Option<Acceptor<J>>>,
    /// The acceptor on its way back, when the server stops.
    returned: Mutex<Option<Acceptor<J>>>,
    has_returned: Condvar,
}

/// What the thread that polls has.
struct Leader<J: Task> {
    waiter: Waiter,
    acceptor: Option<Acceptor<J>>,
    ready: Vec<Ready<J>>,
}

impl<J: Task> Leadership<J> {
    pub(super) fn new(address: &str) -> Self {
        Self {
            leader: Mutex::new(Leader { waiter: Waiter::new(address), acceptor: None, ready: Vec::new() }),
            polling: AtomicBool::new(false),
            index: AtomicUsize::new(0),
            heir: AtomicUsize::new(NO_HEIR),
            incoming: Mutex::new(None),
            returned: Mutex::new(None),
            has_returned: Condvar::default(),
        }
    }

    /// Whether no thread polls, or is about to.
    pub(super) fn is_vacant(&self) -> bool {
        !self.has_heir() && self.leader.try_lock().is_some()
    }

    /// Whether a worker has been called to poll that is not awake yet.
    pub(super) fn has_heir(&self) -> bool {
        self.heir.load(Ordering::SeqCst) != NO_HEIR
    }

    /// The worker `index` is going to be called to poll. Those that go to sleep meanwhile rely on it: it finds them asleep
    /// if it goes off duty instead.
    pub(super) fn set_heir(&self, index: usize) {
        self.heir.store(index, Ordering::SeqCst);
    }

    /// A thread that has slept is awake and on duty.
    pub(super) fn is_awake(&self, index: usize) {
        if self.heir.load(Ordering::SeqCst) == index {
            // Another may have been called since.
            let _ = self.heir.compare_exchange(index, NO_HEIR, Ordering::SeqCst, Ordering::SeqCst);
        }
    }

    /// Whether an acceptor waits for a thread that polls.
    pub(super) fn has_incoming(&self) -> bool {
        self.incoming.lock().is_some()
    }

    /// The thread that polls, if one does.
    pub(super) fn polls(&self) -> Option<usize> {
        self.is_polling().then(|| self.index.load(Ordering::SeqCst))
    }

    /// Not asked by trying the leader's lock: a thread that fails to take it goes to sleep.
    pub(super) fn is_polling(&self) -> bool {
        self.polling.load(Ordering::SeqCst)
    }
}

impl<J: Task> Scheduler<J> {
    /// Polls, if no other thread does, and takes what there is into this thread's ring; without waiting if `busy`. False
    /// if another polls.
    pub(super) fn lead(&self, index: usize, busy: bool) -> bool {
        let Leadership { leader, polling, incoming, returned, has_returned, .. } = &self.leadership;
        let Some(mut leader) = leader.try_lock() else { return false };
        self.searching.store(false, Ordering::Relaxed);
        if let Some(acceptor) = incoming.lock().take() {
            leader.acceptor = Some(acceptor);
        }
        let Leader { waiter, acceptor, ready } = &mut *leader;
        let stop = &self.reporter.core().stop;
        if stop.is_stopping() {
            if let Some(acceptor) = acceptor.take() {
                *returned.lock() = Some(acceptor);
                has_returned.notify_one();
            }
            waiter.wait_until(now() + DRAIN_LOOK);
        }
        self.leadership.index.store(index, Ordering::SeqCst);
        polling.store(true, Ordering::SeqCst);
        // A worker that has gone to sleep before it could see this has not called.
        let busy = busy || self.is_to_leave_lead(index);
        let outcome = waiter.turn(&self.park, &self.reporter, acceptor.as_mut(), busy || self.is_ended(), ready);
        polling.store(false, Ordering::SeqCst);
        if let Err(error) = outcome {
            self.failure.lock().get_or_insert(error);
            stop.shutdown();
        }
        let count = ready.len();
        self.lanes.get(index).ring.extend(ready.drain(..).filter_map(Work::from_ready));
        drop(leader);
        self.wake_on_demand(count);
        true
    }

    /// The leader accepts from here on.
    pub(crate) fn give_acceptor(&self, acceptor: Acceptor<J>) {
        *self.leadership.incoming.lock() = Some(acceptor);
        self.park.poller.notify();
    }

    /// Takes the acceptor back, once the server has been told to stop: from the leader, or from where none leads.
    pub(crate) fn take_acceptor(&self) -> Option<Acceptor<J>> {
        /// A leader that is stuck in a handler gives nothing back; then the acceptor is free to take.
        const LOOK: Duration = Duration::from_millis(2);
        let Leadership { leader, incoming, returned, has_returned, .. } = &self.leadership;
        let mut returned = returned.lock();
        loop {
            if returned.is_some() {
                return returned.take();
            }
            if let Some(mut leader) = leader.try_lock() {
                let acceptor = leader.acceptor.take().or_else(|| incoming.lock().take());
                drop(leader);
                // A thread that wanted to lead meanwhile has gone to sleep.
                self.wake_any();
                return acceptor;
            }
            self.park.poller.notify();
            returned = has_returned.wait_for(returned, LOOK);
        }
    }
}
