//! The configuration of a TLS server: a handle that can be reloaded while the server runs.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use parking_lot::RwLock;
use rustls::ServerConfig;

use super::TlsConfigBuilder;
use super::TlsConfigError;
use super::loaded::Loaded;
use super::names::Noting;

/// The certificate of a TLS server, its key, and its requirements on clients. This is a handle: clones refer to the
/// same configuration.
///
/// ```no_run
/// use socketserver::{Flow, PoolTlsServer, TlsConfig};
///
/// let config = TlsConfig::from_pem_files("cert.pem", "key.pem")?;
/// let server = PoolTlsServer::builder_fn(|_| Ok(Flow::Close)).tls(config.clone()).bind("0.0.0.0:443")?;
/// // Later, when there is a new certificate:
/// config.reload()?;
/// # Ok::<(), socketserver::BindError>(())
/// ```
///
/// TLS 1.3 and 1.2, with the cipher suites, groups and signatures that rustls considers safe. The server chooses the
/// suite: AES with 256 bits first. No 0-RTT, no renegotiation. The cryptography is that of *ring*, whatever default
/// provider the process has installed for rustls.
///
/// # Resumption
///
/// A client that returns within six to twelve hours can resume its session with a ticket, which contains all the state
/// of the session. The ticket keys are created with this configuration, change every six hours, and are the same in
/// every process forked afterwards. [`reload`](Self::reload) keeps them, unless the requirements on clients have
/// changed: then every client needs a full handshake.
#[derive(Clone)]
pub struct TlsConfig {
    shared: Arc<Shared>,
}

struct Shared {
    /// What is in force.
    loaded: RwLock<Loaded>,
}

impl TlsConfig {
    /// Loads a certificate, which may be followed by its chain, and its key from PEM files.
    ///
    /// # Errors
    ///
    /// A file cannot be read, is not PEM, or has no valid certificate or key, or the key does not match the
    /// certificate. The error names the file.
    pub fn from_pem_files(certificate: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Result<Self, TlsConfigError> {
        Self::builder().pem_files(certificate, key).build()
    }

    /// Like [`from_pem_files`](Self::from_pem_files), from memory.
    ///
    /// # Errors
    ///
    /// As for [`from_pem_files`](Self::from_pem_files).
    pub fn from_pem(certificate: impl AsRef<[u8]>, key: impl AsRef<[u8]>) -> Result<Self, TlsConfigError> {
        Self::builder().pem(certificate, key).build()
    }

    /// Uses a configuration made with rustls, for what has no method here: several certificates, revocation lists,
    /// another cryptography provider. It is used unchanged, except that 0-RTT is disabled. The type is that of the
    /// version of rustls that this crate depends on, and changes with it.
    ///
    /// Its settings for resumption apply. By default rustls remembers 256 sessions in memory, which other processes do
    /// not share: for forked processes, set a `ticketer`.
    #[must_use]
    pub fn from_rustls(config: impl Into<Arc<ServerConfig>>) -> Self {
        let mut rustls = Arc::unwrap_or_clone(config.into());
        rustls.cert_resolver = Arc::new(Noting(rustls.cert_resolver));
        rustls.max_early_data_size = 0;
        Self::of(Loaded::given(rustls))
    }

    /// A builder, for client certificates and ALPN protocols.
    pub fn builder() -> TlsConfigBuilder {
        TlsConfigBuilder::default()
    }

    /// Reads the files again. It applies to connections accepted from now on; open ones keep what they began with. On
    /// error, the configuration is unchanged.
    ///
    /// If an ACME client renews the files, for example, call this when it is done, or from time to time.
    ///
    /// # Errors
    ///
    /// As for [`from_pem_files`](Self::from_pem_files); or there is no file to read, because the configuration was made
    /// from memory: use [`replace`](Self::replace).
    pub fn reload(&self) -> Result<(), TlsConfigError> {
        let before = self.shared.loaded.read().clone();
        let loaded = before.load_anew()?;
        *self.shared.loaded.write() = loaded;
        Ok(())
    }

    /// Replaces this configuration with the current state of `other`, for connections accepted from now on.
    pub fn replace(&self, other: &Self) {
        let loaded = other.shared.loaded.read().clone();
        *self.shared.loaded.write() = loaded;
    }

    /// What a session begins with now.
    pub(super) fn current(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.shared.loaded.read().rustls)
    }

    /// Called where connections are accepted, which may be the parent of the processes that serve them.
    pub(super) fn keep_up(&self) {
        if let Some(tickets) = &self.shared.loaded.read().tickets {
            tickets.keep_up();
        }
    }

    pub(super) fn of(loaded: Loaded) -> Self {
        Self { shared: Arc::new(Shared { loaded: RwLock::new(loaded) }) }
    }
}

/// What it was loaded from.
impl fmt::Debug for TlsConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.shared.loaded.read().fmt(f)
    }
}
