//! What handlers of TLS connections read from and write to.

use std::fmt;
use std::io;
use std::io::Read;
use std::io::Write;

use rustls::CommonState;
use rustls::HandshakeKind;
use rustls::ProtocolVersion;

use super::session::Session;
use crate::request::Socket;
use crate::sys::Descriptor;

/// The socket of a TLS connection: a [`Stream`](crate::Stream) over it is what a [`Tls`](super::Tls) transport serves.
///
/// What was negotiated is read through [`Stream::get_ref`](crate::Stream::get_ref):
///
/// ```
/// use std::io::Write;
/// use std::net::TcpStream;
/// use socketserver::transport::TlsSocket;
/// use socketserver::{Flow, HandlerResult, Stream};
///
/// fn tell(request: &mut Stream<TlsSocket<TcpStream>>) -> HandlerResult {
///     let tls = request.get_ref();
///     let text = format!("{} with {} for {:?}\n", tls.protocol_version(), tls.cipher_suite(), tls.server_name());
///     request.write_all(text.as_bytes())?;
///     Ok(Flow::Close)
/// }
/// ```
pub struct TlsSocket<S> {
    socket: S,
    session: Box<Session>,
}

impl<S> TlsSocket<S> {
    pub(super) fn new(socket: S, session: Box<Session>) -> Self {
        Self { socket, session }
    }

    pub(super) fn session(&self) -> &Session {
        &self.session
    }

    pub(super) fn parts(&mut self) -> (&mut S, &mut Session) {
        (&mut self.socket, &mut self.session)
    }

    /// The socket below. What is written to it or read from it goes past TLS.
    pub fn get_ref(&self) -> &S {
        &self.socket
    }

    /// The protocol that client and server have agreed on (ALPN): one of [`TlsConfigBuilder::alpn`], or `None` if the
    /// client has asked for none.
    ///
    /// [`TlsConfigBuilder::alpn`]: super::TlsConfigBuilder::alpn
    pub fn alpn(&self) -> Option<&[u8]> {
        self.session.connection.alpn_protocol()
    }

    /// The name of the server that the client has asked for (SNI), in small letters; `None` if it has asked for none, as
    /// clients do that know an address only.
    pub fn server_name(&self) -> Option<&str> {
        self.session.server_name.as_deref()
    }

    /// The client's own certificate, which has been verified, in DER; `None` if it has presented none.
    pub fn client_certificate(&self) -> Option<&[u8]> {
        self.client_certificates().next()
    }

    /// The client's own certificate, and behind it those that it has sent along, in DER. Also in a session that was
    /// resumed: then they were presented and verified when it began.
    pub fn client_certificates(&self) -> impl Iterator<Item = &[u8]> {
        let presented = self.session.connection.peer_certificates().unwrap_or_default();
        presented.iter().map(|certificate| &**certificate)
    }

    /// The version of the protocol: `TLSv1.3` or `TLSv1.2`.
    pub fn protocol_version(&self) -> &'static str {
        match self.session.connection.protocol_version() {
            Some(ProtocolVersion::TLSv1_3) => "TLSv1.3",
            Some(ProtocolVersion::TLSv1_2) => "TLSv1.2",
            // There is no other that could be agreed on.
            _ => "",
        }
    }

    /// The cipher suite, by the name that its registry has: `TLS_AES_256_GCM_SHA384`, for one.
    pub fn cipher_suite(&self) -> String {
        let suite = self.session.connection.negotiated_cipher_suite();
        let name = suite.and_then(|suite| suite.suite().as_str()).unwrap_or_default();
        // rustls has a prefix of its own for those of TLS 1.3.
        name.replacen("TLS13_", "TLS_", 1)
    }

    /// Whether the client has resumed a session that it had before.
    pub fn is_resumed(&self) -> bool {
        self.session.connection.handshake_kind() == Some(HandshakeKind::Resumed)
    }

    /// The state of the connection as rustls has it, for what there is no other method for. Its type is that of the
    /// version of rustls that this crate is built with, and changes with it.
    pub fn rustls_state(&self) -> &CommonState {
        &self.session.connection
    }
}

impl<S: Socket> Read for TlsSocket<S> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        self.session.read(&mut self.socket, bytes)
    }
}

impl<S: Socket> Write for TlsSocket<S> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.session.write(&mut self.socket, bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.session.send(&mut self.socket)?;
        self.socket.flush()
    }
}

impl<S: Socket> Socket for TlsSocket<S> {
    type Addr = S::Addr;

    fn descriptor(&self) -> Descriptor<'_> {
        self.socket.descriptor()
    }

    /// Says `close_notify` first, also to a peer that has said it already.
    fn shutdown_write(&mut self) -> io::Result<()> {
        self.session.close(&mut self.socket)?;
        self.socket.flush()?;
        self.socket.shutdown_write()
    }

    fn is_drained_by_short_read(&self) -> bool {
        self.session.is_drained()
    }

    fn is_truncated(&self) -> bool {
        self.session.is_cut()
    }

    fn unsent(&self) -> usize {
        self.session.unsent() + self.socket.unsent()
    }

    fn read_interest(&self) -> crate::transport::Interest {
        self.socket.read_interest()
    }

    fn write_interest(&self) -> crate::transport::Interest {
        self.socket.write_interest()
    }
}

impl<S: fmt::Debug> fmt::Debug for TlsSocket<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsSocket")
            .field("socket", &self.socket)
            .field("version", &self.protocol_version())
            .field("server_name", &self.server_name())
            .field("alpn", &self.alpn().map(<[u8]>::escape_ascii).map(|name| name.to_string()))
            .finish_non_exhaustive()
    }
}
