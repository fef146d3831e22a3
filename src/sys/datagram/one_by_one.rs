//! One message a call, where the system has no other, and none with local addresses.

use std::io;
use std::mem::MaybeUninit;
use std::net::IpAddr;

use socket2::MaybeUninitSlice;
use socket2::SockAddr;
use socket2::Socket;

use super::DatagramSocket;
use super::LocalEnd;
use super::NotSent;
use super::Received;
use super::Reply;

/// A buffer for one message, and the message.
#[derive(Debug)]
pub(crate) struct Batch {
    buffer: Vec<MaybeUninit<u8>>,
    received: Option<Received>,
}

impl Batch {
    /// Whether a datagram is left from the last receive.
    pub(crate) fn has_next(&self) -> bool {
        self.received.is_some()
    }

    /// The next datagram of the batch.
    pub(crate) fn next(&mut self) -> Option<Received> {
        self.received.take()
    }
}

impl DatagramSocket {
    /// Buffers for datagrams of up to `size` bytes.
    #[allow(clippy::unused_self, reason = "Linux asks the socket")]
    pub(crate) fn batch(&self, size: usize) -> Batch {
        Batch { buffer: vec![MaybeUninit::new(0); size], received: None }
    }

    /// Receives what is there, up to a batch; `WouldBlock` if that is nothing.
    pub(crate) fn receive(&self, batch: &mut Batch) -> io::Result<()> {
        let (length, flags, sender) =
            self.socket.recv_from_vectored(&mut [MaybeUninitSlice::new(&mut batch.buffer)])?;
        let length = length.min(batch.buffer.len());
        let payload = &raw const batch.buffer[..length] as *const [u8];
        // SAFETY: the buffer held zeros before the system wrote to it.
        let payload = unsafe { &*payload }.to_vec();
        batch.received =
            Some(Received { payload, sender, local: LocalEnd::default(), truncated: flags.is_truncated() });
        Ok(())
    }

    pub(super) fn send_once(&self, payload: &[u8], to: &SockAddr, _: Option<IpAddr>) -> io::Result<()> {
        self.socket.send_to(payload, to).map(drop)
    }
}

/// Sends the first of these replies, which share a socket: how many, at least one.
pub(crate) fn send_batch(socket: &DatagramSocket, replies: &[Reply]) -> Result<usize, NotSent> {
    socket.send_first(replies)
}

#[allow(clippy::unnecessary_wraps, reason = "Linux may fail")]
pub(super) fn ask_for_local_addresses(_: &Socket) -> io::Result<bool> {
    Ok(false)
}
