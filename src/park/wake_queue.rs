//! Parked connections that have news from elsewhere: the thread that polls wakes them, as if the poller had brought an
//! event.

use std::fmt;
use std::sync::Arc;

use super::token::Token;
use crate::sync::Mutex;
use crate::sync::Notify;
use crate::sync::atomic::AtomicBool;
use crate::sync::atomic::Ordering;
use crate::sys::poller::Poller;

/// The connections that have been notified since the last look.
pub(crate) struct WakeQueue {
    notified: Mutex<Vec<Token>>,
    /// Whether there are any, to look without the lock; changed under it.
    any: AtomicBool,
    poller: Arc<Poller>,
}

impl WakeQueue {
    pub(super) fn new(poller: Arc<Poller>) -> Self {
        Self { notified: Mutex::new(Vec::new()), any: AtomicBool::new(false), poller }
    }

    pub(super) fn has_any(&self) -> bool {
        self.any.load(Ordering::SeqCst)
    }

    /// Takes out the connections that have been notified.
    pub(super) fn take(&self, each: impl FnMut(Token)) {
        if self.has_any() {
            let mut notified = self.notified.lock();
            self.any.store(false, Ordering::SeqCst);
            notified.drain(..).for_each(each);
        }
    }
}

impl Notify for WakeQueue {
    fn notify(&self, token: u64) {
        let first = {
            let mut notified = self.notified.lock();
            notified.push(Token::from_raw(token));
            !self.any.swap(true, Ordering::SeqCst)
        };
        // The first wakes the thread that polls, for all that come before it has looked.
        if first {
            self.poller.notify();
        }
    }
}

impl fmt::Debug for WakeQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WakeQueue").field("any", &self.any).finish_non_exhaustive()
    }
}
