//! A job as dispatches see it: run to its end on a thread, or in turns between which it waits in a poller.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Instant;

use super::Account;
use super::Conversation;
use super::Job;
use super::Phase;
use super::Remains;
use super::Step;
use super::closing::Closing;
use crate::end::End;
use crate::engine::core::guarded;
use crate::engine::drive::Drive;
use crate::engine::drive::Outcome;
use crate::engine::drive::Turn;
use crate::engine::listening::Listening;
use crate::engine::listening::Reporter;
use crate::engine::task::Task;
use crate::engine::worker::Worker;
use crate::error::RequestError;
use crate::error::Stage;
use crate::event::Event;
use crate::event::Refusal;
use crate::handler::Handler;
use crate::handler::HandlerFactory;
use crate::park::Wait;
use crate::park::token::Class;
use crate::request::OtherSide;
use crate::request::Request;
use crate::request::mailbox::Mailbox;
use crate::stop::DRAINING;
use crate::stop::EVICTED;
use crate::stop::MAIL;
use crate::stop::WaitFor;
use crate::sys::Descriptor;
use crate::sys::Interest;
use crate::sys::wait::Woken;
use crate::transport::Establish;
use crate::transport::Transport;

impl<T: Transport, H: HandlerFactory<T::Request>> Task for Job<T, H> {
    fn run(mut self) {
        if self.run_here(false) == Turn::Detach {
            self.detach();
        }
    }
}

impl<T: Transport, H: HandlerFactory<T::Request>> Drive for Job<T, H> {
    type Source = Listening<T, H>;
    type Reporter = Reporter<T, H>;

    fn run_until_lingering(&mut self) -> Turn {
        self.run_here(true)
    }

    fn turn(&mut self, worker: &mut Worker) -> Turn {
        // Steps catch the panics of handlers and hooks. What is left are custom sockets and requests: theirs
        // cost one request, too.
        let converse = || match self.converse(worker) {
            // It never has to wait, where else the deadline of a drain is looked at.
            Turn::Again if self.shared.core.stop.state.is_forced() => {
                self.cut(End::Forced);
                Turn::Done
            }
            turn => turn,
        };
        guarded(Stage::Handle, converse).unwrap_or_else(|error| self.broken(error))
    }

    fn descriptor(&self) -> Option<Descriptor<'_>> {
        match &self.phase {
            Phase::Pending(pending) | Phase::Parting(pending, _) | Phase::Over(Remains::Pending(pending)) => {
                pending.descriptor()
            }
            Phase::Open(request, _) | Phase::Closing(request, _) | Phase::Over(Remains::Request(request)) => {
                request.descriptor()
            }
            Phase::Over(Remains::Nothing) => None,
        }
    }

    fn other_side(&self) -> Option<&OtherSide> {
        self.relay_side()
    }

    fn is_over(&self) -> bool {
        matches!(self.phase, Phase::Over(_))
    }

    fn is_establishing(&self) -> bool {
        match &self.phase {
            Phase::Pending(_) => true,
            Phase::Open(_, conversation) => conversation.awaits == Class::Establish,
            Phase::Parting(..) | Phase::Closing(..) | Phase::Over(_) => false,
        }
    }

    fn parks(&self) -> bool {
        self.descriptor().is_some()
    }

    fn mailbox(&self) -> Option<&Mailbox> {
        match &self.phase {
            Phase::Open(request, _) => request.mailbox(),
            Phase::Pending(_) | Phase::Parting(..) | Phase::Closing(..) | Phase::Over(_) => None,
        }
    }

    fn first_wait(&self) -> Option<Wait> {
        // A handshake may be there already, or begin with a word of the server's.
        let Phase::Open(request, _) = &self.phase else { return None };
        // A panic comes again when the request is verified, where it can be told.
        let speaks = || guarded(Stage::Verify, || self.shared.factory.speaks_first()).unwrap_or(true);
        let waits = self.parks() && request.state().unread == 0 && !speaks();
        waits.then(|| self.wait_for(Class::Idle, self.account.accepted_at))
    }

    fn set_hangup(&mut self) {
        self.hangup = true;
        if let Phase::Open(request, _) | Phase::Closing(request, _) = &mut self.phase {
            request.set_hangup();
        }
    }

    fn expire(&mut self, class: Class) {
        self.expire_wait(class);
    }

    fn cut(&mut self, end: End) {
        // A server that hands over keeps those open that may be about to speak: at its deadline they are merely idle.
        let idle = matches!(&self.phase, Phase::Open(request, conversation)
            if conversation.awaits != Class::Message && request.state().unread == 0 && self.sending.is_none());
        let silent = self.silent && matches!(self.phase, Phase::Pending(_));
        if end == End::Forced && (idle || silent) && self.shared.core.stop.state.hands_over() {
            self.finish(End::Drained);
        }
        if matches!(self.phase, Phase::Pending(_)) {
            return self.end_pending(end);
        }
        let unsent = self.sending.is_some() && matches!(self.phase, Phase::Closing(_, Closing::Flush));
        if end == End::Forced && unsent && matches!(self.account.end, Some(End::Drained | End::HandlerClosed)) {
            // The conversation had ended in order; the rest of its last answer is lost now.
            self.account.end = None;
        }
        self.finish(end);
        if end == End::Forced {
            self.account.end.get_or_insert(end);
            self.send_the_rest();
            self.give_connection_up();
        }
    }

    fn detach(mut self) {
        let phase = std::mem::replace(&mut self.phase, Phase::Over(Remains::Nothing));
        let Phase::Open(mut request, Conversation { handler: Some(handler), .. }) = phase else { return };
        self.account.end = Some(End::Detached);
        self.account.traffic = request.state().traffic;
        request.release();
        let shared = Arc::clone(&self.shared);
        let id = self.account.id;
        // The permit goes first: the connection is not the server's any more.
        drop(self);
        if let Err(error) = guarded(Stage::Handle, || handler.detached(request)) {
            shared.report(error, Some(id), None);
        }
    }

    fn reject(mut self, error: RequestError) {
        self.shared.report(error, Some(self.account.id), self.client_address());
        self.shared.observe(|| Event::Refused { reason: Refusal::Rejected });
        self.refuse();
    }

    fn refuse(&mut self) {
        self.finish(End::Refused);
        // Gracefully as far as that needs no waiting: no thread is there to wait.
        Worker::with_local(|worker| self.close(worker));
    }

    fn run_as_child(mut self, tell: impl FnOnce(Outcome)) {
        self.account.in_child = true;
        self.shared.core.session.set_in_child();
        let detaches = self.run_here(false) == Turn::Detach;
        if !detaches {
            self.give_connection_up();
        }
        let traffic = match &self.phase {
            Phase::Open(request, _) => request.state().traffic,
            _ => self.account.traffic,
        };
        let end = if detaches { End::Detached } else { self.account.end.unwrap_or(End::Forced) };
        tell(Outcome { end, calls: self.account.calls, traffic });
        if detaches {
            self.detach();
        }
    }

    fn settle(&mut self) -> Option<Wait> {
        while let Phase::Pending(pending) = &self.phase
            && pending.stays()
        {
            let step = self.advance();
            match (&self.phase, step) {
                (Phase::Pending(pending), Step::Turn(Turn::Park(wait))) if pending.stays() => return Some(wait),
                _ => {}
            }
        }
        None
    }

    fn settle_here(&mut self) {
        while let Some(wait) = self.settle() {
            self.wait_here(wait);
        }
    }

    fn forget(&mut self) {
        self.account.in_child = true;
        self.phase = Phase::Over(Remains::Nothing);
    }

    fn leave_to_child(&mut self) {
        self.take_claim();
        self.phase = Phase::Over(Remains::Nothing);
    }

    fn ended_elsewhere(&mut self, end: End, outcome: Option<Outcome>) {
        self.account.end.get_or_insert(end);
        if let Some(Outcome { end: _, calls, traffic }) = outcome {
            (self.account.calls, self.account.traffic) = (calls, traffic);
        }
    }

    fn refuse_with(&mut self, farewell: &[u8]) {
        if let Phase::Open(request, _) = &mut self.phase {
            request.farewell(farewell);
        }
        self.refuse();
    }

    fn undelivered(&mut self, error: io::Error) {
        self.account.end = Some(End::Failed);
        self.shared.report(RequestError::failed(Stage::Close, error), Some(self.account.id), self.client_address());
    }

    fn reporter(&self) -> Reporter<T, H> {
        Reporter::new(&self.shared)
    }
}

impl<T: Transport, H: HandlerFactory<T::Request>> Job<T, H> {
    /// Nothing more is asked of a request that has panicked.
    #[cold]
    fn broken(&mut self, error: RequestError) -> Turn {
        self.account.end.get_or_insert(End::Panicked);
        // Asking it for its figures may panic as well, which would be the same news.
        let _ = guarded(Stage::Close, || self.give_connection_up());
        self.shared.report(error, Some(self.account.id), None);
        Turn::Done
    }

    /// Serves the conversation to its end on this thread: `Done` or `Detach`, or to where it only lingers.
    fn run_here(&mut self, until_lingering: bool) -> Turn {
        Worker::with_local(|worker| {
            worker.is_dedicated = !until_lingering;
            loop {
                worker.set_now(Instant::now());
                let turn = self.turn(worker);
                if !worker.outbox.replies.is_empty() {
                    let session = Arc::clone(&self.shared.core.session);
                    worker.flush(Some(&session), |_, error| self.undelivered(error));
                }
                match turn {
                    Turn::Again => {}
                    Turn::Detach | Turn::Done => return turn,
                    Turn::Park(park) if until_lingering && park.class == Class::Linger => return turn,
                    Turn::Park(park) => self.wait_here(park),
                }
            }
        })
    }

    /// Blocks this thread until the conversation can go on, its deadline passes, or the server's patience ends.
    fn wait_here(&mut self, park: Wait) {
        let stop = Arc::clone(&self.shared.core.stop.state);
        // A connection between two messages ends when the drain begins, others at its deadline; one that only lingers
        // looks once whether its peer is still sending.
        let idle = match (park.class, &self.phase) {
            (Class::Idle | Class::Message, _) | (Class::Establish, Phase::Open(..)) => true,
            (Class::Establish, _) => self.silent,
            (Class::Linger, Phase::Closing(_, Closing::Linger(linger))) => !linger.stopping,
            (Class::Linger, Phase::Parting(_, parting)) => !parting.linger.stopping,
            _ => false,
        };
        let until = crate::request::deadline(park.timeout);
        let Some(descriptor) = Drive::descriptor(self) else { return };
        let mailbox = if park.interest == Interest::Read { Drive::mailbox(self) } else { None };
        let between_messages = matches!(park.class, Class::Idle | Class::Linger);
        let what = WaitFor::new(descriptor, park.interest, until);
        let what = WaitFor { ends_idle: idle, between_messages, ..what };
        let what = match self.relay_side() {
            Some(other) => {
                let (own, its) = other.watches();
                WaitFor { watch: own, other: Some((other.descriptor(), its)), ..what }
            }
            None => what,
        };
        let woken = match mailbox {
            Some(mailbox) => mailbox.wait(&stop, &what),
            None => stop.wait(&what),
        };
        match woken {
            Ok(Woken::Ready | Woken::Flag(DRAINING | MAIL)) => {}
            Ok(Woken::Flag(EVICTED)) if park.class == Class::Relay => self.give_up(park.class),
            Ok(Woken::TimedOut | Woken::Flag(EVICTED)) => self.expire(park.class),
            Ok(Woken::Flag(_)) => self.cut(End::Forced),
            Err(error) => {
                self.fail(RequestError::failed(Stage::Handle, error));
                self.give_connection_up();
            }
        }
    }
}

impl<T: Transport, H: HandlerFactory<T::Request>> Drop for Job<T, H> {
    /// Whatever way it came here: one end, counted and told once.
    fn drop(&mut self) {
        self.give_connection_up();
        let Account { id, accepted_at, calls, traffic, end, in_child } = self.account;
        let end = end.unwrap_or(End::Forced);
        // The socket closes before the observers are told that it has.
        self.phase = Phase::Over(Remains::Nothing);
        self.claim = None;
        if in_child {
            return;
        }
        self.shared.core.counters.ended(end);
        let duration = || accepted_at.elapsed();
        self.shared.observe(|| Event::Stop { id, end, duration: duration(), traffic, calls });
    }
}

impl<T: Transport, H: HandlerFactory<T::Request>> fmt::Debug for Job<T, H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Job").field("account", &self.account).finish_non_exhaustive()
    }
}
