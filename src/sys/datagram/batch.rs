//! recvmmsg(2) and sendmmsg(2).

use std::fmt;
use std::io;
use std::io::ErrorKind::WouldBlock;
use std::mem::MaybeUninit;
use std::net::IpAddr;
use std::os::fd::AsRawFd;

use socket2::SockAddr;
use socket2::SockAddrStorage;

use super::BATCH;
use super::DatagramSocket;
use super::NotSent;
use super::Received;
use super::Reply;
use super::control::CONTROL;
use super::control::Control;
use super::control::local_end;

pub(super) use super::control::ask_for_local_addresses;

/// Buffers for one batch, and what is left of it.
///
/// The headers point into the other vectors: these are never resized, and only reached by raw pointers, so that no
/// reference comes between the kernel and what it writes to.
pub(crate) struct Batch {
    size: usize,
    /// From one buffer to the next: not a power of two, so that their beginnings do not share cache sets.
    stride: usize,
    buffers: Vec<u8>,
    _vectors: Vec<libc::iovec>,
    _addresses: Vec<SockAddrStorage>,
    _controls: Vec<Control>,
    control_length: usize,
    headers: Vec<libc::mmsghdr>,
    next: usize,
    filled: usize,
    /// The last receive has found nothing.
    was_empty: bool,
}

// SAFETY: the raw pointers in the headers and vectors point into the other fields and are used in system calls only.
unsafe impl Send for Batch {}

impl fmt::Debug for Batch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Batch")
            .field("size", &self.size)
            .field("left", &(self.filled - self.next))
            .finish_non_exhaustive()
    }
}

impl Batch {
    fn new(size: usize, control_length: usize) -> Self {
        let stride = size.next_multiple_of(64) + 3 * 64;
        let mut buffers = vec![0_u8; stride * BATCH];
        let mut addresses: Vec<_> = (0..BATCH).map(|_| SockAddrStorage::zeroed()).collect();
        let mut controls = vec![Control::EMPTY; BATCH];
        let buffer = |index| buffers.as_mut_ptr().wrapping_add(index * stride).cast();
        let mut vectors: Vec<_> =
            (0..BATCH).map(buffer).map(|iov_base| libc::iovec { iov_base, iov_len: size }).collect();
        let header = |index| {
            let mut header = empty();
            header.msg_name = addresses.as_mut_ptr().wrapping_add(index).cast();
            header.msg_namelen = NAME_LENGTH;
            header.msg_iov = vectors.as_mut_ptr().wrapping_add(index);
            header.msg_iovlen = 1;
            header.msg_control = controls.as_mut_ptr().wrapping_add(index).cast();
            header.msg_controllen = control_length as _;
            libc::mmsghdr { msg_hdr: header, msg_len: 0 }
        };
        let headers = (0..BATCH).map(header).collect();
        Self {
            size,
            stride,
            buffers,
            _vectors: vectors,
            _addresses: addresses,
            _controls: controls,
            control_length,
            headers,
            next: 0,
            filled: 0,
            was_empty: false,
        }
    }

    /// Whether a datagram is left from the last receive.
    pub(crate) fn has_next(&self) -> bool {
        self.next < self.filled
    }

    /// The next datagram of the batch.
    pub(crate) fn next(&mut self) -> Option<Received> {
        if !self.has_next() {
            return None;
        }
        let index = self.next;
        self.next += 1;
        let libc::mmsghdr { msg_hdr: header, msg_len } = self.headers[index];
        let storage = header.msg_name.cast::<SockAddrStorage>();
        // SAFETY: the storage of this index, which is one of BATCH; there is no reference to it.
        let address = unsafe { storage.replace(SockAddrStorage::zeroed()) };
        // SAFETY: the kernel wrote an address of this length, at most the storage's, into this storage.
        let sender = unsafe { SockAddr::new(address, header.msg_namelen) };
        let start = self.buffers.as_ptr().wrapping_add(index * self.stride);
        let length = (msg_len as usize).min(self.size);
        // SAFETY: the buffer of this index begins there and has `size` bytes, which were zeros before the kernel wrote
        // to them.
        let payload = unsafe { std::slice::from_raw_parts(start, length) }.to_vec();
        Some(Received {
            payload,
            sender,
            // SAFETY: recvmmsg has filled this header; its control area is in this batch.
            local: unsafe { local_end(&header) },
            truncated: header.msg_flags & libc::MSG_TRUNC != 0,
        })
    }
}

impl DatagramSocket {
    /// Buffers for datagrams of up to `size` bytes.
    pub(crate) fn batch(&self, size: usize) -> Batch {
        Batch::new(size, if self.local_addresses { CONTROL } else { 0 })
    }

    /// Receives what is there, up to a batch; `WouldBlock` if that is nothing.
    pub(crate) fn receive(&self, batch: &mut Batch) -> io::Result<()> {
        let used = std::mem::take(&mut batch.filled);
        batch.next = 0;
        // The kernel has overwritten the lengths of those it used.
        for header in &mut batch.headers[..used] {
            header.msg_hdr.msg_namelen = NAME_LENGTH;
            header.msg_hdr.msg_controllen = batch.control_length as _;
        }
        let is_empty = |received: &io::Result<_>| matches!(received, Err(error) if error.kind() == WouldBlock);
        let mut received = self.receive_into(batch);
        if is_empty(&received) && batch.was_empty {
            // Woken twice in a row, and not by a message.
            self.take_errors();
        } else if received.is_err() && !is_empty(&received) && self.take_errors() {
            // The error was that of a datagram which was sent.
            received = self.receive_into(batch);
        }
        batch.was_empty = is_empty(&received);
        batch.filled = received?;
        Ok(())
    }

    fn receive_into(&self, batch: &mut Batch) -> io::Result<usize> {
        // SAFETY: each header points to a buffer, an address and a control area that outlive the call and overlap with
        // no other.
        let count = unsafe {
            libc::recvmmsg(
                self.socket.as_raw_fd(),
                batch.headers.as_mut_ptr(),
                BATCH as u32,
                libc::MSG_DONTWAIT as _,
                std::ptr::null_mut(),
            )
        };
        usize::try_from(count).map_err(|_| io::Error::last_os_error())
    }

    pub(super) fn send_once(&self, payload: &[u8], to: &SockAddr, from: Option<IpAddr>) -> io::Result<()> {
        let mut parts = Parts::of(payload, from);
        let header = parts.header(to);
        // SAFETY: the header points to the payload, the address and the parts above, which sendmsg only reads.
        let sent = unsafe { libc::sendmsg(self.socket.as_raw_fd(), &raw const header, libc::MSG_DONTWAIT) };
        if sent < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }
}

/// Sends the first of these replies, which share a socket, with one call: how many, at least one.
pub(crate) fn send_batch(socket: &DatagramSocket, replies: &[Reply]) -> Result<usize, NotSent> {
    let mut parts = [const { MaybeUninit::uninit() }; BATCH];
    let mut headers = [const { MaybeUninit::uninit() }; BATCH];
    for ((reply, part), header) in replies.iter().zip(&mut parts).zip(&mut headers) {
        // Only the first of them are used, and only those are written.
        let part = part.write(Parts::of(&reply.payload, reply.from.filter(|_| socket.local_addresses)));
        header.write(libc::mmsghdr { msg_hdr: part.header(&reply.target.address), msg_len: 0 });
    }
    let length = replies.len().min(BATCH) as u32;
    // SAFETY: the first `length` headers are written above, and point to payloads, addresses and parts that outlive the
    // call.
    let count = unsafe {
        libc::sendmmsg(socket.socket.as_raw_fd(), headers.as_mut_ptr().cast(), length, libc::MSG_DONTWAIT as _)
    };
    match usize::try_from(count) {
        Ok(count @ 1..) => Ok(count),
        // Alone the first one says why.
        _ => socket.send_first(replies),
    }
}

/// What the header of a datagram on its way out points to.
struct Parts {
    vector: libc::iovec,
    control: Control,
    control_length: usize,
}

impl Parts {
    fn of(payload: &[u8], from: Option<IpAddr>) -> Self {
        let vector = libc::iovec { iov_base: payload.as_ptr().cast_mut().cast(), iov_len: payload.len() };
        let (control, control_length) = from.map_or((Control::EMPTY, 0), Control::leave_from);
        Self { vector, control, control_length }
    }

    /// Points to these parts and to the address: good as long as they stay where they are.
    fn header(&mut self, to: &SockAddr) -> libc::msghdr {
        let mut header = empty();
        header.msg_name = to.as_ptr().cast_mut().cast();
        header.msg_namelen = to.len();
        header.msg_iov = &raw mut self.vector;
        header.msg_iovlen = 1;
        header.msg_control = (&raw mut self.control).cast();
        header.msg_controllen = self.control_length as _;
        header
    }
}

const NAME_LENGTH: libc::socklen_t = size_of::<SockAddrStorage>() as libc::socklen_t;

fn empty() -> libc::msghdr {
    // SAFETY: a header of zeros (null pointers with length 0) is valid: no name, no buffers, no control messages. It has
    // no literal: its fields differ from one C library to the next.
    unsafe { std::mem::zeroed() }
}
