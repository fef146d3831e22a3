//! One connection or message in memory, served by a real server.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::io::Read;
use std::io::Write;
use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::dispatch::Sync;
use crate::end::End;
use crate::event::Event;
use crate::handler::HandlerFactory;
use crate::handler::HandlerFactoryExt;
use crate::request::Datagram;
use crate::request::ReplySocket;
use crate::request::Request;
use crate::request::Socket;
use crate::request::Stream;
use crate::server::Server;
use crate::sys::Descriptor;
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
    pub errors: Vec<String>,
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
    let ready = signal();
    ready.raise();
    let output = Arc::default();
    let pieces = pieces.into_iter().map(|piece| piece.as_ref().to_vec()).filter(|piece| !piece.is_empty());
    let socket = MemorySocket { input: pieces.collect(), pause: false, output: Arc::clone(&output), ready };
    let outcome = serve(factory, Stream::new(socket, Some(PEER)));
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
    let outcome = serve(factory, Datagram::new(payload.as_ref().to_vec(), Some(PEER), socket));
    outcome.with(std::mem::take(&mut *replies.0.lock()))
}

fn signal() -> Signal {
    Signal::new().expect("a descriptor")
}

/// A server for one request.
fn serve<R: Request + 'static, H: HandlerFactory<R>>(factory: H, request: R) -> Outcome<()> {
    let told = Rc::new(RefCell::new(Outcome { output: (), end: End::Forced, calls: 0, errors: Vec::new() }));
    let tell = Rc::clone(&told);
    let factory = factory.observed(move |event: &Event<'_>| match event {
        Event::Error { error, .. } => tell.borrow_mut().errors.push(error.to_string()),
        Event::Stop { end, calls, .. } => {
            let mut told = tell.borrow_mut();
            (told.end, told.calls) = (*end, *calls);
        }
        _ => {}
    });
    let transport = Once { request: Some(request), nobody: signal() };
    let mut server = Server::new(transport, Sync, factory).expect("descriptors");
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
    input: VecDeque<Vec<u8>>,
    /// Between two pieces there is nothing to read, once.
    pause: bool,
    output: Arc<Mutex<Vec<u8>>>,
    /// Always raised: what is in memory is ready at once.
    ready: Signal,
}

impl fmt::Debug for MemorySocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemorySocket").field("pieces", &self.input.len()).finish_non_exhaustive()
    }
}

impl Read for MemorySocket {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        if std::mem::take(&mut self.pause) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let Some(piece) = self.input.front_mut() else { return Ok(0) };
        let count = piece.len().min(bytes.len());
        bytes[..count].copy_from_slice(&piece[..count]);
        piece.drain(..count);
        if piece.is_empty() {
            self.input.pop_front();
            self.pause = true;
        }
        Ok(count)
    }
}

impl Write for MemorySocket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.output.lock().extend_from_slice(bytes);
        Ok(bytes.len())
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

    /// The peer closes as soon as the server does.
    fn shutdown_write(&mut self) -> io::Result<()> {
        self.input.clear();
        self.pause = false;
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
