//! Calls from elsewhere for connections that are parked: whoever polls wakes them, as if the poller had brought an
//! event.

use std::fmt;
use std::sync::Arc;

use super::table::Token;
use crate::request::mailbox::Call;
use crate::sync::Mutex;
use crate::sync::atomic::AtomicBool;
use crate::sync::atomic::Ordering;
use crate::sys::poller::Poller;

/// Who has been called since the last look.
pub(crate) struct Calls {
    called: Mutex<Vec<Token>>,
    /// Whether there are any, to look without the lock; changed under it.
    any: AtomicBool,
    poller: Arc<Poller>,
}

impl Calls {
    pub(super) fn new(poller: Arc<Poller>) -> Self {
        Self { called: Mutex::new(Vec::new()), any: AtomicBool::new(false), poller }
    }

    /// Takes out who has been called.
    pub(super) fn take(&self, each: impl FnMut(Token)) {
        if self.any.load(Ordering::SeqCst) {
            let mut called = self.called.lock();
            self.any.store(false, Ordering::SeqCst);
            called.drain(..).for_each(each);
        }
    }
}

impl Call for Calls {
    fn call(&self, token: Token) {
        let first = {
            let mut called = self.called.lock();
            called.push(token);
            !self.any.swap(true, Ordering::SeqCst)
        };
        // Whoever was first wakes the one who polls, for all that come before it has looked.
        if first {
            self.poller.notify();
        }
    }
}

impl fmt::Debug for Calls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Calls").field("any", &self.any).finish_non_exhaustive()
    }
}
