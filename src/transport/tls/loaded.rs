//! Certificates, keys and what is asked of clients, as they were loaded last.

use std::fmt;
use std::sync::Arc;

use rustls::Error;
use rustls::InconsistentKeys;
use rustls::RootCertStore;
use rustls::ServerConfig;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::CertificateDer;
use rustls::server::NoServerSessionStorage;
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::sign::CertifiedKey;
use rustls::sign::SingleCertAndKey;

use super::TlsConfigError;
use super::names::Noting;
use super::pem::Pem;
use super::tickets::Tickets;

/// What a configuration is loaded from.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) certificate: Pem,
    pub(super) key: Pem,
    pub(super) client_ca: Option<Pem>,
    /// Clients without a certificate are served as well.
    pub(super) client_certificates_optional: bool,
    pub(super) alpn: Vec<Vec<u8>>,
}

/// A configuration with which sessions begin.
#[derive(Clone)]
pub(super) struct Loaded {
    pub(super) rustls: Arc<ServerConfig>,
    /// `None` for one that was made by rustls, as are its tickets.
    settings: Option<Settings>,
    pub(super) tickets: Option<Arc<Tickets>>,
    /// Who issues the certificates of clients.
    authorities: Vec<CertificateDer<'static>>,
}

const CERTIFICATE: &str = "certificate";
const KEY: &str = "private key";
const CLIENT_CA: &str = "certificate of an authority";

impl Loaded {
    /// What was made by rustls.
    pub(super) fn given(rustls: ServerConfig) -> Self {
        Self { rustls: Arc::new(rustls), settings: None, tickets: None, authorities: Vec::new() }
    }

    /// Loads a configuration for the first time.
    pub(super) fn load(settings: Settings) -> Result<Self, TlsConfigError> {
        Self::load_after(settings, None)
    }

    /// Reads the files of this one once more.
    pub(super) fn load_anew(&self) -> Result<Self, TlsConfigError> {
        match &self.settings {
            Some(settings) if settings.has_files() => Self::load_after(settings.clone(), Some(self)),
            Some(_) | None => Err(TlsConfigError::NoFiles),
        }
    }

    fn load_after(settings: Settings, before: Option<&Self>) -> Result<Self, TlsConfigError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let certified = settings.certified(&provider)?;
        let authorities = match &settings.client_ca {
            Some(pem) => pem.certificates(CLIENT_CA)?,
            None => Vec::new(),
        };
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(TlsConfigError::unusable)?;
        let builder = match settings.verifier(&authorities, provider)? {
            Some(verifier) => builder.with_client_cert_verifier(verifier),
            None => builder.with_no_client_auth(),
        };
        // Who has resumed is not verified again: where others are let in than before, no client resumes.
        let kept = before.filter(|before| before.authorities == authorities).and_then(|before| before.tickets.clone());
        let tickets = match kept {
            Some(tickets) => tickets,
            None => Arc::new(Tickets::new().ok_or_else(|| TlsConfigError::unusable(Error::FailedToGetRandomBytes))?),
        };
        let resolver = SingleCertAndKey::from(certified);
        let mut rustls = builder.with_cert_resolver(Arc::new(Noting(Arc::new(resolver))));
        rustls.alpn_protocols.clone_from(&settings.alpn);
        // Every suite is safe; auditors look for a server that chooses all the same, and it prefers the longest keys.
        rustls.ignore_client_order = true;
        rustls.ticketer = Arc::clone(&tickets) as _;
        // What is remembered in memory is not known to the next process.
        rustls.session_storage = Arc::new(NoServerSessionStorage {});
        Ok(Self { rustls: Arc::new(rustls), settings: Some(settings), tickets: Some(tickets), authorities })
    }
}

impl Settings {
    fn has_files(&self) -> bool {
        [Some(&self.certificate), Some(&self.key), self.client_ca.as_ref()].into_iter().flatten().any(Pem::is_file)
    }

    /// The certificate with its key, which belong together.
    fn certified(&self, provider: &CryptoProvider) -> Result<CertifiedKey, TlsConfigError> {
        let chain = self.certificate.certificates(CERTIFICATE)?;
        let key = self.key.key(KEY)?;
        let malformed = |what, pem: &Pem, error: &Error| TlsConfigError::Malformed {
            what,
            origin: pem.to_string(),
            reason: error.to_string(),
        };
        let key = provider.key_provider.load_private_key(key).map_err(|error| malformed(KEY, &self.key, &error))?;
        let certified = CertifiedKey::new(chain, key);
        match certified.keys_match() {
            Ok(()) | Err(Error::InconsistentKeys(InconsistentKeys::Unknown)) => Ok(certified),
            Err(Error::InconsistentKeys(_)) => {
                Err(TlsConfigError::Mismatch { certificate: self.certificate.to_string(), key: self.key.to_string() })
            }
            Err(error) => Err(malformed(CERTIFICATE, &self.certificate, &error)),
        }
    }

    /// Who judges the certificates of clients, if they are asked for any.
    fn verifier(
        &self,
        authorities: &[CertificateDer<'static>],
        provider: Arc<CryptoProvider>,
    ) -> Result<Option<Arc<dyn ClientCertVerifier>>, TlsConfigError> {
        let Some(pem) = &self.client_ca else { return Ok(None) };
        let malformed = |reason: String| TlsConfigError::Malformed { what: CLIENT_CA, origin: pem.to_string(), reason };
        let mut roots = RootCertStore::empty();
        for authority in authorities {
            roots.add(authority.clone()).map_err(|error| malformed(error.to_string()))?;
        }
        let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
        let builder = if self.client_certificates_optional { builder.allow_unauthenticated() } else { builder };
        builder.build().map(Some).map_err(|error| malformed(error.to_string()))
    }
}

impl fmt::Debug for Loaded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.settings {
            Some(settings) => settings.fmt(f),
            None => f.write_str("a configuration of rustls"),
        }
    }
}
