//! What one worker has to do, and what others may see of it.

use std::collections::VecDeque;
use std::sync::OnceLock;

use crate::park::token::Token;
use crate::sync::Mutex;
use crate::sync::atomic::AtomicBool;
use crate::sync::atomic::AtomicU64;
use crate::sync::atomic::AtomicUsize;
use crate::sync::atomic::Ordering;
use crate::sys::thread::ThreadId;

/// No connection: a message, or nothing.
const NOBODY: u64 = u64::MAX;

/// The ring of a worker, and where it is.
#[derive(Debug)]
pub(super) struct Lane<W> {
    ring: Mutex<VecDeque<W>>,
    /// The length of the ring, to look at without its lock.
    length: AtomicUsize,
    /// Counts the calls; odd while one runs.
    calls: AtomicU64,
    current: AtomicU64,
    /// The monitor has found it stuck in its present call.
    stuck: AtomicBool,
    owner: OnceLock<ThreadId>,
}

impl<W> Lane<W> {
    pub(super) fn new() -> Self {
        Self {
            ring: Mutex::new(VecDeque::new()),
            length: AtomicUsize::new(0),
            calls: AtomicU64::new(0),
            current: AtomicU64::new(NOBODY),
            stuck: AtomicBool::new(false),
            owner: OnceLock::new(),
        }
    }

    /// The calling thread is the worker that this is the lane of.
    pub(super) fn set_owner(&self) {
        if cfg!(not(socketserver_shuttle)) {
            self.owner.get_or_init(ThreadId::current);
        }
    }

    /// The thread of its worker; models know nothing of threads.
    pub(super) fn owner(&self) -> Option<ThreadId> {
        self.owner.get().copied()
    }

    pub(super) fn push(&self, work: W) {
        let mut ring = self.ring.lock();
        ring.push_back(work);
        self.length.store(ring.len(), Ordering::Relaxed);
    }

    pub(super) fn extend(&self, work: impl Iterator<Item = W>) {
        let mut ring = self.ring.lock();
        ring.extend(work);
        self.length.store(ring.len(), Ordering::Relaxed);
    }

    pub(super) fn pop(&self) -> Option<W> {
        if self.len() == 0 {
            return None;
        }
        let mut ring = self.ring.lock();
        let work = ring.pop_front();
        self.length.store(ring.len(), Ordering::Relaxed);
        work
    }

    pub(super) fn len(&self) -> usize {
        self.length.load(Ordering::Relaxed)
    }

    /// Where `thief` finds most to do, if there is anything: first where the owner is stuck, for nobody else comes to
    /// those.
    pub(super) fn richest(lanes: &[Self], thief: usize) -> Option<&Self> {
        let others = lanes.iter().enumerate().filter(|(index, lane)| *index != thief && lane.len() > 0);
        let (_, richest) = others.max_by_key(|(_, lane)| (lane.is_stuck(), lane.len()))?;
        // A single one is its owner's, who is about to run it.
        (richest.len() > 1 || richest.is_stuck()).then_some(richest)
    }

    /// The later half of what waits here; all of it if its owner is stuck.
    pub(super) fn steal(&self) -> VecDeque<W> {
        let mut ring = self.ring.lock();
        let keep = if self.stuck.load(Ordering::Relaxed) { 0 } else { ring.len() / 2 };
        let stolen = ring.split_off(keep);
        self.length.store(ring.len(), Ordering::Relaxed);
        stolen
    }

    pub(super) fn steal_all(&self) -> VecDeque<W> {
        let mut ring = self.ring.lock();
        self.length.store(0, Ordering::Relaxed);
        std::mem::take(&mut *ring)
    }

    /// A call begins.
    pub(super) fn begin(&self, token: Option<Token>) {
        self.current.store(token.map_or(NOBODY, Token::raw), Ordering::Relaxed);
        // Sequentially consistent with the monitor's look before it sleeps.
        self.calls.store(self.calls.load(Ordering::Relaxed) + 1, Ordering::SeqCst);
    }

    /// The call is over; true if it was found stuck.
    pub(super) fn end(&self) -> bool {
        // Only this worker writes it.
        self.calls.store(self.calls.load(Ordering::Relaxed) + 1, Ordering::Release);
        self.stuck.load(Ordering::Relaxed) && self.stuck.swap(false, Ordering::AcqRel)
    }

    /// Odd while a call runs; another value for each.
    pub(super) fn calls(&self) -> u64 {
        self.calls.load(Ordering::SeqCst)
    }

    pub(super) fn is_stuck(&self) -> bool {
        self.stuck.load(Ordering::Acquire)
    }

    /// Takes a mark back that was set on the call `marked` in the moment it ended, so that neither side saw the other.
    /// True if there was one: then the worker will not find it.
    pub(super) fn clear_late_mark(&self, marked: u64) -> bool {
        self.is_stuck() && self.calls() != marked && self.stuck.swap(false, Ordering::AcqRel)
    }

    /// Notes that the call `seen` has run too long. False if it is over; the connection it serves, if it serves one.
    pub(super) fn mark_stuck(&self, seen: u64) -> Option<Option<Token>> {
        let current = self.current.load(Ordering::Relaxed);
        self.stuck.store(true, Ordering::SeqCst);
        if self.calls() == seen || !self.stuck.swap(false, Ordering::AcqRel) {
            return Some((current != NOBODY).then(|| Token::from_raw(current)));
        }
        None
    }
}

#[cfg(all(test, not(socketserver_shuttle)))]
mod tests {
    use super::*;

    fn lanes(lengths: [usize; 4]) -> Vec<Lane<usize>> {
        let lanes: Vec<_> = lengths.iter().map(|_| Lane::new()).collect();
        for (lane, length) in lanes.iter().zip(lengths) {
            lane.extend(0..length);
        }
        lanes
    }

    #[test]
    fn what_waits_behind_a_stuck_worker_is_stolen_first() {
        let lanes = lanes([1, 1, 3, 0]);
        lanes[0].begin(None);
        assert!(lanes[0].mark_stuck(1).is_some());
        assert_eq!(Lane::richest(&lanes, 3).map(Lane::steal), Some(VecDeque::from([0])));
        assert_eq!(Lane::richest(&lanes, 3).map(Lane::steal), Some(VecDeque::from([1, 2])));
        assert!(Lane::richest(&lanes, 3).is_none(), "two are left, each with its owner");
        assert!(Lane::richest(&lanes, 0).is_none());
    }

    #[test]
    fn a_mark_that_its_worker_has_missed_does_not_stay() {
        let lane = Lane::<usize>::new();
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
}
