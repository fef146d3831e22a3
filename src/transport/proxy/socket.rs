//! A relayed connection, and the address of its client.

use std::fmt;
use std::io;
use std::io::IoSlice;
use std::io::Read;
use std::io::Write;
use std::net::IpAddr;
use std::net::SocketAddr;

use super::Endpoints;
use super::Header;
use crate::request::Socket;
use crate::sys::Descriptor;
use crate::sys::Interest;
use crate::transport::Peer;
use crate::transport::Source;

/// The socket of a relayed connection: a socket of type `S`, with the header of the proxy.
///
/// Bytes are read from and written to the inner socket unchanged.
#[derive(Debug)]
pub struct Proxied<S: Socket> {
    socket: S,
    said: Option<Box<Said<S::Addr>>>,
}

/// A handler asks for it rarely.
#[derive(Debug)]
struct Said<A> {
    header: Header,
    proxy: Option<A>,
}

impl<S: Socket> Proxied<S> {
    pub(super) fn new(socket: S, header: Header, proxy: Option<S::Addr>) -> Self {
        Self { socket, said: Some(Box::new(Said { header, proxy })) }
    }

    /// Of a client that has connected itself.
    pub(super) fn direct(socket: S) -> Self {
        Self { socket, said: None }
    }

    /// The header sent by the proxy; `None` if [no header is expected](super::ProxyOptions::without_headers).
    pub fn header(&self) -> Option<&Header> {
        self.said.as_ref().map(|said| &said.header)
    }

    /// The address of the proxy, which is the other end of the connection. `None` if no header is expected.
    pub fn proxy_addr(&self) -> Option<&S::Addr> {
        self.said.as_ref()?.proxy.as_ref()
    }

    /// The inner socket.
    pub fn get_ref(&self) -> &S {
        &self.socket
    }

    /// The inner socket, mutably.
    pub fn get_mut(&mut self) -> &mut S {
        &mut self.socket
    }

    /// The inner socket.
    pub fn into_inner(self) -> S {
        self.socket
    }
}

impl<S: Socket> Read for Proxied<S> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        self.socket.read(bytes)
    }
}

impl<S: Socket> Write for Proxied<S> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.socket.write(bytes)
    }

    fn write_vectored(&mut self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        self.socket.write_vectored(parts)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.socket.flush()
    }
}

impl<S: Socket> Socket for Proxied<S> {
    type Addr = ProxiedAddr<S::Addr>;

    fn descriptor(&self) -> Descriptor<'_> {
        self.socket.descriptor()
    }

    fn shutdown_write(&mut self) -> io::Result<()> {
        self.socket.shutdown_write()
    }

    #[inline]
    fn is_plain(&self) -> bool {
        self.socket.is_plain()
    }

    #[inline]
    fn is_drained_by_short_read(&self) -> bool {
        self.socket.is_drained_by_short_read()
    }

    fn is_truncated(&self) -> bool {
        self.socket.is_truncated()
    }

    fn is_in_handshake(&self) -> bool {
        self.socket.is_in_handshake()
    }

    fn unsent(&self) -> usize {
        self.socket.unsent()
    }

    fn read_interest(&self) -> Interest {
        self.socket.read_interest()
    }

    fn write_interest(&self) -> Interest {
        self.socket.write_interest()
    }
}

/// The address of the client of a connection that may be relayed; `A` is the address of a direct connection.
///
/// It is the same over TCP and Unix-domain sockets, because a proxy can announce IP addresses over both.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum ProxiedAddr<A> {
    /// The connection's own address: the proxy has announced no other, or not yet.
    Own(A),
    /// The client's address, as announced by the proxy.
    Inet(SocketAddr),
    /// An announced client on a Unix-domain socket of the proxy's machine: its path, which most clients do not have.
    Unix(Box<[u8]>),
}

impl<A> ProxiedAddr<A> {
    /// The address announced by the header, or the connection's own address if it announces none.
    pub(super) fn of(header: &Header, own: Option<&A>) -> Option<Self>
    where
        A: Clone,
    {
        match header.endpoints() {
            // Whatever it may say beside: a proxy that speaks for itself is who it is.
            _ if header.is_local() => own.cloned().map(Self::Own),
            Endpoints::Inet { source, .. } => Some(Self::Inet(*source)),
            Endpoints::Unix { source, .. } => Some(Self::Unix(source.clone())),
            Endpoints::Unspecified => own.cloned().map(Self::Own),
        }
    }

    /// Whether it was announced by a proxy.
    #[must_use]
    pub fn is_announced(&self) -> bool {
        !matches!(self, Self::Own(_))
    }
}

impl ProxiedAddr<SocketAddr> {
    /// The address, announced or not; `None` for a path.
    #[must_use]
    pub fn socket_addr(&self) -> Option<SocketAddr> {
        match self {
            Self::Own(address) | Self::Inet(address) => Some(*address),
            Self::Unix(_) => None,
        }
    }
}

impl<A: fmt::Display> fmt::Display for ProxiedAddr<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Own(address) => address.fmt(f),
            Self::Inet(address) => address.fmt(f),
            Self::Unix(path) if path.is_empty() => f.write_str("(unnamed)"),
            Self::Unix(path) => path.escape_ascii().fmt(f),
        }
    }
}

/// Clients on a Unix-domain socket of the proxy's machine are one source.
impl<A: Peer> Peer for ProxiedAddr<A> {
    fn ip(&self) -> Option<IpAddr> {
        match self {
            Self::Own(address) => address.ip(),
            Self::Inet(address) => Peer::ip(address),
            Self::Unix(_) => None,
        }
    }

    fn source(&self, connection: Option<Descriptor<'_>>) -> Source {
        match self {
            Self::Own(address) => address.source(connection),
            Self::Inet(address) => address.source(None),
            Self::Unix(_) => Source::Unknown,
        }
    }
}
