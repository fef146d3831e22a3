//! Why a configuration cannot be loaded.

use std::io;
use std::path::PathBuf;

/// Why a [`TlsConfig`](crate::TlsConfig) cannot be loaded: each message names the file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsConfigError {
    /// A protocol of ALPN has a name that cannot be sent.
    #[error("the protocol `{name}` cannot be offered: an ALPN name has 1 to 255 bytes")]
    Alpn {
        /// The name.
        name: String,
    },
    /// What was found is not what it says it is, or of a kind that is not known.
    #[error("the {what} in {origin} cannot be used: {reason}")]
    Malformed {
        /// What was looked for.
        what: &'static str,
        /// The file.
        origin: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The key is that of another certificate.
    #[error("the key in {key} does not match the certificate in {certificate}, which must be the first in its file")]
    Mismatch {
        /// The certificate's file.
        certificate: String,
        /// The key's file.
        key: String,
    },
    /// A file has not what it should have.
    #[error("there is no {what} in {origin}{hint}: expected PEM with a line `{marker}`")]
    Missing {
        /// What was looked for.
        what: &'static str,
        /// The file.
        origin: String,
        /// The line with which it would begin.
        marker: &'static str,
        /// What is there instead.
        hint: &'static str,
    },
    /// No certificate was given.
    #[error("a TLS server needs a certificate and its key: set `pem_files` or `pem`")]
    NoCertificate,
    /// Nothing was loaded from a file.
    #[error("there is no file to reload: this configuration was made from memory; use `replace`")]
    NoFiles,
    /// A file cannot be read.
    #[error("cannot read the {what} in {}: {source}", .path.display())]
    Read {
        /// What was looked for.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It cannot be made into a configuration.
    #[error("cannot set up TLS: {reason}")]
    Unusable {
        /// Why not.
        reason: String,
    },
}

impl TlsConfigError {
    #[allow(clippy::needless_pass_by_value, reason = "for map_err")]
    pub(crate) fn unusable(error: rustls::Error) -> Self {
        Self::Unusable { reason: error.to_string() }
    }
}
