//! The words that the table and the timers share: which connection, why it waits, and what its timer has found.

/// Names a connection in the table, once: index and generation.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) struct Token(u64);

impl Token {
    /// No connection's token is this or more: the last generation is never given out.
    pub(crate) const END: u64 = (u32::MAX as u64) << 32;

    pub(super) fn new(index: usize, generation: u32) -> Self {
        Self(((generation as u64) << 32) | index as u64)
    }

    pub(crate) fn from_raw(raw: u64) -> Self {
        Self(raw)
    }

    pub(crate) fn raw(self) -> u64 {
        self.0
    }

    pub(super) fn index(self) -> usize {
        (self.0 & u64::from(u32::MAX)) as usize
    }

    pub(super) fn generation(self) -> u32 {
        (self.0 >> 32) as u32
    }
}

/// Why a connection waits: each class has one timeout.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u8)]
pub(crate) enum Class {
    /// For the peer to go on with its handshake.
    Establish,
    /// For the next message.
    Idle,
    /// For the rest of a message that has begun.
    Message,
    /// For room to write.
    Write,
    /// For the peer to close.
    Linger,
    /// For something to be carried between it and another connection.
    Relay,
}

impl Class {
    /// Whether a connection that waits for this has nothing under way that would be lost: it may make room for another.
    pub(super) fn is_sheddable(self) -> bool {
        matches!(self, Self::Establish | Self::Idle)
    }
}

/// What a timer found.
#[derive(Debug, PartialEq)]
pub(crate) enum Expiry<J> {
    /// The deadline has passed: who it was, what it waited for and the job; the slot is now running.
    Job(Token, Class, J),
    /// Not yet: look again at this time.
    Later(u64),
    /// The entry has nothing to wait for any more.
    Drop,
}
