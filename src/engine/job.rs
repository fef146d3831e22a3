//! The steps of a request, from accepted to closed: the only place where they happen, under every dispatch.
//!
//! `establish -> verify_request -> setup -> handle* -> finish -> shutdown_request -> close_request`
//!
//! ```text
//!               Done               finish                   End
//! Pending(P) ---------> Open(R, K) ----------> Closing(R) ---------> Over(socket)
//!     |                     |                      |                    ^
//!     +-> Parting(P) -------+----------------------+--------------------+
//!         an error, a timeout, a peer that has gone, the deadline of a drain
//! ```
//!
//! How a dispatch drives a job, on a thread of its own or in turns, is in [`task`]; how long a job waits, in
//! [`timeouts`]; how it is closed, in [`closing`], and in [`parting`] where it was never open. An open one whose bytes go
//! to another connection is in [`relaying`].

mod budget;
mod calling;
mod closing;
mod parking;
mod parting;
mod relaying;
mod task;
mod timeouts;

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use self::budget::Budget;
use self::closing::Closing;
use self::parting::Parting;
use super::core::Shared;
use super::core::guarded;
use super::drive::Turn;
use super::worker::Worker;
use crate::end::End;
use crate::error::RequestError;
use crate::error::Stage;
use crate::event::Event;
use crate::event::Refusal;
use crate::event::RequestId;
use crate::event::Traffic;
use crate::handler::Handler;
use crate::handler::HandlerFactory;
use crate::limits::permit::Permit;
use crate::park::token::Class;
use crate::request::Fill;
use crate::request::Request;
use crate::request::mailbox::Mailbox;
use crate::request::pace::Sending;
use crate::sys::Interest;
use crate::transport::Advance;
use crate::transport::Claim;
use crate::transport::Establish;
use crate::transport::Transport;

/// One connection or message on its way through the server.
pub struct Job<T: Transport, H: HandlerFactory<T::Request>> {
    phase: Phase<T::Pending, T::Request, H::Handler>,
    shared: Arc<Shared<H>>,
    account: Account,
    /// The peer may have closed: what a poller has said, also before there is a request to tell.
    hangup: bool,
    /// Nothing has come from the peer yet, whose handshake is waited for.
    silent: bool,
    /// Since when it has been waiting for the peer: for its handshake, a message, or in one for the rest.
    waiting_since: Option<Instant>,
    /// What the peer has not taken at once.
    sending: Option<Box<Sending>>,
    /// What the transport has taken for the connection: boxed twice, so that those without one need little room.
    claim: Option<Box<Claim>>,
    /// Last, so that it is given back when everything else is gone.
    _permit: Permit,
}

enum Phase<P, R, K> {
    /// Accepted, not established yet.
    Pending(P),
    /// It could not be established; what is left is to send what there is to be said about it, and to close.
    Parting(P, Parting),
    /// Established; the handler is made when there is something to handle.
    Open(R, Conversation<K>),
    /// Ended; what is left is to send the rest and to close.
    Closing(R, Closing),
    /// Nothing is left to do. The socket is kept for as long as a poller may know it.
    Over(#[allow(dead_code, reason = "held, and dropped")] Remains<P, R>),
}

enum Remains<P, R> {
    Pending(P),
    Request(R),
    Nothing,
}

/// How far the conversation of an open request is.
struct Conversation<K> {
    handler: Option<K>,
    next: Next,
    /// Output of the last call is held back: more input is buffered, and the next call will add to it.
    gathering: bool,
    /// The peer has closed its side, and `handle` has been called with the rest of its input.
    rest_shown: bool,
    /// What of the peer it waits for: its next message, the rest of one, or a handshake that the handler has begun.
    awaits: Class,
}

/// The next step of an open request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Next {
    /// To ask `verify_request`.
    Verify,
    /// To take input in before `handle` is called (again).
    Input,
    /// To call `handle`.
    Call,
    /// To carry bytes between the peer and another connection.
    Relay,
}

/// What is told and counted of a request.
#[derive(Debug)]
struct Account {
    id: RequestId,
    accepted_at: Instant,
    calls: u64,
    /// Bytes received and sent, as far as the phase does not know them any more.
    traffic: Traffic,
    /// The first reason that was given.
    end: Option<End>,
    /// In a forked child, where the parent does the accounts.
    in_child: bool,
}

impl<T: Transport, H: HandlerFactory<T::Request>> Job<T, H> {
    pub(super) fn new(pending: T::Pending, shared: &Arc<Shared<H>>, permit: Permit, now: Instant) -> Box<Self> {
        let id = shared.core.next_id();
        shared.core.counters.accepted();
        shared.observe(|| Event::Start { id, peer: pending.client_address().map(|peer| peer as &dyn fmt::Debug) });
        let waits = pending.descriptor().is_some();
        let mut job = Box::new(Self {
            phase: Phase::Pending(pending),
            shared: Arc::clone(shared),
            account: Account {
                id,
                accepted_at: now,
                calls: 0,
                traffic: Traffic::default(),
                end: None,
                in_child: false,
            },
            hangup: false,
            silent: false,
            waiting_since: None,
            sending: None,
            claim: None,
            _permit: permit,
        });
        if !waits {
            let _: Step = job.advance();
        }
        job
    }

    /// Goes on with the second phase of the transport, as far as that goes without waiting.
    fn advance(&mut self) -> Step {
        let Phase::Pending(pending) = &mut self.phase else { return Step::Next };
        match guarded(Stage::Establish, || pending.advance()) {
            Ok(Ok(Advance::Done)) => self.open(),
            Ok(Ok(Advance::Closed)) => self.end_pending(End::PeerClosed),
            Ok(Ok(Advance::Refused(reason))) => {
                self.shared.observe(|| Event::Refused { reason });
                self.end_pending(End::Refused);
            }
            Ok(Ok(advance @ (Advance::Idle | Advance::Wait(_)))) => {
                self.silent = advance == Advance::Idle;
                let stop = &self.shared.core.stop.state;
                if self.silent && stop.is_stopping() && !stop.hands_over() {
                    self.end_pending(End::Drained);
                    return Step::Next;
                }
                if pending.descriptor().is_some() {
                    let interest = if let Advance::Wait(interest) = advance { interest } else { Interest::Read };
                    return Step::Turn(Turn::Park(self.wait_to_establish(interest)));
                }
                let error = std::io::Error::other("a handshake waits for its peer and has no descriptor to wait on");
                self.fail_to_establish(RequestError::failed(Stage::Establish, error));
            }
            Ok(Err(error)) => self.part_with(RequestError::failed(Stage::Establish, error)),
            Err(error) => self.fail_to_establish(error),
        }
        Step::Next
    }

    /// The second phase is over: what it has made is served.
    fn open(&mut self) {
        self.take_claim();
        let Phase::Pending(pending) = std::mem::replace(&mut self.phase, Phase::Over(Remains::Nothing)) else { return };
        match guarded(Stage::Establish, || pending.into_request()) {
            Ok(mut request) => {
                request.attach(&self.shared.core.session);
                if let Some(until) = self.until() {
                    request.set_deadline(until);
                }
                if self.hangup {
                    request.set_hangup();
                }
                self.waiting_since = None;
                self.phase = Phase::Open(request, Conversation::new());
            }
            Err(error) => self.fail_to_establish(error),
        }
    }

    fn take_claim(&mut self) {
        if let Phase::Pending(pending) = &mut self.phase {
            // A transport that panics here has no claim; whether its request can be made, the next step tells.
            self.claim = guarded(Stage::Establish, || pending.take_claim()).unwrap_or_default().map(Box::new);
        }
    }

    /// Not established: given up.
    fn fail_to_establish(&mut self, error: RequestError) {
        let end = End::of(&error);
        self.shared.report(error, Some(self.account.id), self.client_address());
        self.end_pending(end);
    }

    fn end_pending(&mut self, end: End) {
        self.account.end.get_or_insert(end);
        self.give_connection_up();
    }

    /// Closes without a further word, as soon as no poller knows the socket any more.
    fn give_connection_up(&mut self) {
        let phase = std::mem::replace(&mut self.phase, Phase::Over(Remains::Nothing));
        if let Phase::Open(request, _) | Phase::Closing(request, _) = &phase {
            self.account.traffic = request.state().traffic;
        }
        self.phase = Phase::Over(match phase {
            Phase::Pending(pending) | Phase::Parting(pending, _) => Remains::Pending(pending),
            Phase::Open(request, _) | Phase::Closing(request, _) => Remains::Request(request),
            Phase::Over(remains) => remains,
        });
    }

    /// One stretch of the conversation: up to where it has to wait for the peer.
    fn converse(&mut self, worker: &mut Worker) -> Turn {
        self.lend_buffer(worker);
        self.check_total(|| worker.now());
        let mut budget = Budget::new(worker);
        let turn = loop {
            match self.step(worker, &mut budget) {
                Step::Next => {}
                Step::Turn(turn) => break turn,
            }
        };
        if let Phase::Open(request, _) | Phase::Closing(request, _) | Phase::Over(Remains::Request(request)) =
            &mut self.phase
            && let Some(buffer) = request.reclaim_buffer()
        {
            worker.put_buffer(buffer);
        }
        turn
    }

    fn lend_buffer(&mut self, worker: &mut Worker) {
        if let Phase::Open(request, _) | Phase::Closing(request, _) = &mut self.phase
            && let Some(not_needed) = request.lend_buffer(worker.take_buffer())
        {
            worker.put_buffer(not_needed);
        }
    }

    fn step(&mut self, worker: &mut Worker, budget: &mut Budget) -> Step {
        match &mut self.phase {
            Phase::Pending(_) => {
                let step = self.advance();
                self.lend_buffer(worker);
                step
            }
            Phase::Parting(..) => Step::Turn(self.part(worker)),
            Phase::Open(_, Conversation { next: Next::Relay, .. }) => self.relay(worker),
            Phase::Open(request, conversation) => {
                // What the last call wrote leaves before the next: a peer that does not read is not served on.
                if !std::mem::take(&mut conversation.gathering) {
                    match request.flush_output() {
                        Ok(true) => self.sending = None,
                        Ok(false) => return Step::Turn(self.wait_for_room(worker)),
                        Err(error) => return self.failed(RequestError::failed(Stage::Handle, error)),
                    }
                }
                if request.mailbox().is_some_and(Mailbox::is_dismissed) {
                    self.finish(End::HandlerClosed);
                    return Step::Next;
                }
                match conversation.next {
                    Next::Verify => self.verify(),
                    Next::Input => self.take_input(worker, budget),
                    Next::Call => self.call(worker, budget),
                    Next::Relay => self.relay(worker),
                }
            }
            Phase::Closing(..) => Step::Turn(self.close(worker)),
            Phase::Over(_) => Step::Turn(Turn::Done),
        }
    }

    /// Asks `verify_request`.
    fn verify(&mut self) -> Step {
        let Phase::Open(request, conversation) = &mut self.phase else { return Step::Next };
        let factory = &self.shared.factory;
        match guarded(Stage::Verify, || factory.verify_request(request).then(|| factory.speaks_first())) {
            Ok(Some(speaks_first)) => {
                // Bytes that the second phase has read ahead are as good as new ones: no other may come.
                let at_once = speaks_first || request.state().unread > 0;
                conversation.next = if at_once { Next::Call } else { Next::Input };
            }
            Ok(None) => {
                self.shared.observe(|| Event::Refused { reason: Refusal::Unverified });
                self.finish(End::Refused);
            }
            Err(error) => return self.failed(error),
        }
        Step::Next
    }

    /// Takes in what has arrived, and decides whether there is something to handle.
    fn take_input(&mut self, worker: &mut Worker, budget: &mut Budget) -> Step {
        let Phase::Open(request, conversation) = &mut self.phase else { return Step::Next };
        match request.fill() {
            Ok(Fill::Data) => {
                if conversation.awaits != Class::Message {
                    self.waiting_since = None;
                }
                conversation.next = Next::Call;
                // Nothing has been written since the output was looked after.
                self.call(worker, budget)
            }
            // On a thread of its own the handler is called at once, as in Python: it may want the first word. A wait for the
            // client's inside of it is the wait for a message.
            Ok(Fill::NotReady) if worker.is_dedicated && conversation.handler.is_none() => self.call(worker, budget),
            Ok(Fill::NotReady) => {
                let awaits = Self::awaits(&request.state());
                // To read may have made a socket answer (TLS: an alert, new keys), and no more may come before it has left.
                match request.flush_output() {
                    Ok(true) => self.park(awaits, worker),
                    Ok(false) => Step::Turn(self.wait_for_room(worker)),
                    Err(error) => self.failed(RequestError::failed(Stage::Handle, error)),
                }
            }
            // The rest of the input, which no more will follow: shown once more after a call that took none of it, that
            // call would be made again and again.
            Ok(Fill::End) if request.state().unread > 0 && !conversation.rest_shown => {
                conversation.rest_shown = true;
                conversation.next = Next::Call;
                Step::Next
            }
            Ok(Fill::End) => {
                self.finish(End::PeerClosed);
                Step::Next
            }
            Ok(Fill::Full) => {
                let unread = request.state().unread;
                let message = format!("a message longer than max_buffered: the handler takes none of {unread} bytes");
                let error = std::io::Error::new(std::io::ErrorKind::InvalidData, message);
                self.failed(RequestError::failed(Stage::Handle, error))
            }
            // A connection that fails before it has said anything concerns no handler.
            Err(_) if self.account.calls == 0 && request.state().unread == 0 => {
                self.finish(End::PeerClosed);
                self.give_connection_up();
                Step::Next
            }
            Err(error) => {
                let stage = if request.state().in_handshake { Stage::Establish } else { Stage::Handle };
                self.failed(RequestError::failed(stage, error))
            }
        }
    }

    fn failed(&mut self, error: RequestError) -> Step {
        self.fail(error);
        Step::Next
    }

    /// As in Python, `finish` comes first, and then `handle_error`.
    fn fail(&mut self, error: RequestError) {
        let second = self.run_finish(End::of(&error));
        let (gone, is_forced) = (error.is_disconnect(), error.is_stopping());
        for error in [Some(error), second].into_iter().flatten() {
            self.shared.report(error, Some(self.account.id), self.client_address());
        }
        if is_forced {
            self.send_the_rest();
        }
        if gone {
            self.give_connection_up();
        }
    }

    fn client_address(&self) -> Option<&<T::Request as Request>::Addr> {
        match &self.phase {
            Phase::Pending(pending) | Phase::Parting(pending, _) | Phase::Over(Remains::Pending(pending)) => {
                pending.client_address()
            }
            Phase::Open(request, _) | Phase::Closing(request, _) | Phase::Over(Remains::Request(request)) => {
                request.client_address()
            }
            Phase::Over(Remains::Nothing) => None,
        }
    }

    /// Runs the handler's `finish` if its `setup` has succeeded, and begins to close.
    fn finish(&mut self, end: End) {
        if let Some(error) = self.run_finish(end) {
            self.shared.report(error, Some(self.account.id), self.client_address());
        }
    }

    fn run_finish(&mut self, end: End) -> Option<RequestError> {
        self.account.end.get_or_insert(end);
        let (mut request, handler) = match std::mem::replace(&mut self.phase, Phase::Over(Remains::Nothing)) {
            Phase::Open(request, conversation) => (request, conversation.handler),
            other => {
                self.phase = other;
                return None;
            }
        };
        // Before the handler can add to what is carried.
        let is_cut = request.end_relay(end);
        let mut failure = None;
        if let Some(mut handler) = handler {
            let outcome = guarded(Stage::Finish, || {
                request.finish_begins();
                let outcome = handler.finish(&mut request, end);
                // Its destructor is user code, too.
                drop(handler);
                outcome
            });
            failure = match outcome {
                Ok(Ok(())) => None,
                Ok(Err(error)) => Some(RequestError::failed(Stage::Finish, error)),
                Err(error) => Some(error),
            };
        }
        if let Some(mailbox) = request.mailbox() {
            // What was sent so far leaves with the rest of the output.
            mailbox.end();
        }
        self.account.traffic = request.state().traffic;
        self.phase = Phase::Closing(request, Closing::Flush);
        if is_cut {
            self.give_connection_up();
        }
        failure
    }
}

enum Step {
    Next,
    Turn(Turn),
}

impl<K> Conversation<K> {
    fn new() -> Self {
        Self { handler: None, next: Next::Verify, gathering: false, rest_shown: false, awaits: Class::Idle }
    }
}
