//! The settings of a TLS server, before its files are loaded.

use std::path::PathBuf;

use super::TlsConfig;
use super::TlsConfigError;
use super::loaded::Loaded;
use super::loaded::Settings;
use super::pem::Pem;

/// Builds a [`TlsConfig`] with more than a certificate and its key.
///
/// ```no_run
/// use socketserver::TlsConfig;
///
/// let config = TlsConfig::builder()
///     .pem_files("cert.pem", "key.pem")
///     .client_ca_file("clients.pem")
///     .alpn(["http/1.1"])
///     .build()?;
/// # Ok::<(), socketserver::BindError>(())
/// ```
#[derive(Clone, Debug, Default)]
#[must_use = "a builder does nothing until `build` is called"]
pub struct TlsConfigBuilder {
    certificate: Option<(Pem, Pem)>,
    client_ca: Option<Pem>,
    client_certificates_optional: bool,
    alpn: Vec<Vec<u8>>,
}

impl TlsConfigBuilder {
    /// Loads the certificate, followed by its chain, and its key from PEM files.
    pub fn pem_files(mut self, certificate: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Self {
        self.certificate = Some((Pem::File(certificate.into()), Pem::File(key.into())));
        self
    }

    /// Like [`pem_files`](Self::pem_files), from memory.
    pub fn pem(mut self, certificate: impl AsRef<[u8]>, key: impl AsRef<[u8]>) -> Self {
        self.certificate = Some((Pem::Bytes(certificate.as_ref().into()), Pem::Bytes(key.as_ref().into())));
        self
    }

    /// Requires clients to present a certificate issued by an authority in this PEM file. Default: no certificate is
    /// requested.
    ///
    /// [`TlsSocket::client_certificate`](super::TlsSocket::client_certificate) returns it. No revocation list is
    /// checked; a configuration of rustls can have one ([`TlsConfig::from_rustls`]).
    pub fn client_ca_file(mut self, authorities: impl Into<PathBuf>) -> Self {
        self.client_ca = Some(Pem::File(authorities.into()));
        self
    }

    /// Like [`client_ca_file`](Self::client_ca_file), from memory.
    pub fn client_ca_pem(mut self, authorities: impl AsRef<[u8]>) -> Self {
        self.client_ca = Some(Pem::Bytes(authorities.as_ref().into()));
        self
    }

    /// Also serves clients without a certificate; one that is presented must still be valid. Default: if there is a
    /// client CA, a certificate is required.
    pub fn client_certificates_optional(mut self) -> Self {
        self.client_certificates_optional = true;
        self
    }

    /// The supported protocols by their ALPN names, such as `http/1.1`, in order of preference. A client that offers
    /// protocols, but none of these, is refused; one that offers none is served. Default: none, and no client is
    /// refused.
    pub fn alpn<P: AsRef<[u8]>>(mut self, protocols: impl IntoIterator<Item = P>) -> Self {
        self.alpn = protocols.into_iter().map(|protocol| protocol.as_ref().to_vec()).collect();
        self
    }

    /// Loads the configuration.
    ///
    /// # Errors
    ///
    /// As for [`TlsConfig::from_pem_files`]; or there is no certificate.
    pub fn build(self) -> Result<TlsConfig, TlsConfigError> {
        let Self { certificate, client_ca, client_certificates_optional, alpn } = self;
        let Some((certificate, key)) = certificate else { return Err(TlsConfigError::NoCertificate) };
        if let Some(name) = alpn.iter().find(|name| !(1..=255).contains(&name.len())) {
            return Err(TlsConfigError::Alpn { name: name.escape_ascii().to_string() });
        }
        let settings = Settings { certificate, key, client_ca, client_certificates_optional, alpn };
        Loaded::load(settings).map(TlsConfig::of)
    }
}
