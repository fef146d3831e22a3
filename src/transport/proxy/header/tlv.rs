//! The extensions of version 2: types, lengths and values.

pub(super) const ALPN: u8 = 0x01;
pub(super) const AUTHORITY: u8 = 0x02;
pub(super) const CRC32C: u8 = 0x03;
const NOOP: u8 = 0x04;
pub(super) const UNIQUE_ID: u8 = 0x05;
pub(super) const SSL: u8 = 0x20;
const SSL_VERSION: u8 = 0x21;
const SSL_CN: u8 = 0x22;
const SSL_CIPHER: u8 = 0x23;

/// An iterator over types and values; see [`Header::tlvs`](super::Header::tlvs).
#[derive(Clone, Debug)]
pub struct Tlvs<'a> {
    rest: &'a [u8],
    with_padding: bool,
}

impl<'a> Tlvs<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes, with_padding: false }
    }

    pub(super) fn all(bytes: &'a [u8]) -> Self {
        Self { rest: bytes, with_padding: true }
    }

    /// How many bytes are behind the last one.
    pub(super) fn left(&self) -> usize {
        self.rest.len()
    }
}

impl<'a> Iterator for Tlvs<'a> {
    type Item = (u8, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let (&[kind, high, low], rest) = self.rest.split_first_chunk()?;
            let (value, rest) = rest.split_at_checked(u16::from_be_bytes([high, low]).into())?;
            self.rest = rest;
            if kind != NOOP || self.with_padding {
                return Some((kind, value));
            }
        }
    }
}

/// Whether `bytes` are TLVs to their end.
pub(super) fn are_well_formed(bytes: &[u8]) -> bool {
    let mut tlvs = Tlvs::all(bytes);
    tlvs.by_ref().for_each(drop);
    tlvs.left() == 0
}

/// The TLS connection between a client and its proxy.
#[derive(Clone, Debug)]
pub struct Ssl<'a> {
    client: u8,
    verify: u32,
    tlvs: &'a [u8],
}

impl<'a> Ssl<'a> {
    pub(super) fn parse(value: &'a [u8]) -> Option<Self> {
        let (&[client, verify @ ..], tlvs) = value.split_first_chunk::<5>()?;
        Some(Self { client, verify: u32::from_be_bytes(verify), tlvs })
    }

    /// Whether the client has connected over TLS.
    #[must_use]
    pub fn is_tls(&self) -> bool {
        self.client & 0x01 != 0
    }

    /// Whether the client has presented a certificate, on this connection or on another of its TLS session.
    #[must_use]
    pub fn has_certificate(&self) -> bool {
        self.client & 0x06 != 0
    }

    /// Whether the client has presented a certificate that the proxy has verified.
    #[must_use]
    pub fn is_verified(&self) -> bool {
        self.has_certificate() && self.verify == 0
    }

    /// The TLS version, such as `TLSv1.3`.
    #[must_use]
    pub fn version(&self) -> Option<&'a [u8]> {
        self.tlv(SSL_VERSION)
    }

    /// The common name (CN) of the client's certificate. Trust it only if [`is_verified`](Self::is_verified) is true.
    #[must_use]
    pub fn common_name(&self) -> Option<&'a [u8]> {
        self.tlv(SSL_CN)
    }

    /// The cipher suite.
    #[must_use]
    pub fn cipher(&self) -> Option<&'a [u8]> {
        self.tlv(SSL_CIPHER)
    }

    /// All types and values about the TLS connection.
    #[must_use]
    pub fn tlvs(&self) -> Tlvs<'a> {
        Tlvs::new(self.tlvs)
    }

    fn tlv(&self, kind: u8) -> Option<&'a [u8]> {
        self.tlvs().find(|(found, _)| *found == kind).map(|(_, value)| value)
    }
}
