//! The scheduler of a pool, as a state machine of its threads.
//!
//! ```text
//!             ring empty, no other polls              batch
//!   on duty -----------------------------> leading ---------> on duty (a round of its ring, front to back)
//!    ^   |
//!    |   | ring empty, another polls, nothing to steal
//!    |   v
//!   asleep <---- woken by: a batch that is worth it, slow work, a thread that has gone off duty, the end
//!
//!   on duty <---------> off duty: it waits for a peer inside of a handler, and has told; or the monitor has found it
//! ```
//!
//! - One thread at a time polls ([`leader`]), and runs what the poll brought itself: no hand-over in the common case.
//! - Another is woken only when the batch is worth more than a wake-up costs, a CPU is left for it, and no other is
//!   searching already.
//! - A ring is run in rounds: what was in it at the begin of the round. Connections that have more to do at once wait for
//!   the next, and between two rounds the poller is looked at, so that those that never stop sending keep no other
//!   waiting.
//! - A thread that waits for a peer says so before it waits, and the monitor finds one that sits in a call for another
//!   reason. Such a thread is off duty: its ring may be stolen whole, and when no other is on duty a sleeper is woken or
//!   a *spare* thread started ([`growth`]). What the monitor finds is slow from then on.
//! - Slow connections wait in a queue of their own ([`slow`]), and run on a bounded number of threads, each of which
//!   begins only while another is on duty. The bound rises while they wait and those that run them do not compute.
//! - When no more threads may be started, waits are ended early, the longest first ([`growth`]).
//! - A thread sleeps only while another polls, or has been called to, so the poller is never left alone; if that one goes
//!   off duty, another is called.
//!
//! These rules are model-checked as they stand here, with the lanes, the sleepers, the monitor and the parking place; see
//! [`crate::sync`] for what the checker sees.

mod growth;
mod leader;
#[cfg(all(test, socketserver_shuttle))]
mod model;
mod slow;

use std::sync::Arc;

use self::growth::Growth;
pub(super) use self::growth::Limits;
pub(super) use self::growth::Start;
use self::leader::Leadership;
use self::slow::SlowLane;
use super::lane::Lane;
use super::lane::Lanes;
use super::ring::Ring;
use super::sleepers::Sleepers;
use crate::dispatch::Task;
use crate::engine::answered::Answering;
use crate::engine::serve_loop::Ready;
use crate::engine::turns::Started;
use crate::engine::turns::run_turn;
use crate::engine::turns::start;
use crate::engine::worker::WorkerSpan;
use crate::error::ServeError;
use crate::park::ParkingPlace;
use crate::park::token::Class;
use crate::park::token::Token;
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

/// What waking another thread costs, about, in nanoseconds: a batch must be worth more.
const WAKE_COST: u64 = 60_000;

/// How long the pool remembers that a handler of messages has blocked, in messages.
const ONE_BY_ONE: usize = 10_000;

pub(super) struct Scheduler<J: Task> {
    pub(super) park: Arc<ParkingPlace<Box<J>>>,
    pub(super) reporter: J::Reporter,
    lanes: Lanes<Work<J>>,
    sleepers: Sleepers,
    leadership: Leadership<J>,
    growth: Growth,
    slow: SlowLane<J>,
    /// Work from outside of the threads.
    injected: Ring<Work<J>>,
    cpus: usize,
    /// Threads that are awake, not off duty, and not running slow work.
    on_duty: AtomicUsize,
    /// A thread has been woken and has not found work yet.
    searching: AtomicBool,
    /// A running mean of the time a call takes, in nanoseconds.
    pub(super) mean_call: AtomicU64,
    /// Remaining messages whose replies are sent singly: a handler has blocked recently, and the replies of a batch would
    /// wait for the next one that does.
    one_by_one: AtomicUsize,
    ended: AtomicBool,
    pub(super) monitor_sleeps: AtomicBool,
    monitor: Mutex<Option<Thread>>,
    /// What made accepting or waiting impossible.
    pub(super) failure: Mutex<Option<ServeError>>,
}

impl<J: Task> Scheduler<J> {
    pub(super) fn new(
        limits: Limits,
        address: &str,
        park: Arc<ParkingPlace<Box<J>>>,
        reporter: J::Reporter,
    ) -> std::io::Result<Self> {
        let Limits { workers, most, cpus, .. } = limits;
        Ok(Self {
            park,
            reporter,
            lanes: Lanes::new(workers, most),
            sleepers: Sleepers::new(),
            leadership: Leadership::new(address),
            slow: SlowLane::new(workers, most, cpus),
            growth: Growth::new(limits)?,
            injected: Ring::new(),
            cpus,
            on_duty: AtomicUsize::new(workers),
            searching: AtomicBool::new(false),
            mean_call: AtomicU64::new(3_000),
            one_by_one: AtomicUsize::new(0),
            ended: AtomicBool::new(false),
            monitor_sleeps: AtomicBool::new(false),
            monitor: Mutex::new(None),
            failure: Mutex::new(None),
        })
    }

    /// The long loop of one thread.
    pub(super) fn work(&self, index: usize) {
        let mut span = Some(WorkerSpan::new(self.reporter.clone()));
        self.lanes.get(index).set_owner();
        let mut worker = Answering::new();
        while !self.is_ended() {
            let ran_overdue = self.run_overdue(index, &mut worker);
            if self.run_round(index, &mut worker) {
                if self.lanes.get(index).ring.len() > 0 {
                    self.look_around(index);
                }
                continue;
            }
            if ran_overdue || self.find(index) {
                continue;
            }
            // Jobs that handlers have given to `rayon::spawn`.
            if rayon::yield_local() == Some(rayon::Yield::Executed) {
                continue;
            }
            // A spare thread that polled would never end.
            let led = !self.leaves_lead_to_worker(index) && self.lead(index, false);
            if !led && !self.run_slow(index, &mut worker) && !self.sleep(index) {
                // Another may have its name when it has retired.
                drop(span.take());
                if self.retire(index) {
                    return;
                }
                span = Some(WorkerSpan::new(self.reporter.clone()));
            }
        }
        self.sleepers.wake_all();
    }

    /// Runs what is in the thread's ring now; false if there was nothing.
    fn run_round(&self, index: usize, worker: &mut Answering<J>) -> bool {
        let ring = &self.lanes.get(index).ring;
        let round = ring.len();
        let Some(mut work) = ring.pop() else { return false };
        let begun = now();
        worker.set_now(begun);
        let mut count = 0;
        loop {
            self.run(index, work, worker, false);
            count += 1;
            if count >= round {
                break;
            }
            match ring.pop() {
                Some(next) => work = next,
                None => break,
            }
        }
        worker.flush(&self.reporter);
        let took = now().saturating_duration_since(begun).as_nanos();
        let mean = u64::try_from(took).unwrap_or(u64::MAX) / (count as u64);
        let before = self.mean_call.load(Ordering::Relaxed);
        self.mean_call.store((before * 7 + mean.min(10_000_000)) / 8, Ordering::Relaxed);
        true
    }

    /// Between two rounds of a ring that has refilled itself: what others wait for goes into it as well.
    fn look_around(&self, index: usize) {
        let ring = &self.lanes.get(index).ring;
        if self.injected.len() > 0 {
            ring.extend(self.injected.steal_all().into_iter());
        }
        self.wake_on_demand(ring.len());
        // Without waiting. Where another thread polls it fails, and that is as good.
        self.lead(index, true);
    }

    /// Takes work from outside or from the richest ring into this thread's; false if there is none.
    fn find(&self, index: usize) -> bool {
        let stolen = if self.injected.len() > 0 { self.injected.steal_all() } else { self.lanes.steal(index) };
        if stolen.is_empty() {
            return false;
        }
        self.searching.store(false, Ordering::Relaxed);
        let count = stolen.len();
        self.lanes.get(index).ring.extend(stolen.into_iter());
        self.wake_on_demand(count);
        true
    }

    /// Wakes another thread if there is more here than this one should do alone.
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

    fn run(&self, index: usize, work: Work<J>, worker: &mut Answering<J>, in_slow_lane: bool) {
        let (token, job) = match work {
            Work::Event { token, hangup } => {
                if !in_slow_lane && self.defers(token) {
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
        let lane = self.lanes.get(index);
        let again = if in_slow_lane {
            self.run_slowly(lane, token, job, worker)
        } else {
            self.begin(lane, Some(token));
            let again = run_turn(&self.park, token, job, worker);
            self.end(lane);
            again
        };
        if let Some(job) = again {
            lane.ring.push(Work::Again { token, job });
        }
    }

    /// A message is handled to its end.
    fn run_message(&self, index: usize, job: Box<J>, worker: &mut Answering<J>) {
        let lane = self.lanes.get(index);
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
        self.wake_monitor();
    }

    /// The monitor looks again, if it sleeps.
    fn wake_monitor(&self) {
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

    /// Those that have, or have had, a thread.
    pub(super) fn lanes(&self) -> impl Iterator<Item = &Lane<Work<J>>> {
        self.lanes.iter()
    }

    /// Whether there is something to run that no thread has before it. The thread that was called for it may be the very
    /// one that has gone off duty now: the call came together with an event, which it ran first.
    fn has_work_for_others(&self) -> bool {
        self.injected.len() > 0 || self.lanes.busy().any(|(_, lane)| lane.is_off_duty())
    }

    /// Wakes a sleeper, or else the thread that polls, to look for work.
    fn wake_any(&self) {
        if !self.sleepers.wake_one() {
            self.park.poller.notify();
        }
    }

    /// Sleeps unless there is something to do after all; false if this spare thread has not been needed for long.
    fn sleep(&self, index: usize) -> bool {
        self.searching.store(false, Ordering::Relaxed);
        self.on_duty.fetch_sub(1, Ordering::SeqCst);
        let woken = self.sleepers.sleep(index, self.growth.sleeps_at_most(index), || {
            self.call_spare_leader(index);
            self.has_place_for_slow() || self.is_ended() || self.injected.len() > 0 || self.leadership.is_vacant()
        });
        if woken {
            self.on_duty.fetch_add(1, Ordering::SeqCst);
            self.leadership.is_awake(index);
        }
        woken
    }

    /// Gives the threads something to run.
    pub(super) fn inject(&self, work: Work<J>) {
        self.injected.push(work);
        self.wake_any();
    }

    /// Everything that waits to be run.
    pub(super) fn take_queued(&self) -> Vec<Work<J>> {
        let rings = self.lanes.iter().map(|lane| &lane.ring).chain([&self.injected]);
        rings.flat_map(Ring::steal_all).chain(self.slow.take_all()).collect()
    }

    pub(super) fn set_monitor(&self, thread: Thread) {
        *self.monitor.lock() = Some(thread);
    }

    pub(super) fn is_ended(&self) -> bool {
        self.ended.load(Ordering::SeqCst)
    }

    /// Every thread leaves its loop after its present call.
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
