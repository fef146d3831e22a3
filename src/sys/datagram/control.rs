//! Control messages: the local address that comes with a message, and the one that goes with a reply. ip(7), ipv6(7),
//! cmsg(3).

use std::io;
use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::Ipv6Addr;
use std::os::fd::AsRawFd;

use socket2::Socket;

/// Room for the control messages of one datagram.
pub(super) const CONTROL: usize = 64;

/// Aligned as the header of a control message has to be.
#[repr(C, align(8))]
#[derive(Clone, Copy, Debug)]
pub(super) struct Control([u8; CONTROL]);

impl Control {
    pub(super) const EMPTY: Self = Self([0; CONTROL]);

    /// The message that makes a datagram leave from this address, and its length.
    pub(super) fn leave_from(from: IpAddr) -> (Self, usize) {
        match from {
            IpAddr::V4(address) => {
                let info = libc::in_pktinfo {
                    ipi_ifindex: 0,
                    ipi_spec_dst: libc::in_addr { s_addr: u32::from(address).to_be() },
                    ipi_addr: libc::in_addr { s_addr: 0 },
                };
                Self::of(libc::IPPROTO_IP, libc::IP_PKTINFO, info)
            }
            IpAddr::V6(address) => {
                let info =
                    libc::in6_pktinfo { ipi6_addr: libc::in6_addr { s6_addr: address.octets() }, ipi6_ifindex: 0 };
                Self::of(libc::IPPROTO_IPV6, libc::IPV6_PKTINFO, info)
            }
        }
    }

    /// One control message with this value, and how many bytes it takes.
    fn of<T: Copy>(level: libc::c_int, kind: libc::c_int, value: T) -> (Self, usize) {
        const { assert!(space(size_of::<T>()) <= CONTROL, "the message fits") };
        let mut control = Self::EMPTY;
        // SAFETY: a header of zeros is valid. It has no literal: its fields differ from one C library to the next.
        let mut head: libc::cmsghdr = unsafe { std::mem::zeroed() };
        head.cmsg_len = length(size_of::<T>()) as _;
        head.cmsg_level = level;
        head.cmsg_type = kind;
        let start = (&raw mut control.0).cast::<u8>();
        // SAFETY: the area is aligned for a header, and has room for it.
        unsafe { start.cast::<libc::cmsghdr>().write(head) };
        // SAFETY: the data begin behind the header and its padding, within the area.
        let data = unsafe { start.add(length(0)) };
        // SAFETY: `space` bytes are there, so the value fits; it may be unaligned.
        unsafe { data.cast::<T>().write_unaligned(value) };
        (control, space(size_of::<T>()))
    }
}

/// What a control message with so many bytes of data takes, without the padding behind them.
const fn length(data: usize) -> usize {
    // SAFETY: arithmetic only.
    unsafe { libc::CMSG_LEN(data as u32) as usize }
}

/// What a control message with so many bytes of data takes.
const fn space(data: usize) -> usize {
    // SAFETY: arithmetic only.
    unsafe { libc::CMSG_SPACE(data as u32) as usize }
}

/// The local address a message was sent to, as its header says.
///
/// # Safety
///
/// The header was filled by the kernel, and its control area is still there.
pub(super) unsafe fn local_address(header: &libc::msghdr) -> Option<IpAddr> {
    if header.msg_controllen == 0 {
        return None;
    }
    // SAFETY: the caller's promise.
    let mut message = unsafe { libc::CMSG_FIRSTHDR(header) };
    while !message.is_null() {
        // SAFETY: not null, so a whole header lies within the control area.
        let head = unsafe { message.read() };
        // SAFETY: as above; the data follow the header.
        let data = unsafe { libc::CMSG_DATA(message) };
        let holds = |bytes| head.cmsg_len as usize >= length(bytes);
        match (head.cmsg_level, head.cmsg_type) {
            (libc::IPPROTO_IP, libc::IP_PKTINFO) if holds(size_of::<libc::in_pktinfo>()) => {
                // SAFETY: a message of this type carries an in_pktinfo, and this one has its length; it may be unaligned.
                let info = unsafe { data.cast::<libc::in_pktinfo>().read_unaligned() };
                return Some(Ipv4Addr::from(u32::from_be(info.ipi_addr.s_addr)).into());
            }
            (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) if holds(size_of::<libc::in6_pktinfo>()) => {
                // SAFETY: a message of this type carries an in6_pktinfo, and this one has its length; it may be
                // unaligned.
                let info = unsafe { data.cast::<libc::in6_pktinfo>().read_unaligned() };
                return Some(Ipv6Addr::from(info.ipi6_addr.s6_addr).into());
            }
            _ => {}
        }
        // SAFETY: `message` came from this header.
        message = unsafe { libc::CMSG_NXTHDR(header, message) };
    }
    None
}

/// True if datagrams carry local addresses from now on.
pub(super) fn ask_for_local_addresses(socket: &Socket) -> io::Result<bool> {
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
