//! Handlers, which serve requests, and the factory that makes them and has the hooks.

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

/// What happens to a connection next. A datagram is over after one `handle`, whatever it returns.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Flow {
    /// The conversation is over: send pending output, then close gracefully.
    Close,
    /// Call `handle` again when the client has sent more. Until then the connection costs no thread (under `Sync` and
    /// `Pool`).
    Continue,
    /// Take the connection out of the server: [`Handler::detached`] receives it. See the chapter on [other
    /// connections](crate::guide::other_connections#taking-a-connection-out).
    Detach,
    /// Call `handle` again when the pending output has been sent, whether or not the client has sent more. Until then
    /// the connection costs no thread (under `Sync` and `Pool`): this is how a handler streams a long response without
    /// holding a thread.
    ///
    /// If no output is pending, it is called again at once, after other connections have had their turn. Such a
    /// connection is not idle: a drain lets it finish, until the deadline.
    Flush,
    /// Carry bytes both ways between the client and the connection passed to
    /// [`Stream::relay_to`](crate::Stream::relay_to), until both have ended: what a proxy does once it has connected to
    /// its upstream. `handle` is not called again.
    ///
    /// - It costs no thread under `Sync` and `Pool`: the connection waits for both sockets in the poller. Under
    ///   `ThreadPerRequest` and `Fork` its thread or process waits for both.
    /// - If one side does not read, the other is not read either: at most 64 KiB are buffered each way.
    /// - The end of one side's stream is forwarded after everything before it, and the other direction continues. When
    ///   both have ended, the request is over, with [`End::PeerClosed`].
    /// - An error of one side (a reset; under TLS, an end without `close_notify`) goes to
    ///   [`handle_error`](HandlerFactory::handle_error), and both sides see a reset, so that neither takes what it has
    ///   received for complete.
    /// - When nothing has been carried either way for the [`idle_timeout`](crate::Builder::idle_timeout), both
    ///   connections are closed, with [`End::IdleTimeout`]. Of the other timeouts, only the
    ///   [`total_timeout`](crate::Builder::total_timeout) applies; the `min_rate` does not.
    /// - It counts as busy: a drain and a hand over wait for it until their deadline, when both sides are reset, with
    ///   [`End::Forced`]; and [`AtLimit::ShedIdle`](crate::AtLimit::ShedIdle) does not close it.
    ///
    /// Bytes from and to the client are counted as usual. Messages of a [`Sender`](crate::Sender) are inserted. Each
    /// relay uses two descriptors: see [`max_connections`](crate::Builder::max_connections).
    Relay,
}

/// Serves one connection or datagram: Python's `BaseRequestHandler`.
///
/// The order is `setup`, `handle` (repeatedly for [`Flow::Continue`] and [`Flow::Flush`]), `finish`. `setup` runs when
/// the first bytes have arrived (or at once, see [`SPEAKS_FIRST`](Self::SPEAKS_FIRST)); `finish` runs exactly once if
/// `setup` has succeeded, even after an error or a panic. They never run at the same time, but under `Pool` not always
/// on the same thread.
///
/// ```
/// use std::io::{BufRead, Write};
/// use socketserver::{Flow, Handler, HandlerResult, Socket, Stream};
///
/// struct Upper;
///
/// // For TCP, Unix-domain sockets, and any other stream.
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
    /// Whether the server sends the first message, as in SMTP or FTP: then `setup` and `handle` are called as soon as a
    /// connection is established. Otherwise they are called when the client has sent something, and a silent client
    /// costs no thread. Default false.
    ///
    /// If a handler greets without setting this, it and its client wait for each other until the idle timeout. Under
    /// `ThreadPerRequest` and `Fork`, where the connection has its thread or process anyway, handlers are always called
    /// at once.
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

    /// Serves what has arrived. It may read more, and block until it arrives, which holds its thread.
    ///
    /// # Errors
    ///
    /// Any error; it goes to [`HandlerFactory::handle_error`] and the connection is closed.
    fn handle(&mut self, request: &mut R) -> HandlerResult;

    /// Ends the conversation; `end` says why. What it writes is sent before the connection is closed, if the client is
    /// still there to read it.
    ///
    /// # Errors
    ///
    /// Any error; it goes to [`HandlerFactory::handle_error`].
    fn finish(&mut self, request: &mut R, end: End) -> HandlerResult<()> {
        let _ = (request, end);
        Ok(())
    }

    /// Takes ownership of the request after [`Flow::Detach`]: it is no longer counted, has no deadlines, and is not
    /// closed by the server. `finish` is not called. This runs on a worker, so move a long conversation to another
    /// thread; under `Fork` the child exits when this returns.
    fn detached(self, request: R)
    where
        Self: Sized,
    {
        drop(request);
    }
}

/// Makes a handler for each request, and has the hooks that Python's servers override.
///
/// A closure `Fn() -> impl Handler<R>` is a factory without hooks, [`from_request`] makes a factory from a closure that
/// looks at the request, and [`HandlerFactoryExt`] adds hooks to any factory. A custom type overrides the methods it
/// needs. A panic in a hook ends neither the server nor another request.
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

    /// Like [`make`](Self::make), which it calls by default; `id` identifies the request in events. This is what the
    /// server calls; override it to use the ID in the logs of handlers. Wrappers forward it to the inner factory.
    fn make_with_id(&self, request: &R, id: RequestId) -> Self::Handler {
        let _ = id;
        self.make(request)
    }

    /// Whether to serve the request; if false, it is closed and counted as refused.
    ///
    /// Called on the thread where the handler will run, before it is made: when the first bytes have arrived under
    /// `Sync` and `Pool`; at once under the other dispatches, and for handlers that speak first.
    fn verify_request(&self, request: &R) -> bool {
        let _ = request;
        true
    }

    /// Called with each error or panic, as a value with its [`Stage`](crate::Stage), and with the address of the peer,
    /// if known.
    fn handle_error(&self, error: RequestError, peer: Option<&R::Addr>) {
        let _ = (error, peer);
    }

    /// Called when [`Server::handle_request`](crate::Server::handle_request) has timed out.
    fn handle_timeout(&self) {}

    /// Called by the serve loop after each wake-up (such as by [`StopHandle::wake`](crate::StopHandle::wake)), and at
    /// the builder's `service_interval`. Never called twice at the same time.
    fn service_actions(&self) {}

    /// Whether handlers are called before the client has sent anything. Default: [`Handler::SPEAKS_FIRST`].
    fn speaks_first(&self) -> bool {
        Self::Handler::SPEAKS_FIRST
    }

    /// The observer of events, if there is one.
    fn observer(&self) -> Option<&dyn Observer> {
        None
    }

    /// Calls `visit` with every observer of events, the outermost first: the [`observer`](Self::observer) and those of
    /// the factories that this one wraps. Wrappers forward it to the inner factory.
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

/// A factory that makes handlers from the request: from its peer's address, say. A factory that does not need the
/// request is a plain closure, `|| MyHandler`.
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
