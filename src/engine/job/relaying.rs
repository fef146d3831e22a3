//! A connection whose bytes go to another and come from there: no handler is called any more.

use super::Job;
use super::Phase;
use super::Step;
use crate::end::End;
use crate::engine::drive::Turn;
use crate::engine::worker::Worker;
use crate::error::RequestError;
use crate::error::Stage;
use crate::handler::HandlerFactory;
use crate::park::Wait;
use crate::park::token::Class;
use crate::request::OtherSide;
use crate::request::Relayed;
use crate::request::Request;
use crate::request::mailbox::Mailbox;
use crate::sys::Interest;
use crate::transport::Transport;

impl<T: Transport, H: HandlerFactory<T::Request>> Job<T, H> {
    /// Carries bytes as far as that goes without waiting.
    pub(super) fn relay(&mut self, worker: &mut Worker) -> Step {
        let Phase::Open(request, _) = &mut self.phase else { return Step::Next };
        if request.mailbox().is_some_and(Mailbox::is_dismissed) {
            self.finish(End::HandlerClosed);
            return Step::Next;
        }
        let mut scratch = worker.take_scratch();
        let outcome = request.relay(&mut scratch);
        worker.put_scratch(scratch);
        match outcome {
            Ok(Relayed::Ended) => {
                self.finish(End::PeerClosed);
                Step::Next
            }
            Ok(Relayed::Yielded) => {
                self.waiting_since = None;
                Step::Turn(Turn::Again)
            }
            Ok(Relayed::Waits { moved }) => self.wait_for_either(moved, worker),
            Err(error) => self.failed(RequestError::failed(Stage::Handle, error)),
        }
    }

    /// Waits for the peer or for the other side; when nothing has been carried for too long, that is the end.
    fn wait_for_either(&mut self, moved: bool, worker: &Worker) -> Step {
        if moved {
            self.waiting_since = None;
        }
        let now = worker.now();
        self.waiting_since.get_or_insert(now);
        let wait = self.wait_for(Class::Relay, now);
        if wait.timeout.is_some_and(|timeout| timeout.is_zero()) {
            self.give_up(Class::Relay);
            return Step::Next;
        }
        let writes = self.relay_side().is_some_and(|other| other.watches().0.write);
        let interest = if writes { Interest::Write } else { Interest::Read };
        Step::Turn(Turn::Park(Wait { interest, ..wait }))
    }

    /// Where the bytes go to, while they do.
    pub(super) fn relay_side(&self) -> Option<&OtherSide> {
        match &self.phase {
            Phase::Open(request, _) => request.other_side(),
            Phase::Pending(_) | Phase::Parting(..) | Phase::Closing(..) | Phase::Over(_) => None,
        }
    }
}
