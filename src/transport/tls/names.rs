//! The name that a client asks for (SNI). Without buffers of its own, rustls tells it to who chooses the certificate and
//! to nobody else: so it is written down there.

use std::cell::RefCell;
use std::sync::Arc;

use rustls::server::ClientHello;
use rustls::server::ResolvesServerCert;
use rustls::sign::CertifiedKey;

thread_local! {
    /// What a session on this thread has been asked for since it was last looked at.
    static ASKED_FOR: RefCell<Option<Box<str>>> = const { RefCell::new(None) };
}

/// Chooses as another does, and writes down what the client asks for.
#[derive(Debug)]
pub(super) struct Noting(pub(super) Arc<dyn ResolvesServerCert>);

impl ResolvesServerCert for Noting {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        ASKED_FOR.set(hello.server_name().map(Box::from));
        self.0.resolve(hello)
    }

    fn only_raw_public_keys(&self) -> bool {
        self.0.only_raw_public_keys()
    }
}

/// The name that the session has been asked for whose records this thread has just processed.
pub(super) fn take() -> Option<Box<str>> {
    ASKED_FOR.take()
}
