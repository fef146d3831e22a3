//! One in-memory connection or datagram, served by a real server.

use std::cell::RefCell;
use std::io;
use std::net::IpAddr;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::OnceLock;

use parking_lot::Mutex;

use super::client::Client;
use super::memory_socket::MemorySocket;
use super::memory_transport::Memory;
use super::memory_transport::PEER;
use super::outcome::Failure;
use super::outcome::Outcome;
use crate::dispatch::Sync;
use crate::event::Event;
use crate::handler::HandlerFactory;
use crate::handler::HandlerFactoryExt;
use crate::options::ServerOptions;
use crate::request::Datagram;
use crate::request::ReplySocket;
use crate::request::Stream;
use crate::server::Server;
use crate::stop::StopHandle;
use crate::transport::Transport;

/// Serves an in-memory connection on this thread, like a server under [`Sync`](crate::Sync) with default options.
///
/// Each of the `pieces` arrives separately, when the handler has consumed everything before it; after the last one
/// comes the end of input. The handler has to be generic over [`Socket`](crate::Socket). The peer's address is
/// 192.0.2.1, port 1.
///
/// It returns when the connection is over. A panic in the handler, such as a failed assertion, does not reach the
/// caller: it is in [`errors`](Outcome::errors).
///
/// # Panics
///
/// If the process is out of descriptors: the connection has no socket, but needs a few.
pub fn converse<H, P>(factory: H, pieces: impl IntoIterator<Item = P>) -> Outcome<Vec<u8>>
where
    H: HandlerFactory<Stream<MemorySocket>>,
    P: AsRef<[u8]>,
{
    let client = pieces.into_iter().fold(Client::new(), |client, piece| client.sends(piece));
    converse_with(factory, client, ServerOptions::default())
}

/// Serves an in-memory connection of `client` on this thread, like a server under [`Sync`](crate::Sync) with these
/// options: for clients that go silent, do not read, or vanish, and for a server that stops. See [`Client`].
///
/// It returns when the connection is over, if necessary after a timeout.
///
/// # Panics
///
/// As for [`converse`], or if an option has a value that cannot work.
pub fn converse_with<H>(factory: H, client: Client, options: ServerOptions) -> Outcome<Vec<u8>>
where
    H: HandlerFactory<Stream<MemorySocket>>,
{
    converse_over(|memory| memory, factory, client, options)
}

/// Like [`converse_with`], over a transport that wraps another, which `wrap` makes: for handlers behind a wrapper, and
/// for wrappers.
///
/// The client's input and the output both pass through the wrapper. The second phase of the request, with headers and
/// handshakes, is served as well.
///
/// ```
/// use std::io::Write;
/// use socketserver::testing::{Client, converse_over};
/// use socketserver::transport::{Proxied, ProxyOptions, ProxyProtocol};
/// use socketserver::{End, Flow, ServerOptions, Stage, handler};
///
/// let trusted = ProxyOptions::<()>::new().trust("192.0.2.0/24".parse()?);
/// let serve = |sent: &str| {
///     let who = handler::function(|request: &mut socketserver::Stream<Proxied<_>>| {
///         let client = request.peer_addr().map(|address| address.to_string()).unwrap_or_default();
///         writeln!(request, "you are {client}")?;
///         Ok(Flow::Close)
///     });
///     let wrap = |memory| ProxyProtocol::over(memory, &trusted).expect("options that work");
///     converse_over(wrap, who, Client::new().sends(sent), ServerOptions::default())
/// };
///
/// let outcome = serve("PROXY TCP4 198.51.100.7 192.0.2.9 4711 80\r\nhello\n");
/// assert_eq!(outcome.output, b"you are 198.51.100.7:4711\n");
///
/// let outcome = serve("hello, without a header\n");
/// assert_eq!((outcome.end, outcome.errors[0].stage), (End::Failed, Stage::Establish));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// For a client that has to react to what it receives, as in a handshake, see [`Client::answers`].
///
/// # Panics
///
/// As for [`converse_with`], or if `wrap` panics, or the wrapper fails to accept with an error that ends a server.
pub fn converse_over<T, H>(
    wrap: impl FnOnce(Memory) -> T,
    factory: H,
    client: Client,
    options: ServerOptions,
) -> Outcome<Vec<u8>>
where
    T: Transport,
    H: HandlerFactory<T::Request>,
{
    let (output, stop) = (Arc::default(), Arc::default());
    let socket = MemorySocket::new(client, Arc::clone(&output), Arc::clone(&stop));
    let memory = Memory::new(Stream::new(socket, Some(PEER)), Arc::clone(&stop));
    let outcome = serve(factory, wrap(memory), options, &stop);
    outcome.with(std::mem::take(&mut *output.lock()))
}

/// Serves an in-memory datagram on this thread, like a server under [`Sync`](crate::Sync) with default options; the
/// output is the replies.
///
/// ```
/// use socketserver::Flow;
/// use socketserver::handler::function;
/// use socketserver::testing::deliver;
///
/// let echo = function(|request: &mut socketserver::Datagram<_>| {
///     let payload = request.take_payload();
///     request.reply_owned(payload)?;
///     Ok(Flow::Close)
/// });
/// assert_eq!(deliver(echo, b"hello").output, [b"hello"]);
/// ```
///
/// # Panics
///
/// As for [`converse`].
pub fn deliver<H>(factory: H, payload: impl AsRef<[u8]>) -> Outcome<Vec<Vec<u8>>>
where
    H: HandlerFactory<Datagram<SocketAddr>>,
{
    let replies = Arc::new(Replies::default());
    let socket: Arc<dyn ReplySocket<SocketAddr>> = Arc::<Replies>::clone(&replies);
    let request = Datagram::new(payload.as_ref().to_vec(), Some(PEER), socket);
    let stop = Arc::default();
    let memory = Memory::new(request, Arc::clone(&stop));
    let outcome = serve(factory, memory, ServerOptions::default(), &stop);
    outcome.with(std::mem::take(&mut *replies.0.lock()))
}

/// A server for the one request of a transport.
fn serve<T: Transport, H: HandlerFactory<T::Request>>(
    factory: H,
    transport: T,
    options: ServerOptions,
    stop: &OnceLock<StopHandle>,
) -> Outcome<()> {
    let told = Rc::new(RefCell::new(Outcome::unheard_of()));
    let tell = Rc::clone(&told);
    let factory = factory.observed(move |event: &Event<'_>| match event {
        Event::Error { error, .. } => tell.borrow_mut().errors.push(Failure::of(error)),
        Event::Stop { end, calls, .. } => {
            let mut told = tell.borrow_mut();
            (told.end, told.calls) = (*end, *calls);
        }
        _ => {}
    });
    let mut server =
        Server::with_options(transport, Sync, factory, options).expect("descriptors, and options that work");
    stop.get_or_init(|| server.stop_handle());
    server.handle_request().expect("a request is there");
    drop(server);
    told.replace(Outcome::unheard_of())
}

#[derive(Default)]
struct Replies(Mutex<Vec<Vec<u8>>>);

impl ReplySocket<SocketAddr> for Replies {
    fn send_to(&self, payload: &[u8], _: &SocketAddr, _: Option<IpAddr>) -> io::Result<()> {
        self.0.lock().push(payload.to_vec());
        Ok(())
    }
}
