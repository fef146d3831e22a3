//! A connection that waits for its peer between two calls of its handler.

use super::Job;
use super::Phase;
use super::Step;
use crate::end::End;
use crate::engine::drive::Turn;
use crate::engine::worker::Worker;
use crate::handler::HandlerFactory;
use crate::park::token::Class;
use crate::request::RequestState;
use crate::transport::Transport;

impl<T: Transport, H: HandlerFactory<T::Request>> Job<T, H> {
    /// What a connection waits for that stands here.
    pub(super) fn awaits(state: &RequestState) -> Class {
        match state.unread {
            0 if state.in_handshake => Class::Establish,
            0 if state.message_from.is_none() => Class::Idle,
            _ => Class::Message,
        }
    }

    /// Waits for the peer, unless the server is stopping.
    pub(super) fn park(&mut self, class: Class, worker: &mut Worker) -> Step {
        let stop = &self.shared.core.stop.state;
        if stop.is_stopping() && !stop.hands_over() {
            self.finish(End::Drained);
            return Step::Next;
        }
        let Phase::Open(_, conversation) = &mut self.phase else { return Step::Next };
        if conversation.awaits != class {
            conversation.awaits = class;
            self.waiting_since = None;
        }
        // The deadline of a message or a handshake counts from its beginning, however often a byte of it arrives; that of
        // an idle connection from the last message of the peer, however often others send to it.
        self.waiting_since.get_or_insert_with(|| worker.now());
        let wait = self.wait_for(class, worker.now());
        if class != Class::Idle && wait.timeout.is_some_and(|timeout| timeout.is_zero()) {
            // Bytes that trickle in faster than the timers look would be ready each time.
            self.give_up(class);
            return Step::Next;
        }
        Step::Turn(Turn::Park(wait))
    }
}
