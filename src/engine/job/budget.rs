//! How much of a connection is served before another has its turn.

use std::time::Duration;
use std::time::Instant;

use crate::engine::worker::Worker;

/// After this many calls of `handle` another connection has its turn.
const CALLS_PER_TURN: u32 = 16;

/// And after it has had its thread for this long.
const TIME_PER_TURN: Duration = Duration::from_millis(1);

/// What is left of a turn.
pub(super) struct Budget {
    calls: u32,
    /// `None` on a thread that serves no other.
    pub(super) until: Option<Instant>,
}

impl Budget {
    pub(super) fn new(worker: &Worker) -> Self {
        Self { calls: CALLS_PER_TURN, until: worker.serves_many.then(|| worker.now() + TIME_PER_TURN) }
    }

    /// A call has been made, and it is `now`. False if no other may be made in this turn.
    pub(super) fn spend(&mut self, now: Instant) -> bool {
        self.calls = self.calls.saturating_sub(1);
        if self.until.is_some_and(|until| now >= until) {
            self.calls = 0;
        }
        self.calls > 0
    }
}
