//! What transports that wrap others need to know of an address.

use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::Ipv6Addr;
use std::net::SocketAddr;

#[cfg(unix)]
use super::UnixAddress;
use crate::sys::Descriptor;

/// The source of a peer, as [`PerSource`](super::PerSource) distinguishes them.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Source {
    /// A host, or its network: see [`PerSourceOptions::prefix_v6`](super::PerSourceOptions::prefix_v6).
    Ip(IpAddr),
    /// A number, for custom addresses.
    Other(u64),
    /// A user of this machine, by the ID of the process at the other end.
    Uid(u32),
    /// Unknown: all of these are one source.
    Unknown,
}

/// An address of a peer, for [`PerSource`](super::PerSource) and [`ProxyProtocol`](super::ProxyProtocol).
///
/// Implement it for the addresses of a custom transport to wrap that transport in one of these:
///
/// ```
/// use std::net::IpAddr;
/// use socketserver::transport::Descriptor;
/// use socketserver::transport::{Peer, Source};
///
/// /// A subscriber of a telephone network.
/// #[derive(Clone, Debug)]
/// struct Caller(u64);
///
/// impl Peer for Caller {
///     fn ip(&self) -> Option<IpAddr> {
///         None
///     }
///
///     fn source(&self, _: Option<Descriptor<'_>>) -> Source {
///         Source::Other(self.0)
///     }
/// }
/// ```
pub trait Peer {
    /// Its IP address, if it has one. An IPv4-mapped IPv6 address counts as the IPv4 address.
    fn ip(&self) -> Option<IpAddr>;

    /// Its source. `connection` is the connection's socket, which may know more than the address.
    fn source(&self, connection: Option<Descriptor<'_>>) -> Source {
        let _ = connection;
        self.ip().map_or(Source::Unknown, Source::Ip)
    }
}

impl Peer for SocketAddr {
    fn ip(&self) -> Option<IpAddr> {
        Some(Self::ip(self).to_canonical())
    }
}

/// The user ID, where the system tells it (Linux); elsewhere all peers are one source.
#[cfg(unix)]
impl Peer for UnixAddress {
    fn ip(&self) -> Option<IpAddr> {
        None
    }

    fn source(&self, connection: Option<Descriptor<'_>>) -> Source {
        let uid = connection.and_then(|socket| super::unix_path::credentials(socket).ok()).map(|found| found.uid);
        uid.map_or(Source::Unknown, Source::Uid)
    }
}

/// The address with zeros behind its first `prefix` bits.
pub(super) fn network_of(address: IpAddr, prefix: u8) -> IpAddr {
    match address {
        IpAddr::V4(address) => {
            let mask = u32::MAX.checked_shl(u32::BITS - u32::from(prefix)).unwrap_or(0);
            Ipv4Addr::from_bits(address.to_bits() & mask).into()
        }
        IpAddr::V6(address) => {
            let mask = u128::MAX.checked_shl(u128::BITS - u32::from(prefix)).unwrap_or(0);
            Ipv6Addr::from_bits(address.to_bits() & mask).into()
        }
    }
}
