//! Where requests come from.
//!
//! A transport has two phases. [`Transport::accept`] runs on the serve loop and never waits for a peer. What it yields
//! is [established](Establish::establish) where the handler runs, under a deadline: handshakes and headers belong
//! there.

use std::fmt;
use std::io;

mod deadline;
mod listen;
mod tcp;
mod udp;
#[cfg(unix)]
mod unix_datagram;
#[cfg(unix)]
mod unix_path;
#[cfg(unix)]
mod unix_stream;

pub use deadline::Deadline;
pub use listen::InetAddress;
pub use tcp::Tcp;
pub use tcp::TcpOptions;
pub use udp::Udp;
pub use udp::UdpOptions;
#[cfg(unix)]
pub use unix_datagram::UnixDatagram;
#[cfg(unix)]
pub use unix_datagram::UnixDatagramOptions;
#[cfg(unix)]
pub use unix_path::PeerCredentials;
#[cfg(unix)]
pub use unix_path::UnixAddress;
#[cfg(unix)]
pub use unix_path::UnixSocketExt;
#[cfg(unix)]
pub use unix_stream::UnixStream;
#[cfg(unix)]
pub use unix_stream::UnixStreamOptions;

use crate::error::BindError;
use crate::request::Request;
use crate::sys::Descriptor;

/// A source of requests.
///
/// Dropping it closes the listener; connections live on.
///
/// A transport of one's own often wraps another. This one lets in who says a word first; that is a matter between the
/// client and the thread that will serve it, so it is done in the second phase:
///
/// ```
/// use std::io::{self, ErrorKind, Read, Write};
/// use std::net::{SocketAddr, TcpStream};
/// use socketserver::handler::function;
/// use socketserver::transport::{Bind, Deadline, Immediate};
/// use socketserver::{Descriptor, Establish, Flow, Request, Server, Socket, Stream, Sync, Tcp, Transport};
///
/// /// TCP for those who know the word.
/// struct Guarded(Tcp);
///
/// /// A client that has not said it yet.
/// struct Stranger(Stream<TcpStream>);
///
/// impl Transport for Guarded {
///     type Request = Stream<TcpStream>;
///     type Pending = Stranger;
///     type Addr = SocketAddr;
///
///     fn accept(&mut self) -> io::Result<Stranger> {
///         self.0.accept().map(|Immediate(stream)| Stranger(stream))
///     }
///
///     fn descriptor(&self) -> Descriptor<'_> {
///         self.0.descriptor()
///     }
///
///     fn local_addr(&self) -> SocketAddr {
///         self.0.local_addr()
///     }
/// }
///
/// impl Establish for Stranger {
///     type Request = Stream<TcpStream>;
///
///     const WAITS: bool = true;
///
///     fn client_address(&self) -> Option<&SocketAddr> {
///         self.0.client_address()
///     }
///
///     fn establish(mut self, deadline: Deadline<'_>) -> io::Result<Stream<TcpStream>> {
///         let mut word = [0; 4];
///         let mut known = 0;
///         while known < word.len() {
///             // The socket itself: the stream has no timeouts yet. It does not block.
///             match self.0.get_mut().read(&mut word[known..]) {
///                 Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
///                 Ok(count) => known += count,
///                 Err(error) if error.kind() == ErrorKind::WouldBlock => {
///                     deadline.wait_readable(Socket::descriptor(self.0.get_ref()))?;
///                 }
///                 Err(error) => return Err(error),
///             }
///         }
///         if word == *b"open" { Ok(self.0) } else { Err(io::Error::other("a wrong word")) }
///     }
/// }
///
/// let transport = Guarded(Tcp::bind(&"127.0.0.1:0".into(), &Default::default())?);
/// let greeter = function(|request: &mut Stream<TcpStream>| {
///     request.write_all(b"come in")?;
///     Ok(Flow::Close)
/// });
/// let server = Server::new(transport, Sync, greeter)?;
/// let address = server.local_addr();
/// let server = server.serve_in_background()?;
///
/// let mut client = TcpStream::connect(address)?;
/// client.write_all(b"open, please")?;
/// let mut answer = String::new();
/// client.read_to_string(&mut answer)?;
/// assert_eq!(answer, "come in");
/// # assert!(server.shutdown()?.is_clean());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a transport",
    note = "transports are `Tcp`, `Udp`, `UnixStream`, `UnixDatagram`, and your own types that implement `Transport`"
)]
pub trait Transport: Sized + 'static {
    /// What the handler sees.
    type Request: Request;
    /// What `accept` yields: a connection before any handshake, or a message.
    type Pending: Establish<Request = Self::Request>;
    /// The address it listens on.
    type Addr: fmt::Display + Clone;

    /// Whether a forked child needs the transport's own socket, as it does to answer a datagram; else the child closes
    /// it.
    const CHILD_KEEPS_SOCKET: bool = false;

    /// Takes the next request, without waiting: Python's `get_request`.
    ///
    /// # Errors
    ///
    /// `WouldBlock` when there is none; other errors are classified by the server as accept(2) says: try again, back
    /// off, or stop serving.
    fn accept(&mut self) -> io::Result<Self::Pending>;

    /// Readable while [`accept`](Self::accept) has something to give: Python's `fileno`.
    fn descriptor(&self) -> Descriptor<'_>;

    /// The real address: a free port where port 0 was asked for.
    fn local_addr(&self) -> Self::Addr;

    /// Whether requests are here already that the descriptor does not tell of.
    fn has_buffered(&self) -> bool {
        false
    }
}

/// The second phase: from what was accepted to what is handled.
pub trait Establish {
    /// What the handler sees.
    type Request: Request;

    /// Whether establishing may wait for the peer. If not, it is done at once, wherever the request is.
    const WAITS: bool = false;

    /// Who it is, as far as `accept` knows.
    fn client_address(&self) -> Option<&<Self::Request as Request>::Addr>;

    /// Makes the request: handshakes, headers.
    ///
    /// # Errors
    ///
    /// What went wrong; what the waits of `deadline` say when it has passed.
    fn establish(self, deadline: Deadline<'_>) -> io::Result<Self::Request>;
}

/// A transport that can be bound to an address by the builder.
pub trait Bind: Transport {
    /// What it can be bound to.
    type Address: fmt::Display;
    /// What can be chosen before it is bound.
    type Options: Clone + fmt::Debug + Default;

    /// Makes, sets up, binds and opens the socket: Python's `server_bind` and `server_activate`.
    ///
    /// # Errors
    ///
    /// What was tried, on which address, and why it failed. Nothing is left behind.
    fn bind(address: &Self::Address, options: &Self::Options) -> Result<Self, BindError>;
}

/// A transport that can be made of a socket that exists already: see [`Builder::adopt`](crate::Builder::adopt).
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot adopt a socket",
    note = "`Tcp`, `Udp`, `UnixStream` and `UnixDatagram` can, and your own transports that implement `Adopt`"
)]
pub trait Adopt: Bind {
    /// What it is made of.
    type Socket;

    /// Serves on `socket`, set up as the options say.
    ///
    /// # Errors
    ///
    /// What was tried, and why it failed.
    fn adopt(socket: Self::Socket, options: &Self::Options) -> Result<Self, BindError>;
}

/// What is handled as it was accepted.
#[derive(Debug)]
pub struct Immediate<R>(pub R);

impl<R: Request> Establish for Immediate<R> {
    type Request = R;

    fn client_address(&self) -> Option<&R::Addr> {
        self.0.client_address()
    }

    fn establish(self, _: Deadline<'_>) -> io::Result<R> {
        Ok(self.0)
    }
}

/// Python's 5 (and the 128 of std) lose clients in a burst; the kernel clamps this to `somaxconn`.
pub(crate) const BACKLOG: u32 = 4096;

/// More than any IP datagram can hold.
pub(crate) const MAX_DATAGRAM_SIZE: usize = 65_535;

/// Bounds what a batch of receive buffers can take.
const LARGEST_DATAGRAM: usize = 1 << 20;

fn check_datagram_size(size: usize) -> Result<(), BindError> {
    if (1..=LARGEST_DATAGRAM).contains(&size) {
        return Ok(());
    }
    Err(BindError::Option {
        option: "max_datagram_size",
        value: size.to_string(),
        reason: format!(
            "a receive buffer has 1 to {LARGEST_DATAGRAM} bytes; {MAX_DATAGRAM_SIZE} hold any UDP datagram"
        ),
    })
}

#[cfg(unix)]
pub(crate) fn borrow(socket: &impl std::os::fd::AsFd) -> Descriptor<'_> {
    socket.as_fd()
}

#[cfg(windows)]
pub(crate) fn borrow(socket: &impl std::os::windows::io::AsSocket) -> Descriptor<'_> {
    socket.as_socket()
}
