//! The options of a TLS listener.

use super::TlsConfig;
use crate::error::BindError;
use crate::transport::Offers;

/// The options of a [`Tls`](super::Tls) transport over one with the options `O`: its configuration, for which there is
/// no default.
///
/// The builder's [`tls`](crate::Builder::tls) sets it where `Tls` is the outermost transport.
#[derive(Clone, Debug, Default)]
pub struct TlsOptions<O> {
    config: Option<TlsConfig>,
    pub(super) inner: O,
}

impl<O> TlsOptions<O> {
    /// This configuration, and every option of the inner transport at its default.
    #[must_use]
    pub fn new(config: TlsConfig) -> Self
    where
        O: Default,
    {
        Self { config: Some(config), inner: O::default() }
    }

    /// The options of the inner transport.
    #[must_use]
    pub fn inner(mut self, options: O) -> Self {
        self.inner = options;
        self
    }

    pub(crate) fn set_config(&mut self, config: TlsConfig) {
        self.config = Some(config);
    }

    pub(super) fn config(&self) -> Result<&TlsConfig, BindError> {
        self.config.as_ref().ok_or_else(|| BindError::Option {
            option: "tls",
            value: "none".to_owned(),
            reason:
                "a TLS server needs a certificate and its key: give the builder `.tls(TlsConfig::from_pem_files(..)?)`"
                    .to_owned(),
        })
    }
}

impl<X, O: Offers<X>> Offers<X> for TlsOptions<O> {
    fn set(&mut self, option: X) {
        self.inner.set(option);
    }
}
