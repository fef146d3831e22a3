//! What a TLS server shows its clients and asks of them: a handle that can be loaded anew while it serves.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use parking_lot::RwLock;
use rustls::ServerConfig;

use super::TlsConfigBuilder;
use super::TlsConfigError;
use super::loaded::Loaded;
use super::names::Noting;

/// The certificate of a TLS server, its key, and what it asks of its clients: a handle, whose clones are the same
/// configuration.
///
/// ```no_run
/// use socketserver::{Flow, PoolTlsServer, TlsConfig};
///
/// let config = TlsConfig::from_pem_files("cert.pem", "key.pem")?;
/// let server = PoolTlsServer::builder_fn(|_| Ok(Flow::Close)).tls(config.clone()).bind("0.0.0.0:443")?;
/// // Elsewhere, when there is a new certificate:
/// config.reload()?;
/// # Ok::<(), socketserver::BindError>(())
/// ```
///
/// TLS 1.3 and 1.2, with the cipher suites, groups and signatures that rustls has for safe, of which the server chooses the
/// suite: AES with 256 bits first. No 0-RTT, no renegotiation.
/// The cryptography is that of *ring*, whatever the process has chosen as rustls' default elsewhere.
///
/// # Resumption
///
/// A client that comes back within six to twelve hours resumes its session by a ticket, which holds all that the server
/// has to remember of it. Its keys are made with this configuration, change every six hours, and are the same in every
/// process that was forked after it was made. They are kept by [`reload`](Self::reload), unless what is asked of clients
/// has changed: then every client begins anew.
#[derive(Clone)]
pub struct TlsConfig {
    shared: Arc<Shared>,
}

struct Shared {
    /// What is in force.
    loaded: RwLock<Loaded>,
}

impl TlsConfig {
    /// A certificate and its key from PEM files. Behind the certificate, its file may have those that lead to an authority
    /// that clients trust.
    ///
    /// # Errors
    ///
    /// A file cannot be read, is not PEM, has none or a bad one, or the key does not belong to the certificate. The error
    /// names the file.
    pub fn from_pem_files(certificate: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Result<Self, TlsConfigError> {
        Self::builder().pem_files(certificate, key).build()
    }

    /// As [`from_pem_files`](Self::from_pem_files), from memory.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn from_pem(certificate: impl AsRef<[u8]>, key: impl AsRef<[u8]>) -> Result<Self, TlsConfigError> {
        Self::builder().pem(certificate, key).build()
    }

    /// A configuration that was made with rustls, for what there is no method for here: several certificates, lists of
    /// revoked ones, another provider of cryptography. It is used as it is, without 0-RTT. Its type is that of the
    /// version of rustls that this crate is built with, and changes with it.
    ///
    /// Resumption is what it says. The default of rustls remembers 256 sessions in memory, which another process does not
    /// know: set a `ticketer` before anything is forked.
    #[must_use]
    pub fn from_rustls(config: impl Into<Arc<ServerConfig>>) -> Self {
        let mut rustls = Arc::unwrap_or_clone(config.into());
        rustls.cert_resolver = Arc::new(Noting(rustls.cert_resolver));
        rustls.max_early_data_size = 0;
        Self::of(Loaded::given(rustls))
    }

    /// More than a certificate: client certificates, protocols.
    pub fn builder() -> TlsConfigBuilder {
        TlsConfigBuilder::default()
    }

    /// Reads the files anew. Connections that are accepted from here on see what is in them now; those that are open keep
    /// what they have begun with. After an error everything is as before.
    ///
    /// Files that a client of an ACME service renews, say: call it when that has done its work, or from time to time.
    ///
    /// # Errors
    ///
    /// As for [`from_pem_files`](Self::from_pem_files); and if there is no file to be read, because the configuration was
    /// made from memory: see [`replace`](Self::replace).
    pub fn reload(&self) -> Result<(), TlsConfigError> {
        let before = self.shared.loaded.read().clone();
        let loaded = before.load_anew()?;
        *self.shared.loaded.write() = loaded;
        Ok(())
    }

    /// Puts what `other` is now in the place of what this is, for connections that are accepted from here on.
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
