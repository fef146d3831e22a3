//! What one worker has to do, and what others may see of it.

use std::collections::VecDeque;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

use crate::park::sync::Mutex;
use crate::park::table::Token;

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
}

impl<W> Lane<W> {
    pub(super) fn new() -> Self {
        Self {
            ring: Mutex::new(VecDeque::new()),
            length: AtomicUsize::new(0),
            calls: AtomicU64::new(0),
            current: AtomicU64::new(NOBODY),
            stuck: AtomicBool::new(false),
        }
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
