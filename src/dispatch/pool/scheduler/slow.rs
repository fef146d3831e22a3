//! Slow connections: those whose handlers were found to block. They wait in a queue of their own, so that the quick ones
//! go on being quick.

use std::time::Duration;
use std::time::Instant;

use super::Scheduler;
use super::Work;
use crate::dispatch::Task;
use crate::dispatch::pool::lane::Lane;
use crate::dispatch::pool::ring::Ring;
use crate::engine::answered::Answering;
use crate::engine::source::Observe;
use crate::engine::turns::run_turn;
use crate::event::Event;
use crate::park::token::Token;
use crate::sync::atomic::AtomicUsize;
use crate::sync::atomic::Ordering;
use crate::sync::now;

/// A connection that takes less than this is quick again.
const QUICK: Duration = Duration::from_millis(1);

/// Work that has waited this long is run although the rings of the quick ones never become empty.
const OVERDUE: Duration = Duration::from_millis(10);

pub(super) struct SlowLane<J> {
    /// Each with the time at which it began to wait.
    ring: Ring<(Instant, Work<J>)>,
    running: AtomicUsize,
    /// How many of the workers may run slow work.
    of_workers: usize,
    /// How many more threads may, because slow work has waited.
    pub(super) extra: AtomicUsize,
    /// There is one thread at the most: none could be kept for the quick ones.
    off: bool,
}

impl<J> SlowLane<J> {
    pub(super) fn new(workers: usize, most: usize, cpus: usize) -> Self {
        // Quick connections keep as many workers as there are CPUs, but not more than half of them.
        let reserve = cpus.min(workers / 2).max(1);
        Self {
            ring: Ring::new(),
            running: AtomicUsize::new(0),
            of_workers: workers - reserve,
            extra: AtomicUsize::new(0),
            off: most < 2,
        }
    }

    pub(super) fn take_all(&self) -> impl Iterator<Item = Work<J>> {
        self.ring.steal_all().into_iter().map(|(_, work)| work)
    }

    /// Whether work has waited long enough to come before that of the quick ones.
    fn is_overdue(&self) -> bool {
        self.waiting() > 0
            && self.ring.peek(|(since, _)| now().saturating_duration_since(*since) >= OVERDUE) == Some(true)
    }

    pub(super) fn waiting(&self) -> usize {
        self.ring.len()
    }

    /// How many threads run slow work.
    pub(super) fn running(&self) -> usize {
        self.running.load(Ordering::SeqCst)
    }

    fn most(&self) -> usize {
        self.of_workers + self.extra.load(Ordering::SeqCst)
    }

    /// Whether another thread may run slow work.
    pub(super) fn has_place(&self) -> bool {
        self.running() < self.most()
    }

    /// Takes the place of one that runs slow work; false if there is none.
    fn take_place(&self) -> bool {
        let one_more = |running| (running < self.most()).then_some(running + 1);
        self.running.fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_more).is_ok()
    }

    /// As [`take_place`](Self::take_place), and one place there is always.
    fn take_place_or_only_one(&self) -> bool {
        let one_more = |running| (running < self.most().max(1)).then_some(running + 1);
        self.running.fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_more).is_ok()
    }

    /// A thread that runs slow work waits for its peer: its place is another's meanwhile.
    pub(super) fn lend_place(&self) {
        self.running.fetch_sub(1, Ordering::SeqCst);
    }

    pub(super) fn return_place(&self) {
        self.running.fetch_add(1, Ordering::SeqCst);
    }
}

impl<J: Task> Scheduler<J> {
    /// Runs slow connections, as long as another thread is on duty for the others; false if there are none, or no place
    /// for them.
    pub(super) fn run_slow(&self, index: usize, worker: &mut Answering<J>) -> bool {
        if self.slow.waiting() == 0 || !self.slow.take_place() {
            return false;
        }
        let lane = self.begin_slow(index);
        let mut ran = false;
        while self.leaves_one_on_duty() && self.run_next_slow(index, worker) {
            ran = true;
            if lane.ring.len() > 0 || self.is_ended() {
                break;
            }
        }
        self.end_slow(lane);
        ran
    }

    /// Runs one slow connection if it is overdue, whatever else there is to do; false if none is, or no place for it.
    pub(super) fn run_overdue(&self, index: usize, worker: &mut Answering<J>) -> bool {
        if !self.slow.is_overdue() || !self.slow.take_place_or_only_one() {
            return false;
        }
        let lane = self.begin_slow(index);
        let may_run = self.leaves_one_on_duty() || self.may_leave_none_on_duty();
        let ran = may_run && {
            let queued = lane.ring.steal_all();
            if !queued.is_empty() {
                self.injected.extend(queued.into_iter());
                self.wake_any();
            }
            self.run_next_slow(index, worker)
        };
        self.end_slow(lane);
        ran
    }

    /// Whether a thread that has nothing else to do would run slow work that no other does.
    pub(super) fn may_run_overdue(&self) -> bool {
        self.slow.running() == 0 && self.slow.is_overdue()
    }

    /// Another has to be on duty for the quick ones: one that sleeps, or else this one.
    fn leaves_one_on_duty(&self) -> bool {
        self.on_duty.load(Ordering::SeqCst) > 0 || self.sleepers.wake_one()
    }

    /// Where no other runs slow work, it would never be run if this thread waited for one more that is not there: the
    /// others wait for their peers, and can be made to give way to the quick ones, or there are none. One that sits in a
    /// handler can not, but comes back.
    fn may_leave_none_on_duty(&self) -> bool {
        let may = self.slow.running() == 1 && !self.lanes().any(Lane::is_stuck);
        if may {
            self.wake_monitor();
        }
        may
    }

    /// The thread has a place, and is not on duty while it runs slow work.
    fn begin_slow(&self, index: usize) -> &Lane<Work<J>> {
        self.on_duty.fetch_sub(1, Ordering::SeqCst);
        let lane = self.lanes.get(index);
        lane.set_runs_slow(true);
        lane
    }

    fn run_next_slow(&self, index: usize, worker: &mut Answering<J>) -> bool {
        let Some((_, work)) = self.slow.ring.pop() else { return false };
        self.searching.store(false, Ordering::Relaxed);
        if self.has_place_for_slow() {
            self.sleepers.wake_one();
        }
        worker.set_now(now());
        self.run(index, work, worker, true);
        worker.flush(&self.reporter);
        true
    }

    fn end_slow(&self, lane: &Lane<Work<J>>) {
        lane.set_runs_slow(false);
        self.on_duty.fetch_add(1, Ordering::SeqCst);
        self.slow.running.fetch_sub(1, Ordering::SeqCst);
    }

    /// A turn of a slow connection, which may take its time: the monitor has nothing to do with it.
    pub(super) fn run_slowly(
        &self,
        lane: &Lane<Work<J>>,
        token: Token,
        job: Box<J>,
        worker: &mut Answering<J>,
    ) -> Option<Box<J>> {
        let begun = now();
        lane.set_current(Some(token));
        let again = run_turn(&self.park, token, job, worker);
        if now().saturating_duration_since(begun) < QUICK {
            // Quick again. One that has ended meanwhile is not found, and need not be.
            self.park.set_slow(token, false);
        }
        again
    }

    /// Whether an event of this connection waits with the slow ones.
    pub(super) fn defers(&self, token: Token) -> bool {
        !self.slow.off && self.park.any_slow() && self.park.is_slow(token)
    }

    /// A slow connection has news: it waits for one of the threads that slow ones may use.
    pub(super) fn defer(&self, work: Work<J>) {
        self.slow.ring.push((now(), work));
        #[cfg(all(test, socketserver_shuttle))]
        self.reporter.deferred();
        if self.slow.has_place() {
            self.sleepers.wake_one();
        }
        // It gives them more threads if they wait.
        self.wake_monitor();
    }

    pub(super) fn has_place_for_slow(&self) -> bool {
        self.slow.waiting() > 0 && self.slow.has_place()
    }

    /// The monitor has found a connection in one call for too long.
    pub(super) fn found_slow(&self, token: Token) {
        self.park.set_slow(token, true);
        self.reporter.observe(&Event::Slow { waiting: self.slow.waiting() });
    }
}
