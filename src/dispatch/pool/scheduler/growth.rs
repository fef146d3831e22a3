//! Growth: another thread for each that waits, as long as there may be more; and what gives way when there may not.

#[cfg(all(test, socketserver_shuttle))]
mod accounts;

use std::collections::BTreeSet;
use std::io;
use std::time::Duration;
use std::time::Instant;

use super::ONE_BY_ONE;
use super::Scheduler;
use super::Work;
use crate::dispatch::Task;
use crate::dispatch::pool::lane::Lane;
use crate::engine::source::Observe;
use crate::event::Event;
use crate::managed::Managed;
use crate::sync::Mutex;
use crate::sync::atomic::AtomicU64;
use crate::sync::atomic::AtomicUsize;
use crate::sync::atomic::Ordering;
use crate::sync::now;
use crate::sys::Descriptor;
use crate::sys::flag::Flag;

/// A spare thread ends when it has not been needed for this long. Models need not wait for it.
const SPARE_IDLE: Duration =
    if cfg!(socketserver_shuttle) { Duration::from_micros(100) } else { Duration::from_secs(10) };

/// Threads that wait share this many flags, whatever their number: a descriptor for each would be a connection less.
/// In models all are of one group.
const GROUPS: usize = if cfg!(socketserver_shuttle) { 1 } else { 16 };

/// How many threads a pool has and may have.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Threads that are always there.
    pub(crate) workers: usize,
    /// The most, with spares.
    pub(crate) most: usize,
    pub(crate) cpus: usize,
    /// At the bound, a wait is not ended before it has lasted this long.
    pub(crate) least_wait: Duration,
}

/// Starts the thread of a lane.
pub(crate) type Start = Box<dyn Fn(usize) -> io::Result<()> + Send>;

pub(super) struct Growth {
    limits: Limits,
    spares: Mutex<Spares>,
    /// How many threads there are.
    live: AtomicUsize,
    epoch: Instant,
    relief: [Flag; GROUPS],
    /// Since when there has been work and no thread for it, in milliseconds after `epoch`; 0 while that is not so.
    starved_since: AtomicU64,
}

struct Spares {
    /// Lanes without a thread, the lowest first.
    vacant: BTreeSet<usize>,
    /// No lane from here on has ever had one.
    fresh: usize,
    /// `None` before the pool has started, and when it ends.
    start: Option<Start>,
}

impl Growth {
    pub(super) fn new(limits: Limits) -> io::Result<Self> {
        let mut relief = Vec::with_capacity(GROUPS);
        for _ in 0..GROUPS {
            relief.push(Flag::new()?);
        }
        let Ok(relief) = relief.try_into() else { unreachable!("as many as were made") };
        Ok(Self {
            spares: Mutex::new(Spares { vacant: BTreeSet::new(), fresh: limits.workers, start: None }),
            live: AtomicUsize::new(limits.workers),
            epoch: now(),
            relief,
            starved_since: AtomicU64::new(0),
            limits,
        })
    }

    /// How long a thread sleeps without being needed; `None` for as long as there is a pool.
    pub(super) fn sleeps_at_most(&self, index: usize) -> Option<Duration> {
        (index >= self.limits.workers).then_some(SPARE_IDLE)
    }

    fn is_bounded(&self) -> bool {
        self.live.load(Ordering::SeqCst) >= self.limits.most
    }

    /// Never 0.
    fn millis(&self) -> u64 {
        u64::try_from(now().saturating_duration_since(self.epoch).as_millis()).unwrap_or(u64::MAX).saturating_add(1)
    }
}

impl<J: Task> Scheduler<J> {
    /// From here on (or up to here) more threads may be started.
    pub(crate) fn set_start(&self, start: Option<Start>) {
        self.growth.spares.lock().start = start;
    }

    /// How many threads there are beyond the workers.
    fn spare(&self) -> usize {
        self.growth.live.load(Ordering::SeqCst).saturating_sub(self.growth.limits.workers)
    }

    /// For the counters that anybody may read.
    pub(crate) fn publish_threads(&self) {
        let threads = &self.reporter.core().threads;
        threads.live.store(self.growth.live.load(Ordering::SeqCst), Ordering::Relaxed);
        threads.spare.store(self.spare(), Ordering::Relaxed);
    }

    /// Starts another thread, which is on duty; false if there may be no more, or if the system has none.
    pub(super) fn start_spare(&self) -> bool {
        let mut spares = self.growth.spares.lock();
        if self.is_ended() || self.growth.is_bounded() {
            return false;
        }
        let index = spares.vacant.pop_first().unwrap_or_else(|| {
            spares.fresh += 1;
            spares.fresh - 1
        });
        self.on_duty.fetch_add(1, Ordering::SeqCst);
        self.growth.live.fetch_add(1, Ordering::SeqCst);
        self.lanes.include(index);
        let started = spares.start.as_ref().is_some_and(|start| start(index).is_ok());
        if !started {
            self.on_duty.fetch_sub(1, Ordering::SeqCst);
            self.vacate(index, &mut spares);
        }
        self.publish_threads();
        started
    }

    fn vacate(&self, index: usize, spares: &mut Spares) {
        let left = self.growth.live.fetch_sub(1, Ordering::SeqCst) - 1;
        let spare = left.saturating_sub(self.growth.limits.workers);
        self.slow.extra.fetch_min(spare, Ordering::SeqCst);
        spares.vacant.insert(index);
        let mut used = self.lanes.used();
        while spares.vacant.contains(&(used - 1)) {
            used -= 1;
        }
        self.lanes.exclude(used);
    }

    /// A worker has nothing to do, and can be seen asleep: a spare thread that polls had better leave that to it.
    pub(super) fn call_spare_leader(&self, index: usize) {
        let workers = self.growth.limits.workers;
        if index < workers && self.leadership.polls().is_some_and(|leader| leader >= workers) {
            self.park.poller.notify();
        }
    }

    /// Whether a spare thread may go to sleep although no other polls: it has woken a worker, which will.
    pub(super) fn leaves_lead_to_worker(&self, index: usize) -> bool {
        let workers = self.growth.limits.workers;
        index >= workers && self.sleepers.wake_below(workers, |worker| self.leadership.set_heir(worker))
    }

    /// Whether a spare thread polls although a worker could.
    pub(super) fn is_to_leave_lead(&self, index: usize) -> bool {
        let workers = self.growth.limits.workers;
        index >= workers && self.sleepers.has_below(workers)
    }

    /// A spare thread ends: nothing is in its ring, and it is not on duty. False if it is needed after all, and on duty
    /// again: a thread that has gone off duty meanwhile may have found that there may be no more of them.
    pub(super) fn retire(&self, index: usize) -> bool {
        {
            let mut spares = self.growth.spares.lock();
            if self.on_duty.load(Ordering::SeqCst) == 0 && !self.leadership.has_heir() && !self.is_ended() {
                self.on_duty.fetch_add(1, Ordering::SeqCst);
                return false;
            }
            self.vacate(index, &mut spares);
        }
        self.publish_threads();
        true
    }

    /// The monitor has seen the call `calls` of a thread for too long; it `blocks`, or else it computes.
    pub(crate) fn found_stuck(&self, lane: &Lane<Work<J>>, calls: u64, blocks: bool) {
        let Some(token) = lane.mark_stuck(calls) else { return };
        let others = self.on_duty.fetch_sub(1, Ordering::SeqCst).saturating_sub(1);
        match token {
            Some(token) => self.found_slow(token),
            None => self.one_by_one.store(ONE_BY_ONE, Ordering::Relaxed),
        }
        self.take_over(lane, others, blocks);
    }

    /// Puts right what a mark has done that was set too late to be found by its thread.
    pub(crate) fn clear_late_mark(&self, lane: &Lane<Work<J>>, marked: u64) {
        if lane.clear_late_mark(marked) {
            self.on_duty.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// The thread of `lane` has gone off duty and left `others`: sees to it that one does what it would have done.
    fn take_over(&self, lane: &Lane<Work<J>>, others: usize, blocks: bool) {
        // More threads would not help where they compute.
        if others == 0 && (self.sleepers.wake_one() || (blocks && self.start_spare())) {
            return;
        }
        let left_alone = others == 0 || !self.leadership.is_polling();
        if left_alone || self.slow.waiting() > 0 || lane.ring.len() > 0 || self.has_work_for_others() {
            self.wake_any();
        }
    }

    /// What the monitor does at each look, beside looking at calls. True if it has to look again, although no call may
    /// wake it: no thread polls, so none sees what comes.
    pub(crate) fn relieve(&self) -> bool {
        let slow = self.slow.waiting() > 0;
        if slow {
            self.relieve_slow();
        }
        let alone = self.on_duty.load(Ordering::SeqCst) == 0 && !self.is_ended();
        if alone {
            // The timer that rings may only want the timers to be looked at.
            self.park.expired(now(), |token, class, job| self.injected.push(Work::Expired { token, class, job }));
        }
        if !alone || !self.has_work() {
            self.growth.starved_since.store(0, Ordering::Relaxed);
            return slow || alone;
        }
        let since = self.growth.starved_since.load(Ordering::Relaxed);
        if since == 0 {
            // The news may be the very bytes that a thread waits for: that one goes on by itself.
            self.growth.starved_since.store(self.growth.millis(), Ordering::Relaxed);
        } else if !self.sleepers.wake_one()
            && (self.computes() || !self.start_spare())
            // The thread that may not be started may have been, by one that waits, and have taken the work; by now it may
            // wait itself.
            && self.on_duty.load(Ordering::SeqCst) == 0
            && self.has_work()
        {
            self.end_waits(since);
        }
        true
    }

    fn has_work(&self) -> bool {
        self.injected.len() > 0
            || self.slow.waiting() > 0
            || self.lanes.busy().next().is_some()
            || self.leadership.has_incoming()
            || self.park.has_notified()
            || self.park.poller.has_events()
    }

    /// There is work, every thread waits, and there may be no more: some give way. Waits between messages end first, then
    /// the longest, and none that is younger than the least wait, unless work has waited for that long itself: then the
    /// longest goes, however long that is.
    fn end_waits(&self, starved_since: u64) {
        /// This many in one look.
        const AT_ONCE: usize = 8;
        let now = self.growth.millis();
        let least = u64::try_from(self.growth.limits.least_wait.as_millis()).unwrap_or(u64::MAX);
        let mut waits = Vec::new();
        for index in 0..self.lanes.used() {
            let lane = self.lanes.get(index);
            if lane.is_evicted() {
                // On its way to give way.
                return;
            }
            waits.extend(lane.waits_since().map(|(between_messages, since)| (!between_messages, since, index)));
        }
        waits.sort_unstable();
        let old_enough = |since: u64| now.saturating_sub(since) >= least;
        let rings: usize = self.lanes.busy().map(|(_, lane)| lane.ring.len()).sum();
        // What is in the poller is one at least.
        let needed = (self.injected.len() + self.slow.waiting() + rings).clamp(1, AT_ONCE);
        let mut ended: Vec<_> = waits.iter().filter(|(_, since, _)| old_enough(*since)).take(needed).collect();
        if ended.is_empty() && old_enough(starved_since) {
            ended.extend(waits.iter().min_by_key(|(_, since, _)| *since));
        }
        let evicted: Vec<_> =
            ended.into_iter().filter(|(_, since, index)| self.lanes.get(*index).evict(*since)).collect();
        if evicted.is_empty() {
            return;
        }
        // Before they end: whoever sees the end of a connection finds it counted.
        self.reporter.core().counters.waits_ended(evicted.len());
        self.reporter.observe(&Event::WaitsEnded { waiting: waits.len(), ended: evicted.len() });
        for (_, _, index) in evicted {
            self.settle(index % GROUPS);
        }
    }

    /// Slow work has waited: more threads for it, as long as those that it has are not computing.
    fn relieve_slow(&self) {
        if self.has_place_for_slow() && self.sleepers.wake_one() {
            return;
        }
        let grown = !self.computes() && self.grow_for_slow();
        if !grown && self.may_run_overdue() {
            // The thread that polls runs some, though it is the only one.
            self.park.poller.notify();
        }
    }

    /// More threads for slow work; false if there are none.
    fn grow_for_slow(&self) -> bool {
        /// This many in one look.
        const AT_ONCE: usize = 16;
        let mut grown = false;
        for _ in 0..AT_ONCE.min(self.slow.waiting()) {
            // Those that were started for something else and sleep now are as good as new ones.
            if self.slow.extra.load(Ordering::SeqCst) < self.spare() {
                grown |= self.sleepers.wake_one();
            } else if self.start_spare() {
                grown = true;
            } else {
                break;
            }
            // No thread ends meanwhile.
            let _spares = self.growth.spares.lock();
            if self.slow.extra.load(Ordering::SeqCst) < self.spare() {
                self.slow.extra.fetch_add(1, Ordering::SeqCst);
            }
        }
        grown
    }

    /// Whether handlers keep the CPUs busy that do not wait for their peers.
    fn computes(&self) -> bool {
        /// This many threads are asked what they do.
        const SAMPLE: usize = 8;
        let busy = |lane: &&Lane<Work<J>>| (lane.is_in_call() || lane.runs_slow()) && lane.waits_since().is_none();
        let asked = self.lanes().filter(busy).filter_map(Lane::owner).take(SAMPLE);
        asked.filter(|owner| owner.is_runnable() == Some(true)).count() >= self.cpus.min(SAMPLE)
    }

    /// Raises the flag of a group if one of it is to end its wait, and takes it back if none is. Called after each
    /// change of that; the last call, which sees the last change, leaves it right.
    fn settle(&self, group: usize) {
        let relief = &self.growth.relief[group];
        let is_needed = || (group..self.lanes.used()).step_by(GROUPS).any(|index| self.lanes.get(index).is_evicted());
        loop {
            if is_needed() {
                relief.raise();
                #[cfg(all(test, socketserver_shuttle))]
                self.reporter.relieved();
                if is_needed() {
                    return;
                }
            }
            relief.clear();
            if !is_needed() {
                return;
            }
        }
    }
}

impl<J: Task> Managed for Scheduler<J>
where
    Self: Send + Sync,
{
    fn blocked(&self, index: usize, descriptor: Descriptor<'_>, between_messages: bool) {
        let lane = self.lanes.get(index);
        self.reporter.core().threads.waiting.fetch_add(1, Ordering::Relaxed);
        lane.set_waiting(self.growth.millis(), between_messages);
        let (in_call, slow) = (lane.is_in_call(), lane.runs_slow());
        if (in_call || slow)
            && let Some(token) = lane.current()
            && lane.disarm()
        {
            self.park.disarm(token, descriptor);
        }
        if in_call {
            if lane.leave_duty() {
                let others = self.on_duty.fetch_sub(1, Ordering::SeqCst).saturating_sub(1);
                self.take_over(lane, others, true);
            }
            if self.on_duty.load(Ordering::SeqCst) == 0 {
                // At the bound: it ends waits if there is work.
                self.wake_monitor();
            }
        } else if slow {
            self.slow.lend_place();
            if self.has_place_for_slow() {
                self.sleepers.wake_one();
            }
        }
    }

    fn unblocked(&self, index: usize) {
        let lane = self.lanes.get(index);
        self.reporter.core().threads.waiting.fetch_sub(1, Ordering::Relaxed);
        // First of all: no other wait need be ended in the place of this one.
        if lane.is_in_call() {
            if lane.return_to_duty() {
                self.on_duty.fetch_add(1, Ordering::SeqCst);
            }
        } else if lane.runs_slow() {
            self.slow.return_place();
        }
        if lane.end_waiting() {
            self.settle(index % GROUPS);
        }
    }

    fn is_evicted(&self, index: usize) -> bool {
        self.lanes.get(index).is_evicted()
    }

    fn relief(&self, index: usize) -> &Flag {
        &self.growth.relief[index % GROUPS]
    }
}
