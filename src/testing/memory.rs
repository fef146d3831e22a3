//! One connection or message in memory, served by a real server.

use std::cell::RefCell;
use std::fmt;
use std::io;
use std::io::Read;
use std::io::Write;
use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::OnceLock;

use parking_lot::Mutex;

use super::client::Act;
use super::client::Client;
use super::client::Then;
use crate::dispatch::Sync;
use crate::end::End;
use crate::error::RequestError;
use crate::error::Stage;
use crate::event::Event;
use crate::handler::HandlerFactory;
use crate::handler::HandlerFactoryExt;
use crate::options::ServerOptions;
use crate::request::Datagram;
use crate::request::ReplySocket;
use crate::request::Request;
use crate::request::Socket;
use crate::request::Stream;
use crate::server::Server;
use crate::stop::StopHandle;
use crate::sys::Descriptor;
use crate::sys::Interest;
use crate::sys::signal::Signal;
use crate::transport::Immediate;
use crate::transport::Transport;

/// The address of the peer that is not there, from the block for documentation.
const PEER: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), 1);

/// How a connection or message was served; see [`converse`] and [`deliver`].
#[derive(Debug)]
#[non_exhaustive]
pub struct Outcome<T> {
    /// What the handler has sent: the bytes of a connection, the messages in answer to a message.
    pub output: T,
    /// How it ended.
    pub end: End,
    /// How often `handle` was called.
    pub calls: u64,
    /// The errors and panics of its steps, as `handle_error` is told them too.
    pub errors: Vec<Failure>,
}

/// An error or a panic of one step.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Failure {
    /// The step.
    pub stage: Stage,
    /// What [`RequestError`](crate::RequestError) says.
    pub message: String,
    /// As [`RequestError::is_timeout`](crate::RequestError::is_timeout).
    pub is_timeout: bool,
    /// As [`RequestError::is_disconnect`](crate::RequestError::is_disconnect).
    pub is_disconnect: bool,
    /// As [`RequestError::is_panic`](crate::RequestError::is_panic).
    pub is_panic: bool,
}

impl Failure {
    fn of(error: &RequestError) -> Self {
        Self {
            stage: error.stage(),
            message: error.to_string(),
            is_timeout: error.is_timeout(),
            is_disconnect: error.is_disconnect(),
            is_panic: error.is_panic(),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// Serves a connection in memory, on this thread, as a server under [`Sync`](crate::Sync) with default options does.
///
/// Each of the `pieces` arrives alone, when the handler has taken up all before it: a handler that waits for more meets
/// the next piece, and after the last one the end of input. Handlers have to be written for any [`Socket`]. The peer's
/// address is 192.0.2.1, port 1.
///
/// It returns when the connection is over. A panic of the handler, of a failing assertion in it, say, does not reach
/// the caller: it is in [`errors`](Outcome::errors).
///
/// # Panics
///
/// If the process is out of descriptors: the connection needs a few, though it has no socket.
pub fn converse<H, P>(factory: H, pieces: impl IntoIterator<Item = P>) -> Outcome<Vec<u8>>
where
    H: HandlerFactory<Stream<MemorySocket>>,
    P: AsRef<[u8]>,
{
    let client = pieces.into_iter().fold(Client::new(), |client, piece| client.sends(piece));
    converse_with(factory, client, ServerOptions::default())
}

/// Serves a connection of `client` in memory, on this thread, as a server under [`Sync`](crate::Sync) with these options
/// does: for clients that fall silent, do not read, or vanish, and for a server that stops. See [`Client`].
///
/// It returns when the connection is over; where that takes a timeout, it takes its time.
///
/// # Panics
///
/// As [`converse`], and if an option has a value that cannot work.
pub fn converse_with<H>(factory: H, client: Client, options: ServerOptions) -> Outcome<Vec<u8>>
where
    H: HandlerFactory<Stream<MemorySocket>>,
{
    let ready = signal();
    ready.raise();
    let (output, stop) = (Arc::default(), Arc::default());
    let socket = MemorySocket { client, output: Arc::clone(&output), ready, stop: Arc::clone(&stop) };
    let outcome = serve(factory, Stream::new(socket, Some(PEER)), options, &stop);
    outcome.with(std::mem::take(&mut *output.lock()))
}

/// Serves a message in memory, on this thread, as a server under [`Sync`](crate::Sync) with default options does; the
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
/// As [`converse`].
pub fn deliver<H>(factory: H, payload: impl AsRef<[u8]>) -> Outcome<Vec<Vec<u8>>>
where
    H: HandlerFactory<Datagram<SocketAddr>>,
{
    let replies = Arc::new(Replies::default());
    let socket: Arc<dyn ReplySocket<SocketAddr>> = Arc::<Replies>::clone(&replies);
    let request = Datagram::new(payload.as_ref().to_vec(), Some(PEER), socket);
    let outcome = serve(factory, request, ServerOptions::default(), &OnceLock::new());
    outcome.with(std::mem::take(&mut *replies.0.lock()))
}

fn signal() -> Signal {
    Signal::new().expect("a descriptor")
}

/// A server for one request.
fn serve<R: Request + 'static, H: HandlerFactory<R>>(
    factory: H,
    request: R,
    options: ServerOptions,
    stop: &OnceLock<StopHandle>,
) -> Outcome<()> {
    let told = Rc::new(RefCell::new(Outcome { output: (), end: End::Forced, calls: 0, errors: Vec::new() }));
    let tell = Rc::clone(&told);
    let factory = factory.observed(move |event: &Event<'_>| match event {
        Event::Error { error, .. } => tell.borrow_mut().errors.push(Failure::of(error)),
        Event::Stop { end, calls, .. } => {
            let mut told = tell.borrow_mut();
            (told.end, told.calls) = (*end, *calls);
        }
        _ => {}
    });
    let transport = Once { request: Some(request), nobody: signal() };
    let mut server =
        Server::with_options(transport, Sync, factory, options).expect("descriptors, and options that work");
    stop.get_or_init(|| server.stop_handle());
    server.handle_request().expect("a request is there");
    drop(server);
    told.replace(Outcome { output: (), end: End::Forced, calls: 0, errors: Vec::new() })
}

impl Outcome<()> {
    fn with<T>(self, output: T) -> Outcome<T> {
        let Self { output: (), end, calls, errors } = self;
        Outcome { output, end, calls, errors }
    }
}

/// A transport for one request.
struct Once<R> {
    request: Option<R>,
    nobody: Signal,
}

impl<R: Request + 'static> Transport for Once<R> {
    type Request = R;
    type Pending = Immediate<R>;
    type Addr = SocketAddr;

    fn accept(&mut self) -> io::Result<Immediate<R>> {
        self.request.take().map(Immediate).ok_or_else(|| io::ErrorKind::WouldBlock.into())
    }

    fn descriptor(&self) -> Descriptor<'_> {
        self.nobody.descriptor()
    }

    fn local_addr(&self) -> SocketAddr {
        SocketAddr::new(PEER.ip(), 0)
    }

    fn has_buffered(&self) -> bool {
        self.request.is_some()
    }
}

/// The socket of a connection in memory: see [`converse`].
pub struct MemorySocket {
    client: Client,
    output: Arc<Mutex<Vec<u8>>>,
    /// What is in memory is ready at once; cleared while the client does nothing more.
    ready: Signal,
    stop: Arc<OnceLock<StopHandle>>,
}

impl MemorySocket {
    fn would_block<T>() -> io::Result<T> {
        Err(io::ErrorKind::WouldBlock.into())
    }
}

impl fmt::Debug for MemorySocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemorySocket").field("client", &self.client).finish_non_exhaustive()
    }
}

impl Read for MemorySocket {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        match self.client.script.front_mut() {
            Some(Act::Send(piece)) => {
                let count = piece.len().min(bytes.len());
                bytes[..count].copy_from_slice(&piece[..count]);
                piece.drain(..count);
                if piece.is_empty() {
                    self.client.script.pop_front();
                }
                Ok(count)
            }
            Some(act @ (Act::Pause | Act::Stop)) => {
                if let (Act::Stop, Some(stop)) = (act, self.stop.get()) {
                    stop.shutdown();
                }
                self.client.script.pop_front();
                Self::would_block()
            }
            None => match self.client.then {
                Then::Close => Ok(0),
                Then::Reset => Err(io::ErrorKind::ConnectionReset.into()),
                Then::Wait => {
                    self.ready.clear();
                    Self::would_block()
                }
            },
        }
    }
}

impl Write for MemorySocket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = bytes.len().min(self.client.appetite);
        if count == 0 && !bytes.is_empty() {
            self.ready.clear();
            return Self::would_block();
        }
        self.client.appetite -= count;
        self.output.lock().extend_from_slice(&bytes[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Socket for MemorySocket {
    type Addr = SocketAddr;

    fn descriptor(&self) -> Descriptor<'_> {
        self.ready.descriptor()
    }

    /// A client that has read its fill takes no more, whatever the descriptor would say of writing.
    fn write_interest(&self) -> Interest {
        Interest::Read
    }

    /// The peer closes as soon as the server does.
    fn shutdown_write(&mut self) -> io::Result<()> {
        self.client.script.clear();
        self.client.then = Then::Close;
        self.ready.raise();
        Ok(())
    }
}

#[derive(Default)]
struct Replies(Mutex<Vec<Vec<u8>>>);

impl ReplySocket<SocketAddr> for Replies {
    fn send_to(&self, payload: &[u8], _: &SocketAddr, _: Option<IpAddr>) -> io::Result<()> {
        self.0.lock().push(payload.to_vec());
        Ok(())
    }
}
