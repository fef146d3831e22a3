//! What the transports of one address family share: addresses, and making a socket step by step.

use std::fmt;
use std::io;
use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::Ipv6Addr;
use std::net::SocketAddr;
use std::net::SocketAddrV4;
use std::net::SocketAddrV6;
use std::net::ToSocketAddrs;

use socket2::Domain;
use socket2::Protocol;
use socket2::SockAddr;
use socket2::Socket;
use socket2::Type;

use crate::error::BindError;

/// The address of a TCP or UDP server: `host:port` text (resolved when bound), or a socket address.
///
/// Port 0 requests a free port. `0.0.0.0` stands for all IPv4 addresses of the machine, `[::]` for all of both families
/// (unless [`only_v6`](crate::Builder::only_v6) says otherwise). An IPv6 address may have a scope, by number or by
/// name: `[fe80::1%eth0]:8080`. If a name has several addresses, the first that can be bound is used.
#[derive(Clone, Debug)]
pub struct InetAddress(Inner);

#[derive(Clone, Debug)]
enum Inner {
    Text(String),
    Address(SocketAddr),
}

impl InetAddress {
    pub(super) fn resolve(&self) -> Result<Vec<SocketAddr>, BindError> {
        let failed = |source| BindError::Resolve { address: self.to_string(), source };
        let addresses = match &self.0 {
            Inner::Address(address) => vec![*address],
            Inner::Text(text) => look_up(text).map_err(failed)?,
        };
        if addresses.is_empty() {
            return Err(failed(io::Error::new(io::ErrorKind::NotFound, "the name has no address")));
        }
        Ok(addresses)
    }
}

/// As `ToSocketAddrs` for text, which knows no scopes by name, and does not say what it misses.
fn look_up(text: &str) -> io::Result<Vec<SocketAddr>> {
    let invalid = |why| Err(io::Error::new(io::ErrorKind::InvalidInput, why));
    if let Ok(address) = text.parse() {
        return Ok(vec![address]);
    }
    let Some((host, port)) = text.rsplit_once(':') else {
        return invalid("it has no port; write host:port, such as 127.0.0.1:8080 or [::1]:8080");
    };
    let Ok(port) = port.parse::<u16>() else {
        return invalid(
            "the port is not a number from 0 to 65535; write host:port, such as 127.0.0.1:8080 or [::1]:8080",
        );
    };
    let host = match host.strip_prefix('[') {
        Some(rest) => match rest.strip_suffix(']') {
            Some(host) => host,
            None => return invalid("the bracket is not closed; write an IPv6 address as [::1]:8080"),
        },
        None => host,
    };
    if host.is_empty() {
        return invalid("it has no host; 0.0.0.0 and [::] stand for all addresses of this machine");
    }
    Ok((host, port).to_socket_addrs()?.collect())
}

impl fmt::Display for InetAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Inner::Text(text) => write!(f, "{text:?}"),
            Inner::Address(address) => address.fmt(f),
        }
    }
}

impl From<&str> for InetAddress {
    fn from(text: &str) -> Self {
        Self(Inner::Text(text.to_owned()))
    }
}

impl From<&String> for InetAddress {
    fn from(text: &String) -> Self {
        text.as_str().into()
    }
}

impl From<String> for InetAddress {
    fn from(text: String) -> Self {
        Self(Inner::Text(text))
    }
}

impl From<SocketAddr> for InetAddress {
    fn from(address: SocketAddr) -> Self {
        Self(Inner::Address(address))
    }
}

impl From<SocketAddrV4> for InetAddress {
    fn from(address: SocketAddrV4) -> Self {
        SocketAddr::V4(address).into()
    }
}

impl From<SocketAddrV6> for InetAddress {
    fn from(address: SocketAddrV6) -> Self {
        SocketAddr::V6(address).into()
    }
}

impl From<(String, u16)> for InetAddress {
    fn from((host, port): (String, u16)) -> Self {
        (host.as_str(), port).into()
    }
}

impl From<(&str, u16)> for InetAddress {
    fn from((host, port): (&str, u16)) -> Self {
        host.parse::<IpAddr>().map_or_else(|_| format!("{host}:{port}").into(), |ip| (ip, port).into())
    }
}

impl From<(IpAddr, u16)> for InetAddress {
    fn from(address: (IpAddr, u16)) -> Self {
        SocketAddr::from(address).into()
    }
}

impl From<(Ipv4Addr, u16)> for InetAddress {
    fn from(address: (Ipv4Addr, u16)) -> Self {
        SocketAddr::from(address).into()
    }
}

impl From<(Ipv6Addr, u16)> for InetAddress {
    fn from(address: (Ipv6Addr, u16)) -> Self {
        SocketAddr::from(address).into()
    }
}

/// The options that TCP and UDP have in common.
#[derive(Clone, Copy, Debug)]
pub(super) struct InetOptions {
    pub(super) reuse_address: bool,
    pub(super) reuse_port: bool,
    pub(super) only_v6: Option<bool>,
}

/// Makes a socket bound to the first address that works; Python's `server_bind`, with its order of steps.
pub(super) fn bind_inet(
    address: &InetAddress,
    kind: Type,
    protocol: Protocol,
    options: InetOptions,
) -> Result<Socket, BindError> {
    let addresses = address.resolve()?;
    if options.only_v6.is_some() && addresses.iter().all(SocketAddr::is_ipv4) {
        return Err(BindError::Option {
            option: "only_v6",
            value: format!("{:?}", options.only_v6.unwrap_or_default()),
            reason: format!(
                "{address} is an IPv4 address; the option is for IPv6 sockets: bind to [::] or leave it out"
            ),
        });
    }
    let mut failure = None;
    for candidate in addresses {
        match bind_one(candidate, kind, protocol, options) {
            Ok(socket) => return Ok(socket),
            Err(error) => failure = Some(error),
        }
    }
    Err(failure
        .unwrap_or_else(|| BindError::Resolve { address: address.to_string(), source: io::ErrorKind::NotFound.into() }))
}

fn bind_one(address: SocketAddr, kind: Type, protocol: Protocol, options: InetOptions) -> Result<Socket, BindError> {
    let text = address.to_string();
    let set_up = |step| step_failed(&text, step);
    let socket = Socket::new(Domain::for_address(address), kind, Some(protocol)).map_err(set_up("socket"))?;
    if let (Some(only_v6), true) = (options.only_v6, address.is_ipv6()) {
        socket.set_only_v6(only_v6).map_err(set_up("IPV6_V6ONLY"))?;
    }
    // On Windows the option would let any process take the port over: Python leaves it out there, too.
    if options.reuse_address && cfg!(not(windows)) {
        socket.set_reuse_address(true).map_err(set_up("SO_REUSEADDR"))?;
    }
    #[cfg(unix)]
    if options.reuse_port {
        socket.set_reuse_port(true).map_err(set_up("SO_REUSEPORT"))?;
    }
    #[cfg(not(unix))]
    debug_assert!(!options.reuse_port, "the builder offers it on Unix only");
    socket.set_nonblocking(true).map_err(set_up("O_NONBLOCK"))?;
    socket.bind(&SockAddr::from(address)).map_err(|source| BindError::Bind { address: text.clone(), source })?;
    Ok(socket)
}

/// For `map_err`: which step failed, on which address.
pub(super) fn step_failed(address: &str, step: &'static str) -> impl FnOnce(io::Error) -> BindError {
    let address = address.to_owned();
    move |source| BindError::SetUp { address, step, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(target_os = "linux")]
    #[test]
    fn a_scope_has_a_number_or_a_name() {
        let scope = |text| match look_up(text).unwrap()[..] {
            [SocketAddr::V6(address)] => address.scope_id(),
            ref others => panic!("{others:?}"),
        };
        assert_eq!(scope("[fe80::1%7]:80"), 7);
        // The loopback interface, which every network has as its first.
        assert_eq!(scope("[fe80::1%lo]:80"), 1);
    }
}
