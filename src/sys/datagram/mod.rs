//! Datagram sockets: many messages with one system call where the system has one for that, the local address that a
//! message was sent to, and what it means when there is no room.
//!
//! Nothing here waits: `receive` and `send` say that there is nothing, or no room, and return.

#[cfg(target_os = "linux")]
mod batch;
#[cfg(target_os = "linux")]
mod control;
#[cfg(target_os = "linux")]
mod errors;
#[cfg(not(target_os = "linux"))]
mod one_by_one;
mod room;

use std::io;
use std::net::IpAddr;
use std::sync::Arc;

use socket2::SockAddr;
use socket2::Socket;

#[cfg(target_os = "linux")]
use self::batch as system;
#[cfg(not(target_os = "linux"))]
use self::one_by_one as system;
use crate::sys::Descriptor;

pub(crate) use self::room::NotSent;
pub(crate) use self::system::Batch;
pub(crate) use self::system::send_batch;

/// How many datagrams one call moves at most.
pub(crate) const BATCH: usize = 32;

/// A bound datagram socket, shared by the transport and the requests that answer through it.
#[derive(Debug)]
pub(crate) struct DatagramSocket {
    socket: Socket,
    /// Whether datagrams carry the local address they were sent to.
    local_addresses: bool,
    /// UDP, not a Unix socket.
    #[cfg(target_os = "linux")]
    is_inet: bool,
}

/// One message as it was received.
#[derive(Debug)]
pub(crate) struct Received {
    pub(crate) payload: Vec<u8>,
    pub(crate) sender: SockAddr,
    pub(crate) local: LocalEnd,
    pub(crate) truncated: bool,
}

/// What is known of the local end of a message.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct LocalEnd {
    /// The address it was sent to; a message to many has theirs.
    pub(crate) to: Option<IpAddr>,
    /// The address that replies leave from, which is one of this machine's.
    pub(crate) own: Option<IpAddr>,
}

/// Where a batched reply goes.
#[doc(hidden)]
#[derive(Debug)]
pub struct BatchTarget {
    pub(crate) socket: Arc<DatagramSocket>,
    pub(crate) address: SockAddr,
}

/// A reply that waits to be sent with others.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) target: BatchTarget,
    pub(crate) payload: Vec<u8>,
    pub(crate) from: Option<IpAddr>,
}

impl DatagramSocket {
    /// Takes a bound, non-blocking socket; asks for local addresses if `local_addresses`.
    pub(crate) fn new(socket: Socket, local_addresses: bool) -> io::Result<Self> {
        let local_addresses = local_addresses && system::ask_for_local_addresses(&socket)?;
        Ok(Self {
            #[cfg(target_os = "linux")]
            is_inet: socket.local_addr()?.as_socket().is_some(),
            socket,
            local_addresses,
        })
    }

    /// Readable while there is something to receive.
    pub(crate) fn descriptor(&self) -> Descriptor<'_> {
        crate::sys::borrow(&self.socket)
    }

    /// Sends one datagram, from the local address `from` where messages carry theirs.
    pub(crate) fn send(&self, payload: &[u8], to: &SockAddr, from: Option<IpAddr>) -> Result<(), NotSent> {
        let mut is_first = true;
        loop {
            let Err(error) = self.send_once(payload, to, from.filter(|_| self.local_addresses)) else { return Ok(()) };
            if error.kind() == io::ErrorKind::Interrupted {
                continue;
            }
            match self.not_sent(error, to) {
                // The error of an earlier datagram.
                NotSent::Failed(_) if std::mem::take(&mut is_first) && self.take_errors() => {}
                not_sent => return Err(not_sent),
            }
        }
    }

    #[cfg(not(target_os = "linux"))]
    #[allow(clippy::unused_self, reason = "Linux asks the socket")]
    fn take_errors(&self) -> bool {
        false
    }

    fn send_first(&self, replies: &[Reply]) -> Result<usize, NotSent> {
        let Some(Reply { target, payload, from }) = replies.first() else { return Ok(0) };
        self.send(payload, &target.address, *from).map(|()| 1)
    }
}
