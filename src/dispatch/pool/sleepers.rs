//! Threads that have nothing to do: each sleeps until it is woken, and no wake-up is lost.

use std::time::Duration;

use crate::segments::Segments;
use crate::sync::Condvar;
use crate::sync::Mutex;
use crate::sync::now;

/// The threads that sleep.
#[derive(Debug)]
pub(super) struct Sleepers {
    /// The one that fell asleep last is woken first: its caches are warm, and the others stay asleep.
    asleep: Mutex<Vec<usize>>,
    parkers: Segments<Parker>,
}

#[derive(Debug, Default)]
struct Parker {
    woken: Mutex<bool>,
    called: Condvar,
}

impl Sleepers {
    pub(super) fn new() -> Self {
        Self { asleep: Mutex::new(Vec::new()), parkers: Segments::new() }
    }

    /// Sleeps until woken. `stay_awake` is asked after this thread can be seen asleep: what it misses, a waker sees.
    /// False if nothing has woken it for as long as `at_most`.
    pub(super) fn sleep(&self, index: usize, at_most: Option<Duration>, stay_awake: impl FnOnce() -> bool) -> bool {
        self.asleep.lock().push(index);
        if stay_awake() && self.withdraw(index) {
            return true;
        }
        let until = at_most.map(|at_most| now() + at_most);
        let parker = self.parker(index);
        let mut woken = parker.woken.lock();
        while !*woken {
            let Some(until) = until else {
                woken = parker.called.wait(woken);
                continue;
            };
            let left = until.saturating_duration_since(now());
            if !left.is_zero() {
                woken = parker.called.wait_for(woken, left);
                continue;
            }
            // Not under the lock that wakers take under the other.
            drop(woken);
            if self.withdraw(index) {
                return false;
            }
            // A waker was faster: its call has to be answered.
            woken = parker.woken.lock();
            while !*woken {
                woken = parker.called.wait(woken);
            }
        }
        *woken = false;
        true
    }

    fn parker(&self, index: usize) -> &Parker {
        self.parkers.get_or_make(index, |_| Parker::default())
    }

    /// Wakes one; false if none sleeps.
    pub(super) fn wake_one(&self) -> bool {
        let Some(index) = self.asleep.lock().pop() else { return false };
        self.call(index);
        true
    }

    /// Wakes one whose index is less than `limit`, after it has been `chosen`; false if none of these sleeps.
    pub(super) fn wake_below(&self, limit: usize, chosen: impl FnOnce(usize)) -> bool {
        let index = {
            let mut asleep = self.asleep.lock();
            let Some(at) = asleep.iter().rposition(|&index| index < limit) else { return false };
            asleep.remove(at)
        };
        chosen(index);
        self.call(index);
        true
    }

    /// Whether one sleeps whose index is less than `limit`.
    pub(super) fn has_below(&self, limit: usize) -> bool {
        self.asleep.lock().iter().any(|index| *index < limit)
    }

    pub(super) fn wake_all(&self) {
        while self.wake_one() {}
    }

    /// False if a waker was faster: its call has to be answered.
    fn withdraw(&self, index: usize) -> bool {
        let mut asleep = self.asleep.lock();
        let at = asleep.iter().position(|&sleeper| sleeper == index);
        at.map(|at| asleep.swap_remove(at)).is_some()
    }

    fn call(&self, index: usize) {
        let parker = self.parker(index);
        *parker.woken.lock() = true;
        parker.called.notify_one();
    }
}

#[cfg(all(test, socketserver_shuttle))]
mod model {
    use std::sync::Arc;

    use shuttle::thread;

    use super::*;

    /// Two workers that sleep when a queue is empty, and somebody who puts work into it and wakes one.
    #[test]
    fn model_no_wake_up_is_lost() {
        let model = || {
            let sleepers = Arc::new(Sleepers::new());
            let queue = Arc::new(Mutex::new(Vec::new()));
            let done = Arc::new(Mutex::new(0));
            let workers: Vec<_> = (0..2)
                .map(|index| {
                    let (sleepers, queue, done) = (Arc::clone(&sleepers), Arc::clone(&queue), Arc::clone(&done));
                    thread::spawn(move || {
                        loop {
                            let work = queue.lock().pop();
                            match work {
                                Some(true) => *done.lock() += 1,
                                Some(false) => return,
                                None => _ = sleepers.sleep(index, None, || !queue.lock().is_empty()),
                            }
                        }
                    })
                })
                .collect();
            for work in [true, true, true] {
                queue.lock().push(work);
                sleepers.wake_one();
            }
            // The end: each worker takes one, after all the work (the queue is a stack, so they go below).
            queue.lock().splice(0..0, [false, false]);
            sleepers.wake_all();
            for worker in workers {
                worker.join().unwrap();
            }
            assert_eq!(*done.lock(), 3);
        };
        shuttle::check_random(model, 20_000);
        shuttle::check_pct(model, 20_000, 3);
    }
}
