//! A request with its handler, as passed to a dispatch, whatever its transport and its handler.

use super::drive::Drive;

/// One request with its handler, ready to run, as passed to a dispatch.
///
/// A custom dispatch calls [`run`](Self::run) on a thread of its choice. Dropping a task closes its connection.
///
/// Only this crate implements it, for [`Job`](crate::dispatch::Job).
pub trait Task: Drive {
    /// Serves the request to its end on this thread, blocking for the peer as long as the timeouts allow. Does not
    /// panic.
    fn run(self);
}
