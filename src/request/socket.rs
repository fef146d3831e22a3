//! What a [`Stream`](super::Stream) is made over, and how the server sends and receives on it.

use std::fmt;
use std::io;
use std::io::ErrorKind;
use std::io::Read;
use std::io::Write;

use crate::error::of_peer;
use crate::sys::Descriptor;
use crate::sys::Interest;

/// A non-blocking socket, or something like one: what [`Stream`](super::Stream) is made over.
///
/// Implement it to bring a custom transport; `TcpStream` and `UnixStream` of the standard library have it (set to
/// non-blocking by the transports). What the server relies on:
///
/// - `read` and `write` return [`ErrorKind::WouldBlock`] instead of waiting, and the descriptor tells when to try again:
///   it is ready for what [`read_interest`](Self::read_interest) or [`write_interest`](Self::write_interest) says.
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

    /// Tells the peer that nothing more will be sent: `shutdown(SHUT_WR)`. Called when everything has been flushed, and
    /// again when the socket is writable if it says `WouldBlock`.
    ///
    /// # Errors
    ///
    /// What the system said; a peer that has gone already is no error that matters.
    fn shutdown_write(&mut self) -> io::Result<()>;

    /// Whether the descriptor is all there is: bytes come from it and go to it as they are (not so for TLS). Then the
    /// server may receive and send on it without calling `read` and `write`, does not flush it, and the kernel may send
    /// files to it by itself: see [`Stream::send_file`](super::Stream::send_file).
    fn is_plain(&self) -> bool {
        false
    }

    /// Whether a read that returns less than was asked for has emptied the socket, as it has for the kernel's sockets
    /// (epoll(7), Q9). Where it may not have (TLS records, say), a second read makes sure.
    fn is_drained_by_short_read(&self) -> bool {
        false
    }

    /// Whether the input has ended, by an `Ok(0)` of `read`, without the word that the peer ends its side with (TLS:
    /// `close_notify`). Then an attacker may have cut short what the peer had to say, and a message that is not
    /// complete is an error: see [`Stream::is_truncated`](super::Stream::is_truncated).
    fn is_truncated(&self) -> bool {
        false
    }

    /// Whether it is in the middle of a handshake, which began when the handler had the connection already (STARTTLS): what
    /// is waited for then has the builder's [`establish_timeout`](crate::Builder::establish_timeout), and what goes wrong
    /// is told at [`Stage::Establish`](crate::Stage::Establish).
    fn is_in_handshake(&self) -> bool {
        false
    }

    /// How many bytes of output it holds, about: with these the server knows whether a slow peer makes progress.
    fn unsent(&self) -> usize {
        0
    }

    /// What the next read waits for; [`Interest::Write`] where it has to send something first.
    fn read_interest(&self) -> Interest {
        Interest::Read
    }

    /// What the next write or flush waits for; [`Interest::Read`] where it has to receive something first.
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
