//! The outcome of an in-memory connection or datagram.

use std::fmt;

use crate::end::End;
use crate::error::RequestError;
use crate::error::Stage;

/// How a connection or datagram was served; see [`converse`](super::converse) and [`deliver`](super::deliver).
#[derive(Debug)]
#[non_exhaustive]
pub struct Outcome<T> {
    /// What the handler has sent: the bytes of a connection, or the replies to a datagram.
    pub output: T,
    /// How it ended.
    pub end: End,
    /// How often `handle` was called.
    pub calls: u64,
    /// The errors and panics of its steps, as passed to `handle_error`.
    pub errors: Vec<Failure>,
}

/// An error or a panic of one step.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Failure {
    /// The step.
    pub stage: Stage,
    /// The text of the [`RequestError`](crate::RequestError).
    pub message: String,
    /// See [`RequestError::is_timeout`](crate::RequestError::is_timeout).
    pub is_timeout: bool,
    /// See [`RequestError::is_disconnect`](crate::RequestError::is_disconnect).
    pub is_disconnect: bool,
    /// See [`RequestError::is_panic`](crate::RequestError::is_panic).
    pub is_panic: bool,
}

impl Failure {
    pub(super) fn of(error: &RequestError) -> Self {
        Self {
            stage: error.stage(),
            message: error.to_string(),
            is_timeout: error.is_timeout(),
            is_disconnect: error.is_disconnect(),
            is_panic: error.is_panic(),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Outcome<()> {
    /// Of a request that nothing was told of.
    pub(super) fn unheard_of() -> Self {
        Self { output: (), end: End::Refused, calls: 0, errors: Vec::new() }
    }

    /// The same, and what was sent.
    pub(super) fn with<T>(self, output: T) -> Outcome<T> {
        let Self { output: (), end, calls, errors } = self;
        Outcome { output, end, calls, errors }
    }
}
