//! The server: a transport, a dispatch and a handler factory, driven by one loop.
//!
//! | Python's step | where it happens |
//! |---|---|
//! | `server_bind`, `server_activate` | [`Bind::bind`], called by [`builder`] |
//! | `serve_forever` | here, [`crate::engine::serve_loop`], [`crate::dispatch`] |
//! | `handle_request`, `handle_timeout` | [`step`] |
//! | `get_request` | [`crate::engine::acceptor`] |
//! | `process_request` | [`crate::dispatch`] |
//! | `verify_request`, `finish_request`, `shutdown_request`, `close_request`, `handle_error` | [`crate::engine::job`] |
//! | `service_actions` | [`crate::engine::serve_loop`] |
//! | `shutdown` | [`crate::stop`] |
//! | `server_close` | dropping the server |

pub(crate) mod builder;
pub(crate) mod step;

use std::fmt;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Instant;

use self::builder::Builder;
use crate::dispatch::Process;
use crate::dispatch::ServesInBackground;
use crate::dispatch::drain::drain;
use crate::engine::acceptor::Acceptor;
use crate::engine::core::Shared;
use crate::engine::job::Job;
use crate::engine::listening::Listening;
use crate::engine::listening::Reporter;
use crate::engine::report::Report;
use crate::engine::report::Stats;
use crate::engine::report::StatsHandle;
use crate::engine::serve_loop::ServeLoop;
use crate::error::BindError;
use crate::error::ServeError;
use crate::handler::Function;
use crate::handler::HandlerFactory;
use crate::handler::HandlerResult;
use crate::options::ServerOptions;
use crate::panics::Thrown;
use crate::stop::StopHandle;
use crate::transport::Bind;
use crate::transport::Transport;

/// A server put together from a transport `T`, a dispatch `D` and a handler factory `H`.
///
/// It is made bound and listening, knows its address, and serves when told to. Dropping it closes the listener, ends
/// what still runs, and waits for that as long as a drain may take: Python's `server_close` and the end of its `with`
/// block.
///
/// ```
/// use std::io::{BufRead, Write};
/// use socketserver::{Flow, ThreadingTcpServer};
///
/// let server = ThreadingTcpServer::bind_fn("127.0.0.1:0", |request| {
///     let mut line = String::new();
///     request.read_line(&mut line)?;
///     request.write_all(line.to_uppercase().as_bytes())?;
///     Ok(Flow::Continue)
/// })?;
/// let address = server.local_addr();
/// let server = server.serve_in_background()?;
///
/// let mut client = std::net::TcpStream::connect(address)?;
/// client.write_all(b"hello\n")?;
/// let mut answer = String::new();
/// std::io::BufReader::new(&client).read_line(&mut answer)?;
/// assert_eq!(answer, "HELLO\n");
///
/// let report = server.shutdown()?;
/// assert_eq!(report.accepted, 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Server<T: Transport, D: Process<Job<T, H>>, H: HandlerFactory<T::Request>> {
    state: State<T, D, H>,
    address: T::Addr,
    shared: Arc<Shared<H>>,
    dispatch: D,
}

#[allow(clippy::large_enum_variant, reason = "one for each server, and it does not move while it serves")]
enum State<T: Transport, D: Process<Job<T, H>>, H: HandlerFactory<T::Request>> {
    /// No request has been asked for yet, or none could be.
    Bound(Listening<T, H>),
    /// From the first request on.
    Serving(Serving<T, D, H>),
    /// Between two states, and at the end.
    Moved,
}

/// The loop and what the dispatch has running.
struct Serving<T: Transport, D: Process<Job<T, H>>, H: HandlerFactory<T::Request>> {
    running: D::Running,
    serve_loop: ServeLoop<Job<T, H>>,
}

impl<T: Transport, D: Process<Job<T, H>>, H: HandlerFactory<T::Request>> State<T, D, H> {
    fn serving(&mut self) -> Option<&mut Serving<T, D, H>> {
        match self {
            Self::Serving(serving) => Some(serving),
            Self::Bound(_) | Self::Moved => None,
        }
    }
}

impl<T: Bind, D: Process<Job<T, H>> + Default, H: HandlerFactory<T::Request>> Server<T, D, H> {
    /// A server with default options, bound to `address` and listening there. `factory` makes its handlers: a closure
    /// such as `|| Upper`, or a type with hooks.
    ///
    /// # Errors
    ///
    /// The address cannot be resolved, is in use, not local, or not allowed.
    pub fn bind(address: impl Into<T::Address>, factory: H) -> Result<Self, BindError> {
        Builder::new(factory).bind(address)
    }

    /// A builder, which takes options first and the address last.
    pub fn builder(factory: H) -> Builder<T, D, H> {
        Builder::new(factory)
    }
}

impl<T, D, F> Server<T, D, Function<F>>
where
    T: Bind,
    D: Process<Job<T, Function<F>>> + Default,
    F: Fn(&mut T::Request) -> HandlerResult,
{
    /// Like [`bind`](Self::bind), for a handler that is a function: `|request| { ..; Ok(Flow::Continue) }`.
    ///
    /// # Errors
    ///
    /// As [`bind`](Self::bind).
    pub fn bind_fn(address: impl Into<T::Address>, function: F) -> Result<Self, BindError> {
        Self::builder_fn(function).bind(address)
    }

    /// Like [`builder`](Self::builder), for a handler that is a function.
    pub fn builder_fn(function: F) -> Builder<T, D, Function<F>> {
        Builder::new(crate::handler::function(function))
    }
}

impl<T: Transport, D: Process<Job<T, H>>, H: HandlerFactory<T::Request>> Server<T, D, H> {
    /// A server over a custom transport, with default options.
    ///
    /// # Errors
    ///
    /// The dispatch has a setting that cannot work, or the system is out of descriptors.
    pub fn new(transport: T, dispatch: D, factory: H) -> Result<Self, BindError> {
        Self::with_options(transport, dispatch, factory, ServerOptions::default())
    }

    /// A server over a custom transport, with these options.
    ///
    /// # Errors
    ///
    /// An option of the server or of the dispatch has a value that cannot work, or the system is out of descriptors.
    pub fn with_options(transport: T, dispatch: D, factory: H, options: ServerOptions) -> Result<Self, BindError> {
        dispatch.check()?;
        builder::assemble(transport, dispatch, factory, options)
    }

    /// The actual address, with the assigned port if port 0 was requested. Python's `server_address`.
    pub fn local_addr(&self) -> T::Addr {
        self.address.clone()
    }

    /// The factory, and whatever it shares with its handlers.
    pub fn factory(&self) -> &H {
        &self.shared.factory
    }

    /// A handle to stop, pause and resume this server from anywhere, at any time.
    pub fn stop_handle(&self) -> StopHandle {
        self.shared.core.stop.clone()
    }

    /// The current counters.
    pub fn stats(&self) -> Stats {
        Stats::of(&self.shared.core)
    }

    /// A handle to read the counters from anywhere, even while the server serves.
    pub fn stats_handle(&self) -> StatsHandle {
        StatsHandle { core: Arc::clone(&self.shared.core) }
    }

    /// Serves until it is [stopped](StopHandle), drains, and returns a report.
    ///
    /// At a stop, the server stops accepting; clients in the backlog see a close, not a reset; the listener is closed;
    /// idle connections are closed; busy ones continue until they are done, or until the drain's deadline interrupts
    /// their reads and writes. This returns at most 100 ms after that deadline, unless a handler is computing on this
    /// very thread (`Sync`).
    ///
    /// # Errors
    ///
    /// - The dispatch cannot start: no threads, no descriptors, `Fork` in a process with several threads.
    /// - The listener is broken, or waiting for events fails. Connections have been drained nevertheless.
    /// - A handler panicked and the policy is [`PanicPolicy::Stop`](crate::PanicPolicy::Stop).
    pub fn serve_forever(mut self) -> Result<Report, ServeError> {
        self.start()?;
        let begun = Instant::now();
        let outcome = self.serve();
        self.end();
        // A stop that came before has waited for this.
        let drained_in =
            self.shared.core.stop.state.told_at().map(|told| told.max(begun).elapsed()).unwrap_or_default();
        outcome?;
        if let Some(message) = self.shared.core.panicked.get() {
            return Err(ServeError::Panicked { message });
        }
        Ok(Report::new(&self.shared.core, drained_in))
    }

    #[cfg(all(unix, feature = "systemd"))]
    pub(crate) fn core(&self) -> &crate::engine::core::Core {
        &self.shared.core
    }

    /// Starts what is needed, the first time. A start that fails leaves the server as it was.
    fn start(&mut self) -> Result<(), ServeError> {
        let listening = match std::mem::replace(&mut self.state, State::Moved) {
            State::Bound(listening) => listening,
            state => {
                self.state = state;
                return Ok(());
            }
        };
        let mut serve_loop = match ServeLoop::new(&self.address.to_string(), Reporter::new(&self.shared)) {
            Ok(serve_loop) => serve_loop,
            Err(error) => {
                self.state = State::Bound(listening);
                return Err(error);
            }
        };
        let acceptor = serve_loop.acceptor.insert(Acceptor::new(listening));
        acceptor.announce();
        match self.dispatch.start(&mut serve_loop) {
            Ok(running) => {
                self.state = State::Serving(Serving { running, serve_loop });
                Ok(())
            }
            Err(error) => {
                if let Some(acceptor) = serve_loop.acceptor.take() {
                    self.state = State::Bound(acceptor.give_back());
                }
                Err(error)
            }
        }
    }

    fn serve(&mut self) -> Result<(), ServeError> {
        let Some(Serving { running, serve_loop }) = self.state.serving() else { return Ok(()) };
        self.dispatch.serve(running, serve_loop)
    }

    /// Drains, if it has served, and closes the listener.
    fn end(&mut self) {
        if let State::Serving(Serving { mut running, mut serve_loop }) =
            std::mem::replace(&mut self.state, State::Moved)
        {
            drain(&self.dispatch, &mut running, &mut serve_loop);
        }
    }
}

impl<T, D, H> Server<T, D, H>
where
    T: Transport + Send,
    D: Process<Job<T, H>> + Send + 'static,
    H: HandlerFactory<T::Request> + Send + Sync + 'static,
    Self: Send,
{
    /// Like [`serve_forever`](Self::serve_forever), on a new thread.
    ///
    /// # Errors
    ///
    /// The thread cannot be started.
    pub fn serve_in_background(self) -> Result<BackgroundServer<T::Addr>, ServeError>
    where
        // Here, so that the compiler says what is wrong with `Fork` and not only that the method is not there.
        D: ServesInBackground,
    {
        let address = self.local_addr();
        let stop = self.stop_handle();
        let stats = self.stats_handle();
        let thread = std::thread::Builder::new()
            .name("socketserver".to_owned())
            .spawn(move || self.serve_forever())
            .map_err(|source| ServeError::Start { dispatch: D::NAME, source })?;
        Ok(BackgroundServer { address, stop, stats, thread: Some(thread) })
    }
}

/// A server that runs on its own thread. Dropping it stops the server and waits for the drain.
#[derive(Debug)]
#[must_use = "dropping it stops the server"]
pub struct BackgroundServer<A> {
    address: A,
    stop: StopHandle,
    stats: StatsHandle,
    thread: Option<JoinHandle<Result<Report, ServeError>>>,
}

impl<A: Clone> BackgroundServer<A> {
    /// The address the server listens on.
    pub fn local_addr(&self) -> A {
        self.address.clone()
    }

    /// A handle to stop, pause and resume the server.
    pub fn stop_handle(&self) -> StopHandle {
        self.stop.clone()
    }

    /// The current counters.
    pub fn stats(&self) -> Stats {
        self.stats.snapshot()
    }

    /// A handle to read the counters from anywhere.
    pub fn stats_handle(&self) -> StatsHandle {
        self.stats.clone()
    }

    /// Whether the server has ended, so that [`join`](Self::join) returns at once: it was stopped by a [`StopHandle`],
    /// or it has failed.
    pub fn is_finished(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// Stops the server, waits for its drain, and returns its report.
    ///
    /// # Errors
    ///
    /// As [`Server::serve_forever`].
    pub fn shutdown(self) -> Result<Report, ServeError> {
        self.stop.shutdown();
        self.join()
    }

    /// Blocks until the server has been stopped by a [`StopHandle`], and returns its report.
    ///
    /// # Errors
    ///
    /// As [`Server::serve_forever`].
    ///
    /// # Panics
    ///
    /// If the serving thread has panicked, which is a bug of this crate.
    pub fn join(mut self) -> Result<Report, ServeError> {
        let thread = self.thread.take().expect("joined once");
        thread.join().unwrap_or_else(|payload| std::panic::resume_unwind(payload))
    }
}

impl<A> Drop for BackgroundServer<A> {
    fn drop(&mut self) {
        if let Some(thread) = self.thread.take() {
            self.stop.shutdown();
            // Nothing is left to take its report; a panic of it has been printed.
            let _ = thread.join().map_err(Thrown::new);
        }
    }
}

impl<T: Transport, D: Process<Job<T, H>>, H: HandlerFactory<T::Request>> Drop for Server<T, D, H> {
    fn drop(&mut self) {
        if self.state.serving().is_some() {
            self.shared.core.stop.shutdown();
            self.end();
        }
    }
}

impl<T: Transport, D: Process<Job<T, H>>, H: HandlerFactory<T::Request>> fmt::Debug for Server<T, D, H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counts = self.stats();
        f.debug_struct("Server").field("dispatch", &self.dispatch).field("counts", &counts).finish_non_exhaustive()
    }
}

#[cfg(unix)]
impl<T, D, H> std::os::fd::AsFd for Server<T, D, H>
where
    T: Transport,
    D: Process<Job<T, H>>,
    H: HandlerFactory<T::Request>,
{
    /// The listener's descriptor, to wait for it elsewhere: Python's `fileno`.
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        let listening = match &self.state {
            State::Bound(listening) => Some(listening),
            State::Serving(serving) => serving.serve_loop.acceptor.as_ref().map(|acceptor| &acceptor.source),
            State::Moved => None,
        };
        listening.expect("a server that can be named has its listener: serving consumes it").transport.descriptor()
    }
}
