//! What is done with requests: handlers, and the factory that makes them and carries the hooks.

#[cfg(any(feature = "metrics", feature = "tracing"))]
pub mod adapters;
pub mod frames;
mod function;
pub(crate) mod wrappers;

pub use function::Function;
pub use function::function;
pub use wrappers::HandlerFactoryExt;
pub use wrappers::Observed;
pub use wrappers::OnError;
pub use wrappers::OnService;
pub use wrappers::OnTimeout;
pub use wrappers::SpeaksFirst;
pub use wrappers::Verify;

use crate::end::End;
use crate::error::BoxError;
use crate::error::RequestError;
use crate::event::Observer;
use crate::event::RequestId;
use crate::request::Request;

/// What a handler returns.
pub type HandlerResult<T = Flow> = Result<T, BoxError>;

/// What is next for a connection. Messages are over after one `handle`, whatever it returns.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Flow {
    /// The conversation is over: send what is left, close gracefully.
    Close,
    /// Call `handle` again when the client has sent more. Until then the connection costs no thread (under `Sync` and
    /// `Pool`).
    Continue,
    /// Take the connection out of the server: [`Handler::detached`] gets it. See the chapter on
    /// [other connections](crate::guide::other_connections#taking-a-connection-out).
    Detach,
    /// Call `handle` again when what was written has left, whether or not the client has sent more. Until then the
    /// connection costs no thread (under `Sync` and `Pool`): this is how a handler streams a
    /// long response without holding a thread.
    ///
    /// If nothing is to be sent it is called again at once, after others have had their turn. Such a connection is not
    /// idle: a drain lets it finish, until its deadline.
    Flush,
    /// Carry bytes both ways between the client and the connection that was named by
    /// [`Stream::relay_to`](crate::Stream::relay_to), until both have ended: what a proxy does once it has made its second
    /// connection. `handle` is not called again.
    ///
    /// - It costs no thread under `Sync` and `Pool`: the connection waits for both sockets in the poller. Under
    ///   `ThreadPerRequest` and `Fork`, where it has a thread or process anyway, that waits for both.
    /// - A side that does not read stops the reading from the other: up to 64 KiB each way are held here.
    /// - The end of one side's stream is passed on to the other when everything before it has been, and the other
    ///   direction goes on. When both have ended the request is over, with [`End::PeerClosed`].
    /// - An error of one side (a reset; under TLS, an end without `close_notify`) goes to
    ///   [`handle_error`](HandlerFactory::handle_error), and both sides see a reset: neither is to take what it has got
    ///   for all.
    /// - It is idle when nothing has been carried either way for the [`idle_timeout`](crate::Builder::idle_timeout): then
    ///   both connections are closed, with [`End::IdleTimeout`]. The other timeouts and the `min_rate` do not hold, but
    ///   the [`total_timeout`](crate::Builder::total_timeout) does.
    /// - It is busy: a drain and a hand over wait for it until their deadline, when both sides are reset, with
    ///   [`End::Forced`]; and it is not closed for another at the limit.
    ///
    /// Bytes from and to the client are counted as others are. What a [`Sender`](crate::Sender) sends goes in between.
    /// Each relay has two descriptors: see [`max_connections`](crate::Builder::max_connections).
    Relay,
}

/// Serves one connection or message: Python's `BaseRequestHandler`.
///
/// The order is `setup`, `handle` (again and again for [`Flow::Continue`] and [`Flow::Flush`]), `finish`. `setup` runs
/// when the first bytes are there (or at once, see [`SPEAKS_FIRST`](Self::SPEAKS_FIRST)); `finish` runs exactly once if
/// `setup` has succeeded, also after an error or a panic. All three run on one thread at a time, but not always the
/// same one under `Pool`.
///
/// ```
/// use std::io::{BufRead, Write};
/// use socketserver::{Flow, Handler, HandlerResult, Socket, Stream};
///
/// struct Upper;
///
/// // For TCP, Unix sockets, and whatever else is a stream.
/// impl<S: Socket> Handler<Stream<S>> for Upper {
///     fn handle(&mut self, request: &mut Stream<S>) -> HandlerResult {
///         let mut line = String::new();
///         request.read_line(&mut line)?;
///         request.write_all(line.to_uppercase().as_bytes())?;
///         Ok(Flow::Continue)
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot handle requests of `{R}`",
    label = "not a handler for `{R}`",
    note = "stream transports (`Tcp`, `UnixStream`) need a `Handler<Stream<_>>`, datagram transports (`Udp`, `UnixDatagram`) a `Handler<Datagram<_>>`"
)]
pub trait Handler<R> {
    /// Whether the server has the first word, as in SMTP or FTP: then `setup` and `handle` are called as soon as the
    /// connection is there. If not, they are called when the client has sent something, and a silent client costs no
    /// thread.
    ///
    /// A handler that greets and does not say so waits for its client while the client waits for it, until the idle
    /// timeout. Under `ThreadPerRequest` and `Fork`, where the connection has its thread or process anyway, handlers
    /// are always called at once.
    const SPEAKS_FIRST: bool = false;

    /// Prepares the conversation. If it fails, neither `handle` nor `finish` is called.
    ///
    /// # Errors
    ///
    /// Any error; it goes to [`HandlerFactory::handle_error`] and the connection is closed.
    fn setup(&mut self, request: &mut R) -> HandlerResult<()> {
        let _ = request;
        Ok(())
    }

    /// Serves what has arrived. It may read on and block until more comes, which holds its thread.
    ///
    /// # Errors
    ///
    /// Any error; it goes to [`HandlerFactory::handle_error`] and the connection is closed.
    fn handle(&mut self, request: &mut R) -> HandlerResult;

    /// Ends the conversation, told why. What it writes is sent before the connection is closed, if the
    /// client is still there to read it.
    ///
    /// # Errors
    ///
    /// Any error; it goes to [`HandlerFactory::handle_error`].
    fn finish(&mut self, request: &mut R, end: End) -> HandlerResult<()> {
        let _ = (request, end);
        Ok(())
    }

    /// Receives the request after [`Flow::Detach`], to own it from here on: it is no longer counted, has no deadlines,
    /// and is not closed by the server. `finish` is not called. Called on a worker: a long conversation belongs on
    /// another thread; under `Fork` the child ends when this returns.
    fn detached(self, request: R)
    where
        Self: Sized,
    {
        drop(request);
    }
}

/// Makes a handler for each request, and carries the hooks that were overridden on a Python server.
///
/// Closures `Fn() -> impl Handler<R>` are factories without hooks, [`from_request`] makes one of a closure that looks
/// at the request, and [`HandlerFactoryExt`] adds hooks to any factory; a custom type overrides what it needs. A hook
/// that panics ends neither the server nor another request.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot make handlers for requests of `{R}`",
    label = "not a handler factory for `{R}`",
    note = "pass a closure that makes a handler, `|| MyHandler`, or use `bind_fn(address, |request| ..)` for a handler that is a function"
)]
pub trait HandlerFactory<R: Request> {
    /// The handler of one request.
    type Handler: Handler<R>;

    /// Makes the handler, just before its `setup`: Python's `finish_request`.
    fn make(&self, request: &R) -> Self::Handler;

    /// As [`make`](Self::make), which it calls; `id` is the name that events give to the request. This is what the
    /// server calls; override it to name requests in the log of their handlers. Wrappers pass it on to the factory
    /// inside.
    fn make_with_id(&self, request: &R, id: RequestId) -> Self::Handler {
        let _ = id;
        self.make(request)
    }

    /// Whether to serve the request; if not, it is closed and counted as refused.
    ///
    /// Asked where the handler will run, before it is made: when the first bytes are there where connections wait for
    /// them without a thread (`Sync`, `Pool`), at once under the others and for handlers that speak first.
    fn verify_request(&self, request: &R) -> bool {
        let _ = request;
        true
    }

    /// An error or a panic of a step, as a value with its [`Stage`](crate::Stage), and the peer where there is one.
    fn handle_error(&self, error: RequestError, peer: Option<&R::Addr>) {
        let _ = (error, peer);
    }

    /// [`Server::handle_request`](crate::Server::handle_request) has timed out.
    fn handle_timeout(&self) {}

    /// Called by the serve loop after each wake-up, of which [`StopHandle::wake`](crate::StopHandle::wake) is one, and at
    /// the builder's `service_interval`. Never twice at a time.
    fn service_actions(&self) {}

    /// Whether handlers greet before the client has sent anything: as [the handler says](Handler::SPEAKS_FIRST). If
    /// not, a connection costs no thread before its first byte.
    fn speaks_first(&self) -> bool {
        Self::Handler::SPEAKS_FIRST
    }

    /// The observer of events, if there is one.
    fn observer(&self) -> Option<&dyn Observer> {
        None
    }

    /// Shows `visit` every observer of events, the outermost first: the [`observer`](Self::observer) and those of
    /// the factories that this one wraps. Wrappers pass it on to the factory inside.
    fn observers(&self, visit: &mut dyn FnMut(&dyn Observer)) {
        if let Some(observer) = self.observer() {
            visit(observer);
        }
    }
}

impl<R: Request, F: Fn() -> K, K: Handler<R>> HandlerFactory<R> for F {
    type Handler = K;

    fn make(&self, _: &R) -> K {
        self()
    }
}

/// A factory whose handlers are made of the request: of its peer's address, say. One that does not look at it is a
/// plain closure, `|| MyHandler`.
///
/// ```
/// use std::io::Write;
/// use std::net::{SocketAddr, TcpStream};
/// use socketserver::handler::from_request;
/// use socketserver::{Flow, Handler, HandlerResult, Stream, TcpServer};
///
/// struct WhoAmI(Option<SocketAddr>);
///
/// impl Handler<Stream<TcpStream>> for WhoAmI {
///     fn handle(&mut self, request: &mut Stream<TcpStream>) -> HandlerResult {
///         writeln!(request, "{:?}", self.0)?;
///         Ok(Flow::Close)
///     }
/// }
///
/// let factory = from_request(|request: &Stream<TcpStream>| WhoAmI(request.peer_addr().copied()));
/// let server = TcpServer::bind("127.0.0.1:0", factory)?;
/// # Ok::<(), socketserver::BindError>(())
/// ```
pub fn from_request<R: Request, F: Fn(&R) -> K, K: Handler<R>>(make: F) -> FromRequest<F> {
    FromRequest(make)
}

/// Return type of [`from_request`].
#[derive(Clone, Copy)]
pub struct FromRequest<F>(F);

impl<F> std::fmt::Debug for FromRequest<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FromRequest").finish_non_exhaustive()
    }
}

impl<R: Request, F: Fn(&R) -> K, K: Handler<R>> HandlerFactory<R> for FromRequest<F> {
    type Handler = K;

    fn make(&self, request: &R) -> K {
        self.0(request)
    }
}
