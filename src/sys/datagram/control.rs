//! Control messages: the local address that comes with a message, and the one that goes with a reply. ip(7), ipv6(7),
//! cmsg(3).

use std::io;
use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::Ipv6Addr;
use std::os::fd::AsRawFd;

use socket2::Socket;

use super::LocalEnd;

/// Room for the control messages of one datagram: an IPv4 packet on a socket of both families has two.
pub(super) const CONTROL: usize = 96;

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

/// What a control message with this many bytes of data takes, without the padding behind them.
const fn length(data: usize) -> usize {
    // SAFETY: arithmetic only.
    unsafe { libc::CMSG_LEN(data as u32) as usize }
}

/// What a control message with this many bytes of data takes.
const fn space(data: usize) -> usize {
    // SAFETY: arithmetic only.
    unsafe { libc::CMSG_SPACE(data as u32) as usize }
}

/// What the header of a message says of the local end.
///
/// # Safety
///
/// The header was filled by the kernel, and its control area is still there.
pub(super) unsafe fn local_end(header: &libc::msghdr) -> LocalEnd {
    let (mut v4, mut v6) = (None, None);
    // SAFETY: the caller's promise; null if there is no control message.
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
                v4 = Some(unsafe { data.cast::<libc::in_pktinfo>().read_unaligned() });
            }
            (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) if holds(size_of::<libc::in6_pktinfo>()) => {
                // SAFETY: a message of this type carries an in6_pktinfo, and this one has its length; it may be
                // unaligned.
                v6 = Some(unsafe { data.cast::<libc::in6_pktinfo>().read_unaligned() });
            }
            _ => {}
        }
        // SAFETY: `message` came from this header.
        message = unsafe { libc::CMSG_NXTHDR(header, message) };
    }
    let address_of = |address: libc::in_addr| Ipv4Addr::from(u32::from_be(address.s_addr));
    LocalEnd::of(
        v4.map(|info| (address_of(info.ipi_addr), address_of(info.ipi_spec_dst))),
        v6.map(|info| Ipv6Addr::from(info.ipi6_addr.s6_addr)),
    )
}

impl LocalEnd {
    /// `v4` has the address in the header of the packet and the interface's own; `v6` the one in the header. A socket of
    /// both families tells both of an IPv4 packet.
    fn of(v4: Option<(Ipv4Addr, Ipv4Addr)>, v6: Option<Ipv6Addr>) -> Self {
        match (v4, v6) {
            (Some((_, own)), Some(to)) => Self { to: Some(to.into()), own: Some(own.to_ipv6_mapped().into()) },
            (Some((to, own)), None) => Self { to: Some(to.into()), own: Some(own.into()) },
            (None, Some(to)) => Self { to: Some(to.into()), own: (!to.is_multicast()).then_some(to.into()) },
            (None, None) => Self::default(),
        }
    }
}

/// True if datagrams carry local addresses from now on.
pub(super) fn ask_for_local_addresses(socket: &Socket) -> io::Result<bool> {
    let Some(address) = socket.local_addr()?.as_socket() else { return Ok(false) };
    if address.is_ipv6() {
        switch_on(socket, libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO)?;
        // For the interface's own address of IPv4 packets, if the socket takes any.
        let _ = switch_on(socket, libc::IPPROTO_IP, libc::IP_PKTINFO);
    } else {
        switch_on(socket, libc::IPPROTO_IP, libc::IP_PKTINFO)?;
    }
    Ok(true)
}

fn switch_on(socket: &Socket, level: libc::c_int, option: libc::c_int) -> io::Result<()> {
    let on: libc::c_int = 1;
    let size = size_of::<libc::c_int>() as libc::socklen_t;
    // SAFETY: the option takes an int, which is read during the call only.
    let result = unsafe { libc::setsockopt(socket.as_raw_fd(), level, option, (&raw const on).cast(), size) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a message has for its receiver that carries this control message.
    fn received((mut control, length): (Control, usize)) -> LocalEnd {
        // SAFETY: a header of zeros is valid.
        let mut header: libc::msghdr = unsafe { std::mem::zeroed() };
        header.msg_control = (&raw mut control.0).cast();
        header.msg_controllen = length as _;
        // SAFETY: the control area is above, and holds what it says.
        unsafe { local_end(&header) }
    }

    #[test]
    fn what_is_written_is_read() {
        let v4 = Ipv4Addr::new(127, 0, 0, 7);
        // The kernel fills the other field, too.
        let expected = LocalEnd { to: Some(Ipv4Addr::UNSPECIFIED.into()), own: Some(v4.into()) };
        assert_eq!(received(Control::leave_from(v4.into())), expected);
        let v6 = Ipv6Addr::LOCALHOST.into();
        assert_eq!(received(Control::leave_from(v6)), LocalEnd { to: Some(v6), own: Some(v6) });
        assert_eq!(received((Control::EMPTY, 0)), LocalEnd::default());
    }

    #[test]
    fn a_message_that_is_too_short_is_not_read() {
        for (level, kind) in [(libc::IPPROTO_IP, libc::IP_PKTINFO), (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO)] {
            assert_eq!(received(Control::of(level, kind, [1_u8; 8])), LocalEnd::default());
        }
    }

    #[test]
    fn replies_leave_from_addresses_of_this_machine() {
        let (all, group) = (Ipv4Addr::BROADCAST, Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1));
        let own = |v4, v6| LocalEnd::of(v4, v6).own;
        assert_eq!(own(Some((all, Ipv4Addr::LOCALHOST)), None), Some(Ipv4Addr::LOCALHOST.into()));
        assert_eq!(own(None, Some(group)), None);
        let mapped = own(Some((all, Ipv4Addr::LOCALHOST)), Some(all.to_ipv6_mapped()));
        assert_eq!(mapped, Some(Ipv4Addr::LOCALHOST.to_ipv6_mapped().into()));
    }
}
