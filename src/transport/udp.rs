//! UDP.

use std::io;
use std::net::IpAddr;
use std::net::SocketAddr;
use std::net::UdpSocket;
use std::sync::Arc;

use socket2::Protocol;
use socket2::Type;

use super::Adopt;
use super::Bind;
use super::Immediate;
use super::InetAddress;
use super::Transport;
use super::listen::InetOptions;
use super::listen::bind_inet;
use super::listen::step_failed;
use crate::error::BindError;
use crate::request::Datagram;
use crate::request::ReplySocket;
use crate::request::delivery::Patience;
use crate::request::delivery::deliver;
use crate::sys::Descriptor;
use crate::sys::datagram::Batch;
use crate::sys::datagram::BatchTarget;
use crate::sys::datagram::DatagramSocket;

/// A UDP socket. Its requests are [`Datagram<SocketAddr>`](Datagram).
#[derive(Debug)]
pub struct Udp {
    socket: Arc<DatagramSocket>,
    replies: Arc<Replies>,
    batch: Batch,
    local: SocketAddr,
    /// The local address of every message, unless bound to all of them.
    only: Option<IpAddr>,
}

/// The options of a UDP socket.
#[derive(Clone, Debug)]
pub struct UdpOptions {
    pub(crate) reuse_address: bool,
    pub(crate) reuse_port: bool,
    pub(crate) only_v6: Option<bool>,
    pub(crate) max_datagram_size: usize,
}

impl UdpOptions {
    /// Every option at its default.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The longest datagram that is received whole, in bytes. Default 65 535.
    #[must_use]
    pub fn max_datagram_size(mut self, bytes: usize) -> Self {
        self.max_datagram_size = bytes;
        self
    }

    /// Whether other sockets may be bound to the port, too (`SO_REUSEADDR`). Default false.
    #[must_use]
    pub fn reuse_address(mut self, reuse: bool) -> Self {
        self.reuse_address = reuse;
        self
    }

    /// Whether several servers may share the datagrams of the port (`SO_REUSEPORT`). Default false.
    #[cfg(unix)]
    #[must_use]
    pub fn reuse_port(mut self, reuse: bool) -> Self {
        self.reuse_port = reuse;
        self
    }

    /// Whether an IPv6 socket receives only from IPv6 peers (`IPV6_V6ONLY`). Default: the system's.
    #[must_use]
    pub fn only_v6(mut self, only_v6: bool) -> Self {
        self.only_v6 = Some(only_v6);
        self
    }
}

impl Default for UdpOptions {
    fn default() -> Self {
        Self { reuse_address: false, reuse_port: false, only_v6: None, max_datagram_size: super::MAX_DATAGRAM_SIZE }
    }
}

#[derive(Debug)]
struct Replies(Arc<DatagramSocket>);

impl Udp {
    /// Serves on an existing socket, which becomes non-blocking. If it queues errors (`IP_RECVERR`), they are removed
    /// from the queue and ignored.
    ///
    /// # Errors
    ///
    /// If the socket has no address, or cannot be set up.
    pub fn adopt(socket: UdpSocket, options: &UdpOptions) -> Result<Self, BindError> {
        super::check_datagram_size(options.max_datagram_size)?;
        let local = socket.local_addr().map_err(step_failed("an adopted socket", "getsockname"))?;
        let text = local.to_string();
        socket.set_nonblocking(true).map_err(step_failed(&text, "O_NONBLOCK"))?;
        let any = local.ip().is_unspecified();
        let socket = Arc::new(DatagramSocket::new(socket.into(), any).map_err(step_failed(&text, "IP_PKTINFO"))?);
        let replies = Arc::new(Replies(Arc::clone(&socket)));
        let batch = socket.batch(options.max_datagram_size);
        Ok(Self { socket, replies, batch, local, only: (!any).then_some(local.ip()) })
    }
}

impl Bind for Udp {
    type Address = InetAddress;
    type Options = UdpOptions;

    fn bind(address: &InetAddress, options: &UdpOptions) -> Result<Self, BindError> {
        super::check_datagram_size(options.max_datagram_size)?;
        let UdpOptions { reuse_address, reuse_port, only_v6, .. } = *options;
        let inet = InetOptions { reuse_address, reuse_port, only_v6 };
        Self::adopt(bind_inet(address, Type::DGRAM, Protocol::UDP, inet)?.into(), options)
    }
}

impl Adopt for Udp {
    type Socket = UdpSocket;

    fn adopt(socket: UdpSocket, options: &UdpOptions) -> Result<Self, BindError> {
        Self::adopt(socket, options)
    }
}

impl Transport for Udp {
    type Request = Datagram<SocketAddr>;
    type Pending = Immediate<Datagram<SocketAddr>>;
    type Addr = SocketAddr;

    fn accept(&mut self) -> io::Result<Self::Pending> {
        if !self.batch.has_next() {
            self.socket.receive(&mut self.batch)?;
        }
        let Some(received) = self.batch.next() else { return Err(io::ErrorKind::WouldBlock.into()) };
        let replies: Arc<dyn ReplySocket<SocketAddr>> = self.replies.clone();
        // Windows does not always say who has sent a message that was cut.
        let datagram = Datagram::new(received.payload, received.sender.as_socket(), replies);
        let datagram = datagram.with_local(received.local.to.or(self.only)).with_reply_from(received.local.own);
        Ok(Immediate(datagram.with_truncated(received.truncated)))
    }

    fn descriptor(&self) -> Descriptor<'_> {
        self.socket.descriptor()
    }

    fn answers_itself(&self) -> bool {
        true
    }

    fn local_addr(&self) -> SocketAddr {
        self.local
    }

    fn has_buffered(&self) -> bool {
        self.batch.has_next()
    }
}

#[cfg(unix)]
impl std::os::fd::AsFd for Udp {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.socket.descriptor()
    }
}

impl ReplySocket<SocketAddr> for Replies {
    fn send_to(&self, payload: &[u8], peer: &SocketAddr, from: Option<IpAddr>) -> io::Result<()> {
        self.send_patiently(payload, peer, from, &mut Patience::of(None, None))
    }

    fn send_patiently(
        &self,
        payload: &[u8],
        peer: &SocketAddr,
        from: Option<IpAddr>,
        patience: &mut Patience<'_>,
    ) -> io::Result<()> {
        deliver(&self.0, payload, &(*peer).into(), from, patience)
    }

    fn batches(&self) -> bool {
        true
    }

    fn batch(&self, peer: &SocketAddr) -> Option<BatchTarget> {
        Some(BatchTarget { socket: Arc::clone(&self.0), address: (*peer).into() })
    }

    /// The 16 bits of a length, less the header of UDP, and that of IPv4, whose length includes it.
    fn max_payload(&self, peer: &SocketAddr) -> usize {
        match peer.ip().to_canonical() {
            IpAddr::V4(_) => 65_535 - 8 - 20,
            IpAddr::V6(_) => 65_535 - 8,
        }
    }
}
