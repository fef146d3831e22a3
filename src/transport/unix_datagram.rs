//! Unix-domain datagram sockets.

use std::io;
use std::net::IpAddr;
use std::os::fd::AsFd;
use std::os::fd::BorrowedFd;
use std::os::unix::net;
use std::sync::Arc;

use socket2::Type;

use super::Adopt;
use super::Bind;
use super::Immediate;
use super::Transport;
use super::UnixAddress;
use super::listen::step_failed;
use super::unix_path::OwnedPath;
use super::unix_path::bind_unix;
use crate::error::BindError;
use crate::request::Datagram;
use crate::request::ReplySocket;
use crate::request::delivery::Patience;
use crate::request::delivery::deliver;
use crate::sys::Descriptor;
use crate::sys::datagram::Batch;
use crate::sys::datagram::BatchTarget;
use crate::sys::datagram::DatagramSocket;

/// A Unix-domain datagram socket. Its requests are [`Datagram<UnixAddress>`](Datagram).
///
/// Its file is removed and replaced like that of [`UnixStream`](super::UnixStream).
///
/// # Peers that do not read
///
/// A reply to a peer whose queue is full fails at once: the peer has to read first, and the system does not report
/// when it does. A queue holds 10 datagrams on Linux (`net.unix.max_dgram_qlen`). The request counts as failed, and
/// [`handle_error`](crate::HandlerFactory::handle_error) receives an error that names the peer.
///
/// On Linux a datagram stays in the send buffer of the *server's* socket until its peer has read it, so peers that do
/// not read use up a buffer shared by all. The server makes this buffer 8 MiB, enough for ten thousand small datagrams,
/// if `net.core.wmem_max` or its privileges allow it. Once it is full, replies to all peers fail after 50 ms; datagrams
/// that need no reply are served as before. The queue of a peer that has *connected* its socket to the server's has no
/// limit of its own, so a single peer can fill the buffer: allow only trusted peers to send, with the
/// [`mode`](crate::Builder::mode) of the file and the permissions of its directory.
#[derive(Debug)]
pub struct UnixDatagram {
    /// First, so that the file goes before the socket: a file that refuses connections may be replaced by others.
    path: Option<OwnedPath>,
    socket: Arc<DatagramSocket>,
    replies: Arc<Replies>,
    batch: Batch,
    local: UnixAddress,
}

/// The options of a Unix-domain datagram socket.
#[derive(Clone, Debug)]
pub struct UnixDatagramOptions {
    pub(crate) mode: Option<u32>,
    pub(crate) max_datagram_size: usize,
}

impl UnixDatagramOptions {
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

    /// The permissions of the socket's file. Default: determined by the umask.
    #[must_use]
    pub fn mode(mut self, mode: u32) -> Self {
        self.mode = Some(mode);
        self
    }
}

impl Default for UnixDatagramOptions {
    fn default() -> Self {
        Self { mode: None, max_datagram_size: super::MAX_DATAGRAM_SIZE }
    }
}

/// What peers together may leave unread, in bytes as the kernel counts them: 768 for a small message.
#[cfg(target_os = "linux")]
const SEND_BUFFER: usize = 8 << 20;

#[derive(Debug)]
struct Replies(Arc<DatagramSocket>);

impl UnixDatagram {
    /// Serves on an existing socket, which becomes non-blocking. Its file is not removed, unless this process has
    /// inherited it in a hot restart.
    ///
    /// # Errors
    ///
    /// If the socket has no address, or cannot be set up.
    pub fn adopt(socket: net::UnixDatagram, options: &UnixDatagramOptions) -> Result<Self, BindError> {
        super::check_datagram_size(options.max_datagram_size)?;
        let local = socket.local_addr().map_err(step_failed("an adopted socket", "getsockname"))?;
        let local = UnixAddress::from_std(&local);
        let text = local.to_string();
        socket.set_nonblocking(true).map_err(step_failed(&text, "O_NONBLOCK"))?;
        let path = OwnedPath::inherited(&socket);
        let socket = DatagramSocket::new(socket.into(), false).map_err(step_failed(&text, "setsockopt"))?;
        #[cfg(target_os = "linux")]
        socket.raise_send_buffer(SEND_BUFFER).map_err(step_failed(&text, "SO_SNDBUF"))?;
        let socket = Arc::new(socket);
        let replies = Arc::new(Replies(Arc::clone(&socket)));
        let batch = socket.batch(options.max_datagram_size);
        Ok(Self { socket, replies, batch, local, path })
    }
}

impl Bind for UnixDatagram {
    type Address = UnixAddress;
    type Options = UnixDatagramOptions;

    fn bind(address: &UnixAddress, options: &UnixDatagramOptions) -> Result<Self, BindError> {
        super::check_datagram_size(options.max_datagram_size)?;
        let (socket, path) = bind_unix(address, Type::DGRAM, options.mode, None)?;
        Ok(Self { path, ..Self::adopt(socket.into(), options)? })
    }
}

impl Adopt for UnixDatagram {
    type Socket = net::UnixDatagram;

    fn adopt(socket: net::UnixDatagram, options: &UnixDatagramOptions) -> Result<Self, BindError> {
        Self::adopt(socket, options)
    }
}

impl Transport for UnixDatagram {
    type Request = Datagram<UnixAddress>;
    type Pending = Immediate<Datagram<UnixAddress>>;
    type Addr = UnixAddress;

    fn accept(&mut self) -> io::Result<Self::Pending> {
        if !self.batch.has_next() {
            self.socket.receive(&mut self.batch)?;
        }
        let Some(received) = self.batch.next() else { return Err(io::ErrorKind::WouldBlock.into()) };
        let peer = UnixAddress::of_sender(&received.sender);
        let replies: Arc<dyn ReplySocket<UnixAddress>> = self.replies.clone();
        Ok(Immediate(Datagram::new(received.payload, peer, replies).with_truncated(received.truncated)))
    }

    fn descriptor(&self) -> Descriptor<'_> {
        self.socket.descriptor()
    }

    fn answers_itself(&self) -> bool {
        true
    }

    fn hand_over(&mut self) {
        if let Some(path) = self.path.take() {
            path.leave();
        }
    }

    fn local_addr(&self) -> UnixAddress {
        self.local.clone()
    }

    fn has_buffered(&self) -> bool {
        self.batch.has_next()
    }
}

impl ReplySocket<UnixAddress> for Replies {
    fn send_to(&self, payload: &[u8], peer: &UnixAddress, from: Option<IpAddr>) -> io::Result<()> {
        self.send_patiently(payload, peer, from, &mut Patience::of(None, None))
    }

    fn send_patiently(
        &self,
        payload: &[u8],
        peer: &UnixAddress,
        _: Option<IpAddr>,
        patience: &mut Patience<'_>,
    ) -> io::Result<()> {
        deliver(&self.0, payload, &peer.to_socket_address()?, None, patience)
    }

    fn batches(&self) -> bool {
        true
    }

    fn batch(&self, peer: &UnixAddress) -> Option<BatchTarget> {
        let address = peer.to_socket_address().ok()?;
        Some(BatchTarget { socket: Arc::clone(&self.0), address })
    }

    /// The kernel decides, after the size of the send buffer.
    fn max_payload(&self, _: &UnixAddress) -> usize {
        usize::MAX
    }
}

impl AsFd for UnixDatagram {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.descriptor()
    }
}
