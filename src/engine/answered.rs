//! Messages whose replies wait to be sent with others: each is over when its replies have left.

use std::ops::Deref;
use std::ops::DerefMut;

use super::drive::Turn;
use super::source::Observe;
use super::task::Task;
use super::worker::Worker;

/// A worker, with the messages that have replies in its outbox.
pub(crate) struct Answering<J> {
    worker: Worker,
    /// Each with the place in the outbox at which its replies end.
    answered: Vec<(Box<J>, usize)>,
}

impl<J: Task> Answering<J> {
    pub(crate) fn new() -> Self {
        let mut worker = Worker::new();
        worker.serves_many = true;
        Self { worker, answered: Vec::new() }
    }

    /// Handles a message to its end. What it answers waits in the outbox, and the message with it.
    pub(crate) fn handle(&mut self, mut job: Box<J>) {
        let before = self.outbox.replies.len();
        while matches!(job.turn(self), Turn::Again | Turn::Park(_)) {}
        let after = self.outbox.replies.len();
        if after > before {
            self.answered.push((job, after));
        }
    }

    /// Sends the replies; a message whose reply cannot be sent is told so. Then the messages are over.
    pub(crate) fn flush(&mut self, reporter: &J::Reporter) {
        let Self { worker, answered } = self;
        worker.flush(Some(&reporter.core().session), |place, error| {
            let at = answered.partition_point(|(_, end)| *end <= place);
            if let Some((job, _)) = answered.get_mut(at) {
                job.undelivered(error);
            }
        });
        answered.clear();
    }
}

impl<J> Deref for Answering<J> {
    type Target = Worker;

    fn deref(&self) -> &Worker {
        &self.worker
    }
}

impl<J> DerefMut for Answering<J> {
    fn deref_mut(&mut self) -> &mut Worker {
        &mut self.worker
    }
}
