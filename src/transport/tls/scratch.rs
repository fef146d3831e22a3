//! The buffers that records are taken in and made in: one pair for each thread, lent for the time of a call, so that a
//! connection holds none of its own while it is idle.

use std::cell::RefCell;

/// What a connection may hold of records, and of the messages of a handshake, whose rest has not arrived yet.
pub(super) const MOST_KEPT: usize = 64 * 1024;

/// What is made into records at a time, and sent with one system call.
pub(super) const MOST_SEALED: usize = 64 * 1024;

/// The length of a record's contents, and what it takes beside them, whatever the version and the cipher suite.
const RECORD: usize = 16 * 1024;
const OVERHEAD: usize = 5 + 16 + 64;

/// Room behind all that is kept for a record more.
const INCOMING: usize = MOST_KEPT + RECORD + OVERHEAD;

/// Room for all that is sealed, and for a handful of short records before it.
const OUTGOING: usize = MOST_SEALED + (MOST_SEALED / RECORD + 4) * OVERHEAD;

/// The buffers of a thread.
pub(super) struct Scratch {
    pub(super) incoming: Box<[u8]>,
    pub(super) outgoing: Box<[u8]>,
}

impl Scratch {
    fn new() -> Self {
        // Zeroed memory comes from the kernel page by page, as it is used.
        Self { incoming: vec![0; INCOMING].into_boxed_slice(), outgoing: vec![0; OUTGOING].into_boxed_slice() }
    }

    /// Lends the buffers of this thread.
    pub(super) fn with<T>(work: impl FnOnce(&mut Self) -> T) -> T {
        thread_local! {
            static LENT: RefCell<Option<Box<Scratch>>> = const { RefCell::new(None) };
        }
        // Taken out meanwhile: a socket below may be one of TLS, too. And a thread that ends has no such variable any
        // more.
        let lent = LENT.try_with(|lent| lent.borrow_mut().take()).ok().flatten();
        let mut scratch = lent.unwrap_or_else(|| Box::new(Self::new()));
        let outcome = work(&mut scratch);
        let _ = LENT.try_with(|lent| *lent.borrow_mut() = Some(scratch));
        outcome
    }
}
