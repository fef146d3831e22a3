//! Many datagrams with one system call: recvmmsg(2) and sendmmsg(2) on Linux, one at a time elsewhere.
//!
//! With `IP_PKTINFO` a datagram carries the local address it was sent to, and a reply can leave from it: ip(7),
//! ipv6(7).

use std::io;
#[cfg(target_os = "linux")]
use std::mem::MaybeUninit;
use std::net::IpAddr;
#[cfg(target_os = "linux")]
use std::net::Ipv4Addr;
#[cfg(target_os = "linux")]
use std::net::Ipv6Addr;
use std::os::fd::AsFd;
use std::os::fd::AsRawFd;
use std::os::fd::BorrowedFd;

use socket2::SockAddr;
use socket2::SockAddrStorage;
use socket2::Socket;

use crate::request::datagram::Reply;

/// How many datagrams one call moves at most.
pub(crate) const BATCH: usize = 32;

/// Room for one control message with a local address.
const CONTROL: usize = 64;

/// A bound datagram socket, shared by the transport and the requests that answer through it.
#[derive(Debug)]
pub(crate) struct DatagramSocket {
    pub(crate) socket: Socket,
    /// Whether datagrams carry the local address they were sent to.
    local_addresses: bool,
}

/// One message as it was received.
#[derive(Debug)]
pub(crate) struct Received {
    pub(crate) payload: Vec<u8>,
    pub(crate) sender: SockAddr,
    pub(crate) local: Option<IpAddr>,
    pub(crate) truncated: bool,
}

/// Why a datagram has not left.
#[derive(Debug)]
pub(crate) enum NotSent {
    /// There is no room in the send buffer of this socket, or in the queue of its device.
    Full,
    /// There is no room in the queue of the peer's Unix socket.
    PeerFull,
    Failed(io::Error),
}

/// Aligned as a control message header has to be.
#[repr(C, align(8))]
#[derive(Clone, Copy, Debug)]
struct Control([u8; CONTROL]);

/// Buffers for one batch, and what is left of it.
pub(crate) struct Batch {
    size: usize,
    /// From one buffer to the next: not a power of two, so that their beginnings do not share cache sets.
    stride: usize,
    buffers: Vec<u8>,
    vectors: Vec<libc::iovec>,
    addresses: Vec<SockAddrStorage>,
    controls: Vec<Control>,
    #[cfg(target_os = "linux")]
    headers: Vec<libc::mmsghdr>,
    #[cfg(not(target_os = "linux"))]
    headers: Vec<(libc::msghdr, usize)>,
    next: usize,
    filled: usize,
}

// SAFETY: the raw pointers in the headers and vectors point into the other fields, which are never resized, and are
// used in system calls only.
unsafe impl Send for Batch {}

impl std::fmt::Debug for Batch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Batch")
            .field("size", &self.size)
            .field("left", &(self.filled - self.next))
            .finish_non_exhaustive()
    }
}

impl Batch {
    /// For datagrams of up to `size` bytes.
    pub(crate) fn new(size: usize) -> Self {
        let stride = size.next_multiple_of(64) + 3 * 64;
        Self {
            size,
            stride,
            buffers: vec![0; stride * BATCH],
            vectors: Vec::with_capacity(BATCH),
            addresses: (0..BATCH).map(|_| SockAddrStorage::zeroed()).collect(),
            controls: vec![Control([0; CONTROL]); BATCH],
            headers: Vec::with_capacity(BATCH),
            next: 0,
            filled: 0,
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
        let (header, length) = self.header(index);
        let start = index * self.stride;
        let address = std::mem::replace(&mut self.addresses[index], SockAddrStorage::zeroed());
        // SAFETY: the kernel wrote an address of this length, at most the storage's, into this storage.
        let sender = unsafe { SockAddr::new(address, header.msg_namelen) };
        Some(Received {
            payload: self.buffers[start..start + length.min(self.size)].to_vec(),
            sender,
            local: local_address(&header),
            truncated: header.msg_flags & libc::MSG_TRUNC != 0,
        })
    }

    /// Points the headers to the buffers, once.
    fn prepare(&mut self, control_length: usize) {
        // recvmmsg takes up to a batch; the plain call one.
        let count = if cfg!(target_os = "linux") { BATCH } else { 1 };
        let size = self.size;
        for buffer in self.buffers.chunks_exact_mut(self.stride).take(count) {
            self.vectors.push(libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: size });
        }
        let parts = self.vectors.iter_mut().zip(&mut self.addresses).zip(&mut self.controls);
        for ((vector, address), control) in parts {
            let name = (&raw mut *address).cast();
            let header = message(name, address.size_of(), vector, (&raw mut *control).cast(), control_length);
            self.headers.push(plural(header));
        }
    }

    #[cfg(target_os = "linux")]
    fn header_mut(&mut self, index: usize) -> &mut libc::msghdr {
        &mut self.headers[index].msg_hdr
    }

    #[cfg(not(target_os = "linux"))]
    fn header_mut(&mut self, index: usize) -> &mut libc::msghdr {
        &mut self.headers[index].0
    }

    #[cfg(target_os = "linux")]
    fn header(&self, index: usize) -> (libc::msghdr, usize) {
        (self.headers[index].msg_hdr, self.headers[index].msg_len as usize)
    }

    #[cfg(not(target_os = "linux"))]
    fn header(&self, index: usize) -> (libc::msghdr, usize) {
        self.headers[index]
    }
}

impl DatagramSocket {
    /// Takes a bound, non-blocking socket; asks for local addresses if `local_addresses`.
    pub(crate) fn new(socket: Socket, local_addresses: bool) -> io::Result<Self> {
        let local_addresses = local_addresses && ask_for_local_addresses(&socket)?;
        Ok(Self { socket, local_addresses })
    }

    /// Receives what is there, up to a batch; `WouldBlock` if that is nothing.
    pub(crate) fn receive(&self, batch: &mut Batch) -> io::Result<()> {
        let used = std::mem::take(&mut batch.filled);
        batch.next = 0;
        let control_length = if self.local_addresses { CONTROL } else { 0 };
        if batch.headers.is_empty() {
            batch.prepare(control_length);
        } else {
            // The kernel has overwritten the lengths of those it used.
            for index in 0..used {
                let header = batch.header_mut(index);
                header.msg_namelen = size_of::<SockAddrStorage>() as libc::socklen_t;
                header.msg_controllen = control_length as _;
            }
        }
        batch.filled = self.receive_into(&mut batch.headers)?;
        Ok(())
    }

    #[cfg(target_os = "linux")]
    fn receive_into(&self, headers: &mut [libc::mmsghdr]) -> io::Result<usize> {
        let length = headers.len() as u32;
        // SAFETY: each header points to a buffer, an address and a control area that outlive the call and overlap with
        // no other.
        let count = unsafe {
            libc::recvmmsg(
                self.socket.as_raw_fd(),
                headers.as_mut_ptr(),
                length,
                libc::MSG_DONTWAIT as _,
                std::ptr::null_mut(),
            )
        };
        usize::try_from(count).map_err(|_| io::Error::last_os_error())
    }

    #[cfg(not(target_os = "linux"))]
    fn receive_into(&self, headers: &mut [(libc::msghdr, usize)]) -> io::Result<usize> {
        let (header, length) = &mut headers[0];
        // SAFETY: the header points to a buffer, an address and a control area that outlive the call and overlap with
        // no other.
        let received = unsafe { libc::recvmsg(self.socket.as_raw_fd(), header, libc::MSG_DONTWAIT) };
        *length = usize::try_from(received).map_err(|_| io::Error::last_os_error())?;
        Ok(1)
    }

    /// Sends one datagram, without waiting.
    pub(crate) fn send(&self, payload: &[u8], to: &SockAddr, from: Option<IpAddr>) -> Result<(), NotSent> {
        let mut control = Control([0; CONTROL]);
        let mut vector = libc::iovec { iov_base: payload.as_ptr().cast_mut().cast(), iov_len: payload.len() };
        let header = self.outgoing(to, &mut vector, &mut control, from);
        loop {
            // SAFETY: the header points to the payload, the address and the control area above, which sendmsg only
            // reads.
            let sent = unsafe { libc::sendmsg(self.socket.as_raw_fd(), &raw const header, libc::MSG_DONTWAIT) };
            if sent >= 0 {
                return Ok(());
            }
            let error = io::Error::last_os_error();
            match error.raw_os_error() {
                Some(libc::EINTR) => {}
                Some(libc::EAGAIN | libc::ENOBUFS) if to.is_unix() && !self.is_full() => return Err(NotSent::PeerFull),
                Some(libc::EAGAIN | libc::ENOBUFS) => return Err(NotSent::Full),
                _ => return Err(NotSent::Failed(error)),
            }
        }
    }

    /// Whether the send buffer is full. What peers on Unix sockets have not read counts: a message stays in the sender's
    /// buffer until then.
    #[cfg(target_os = "linux")]
    fn is_full(&self) -> bool {
        let mut used: libc::c_int = 0;
        // SAFETY: TIOCOUTQ, which is SIOCOUTQ of unix(7), writes an int.
        let outcome = unsafe { libc::ioctl(self.socket.as_raw_fd(), libc::TIOCOUTQ, &raw mut used) };
        let room = self.socket.send_buffer_size().unwrap_or_default();
        outcome == 0 && usize::try_from(used).is_ok_and(|used| used >= room)
    }

    /// Elsewhere a message moves to the peer's buffer at once.
    #[cfg(not(target_os = "linux"))]
    fn is_full(&self) -> bool {
        false
    }

    /// Makes the send buffer at least this long, as far as the system allows.
    #[cfg(target_os = "linux")]
    pub(crate) fn raise_send_buffer(&self, bytes: usize) -> io::Result<()> {
        if self.socket.send_buffer_size()? < bytes {
            // The kernel doubles what it is told, for its own accounts, and clamps it to net.core.wmem_max.
            self.socket.set_send_buffer_size(bytes / 2)?;
        }
        if self.socket.send_buffer_size()? < bytes {
            // Beyond that for the privileged alone; others make do.
            let _ = rustix::net::sockopt::set_socket_send_buffer_size_force(&self.socket, bytes / 2);
        }
        Ok(())
    }

    fn outgoing(
        &self,
        to: &SockAddr,
        vector: &mut libc::iovec,
        control: &mut Control,
        from: Option<IpAddr>,
    ) -> libc::msghdr {
        let name = to.as_ptr().cast_mut().cast();
        let mut header = message(name, to.len(), vector, (&raw mut *control).cast(), CONTROL);
        match from {
            Some(from) if self.local_addresses => write_local_address(&mut header, from),
            _ => header.msg_controllen = 0,
        }
        header
    }
}

/// Sends the first of these replies, which share a socket, with one call and without waiting: how many, at least one.
#[cfg(target_os = "linux")]
pub(crate) fn send_batch(socket: &DatagramSocket, replies: &[Reply]) -> Result<usize, NotSent> {
    let mut parts = [const { MaybeUninit::uninit() }; BATCH];
    let mut headers = [const { MaybeUninit::uninit() }; BATCH];
    for ((reply, part), header) in replies.iter().zip(&mut parts).zip(&mut headers) {
        let vector = libc::iovec { iov_base: reply.payload.as_ptr().cast_mut().cast(), iov_len: reply.payload.len() };
        // Only the first of them are used, and only those are written.
        let (vector, control) = part.write((vector, Control([0; CONTROL])));
        header.write(plural(socket.outgoing(&reply.target.address, vector, control, reply.from)));
    }
    let length = replies.len().min(BATCH) as u32;
    // SAFETY: the first `length` headers are written above, and point to payloads, addresses and control areas that
    // outlive the call.
    let count = unsafe {
        libc::sendmmsg(socket.socket.as_raw_fd(), headers.as_mut_ptr().cast(), length, libc::MSG_DONTWAIT as _)
    };
    match usize::try_from(count) {
        Ok(count @ 1..) => Ok(count),
        // Alone the first one says why.
        _ => send_first(socket, replies),
    }
}

/// As many as one: there is no call for more.
#[cfg(not(target_os = "linux"))]
pub(crate) fn send_batch(socket: &DatagramSocket, replies: &[Reply]) -> Result<usize, NotSent> {
    send_first(socket, replies)
}

fn send_first(socket: &DatagramSocket, replies: &[Reply]) -> Result<usize, NotSent> {
    let Some(Reply { target, payload, from }) = replies.first() else { return Ok(0) };
    socket.send(payload, &target.address, *from).map(|()| 1)
}

impl AsFd for DatagramSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

fn empty() -> libc::msghdr {
    // SAFETY: a header of zeros (null pointers with length 0) is valid: no name, no buffers, no control messages.
    unsafe { std::mem::zeroed() }
}

fn message(
    name: *mut libc::c_void,
    name_length: libc::socklen_t,
    vector: &mut libc::iovec,
    control: *mut libc::c_void,
    control_length: usize,
) -> libc::msghdr {
    let mut header = empty();
    header.msg_name = name;
    header.msg_namelen = name_length;
    header.msg_iov = vector;
    header.msg_iovlen = 1;
    header.msg_control = control;
    header.msg_controllen = control_length as _;
    header
}

#[cfg(target_os = "linux")]
fn plural(header: libc::msghdr) -> libc::mmsghdr {
    libc::mmsghdr { msg_hdr: header, msg_len: 0 }
}

#[cfg(not(target_os = "linux"))]
fn plural(header: libc::msghdr) -> (libc::msghdr, usize) {
    (header, 0)
}

/// True if datagrams carry local addresses from now on.
#[cfg(target_os = "linux")]
fn ask_for_local_addresses(socket: &Socket) -> io::Result<bool> {
    let (level, option) = match socket.local_addr()?.as_socket() {
        Some(address) if address.is_ipv6() => (libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO),
        Some(_) => (libc::IPPROTO_IP, libc::IP_PKTINFO),
        None => return Ok(false),
    };
    let on: libc::c_int = 1;
    let size = size_of::<libc::c_int>() as libc::socklen_t;
    // SAFETY: the option takes an int, which is read during the call only.
    let result = unsafe { libc::setsockopt(socket.as_raw_fd(), level, option, (&raw const on).cast(), size) };
    if result == 0 { Ok(true) } else { Err(io::Error::last_os_error()) }
}

#[cfg(not(target_os = "linux"))]
fn ask_for_local_addresses(_: &Socket) -> io::Result<bool> {
    Ok(false)
}

#[cfg(target_os = "linux")]
fn local_address(header: &libc::msghdr) -> Option<IpAddr> {
    if header.msg_controllen == 0 {
        return None;
    }
    // SAFETY: the header was filled by recvmmsg; its control area is alive in the batch.
    let mut control = unsafe { libc::CMSG_FIRSTHDR(header) };
    while !control.is_null() {
        // SAFETY: not null, so a whole control message header lies within the control area.
        let libc::cmsghdr { cmsg_level: level, cmsg_type: kind, .. } = unsafe { *control };
        // SAFETY: as above; the data follows the header.
        let data = unsafe { libc::CMSG_DATA(control) };
        if (level, kind) == (libc::IPPROTO_IP, libc::IP_PKTINFO) {
            // SAFETY: ip(7): a message of this type carries an in_pktinfo; it may be unaligned.
            let info = unsafe { data.cast::<libc::in_pktinfo>().read_unaligned() };
            return Some(Ipv4Addr::from(u32::from_be(info.ipi_addr.s_addr)).into());
        }
        if (level, kind) == (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) {
            // SAFETY: ipv6(7): a message of this type carries an in6_pktinfo; it may be unaligned.
            let info = unsafe { data.cast::<libc::in6_pktinfo>().read_unaligned() };
            return Some(Ipv6Addr::from(info.ipi6_addr.s6_addr).into());
        }
        // SAFETY: `control` came from this header.
        control = unsafe { libc::CMSG_NXTHDR(header, control) };
    }
    None
}

#[cfg(not(target_os = "linux"))]
fn local_address(_: &libc::msghdr) -> Option<IpAddr> {
    None
}

#[cfg(target_os = "linux")]
fn write_local_address(header: &mut libc::msghdr, from: IpAddr) {
    match from {
        IpAddr::V4(address) => {
            let info = libc::in_pktinfo {
                ipi_ifindex: 0,
                ipi_spec_dst: libc::in_addr { s_addr: u32::from(address).to_be() },
                ipi_addr: libc::in_addr { s_addr: 0 },
            };
            write_control(header, libc::IPPROTO_IP, libc::IP_PKTINFO, info);
        }
        IpAddr::V6(address) => {
            let info = libc::in6_pktinfo { ipi6_addr: libc::in6_addr { s6_addr: address.octets() }, ipi6_ifindex: 0 };
            write_control(header, libc::IPPROTO_IPV6, libc::IPV6_PKTINFO, info);
        }
    }
}

#[cfg(target_os = "linux")]
fn write_control<T>(header: &mut libc::msghdr, level: libc::c_int, kind: libc::c_int, value: T) {
    let size = size_of::<T>() as u32;
    // SAFETY: arithmetic only.
    let space = unsafe { libc::CMSG_SPACE(size) };
    // SAFETY: arithmetic only.
    let length = unsafe { libc::CMSG_LEN(size) };
    debug_assert!(space as usize <= CONTROL, "the control area is large enough");
    header.msg_controllen = space as _;
    // SAFETY: the header points to a control area of CONTROL bytes, aligned, of which `space` are used.
    let control = unsafe { libc::CMSG_FIRSTHDR(header) };
    let head = libc::cmsghdr { cmsg_len: length as _, cmsg_level: level, cmsg_type: kind };
    // SAFETY: not null, because msg_controllen has room for a header.
    unsafe { control.write(head) };
    // SAFETY: the data of that header lies within the control area.
    let data = unsafe { libc::CMSG_DATA(control) };
    // SAFETY: there are CMSG_SPACE(size) bytes, so the value fits; it may be unaligned.
    unsafe { data.cast::<T>().write_unaligned(value) };
}

#[cfg(not(target_os = "linux"))]
fn write_local_address(header: &mut libc::msghdr, _: IpAddr) {
    header.msg_controllen = 0;
}
