//! Permits: a request holds one from before `accept` until it is closed, so a limit is exact and a count is never
//! forgotten.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::time::Instant;

use parking_lot::Condvar;
use parking_lot::Mutex;

use crate::stop::StopState;

/// Hands out at most `limit` permits at a time.
#[derive(Debug)]
pub(crate) struct Permits {
    limit: AtomicUsize,
    in_use: AtomicUsize,
    /// Whether the accept loop has asked to be woken at the next release: at its limit, or out of descriptors.
    wanted: AtomicBool,
    stop: Arc<StopState>,
    /// How many threads wait for a release.
    waiting: AtomicUsize,
    lock: Mutex<()>,
    released: Condvar,
}

impl Permits {
    pub(crate) fn new(limit: usize, stop: Arc<StopState>) -> Self {
        Self {
            limit: AtomicUsize::new(limit),
            in_use: AtomicUsize::new(0),
            wanted: AtomicBool::new(false),
            stop,
            waiting: AtomicUsize::new(0),
            lock: Mutex::new(()),
            released: Condvar::new(),
        }
    }

    pub(crate) fn limit(&self) -> usize {
        self.limit.load(Ordering::Relaxed)
    }

    /// In a forked child that serves by itself: what its parent has given out is not out here.
    #[cfg(unix)]
    pub(crate) fn begin_anew(&self, limit: usize) {
        self.limit.store(limit, Ordering::SeqCst);
        self.in_use.store(0, Ordering::SeqCst);
    }

    pub(crate) fn in_use(&self) -> usize {
        self.in_use.load(Ordering::SeqCst)
    }

    /// Takes a permit, or says that all are taken.
    pub(crate) fn try_acquire(self: &Arc<Self>) -> Option<Permit> {
        // Not added and taken back: that would be a release, and wake those that wait for one.
        let limit = self.limit();
        let more = |in_use| (in_use < limit).then_some(in_use + 1);
        self.in_use.fetch_update(Ordering::SeqCst, Ordering::SeqCst, more).ok()?;
        Some(Permit { permits: Arc::clone(self) })
    }

    /// A permit although all may be taken, for a request that is only turned away.
    pub(crate) fn beyond_limit(self: &Arc<Self>) -> Permit {
        self.in_use.fetch_add(1, Ordering::SeqCst);
        Permit { permits: Arc::clone(self) }
    }

    /// Asks for the control signal at the next release; false if there was one meanwhile: then the signal may not come.
    pub(crate) fn notify_on_release(&self, in_use_before: usize) -> bool {
        self.wanted.store(true, Ordering::SeqCst);
        self.in_use() >= in_use_before
    }

    /// Takes back what [`notify_on_release`](Self::notify_on_release) asked for.
    pub(crate) fn cancel_notify(&self) {
        if self.wanted.load(Ordering::Relaxed) {
            self.wanted.store(false, Ordering::SeqCst);
        }
    }

    /// Waits until no permit is out; false if the deadline passed first.
    pub(crate) fn wait_idle(&self, deadline: Instant) -> bool {
        let mut guard = self.lock.lock();
        self.waiting.fetch_add(1, Ordering::SeqCst);
        while self.in_use() > 0 && !self.released.wait_until(&mut guard, deadline).timed_out() {}
        self.waiting.fetch_sub(1, Ordering::SeqCst);
        self.in_use() == 0
    }

    /// Waits until a permit is given back; false if that did not happen until `until`.
    pub(crate) fn wait_for_release(&self, until: Instant) -> bool {
        let mut guard = self.lock.lock();
        self.waiting.fetch_add(1, Ordering::SeqCst);
        let timed_out = self.released.wait_until(&mut guard, until).timed_out();
        self.waiting.fetch_sub(1, Ordering::SeqCst);
        !timed_out
    }

    fn release(&self) {
        self.in_use.fetch_sub(1, Ordering::SeqCst);
        // In one order with the count above: either this sees that the loop waits, or the loop sees the new count.
        if self.wanted.load(Ordering::SeqCst) && self.wanted.swap(false, Ordering::SeqCst) {
            self.stop.control().raise();
        }
        if self.waiting.load(Ordering::SeqCst) > 0 {
            drop(self.lock.lock());
            self.released.notify_all();
        }
    }
}

/// The right to hold one request; given back when dropped, on every path.
#[derive(Debug)]
pub(crate) struct Permit {
    permits: Arc<Permits>,
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.permits.release();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;
    use std::time::Duration;

    use super::*;

    fn permits(limit: usize) -> Arc<Permits> {
        Arc::new(Permits::new(limit, Arc::new(StopState::new(Duration::ZERO).unwrap())))
    }

    #[test]
    fn a_race_of_forty_admits_exactly_the_limit() {
        for limit in [1, 7, 39] {
            let permits = permits(limit);
            let barrier = Barrier::new(40);
            let held = Mutex::new(Vec::new());
            std::thread::scope(|scope| {
                for _ in 0..40 {
                    scope.spawn(|| {
                        barrier.wait();
                        if let Some(permit) = permits.try_acquire() {
                            held.lock().push(permit);
                        }
                    });
                }
            });
            assert_eq!(held.lock().len(), limit);
            assert!(permits.try_acquire().is_none());
            held.lock().clear();
            assert_eq!(permits.in_use(), 0);
        }
    }

    #[test]
    fn a_panic_gives_the_permit_back() {
        let permits = permits(1);
        let permit = permits.try_acquire().unwrap();
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(move || {
            let _held = permit;
            panic!("on purpose");
        }));
        assert!(outcome.is_err());
        assert!(permits.try_acquire().is_some());
    }
}
