//! What a dispatch is given: a request with its handler, whatever its transport and its handler are.

use super::drive::Drive;

/// One request with its handler, ready to run: what a dispatch is given.
///
/// A custom dispatch calls [`run`](Self::run) on a thread of its choice. Dropping a task closes its connection.
///
/// Only this crate implements it, for [`Job`](crate::dispatch::Job).
pub trait Task: Drive {
    /// Serves the request to its end on this thread, waiting for the peer as long as the timeouts allow. Does not
    /// panic.
    fn run(self);
}
