//! The scheduler of a pool, as a state machine of its workers.
//!
//! ```text
//!             ring empty, nobody polls             batch
//!   on duty ---------------------------> leading ---------> on duty (runs its ring front to back)
//!    ^   |
//!    |   | ring empty, somebody else polls, nothing to steal
//!    |   v
//!   asleep <---- woken by: a batch that is worth it, slow work, a stuck worker, the end
//! ```
//!
//! - One worker at a time polls, and runs what the poll brought itself: no hand-over in the common case.
//! - Another is woken only when the batch is worth more than a wake-up costs, a CPU is left for it, and no other is
//!   searching already.
//! - The monitor finds a worker that sits in one call: its ring may be stolen whole, its connection is slow from then
//!   on, and somebody else is woken to be on duty. Slow connections wait in a queue of their own and run on
//!   `workers - reserve` workers at most, and each begins only while somebody is on duty.
//! - A worker sleeps only while another polls, so the poller is never left alone; if that one gets stuck, the monitor
//!   sees it.
//!
//! These rules are model-checked as they stand here, with the lanes, the sleepers, the monitor and the parking place; see
//! [`crate::sync`] for what the checker sees.

#[cfg(all(test, socketserver_shuttle))]
mod model;

use std::sync::Arc;
use std::time::Duration;

use super::lane::Lane;
use super::sleepers::Sleepers;
use crate::dispatch::Task;
use crate::engine::acceptor::Acceptor;
use crate::engine::answered::Answering;
use crate::engine::serve_loop::Ready;
use crate::engine::serve_loop::Waiter;
use crate::engine::task::Announced;
use crate::engine::task::Report;
use crate::engine::turns::Started;
use crate::engine::turns::run_turn;
use crate::engine::turns::start;
use crate::error::ServeError;
use crate::event::Event;
use crate::park::ParkingPlace;
use crate::park::token::Class;
use crate::park::token::Token;
use crate::sync::Condvar;
use crate::sync::Mutex;
use crate::sync::atomic::AtomicBool;
use crate::sync::atomic::AtomicU64;
use crate::sync::atomic::AtomicUsize;
use crate::sync::atomic::Ordering;
use crate::sync::now;
use crate::sync::thread::Thread;

/// Something to run.
pub(super) enum Work<J> {
    /// Had more to do when its turn was over, or is to be looked at once more.
    Again { token: Token, job: Box<J> },
    /// The poller has news.
    Event { token: Token, hangup: bool },
    /// A deadline has passed.
    Expired { token: Token, class: Class, job: Box<J> },
    /// Accepted just now.
    New(Box<J>),
}

/// What waking another worker costs, about, in nanoseconds: a batch must be worth more.
const WAKE_COST: u64 = 60_000;

/// How long the pool remembers that a handler of messages has blocked, in messages.
const ONE_BY_ONE: usize = 10_000;

/// While the server drains, nobody waits longer than this without looking.
const DRAIN_LOOK: Duration = Duration::from_millis(20);

pub(super) struct Scheduler<J: Task> {
    pub(super) park: Arc<ParkingPlace<Box<J>>>,
    pub(super) reporter: J::Reporter,
    pub(super) lanes: Box<[Lane<Work<J>>]>,
    sleepers: Sleepers,
    leader: Mutex<Leader<J>>,
    /// Somebody is in the poll.
    polling: AtomicBool,
    /// The acceptor on its way to the leader.
    incoming: Mutex<Option<Acceptor<J>>>,
    /// The acceptor on its way back, when the server stops.
    returned: Mutex<Option<Acceptor<J>>>,
    has_returned: Condvar,
    /// Work from outside the workers.
    injected: Lane<Work<J>>,
    slow: Lane<Work<J>>,
    slow_running: AtomicUsize,
    most_slow: usize,
    cpus: usize,
    /// Workers that are awake, not stuck, and not running slow work.
    on_duty: AtomicUsize,
    /// Somebody has been woken and has not found work yet.
    searching: AtomicBool,
    /// A running mean of the time a call takes, in nanoseconds.
    pub(super) mean_call: AtomicU64,
    /// So many messages more are answered one by one: a handler of messages has blocked, and the answers of a batch
    /// would wait for the next one that does.
    one_by_one: AtomicUsize,
    ended: AtomicBool,
    pub(super) monitor_sleeps: AtomicBool,
    monitor: Mutex<Option<Thread>>,
    /// What made accepting or waiting impossible.
    pub(super) failure: Mutex<Option<ServeError>>,
}

/// What the one who polls has.
struct Leader<J: Task> {
    waiter: Waiter,
    acceptor: Option<Acceptor<J>>,
    ready: Vec<Ready<J>>,
}

impl<J: Task> Scheduler<J> {
    pub(super) fn new(
        workers: usize,
        cpus: usize,
        address: &str,
        park: Arc<ParkingPlace<Box<J>>>,
        reporter: J::Reporter,
    ) -> Self {
        // Quick connections keep as many workers as there are CPUs, but not more than half of them.
        let reserve = cpus.min(workers / 2).max(1);
        Self {
            park,
            reporter,
            lanes: (0..workers).map(|_| Lane::new()).collect(),
            sleepers: Sleepers::new(workers),
            leader: Mutex::new(Leader { waiter: Waiter::new(address), acceptor: None, ready: Vec::new() }),
            polling: AtomicBool::new(false),
            incoming: Mutex::new(None),
            returned: Mutex::new(None),
            has_returned: Condvar::default(),
            injected: Lane::new(),
            slow: Lane::new(),
            slow_running: AtomicUsize::new(0),
            most_slow: workers - reserve,
            cpus,
            on_duty: AtomicUsize::new(workers),
            searching: AtomicBool::new(false),
            mean_call: AtomicU64::new(3_000),
            one_by_one: AtomicUsize::new(0),
            ended: AtomicBool::new(false),
            monitor_sleeps: AtomicBool::new(false),
            monitor: Mutex::new(None),
            failure: Mutex::new(None),
        }
    }

    /// The long loop of one worker.
    pub(super) fn work(&self, index: usize) {
        let _announced = Announced::new(self.reporter.clone());
        self.lanes[index].set_owner();
        let mut worker = Answering::new();
        while !self.is_ended() {
            if self.run_ring(index, &mut worker) || self.find(index) {
                continue;
            }
            // Jobs that handlers have given to `rayon::spawn`.
            if rayon::yield_local() == Some(rayon::Yield::Executed) {
                continue;
            }
            if !self.lead(index) && !self.run_slow(index, &mut worker) {
                self.sleep(index);
            }
        }
        self.sleepers.wake_all();
    }

    /// Runs what is in the worker's ring; false if there was nothing.
    fn run_ring(&self, index: usize, worker: &mut Answering<J>) -> bool {
        let Some(mut work) = self.lanes[index].pop() else { return false };
        let begun = now();
        worker.set_now(begun);
        let mut count = 0;
        loop {
            self.run(index, work, worker, false);
            count += 1;
            match self.lanes[index].pop() {
                Some(next) => work = next,
                None => break,
            }
        }
        worker.flush(&self.reporter);
        let mean = u64::try_from(now().saturating_duration_since(begun).as_nanos()).unwrap_or(u64::MAX) / count;
        let before = self.mean_call.load(Ordering::Relaxed);
        self.mean_call.store((before * 7 + mean.min(10_000_000)) / 8, Ordering::Relaxed);
        true
    }

    /// Takes work from outside or from the richest ring into this worker's; false if there is none.
    fn find(&self, index: usize) -> bool {
        let stolen = if self.injected.len() > 0 {
            self.injected.steal_all()
        } else {
            Lane::richest(&self.lanes, index).map(Lane::steal).unwrap_or_default()
        };
        if stolen.is_empty() {
            return false;
        }
        self.searching.store(false, Ordering::Relaxed);
        let count = stolen.len();
        self.lanes[index].extend(stolen.into_iter());
        self.wake_on_demand(count);
        true
    }

    /// Polls, if nobody else does, and takes what there is into this worker's ring; false if somebody else polls.
    fn lead(&self, index: usize) -> bool {
        let Some(mut leader) = self.leader.try_lock() else { return false };
        self.searching.store(false, Ordering::Relaxed);
        if let Some(acceptor) = self.incoming.lock().take() {
            leader.acceptor = Some(acceptor);
        }
        let Leader { waiter, acceptor, ready } = &mut *leader;
        let stop = &self.reporter.core().stop;
        if stop.is_stopping() {
            if let Some(acceptor) = acceptor.take() {
                *self.returned.lock() = Some(acceptor);
                self.has_returned.notify_one();
            }
            waiter.wait_until(now() + DRAIN_LOOK);
        }
        self.polling.store(true, Ordering::SeqCst);
        let outcome = waiter.turn(&self.park, &self.reporter, acceptor.as_mut(), self.is_ended(), ready);
        self.polling.store(false, Ordering::SeqCst);
        if let Err(error) = outcome {
            self.failure.lock().get_or_insert(error);
            stop.shutdown();
        }
        let count = ready.len();
        self.lanes[index].extend(ready.drain(..).filter_map(Work::from_ready));
        drop(leader);
        self.wake_on_demand(count);
        true
    }

    /// Wakes another worker if there is more here than this one should do alone.
    fn wake_on_demand(&self, count: usize) {
        let worth = count as u64 * self.mean_call.load(Ordering::Relaxed);
        if count > 1 && worth > WAKE_COST && self.on_duty.load(Ordering::Relaxed) < self.cpus {
            self.wake_searcher();
        }
    }

    fn wake_searcher(&self) {
        if !self.searching.swap(true, Ordering::Relaxed) && !self.sleepers.wake_one() {
            self.searching.store(false, Ordering::Relaxed);
        }
    }

    /// Runs slow connections, as long as somebody else is on duty for the others; false if there are none, or no place
    /// for them.
    fn run_slow(&self, index: usize, worker: &mut Answering<J>) -> bool {
        if self.slow.len() == 0 {
            return false;
        }
        if self.slow_running.fetch_add(1, Ordering::SeqCst) >= self.most_slow {
            self.slow_running.fetch_sub(1, Ordering::SeqCst);
            return false;
        }
        self.on_duty.fetch_sub(1, Ordering::SeqCst);
        let mut ran = false;
        // Somebody has to be on duty for the others: one who sleeps, or else this one.
        while self.on_duty.load(Ordering::SeqCst) > 0 || self.sleepers.wake_one() {
            let Some(work) = self.slow.pop() else { break };
            ran = true;
            self.searching.store(false, Ordering::Relaxed);
            if self.slow.len() > 0 && self.slow_running.load(Ordering::SeqCst) < self.most_slow {
                self.sleepers.wake_one();
            }
            worker.set_now(now());
            self.run(index, work, worker, true);
            worker.flush(&self.reporter);
            if self.lanes[index].len() > 0 || self.is_ended() {
                break;
            }
        }
        self.on_duty.fetch_add(1, Ordering::SeqCst);
        self.slow_running.fetch_sub(1, Ordering::SeqCst);
        ran
    }

    fn run(&self, index: usize, work: Work<J>, worker: &mut Answering<J>, in_slow_lane: bool) {
        let (token, job) = match work {
            Work::Event { token, hangup } => {
                if !in_slow_lane && self.most_slow > 0 && self.park.any_slow() && self.park.is_slow(token) {
                    return self.defer(Work::Event { token, hangup });
                }
                let Some(mut job) = self.park.wake(token, hangup) else { return };
                if hangup {
                    job.set_hangup();
                }
                (token, job)
            }
            Work::Again { token, job } => (token, job),
            Work::Expired { token, class, mut job } => {
                job.expire(class);
                (token, job)
            }
            Work::New(job) => {
                if !job.parks() {
                    return self.run_message(index, job, worker);
                }
                match start(&self.park, job, worker.now()) {
                    Ok(Started::Waits) => return,
                    Ok(Started::Runs(token, job)) => (token, job),
                    Err(rejected) => return rejected.close(),
                }
            }
        };
        let lane = &self.lanes[index];
        let again = if in_slow_lane {
            // It may take its time: the monitor has nothing to do with it.
            let begun = now();
            let again = run_turn(&self.park, token, job, worker);
            if now().saturating_duration_since(begun) < Duration::from_millis(1) {
                // Quick again. One that has ended meanwhile is not found, which is as well.
                self.park.set_slow(token, false);
            }
            again
        } else {
            self.begin(lane, Some(token));
            let again = run_turn(&self.park, token, job, worker);
            self.end(lane);
            again
        };
        if let Some(job) = again {
            lane.push(Work::Again { token, job });
        }
    }

    /// A message is handled to its end.
    fn run_message(&self, index: usize, job: Box<J>, worker: &mut Answering<J>) {
        let lane = &self.lanes[index];
        self.begin(lane, None);
        worker.handle(job);
        self.end(lane);
        let left = self.one_by_one.load(Ordering::Relaxed);
        if left > 0 {
            // Two that count the same message lose nothing.
            self.one_by_one.store(left - 1, Ordering::Relaxed);
            worker.flush(&self.reporter);
        }
    }

    fn begin(&self, lane: &Lane<Work<J>>, token: Option<Token>) {
        lane.begin(token);
        if self.monitor_sleeps.load(Ordering::SeqCst)
            && self.monitor_sleeps.swap(false, Ordering::SeqCst)
            && let Some(monitor) = &*self.monitor.lock()
        {
            monitor.unpark();
        }
    }

    fn end(&self, lane: &Lane<Work<J>>) {
        if lane.end() {
            self.on_duty.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// A slow connection has news: it waits for one of the workers that slow ones may use.
    fn defer(&self, work: Work<J>) {
        self.slow.push(work);
        let waiting = self.slow.len();
        self.reporter.observe(&Event::Slow { waiting });
        if self.slow_running.load(Ordering::SeqCst) < self.most_slow {
            self.sleepers.wake_one();
        }
    }

    /// The monitor has seen the call `calls` of a worker for too long.
    pub(super) fn found_stuck(&self, lane: &Lane<Work<J>>, calls: u64) {
        let Some(token) = lane.mark_stuck(calls) else { return };
        let others = self.on_duty.fetch_sub(1, Ordering::SeqCst).saturating_sub(1);
        match token {
            Some(token) => self.park.set_slow(token, true),
            None => self.one_by_one.store(ONE_BY_ONE, Ordering::Relaxed),
        }
        // Not asked by trying the leader's lock: a worker that fails to take it goes to sleep.
        let nobody_polls = !self.polling.load(Ordering::SeqCst);
        if others == 0 || nobody_polls || self.slow.len() > 0 || self.has_work_for_anybody() {
            self.call_somebody();
        }
    }

    /// Puts right what a mark has done that was set too late to be found by its worker.
    pub(super) fn clear_late_mark(&self, lane: &Lane<Work<J>>, marked: u64) {
        if lane.clear_late_mark(marked) {
            self.on_duty.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// Whether there is something to run that no worker has before it. Whoever was called for it may be the very one that
    /// is stuck now: the call came together with an event, which it ran first.
    fn has_work_for_anybody(&self) -> bool {
        self.injected.len() > 0 || self.lanes.iter().any(|lane| lane.is_stuck() && lane.len() > 0)
    }

    /// Wakes a sleeper, or else the one who polls, to look for work.
    fn call_somebody(&self) {
        if !self.sleepers.wake_one() {
            self.park.poller.notify();
        }
    }

    /// Sleeps unless there is something to do after all.
    fn sleep(&self, index: usize) {
        self.searching.store(false, Ordering::Relaxed);
        self.on_duty.fetch_sub(1, Ordering::SeqCst);
        self.sleepers.sleep(index, || {
            let slow = self.slow.len() > 0 && self.slow_running.load(Ordering::SeqCst) < self.most_slow;
            slow || self.is_ended() || self.injected.len() > 0 || self.leader.try_lock().is_some()
        });
        self.on_duty.fetch_add(1, Ordering::SeqCst);
    }

    /// Gives the workers something to run.
    pub(super) fn inject(&self, work: Work<J>) {
        self.injected.push(work);
        self.call_somebody();
    }

    /// The leader accepts from here on.
    pub(super) fn hand_over(&self, acceptor: Acceptor<J>) {
        *self.incoming.lock() = Some(acceptor);
        self.park.poller.notify();
    }

    /// Takes the acceptor back, once the server has been told to stop: from the leader, or from where nobody leads.
    pub(super) fn take_back(&self) -> Option<Acceptor<J>> {
        /// A leader that is stuck in a handler gives nothing back; then the acceptor is free to take.
        const LOOK: Duration = Duration::from_millis(2);
        let mut returned = self.returned.lock();
        loop {
            if returned.is_some() {
                return returned.take();
            }
            if let Some(mut leader) = self.leader.try_lock() {
                let acceptor = leader.acceptor.take().or_else(|| self.incoming.lock().take());
                drop(leader);
                // Whoever wanted to lead meanwhile has gone to sleep.
                self.call_somebody();
                return acceptor;
            }
            self.park.poller.notify();
            returned = self.has_returned.wait_for(returned, LOOK);
        }
    }

    /// Everything that waits to be run.
    pub(super) fn take_queued(&self) -> Vec<Work<J>> {
        let lanes = self.lanes.iter().chain([&self.injected, &self.slow]);
        lanes.flat_map(Lane::steal_all).collect()
    }

    pub(super) fn set_monitor(&self, thread: Thread) {
        *self.monitor.lock() = Some(thread);
    }

    pub(super) fn is_ended(&self) -> bool {
        self.ended.load(Ordering::SeqCst)
    }

    /// Every worker leaves its loop after its present call.
    pub(super) fn end_all(&self) {
        self.ended.store(true, Ordering::SeqCst);
        self.park.poller.notify();
        self.sleepers.wake_all();
    }
}

impl<J> Work<J> {
    fn from_ready(ready: Ready<J>) -> Option<Self> {
        Some(match ready {
            Ready::New(job) => Self::New(job),
            Ready::Event { token, hangup } => Self::Event { token, hangup },
            Ready::Expired { token, class, job } => Self::Expired { token, class, job },
            Ready::Watched(_) => return None,
        })
    }
}
