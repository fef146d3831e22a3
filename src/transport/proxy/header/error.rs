//! What is wrong with a header.

/// Why bytes are not a valid PROXY header.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum HeaderError {
    /// A header of version 2 that violates the specification.
    #[error("invalid PROXY header (version 2): {reason}")]
    Block {
        /// What is wrong.
        reason: &'static str,
    },
    /// The checksum in the header is wrong.
    #[error("invalid PROXY header: its checksum (CRC32C) is wrong, so it was altered in transit")]
    Checksum,
    /// A header of version 1 that violates the specification.
    #[error("invalid PROXY header (version 1): {reason}")]
    Line {
        /// What is wrong.
        reason: &'static str,
    },
    /// There is no header.
    #[error("no PROXY header but \"{begin}\": configure the peer to send one (HAProxy: send-proxy-v2)")]
    None {
        /// The first bytes.
        begin: String,
    },
    /// The header is longer than the limit.
    #[error("a PROXY header of {length} bytes, but at most {most} are accepted: raise ProxyOptions::max_header")]
    TooLong {
        /// Its length.
        length: usize,
        /// The limit: [`ProxyOptions::max_header`](crate::transport::ProxyOptions::max_header).
        most: usize,
    },
}

impl HeaderError {
    pub(super) fn none(bytes: &[u8]) -> Self {
        /// Enough to see what is spoken instead.
        const SHOWN: usize = 16;
        Self::None { begin: bytes[..bytes.len().min(SHOWN)].escape_ascii().to_string() }
    }
}
