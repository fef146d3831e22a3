//! One request at a time: Python's `handle_request`, for loops of one's own.

use std::time::Duration;
use std::time::Instant;

use super::Server;
use crate::dispatch::Process;
use crate::engine::core::guarded;
use crate::engine::job::Job;
use crate::engine::task::Report;
use crate::engine::task::Source;
use crate::error::ServeError;
use crate::error::Stage;
use crate::handler::HandlerFactory;
use crate::limits::accept_policy::AcceptVerdict;
use crate::limits::accept_policy::classify;
use crate::sys::wait::Interest;
use crate::sys::wait::Woken;
use crate::sys::wait::wait;
use crate::transport::Transport;

/// What [`Server::handle_request`] did.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Handled {
    /// A request was taken and handed to the dispatch: under `Sync` it is over, under the others it may still run.
    Request,
    /// The server has been told to stop.
    Stopping,
    /// None came in time; `handle_timeout` was called.
    TimedOut,
}

impl<T: Transport, D: Process<Job<T, H>>, H: HandlerFactory<T::Request>> Server<T, D, H> {
    /// Waits for one request, at most for the builder's `request_timeout`, and hands it to the dispatch.
    ///
    /// With the `max_connections` all taken, it first waits for a place.
    ///
    /// # Errors
    ///
    /// As [`serve_forever`](Self::serve_forever). Errors of one connection are not among them: those go to
    /// `handle_error`.
    pub fn handle_request(&mut self) -> Result<Handled, ServeError> {
        let until = crate::request::deadline(self.shared.core.options.request_timeout);
        let mut session = self.session()?;
        let outcome = loop {
            match step(&mut session, &self.dispatch, until) {
                Ok(None) => {}
                Ok(Some(handled)) => break Ok(handled),
                Err(error) => break Err(error),
            }
        };
        let reporter = session.serve_loop.reporter.clone();
        self.session = Some(session);
        if let Ok(Handled::TimedOut) = outcome
            && let Err(error) = guarded(Stage::ServiceActions, || self.shared.factory.handle_timeout())
        {
            reporter.error(error);
        }
        outcome
    }
}

/// How often a wait for a place looks at what cannot wake it.
const PACE: Duration = Duration::from_millis(20);

/// Waits once and accepts once; `None` to try again.
fn step<T: Transport, D: Process<Job<T, H>>, H: HandlerFactory<T::Request>>(
    session: &mut super::Session<T, D, H>,
    dispatch: &D,
    until: Option<Instant>,
) -> Result<Option<Handled>, ServeError> {
    let super::Session { running, serve_loop } = session;
    let reporter = serve_loop.reporter.clone();
    let core = reporter.core();
    let stop = &core.stop.state;
    if stop.is_stopping() {
        return Ok(Some(Handled::Stopping));
    }
    dispatch.service(running, serve_loop);
    let Some(acceptor) = &mut serve_loop.acceptor else { return Ok(Some(Handled::Stopping)) };
    let failed = |source| ServeError::Wait { address: acceptor.address().to_owned(), source };
    let Some(permit) = core.permits.try_acquire() else {
        let now = Instant::now();
        if until.is_some_and(|until| now >= until) {
            return Ok(Some(Handled::TimedOut));
        }
        // A place that is given back ends the wait at once; a stop, and the exit of a child, are looked for at this
        // pace.
        let pace = now + PACE;
        core.permits.wait_for_place(until.map_or(pace, |until| until.min(pace)));
        return Ok(None);
    };
    if !acceptor.source.has_buffered() {
        let descriptor = acceptor.source.descriptor();
        match wait(descriptor, Interest::Read, &[Some(&stop.draining)], until).map_err(failed)? {
            Woken::Ready => {}
            Woken::Signal(_) => return Ok(Some(Handled::Stopping)),
            Woken::TimedOut => return Ok(Some(Handled::TimedOut)),
        }
    }
    match acceptor.source.accept(permit, Instant::now()) {
        Ok(job) => {
            if let Err(rejected) = dispatch.process_request(running, serve_loop, *job) {
                rejected.close();
            }
            Ok(Some(Handled::Request))
        }
        Err(error) => match classify(&error) {
            AcceptVerdict::Wait | AcceptVerdict::Retry => Ok(None),
            AcceptVerdict::BackOff => {
                reporter.error(crate::RequestError::failed(Stage::Accept, error));
                // A pause that a stop ends; the deadline still holds.
                let pause = Instant::now() + Duration::from_millis(5);
                let pause = until.map_or(pause, |until| until.min(pause));
                wait(stop.draining.descriptor(), Interest::Read, &[], Some(pause))
                    .map_err(|source| ServeError::Wait { address: String::new(), source })?;
                let over = until.is_some_and(|until| Instant::now() >= until);
                Ok(over.then_some(Handled::TimedOut))
            }
            AcceptVerdict::Fatal => Err(ServeError::Accept { address: acceptor.address().to_owned(), source: error }),
        },
    }
}
