//! Version 1: a line of text.

use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::Ipv6Addr;
use std::net::SocketAddr;
use std::str::FromStr;

use super::Endpoints;
use super::Header;
use super::HeaderError;
use super::LONGEST_LINE;

pub(super) const BEGIN: &[u8] = b"PROXY ";

/// What comes next, with the space behind it.
const FAMILIES: [&[u8]; 3] = [b"TCP4 ", b"TCP6 ", UNKNOWN];

const UNKNOWN: &[u8] = b"UNKNOWN";

pub(super) fn parse(bytes: &[u8]) -> Result<Option<(Header, usize)>, HeaderError> {
    let wrong = |reason| Err(HeaderError::Line { reason });
    let searched = &bytes[..bytes.len().min(LONGEST_LINE)];
    let rest = searched.get(BEGIN.len()..).unwrap_or_default();
    let Some(family) = FAMILIES.into_iter().find(|family| begin_alike(rest, family)) else {
        return wrong("the protocol is not TCP4, TCP6 or UNKNOWN");
    };
    let Some(end) = searched.windows(2).position(|pair| pair == b"\r\n") else {
        if bytes.len() >= LONGEST_LINE {
            return wrong("no CRLF in the first 107 bytes");
        }
        if family != UNKNOWN && !could_go_on(rest) {
            return wrong("a line has text and ends with CRLF");
        }
        return Ok(None);
    };
    let line = &searched[..end];
    let endpoints = match line.get(BEGIN.len()..).and_then(|rest| rest.strip_prefix(family)) {
        Some([] | [b' ', ..]) if family == UNKNOWN => Endpoints::Unspecified,
        Some(rest) if family == FAMILIES[0] => addresses::<Ipv4Addr>(rest)?,
        Some(rest) if family == FAMILIES[1] => addresses::<Ipv6Addr>(rest)?,
        _ => return wrong("the protocol is not TCP4, TCP6 or UNKNOWN"),
    };
    let header = Header { version: 1, is_local: false, endpoints, tlvs: Box::default() };
    Ok(Some((header, end + 2)))
}

/// Whether one is the beginning of the other.
fn begin_alike(left: &[u8], right: &[u8]) -> bool {
    left.iter().zip(right).all(|(left, right)| left == right)
}

/// Whether a line without its end is one so far.
fn could_go_on(line: &[u8]) -> bool {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    line.iter().all(|byte| matches!(byte, b' '..=b'~'))
}

/// `SOURCE DESTINATION PORT PORT`, and one space between them.
fn addresses<A: FromStr + Into<IpAddr>>(text: &[u8]) -> Result<Endpoints, HeaderError> {
    let wrong = |reason| HeaderError::Line { reason };
    let text = str::from_utf8(text).map_err(|_| wrong("it is not text"))?;
    let mut words = text.split(' ');
    let mut word = || words.next().ok_or_else(|| wrong("two addresses and two ports belong into it"));
    let address = |text: &str| {
        let address = text.parse::<A>().map_err(|_| wrong("an address is none of the protocol's family"))?;
        Ok::<IpAddr, HeaderError>(address.into())
    };
    let (source, destination) = (address(word()?)?, address(word()?)?);
    let (source_port, destination_port) = (port(word()?)?, port(word()?)?);
    if words.next().is_some() {
        return Err(wrong("something stands behind the ports"));
    }
    Ok(Endpoints::Inet {
        source: SocketAddr::new(source, source_port),
        destination: SocketAddr::new(destination, destination_port),
    })
}

/// Digits, without a zero before them: what `parse` takes, and nothing else that it takes.
fn port(text: &str) -> Result<u16, HeaderError> {
    let port: u16 = text.parse().map_err(|_| HeaderError::Line { reason: "a port is not a number up to 65535" })?;
    if port.to_string() == text {
        return Ok(port);
    }
    Err(HeaderError::Line { reason: "a port has a sign or zeros before it" })
}
