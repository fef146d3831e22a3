//! Choosing options before a server is bound.

mod sockets;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::Server;
use super::State;
use crate::dispatch::Process;
use crate::engine::core::Core;
use crate::engine::core::Shared;
use crate::engine::job::Job;
use crate::engine::listening::Listening;
use crate::error::BindError;
use crate::event::Event;
use crate::event::Observer;
use crate::handler::HandlerFactory;
use crate::handler::HandlerFactoryExt;
use crate::handler::Observed;
use crate::handler::OnError;
use crate::handler::OnService;
use crate::handler::OnTimeout;
use crate::handler::SpeaksFirst;
use crate::handler::Verify;
use crate::options::AtLimit;
use crate::options::PanicPolicy;
use crate::options::ServerOptions;
use crate::options::default_max_connections;
use crate::stop::StopHandle;
use crate::stop::StopState;
use crate::transport::Adopt;
use crate::transport::Bind;
use crate::transport::Transport;

/// Options of a server, and the address last: `TcpServer::builder(factory).backlog(128).bind("127.0.0.1:0")`.
///
/// Every option has a default that suits most servers, given in the documentation of its method. Options of a transport
/// exist only where they mean something: `reuse_port` on a Unix-domain socket does not compile. Timeouts take a
/// `Duration`, or `None` for no timeout; a timeout of zero would disconnect every client and is an error of
/// [`bind`](Self::bind), unless the method gives it a meaning.
#[must_use = "a builder does nothing until `bind` is called"]
pub struct Builder<T: Bind, D, H> {
    pub(super) transport: T::Options,
    pub(super) dispatch: D,
    pub(super) factory: H,
    pub(super) options: ServerOptions,
}

impl<T: Bind, D: Default, H> Builder<T, D, H> {
    /// A builder with every option at its default; `factory` makes the handlers.
    pub fn new(factory: H) -> Self {
        Self { transport: T::Options::default(), dispatch: D::default(), factory, options: ServerOptions::default() }
    }
}

impl<T: Bind, D, H> Builder<T, D, H> {
    /// Sets the dispatch, to change its settings: `.dispatch(Pool::new(4))`.
    pub fn dispatch(mut self, dispatch: D) -> Self {
        self.dispatch = dispatch;
        self
    }

    /// The maximum number of concurrent requests; the limit is exact. Default: 16 384, or three quarters of the
    /// descriptors the process may open, whichever is less; 40 children for `Fork`. [`at_limit`](Self::at_limit) sets
    /// what happens at the limit.
    pub fn max_connections(mut self, most: usize) -> Self {
        self.options.max_connections = Some(most);
        self
    }

    /// What happens when `max_connections` is reached. Default: [`AtLimit::Defer`]: clients wait in the backlog.
    pub fn at_limit(mut self, policy: AtLimit) -> Self {
        self.options.at_limit = policy;
        self
    }

    /// What happens when a handler panics. Default: [`PanicPolicy::Isolate`].
    pub fn panic_policy(mut self, policy: PanicPolicy) -> Self {
        self.options.panic_policy = policy;
        self
    }

    /// How long a connection may wait for its next message (or its first), and a [relay](crate::Flow::Relay) for a byte
    /// from either side. Default 60 s; `None` means no timeout.
    pub fn idle_timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.options.idle_timeout = timeout.into();
        self
    }

    /// How long a read, or the rest of a message that has begun to arrive, may take. Default 30 s; `None` means no
    /// timeout.
    pub fn read_timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.options.read_timeout = timeout.into();
        self
    }

    /// How long a blocking write may take, and how long a client may read nothing while output is pending. Default 30
    /// s; `None` means no timeout. [`min_rate`](Self::min_rate) sets how slowly it may read.
    ///
    /// For datagrams: how long replies may wait for room in the send buffer.
    pub fn write_timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.options.write_timeout = timeout.into();
        self
    }

    /// How long a handshake may take, whether of the transport or started by a handler. Default 5 s; `None` means no
    /// timeout.
    pub fn establish_timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.options.establish_timeout = timeout.into();
        self
    }

    /// How long a whole request may take, from accept to the end of its connection, whatever it is doing. Default
    /// `None`: as long as the other timeouts allow.
    ///
    /// Then a connection that waits in the poller is closed, and a read or write in which a handler blocks fails with
    /// [`TimedOut`](std::io::ErrorKind::TimedOut); the request ends with [`End::TimedOut`](crate::End::TimedOut),
    /// counts as failed, and is closed without lingering. A connection whose messages never pause is ended as well. A
    /// handler that computes is not interrupted: it ends at its next read, write or return. Under `Fork`, where that
    /// matters, `Fork::child_timeout` kills its process; make it longer than this timeout, so that children can finish
    /// cleanly.
    ///
    /// ```
    /// use std::time::Duration;
    /// use socketserver::{Flow, PoolTcpServer};
    ///
    /// let server = PoolTcpServer::builder_fn(|_| Ok(Flow::Close))
    ///     .total_timeout(Duration::from_secs(600))
    ///     .bind("127.0.0.1:0")?;
    /// # Ok::<(), socketserver::BindError>(())
    /// ```
    pub fn total_timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.options.total_timeout = timeout.into();
        self
    }

    /// The minimum rate, in bytes per second, at which a client has to send a message and to read replies, on average
    /// and after the [grace period](Self::rate_grace). Default 100; `None` allows any rate, and 0 is an error of
    /// `bind`.
    ///
    /// The rate is enforced only in the middle of something: of a message (unread bytes that the handler has left, as
    /// [`line`](crate::Stream::line) and [`frames`](crate::frames) do, or the rest of a `read_line`, `read_until`,
    /// `read_exact` or `read_to_end`), or of output that the client has not read yet. Each byte extends the deadline by
    /// its share, so that a client that sends or reads byte by byte times out, with
    /// [`End::TimedOut`](crate::End::TimedOut), even if the timeouts are long or disabled. It is not enforced between
    /// two messages, nor for bytes that `read` and `fill_buf` return as they arrive: only the handler knows whether
    /// more is due then.
    ///
    /// With the default timeouts, the only client it disconnects is one that reads a long response at under 800 bit/s.
    ///
    /// ```
    /// use std::time::Duration;
    /// use socketserver::{Flow, PoolTcpServer};
    ///
    /// // Uploads may take their time, at no less than 100 kB/s.
    /// let server = PoolTcpServer::builder_fn(|_| Ok(Flow::Close))
    ///     .read_timeout(None)
    ///     .min_rate(100_000)
    ///     .rate_grace(Duration::from_secs(5))
    ///     .bind("127.0.0.1:0")?;
    /// # Ok::<(), socketserver::BindError>(())
    /// ```
    pub fn min_rate(mut self, bytes_per_second: impl Into<Option<u32>>) -> Self {
        self.options.min_rate = bytes_per_second.into();
        self
    }

    /// How long a client may be slower than the [`min_rate`](Self::min_rate), counted separately for each message and
    /// for each reply that it does not read at once. Default 30 s; zero enforces the rate from the first byte on.
    pub fn rate_grace(mut self, grace: Duration) -> Self {
        self.options.rate_grace = grace;
        self
    }

    /// How long a call of `handle` may take before it is reported by [`Event::LongCall`](crate::Event::LongCall), under
    /// the dispatches whose threads serve many connections: `Sync` serves no other connection meanwhile, `Pool` needs
    /// another thread. Default 100 ms; `None` disables the report.
    pub fn long_call(mut self, time: impl Into<Option<Duration>>) -> Self {
        self.options.long_call = time.into();
        self
    }

    /// Whether the server keeps a list of running calls of `handle`, for
    /// [`StatsHandle::running_calls`](crate::StatsHandle::running_calls), which shows which handlers hang, and for how
    /// long. Costs two uncontended locks per call. Default false.
    pub fn track_calls(mut self, track: bool) -> Self {
        self.options.track_calls = track;
        self
    }

    /// How long [`handle_request`](Server::handle_request) waits for a request. Default `None`: no timeout; with zero
    /// it does not wait.
    pub fn request_timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.options.request_timeout = timeout.into();
        self
    }

    /// How long busy connections have to finish after [`shutdown`](StopHandle::shutdown). Default 15 s; zero cuts them
    /// off at once, as [`shutdown_now`](StopHandle::shutdown_now) does.
    pub fn drain_timeout(mut self, timeout: Duration) -> Self {
        self.options.drain_timeout = timeout;
        self
    }

    /// How long, and for how many bytes, input is discarded before a connection is closed, so that the last reply is
    /// not lost to a reset. Default 2 s or 8 MiB, whichever comes first; a timeout of zero closes at once.
    pub fn linger(mut self, timeout: Duration, bytes: usize) -> Self {
        self.options.linger_timeout = timeout;
        self.options.linger_bytes = bytes;
        self
    }

    /// How many unread bytes a connection may hold between two calls of `handle`. At the limit, a handler that consumes
    /// none of them ends with an error. Default 64 KiB.
    pub fn max_buffered(mut self, bytes: usize) -> Self {
        self.options.max_buffered = bytes;
        self
    }

    /// The longest line in bytes, including its end, for [`line`](crate::Stream::line), `read_line`, `read_until` and
    /// `skip_until`. A longer one is an error, so that a client cannot fill the server's memory. Default: the same as
    /// [`max_buffered`](Self::max_buffered), 64 KiB; `None` allows any length.
    pub fn max_line(mut self, bytes: impl Into<Option<usize>>) -> Self {
        self.options = self.options.max_line(bytes);
        self
    }

    /// How many bytes of output may be pending for a client that does not read them. A write beyond that blocks, and a
    /// message of a [`Sender`](crate::Sender) is refused. Default 64 KiB.
    pub fn max_pending_output(mut self, bytes: usize) -> Self {
        self.options.max_pending_output = bytes;
        self
    }

    /// Buffers small writes up to this many bytes; they are sent before the connection waits for anything. Python's
    /// `wbufsize`. Default 0: every write is sent at once.
    ///
    /// Replies to messages that have arrived together are then sent together: the output of one call of `handle` is
    /// held back for the next, as long as there is unread input (for at most sixteen calls). `flush` sends it at once.
    pub fn write_buffer(mut self, bytes: usize) -> Self {
        self.options.write_buffer = bytes;
        self
    }

    /// Calls `service_actions` at least this often, even if nothing happens. Default `None`: after wake-ups only.
    pub fn service_interval(mut self, interval: impl Into<Option<Duration>>) -> Self {
        self.options.service_interval = interval.into();
        self
    }

    /// Sets all options of the server at once, replacing those set before.
    pub fn options(mut self, options: ServerOptions) -> Self {
        self.options = options;
        self
    }

    /// Sets the transport's own options.
    pub fn transport_options(mut self, options: T::Options) -> Self {
        self.transport = options;
        self
    }

    /// Serves only requests for which `verify` returns true.
    pub fn verify<F: Fn(&T::Request) -> bool>(self, verify: F) -> Builder<T, D, Verify<H, F>> {
        self.map(|factory| factory.verify(verify))
    }

    /// Calls `on_error` with each error, and the address of the peer, if known.
    pub fn on_error<F>(self, on_error: F) -> Builder<T, D, OnError<H, F>>
    where
        F: Fn(&crate::RequestError, Option<&<T::Request as crate::request::Request>::Addr>),
    {
        self.map(|factory| factory.on_error(on_error))
    }

    /// Calls `on_timeout` when `handle_request` times out.
    pub fn on_timeout<F: Fn()>(self, on_timeout: F) -> Builder<T, D, OnTimeout<H, F>> {
        self.map(|factory| factory.on_timeout(on_timeout))
    }

    /// Calls `on_service` after each wake-up of the serve loop, and every [`service_interval`](Self::service_interval);
    /// [`StopHandle::wake`](crate::StopHandle::wake) wakes it.
    pub fn on_service<F: Fn()>(self, on_service: F) -> Builder<T, D, OnService<H, F>> {
        self.map(|factory| factory.on_service(on_service))
    }

    /// Calls `observer` with each event, before the existing observers.
    pub fn observed<O: Observer>(self, observer: O) -> Builder<T, D, Observed<H, O>> {
        self.map(|factory| factory.observed(observer))
    }

    /// Calls `on_event` with each event: [`observed`](Self::observed) for a closure, whose argument type is inferred.
    ///
    /// ```
    /// use socketserver::{Event, Flow, PoolTcpServer};
    ///
    /// let server = PoolTcpServer::builder_fn(|_| Ok(Flow::Close))
    ///     .on_event(|event| {
    ///         if let Event::Stop { id, end, .. } = event {
    ///             eprintln!("{id}: {end}");
    ///         }
    ///     })
    ///     .bind("127.0.0.1:0")?;
    /// # Ok::<(), socketserver::BindError>(())
    /// ```
    pub fn on_event<F: Fn(&Event<'_>)>(self, on_event: F) -> Builder<T, D, Observed<H, F>> {
        self.observed(on_event)
    }

    /// Reports to the `tracing` crate: [`HandlerFactoryExt::traced`] lists the spans and events. Feature `tracing`.
    #[cfg(feature = "tracing")]
    pub fn traced(self, server: impl Into<String>) -> Builder<T, D, crate::handler::adapters::Traced<H>> {
        self.map(|factory| factory.traced(server))
    }

    /// Counts with the `metrics` crate: [`HandlerFactoryExt::measured`] lists the metrics. Feature `metrics`.
    #[cfg(feature = "metrics")]
    pub fn measured(
        self,
        server: impl Into<String>,
    ) -> Builder<T, D, Observed<H, crate::handler::adapters::Measurements>> {
        self.map(|factory| factory.measured(server))
    }

    /// Calls `setup` and `handle` before the client has sent anything, as
    /// [`SPEAKS_FIRST`](crate::Handler::SPEAKS_FIRST) does.
    pub fn speaking_first(self) -> Builder<T, D, SpeaksFirst<H>> {
        self.map(HandlerFactoryExt::speaking_first)
    }

    fn map<K>(self, wrap: impl FnOnce(H) -> K) -> Builder<T, D, K> {
        let Self { transport, dispatch, factory, options } = self;
        Builder { transport, dispatch, factory: wrap(factory), options }
    }
}

impl<T: Bind, D: Process<Job<T, H>>, H: HandlerFactory<T::Request>> Builder<T, D, H> {
    /// Binds and listens: clients can connect from now on, and wait for [`serve_forever`](Server::serve_forever).
    ///
    /// # Errors
    ///
    /// - The address cannot be resolved, is in use, not local, or not allowed.
    /// - An option has a value that cannot work; the error names it.
    pub fn bind(self, address: impl Into<T::Address>) -> Result<Server<T, D, H>, BindError> {
        self.check()?;
        let transport = T::bind(&address.into(), &self.transport)?;
        self.with_transport(transport)
    }

    /// Serves on a transport that exists already.
    ///
    /// # Errors
    ///
    /// An option has a value that cannot work; the error names it.
    pub fn with_transport(self, transport: T) -> Result<Server<T, D, H>, BindError> {
        self.check()?;
        assemble(transport, self.dispatch, self.factory, self.options)
    }

    /// Serves on a socket that exists already, from a supervisor or another library: on a `TcpListener` or `UdpSocket`
    /// of [`std::net`], or a `UnixListener` or `UnixDatagram` of
    /// [`std::os::unix::net`](https://doc.rust-lang.org/std/os/unix/net/), whose file is not removed at the end. Use it
    /// also for options that the builder lacks: create and bind the socket yourself.
    ///
    /// Options that matter before a socket is bound (`backlog`, `reuse_address`, `reuse_port`, `only_v6`, `mode`) are
    /// as they were set when it was bound.
    ///
    /// # Errors
    ///
    /// The socket cannot be set up, or an option has a value that cannot work.
    pub fn adopt(self, socket: T::Socket) -> Result<Server<T, D, H>, BindError>
    where
        T: Adopt,
    {
        self.check()?;
        let transport = T::adopt(socket, &self.transport)?;
        self.with_transport(transport)
    }

    fn check(&self) -> Result<(), BindError> {
        self.dispatch.check()?;
        self.options.check()
    }
}

/// The last step, for transports that are bound and for those that were handed over.
pub(super) fn assemble<T, D, H>(
    transport: T,
    dispatch: D,
    factory: H,
    options: ServerOptions,
) -> Result<Server<T, D, H>, BindError>
where
    T: Transport,
    D: Process<Job<T, H>>,
    H: HandlerFactory<T::Request>,
{
    options.check()?;
    let failed = |step| {
        let address = transport.local_addr().to_string();
        move |source| BindError::SetUp { address, step, source }
    };
    let state = StopState::new(options.drain_timeout).map_err(failed("stop flags"))?;
    let asked = options.max_connections;
    let most = match dispatch.limit() {
        Some(limit) => limit.min(asked.unwrap_or(limit)),
        None => asked.unwrap_or_else(default_max_connections),
    };
    let core = Core::new(options, most, StopHandle { state: Arc::new(state) }).map_err(failed("shared memory"))?;
    let shared = Arc::new(Shared { factory, core: Arc::new(core) });
    let address = transport.local_addr();
    let state = State::Bound(Listening { transport, shared: Arc::clone(&shared) });
    Ok(Server { state, address, shared, dispatch })
}

impl<T: Bind, D: fmt::Debug, H> fmt::Debug for Builder<T, D, H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("transport", &self.transport)
            .field("dispatch", &self.dispatch)
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}
