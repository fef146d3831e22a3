//! The socket of TLS connections.

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
/// A handler reaches it through [`Stream::get_ref`](crate::Stream::get_ref), to see what was negotiated:
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

    /// The inner socket. Reads and writes on it bypass TLS.
    pub fn get_ref(&self) -> &S {
        &self.socket
    }

    /// The negotiated protocol (ALPN): one of [`TlsConfigBuilder::alpn`], or `None` if the client offered none.
    ///
    /// [`TlsConfigBuilder::alpn`]: super::TlsConfigBuilder::alpn
    pub fn alpn(&self) -> Option<&[u8]> {
        self.session.connection.alpn_protocol()
    }

    /// The server name that the client has requested (SNI), in lower case; `None` if it has requested none, like
    /// clients that connect to an IP address.
    pub fn server_name(&self) -> Option<&str> {
        self.session.server_name.as_deref()
    }

    /// The client's verified certificate, in DER; `None` if it has presented none.
    pub fn client_certificate(&self) -> Option<&[u8]> {
        self.client_certificates().next()
    }

    /// The client's verified certificate, followed by its chain, in DER. In a resumed session, they are those presented
    /// and verified when it began.
    pub fn client_certificates(&self) -> impl Iterator<Item = &[u8]> {
        let presented = self.session.connection.peer_certificates().unwrap_or_default();
        presented.iter().map(|certificate| &**certificate)
    }

    /// The protocol version: `TLSv1.3` or `TLSv1.2`.
    pub fn protocol_version(&self) -> &'static str {
        match self.session.connection.protocol_version() {
            Some(ProtocolVersion::TLSv1_3) => "TLSv1.3",
            Some(ProtocolVersion::TLSv1_2) => "TLSv1.2",
            // There is no other that could be agreed on.
            _ => "",
        }
    }

    /// The IANA name of the cipher suite, such as `TLS_AES_256_GCM_SHA384`.
    pub fn cipher_suite(&self) -> String {
        let suite = self.session.connection.negotiated_cipher_suite();
        let name = suite.and_then(|suite| suite.suite().as_str()).unwrap_or_default();
        // rustls has a prefix of its own for those of TLS 1.3.
        name.replacen("TLS13_", "TLS_", 1)
    }

    /// Whether the client has resumed an earlier session.
    pub fn is_resumed(&self) -> bool {
        self.session.connection.handshake_kind() == Some(HandshakeKind::Resumed)
    }

    /// The rustls state of the connection, for what has no method here. The type is that of the version of rustls that
    /// this crate depends on, and changes with it.
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
