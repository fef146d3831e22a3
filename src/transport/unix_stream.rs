//! Unix-domain stream sockets.

use std::io;
use std::net::Shutdown;
use std::os::fd::AsFd;
use std::os::fd::BorrowedFd;
use std::os::unix::net;

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
use crate::request::Socket;
use crate::request::Stream;
use crate::sys::Descriptor;

/// A Unix-domain listener. Its requests are [`Stream<std::os::unix::net::UnixStream>`](Stream).
///
/// The socket's file is removed when the listener is closed, by the process that created it, if it is still the same
/// file. A stale file, left by a server that was killed, is replaced when bound, after a connection to it was refused;
/// the file of a running server, or one that is not a socket, never is.
#[derive(Debug)]
pub struct UnixStream {
    /// First, so that the file goes before the listener: a file that refuses connections may be replaced by others.
    path: Option<OwnedPath>,
    listener: net::UnixListener,
    local: UnixAddress,
}

/// The options of a Unix-domain listener.
#[derive(Clone, Debug)]
pub struct UnixStreamOptions {
    pub(crate) backlog: u32,
    pub(crate) mode: Option<u32>,
}

impl UnixStreamOptions {
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

    /// The permissions of the socket's file. Default: determined by the umask.
    #[must_use]
    pub fn mode(mut self, mode: u32) -> Self {
        self.mode = Some(mode);
        self
    }
}

impl Default for UnixStreamOptions {
    fn default() -> Self {
        Self { backlog: super::BACKLOG, mode: None }
    }
}

impl UnixStream {
    /// Serves on an existing listener, which becomes non-blocking. Its file is not removed, unless this process has
    /// inherited it in a hot restart.
    ///
    /// # Errors
    ///
    /// If the socket has no address, or cannot be set up.
    pub fn adopt(listener: net::UnixListener) -> Result<Self, BindError> {
        let local = listener.local_addr().map_err(step_failed("an adopted listener", "getsockname"))?;
        let local = UnixAddress::from_std(&local);
        listener.set_nonblocking(true).map_err(step_failed(&local.to_string(), "O_NONBLOCK"))?;
        Ok(Self { path: OwnedPath::inherited(&listener), listener, local })
    }
}

impl Bind for UnixStream {
    type Address = UnixAddress;
    type Options = UnixStreamOptions;

    fn bind(address: &UnixAddress, options: &UnixStreamOptions) -> Result<Self, BindError> {
        let (socket, path) = bind_unix(address, Type::STREAM, options.mode, Some(options.backlog))?;
        Ok(Self { path, ..Self::adopt(socket.into())? })
    }
}

impl Adopt for UnixStream {
    type Socket = net::UnixListener;

    fn adopt(socket: net::UnixListener, _: &UnixStreamOptions) -> Result<Self, BindError> {
        Self::adopt(socket)
    }
}

impl Transport for UnixStream {
    type Request = Stream<net::UnixStream>;
    type Pending = Immediate<Stream<net::UnixStream>>;
    type Addr = UnixAddress;

    fn accept(&mut self) -> io::Result<Self::Pending> {
        let (socket, peer) = accept(&self.listener)?;
        Ok(Immediate(Stream::new(socket, Some(peer))))
    }

    fn descriptor(&self) -> Descriptor<'_> {
        self.listener.as_fd()
    }

    fn hand_over(&mut self) {
        if let Some(path) = self.path.take() {
            path.leave();
        }
    }

    fn local_addr(&self) -> UnixAddress {
        self.local.clone()
    }
}

/// One system call: the socket is non-blocking and closed on exec from the start.
#[cfg(target_os = "linux")]
fn accept(listener: &net::UnixListener) -> io::Result<(net::UnixStream, UnixAddress)> {
    use rustix::net::SocketFlags;
    let (socket, peer) = rustix::net::acceptfrom_with(listener, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC)?;
    let name = peer.as_ref().map(crate::sys::unix_address::name_of);
    Ok((socket.into(), UnixAddress::from_name(name.unwrap_or_default())))
}

#[cfg(not(target_os = "linux"))]
fn accept(listener: &net::UnixListener) -> io::Result<(net::UnixStream, UnixAddress)> {
    let (socket, peer) = listener.accept()?;
    socket.set_nonblocking(true)?;
    Ok((socket, UnixAddress::from_std(&peer)))
}

impl Socket for net::UnixStream {
    type Addr = UnixAddress;

    fn descriptor(&self) -> Descriptor<'_> {
        self.as_fd()
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

impl AsFd for UnixStream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.listener.as_fd()
    }
}
