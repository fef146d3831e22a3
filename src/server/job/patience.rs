//! How long a job waits for its peer: as long as what it waits for allows, and never beyond the time for the whole request.

use std::io;
use std::time::Duration;
use std::time::Instant;

use super::Closing;
use super::Job;
use super::Phase;
use crate::dispatch::task::Turn;
use crate::dispatch::task::Worker;
use crate::error::RequestError;
use crate::error::Stage;
use crate::error::timed_out;
use crate::handler::End;
use crate::handler::HandlerFactory;
use crate::park::Wait;
use crate::park::timers::Class;
use crate::request::Request;
use crate::request::WHOLE_REQUEST;
use crate::sys::poller::Watch;
use crate::transport::Transport;

/// The timers of parked connections have whole milliseconds: one that rings so much early has rung for the deadline.
const ROUNDING: Duration = Duration::from_millis(2);

impl<T: Transport, H: HandlerFactory<T::Request>> Job<T, H> {
    /// What to wait for from `now` on.
    pub(super) fn wait_for(&self, class: Class, now: Instant) -> Wait {
        let options = &self.shared.core.options;
        // A wait that is one of several for the same thing has what the others have left.
        let (timeout, since, watch) = match (class, self.closing) {
            (Class::Idle, _) => (options.idle_timeout, self.waiting_since, Watch::Read),
            (Class::Message, _) => (options.read_timeout, self.waiting_since, Watch::Read),
            (Class::Write, _) => (options.write_timeout, self.stalled_since, Watch::Write),
            (Class::Linger, Closing::Linger { since, .. }) => (Some(options.linger_timeout), Some(since), Watch::Read),
            (Class::Linger, Closing::Flush) => (Some(options.linger_timeout), None, Watch::Read),
        };
        let spent = since.map_or(Duration::ZERO, |since| now.saturating_duration_since(since));
        let mut timeout = timeout.map(|timeout| timeout.saturating_sub(spent));
        if let Some(until) = self.until() {
            let left = until.saturating_duration_since(now);
            timeout = Some(timeout.map_or(left, |timeout| timeout.min(left)));
        }
        Wait { class, timeout, watch }
    }

    /// Waits for the peer to take more of what is to be sent. What it sends meanwhile does not extend the deadline.
    #[cold]
    pub(super) fn wait_for_room(&mut self, worker: &mut Worker) -> Turn {
        let (Phase::Open(request, _) | Phase::Closing(request)) = &self.phase else { return Turn::Done };
        let progress = request.progress();
        if progress.yielded {
            self.stalled_since = None;
            return Turn::Again;
        }
        // The handler may have taken its time; the wait begins now.
        worker.set_now(Instant::now());
        let (received, sent) = progress.transferred;
        if self.transferred.1 != sent {
            self.stalled_since = None;
        }
        self.transferred = (received, sent);
        self.stalled_since.get_or_insert_with(|| worker.now());
        Turn::Park(self.wait_for(Class::Write, worker.now()))
    }

    /// When the time for the whole request is over.
    pub(super) fn until(&self) -> Option<Instant> {
        self.shared.core.options.total_timeout.and_then(|timeout| self.accepted_at.checked_add(timeout))
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
            Phase::Closing(_) | Phase::Gone => self.phase = Phase::Gone,
        }
    }

    /// A wait of this class was in vain.
    pub(super) fn give_up(&mut self, class: Class) {
        if self.until().is_some_and(|until| Instant::now() + ROUNDING >= until) {
            return self.run_out();
        }
        match class {
            Class::Idle => self.finish(End::IdleTimeout),
            Class::Linger => self.phase = Phase::Gone,
            Class::Message => self.fail(self.too_slow("receiving a message", self.shared.core.options.read_timeout)),
            Class::Write => {
                self.fail(self.too_slow("sending", self.shared.core.options.write_timeout));
                // The peer does not read: waiting for it again would be in vain.
                self.phase = Phase::Gone;
            }
        }
    }

    fn too_slow(&self, what: &str, timeout: Option<Duration>) -> RequestError {
        let error: io::Error = timed_out(what, timeout.unwrap_or_default());
        RequestError::failed(Stage::Handle, error)
    }
}
