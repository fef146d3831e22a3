//! How requests are executed: on one thread, a thread per request, a process per request, or a pool.
//!
#![doc = include_str!("../../docs/dispatches.md")]
//!
//! A connection is idle while it waits for its client between two calls of `handle`: before its first byte, and after
//! [`Flow::Continue`](crate::Flow::Continue).
//!
//! # A custom dispatch
//!
//! Implement [`Dispatch`] and [`Process`]: `process_request` receives a [`Task`] and [runs](Task::run) it on a thread
//! of its choice, or returns it as [`Rejected`]. Require `J: Send + 'static` only if tasks go to other threads: then a
//! handler that is not `Send` does not compile.
//!
//! ```
//! use socketserver::ServeError;
//! use socketserver::dispatch::{Dispatch, Process, Rejected, ServeLoop, Task};
//!
//! /// A new thread for each request, with no limit but the builder's.
//! #[derive(Debug, Default)]
//! struct Detached;
//!
//! impl Dispatch for Detached {
//!     const NAME: &'static str = "Detached";
//! }
//!
//! impl<J: Task + Send + 'static> Process<J> for Detached {
//!     type Running = ();
//!
//!     fn start(&self, _: &mut ServeLoop<J>) -> Result<(), ServeError> {
//!         Ok(())
//!     }
//!
//!     fn process_request(&self, _: &mut (), _: &mut ServeLoop<J>, job: J) -> Result<(), Rejected<J>> {
//!         std::thread::spawn(move || job.run());
//!         Ok(())
//!     }
//! }
//! ```

pub(crate) mod drain;
#[cfg(unix)]
mod fork;
mod pool;
#[cfg(unix)]
mod prefork;
mod sync;
mod thread_per_request;

use std::fmt;
use std::time::Instant;

pub use crate::engine::task::Task;
#[cfg(unix)]
pub use fork::Fork;
pub use pool::Pool;
#[cfg(unix)]
pub use prefork::PreFork;
pub use sync::Sync;
pub use thread_per_request::ThreadPerRequest;

pub use crate::engine::job::Job;
pub use crate::engine::serve_loop::Rejected;
pub use crate::engine::serve_loop::ServeLoop;
use crate::error::ServeError;
use crate::handler::HandlerFactory;
use crate::transport::Transport;

/// A way to run requests, chosen by type.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a dispatch",
    note = "dispatches are `Sync`, `ThreadPerRequest`, `Fork`, `Pool`, and your own types that implement `Dispatch` and `Process`"
)]
pub trait Dispatch: fmt::Debug {
    /// Its name in error messages.
    const NAME: &'static str;

    /// The maximum number of concurrent requests it supports, if that is less than the builder's `max_connections`.
    fn limit(&self) -> Option<usize> {
        None
    }

    /// Whether its settings make sense; checked when the server is bound.
    ///
    /// # Errors
    ///
    /// [`BindError::Option`](crate::BindError::Option) names the setting and its value.
    fn check(&self) -> Result<(), crate::BindError> {
        Ok(())
    }
}

/// A dispatch that can run requests of the type `J`.
///
/// The requirements on a handler (`Send`, `'static`) are the bounds of the implementation, and made nowhere else.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot run these requests",
    note = "`ThreadPerRequest` and `Pool` move requests to other threads: the factory must be `Send + Sync + 'static` and its handlers `Send`; `Sync` and `Fork` ask for neither"
)]
pub trait Process<J: Task>: Dispatch + Sized {
    /// Its state while it runs: threads, children, queues. Dropping it ends them.
    type Running;

    /// Starts threads and the like, before the first request.
    ///
    /// # Errors
    ///
    /// No threads, no descriptors, or a process in which it cannot work.
    fn start(&self, serve_loop: &mut ServeLoop<J>) -> Result<Self::Running, ServeError>;

    /// Takes over a request: Python's `process_request`. It must not wait for the peer, unless that is its nature
    /// (`Sync`).
    ///
    /// # Errors
    ///
    /// The request by value, if it could not be taken; it is then closed, and `handle_error` is called.
    fn process_request(
        &self,
        running: &mut Self::Running,
        serve_loop: &mut ServeLoop<J>,
        job: J,
    ) -> Result<(), Rejected<J>>;

    /// Serves until told to stop.
    ///
    /// # Errors
    ///
    /// The listener is broken, or waiting failed.
    fn serve(&self, running: &mut Self::Running, serve_loop: &mut ServeLoop<J>) -> Result<(), ServeError> {
        let mut requests = Vec::new();
        serve_loop.run_with(&mut requests, |serve_loop, job| self.process_request(running, serve_loop, job))
    }

    /// Takes over a request that was accepted after the drain began. Unlike `process_request`, it never waits for the
    /// peer.
    ///
    /// # Errors
    ///
    /// As `process_request`.
    fn begin(&self, running: &mut Self::Running, serve_loop: &mut ServeLoop<J>, job: J) -> Result<(), Rejected<J>> {
        self.process_request(running, serve_loop, job)
    }

    /// Does periodic work between two calls of `handle_request`; must not block.
    fn service(&self, running: &mut Self::Running, serve_loop: &mut ServeLoop<J>) {
        let _ = (running, serve_loop);
    }

    /// Called repeatedly after `serve`, when the listener is closed, until no request is left or the deadline has
    /// passed. Waits for progress until `until` at the latest.
    fn drain(&self, running: &mut Self::Running, serve_loop: &mut ServeLoop<J>, until: Instant) {
        let _ = running;
        serve_loop.wait_idle(until);
    }

    /// Called when the drain's deadline has passed: cuts off what is left. Blocked reads and writes have already been
    /// interrupted.
    fn force(&self, running: &mut Self::Running, serve_loop: &mut ServeLoop<J>) {
        let _ = (running, serve_loop);
    }
}

/// A dispatch that can serve the transport `T` with the factory `H`: the bound of a function that is generic over
/// servers. Equivalent to `Process<Job<T, H>>`.
///
/// ```
/// use socketserver::dispatch::Serves;
/// use socketserver::{HandlerFactory, Report, ServeError, Server, Tcp, Transport};
///
/// fn serve<D: Serves<Tcp, H>, H: HandlerFactory<<Tcp as Transport>::Request>>(
///     server: Server<Tcp, D, H>,
/// ) -> Result<Report, ServeError> {
///     println!("listening on {}", server.local_addr());
///     server.serve_forever()
/// }
/// ```
pub trait Serves<T: Transport, H: HandlerFactory<T::Request>>: Process<Job<T, H>> {}

impl<T: Transport, H: HandlerFactory<T::Request>, D: Process<Job<T, H>>> Serves<T, H> for D {}

/// A dispatch whose server may run on a background thread; `Fork` and `PreFork` may not.
#[diagnostic::on_unimplemented(
    message = "a server with the dispatch `{Self}` cannot serve in the background",
    note = "`Fork` and `PreFork` need a process with one thread; use `serve_forever` on the main thread"
)]
pub trait ServesInBackground {}
