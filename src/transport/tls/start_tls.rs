//! TLS that begins in the middle of a connection: STARTTLS.

mod pending;
mod socket;

use std::fmt;
use std::io;

pub use self::pending::InTheClear;
pub use self::socket::StartTlsSocket;
use super::TlsConfig;
use super::TlsOptions;
use super::words;
use super::wraps_with_config;
use crate::error::BindError;
use crate::request::Socket;
use crate::request::Stream;
use crate::transport::Adopt;
use crate::transport::Bind;
use crate::transport::Transport;
use crate::transport::listens_as_inner;

/// Connections over the transport `T` that begin in the clear, until their handler starts TLS: STARTTLS of SMTP, IMAP
/// and LDAP, the SSL request of PostgreSQL.
///
/// If the requests of `T` are `Stream<S>`, those of `StartTls<T>` are [`Stream<StartTlsSocket<S>>`](StartTlsSocket). A
/// handler starts TLS with [`Stream::start_tls`]; a handler that never does serves connections in the clear.
///
/// ```
/// use std::io::Write;
/// use std::net::TcpStream;
/// use socketserver::handler::function;
/// use socketserver::transport::{StartTls, StartTlsSocket};
/// use socketserver::{Builder, Flow, HandlerResult, Pool, Stream, Tcp, TlsConfig};
///
/// fn command(request: &mut Stream<StartTlsSocket<TcpStream>>) -> HandlerResult {
///     let Some(line) = request.line()? else { return Ok(Flow::Continue) };
///     match line.trim_end() {
///         // Behind it nothing may come in the clear: see `start_tls`.
///         "STARTTLS" if request.get_ref().is_secure() => request.write_all(b"503 it has begun\r\n")?,
///         "STARTTLS" => {
///             request.write_all(b"220 go ahead\r\n")?;
///             request.start_tls()?;
///         }
///         _ if !request.get_ref().is_secure() => request.write_all(b"530 say STARTTLS first\r\n")?,
///         _ => request.write_all(b"250 gladly\r\n")?,
///     }
///     Ok(Flow::Continue)
/// }
///
/// # let made = rcgen::generate_simple_self_signed(["localhost".to_owned()])?;
/// # let (certificate, key) = (made.cert.pem(), made.signing_key.serialize_pem());
/// let config = TlsConfig::from_pem(certificate, key)?;
/// let server = Builder::<StartTls<Tcp>, Pool, _>::new(function(command)).tls(config).bind("127.0.0.1:0")?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// The configuration is the same as for [`Tls`](super::Tls), and so is a session from its handshake on.
pub struct StartTls<T> {
    inner: T,
    config: TlsConfig,
}

impl<T> StartTls<T> {
    /// Wraps an existing transport; `config` is for clients that start TLS.
    pub fn over(inner: T, config: TlsConfig) -> Self {
        Self { inner, config }
    }

    /// The inner transport.
    pub fn get_ref(&self) -> &T {
        &self.inner
    }

    /// A handle to the configuration.
    pub fn config(&self) -> &TlsConfig {
        &self.config
    }
}

/// With the feature `tls`.
impl<S: Socket> Stream<StartTlsSocket<S>> {
    /// Starts TLS: what was written before is sent in the clear, and what is written or read from now on is inside TLS.
    ///
    /// This does not block. The handshake takes place after the handler has returned
    /// [`Flow::Continue`](crate::Flow::Continue), without a thread under `Sync` and `Pool`, and the handler is called
    /// again with the first message inside TLS. The handshake is subject to the builder's
    /// [`establish_timeout`](crate::Builder::establish_timeout), and its errors have the stage
    /// [`Stage::Establish`](crate::Stage::Establish). A read in the same call of `handle` blocks for it like any read,
    /// for at most the `read_timeout`. Output written before the handshake is done is held back until then.
    ///
    /// # Errors
    ///
    /// [`InvalidData`](io::ErrorKind::InvalidData) if plaintext that follows the command has already been read. An
    /// attacker in the middle could have inserted it, and a server that took it for the client's first message inside
    /// TLS would execute the attacker's commands in the client's name (CVE-2011-0411). Return the error, which closes
    /// the connection. To refuse the command instead, check [`buffered`](Self::buffered) before replying to it.
    /// Plaintext that has not been read by then is taken for the client's handshake, which fails.
    ///
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) if TLS has already been started, or a file of
    /// [`send_file`](Self::send_file) has not been sent yet. Otherwise an error of the socket while pending output was
    /// sent. After an error the connection is still in the clear.
    pub fn start_tls(&mut self) -> io::Result<()> {
        if self.get_ref().has_begun() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "TLS has begun on this connection before"));
        }
        if !self.buffered().is_empty() {
            return Err(words::in_the_clear(self.buffered().len()));
        }
        // Made first: what was written is not lost if it cannot be.
        let session = self.get_ref().session()?;
        let unsent = self.take_unsent()?;
        self.get_mut().begin(session, unsent);
        Ok(())
    }
}

impl<T, S> Transport for StartTls<T>
where
    T: Transport<Request = Stream<S>>,
    S: Socket + 'static,
{
    type Request = Stream<StartTlsSocket<S>>;
    type Pending = InTheClear<T::Pending>;
    type Addr = T::Addr;

    fn accept(&mut self) -> io::Result<Self::Pending> {
        self.config.keep_up();
        self.inner.accept().map(|pending| InTheClear::new(pending, &self.config))
    }

    fn local_addr(&self) -> T::Addr {
        self.inner.local_addr()
    }

    listens_as_inner!();
}

wraps_with_config!(StartTls);
