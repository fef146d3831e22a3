//! Why a request ended.

use std::fmt;

use crate::error::RequestError;

/// Why a connection or datagram ended.
///
/// ```
/// assert_eq!(socketserver::End::IdleTimeout.to_string(), "idle_timeout");
/// ```
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum End {
    /// The handler took it out of the server.
    Detached,
    /// The server stopped, and it was idle.
    Drained,
    /// A step returned an error.
    Failed,
    /// The server stopped, and it was still busy at the deadline.
    Forced,
    /// The handler returned [`Flow::Close`](crate::Flow::Close), or a [`Sender`](crate::Sender) closed it.
    HandlerClosed,
    /// The client sent nothing for too long.
    IdleTimeout,
    /// A step panicked.
    Panicked,
    /// The client closed its side.
    PeerClosed,
    /// It never reached a handler: it was not verified, over a limit, or not dispatched.
    Refused,
    /// It had been idle longest when a new connection needed its place.
    Shed,
    /// The client was too slow to send the rest of a message, to read the reply, or in its handshake; or the [time for
    /// the whole request](crate::Builder::total_timeout) was over.
    TimedOut,
}

impl End {
    /// In the order of their numbers.
    #[cfg(unix)]
    pub(crate) const ALL: [Self; 11] = [
        Self::Detached,
        Self::Drained,
        Self::Failed,
        Self::Forced,
        Self::HandlerClosed,
        Self::IdleTimeout,
        Self::Panicked,
        Self::PeerClosed,
        Self::Refused,
        Self::Shed,
        Self::TimedOut,
    ];

    /// A number that stands for it in this process and its children.
    #[cfg(unix)]
    pub(crate) fn number(self) -> u64 {
        self as u64
    }

    #[cfg(unix)]
    pub(crate) fn from_number(number: u64) -> Option<Self> {
        Self::ALL.get(usize::try_from(number).ok()?).copied()
    }

    /// Its word in fields, labels and logs.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Detached => "detached",
            Self::Drained => "drained",
            Self::Failed => "failed",
            Self::Forced => "forced",
            Self::HandlerClosed => "handler_closed",
            Self::IdleTimeout => "idle_timeout",
            Self::Panicked => "panicked",
            Self::PeerClosed => "peer_closed",
            Self::Refused => "refused",
            Self::Shed => "shed",
            Self::TimedOut => "timed_out",
        }
    }

    /// How a request ends that fails with `error`.
    pub(crate) fn of(error: &RequestError) -> Self {
        if error.is_panic() {
            Self::Panicked
        } else if error.is_stopping() {
            Self::Forced
        } else if error.is_timeout() {
            Self::TimedOut
        } else {
            Self::Failed
        }
    }
}

/// In snake case: `idle_timeout`.
impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
