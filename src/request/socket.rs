//! What a [`Stream`](super::Stream) is made over, and how the server sends and receives on it.

use std::fmt;
use std::io;
use std::io::ErrorKind;
use std::io::Read;
use std::io::Write;

use crate::error::of_peer;
use crate::sys::Descriptor;

/// A non-blocking socket, or something like one: what [`Stream`](super::Stream) is made over.
///
/// `read` and `write` return [`ErrorKind::WouldBlock`] instead of waiting, and the descriptor tells when to try again.
/// Implement it to bring a transport of your own; `TcpStream` and `UnixStream` of the standard library have it (set to
/// non-blocking by the transports).
pub trait Socket: Read + Write {
    /// The address of a peer.
    type Addr: Clone + fmt::Debug + Send + Sync + 'static;

    /// Whether a read that returns less than was asked for has emptied the socket, as it has for the kernel's sockets
    /// (epoll(7), Q9). Where it may not have (TLS records, say), a second read makes sure.
    const SHORT_READ_DRAINS: bool = false;

    /// Whether the descriptor is all there is: bytes come from it and go to it as they are (not so for TLS). Then the
    /// server may receive and send on it without calling `read` and `write`, and the kernel may send files to it by
    /// itself: see [`Stream::send_file`](super::Stream::send_file).
    const IS_PLAIN: bool = false;

    /// Readable when a read may make progress, writable when a write may.
    fn descriptor(&self) -> Descriptor<'_>;

    /// Tells the peer that nothing more will be sent: `shutdown(SHUT_WR)`.
    ///
    /// # Errors
    ///
    /// What the system said; a peer that has gone already is no error that matters.
    fn shutdown_write(&mut self) -> io::Result<()>;
}

/// Receives without waiting.
#[inline]
pub(super) fn receive<S: Socket>(socket: &mut S, room: &mut [u8]) -> io::Result<usize> {
    #[cfg(target_os = "linux")]
    if S::IS_PLAIN {
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
    if S::IS_PLAIN {
        return crate::sys::socket::send(socket.descriptor(), bytes);
    }
    socket.write(bytes)
}
