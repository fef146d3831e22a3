//! Where requests come from.
//!
//! A transport has two phases. [`Transport::accept`] runs on the serve loop and never waits for a peer. What it yields
//! is [established](Establish) in turns, under a deadline: handshakes and headers belong there.

use std::fmt;
use std::io;

#[cfg(unix)]
mod folder_lock;
#[cfg(unix)]
pub(crate) mod kept;
mod listen;
mod many;
pub mod option;
mod peer;
mod per_source;
mod preamble;
pub mod proxy;
mod tcp;
#[cfg(feature = "tls")]
mod tls;
mod udp;
#[cfg(unix)]
mod unix_datagram;
#[cfg(unix)]
pub(crate) mod unix_path;
#[cfg(unix)]
mod unix_stream;

pub use listen::InetAddress;
pub use many::Addresses;
pub use many::Many;
pub use option::Offers;
pub use peer::Peer;
pub use peer::Source;
pub use per_source::Counted;
pub use per_source::PerSource;
pub use per_source::PerSourceOptions;
pub use preamble::Preamble;
pub use preamble::PreamblePending;
pub use proxy::Networks;
pub use proxy::Proxied;
pub use proxy::ProxiedAddr;
pub use proxy::ProxyOptions;
pub use proxy::ProxyProtocol;
pub use tcp::Tcp;
pub use tcp::TcpOptions;
#[cfg(feature = "tls")]
pub use tls::Handshake;
#[cfg(feature = "tls")]
pub use tls::InTheClear;
#[cfg(feature = "tls")]
pub use tls::StartTls;
#[cfg(feature = "tls")]
pub use tls::StartTlsSocket;
#[cfg(feature = "tls")]
pub use tls::Tls;
#[cfg(feature = "tls")]
pub use tls::TlsConfig;
#[cfg(feature = "tls")]
pub use tls::TlsConfigBuilder;
#[cfg(feature = "tls")]
pub use tls::TlsConfigError;
#[cfg(feature = "tls")]
pub use tls::TlsOptions;
#[cfg(feature = "tls")]
pub use tls::TlsSocket;
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
use crate::event::Refusal;
use crate::request::Request;
pub use crate::sys::Descriptor;
pub use crate::sys::Interest;
pub(crate) use crate::sys::borrow;

/// A source of requests.
///
/// Dropping it closes the listener; connections live on.
///
/// A custom transport often wraps another. This one admits clients that send a password first. That means waiting for
/// the client, so it happens in the second phase. ([The guide](crate::guide::custom_transport) has it over any transport,
/// in fewer lines.)
///
/// ```
/// use std::io::{self, ErrorKind, Read, Write};
/// use std::net::{SocketAddr, TcpStream};
/// use socketserver::handler::function;
/// use socketserver::transport::{Advance, Bind, Establish, Immediate, Interest};
/// use socketserver::{transport::Descriptor, Flow, request::Request, Server, Socket, Stream, Sync, Tcp, Transport};
///
/// /// TCP for clients that know the password.
/// struct Guarded(Tcp);
///
/// /// A client that has not sent all of it yet.
/// struct Stranger {
///     stream: Stream<TcpStream>,
///     received: Vec<u8>,
/// }
///
/// const PASSWORD: &[u8] = b"open";
///
/// impl Transport for Guarded {
///     type Request = Stream<TcpStream>;
///     type Pending = Stranger;
///     type Addr = SocketAddr;
///
///     fn accept(&mut self) -> io::Result<Stranger> {
///         self.0.accept().map(|Immediate(stream)| Stranger { stream, received: Vec::new() })
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
///     fn client_address(&self) -> Option<&SocketAddr> {
///         self.stream.peer_addr()
///     }
///
///     fn descriptor(&self) -> Option<Descriptor<'_>> {
///         Request::descriptor(&self.stream)
///     }
///
///     fn advance(&mut self) -> io::Result<Advance> {
///         while self.received.len() < PASSWORD.len() {
///             let mut rest = [0; PASSWORD.len()];
///             let rest = &mut rest[self.received.len()..];
///             // The socket itself, which does not block. No more is read than the password.
///             match self.stream.get_mut().read(rest) {
///                 Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
///                 Ok(count) => self.received.extend(&rest[..count]),
///                 Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(Advance::Wait(Interest::Read)),
///                 Err(error) if error.kind() == ErrorKind::Interrupted => {}
///                 Err(error) => return Err(error),
///             }
///         }
///         if self.received == PASSWORD { Ok(Advance::Done) } else { Err(io::Error::other("a wrong password")) }
///     }
///
///     fn into_request(self) -> Stream<TcpStream> {
///         self.stream
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
/// // A client that says nothing holds no other up.
/// let silent = TcpStream::connect(address)?;
/// let mut client = TcpStream::connect(address)?;
/// client.write_all(b"open, please")?;
/// let mut answer = String::new();
/// client.read_to_string(&mut answer)?;
/// assert_eq!(answer, "come in");
/// # drop(silent);
/// # drop(server);
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

    /// Takes the next request, without waiting: Python's `get_request`.
    ///
    /// # Errors
    ///
    /// `WouldBlock` when there is none; other errors are classified by the server as accept(2) says: try again, back
    /// off, or stop serving.
    fn accept(&mut self) -> io::Result<Self::Pending>;

    /// Readable while [`accept`](Self::accept) has something to give: Python's `fileno`. Of several, the first.
    fn descriptor(&self) -> Descriptor<'_>;

    /// Shows each descriptor that is readable while there is something to accept. A transport that wraps another passes
    /// this on: that may have [several](Many).
    fn descriptors<'a>(&'a self, show: &mut dyn FnMut(Descriptor<'a>)) {
        show(self.descriptor());
    }

    /// Shows where each listener listens, as [events](crate::Event::ListenStart) name it. A transport that wraps another
    /// passes this on.
    fn addresses(&self, show: &mut dyn FnMut(&str)) {
        show(&self.local_addr().to_string());
    }

    /// The real address: a free port where port 0 was asked for.
    fn local_addr(&self) -> Self::Addr;

    /// Whether requests are here already that the descriptor does not tell of.
    fn has_buffered(&self) -> bool {
        false
    }

    /// The listener lives on elsewhere, after [`StopHandle::hand_over`](crate::StopHandle::hand_over): what dropping it
    /// would undo for others (the file of a Unix-domain socket) is left as it is.
    fn hand_over(&mut self) {}

    /// Whether requests are answered on the transport's own socket, as datagrams are: then a forked child keeps it, and
    /// else closes it.
    fn answers_itself(&self) -> bool {
        false
    }
}

/// The methods of a [`Transport`] that has another in its field `inner`, and listens as that one does: all but `accept`
/// and `local_addr`.
/// A method that were left out would be that of a plain listener.
macro_rules! listens_as_inner {
    () => {
        fn descriptor(&self) -> $crate::transport::Descriptor<'_> {
            self.inner.descriptor()
        }

        fn descriptors<'a>(&'a self, show: &mut dyn FnMut($crate::transport::Descriptor<'a>)) {
            self.inner.descriptors(show);
        }

        fn addresses(&self, show: &mut dyn FnMut(&str)) {
            self.inner.addresses(show);
        }

        fn has_buffered(&self) -> bool {
            self.inner.has_buffered()
        }

        fn hand_over(&mut self) {
            self.inner.hand_over();
        }

        fn answers_itself(&self) -> bool {
            self.inner.answers_itself()
        }
    };
}
pub(crate) use listens_as_inner;

/// The second phase: from what was accepted to what is handled.
///
/// It goes in turns. [`advance`](Self::advance) goes as far as it can without waiting for the peer, and says what it
/// waits for; under `Sync` and `Pool` the connection then waits in the poller and costs no thread, under
/// `ThreadPerRequest` and `Fork` its own thread or process waits. The builder's
/// [`establish_timeout`](crate::Builder::establish_timeout) ends it.
pub trait Establish: Sized {
    /// What the handler sees.
    type Request: Request;

    /// Who it is, as far as is known so far.
    fn client_address(&self) -> Option<&<Self::Request as Request>::Addr>;

    /// What tells when to go on: the descriptor that the request will have, too. `None`, the default, where nothing is
    /// waited for; then `advance` is called as soon as the request has been accepted, on the serve loop.
    fn descriptor(&self) -> Option<Descriptor<'_>> {
        None
    }

    /// The connection's socket, also where nothing is waited for: what a wrapper asks who is at the other end.
    fn connection(&self) -> Option<Descriptor<'_>> {
        self.descriptor()
    }

    /// Whether [`client_address`](Self::client_address) is what the request will have: not so while a header that
    /// announces another is still to come.
    fn knows_client(&self) -> bool {
        true
    }

    /// Whether it must not leave the process that has accepted it yet, because it is still to be counted there. `Fork`
    /// goes on with it in the parent, in turns, and forks when this is over.
    fn stays(&self) -> bool {
        false
    }

    /// What is to be dropped when the connection is over, whatever becomes of the request: a place in a count, say.
    /// Called once, after [`Advance::Done`], or before the connection is left to a forked child.
    fn take_claim(&mut self) -> Option<Claim> {
        None
    }

    /// Goes on as far as it can without waiting for the peer: handshakes, headers.
    ///
    /// It is called for the first time before anything is known to have arrived, because a server may be the one to
    /// begin. After [`Advance::Wait`] it is called when the descriptor is ready, and may be called sooner. Reads and
    /// writes have to go on until they say [`WouldBlock`](io::ErrorKind::WouldBlock): readiness is told once.
    ///
    /// # Errors
    ///
    /// What went wrong; the connection is closed, and
    /// [`handle_error`](crate::HandlerFactory::handle_error) told at [`Stage::Establish`](crate::Stage::Establish).
    /// What is not worth an error has an [`Advance`] of its own.
    fn advance(&mut self) -> io::Result<Advance>;

    /// Ends a connection on which [`advance`](Self::advance) has failed, as far as that goes without waiting: sends what is
    /// still to be said about it, as TLS does with an alert, and shuts down the sending side.
    ///
    /// After [`Advance::Done`] the server reads on for a while, and discards what it reads: unread input would
    /// make the kernel reset the connection, and the reset could overtake the last word. After [`Advance::Wait`] it is
    /// called again. Both within the builder's [`linger`](crate::Builder::linger). After anything else the connection is
    /// closed at once, which is the default.
    ///
    /// # Errors
    ///
    /// Whatever went wrong: the connection is closed, and the peer is not told.
    fn close(&mut self) -> io::Result<Advance> {
        Ok(Advance::Closed)
    }

    /// Makes the request; called once, after [`Advance::Done`]. Bytes that were read ahead belong into it: see
    /// [`Stream::from_parts`](crate::Stream::from_parts).
    fn into_request(self) -> Self::Request;
}

/// Something that a connection holds until it is over; dropped in the process that has accepted it. A forked child drops
/// a copy of its own: a claim is about the memory of its process.
pub type Claim = Box<dyn Send>;

/// How far [`Establish::advance`] has come. A transport that wraps another passes on what it does not know.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Advance {
    /// The peer has gone before it has said anything, as balancers do that look whether a server is there. The
    /// connection is closed, and ends as one whose peer has closed it: [`End::PeerClosed`](crate::End::PeerClosed).
    Closed,
    /// The request can be made.
    Done,
    /// Nothing has come from the peer yet, and nothing is under way: it waits as for [`Interest::Read`], and ends at once
    /// when the server stops, as a connection between two messages does.
    Idle,
    /// The peer is turned away. The connection is closed, [`Event::Refused`](crate::Event::Refused) tells of it, and it
    /// is counted among the [`refused`](crate::Report::refused).
    Refused(Refusal),
    /// It can go on when the descriptor is ready for this.
    Wait(Interest),
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

    fn connection(&self) -> Option<Descriptor<'_>> {
        self.0.descriptor()
    }

    fn advance(&mut self) -> io::Result<Advance> {
        Ok(Advance::Done)
    }

    fn into_request(self) -> R {
        self.0
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
