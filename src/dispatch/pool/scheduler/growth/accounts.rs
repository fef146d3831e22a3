//! For model checks: what the accounts of growth have to say when nothing happens any more.

use super::Growth;
use super::Limits;
use crate::sync::atomic::Ordering;
use crate::sys::flag::Flag;

impl Growth {
    /// How many threads there are, when none is about to come or go.
    pub(in crate::dispatch::pool::scheduler) fn live(&self) -> usize {
        let _spares = self.spares.lock();
        self.live.load(Ordering::SeqCst)
    }

    /// Every thread has a lane, each lane that has none is vacant, and no wait is to be ended.
    pub(in crate::dispatch::pool::scheduler) fn assert_accounts(&self, used: usize, extra: usize) {
        let Limits { workers, most, .. } = self.limits;
        let live = self.live();
        let vacant = &self.spares.lock().vacant;
        let beyond = (workers..used).filter(|index| !vacant.contains(index)).count();
        assert!((workers..=most).contains(&live), "{live} threads");
        assert_eq!(workers + beyond, live, "lanes are lost: {used} used, {vacant:?} vacant");
        assert!(used == workers || !vacant.contains(&(used - 1)), "the last lane has no thread");
        assert!(extra <= live - workers, "{extra} more threads for slow work than there are spares");
        assert!(!self.relief.iter().any(Flag::is_raised), "waits would be ended from here on");
    }
}
