//! The steps of a request, from accepted to closed: the only place where they happen, under every dispatch.
//!
//! `establish -> verify_request -> setup -> handle* -> finish -> shutdown_request -> close_request`
//!
//! How a dispatch drives a job, on a thread of its own or in turns, is in [`task`]; how long a job waits, in
//! [`patience`].

mod patience;
mod task;

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use self::patience::STOPPING_LINGER;
use super::core::Shared;
use super::core::guarded;
use crate::end::End;
use crate::engine::task::Turn;
use crate::engine::task::Worker;
use crate::error::RequestError;
use crate::error::Stage;
use crate::event::Event;
use crate::event::Refusal;
use crate::event::RequestId;
use crate::handler::Flow;
use crate::handler::Handler;
use crate::handler::HandlerFactory;
use crate::limits::permit::Permit;
use crate::park::token::Class;
use crate::request::Discard;
use crate::request::Fill;
use crate::request::Request;
use crate::request::mailbox::Mailbox;
use crate::request::pace::Sending;
use crate::transport::Establish;
use crate::transport::Transport;

/// One connection or message on its way through the server.
pub struct Job<T: Transport, H: HandlerFactory<T::Request>> {
    phase: Phase<T::Pending, T::Request, H::Handler>,
    shared: Arc<Shared<H>>,
    id: RequestId,
    accepted_at: Instant,
    calls: u64,
    transferred: (u64, u64),
    /// In a forked child, where the parent does the accounts.
    in_child: bool,
    verified: bool,
    /// Whether input has to be taken in before `handle` is called (again).
    needs_input: bool,
    /// What the last call has written waits for what the next, on input that is there, will add.
    gathering: bool,
    hangup: bool,
    /// The peer has ended its side, and `handle` has been called with what is left of its input.
    rest_shown: bool,
    /// Since when it has been waiting for the peer: for a message, or in one for the rest.
    waiting_since: Option<Instant>,
    in_message: bool,
    /// What the peer has not taken at once.
    sending: Option<Box<Sending>>,
    end: Option<End>,
    closing: Closing,
    /// Last, so that it is given back when everything else is gone.
    _permit: Permit,
}

enum Phase<P, R, K> {
    /// Accepted, not established yet.
    Pending(P),
    /// Established; the handler is made when there is something to handle.
    Open(R, Option<K>),
    /// Ended; what is left is to send the rest and to close.
    Closing(R),
    Gone,
}

/// How far the closing of a connection is.
#[derive(Clone, Copy, Debug)]
enum Closing {
    Flush,
    Linger { since: Instant, discarded: usize, heard: Option<Instant>, stopping: bool },
}

/// `handle` is called at most so often before another connection has its turn.
const FAIRNESS_BUDGET: u32 = 16;

impl<T: Transport, H: HandlerFactory<T::Request>> Job<T, H> {
    pub(super) fn new(pending: T::Pending, shared: &Arc<Shared<H>>, permit: Permit, now: Instant) -> Box<Self> {
        let id = shared.core.next_id();
        shared.core.counters.accepted();
        shared.observe(|| Event::Start { id, peer: pending.client_address().map(|peer| peer as &dyn fmt::Debug) });
        let mut job = Box::new(Self {
            phase: Phase::Pending(pending),
            shared: Arc::clone(shared),
            id,
            accepted_at: now,
            calls: 0,
            transferred: (0, 0),
            in_child: false,
            verified: false,
            needs_input: true,
            gathering: false,
            hangup: false,
            rest_shown: false,
            waiting_since: None,
            in_message: false,
            sending: None,
            end: None,
            closing: Closing::Flush,
            _permit: permit,
        });
        if !T::Pending::WAITS {
            job.establish_now();
        }
        job
    }

    /// The second phase of the transport.
    fn establish_now(&mut self) {
        let Phase::Pending(pending) = std::mem::replace(&mut self.phase, Phase::Gone) else { return };
        let peer = pending.client_address().cloned();
        let until = self.until();
        let outcome = guarded(Stage::Establish, || pending.establish(self.establish_deadline()));
        match outcome {
            Ok(Ok(mut request)) => {
                request.attach(&self.shared.core.session);
                if let Some(until) = until {
                    request.set_deadline(until);
                }
                if self.hangup {
                    request.set_hangup();
                }
                self.phase = Phase::Open(request, None);
            }
            Ok(Err(error)) => self.fail_without_request(RequestError::failed(Stage::Establish, error), peer.as_ref()),
            Err(error) => self.fail_without_request(error, peer.as_ref()),
        }
    }

    /// Not established, and never begun to be: given up.
    fn fail_to_establish(&mut self, error: RequestError) {
        let Phase::Pending(pending) = std::mem::replace(&mut self.phase, Phase::Gone) else { return };
        let peer = pending.client_address().cloned();
        drop(pending);
        self.fail_without_request(error, peer.as_ref());
    }

    fn fail_without_request(&mut self, error: RequestError, peer: Option<&<T::Request as Request>::Addr>) {
        self.end = Some(End::of(&error));
        self.shared.report(error, Some(self.id), peer);
    }

    /// One stretch of the conversation: up to where it has to wait for the peer.
    fn converse(&mut self, worker: &mut Worker) -> Turn {
        if let Phase::Open(request, _) | Phase::Closing(request) = &mut self.phase
            && let Some(not_needed) = request.lend_buffer(worker.take_buffer())
        {
            worker.put_buffer(not_needed);
        }
        self.check_total(|| worker.now());
        let mut budget = FAIRNESS_BUDGET;
        let turn = loop {
            match self.step(worker, &mut budget) {
                Step::Next => {}
                Step::Turn(turn) => break turn,
            }
        };
        if let Phase::Open(request, _) | Phase::Closing(request) = &mut self.phase
            && let Some(buffer) = request.reclaim_buffer()
        {
            worker.put_buffer(buffer);
        }
        turn
    }

    fn step(&mut self, worker: &mut Worker, budget: &mut u32) -> Step {
        match &mut self.phase {
            Phase::Pending(_) => {
                self.establish_now();
                Step::Next
            }
            Phase::Open(request, _) => {
                // What the last call wrote leaves before the next: a peer that does not read is not served on.
                if !std::mem::take(&mut self.gathering) {
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
                if !self.verified {
                    return self.verify();
                }
                if self.needs_input {
                    return self.take_input(worker, budget);
                }
                self.call(worker, budget)
            }
            Phase::Closing(_) => Step::Turn(self.close(worker)),
            Phase::Gone => Step::Turn(Turn::Done),
        }
    }

    /// Asks `verify_request`.
    fn verify(&mut self) -> Step {
        let Phase::Open(request, _) = &self.phase else { return Step::Next };
        let factory = &self.shared.factory;
        match guarded(Stage::Verify, || factory.verify_request(request).then(|| factory.speaks_first())) {
            Ok(Some(speaks_first)) => {
                self.verified = true;
                self.needs_input = !speaks_first;
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
    fn take_input(&mut self, worker: &mut Worker, budget: &mut u32) -> Step {
        let Phase::Open(request, _) = &mut self.phase else { return Step::Next };
        match request.fill() {
            Ok(Fill::Data) => {
                if !self.in_message {
                    self.waiting_since = None;
                }
                self.needs_input = false;
                // Nothing has been written since the output was looked after.
                self.call(worker, budget)
            }
            Ok(Fill::NotReady) => {
                let unread = request.progress().unread;
                self.park(unread > 0, worker)
            }
            // The rest of the input, which no more will follow: shown once more after a call that took none of it, that
            // call would be made again and again.
            Ok(Fill::End) if request.progress().unread > 0 && !self.rest_shown => {
                self.rest_shown = true;
                self.needs_input = false;
                Step::Next
            }
            Ok(Fill::End) => {
                self.finish(End::PeerClosed);
                Step::Next
            }
            Ok(Fill::Full) => {
                let unread = request.progress().unread;
                let message = format!("a message longer than max_buffered: the handler takes none of {unread} bytes");
                let error = std::io::Error::new(std::io::ErrorKind::InvalidData, message);
                self.failed(RequestError::failed(Stage::Handle, error))
            }
            // A connection that fails before it has said anything concerns nobody.
            Err(_) if self.calls == 0 && request.progress().unread == 0 => {
                self.finish(End::PeerClosed);
                self.phase = Phase::Gone;
                Step::Next
            }
            Err(error) => self.failed(RequestError::failed(Stage::Handle, error)),
        }
    }

    /// Waits for the peer, unless the server is stopping.
    fn park(&mut self, in_message: bool, worker: &mut Worker) -> Step {
        if self.shared.core.stop.state.has_been_told() {
            self.finish(End::Drained);
            return Step::Next;
        }
        // The handler may have taken its time; the wait begins now.
        worker.set_now(Instant::now());
        if self.in_message != in_message {
            self.in_message = in_message;
            self.waiting_since = None;
        }
        // The deadline of a message counts from its first byte, however often a byte of it arrives; that of an idle
        // connection from the last message of the peer, however often others send to it.
        self.waiting_since.get_or_insert_with(|| worker.now());
        let class = if in_message { Class::Message } else { Class::Idle };
        let wait = self.wait_for(class, worker.now());
        if in_message && wait.timeout.is_some_and(|timeout| timeout.is_zero()) {
            // Bytes that trickle in faster than the timers look would be ready each time.
            self.give_up(class);
            return Step::Next;
        }
        Step::Turn(Turn::Park(wait))
    }

    /// Makes the handler if it is not there yet, and calls `handle`.
    fn call(&mut self, worker: &mut Worker, budget: &mut u32) -> Step {
        self.check_total(Instant::now);
        let Phase::Open(request, handler) = &mut self.phase else { return Step::Next };
        if handler.is_none() {
            match guarded(Stage::Setup, || {
                let mut made = self.shared.factory.make_with_id(request, self.id);
                made.setup(request).map(|()| made)
            }) {
                Ok(Ok(made)) => *handler = Some(made),
                Ok(Err(error)) => return self.failed(RequestError::failed(Stage::Setup, error)),
                Err(error) => return self.failed(error),
            }
        }
        let Some(handler) = handler else { return Step::Next };
        let before = request.progress();
        let outcome = guarded(Stage::Handle, || handler.handle(request));
        self.calls += 1;
        let after = request.progress();
        let flow = match outcome {
            Ok(Ok(flow)) => flow,
            Ok(Err(error)) => return self.failed(RequestError::failed(Stage::Handle, error)),
            Err(error) => return self.failed(error),
        };
        let took = after.consumed > before.consumed;
        if took {
            self.waiting_since = None;
        }
        match flow {
            Flow::Close => self.finish(End::HandlerClosed),
            Flow::Detach => return Step::Turn(Turn::Detach),
            Flow::Continue | Flow::Flush if !after.repeats => self.finish(End::HandlerClosed),
            Flow::Flush => {
                self.needs_input = false;
                *budget = budget.saturating_sub(1);
                if *budget == 0 {
                    return Step::Turn(Turn::Again);
                }
            }
            Flow::Continue => {
                // Unread bytes are as good as new ones, but not those that the handler has just left: it needs more.
                self.needs_input = after.unread == 0 || !took;
                *budget = budget.saturating_sub(1);
                self.gathering = after.gathering && !self.needs_input && *budget > 0;
                if after.unread == 0 && !after.maybe_more {
                    match request.flush_output() {
                        Ok(true) => return self.park(false, worker),
                        Ok(false) => {}
                        Err(error) => return self.failed(RequestError::failed(Stage::Handle, error)),
                    }
                }
                if *budget == 0 {
                    if self.shared.core.stop.is_stopping() {
                        self.finish(End::Drained);
                        return Step::Next;
                    }
                    // A message has its time also while its bytes come faster than they are taken in.
                    if self.needs_input
                        && after.unread > 0
                        && let Step::Next = self.park(true, worker)
                    {
                        return Step::Next;
                    }
                    return Step::Turn(Turn::Again);
                }
            }
        }
        Step::Next
    }

    fn failed(&mut self, error: RequestError) -> Step {
        self.fail(error);
        Step::Next
    }

    /// As in Python, `finish` comes first, and then `handle_error`.
    fn fail(&mut self, error: RequestError) {
        let second = self.run_finish(End::of(&error));
        let gone = error.is_disconnect();
        for error in [Some(error), second].into_iter().flatten() {
            self.shared.report(error, Some(self.id), self.client_address());
        }
        if gone {
            self.phase = Phase::Gone;
        }
    }

    fn client_address(&self) -> Option<&<T::Request as Request>::Addr> {
        match &self.phase {
            Phase::Pending(pending) => pending.client_address(),
            Phase::Open(request, _) | Phase::Closing(request) => request.client_address(),
            Phase::Gone => None,
        }
    }

    /// Runs the handler's `finish` if its `setup` has succeeded, and begins to close.
    fn finish(&mut self, end: End) {
        if let Some(error) = self.run_finish(end) {
            self.shared.report(error, Some(self.id), self.client_address());
        }
    }

    fn run_finish(&mut self, end: End) -> Option<RequestError> {
        self.end.get_or_insert(end);
        let (mut request, handler) = match std::mem::replace(&mut self.phase, Phase::Gone) {
            Phase::Open(request, handler) => (request, handler),
            other => {
                self.phase = other;
                return None;
            }
        };
        let mut failure = None;
        if let Some(mut handler) = handler {
            let outcome = guarded(Stage::Finish, || {
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
        self.transferred = request.progress().transferred;
        self.phase = Phase::Closing(request);
        failure
    }

    /// Sends the rest, says that no more will come, reads until the peer has closed too (or for a while), closes.
    ///
    /// Without the reading, input that nobody has read would make the kernel reset the connection, and the reset could
    /// overtake the answer (RFC 1122, 4.2.2.13; RFC 9112, 9.6).
    fn close(&mut self, worker: &mut Worker) -> Turn {
        let Phase::Closing(request) = &mut self.phase else { return Turn::Done };
        request.take_replies(&mut worker.outbox);
        let options = &self.shared.core.options;
        if let Closing::Flush = self.closing {
            match request.flush_output() {
                Ok(false) => return self.wait_for_room(worker),
                Ok(true) => {}
                Err(error) => {
                    let error = RequestError::failed(Stage::Close, error);
                    if !error.is_disconnect() {
                        self.shared.report(error, Some(self.id), request.client_address());
                    }
                    return Turn::Done;
                }
            }
            let lingers = request.descriptor().is_some();
            if self.end == Some(End::PeerClosed) || request.shutdown_request().is_err() || !lingers {
                return Turn::Done;
            }
            // Handlers before this one may have taken their time; the linger begins now.
            worker.set_now(Instant::now());
            self.closing = Closing::Linger { since: worker.now(), discarded: 0, heard: None, stopping: false };
        }
        let Closing::Linger { since, discarded, heard, stopping } = &mut self.closing else { return Turn::Done };
        match request.discard_input() {
            Discard::End => return Turn::Done,
            Discard::More { discarded: 0 } => {}
            Discard::More { discarded: more } => {
                *discarded += more;
                *heard = Some(worker.now());
            }
        }
        let quiet = heard.is_none_or(|heard| worker.now().saturating_duration_since(heard) >= STOPPING_LINGER);
        let spent = worker.now().saturating_duration_since(*since);
        *stopping = self.shared.core.stop.is_stopping();
        // A stopping server owes patience only to those who are still sending.
        if *discarded > options.linger_bytes || spent >= options.linger_timeout || (*stopping && quiet) {
            return Turn::Done;
        }
        Turn::Park(self.wait_for(Class::Linger, worker.now()))
    }
}

enum Step {
    Next,
    Turn(Turn),
}
