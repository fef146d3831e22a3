//! Workers that have nothing to do: each sleeps until it is woken, and no wake-up is lost.

use crate::sync::Condvar;
use crate::sync::Mutex;

/// Who sleeps.
#[derive(Debug)]
pub(super) struct Sleepers {
    /// The one that fell asleep last is woken first: its caches are warm, and the others stay asleep.
    asleep: Mutex<Vec<usize>>,
    beds: Box<[Bed]>,
}

#[derive(Debug, Default)]
struct Bed {
    woken: Mutex<bool>,
    called: Condvar,
}

impl Sleepers {
    pub(super) fn new(workers: usize) -> Self {
        Self { asleep: Mutex::new(Vec::with_capacity(workers)), beds: (0..workers).map(|_| Bed::default()).collect() }
    }

    /// Sleeps until woken. `stay_awake` is asked after this worker can be seen asleep: what it misses, a waker sees.
    pub(super) fn sleep(&self, index: usize, stay_awake: impl FnOnce() -> bool) {
        self.asleep.lock().push(index);
        if stay_awake() && self.withdraw(index) {
            return;
        }
        let bed = &self.beds[index];
        let mut woken = bed.woken.lock();
        while !*woken {
            woken = bed.called.wait(woken);
        }
        *woken = false;
    }

    /// Wakes one; false if nobody sleeps.
    pub(super) fn wake_one(&self) -> bool {
        let Some(index) = self.asleep.lock().pop() else { return false };
        self.call(index);
        true
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
        let bed = &self.beds[index];
        *bed.woken.lock() = true;
        bed.called.notify_one();
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
            let sleepers = Arc::new(Sleepers::new(2));
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
                                None => sleepers.sleep(index, || !queue.lock().is_empty()),
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
