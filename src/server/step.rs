//! One request at a time: Python's `handle_request`, for custom loops.

use std::time::Duration;
use std::time::Instant;

use super::Server;
use super::Serving;
use crate::dispatch::Process;
use crate::engine::acceptor::Accepted;
use crate::engine::core::guarded;
use crate::engine::job::Job;
use crate::engine::source::Observe;
use crate::error::ServeError;
use crate::error::Stage;
use crate::handler::HandlerFactory;
use crate::sys::wait::Woken;
use crate::sys::wait::wait_any;
use crate::transport::Transport;

/// What [`Server::handle_request`] did.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Handled {
    /// A request was accepted and passed to the dispatch: under `Sync` it is over, under the others it may still be
    /// running.
    Request,
    /// The server has been stopped.
    Stopping,
    /// No request came in time; `handle_timeout` was called.
    TimedOut,
}

impl<T: Transport, D: Process<Job<T, H>>, H: HandlerFactory<T::Request>> Server<T, D, H> {
    /// Waits for one request, at most for the builder's `request_timeout`, and passes it to the dispatch.
    ///
    /// While the server is [paused](crate::StopHandle::pause) or at its `max_connections`, this waits for that to end
    /// first.
    ///
    /// # Errors
    ///
    /// As [`serve_forever`](Self::serve_forever). Errors of a connection are not among them: those go to
    /// `handle_error`. If the dispatch could not be started (no descriptors, several threads under `Fork`), the server
    /// is unchanged, and this may be called again.
    pub fn handle_request(&mut self) -> Result<Handled, ServeError> {
        let until = crate::request::deadline(self.shared.core.options.request_timeout);
        self.start()?;
        let Some(serving) = self.state.serving() else { return Ok(Handled::Stopping) };
        let outcome = loop {
            match step(serving, &self.dispatch, until) {
                Ok(None) => {}
                Ok(Some(handled)) => break Ok(handled),
                Err(error) => break Err(error),
            }
        };
        if let Ok(Handled::TimedOut) = outcome
            && let Err(error) = guarded(Stage::ServiceActions, || self.shared.factory.handle_timeout())
        {
            serving.serve_loop.reporter.error(error);
        }
        outcome
    }
}

/// How often a server that does not accept now looks for what does not wake it: the exit of a child, say.
const RECHECK_INTERVAL: Duration = Duration::from_millis(20);

/// Waits once and accepts once; `None` to try again.
fn step<T: Transport, D: Process<Job<T, H>>, H: HandlerFactory<T::Request>>(
    serving: &mut Serving<T, D, H>,
    dispatch: &D,
    until: Option<Instant>,
) -> Result<Option<Handled>, ServeError> {
    let Serving { running, serve_loop } = serving;
    let reporter = serve_loop.reporter.clone();
    let core = reporter.core();
    let stop = &core.stop.state;
    if stop.is_stopping() {
        return Ok(Some(Handled::Stopping));
    }
    dispatch.service(running, serve_loop);
    let park = std::sync::Arc::clone(&serve_loop.park);
    let Some(acceptor) = &mut serve_loop.acceptor else { return Ok(Some(Handled::Stopping)) };
    match acceptor.accept_one(&park, Instant::now())? {
        Accepted::Job(job) => {
            if let Err(rejected) = dispatch.process_request(running, serve_loop, *job) {
                rejected.close();
            }
            return Ok(Some(Handled::Request));
        }
        Accepted::Lost => return Ok(None),
        Accepted::Nothing => {
            let failed = |source| ServeError::Wait { address: acceptor.address().to_owned(), source };
            match wait_any(&acceptor.listeners(), &[Some(&stop.draining)], until).map_err(failed)? {
                Woken::Ready => {}
                Woken::Flag(_) => return Ok(Some(Handled::Stopping)),
                Woken::TimedOut => return Ok(Some(Handled::TimedOut)),
            }
        }
        Accepted::Closed => {
            let now = Instant::now();
            if until.is_some_and(|until| now >= until) {
                return Ok(Some(Handled::TimedOut));
            }
            // A place that is given back ends the wait at once.
            let next_try = acceptor.next_try(now).map(|delay| now + delay);
            let recheck = now + RECHECK_INTERVAL;
            let pause = [until, next_try].into_iter().flatten().fold(recheck, Instant::min);
            if core.permits.wait_for_release(pause) {
                acceptor.released();
            }
        }
    }
    Ok(None)
}
