//! PROXY headers, versions 1 and 2, from bytes: nothing here reads or waits.
//!
//! The format is that of HAProxy's `proxy-protocol.txt`.

mod block;
mod crc32c;
mod error;
mod line;
mod tlv;

use std::net::SocketAddr;

pub use self::error::HeaderError;
pub use self::tlv::Ssl;
pub use self::tlv::Tlvs;

/// The PROXY header of a relayed connection: see [`Proxied::header`](super::Proxied::header).
///
/// ```
/// use socketserver::transport::proxy::{Endpoints, Header};
///
/// let bytes = b"PROXY TCP4 192.0.2.1 192.0.2.9 56324 443\r\nGET / HTTP/1.1\r\n";
/// let (header, length) = Header::parse(bytes)?.expect("all of it");
/// assert_eq!(&bytes[length..length + 5], b"GET /");
/// let Endpoints::Inet { source, .. } = header.endpoints() else { panic!("{header:?}") };
/// assert_eq!(source.to_string(), "192.0.2.1:56324");
///
/// // Incomplete.
/// assert!(Header::parse(b"PROXY TCP4 192.0.")?.is_none());
/// assert!(Header::parse(b"GET / HTTP/1.1\r\n").is_err());
/// # Ok::<(), socketserver::transport::proxy::HeaderError>(())
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Header {
    version: u8,
    is_local: bool,
    endpoints: Endpoints,
    tlvs: Box<[u8]>,
}

/// The endpoints of the relayed connection.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Endpoints {
    /// Over IPv4 or IPv6.
    Inet {
        /// The client.
        source: SocketAddr,
        /// The address it has connected to.
        destination: SocketAddr,
    },
    /// Over a Unix-domain socket of the proxy's machine: paths, empty for a socket without one; an abstract name begins
    /// with a zero byte.
    Unix {
        /// The client.
        source: Box<[u8]>,
        /// The address it has connected to.
        destination: Box<[u8]>,
    },
    /// The header does not say (`UNKNOWN`, `LOCAL`, `UNSPEC`).
    Unspecified,
}

/// The longest header of version 1, with its CRLF.
const LONGEST_LINE: usize = 107;

/// The longest header that there can be: 16 bytes, and as many as a length of 16 bits can tell.
pub(super) const LONGEST: usize = block::FIXED + u16::MAX as usize;

impl Header {
    /// Parses the header at the start of `bytes`, and returns it with its length; `None` if it is incomplete.
    ///
    /// # Errors
    ///
    /// `bytes` does not begin with a header, whatever follows.
    pub fn parse(bytes: &[u8]) -> Result<Option<(Self, usize)>, HeaderError> {
        Self::parse_within(bytes, LONGEST)
    }

    /// Like [`parse`](Self::parse), for headers of at most `most` bytes.
    ///
    /// # Errors
    ///
    /// As for [`parse`](Self::parse), or the header is longer: reported as soon as its length is known.
    pub fn parse_within(bytes: &[u8], most: usize) -> Result<Option<(Self, usize)>, HeaderError> {
        let compared = bytes.len().min(block::SIGNATURE.len());
        if bytes[..compared] == block::SIGNATURE[..compared] {
            return block::parse(bytes, most);
        }
        let compared = bytes.len().min(line::BEGIN.len());
        if bytes[..compared] == line::BEGIN[..compared] {
            return line::parse(bytes);
        }
        Err(HeaderError::none(bytes))
    }

    /// The version of the header, 1 or 2.
    #[must_use]
    pub fn version(&self) -> u8 {
        self.version
    }

    /// Whether the connection is the proxy's own (`LOCAL`), such as a health check.
    #[must_use]
    pub fn is_local(&self) -> bool {
        self.is_local
    }

    /// The endpoints of the relayed connection.
    #[must_use]
    pub fn endpoints(&self) -> &Endpoints {
        &self.endpoints
    }

    /// The extensions (TLVs), in order, without padding (`NOOP`).
    #[must_use]
    pub fn tlvs(&self) -> Tlvs<'_> {
        Tlvs::new(&self.tlvs)
    }

    /// The first value of the type `kind`.
    #[must_use]
    pub fn tlv(&self, kind: u8) -> Option<&[u8]> {
        self.tlvs().find(|(found, _)| *found == kind).map(|(_, value)| value)
    }

    /// The protocol that the client has negotiated with the proxy (ALPN), such as `h2`.
    #[must_use]
    pub fn alpn(&self) -> Option<&[u8]> {
        self.tlv(tlv::ALPN)
    }

    /// The host name that the client has requested (SNI). The client chooses it, so do not trust it.
    #[must_use]
    pub fn authority(&self) -> Option<&[u8]> {
        self.tlv(tlv::AUTHORITY)
    }

    /// The proxy's name for the connection.
    #[must_use]
    pub fn unique_id(&self) -> Option<&[u8]> {
        self.tlv(tlv::UNIQUE_ID)
    }

    /// The TLS connection between the client and the proxy, if the proxy reports it.
    #[must_use]
    pub fn ssl(&self) -> Option<Ssl<'_>> {
        self.tlv(tlv::SSL).and_then(Ssl::parse)
    }
}
