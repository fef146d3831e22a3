//! Certificates and keys out of PEM, with errors that say which file is meant.

use std::fmt;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::Error;
use rustls::pki_types::pem::PemObject;

use super::TlsConfigError;

/// Where PEM is to be found.
#[derive(Clone)]
pub(super) enum Pem {
    File(PathBuf),
    Bytes(Arc<[u8]>),
}

impl Pem {
    pub(super) fn is_file(&self) -> bool {
        matches!(self, Self::File(_))
    }

    /// Every certificate in it, at least one.
    pub(super) fn certificates(&self, what: &'static str) -> Result<Vec<CertificateDer<'static>>, TlsConfigError> {
        let bytes = self.read(what)?;
        let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
        let found = found.map_err(|error| self.malformed(what, &error))?;
        if found.is_empty() {
            let hint = if PrivateKeyDer::from_pem_slice(&bytes).is_ok() { "; it has a key" } else { "" };
            return Err(self.missing(what, "-----BEGIN CERTIFICATE-----", hint));
        }
        Ok(found)
    }

    /// The first private key in it.
    pub(super) fn key(&self, what: &'static str) -> Result<PrivateKeyDer<'static>, TlsConfigError> {
        let bytes = self.read(what)?;
        match PrivateKeyDer::from_pem_slice(&bytes) {
            Ok(key) => Ok(key),
            Err(Error::NoItemsFound) => {
                let has = |needle: &[u8]| bytes.windows(needle.len()).any(|window| window == needle);
                let hint = if has(b"-----BEGIN ENCRYPTED PRIVATE KEY-----") {
                    "; the one it has is encrypted: `openssl pkey` takes the password off"
                } else if has(b"-----BEGIN CERTIFICATE-----") {
                    "; it has a certificate"
                } else {
                    ""
                };
                Err(self.missing(what, "-----BEGIN PRIVATE KEY-----", hint))
            }
            Err(error) => Err(self.malformed(what, &error)),
        }
    }

    fn read(&self, what: &'static str) -> Result<Arc<[u8]>, TlsConfigError> {
        match self {
            Self::Bytes(bytes) => Ok(Arc::clone(bytes)),
            Self::File(path) => match fs::read(path) {
                Ok(bytes) => Ok(bytes.into()),
                Err(source) => Err(TlsConfigError::Read { what, path: path.clone(), source }),
            },
        }
    }

    fn missing(&self, what: &'static str, marker: &'static str, hint: &'static str) -> TlsConfigError {
        TlsConfigError::Missing { what, origin: self.to_string(), marker, hint }
    }

    fn malformed(&self, what: &'static str, error: &Error) -> TlsConfigError {
        TlsConfigError::Malformed { what, origin: self.to_string(), reason: error.to_string() }
    }
}

/// The path, or that it has none.
impl fmt::Display for Pem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Bytes(_) => f.write_str("the PEM text given"),
        }
    }
}

/// Without the text, which may be a key.
impl fmt::Debug for Pem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
