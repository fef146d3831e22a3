//! The second phase, which is that of the inner transport: TLS starts later, if at all.

use std::fmt;
use std::io;

use super::StartTlsSocket;
use crate::request::Request;
use crate::request::Socket;
use crate::request::Stream;
use crate::sys::Descriptor;
use crate::transport::Advance;
use crate::transport::Claim;
use crate::transport::Establish;
use crate::transport::tls::TlsConfig;

/// A connection that begins in the clear: what a [`StartTls`](super::StartTls) transport accepts.
///
/// `P` is what the inner transport has accepted.
pub struct InTheClear<P> {
    pending: P,
    config: TlsConfig,
}

impl<P> InTheClear<P> {
    pub(super) fn new(pending: P, config: &TlsConfig) -> Self {
        Self { pending, config: config.clone() }
    }
}

impl<P: Establish<Request = Stream<S>>, S: Socket> Establish for InTheClear<P> {
    type Request = Stream<StartTlsSocket<S>>;

    fn client_address(&self) -> Option<&S::Addr> {
        self.pending.client_address()
    }

    fn descriptor(&self) -> Option<Descriptor<'_>> {
        self.pending.descriptor()
    }

    fn connection(&self) -> Option<Descriptor<'_>> {
        self.pending.connection()
    }

    fn knows_client(&self) -> bool {
        self.pending.knows_client()
    }

    fn stays(&self) -> bool {
        self.pending.stays()
    }

    fn take_claim(&mut self) -> Option<Claim> {
        self.pending.take_claim()
    }

    fn advance(&mut self) -> io::Result<Advance> {
        self.pending.advance()
    }

    fn close(&mut self) -> io::Result<Advance> {
        self.pending.close()
    }

    fn into_request(self) -> Stream<StartTlsSocket<S>> {
        let stream = self.pending.into_request();
        let peer = stream.client_address().cloned();
        let (socket, unread) = stream.into_parts();
        Stream::from_parts(StartTlsSocket::new(socket, self.config), peer, unread)
    }
}

impl<P: fmt::Debug> fmt::Debug for InTheClear<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InTheClear").field("pending", &self.pending).finish_non_exhaustive()
    }
}
