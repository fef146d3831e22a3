//! Workers that have nothing to do: each sleeps until it is woken, and no wake-up is lost.

use crate::park::sync::Condvar;
use crate::park::sync::Mutex;

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
