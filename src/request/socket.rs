//! The socket under a [`Stream`](super::Stream), and how the server sends and receives on it.

use std::fmt;
use std::io;
use std::io::ErrorKind;
use std::io::Read;
use std::io::Write;

use crate::error::of_peer;
use crate::sys::Descriptor;
use crate::sys::Interest;

/// A non-blocking socket, or something like one, under a [`Stream`](super::Stream).
///
/// It is implemented for `TcpStream` and `UnixStream` of the standard library, which the transports make non-blocking.
/// Implement it for the connections of a custom transport. The server relies on this:
///
/// - `read` and `write` return [`ErrorKind::WouldBlock`] instead of blocking, and are called again when the descriptor
///   is ready for what [`read_interest`](Self::read_interest) or [`write_interest`](Self::write_interest) returns.
/// - `write` may take bytes that it does not send at once (a TLS record, a block to be compressed). Then
///   [`flush`](Write::flush) sends them, and returns [`ErrorKind::WouldBlock`] for as long as it still holds some. The
///   server flushes before it waits for input, before it lingers and before it calls
///   [`shutdown_write`](Self::shutdown_write), so that no output stays behind.
/// - A `write` that can take nothing returns `WouldBlock`, not `Ok(0)`.
pub trait Socket: Read + Write {
    /// The address of a peer.
    type Addr: Clone + fmt::Debug + Send + Sync + 'static;

    /// Readable when a read may make progress, writable when a write may.
    fn descriptor(&self) -> Descriptor<'_>;

    /// Tells the peer that nothing more will be sent: `shutdown(SHUT_WR)`. Called when everything has been flushed; if
    /// it returns `WouldBlock`, it is called again when the socket is writable.
    ///
    /// # Errors
    ///
    /// An error of the socket; the server ignores one that says that the peer is gone.
    fn shutdown_write(&mut self) -> io::Result<()>;

    /// Whether bytes are read from and written to the descriptor unchanged (not so for TLS). Then the server may
    /// receive and send on it without calling `read` and `write`, does not flush it, and the kernel may send files to
    /// it directly: see [`Stream::send_file`](super::Stream::send_file). Default false.
    fn is_plain(&self) -> bool {
        false
    }

    /// Whether a read that returns less than requested has emptied the socket, as for the kernel's sockets (epoll(7),
    /// Q9). If it may not have (TLS records, say), the server reads again. Default false.
    fn is_drained_by_short_read(&self) -> bool {
        false
    }

    /// Whether the input has ended, by an `Ok(0)` of `read`, without the closing message of the peer (TLS:
    /// `close_notify`). Then an attacker may have truncated it, and an incomplete message is an error: see
    /// [`Stream::is_truncated`](super::Stream::is_truncated).
    fn is_truncated(&self) -> bool {
        false
    }

    /// Whether it is in the middle of a handshake that began after the handler had the connection (STARTTLS): then
    /// waits are subject to the builder's [`establish_timeout`](crate::Builder::establish_timeout), and errors have the
    /// stage [`Stage::Establish`](crate::Stage::Establish).
    fn is_in_handshake(&self) -> bool {
        false
    }

    /// Approximately how many bytes of output it holds, from which the server sees whether a slow peer makes progress.
    fn unsent(&self) -> usize {
        0
    }

    /// What the next read waits for; [`Interest::Write`] if it has to send something first.
    fn read_interest(&self) -> Interest {
        Interest::Read
    }

    /// What the next write or flush waits for; [`Interest::Read`] if it has to receive something first.
    fn write_interest(&self) -> Interest {
        Interest::Write
    }
}

/// Receives without waiting.
#[inline]
pub(crate) fn receive<S: Socket>(socket: &mut S, room: &mut [u8]) -> io::Result<usize> {
    #[cfg(target_os = "linux")]
    if socket.is_plain() {
        return crate::sys::socket::recv(socket.descriptor(), room);
    }
    socket.read(room)
}

/// Sends without waiting; 0 where the kernel has no room.
pub(super) fn send<S: Socket>(socket: &mut S, bytes: &[u8]) -> io::Result<usize> {
    loop {
        match send_once(socket, bytes) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(count) => return Ok(count),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(0),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(of_peer(error)),
        }
    }
}

#[inline]
fn send_once<S: Socket>(socket: &mut S, bytes: &[u8]) -> io::Result<usize> {
    #[cfg(target_os = "linux")]
    if socket.is_plain() {
        return crate::sys::socket::send(socket.descriptor(), bytes);
    }
    socket.write(bytes)
}

/// Sends what the socket itself holds, without waiting; true once it holds nothing.
#[inline]
pub(super) fn flush<S: Socket>(socket: &mut S) -> io::Result<bool> {
    if socket.is_plain() {
        return Ok(true);
    }
    loop {
        match socket.flush() {
            Ok(()) => return Ok(true),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(of_peer(error)),
        }
    }
}
