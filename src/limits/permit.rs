//! Permits: a request holds one from before `accept` until it is closed, so a limit is exact and a count is never
//! forgotten.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::time::Instant;

use parking_lot::Condvar;
use parking_lot::Mutex;

use crate::stop::StopState;

/// Hands out at most `limit` permits at a time.
#[derive(Debug)]
pub(crate) struct Permits {
    limit: usize,
    in_use: AtomicUsize,
    /// How many somebody waits to see given back before the control signal is raised: the loop at its limit, or short
    /// of descriptors.
    wanted: AtomicUsize,
    stop: Arc<StopState>,
    /// How many threads wait for a release.
    waiting: AtomicUsize,
    lock: Mutex<()>,
    released: Condvar,
}

impl Permits {
    pub(crate) fn new(limit: usize, stop: Arc<StopState>) -> Self {
        Self {
            limit,
            in_use: AtomicUsize::new(0),
            wanted: AtomicUsize::new(0),
            stop,
            waiting: AtomicUsize::new(0),
            lock: Mutex::new(()),
            released: Condvar::new(),
        }
    }

    pub(crate) fn limit(&self) -> usize {
        self.limit
    }

    pub(crate) fn in_use(&self) -> usize {
        self.in_use.load(Ordering::SeqCst)
    }

    /// Takes a permit, or says that all are taken.
    pub(crate) fn try_acquire(self: &Arc<Self>) -> Option<Permit> {
        let taken = self.in_use.fetch_add(1, Ordering::SeqCst);
        if taken >= self.limit {
            self.release();
            return None;
        }
        Some(Permit { permits: Arc::clone(self) })
    }

    /// A permit although all may be taken, for a request that is only turned away.
    pub(crate) fn beyond_limit(self: &Arc<Self>) -> Permit {
        self.in_use.fetch_add(1, Ordering::SeqCst);
        Permit { permits: Arc::clone(self) }
    }

    /// Asks for the control signal at the next release; false if there was one meanwhile, so that nobody waits in vain.
    pub(crate) fn call_on_release(&self, in_use_before: usize) -> bool {
        self.wanted.store(1, Ordering::SeqCst);
        self.in_use() >= in_use_before
    }

    /// Takes back what [`call_on_release`](Self::call_on_release) asked for.
    pub(crate) fn call_off(&self) {
        if self.wanted.load(Ordering::Relaxed) > 0 {
            self.wanted.store(0, Ordering::SeqCst);
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

    /// Waits until a permit may be had; until `until` at the latest.
    pub(crate) fn wait_for_place(&self, until: Instant) {
        let mut guard = self.lock.lock();
        self.waiting.fetch_add(1, Ordering::SeqCst);
        if self.in_use() >= self.limit {
            self.released.wait_until(&mut guard, until);
        }
        self.waiting.fetch_sub(1, Ordering::SeqCst);
    }

    fn release(&self) {
        self.in_use.fetch_sub(1, Ordering::SeqCst);
        if self.wanted.load(Ordering::Relaxed) > 0 && self.wanted.swap(0, Ordering::SeqCst) > 0 {
            self.stop.control.raise();
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
                        // A loser's short visit may turn another away; that one tries again, as the loop does.
                        while permits.in_use() < limit {
                            if let Some(permit) = permits.try_acquire() {
                                held.lock().push(permit);
                                break;
                            }
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
