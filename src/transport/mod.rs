//! Transports: where requests come from.
//!
//! A transport has two phases. [`Transport::accept`] runs on the serve loop and never waits for a peer. What it returns
//! is then [established](Establish) without blocking, under a deadline: handshakes and headers belong there.

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
/// Dropping it closes the listener, but not connections.
///
/// A custom transport often wraps another. This one admits clients that send a password first. That means waiting for
/// the client, so it happens in the second phase. ([The guide](crate::guide::custom_transport) does the same over any
/// transport, in fewer lines.)
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
/// /// A client that has not sent the whole password yet.
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
/// // A silent client delays no other.
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
    /// What `accept` returns: a connection before any handshake, or a datagram.
    type Pending: Establish<Request = Self::Request>;
    /// The type of the address it listens on.
    type Addr: fmt::Display + Clone;

    /// Accepts the next request, without blocking: Python's `get_request`.
    ///
    /// # Errors
    ///
    /// `WouldBlock` if there is none; the server treats other errors as accept(2) describes: it tries again, backs off,
    /// or stops serving.
    fn accept(&mut self) -> io::Result<Self::Pending>;

    /// Readable while [`accept`](Self::accept) has something to return: Python's `fileno`. Of several, the first.
    fn descriptor(&self) -> Descriptor<'_>;

    /// Calls `show` with each descriptor that is readable while there is something to accept. A transport that wraps
    /// another forwards this, because that may have [several](Many).
    fn descriptors<'a>(&'a self, show: &mut dyn FnMut(Descriptor<'a>)) {
        show(self.descriptor());
    }

    /// Calls `show` with the address of each listener, as [events](crate::Event::ListenStart) name it. A transport that
    /// wraps another forwards this.
    fn addresses(&self, show: &mut dyn FnMut(&str)) {
        show(&self.local_addr().to_string());
    }

    /// The actual address, with the assigned port if port 0 was requested.
    fn local_addr(&self) -> Self::Addr;

    /// Whether there are requests that have been read already, so that the descriptor does not report them. Default
    /// false.
    fn has_buffered(&self) -> bool {
        false
    }

    /// Called when another process takes over the listener, after
    /// [`StopHandle::hand_over`](crate::StopHandle::hand_over): dropping the transport must then leave shared state
    /// (the file of a Unix-domain socket) as it is.
    fn hand_over(&mut self) {}

    /// Whether replies are sent on the transport's own socket, as for datagrams: then a forked child keeps it, and
    /// otherwise closes it. Default false.
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

/// The second phase: from an accepted connection to a request for the handler.
///
/// [`advance`](Self::advance) goes as far as it can without blocking, and returns what it waits for; under `Sync` and
/// `Pool` the connection then waits in the poller and costs no thread, under `ThreadPerRequest` and `Fork` its own
/// thread or process waits. The builder's [`establish_timeout`](crate::Builder::establish_timeout) limits the whole
/// phase.
pub trait Establish: Sized {
    /// What the handler sees.
    type Request: Request;

    /// The address of the client, as far as it is known.
    fn client_address(&self) -> Option<&<Self::Request as Request>::Addr>;

    /// The descriptor to wait for, which must also be that of the request. `None`, the default, if nothing is waited
    /// for; then `advance` is called on the serve loop as soon as the request has been accepted.
    fn descriptor(&self) -> Option<Descriptor<'_>> {
        None
    }

    /// The connection's socket, even if nothing is waited for, from which a wrapper can find out who the peer is.
    fn connection(&self) -> Option<Descriptor<'_>> {
        self.descriptor()
    }

    /// Whether [`client_address`](Self::client_address) is final: false while a header that may announce another has
    /// not arrived.
    fn knows_client(&self) -> bool {
        true
    }

    /// Whether it must stay in the process that has accepted it, because it is still to be counted there. `Fork`
    /// continues with it in the parent, without blocking, and forks once this is false.
    fn stays(&self) -> bool {
        false
    }

    /// A value to be dropped when the connection is over, whatever happens to the request: a place in a count, say.
    /// Called once, after [`Advance::Done`], or before the connection is left to a forked child.
    fn take_claim(&mut self) -> Option<Claim> {
        None
    }

    /// Advances the handshake or header as far as possible without blocking.
    ///
    /// It is first called before anything is known to have arrived, because the server may be the one to send first.
    /// After [`Advance::Wait`] it is called when the descriptor is ready, or sooner. Reads and writes have to continue
    /// until they return [`WouldBlock`](io::ErrorKind::WouldBlock): readiness is reported once.
    ///
    /// # Errors
    ///
    /// Any failure: the connection is closed, and [`handle_error`](crate::HandlerFactory::handle_error) is called with
    /// [`Stage::Establish`](crate::Stage::Establish). For outcomes that are not worth an error, see [`Advance`].
    fn advance(&mut self) -> io::Result<Advance>;

    /// Ends a connection on which [`advance`](Self::advance) has failed, as far as possible without blocking: tells the
    /// peer why, as TLS does with an alert, and shuts down the sending side.
    ///
    /// After [`Advance::Done`] the server discards input for a while: unread input would make the kernel reset the
    /// connection, and the reset could overtake the last message. After [`Advance::Wait`] it is called again. Both are
    /// limited by the builder's [`linger`](crate::Builder::linger). After anything else the connection is closed at
    /// once, which is the default.
    ///
    /// # Errors
    ///
    /// Any failure: the connection is closed, and the peer is not told why.
    fn close(&mut self) -> io::Result<Advance> {
        Ok(Advance::Closed)
    }

    /// Makes the request; called once, after [`Advance::Done`]. Pass on bytes that were read ahead: see
    /// [`Stream::from_parts`](crate::Stream::from_parts).
    fn into_request(self) -> Self::Request;
}

/// A value that a connection holds until it is over; dropped in the process that has accepted it. A forked child drops
/// its own copy: a claim concerns the memory of its process.
pub type Claim = Box<dyn Send>;

/// The result of [`Establish::advance`]. A transport that wraps another forwards variants that it does not know.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Advance {
    /// The peer closed the connection before it sent anything, as health checks of load balancers do. The connection is
    /// closed and ends with [`End::PeerClosed`](crate::End::PeerClosed).
    Closed,
    /// The request can be made.
    Done,
    /// Nothing has arrived from the peer yet: it waits as for [`Interest::Read`], but is closed at once when the server
    /// stops, like an idle connection.
    Idle,
    /// The peer is refused. The connection is closed, reported by [`Event::Refused`](crate::Event::Refused), and
    /// counted as [`refused`](crate::Report::refused).
    Refused(Refusal),
    /// It can continue when the descriptor is ready for this.
    Wait(Interest),
}

/// A transport that can be bound to an address by the builder.
pub trait Bind: Transport {
    /// The type of the address to bind to.
    type Address: fmt::Display;
    /// The options that can be set before it is bound.
    type Options: Clone + fmt::Debug + Default;

    /// Creates, sets up, binds and opens the socket: Python's `server_bind` and `server_activate`.
    ///
    /// # Errors
    ///
    /// What was tried, on which address, and why it failed. Nothing is left behind.
    fn bind(address: &Self::Address, options: &Self::Options) -> Result<Self, BindError>;
}

/// A transport that can be made from an existing socket: see [`Builder::adopt`](crate::Builder::adopt).
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot adopt a socket",
    note = "`Tcp`, `Udp`, `UnixStream` and `UnixDatagram` can, and your own transports that implement `Adopt`"
)]
pub trait Adopt: Bind {
    /// The type of the socket.
    type Socket;

    /// Serves on `socket`, set up as the options say.
    ///
    /// # Errors
    ///
    /// What was tried, and why it failed.
    fn adopt(socket: Self::Socket, options: &Self::Options) -> Result<Self, BindError>;
}

/// A request without a second phase, which is handled as it was accepted.
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
