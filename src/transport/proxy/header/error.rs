//! What is wrong with a header.

/// Why bytes are no PROXY header.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum HeaderError {
    /// A header of version 2 that is not as the specification says.
    #[error("a PROXY header of version 2 that is none: {reason}")]
    Block {
        /// What is wrong.
        reason: &'static str,
    },
    /// The checksum in the header is not that of the header.
    #[error("a PROXY header whose checksum (CRC32C) is wrong: it was changed on its way")]
    Checksum,
    /// A header of version 1 that is not as the specification says.
    #[error("a PROXY header of version 1 that is none: {reason}")]
    Line {
        /// What is wrong.
        reason: &'static str,
    },
    /// There is no header.
    #[error("no PROXY header but \"{begin}\": the peer has to be told to send one (HAProxy: send-proxy-v2)")]
    None {
        /// The first bytes.
        begin: String,
    },
    /// It is longer than is accepted.
    #[error("a PROXY header of {length} bytes, and at most {most} are accepted: ProxyOptions::max_header")]
    TooLong {
        /// Its length.
        length: usize,
        /// How many bytes are accepted.
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
