//! TLS, for the servers of streams: `--tls-cert FILE --tls-key FILE`, `--tls-client-ca FILE`. SIGHUP loads the files again.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;

use lexopt::Parser;
use signal_hook::consts::SIGHUP;
use socketserver::StopHandle;
use socketserver::TlsConfig;
use socketserver::signals::SignalGuard;
use socketserver::signals::wake_on_signal;

use super::Outcome;
use super::complain;
use super::wrong_usage;

/// Why there is none for datagrams.
pub const MESSAGES: &str = "TLS is for streams, and this transport has datagrams";

/// The files, as far as they were given.
#[derive(Debug, Default)]
pub struct TlsFlags {
    certificate: Option<PathBuf>,
    key: Option<PathBuf>,
    client_ca: Option<PathBuf>,
}

/// Set by SIGHUP, where there is something to load again.
static IS_STALE: OnceLock<Arc<AtomicBool>> = OnceLock::new();

impl TlsFlags {
    /// Takes a flag if it is one of these.
    pub fn take(&mut self, name: &str, parser: &mut Parser) -> Outcome<bool> {
        let file = match name {
            "tls-cert" => &mut self.certificate,
            "tls-key" => &mut self.key,
            "tls-client-ca" => &mut self.client_ca,
            _ => return Ok(false),
        };
        *file = Some(parser.value()?.into());
        Ok(true)
    }

    /// The configuration, if there is to be TLS; it offers these protocols (ALPN).
    pub fn config(&self, protocols: &[&str]) -> Outcome<Option<TlsConfig>> {
        let (certificate, key) = match (&self.certificate, &self.key) {
            (Some(certificate), Some(key)) => (certificate, key),
            (None, None) if self.client_ca.is_none() => return Ok(None),
            (None, None) => return Err(wrong_usage("--tls-client-ca: --tls-cert and --tls-key are needed, too")),
            (Some(_), None) => return Err(wrong_usage("--tls-cert: --tls-key is needed, too")),
            (None, Some(_)) => return Err(wrong_usage("--tls-key: --tls-cert is needed, too")),
        };
        let mut builder = TlsConfig::builder().pem_files(certificate, key).alpn(protocols);
        if let Some(client_ca) = &self.client_ca {
            builder = builder.client_ca_file(client_ca);
        }
        // Before there is a server that the signal could wake: it finds the flag.
        let is_stale = Arc::clone(IS_STALE.get_or_init(Arc::default));
        signal_hook::flag::register(SIGHUP, is_stale)?;
        Ok(Some(builder.build()?))
    }

    /// An error if there is to be TLS where there cannot be, for this reason.
    pub fn refuse(&self, reason: &str) -> Outcome {
        let given = [("tls-cert", &self.certificate), ("tls-key", &self.key), ("tls-client-ca", &self.client_ca)];
        match given.iter().find(|(_, file)| file.is_some()) {
            Some((flag, _)) => Err(wrong_usage(format!("--{flag}: {reason}"))),
            None => Ok(()),
        }
    }
}

/// Called by the serve loop after each wake-up: loads the files again if SIGHUP has asked for it.
pub fn reload(config: &TlsConfig) {
    if IS_STALE.get().is_some_and(|is_stale| is_stale.swap(false, Ordering::SeqCst)) {
        match config.reload() {
            Ok(()) => complain("the certificate was reloaded"),
            Err(error) => complain(format_args!("the old certificate stays in use: {error}")),
        }
    }
}

/// SIGHUP wakes the server of `stop`, if it has a certificate.
pub fn reload_on_signal(stop: StopHandle) -> Outcome<Option<SignalGuard>> {
    Ok(IS_STALE.get().map(|_| wake_on_signal(SIGHUP, stop)).transpose()?)
}

/// As [`serve_with`](crate::serve_with) for a transport of streams: over TLS, if there is a certificate, with these
/// protocols (ALPN).
#[macro_export]
macro_rules! serve_streams_with {
    ($transport:ty, $flags:expr, $protocols:expr, $default:literal, $listen:expr, $factory:expr
        $(, $option:ident($($value:expr),*))*) => {
        match $flags.tls.config($protocols)? {
            Some(config) => {
                let handle = config.clone();
                $crate::serve_with!(
                    socketserver::Tls<common::front::Front<$transport>>, $flags, $default, $listen, $factory,
                    transport_options(socketserver::transport::TlsOptions::new(config).inner($flags.front()?)),
                    on_service(move || common::tls::reload(&handle)) $(, $option($($value),*))*
                )
            }
            None => $crate::serve_with!(
                common::front::Front<$transport>, $flags, $default, $listen, $factory,
                transport_options($flags.front()?) $(, $option($($value),*))*
            ),
        }
    };
}
