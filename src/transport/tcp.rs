//! TCP.

use std::io;
use std::net::Shutdown;
use std::net::SocketAddr;
use std::net::TcpListener;
use std::net::TcpStream;
use std::time::Duration;

use socket2::Protocol;
use socket2::SockRef;
use socket2::TcpKeepalive;
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
use crate::request::Socket;
use crate::request::Stream;
use crate::sys::Descriptor;

/// A TCP listener. Its requests are [`Stream<TcpStream>`](Stream).
#[derive(Debug)]
pub struct Tcp {
    listener: TcpListener,
    local: SocketAddr,
    nodelay: bool,
    keepalive: Option<TcpKeepalive>,
}

/// The options of a TCP listener.
#[derive(Clone, Debug)]
pub struct TcpOptions {
    pub(crate) backlog: u32,
    pub(crate) reuse_address: bool,
    pub(crate) reuse_port: bool,
    pub(crate) only_v6: Option<bool>,
    pub(crate) nodelay: bool,
    pub(crate) keepalive: Option<Duration>,
}

impl TcpOptions {
    /// Every option at its default.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// How many clients may wait to be accepted. Default 4096; the kernel clamps it to `net.core.somaxconn`.
    #[must_use]
    pub fn backlog(mut self, backlog: u32) -> Self {
        self.backlog = backlog;
        self
    }

    /// Whether a port with connections in `TIME_WAIT` can be bound (`SO_REUSEADDR`). Default true.
    #[must_use]
    pub fn reuse_address(mut self, reuse: bool) -> Self {
        self.reuse_address = reuse;
        self
    }

    /// Whether several servers may listen on the port and share its clients (`SO_REUSEPORT`). Default false.
    #[cfg(unix)]
    #[must_use]
    pub fn reuse_port(mut self, reuse: bool) -> Self {
        self.reuse_port = reuse;
        self
    }

    /// Whether an IPv6 socket takes IPv6 clients only (`IPV6_V6ONLY`). Default: the system's.
    #[must_use]
    pub fn only_v6(mut self, only_v6: bool) -> Self {
        self.only_v6 = Some(only_v6);
        self
    }

    /// Whether small writes are sent at once (`TCP_NODELAY`). Default true.
    #[must_use]
    pub fn nodelay(mut self, nodelay: bool) -> Self {
        self.nodelay = nodelay;
        self
    }

    /// How often a silent client is probed (`SO_KEEPALIVE`). Default `None`: never.
    #[must_use]
    pub fn keepalive(mut self, period: impl Into<Option<Duration>>) -> Self {
        self.keepalive = period.into();
        self
    }
}

impl Default for TcpOptions {
    fn default() -> Self {
        Self {
            backlog: super::BACKLOG,
            reuse_address: true,
            reuse_port: false,
            only_v6: None,
            nodelay: true,
            keepalive: None,
        }
    }
}

impl Tcp {
    /// Serves on an existing listener, which becomes non-blocking.
    ///
    /// # Errors
    ///
    /// If the socket has no address, or cannot be set up.
    pub fn adopt(listener: TcpListener, options: &TcpOptions) -> Result<Self, BindError> {
        let keepalive = options.keepalive.map(keepalive).transpose()?;
        let local = listener.local_addr().map_err(step_failed("an adopted listener", "getsockname"))?;
        let text = local.to_string();
        listener.set_nonblocking(true).map_err(step_failed(&text, "O_NONBLOCK"))?;
        // Inherited by accepted sockets where `accept` below relies on it.
        SockRef::from(&listener).set_tcp_nodelay(options.nodelay).map_err(step_failed(&text, "TCP_NODELAY"))?;
        if let Some(keepalive) = &keepalive {
            SockRef::from(&listener).set_tcp_keepalive(keepalive).map_err(step_failed(&text, "SO_KEEPALIVE"))?;
        }
        Ok(Self { listener, local, nodelay: options.nodelay, keepalive })
    }
}

/// A probe after so much silence, and then another each time.
fn keepalive(period: Duration) -> Result<TcpKeepalive, BindError> {
    /// What Linux takes; others take more.
    const MOST: Duration = Duration::from_secs(32_767);
    if !(Duration::from_secs(1)..=MOST).contains(&period) {
        return Err(BindError::Option {
            option: "keepalive",
            value: format!("{period:?}"),
            reason: "a probe is sent after 1 s to 32 767 s; `None` sends none".to_owned(),
        });
    }
    let keepalive = TcpKeepalive::new().with_time(period);
    #[cfg(not(target_os = "openbsd"))]
    let keepalive = keepalive.with_interval(period);
    Ok(keepalive)
}

impl Bind for Tcp {
    type Address = InetAddress;
    type Options = TcpOptions;

    fn bind(address: &InetAddress, options: &TcpOptions) -> Result<Self, BindError> {
        let TcpOptions { backlog, reuse_address, reuse_port, only_v6, .. } = *options;
        let inet = InetOptions { reuse_address, reuse_port, only_v6 };
        let socket = bind_inet(address, Type::STREAM, Protocol::TCP, inet)?;
        let backlog = i32::try_from(backlog).unwrap_or(i32::MAX);
        // With SO_REUSEADDR, a port that another socket listens on is refused here only.
        socket.listen(backlog).map_err(|source| BindError::Bind { address: address.to_string(), source })?;
        Self::adopt(socket.into(), options)
    }
}

impl Adopt for Tcp {
    type Socket = TcpListener;

    fn adopt(socket: TcpListener, options: &TcpOptions) -> Result<Self, BindError> {
        Self::adopt(socket, options)
    }
}

impl Transport for Tcp {
    type Request = Stream<TcpStream>;
    type Pending = Immediate<Stream<TcpStream>>;
    type Addr = SocketAddr;

    fn accept(&mut self) -> io::Result<Self::Pending> {
        let (socket, peer) = accept(&self.listener)?;
        if cfg!(not(target_os = "linux")) {
            // A peer that has gone already makes this fail on some systems; its first read tells.
            let _ = socket.set_nodelay(self.nodelay);
            if let Some(keepalive) = &self.keepalive {
                let _ = SockRef::from(&socket).set_tcp_keepalive(keepalive);
            }
        }
        Ok(Immediate(Stream::new(socket, Some(peer))))
    }

    fn descriptor(&self) -> Descriptor<'_> {
        super::borrow(&self.listener)
    }

    fn local_addr(&self) -> SocketAddr {
        self.local
    }
}

/// One system call: the socket is non-blocking and closed on exec from the start, and has the listener's TCP_NODELAY and
/// SO_KEEPALIVE.
#[cfg(target_os = "linux")]
fn accept(listener: &TcpListener) -> io::Result<(TcpStream, SocketAddr)> {
    use rustix::net::SocketFlags;
    let (socket, peer) = rustix::net::acceptfrom_with(listener, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC)?;
    let peer = peer
        .and_then(|peer| SocketAddr::try_from(peer).ok())
        .ok_or_else(|| io::Error::new(io::ErrorKind::ConnectionAborted, "accepted a connection without an address"))?;
    Ok((socket.into(), peer))
}

#[cfg(not(target_os = "linux"))]
fn accept(listener: &TcpListener) -> io::Result<(TcpStream, SocketAddr)> {
    let (socket, peer) = listener.accept()?;
    socket.set_nonblocking(true)?;
    Ok((socket, peer))
}

impl Socket for TcpStream {
    type Addr = SocketAddr;

    fn descriptor(&self) -> Descriptor<'_> {
        super::borrow(self)
    }

    fn shutdown_write(&mut self) -> io::Result<()> {
        self.shutdown(Shutdown::Write)
    }

    #[inline]
    fn is_plain(&self) -> bool {
        true
    }

    #[inline]
    fn is_drained_by_short_read(&self) -> bool {
        cfg!(target_os = "linux")
    }
}

#[cfg(unix)]
impl std::os::fd::AsFd for Tcp {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.listener.as_fd()
    }
}
