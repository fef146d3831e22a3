//! recv(2) and send(2) as they are: the C library's are cancellation points (pthreads(7)), which cost each call some
//! fifty instructions in a process of several threads.

use std::io;

use rustix::net::RecvFlags;
#[cfg(target_os = "linux")]
use rustix::net::SendFlags;

use crate::sys::Descriptor;

/// Receives what is there, if the socket does not block; 0 at the end of the stream.
#[inline]
pub(crate) fn recv(socket: Descriptor<'_>, bytes: &mut [u8]) -> io::Result<usize> {
    Ok(rustix::net::recv(socket, bytes, RecvFlags::empty())?.0)
}

/// Looks at what is there, and leaves it there; 0 at the end of the stream.
pub(crate) fn peek(socket: Descriptor<'_>, bytes: &mut [u8]) -> io::Result<usize> {
    Ok(rustix::net::recv(socket, bytes, RecvFlags::PEEK)?.0)
}

/// Sends as much as there is room for, if the socket does not block; no SIGPIPE.
#[cfg(target_os = "linux")]
#[inline]
pub(crate) fn send(socket: Descriptor<'_>, bytes: &[u8]) -> io::Result<usize> {
    Ok(rustix::net::send(socket, bytes, SendFlags::NOSIGNAL)?)
}
