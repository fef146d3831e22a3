//! Waits for a peer inside of a handler, told to the pool whose thread waits: it puts another thread in its place.
//!
//! A pool runs its threads inside of [`with_pool`]. The few places where this crate waits for a peer on behalf of a handler
//! make a [`Blocked`] first; on all other threads that is nothing.

use std::cell::RefCell;
use std::fmt;
use std::sync::Arc;

use crate::sync::thread_local;
use crate::sys::Descriptor;
use crate::sys::flag::Flag;

/// A pool that is told when one of its threads waits.
pub(crate) trait Managed: Send + Sync {
    /// The thread `index` is going to wait for `descriptor`; `between_messages` if it waits for the first byte of a
    /// message.
    fn blocked(&self, index: usize, descriptor: Descriptor<'_>, between_messages: bool);

    /// Its wait is over.
    fn unblocked(&self, index: usize);

    /// Whether the wait of the thread `index` is to end early, for the sake of others.
    fn is_evicted(&self, index: usize) -> bool;

    /// What is raised when a wait is to end early: that of the thread `index`, or of another that shares the flag.
    fn relief(&self, index: usize) -> &Flag;
}

type Worker = (Arc<dyn Managed>, usize);

thread_local! {
    static POOL: RefCell<Option<Worker>> = const { RefCell::new(None) };
}

/// The calling thread is the worker `index` of `pool` while `work` runs.
pub(crate) fn with_pool(pool: Arc<dyn Managed>, index: usize, work: impl FnOnce()) {
    let enter = |worker| POOL.with(|own| *own.borrow_mut() = worker);
    enter(Some((pool, index)));
    work();
    enter(None);
}

/// A wait for a peer on a thread of a pool, until it is dropped.
pub(crate) struct Blocked {
    pool: Arc<dyn Managed>,
    index: usize,
}

impl Blocked {
    /// The calling thread is going to wait; `None` if it is no thread of a pool.
    pub(crate) fn begin(descriptor: Descriptor<'_>, between_messages: bool) -> Option<Self> {
        // A thread that ends has no such variable any more, and no pool.
        let worker = POOL.try_with(|pool| pool.borrow().clone()).ok().flatten();
        let (pool, index) = worker?;
        pool.blocked(index, descriptor, between_messages);
        Some(Self { pool, index })
    }

    pub(crate) fn relief(&self) -> &Flag {
        self.pool.relief(self.index)
    }

    pub(crate) fn is_evicted(&self) -> bool {
        self.pool.is_evicted(self.index)
    }
}

impl Drop for Blocked {
    fn drop(&mut self) {
        self.pool.unblocked(self.index);
    }
}

impl fmt::Debug for Blocked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Blocked").field("index", &self.index).finish_non_exhaustive()
    }
}
