//! What one thread of the pool has to do, and what others may see of it.

use std::collections::VecDeque;
use std::sync::Arc;

use super::ring::Marks;
use super::ring::Ring;
use crate::park::token::Token;
use crate::segments::Segments;
use crate::sync::Mutex;
use crate::sync::atomic::AtomicBool;
use crate::sync::atomic::AtomicU8;
use crate::sync::atomic::AtomicU64;
use crate::sync::atomic::AtomicUsize;
use crate::sync::atomic::Ordering;
use crate::sys::thread::ThreadId;

/// No connection: a message, or nothing.
const NO_CONNECTION: u64 = u64::MAX;

/// Values of [`Lane::duty`]: the thread does its work, as far as is known.
const ON_DUTY: u8 = 0;
/// The monitor has found it stuck in its present call.
const STUCK: u8 = 1;
/// It has told that it waits for a peer.
const WAITS: u8 = 2;

/// A bit of [`Lane::waits_since`], beyond all times.
const EVICTED: u64 = 1 << 63;

/// The ring of a thread, and what the thread is doing.
#[derive(Debug)]
pub(super) struct Lane<W> {
    pub(super) ring: Ring<W>,
    /// Counts the calls; odd while one runs.
    calls: AtomicU64,
    /// The connection of the present call.
    current: AtomicU64,
    duty: AtomicU8,
    owner: Mutex<Option<ThreadId>>,
    /// Since when its thread waits for a peer, in milliseconds of the scheduler's; 0 while it does not. With [`EVICTED`] if
    /// that wait is to end for the sake of others: in one word, so that no other wait can be meant.
    waits_since: AtomicU64,
    /// It waits for the first byte of a message.
    between_messages: AtomicBool,
    /// The registration of the present connection is disarmed.
    disarmed: AtomicBool,
    /// Its thread runs slow work.
    runs_slow: AtomicBool,
}

impl<W> Lane<W> {
    fn new(marks: &Arc<Marks>, index: usize) -> Self {
        Self {
            ring: Ring::marked(marks, index),
            calls: AtomicU64::new(0),
            current: AtomicU64::new(NO_CONNECTION),
            duty: AtomicU8::new(ON_DUTY),
            owner: Mutex::new(None),
            waits_since: AtomicU64::new(0),
            between_messages: AtomicBool::new(false),
            disarmed: AtomicBool::new(false),
            runs_slow: AtomicBool::new(false),
        }
    }

    /// The calling thread is the one that this is the lane of.
    pub(super) fn set_owner(&self) {
        if cfg!(not(socketserver_shuttle)) {
            *self.owner.lock() = Some(ThreadId::current());
        }
    }

    /// Its thread; models know nothing of threads.
    pub(super) fn owner(&self) -> Option<ThreadId> {
        *self.owner.lock()
    }

    /// The thread turns to this connection, or to a message.
    pub(super) fn set_current(&self, token: Option<Token>) {
        self.current.store(token.map_or(NO_CONNECTION, Token::raw), Ordering::Relaxed);
        self.disarmed.store(false, Ordering::Relaxed);
    }

    pub(super) fn current(&self) -> Option<Token> {
        let current = self.current.load(Ordering::Relaxed);
        (current != NO_CONNECTION).then(|| Token::from_raw(current))
    }

    /// A call begins.
    pub(super) fn begin(&self, token: Option<Token>) {
        self.set_current(token);
        // Sequentially consistent with the monitor's look before it sleeps.
        self.calls.store(self.calls.load(Ordering::Relaxed) + 1, Ordering::SeqCst);
    }

    /// The call is over; true if its thread has been taken for off duty.
    pub(super) fn end(&self) -> bool {
        // Only this thread writes it.
        self.calls.store(self.calls.load(Ordering::Relaxed) + 1, Ordering::Release);
        self.duty.load(Ordering::Relaxed) != ON_DUTY && self.return_to_duty()
    }

    /// Odd while a call runs; another value for each.
    pub(super) fn calls(&self) -> u64 {
        self.calls.load(Ordering::SeqCst)
    }

    pub(super) fn is_in_call(&self) -> bool {
        self.calls.load(Ordering::Relaxed) % 2 == 1
    }

    /// Whether its thread is stuck in a call, or waits for a peer.
    pub(super) fn is_off_duty(&self) -> bool {
        self.duty.load(Ordering::Acquire) != ON_DUTY
    }

    /// Whether the monitor has found its thread stuck in a call: it comes back when it likes.
    pub(super) fn is_stuck(&self) -> bool {
        self.duty.load(Ordering::Acquire) == STUCK
    }

    /// Takes a mark back that was set on the call `marked` in the moment it ended, so that neither side saw the other.
    /// True if there was one: then the thread will not find it.
    pub(super) fn clear_late_mark(&self, marked: u64) -> bool {
        self.duty.load(Ordering::Acquire) == STUCK && self.calls() != marked && self.unmark()
    }

    /// Notes that the call `seen` has run too long. `None` if it is over, or has told that it waits; else the connection
    /// it serves, if it serves one.
    pub(super) fn mark_stuck(&self, seen: u64) -> Option<Option<Token>> {
        let current = self.current();
        self.duty.compare_exchange(ON_DUTY, STUCK, Ordering::SeqCst, Ordering::SeqCst).ok()?;
        if self.calls() == seen || !self.unmark() {
            return Some(current);
        }
        None
    }

    /// Takes the monitor's mark back, unless the thread has seen it.
    fn unmark(&self) -> bool {
        self.duty.compare_exchange(STUCK, ON_DUTY, Ordering::SeqCst, Ordering::SeqCst).is_ok()
    }

    /// Its thread waits for a peer from now on. True if it was on duty.
    pub(super) fn leave_duty(&self) -> bool {
        self.duty.swap(WAITS, Ordering::SeqCst) == ON_DUTY
    }

    /// False if it has been on duty all the time.
    pub(super) fn return_to_duty(&self) -> bool {
        self.duty.swap(ON_DUTY, Ordering::SeqCst) != ON_DUTY
    }

    /// From here on the wait of its thread may be ended by [`evict`](Self::evict).
    pub(super) fn set_waiting(&self, since: u64, between_messages: bool) {
        self.between_messages.store(between_messages, Ordering::Relaxed);
        self.waits_since.store(since, Ordering::SeqCst);
    }

    /// The wait is over; true if it has been evicted.
    pub(super) fn end_waiting(&self) -> bool {
        self.waits_since.swap(0, Ordering::SeqCst) & EVICTED != 0
    }

    /// Since when its thread waits, and whether for the first byte of a message.
    pub(super) fn waits_since(&self) -> Option<(bool, u64)> {
        let since = self.waits_since.load(Ordering::SeqCst);
        (since != 0 && since & EVICTED == 0).then(|| (self.between_messages.load(Ordering::Relaxed), since))
    }

    /// The wait that began at `since` is to end: true if it goes on, and then the flag of its group has to be raised.
    pub(super) fn evict(&self, since: u64) -> bool {
        self.waits_since.compare_exchange(since, since | EVICTED, Ordering::SeqCst, Ordering::SeqCst).is_ok()
    }

    pub(super) fn is_evicted(&self) -> bool {
        self.waits_since.load(Ordering::SeqCst) & EVICTED != 0
    }

    /// True for the first time in a call.
    pub(super) fn disarm(&self) -> bool {
        !self.disarmed.swap(true, Ordering::Relaxed)
    }

    pub(super) fn set_runs_slow(&self, slow: bool) {
        self.runs_slow.store(slow, Ordering::Relaxed);
    }

    pub(super) fn runs_slow(&self) -> bool {
        self.runs_slow.load(Ordering::Relaxed)
    }
}

/// The lanes of all threads that there are, or have been.
#[derive(Debug)]
pub(super) struct Lanes<W> {
    lanes: Segments<Lane<W>>,
    marks: Arc<Marks>,
    /// No lane from here on has a thread.
    used: AtomicUsize,
}

impl<W> Lanes<W> {
    /// For `used` threads, and `most` at the most.
    pub(super) fn new(used: usize, most: usize) -> Self {
        Self { lanes: Segments::new(), marks: Marks::new(most), used: AtomicUsize::new(used) }
    }

    pub(super) fn get(&self, index: usize) -> &Lane<W> {
        self.lanes.get_or_make(index, |index| Lane::new(&self.marks, index))
    }

    pub(super) fn used(&self) -> usize {
        self.used.load(Ordering::SeqCst)
    }

    /// There is a thread for the lane `index`.
    pub(super) fn include(&self, index: usize) {
        self.used.fetch_max(index + 1, Ordering::SeqCst);
    }

    /// The lanes from `used` on have no threads.
    pub(super) fn exclude(&self, used: usize) {
        self.used.store(used, Ordering::SeqCst);
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Lane<W>> {
        (0..self.used()).map(|index| self.get(index))
    }

    /// Those that have work.
    pub(super) fn busy(&self) -> impl Iterator<Item = (usize, &Lane<W>)> {
        self.marks.iter().map(|index| (index, self.get(index)))
    }

    /// What `thief` may take from where most is to be done: first where the owner is off duty, who does not come to it.
    pub(super) fn steal(&self, thief: usize) -> VecDeque<W> {
        let others = self.busy().filter(|(index, _)| *index != thief);
        let richest = others.max_by_key(|(_, lane)| (lane.is_off_duty(), lane.ring.len()));
        match richest {
            // A single one is its owner's, who is about to run it.
            Some((_, lane)) if lane.ring.len() > 1 || lane.is_off_duty() => lane.ring.steal(lane.is_off_duty()),
            _ => VecDeque::new(),
        }
    }
}

#[cfg(all(test, not(socketserver_shuttle)))]
mod tests {
    use super::*;

    fn lanes(lengths: [usize; 4]) -> Lanes<usize> {
        let lanes = Lanes::new(4, 4);
        for (index, length) in lengths.into_iter().enumerate() {
            lanes.get(index).ring.extend(0..length);
        }
        lanes
    }

    #[test]
    fn what_waits_behind_a_stuck_worker_is_stolen_first() {
        let lanes = lanes([1, 1, 3, 0]);
        lanes.get(0).begin(None);
        assert!(lanes.get(0).mark_stuck(1).is_some());
        assert_eq!(lanes.steal(3), [0]);
        assert_eq!(lanes.steal(3), [1, 2]);
        assert!(lanes.steal(3).is_empty(), "two are left, each with its owner");
        assert!(lanes.steal(0).is_empty());
    }

    #[test]
    fn a_mark_that_its_worker_has_missed_does_not_stay() {
        let lanes = lanes([0; 4]);
        let lane = lanes.get(0);
        lane.begin(None);
        assert!(lane.mark_stuck(1).is_some());
        assert!(!lane.clear_late_mark(1), "the call goes on");
        // The call ends, and the worker does not see the mark yet.
        lane.calls.store(2, Ordering::SeqCst);
        assert!(lane.clear_late_mark(1));
        lane.begin(None);
        assert!(!lane.end(), "the monitor has done the accounts");
        assert!(!lane.clear_late_mark(1));
    }

    #[test]
    fn a_worker_that_has_told_that_it_waits_is_not_marked_and_keeps_its_mark() {
        let lanes = lanes([0; 4]);
        let lane = lanes.get(0);
        lane.begin(None);
        assert!(lane.leave_duty());
        assert_eq!(lane.mark_stuck(1), None);
        lane.calls.store(2, Ordering::SeqCst);
        assert!(!lane.clear_late_mark(1), "not the monitor's");
        assert!(lane.return_to_duty());
        assert!(!lane.return_to_duty());
    }
}

#[cfg(all(test, socketserver_shuttle))]
mod model {
    use shuttle::thread;

    use super::*;

    /// A wait ends by itself, and another begins, while the first is being ended for the sake of others.
    #[test]
    fn model_no_other_wait_is_ended_than_the_one_that_is_meant() {
        let model = || {
            let lanes = Arc::new(Lanes::<()>::new(1, 1));
            lanes.get(0).set_waiting(1, false);
            let others = Arc::clone(&lanes);
            let waits = thread::spawn(move || {
                let lane = others.get(0);
                let evicted = lane.end_waiting();
                lane.set_waiting(2, false);
                assert!(!lane.is_evicted(), "the second was not meant");
                lane.end_waiting();
                evicted
            });
            let goes_on = lanes.get(0).evict(1);
            assert_eq!(waits.join().unwrap(), goes_on, "who ends a wait counts it");
        };
        shuttle::check_random(model, 3_000);
    }
}
