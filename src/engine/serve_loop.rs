//! The serve loop: wait, accept, hand over. Written once; every dispatch drives it, from whichever thread waits.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use super::acceptor::Acceptor;
use super::acceptor::LISTENER;
use super::errands::Scene;
use crate::engine::job::Job;
use crate::engine::source::Observe;
use crate::engine::task::Task;
use crate::error::RequestError;
use crate::error::ServeError;
use crate::error::Stage;
use crate::handler::HandlerFactory;
use crate::park::ParkingPlace;
use crate::park::token::Class;
use crate::park::token::Token;
#[cfg(unix)]
use crate::sys::child::Child;
use crate::sys::poller::Events;
use crate::sys::poller::NOTIFIED;
use crate::transport::Transport;

/// The token of the control flag in the poller.
const CONTROL: u64 = u64::MAX - 3;

/// The token of the errands' descriptors in the poller.
pub(crate) const ERRAND: u64 = u64::MAX - 4;

/// Tokens from here up are not connections. Watches of dispatches (children) have this plus a number below 2^31.
const SPECIAL: u64 = Token::END;

/// Something for the dispatch to do.
#[derive(Debug)]
pub(crate) enum Ready<J> {
    /// A request was accepted.
    New(Box<J>),
    /// A parked connection may have news; its job is in the parking place.
    Event { token: Token, hangup: bool },
    /// A parked connection's deadline has passed.
    Expired { token: Token, class: Class, job: Box<J> },
    /// A descriptor of the dispatch's own is ready.
    #[cfg_attr(not(unix), allow(dead_code, reason = "read by Fork"))]
    Watched(u32),
}

/// The serve loop, which a dispatch drives: each turn waits for an event and returns it.
pub struct ServeLoop<J: Task> {
    pub(crate) park: Arc<ParkingPlace<Box<J>>>,
    pub(crate) reporter: J::Reporter,
    /// Taken out while another thread (the leader of a pool) accepts.
    pub(crate) acceptor: Option<Acceptor<J>>,
    pub(crate) waiter: Waiter,
}

/// What the thread that polls needs.
#[derive(Debug)]
pub(crate) struct Waiter {
    /// Where the server listens, for errors.
    address: String,
    events: Events,
    next_service: Option<Instant>,
    /// While stopping: until when the next turn may block; `None` for not at all.
    until: Option<Instant>,
    /// The dispatch has something to look after at this time.
    look_again: Option<Instant>,
    /// Whether there are errands to be run.
    pub(crate) errands: Attention,
}

/// What the serve loop has for its errands.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Attention {
    /// Serving has not begun, although this loop turns.
    #[cfg_attr(not(unix), allow(dead_code, reason = "set by PreFork"))]
    NotYet,
    /// At the next turn, before it waits.
    Now,
    /// At this time, and whenever there is news for them.
    At(Option<Instant>),
}

impl Waiter {
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// For a server at `address`.
    pub(crate) fn new(address: &str) -> Self {
        Self {
            address: address.to_owned(),
            events: Events::new(),
            next_service: None,
            until: None,
            look_again: None,
            errands: Attention::Now,
        }
    }

    /// While the server drains, the next turn may wait until then; otherwise it does not wait at all.
    pub(crate) fn wait_until(&mut self, until: Instant) {
        self.until = Some(until);
    }

    /// One turn of the loop: waits, accepts, sorts out what is ready, and runs `service_actions`.
    ///
    /// Returns at once with what is there if `busy`. After a stop it returns without waiting.
    pub(crate) fn turn<J: Task>(
        &mut self,
        park: &ParkingPlace<Box<J>>,
        reporter: &J::Reporter,
        mut acceptor: Option<&mut Acceptor<J>>,
        busy: bool,
        ready: &mut Vec<Ready<J>>,
    ) -> Result<(), ServeError> {
        let core = reporter.core();
        let before = Instant::now();
        self.attend(park, reporter, acceptor.as_deref(), false, before);
        let mut accept_in = None;
        if let Some(acceptor) = &mut acceptor {
            acceptor.review(&park.poller, before)?;
            accept_in = acceptor.next_try(before);
        }
        let look_again = self.look_again.map(|at| at.saturating_duration_since(before));
        let errands = match self.errands {
            Attention::At(at) => at.map(|at| at.saturating_duration_since(before)),
            Attention::Now | Attention::NotYet => None,
        };
        let timeouts = [accept_in, self.until_service(reporter, before), look_again, errands];
        let mut timeout = timeouts.into_iter().flatten().min();
        if core.stop.is_stopping() {
            let at_most = self.until.take().map_or(Duration::ZERO, |until| until.saturating_duration_since(before));
            timeout = Some(timeout.map_or(at_most, |timeout| timeout.min(at_most)));
        }
        if busy {
            timeout = Some(Duration::ZERO);
        }
        park.wait(&mut self.events, timeout)
            .map_err(|source| ServeError::Wait { address: self.address.clone(), source })?;
        let now = Instant::now();
        let mut news = false;
        let mut accept = accept_in.is_some_and(|delay| before + delay <= now);
        for event in self.events.iter() {
            match event.token {
                LISTENER => accept = true,
                CONTROL => {
                    let control = core.stop.state.control();
                    control.clear();
                    news = true;
                    // Where registrations fire once; the poller that takes it now took it before.
                    let _ = park.poller.rearm_level(control.descriptor(), CONTROL);
                    if let Some(acceptor) = &mut acceptor {
                        acceptor.released();
                        accept = true;
                    }
                }
                ERRAND => news = true,
                NOTIFIED => {}
                watched if watched >= SPECIAL => ready.push(Ready::Watched((watched & u64::from(u32::MAX)) as u32)),
                token => ready.push(Ready::Event { token: Token::from_raw(token), hangup: event.hangup }),
            }
        }
        park.notified(|token| ready.push(Ready::Event { token, hangup: false }));
        park.expired(now, |token, class, job| ready.push(Ready::Expired { token, class, job }));
        if let (Some(acceptor), true) = (&mut acceptor, accept) {
            acceptor.review(&park.poller, now)?;
            acceptor.accept_burst(park, now, |job| ready.push(Ready::New(job)))?;
        }
        self.attend(park, reporter, acceptor.as_deref(), news, now);
        self.serve_actions(reporter, now);
        Ok(())
    }

    /// Runs the errands, if it is time.
    fn attend<J: Task>(
        &mut self,
        park: &ParkingPlace<Box<J>>,
        reporter: &J::Reporter,
        acceptor: Option<&Acceptor<J>>,
        news: bool,
        now: Instant,
    ) {
        let due = match self.errands {
            Attention::NotYet => false,
            Attention::Now => true,
            Attention::At(at) => news || at.is_some_and(|at| at <= now),
        };
        if due {
            let listeners = acceptor.map(Acceptor::listeners).unwrap_or_default();
            let scene = Scene { poller: &park.poller, listeners, reporter, now };
            self.errands = Attention::At(reporter.core().errands.attend(&scene));
        }
    }

    fn until_service(&self, reporter: &impl Observe, now: Instant) -> Option<Duration> {
        let interval = reporter.core().options.service_interval?;
        // An interval that overflows `Instant` means never.
        now.checked_add(interval)?;
        Some(self.next_service.map_or(interval, |next| next.saturating_duration_since(now)))
    }

    fn serve_actions(&mut self, reporter: &impl Observe, now: Instant) {
        if reporter.core().stop.is_stopping() {
            return;
        }
        reporter.service_actions();
        self.next_service = reporter.core().options.service_interval.and_then(|interval| now.checked_add(interval));
    }
}

impl<J: Task> ServeLoop<J> {
    /// A loop without an acceptor yet, for a server at `address`.
    pub(crate) fn new(address: &str, reporter: J::Reporter) -> Result<Self, ServeError> {
        let failed = |source| ServeError::Wait { address: address.to_owned(), source };
        let park = ParkingPlace::new().map_err(failed)?;
        let control = reporter.core().stop.state.control().descriptor();
        park.poller.add_level(control, CONTROL).map_err(failed)?;
        Ok(Self { park: Arc::new(park), acceptor: None, reporter, waiter: Waiter::new(address) })
    }

    /// Waits for requests and hands each to `process_request`, until the server is told to stop.
    pub(crate) fn run_with(
        &mut self,
        ready: &mut Vec<Ready<J>>,
        mut process_request: impl FnMut(&mut Self, J) -> Result<(), Rejected<J>>,
    ) -> Result<(), ServeError> {
        loop {
            let outcome = self.turn(false, ready);
            // Also those of the last turn: they have been accepted.
            for event in ready.drain(..) {
                if let Ready::New(job) = event
                    && let Err(rejected) = process_request(self, *job)
                {
                    rejected.close();
                }
            }
            if !outcome? {
                return Ok(());
            }
        }
    }

    /// Tells the errands that the drain begins.
    pub(crate) fn tell_errands(&self) {
        let listeners = self.acceptor.as_ref().map(Acceptor::listeners).unwrap_or_default();
        let scene = Scene { poller: &self.park.poller, listeners, reporter: &self.reporter, now: Instant::now() };
        self.reporter.core().errands.stopping(&scene);
    }

    /// How many requests there are.
    pub(crate) fn in_use(&self) -> usize {
        self.reporter.core().permits.in_use()
    }

    /// Waits until no request is left; until `until` at the latest.
    pub(crate) fn wait_idle(&self, until: Instant) -> bool {
        self.reporter.core().permits.wait_idle(until)
    }

    /// Turns again at this time at the latest.
    #[cfg_attr(not(unix), allow(dead_code, reason = "called by Fork"))]
    pub(crate) fn look_again_at(&mut self, at: Option<Instant>) {
        self.waiter.look_again = at;
    }

    /// Waits until the poller has something; until `until` at the latest.
    pub(crate) fn wait_ready(&mut self, until: Instant) {
        self.waiter.wait_until(until);
    }

    /// One turn; false once the server has been told to stop.
    pub(crate) fn turn(&mut self, busy: bool, ready: &mut Vec<Ready<J>>) -> Result<bool, ServeError> {
        let Self { park, reporter, acceptor, waiter } = self;
        waiter.turn(park, reporter, acceptor.as_mut(), busy, ready)?;
        Ok(!reporter.core().stop.is_stopping())
    }

    /// Reports `number` in [`Ready::Watched`] once the child has ended, if the system tells.
    #[cfg(unix)]
    pub(crate) fn watch(park: &ParkingPlace<Box<J>>, child: &mut Child, number: u32) {
        child.watch(&park.poller, SPECIAL | u64::from(number));
    }

    /// What no other process would accept in time, when this one hands over.
    pub(crate) fn accept_received(&mut self) -> Vec<Box<J>> {
        let Self { acceptor, park, .. } = self;
        acceptor.as_mut().map(|acceptor| acceptor.accept_received(&park.poller, Instant::now())).unwrap_or_default()
    }

    /// Whether open connections may stay for an answer while the server drains.
    pub(crate) fn hands_over(&self) -> bool {
        self.reporter.core().stop.state.hands_over()
    }

    /// Ends accepting: the backlog is turned away, the listener closes.
    pub(crate) fn close_listener(&mut self) {
        if let Some(acceptor) = self.acceptor.take() {
            acceptor.close(&self.park.poller, Instant::now());
        }
    }
}

impl<J: Task> fmt::Debug for ServeLoop<J> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServeLoop").field("acceptor", &self.acceptor).finish_non_exhaustive()
    }
}

/// A request that a dispatch could not take, returned by value.
#[derive(Debug)]
pub struct Rejected<J> {
    job: J,
    error: std::io::Error,
}

impl<J: Task> Rejected<J> {
    /// Rejects `job` because of `error`.
    pub fn new(job: J, error: std::io::Error) -> Self {
        Self { job, error }
    }

    /// Takes the request back, to run it in another way.
    pub fn into_inner(self) -> J {
        self.job
    }

    /// Tells `handle_error` (at [`Stage::Dispatch`]) and closes the connection.
    pub(crate) fn close(self) {
        self.job.reject(RequestError::failed(Stage::Dispatch, self.error));
    }
}

/// For the compiler: the loop of a server whose parts are `Send` can move to another thread.
#[allow(dead_code, reason = "checked by the compiler, never called")]
fn a_serve_loop_is_send<T, H>(serve_loop: ServeLoop<Job<T, H>>) -> impl Send
where
    T: Transport<Pending: Send, Request: Send> + Send,
    H: HandlerFactory<T::Request, Handler: Send> + Send + Sync + 'static,
{
    serve_loop
}
