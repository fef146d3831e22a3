//! A call of `handle`, and what comes after it.

use std::time::Instant;

use super::Budget;
use super::Job;
use super::Next;
use super::Phase;
use super::Step;
use crate::end::End;
use crate::engine::core::guarded;
use crate::engine::drive::Turn;
use crate::engine::worker::Worker;
use crate::error::RequestError;
use crate::error::Stage;
use crate::event::Event;
use crate::handler::Flow;
use crate::handler::Handler;
use crate::handler::HandlerFactory;
use crate::park::token::Class;
use crate::request::Request;
use crate::request::RequestState;
use crate::transport::Transport;

impl<T: Transport, H: HandlerFactory<T::Request>> Job<T, H> {
    /// Makes the handler if it is not there yet, and calls `handle`.
    pub(super) fn call(&mut self, worker: &mut Worker, budget: &mut Budget) -> Step {
        self.check_total(Instant::now);
        let Phase::Open(request, conversation) = &mut self.phase else { return Step::Next };
        if conversation.handler.is_none() {
            match guarded(Stage::Setup, || {
                let mut made = self.shared.factory.make_with_id(request, self.account.id);
                made.setup(request).map(|()| made)
            }) {
                Ok(Ok(made)) => conversation.handler = Some(made),
                Ok(Err(error)) => return self.failed(RequestError::failed(Stage::Setup, error)),
                Err(error) => return self.failed(error),
            }
        }
        let Some(handler) = &mut conversation.handler else { return Step::Next };
        request.call_begins(budget.until);
        let before = request.state();
        let began = worker.now();
        // Looked at before the call, so that its answer could announce the end.
        let handed_over = self.shared.core.stop.state.hands_over();
        worker.call_begins(self.shared.core.calls.as_ref(), self.account.id);
        let outcome = guarded(Stage::Handle, || handler.handle(request));
        worker.call_ends();
        self.account.calls += 1;
        let after = request.state();
        // The handler may have taken its time; what waits from here on begins to wait now.
        let now = Instant::now();
        worker.set_now(now);
        if worker.serves_many
            && self.shared.core.options.long_call.is_some_and(|most| now.saturating_duration_since(began) > most)
        {
            let (id, took) = (self.account.id, now.saturating_duration_since(began));
            self.shared.observe(|| Event::LongCall { id, took });
        }
        let flow = match outcome {
            Ok(Ok(flow)) => flow,
            Ok(Err(error)) => return self.failed(RequestError::failed(Stage::Handle, error)),
            Err(error) => return self.failed(error),
        };
        // The rest of a message that began before has the time that is left of the whole.
        let began_before = after.message_from.is_some_and(|from| from < before.consumed);
        if after.consumed > before.consumed && !began_before {
            self.waiting_since = None;
        }
        if let Some(end) = after.idle_end {
            // The handler has been shown the end of input, and has said what it had to say.
            self.finish(end);
            return Step::Next;
        }
        match AfterCall::of(flow, &before, &after) {
            AfterCall::Close => {
                self.finish(End::HandlerClosed);
                Step::Next
            }
            AfterCall::Detach => Step::Turn(Turn::Detach),
            AfterCall::Relay => {
                // In the middle of something, whatever comes.
                conversation.awaits = Class::Message;
                conversation.next = Next::Relay;
                self.waiting_since = None;
                self.sending = None;
                Step::Next
            }
            AfterCall::Flush => {
                conversation.next = Next::Call;
                if budget.spend(worker.now()) { Step::Next } else { Step::Turn(Turn::Again) }
            }
            AfterCall::Continue { needs_input } => {
                let is_last = handed_over && after.written > before.written;
                self.go_on(needs_input, is_last, &after, worker, budget)
            }
        }
    }

    /// The handler wants to be called again. The answer that it has just given may be the last one.
    fn go_on(
        &mut self,
        needs_input: bool,
        is_last: bool,
        after: &RequestState,
        worker: &mut Worker,
        budget: &mut Budget,
    ) -> Step {
        let Phase::Open(request, conversation) = &mut self.phase else { return Step::Next };
        conversation.next = if needs_input { Next::Input } else { Next::Call };
        let goes_on = budget.spend(worker.now());
        conversation.gathering = after.gathering && !needs_input && goes_on;
        let stop = &self.shared.core.stop.state;
        let in_message = after.message_from.is_some();
        if after.unread == 0 && is_last && !in_message && stop.hands_over() {
            // Right behind an answer: the client is not about to be cut off in the middle of something.
            self.finish(End::Drained);
            return Step::Next;
        }
        // While the server stops, what has arrived since the last look is still taken in.
        if after.unread == 0 && !after.maybe_more && !self.shared.core.stop.is_stopping() {
            match request.flush_output() {
                Ok(true) => return self.park(Self::awaits(after), worker),
                Ok(false) => {}
                Err(error) => return self.failed(RequestError::failed(Stage::Handle, error)),
            }
        }
        if goes_on {
            return Step::Next;
        }
        if stop.is_stopping() && !stop.hands_over() {
            self.finish(End::Drained);
            return Step::Next;
        }
        // A message has its time also while its bytes come faster than they are taken in.
        if needs_input
            && (after.unread > 0 || in_message)
            && let Step::Next = self.park(Class::Message, worker)
        {
            return Step::Next;
        }
        Step::Turn(Turn::Again)
    }
}

/// What comes after a call of `handle`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum AfterCall {
    Close,
    Detach,
    Flush,
    Relay,
    Continue { needs_input: bool },
}

impl AfterCall {
    fn of(flow: Flow, before: &RequestState, after: &RequestState) -> Self {
        match flow {
            // Messages are over after one call, whatever it returns.
            Flow::Continue | Flow::Flush | Flow::Relay if !after.repeats => Self::Close,
            Flow::Close => Self::Close,
            Flow::Detach => Self::Detach,
            Flow::Flush => Self::Flush,
            Flow::Relay => Self::Relay,
            // Unread bytes are as good as new ones, but not those that the handler has just left: it needs more.
            Flow::Continue => Self::Continue { needs_input: after.unread == 0 || after.consumed == before.consumed },
        }
    }
}

#[cfg(all(test, not(socketserver_shuttle)))]
mod tests {
    use super::*;

    #[test]
    fn what_a_call_leaves_decides_what_comes_next() {
        let stream = |consumed, unread| RequestState { repeats: true, consumed, unread, ..RequestState::default() };
        let cases = [
            (Flow::Continue, stream(0, 8), stream(8, 0), AfterCall::Continue { needs_input: true }),
            (Flow::Continue, stream(0, 8), stream(4, 4), AfterCall::Continue { needs_input: false }),
            (Flow::Continue, stream(0, 8), stream(0, 8), AfterCall::Continue { needs_input: true }),
            (Flow::Flush, stream(0, 8), stream(0, 8), AfterCall::Flush),
            (Flow::Relay, stream(0, 8), stream(4, 4), AfterCall::Relay),
            (Flow::Close, stream(0, 8), stream(4, 4), AfterCall::Close),
            (Flow::Detach, stream(0, 8), stream(4, 4), AfterCall::Detach),
            (Flow::Continue, RequestState::default(), RequestState::default(), AfterCall::Close),
            (Flow::Flush, RequestState::default(), RequestState::default(), AfterCall::Close),
        ];
        for (flow, before, after, next) in cases {
            assert_eq!(AfterCall::of(flow, &before, &after), next, "{flow:?} {before:?} {after:?}");
        }
    }
}
