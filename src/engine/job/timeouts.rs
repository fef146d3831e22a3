//! How long a job waits for its peer: as long as what it waits for allows, and never beyond the time for the whole
//! request.

use std::time::Duration;
use std::time::Instant;

use super::Job;
use super::Phase;
use super::closing::Closing;
use super::closing::STOPPING_LINGER;
use super::parting::Parting;
use crate::end::End;
use crate::engine::drive::Turn;
use crate::engine::worker::Worker;
use crate::error::RequestError;
use crate::error::Stage;
use crate::error::timed_out;
use crate::handler::HandlerFactory;
use crate::park::Wait;
use crate::park::token::Class;
use crate::request::Request;
use crate::request::WHOLE_REQUEST;
use crate::request::pace::Due;
use crate::request::pace::Sending;
use crate::request::pace::after;
use crate::sys::Interest;
use crate::sys::wait::Woken;
use crate::sys::wait::wait;
use crate::transport::Transport;

/// The timers of parked connections have whole milliseconds: one that rings this early has rung for the deadline.
const ROUNDING: Duration = Duration::from_millis(2);

impl<T: Transport, H: HandlerFactory<T::Request>> Job<T, H> {
    /// What to wait for from `now` on.
    pub(super) fn wait_for(&self, class: Class, now: Instant) -> Wait {
        let left = |until: Instant| until.saturating_duration_since(now);
        let timeout = match class {
            Class::Idle | Class::Relay => {
                // Mostly it begins to wait just now, which needs no reckoning.
                let since = self.waiting_since.filter(|since| *since != now);
                let spent = since.map_or(Duration::ZERO, |since| now.saturating_duration_since(since));
                self.timeout(class).map(|timeout| timeout.saturating_sub(spent))
            }
            Class::Establish | Class::Message | Class::Write | Class::Linger => self.due(class).at.map(left),
        };
        let in_all = self.until().map(left);
        let timeout = [timeout, in_all].into_iter().flatten().min();
        Wait { class, timeout, interest: self.interest(class) }
    }

    /// How long a wait of this class may take: as the handler has set it, or the server.
    fn timeout(&self, class: Class) -> Option<Duration> {
        let options = &self.shared.core.options;
        let own = match &self.phase {
            Phase::Open(request, _) | Phase::Closing(request, _) => request.timeouts(),
            _ => None,
        };
        match (class, own) {
            (Class::Establish, _) => options.establish_timeout,
            (Class::Linger, _) => Some(options.linger_timeout),
            (Class::Idle | Class::Relay, own) => own.map_or(options.idle_timeout, |own| own.idle),
            (Class::Message, own) => own.map_or(options.read_timeout, |own| own.read),
            (Class::Write, own) => own.map_or(options.write_timeout, |own| own.write),
        }
    }

    /// What the socket needs to go on with a wait of this class.
    fn interest(&self, class: Class) -> Interest {
        let (Phase::Open(request, _) | Phase::Closing(request, _)) = &self.phase else { return Interest::Read };
        request.interest(if class == Class::Write { Interest::Write } else { Interest::Read })
    }

    /// What to wait for in the second phase of the transport. Its time counts from the accept.
    pub(super) fn wait_to_establish(&mut self, interest: Interest) -> Wait {
        self.waiting_since.get_or_insert(self.account.accepted_at);
        Wait { interest, ..self.wait_for(Class::Establish, Instant::now()) }
    }

    /// When a wait for what has begun is given up: all waits for the same thing share a deadline.
    fn due(&self, class: Class) -> Due {
        let core = &self.shared.core;
        let (options, rate) = (&core.options, core.session.min_rate);
        match (class, &self.phase) {
            (Class::Establish, Phase::Pending(_)) => {
                Due::first(after(self.account.accepted_at, options.establish_timeout), None)
            }
            // One that its handler has begun.
            (Class::Establish, Phase::Open(..)) => {
                let until = self.waiting_since.and_then(|since| after(since, options.establish_timeout));
                Due::first(until, None)
            }
            (Class::Message, Phase::Open(request, _)) => self.waiting_since.map_or_else(Due::default, |since| {
                let state = request.state();
                let taken = state.message_from.map_or(0, |from| state.consumed - from);
                let bytes = state.unread as u64 + taken;
                Due::first(after(since, self.timeout(class)), rate.and_then(|rate| rate.due(since, bytes)))
            }),
            (Class::Write, _) => {
                self.sending.as_ref().map_or_else(Due::default, |sending| sending.due(self.timeout(class), rate))
            }
            (Class::Linger, Phase::Closing(_, Closing::Linger(linger)) | Phase::Parting(_, Parting { linger, .. })) => {
                let silence = linger.heard.filter(|_| linger.stopping);
                let silent = silence.and_then(|heard| after(heard, Some(STOPPING_LINGER)));
                Due::first(after(linger.since, Some(options.linger_timeout)).into_iter().chain(silent).min(), None)
            }
            _ => Due::default(),
        }
    }

    /// Waits for the peer to take more of what is to be sent. What it sends meanwhile does not extend the deadline.
    #[cold]
    pub(super) fn wait_for_room(&mut self, worker: &mut Worker) -> Turn {
        let (Phase::Open(request, _) | Phase::Closing(request, _)) = &self.phase else { return Turn::Done };
        let state = request.state();
        if state.yielded {
            return Turn::Again;
        }
        // The handler may have taken its time; the wait begins now.
        let now = Instant::now();
        worker.set_now(now);
        let sent = state.traffic.sent;
        self.sending.get_or_insert_with(|| Box::new(Sending::new(now, sent))).update(now, sent);
        Turn::Park(self.wait_for(Class::Write, now))
    }

    /// When the time for the whole request is over.
    pub(super) fn until(&self) -> Option<Instant> {
        self.shared.core.options.total_timeout.and_then(|timeout| self.account.accepted_at.checked_add(timeout))
    }

    /// Ends the request if its time is over.
    pub(super) fn check_total(&mut self, now: impl FnOnce() -> Instant) {
        if let Some(until) = self.until()
            && now() >= until
        {
            self.run_out();
        }
    }

    /// The time for the whole request is over: an open one ends, one that is closing already is cut off.
    fn run_out(&mut self) {
        let error = timed_out(WHOLE_REQUEST, self.shared.core.options.total_timeout.unwrap_or_default());
        match &self.phase {
            Phase::Open(..) => self.fail(RequestError::failed(Stage::Handle, error)),
            Phase::Pending(_) => self.fail_to_establish(RequestError::failed(Stage::Establish, error)),
            Phase::Parting(..) | Phase::Closing(..) | Phase::Over(_) => self.give_connection_up(),
        }
    }

    /// The time of a wait is over. Unless the peer has done its part meanwhile, and this server was busy elsewhere:
    /// then the turn that follows goes on with it.
    pub(super) fn expire_wait(&mut self, class: Class) {
        if !self.is_ready(class) {
            self.give_up(class);
        }
    }

    fn is_ready(&self, class: Class) -> bool {
        // It is given up when its turn has found nothing to carry.
        if class == Class::Relay {
            return true;
        }
        // The time of a handshake is over whatever has arrived of it.
        if matches!(class, Class::Establish | Class::Linger) {
            return false;
        }
        let interest = self.interest(class);
        let (Phase::Open(request, _) | Phase::Closing(request, _)) = &self.phase else { return false };
        let ready = |descriptor| wait(descriptor, interest, &[], Some(Instant::now()));
        request.descriptor().is_some_and(|descriptor| matches!(ready(descriptor), Ok(Woken::Ready)))
    }

    /// A wait of this class has timed out.
    pub(super) fn give_up(&mut self, class: Class) {
        if self.until().is_some_and(|until| Instant::now() + ROUNDING >= until) {
            return self.run_out();
        }
        match class {
            Class::Establish => {
                let error = timed_out("establishing", self.shared.core.options.establish_timeout.unwrap_or_default());
                let error = RequestError::failed(Stage::Establish, error);
                if matches!(self.phase, Phase::Pending(_)) { self.fail_to_establish(error) } else { self.fail(error) }
            }
            Class::Idle | Class::Relay => self.finish(End::IdleTimeout),
            Class::Linger => self.give_connection_up(),
            Class::Message => {
                self.fail(self.too_slow(class, "receiving a message", self.timeout(class)));
            }
            Class::Write => {
                self.fail(self.too_slow(class, "sending", self.timeout(class)));
                // The peer does not read: it is not waited for again.
                self.give_connection_up();
            }
        }
    }

    fn too_slow(&self, class: Class, what: &str, timeout: Option<Duration>) -> RequestError {
        let error = match self.shared.core.session.min_rate {
            Some(rate) if self.due(class).by_rate => rate.error(what),
            _ => timed_out(what, timeout.unwrap_or_default()),
        };
        RequestError::failed(Stage::Handle, error)
    }
}
