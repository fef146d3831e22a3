//! Version 2: 16 bytes, and as many more as they say.

use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::Ipv6Addr;
use std::net::SocketAddr;

use super::Endpoints;
use super::Header;
use super::HeaderError;
use super::tlv;
use super::tlv::Tlvs;

pub(super) const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";

/// The signature, command and version, protocol and family, and the length of what follows.
pub(super) const FIXED: usize = 16;

/// `sun_path` of Linux.
const UNIX_PATH: usize = 108;

pub(super) fn parse(bytes: &[u8], most: usize) -> Result<Option<(Header, usize)>, HeaderError> {
    let wrong = |reason| HeaderError::Block { reason };
    // Each byte is looked at as soon as it is there: what is wrong need not wait for the rest.
    let is_local = match bytes.get(12) {
        Some(0x20) => true,
        Some(0x21) => false,
        Some(command) if command >> 4 == 2 => return Err(wrong("the command is neither LOCAL nor PROXY")),
        Some(_) => return Err(wrong("the version is not 2")),
        None => return Ok(None),
    };
    let family = match bytes.get(13) {
        // Of a local connection the family is ignored, whatever it is.
        Some(_) if is_local => Family::Unspecified,
        Some(byte) => Family::of(*byte)?,
        None => return Ok(None),
    };
    let Some(&[high, low]) = bytes.get(14..FIXED) else { return Ok(None) };
    let length = FIXED + usize::from(u16::from_be_bytes([high, low]));
    if length > most {
        return Err(HeaderError::TooLong { length, most });
    }
    let Some(block) = bytes.get(FIXED..length) else { return Ok(None) };
    let Some((addresses, rest)) = block.split_at_checked(family.length()) else {
        return Err(wrong("it is shorter than its addresses"));
    };
    let endpoints = family.endpoints(addresses);
    let well_formed = tlv::are_well_formed(rest);
    let tlvs = match endpoints {
        // What an unspecified protocol needs may stand there; what can be read as TLVs is taken for them.
        Endpoints::Unspecified if !well_formed => &[],
        _ if !well_formed => return Err(wrong("a TLV is longer than the header")),
        _ => rest,
    };
    if tlvs.len() == rest.len() {
        check(&bytes[..length], rest)?;
    }
    let header = Header { version: 2, is_local, endpoints, tlvs: tlvs.into() };
    Ok(Some((header, length)))
}

/// The checksum, if there is one: over the whole header, with zeros in its own place.
fn check(header: &[u8], tlvs: &[u8]) -> Result<(), HeaderError> {
    let wrong = |reason| HeaderError::Block { reason };
    let mut sent = None;
    let mut tlvs = Tlvs::all(tlvs);
    while let Some((kind, value)) = tlvs.next() {
        if kind != tlv::CRC32C {
            continue;
        }
        let value = <[u8; 4]>::try_from(value).map_err(|_| wrong("a checksum has four bytes"))?;
        if sent.replace((value, tlvs.left())).is_some() {
            return Err(wrong("it has two checksums"));
        }
    }
    let Some((sent, behind)) = sent else { return Ok(()) };
    let (begin, end) = header.split_at(header.len() - behind);
    let sum = super::crc32c::checksum([&begin[..begin.len() - sent.len()], &[0; 4], end]);
    if sum.to_be_bytes() == sent { Ok(()) } else { Err(HeaderError::Checksum) }
}

/// What the addresses are, and how long.
#[derive(Clone, Copy)]
enum Family {
    V4 { said: bool },
    V6 { said: bool },
    Unix { said: bool },
    Unspecified,
}

impl Family {
    /// The addresses of an unspecified protocol are there and not said.
    fn of(byte: u8) -> Result<Self, HeaderError> {
        let said = match byte & 0x0f {
            0 => false,
            1 | 2 => true,
            _ => return Err(HeaderError::Block { reason: "the protocol is neither STREAM nor DGRAM nor UNSPEC" }),
        };
        match byte >> 4 {
            0 => Ok(Self::Unspecified),
            1 => Ok(Self::V4 { said }),
            2 => Ok(Self::V6 { said }),
            3 => Ok(Self::Unix { said }),
            _ => Err(HeaderError::Block { reason: "the family is none of INET, INET6, UNIX and UNSPEC" }),
        }
    }

    fn length(self) -> usize {
        match self {
            Self::Unspecified => 0,
            Self::V4 { .. } => 2 * 4 + 2 * 2,
            Self::V6 { .. } => 2 * 16 + 2 * 2,
            Self::Unix { .. } => 2 * UNIX_PATH,
        }
    }

    fn endpoints(self, mut addresses: &[u8]) -> Endpoints {
        let rest = &mut addresses;
        match self {
            Self::V4 { said: true } => inet([take(rest).map(Ipv4Addr::from), take(rest).map(Ipv4Addr::from)], rest),
            Self::V6 { said: true } => inet([take(rest).map(Ipv6Addr::from), take(rest).map(Ipv6Addr::from)], rest),
            Self::Unix { said: true } => match (take(rest).map(path), take(rest).map(path)) {
                (Some(source), Some(destination)) => Endpoints::Unix { source, destination },
                _ => Endpoints::Unspecified,
            },
            Self::V4 { .. } | Self::V6 { .. } | Self::Unix { .. } | Self::Unspecified => Endpoints::Unspecified,
        }
    }
}

fn inet<A: Into<IpAddr>>([source, destination]: [Option<A>; 2], rest: &mut &[u8]) -> Endpoints {
    let ports = [take(rest).map(u16::from_be_bytes), take(rest).map(u16::from_be_bytes)];
    let (Some(source), Some(destination), [Some(from), Some(to)]) = (source, destination, ports) else {
        return Endpoints::Unspecified;
    };
    Endpoints::Inet {
        source: SocketAddr::new(source.into(), from),
        destination: SocketAddr::new(destination.into(), to),
    }
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(*taken)
}

/// Up to the first zero byte; of an abstract name, which begins with one, up to the zeros that fill its place.
fn path(field: [u8; UNIX_PATH]) -> Box<[u8]> {
    let end = match field {
        [0, ..] => field.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1),
        _ => field.iter().position(|&byte| byte == 0).unwrap_or(UNIX_PATH),
    };
    field[..end].into()
}
