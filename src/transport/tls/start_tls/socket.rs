//! A socket that is plain until it speaks TLS.

use std::fmt;
use std::io;
use std::io::ErrorKind;
use std::io::IoSlice;
use std::io::Read;
use std::io::Write;

use crate::request::Socket;
use crate::sys::Descriptor;
use crate::transport::Advance;
use crate::transport::Interest;
use crate::transport::tls::TlsConfig;
use crate::transport::tls::TlsSocket;
use crate::transport::tls::session::Session;

/// The socket of a connection that begins in the clear: a [`Stream`](crate::Stream) over it is what a
/// [`StartTls`](super::StartTls) transport serves. [`Stream::start_tls`](crate::Stream::start_tls) begins TLS.
pub struct StartTlsSocket<S> {
    state: State<S>,
    config: TlsConfig,
}

enum State<S> {
    Clear(S),
    /// From the beginning of the handshake on.
    Tls(TlsSocket<S>),
    /// Between the two.
    Moved,
}

const MOVED: &str = "a socket moves from one state to another without a look at it";

impl<S> StartTlsSocket<S> {
    pub(super) fn new(socket: S, config: TlsConfig) -> Self {
        Self { state: State::Clear(socket), config }
    }

    /// The inner socket. Reads and writes on it bypass TLS.
    pub fn get_ref(&self) -> &S {
        match &self.state {
            State::Clear(socket) => socket,
            State::Tls(socket) => socket.get_ref(),
            State::Moved => unreachable!("{MOVED}"),
        }
    }

    /// Whether reads and writes are inside TLS: false in the clear, and until the handshake is done.
    pub fn is_secure(&self) -> bool {
        self.tls().is_some()
    }

    /// What was negotiated, once the handshake is done: the name that the client has asked for, its certificate, the
    /// cipher suite.
    pub fn tls(&self) -> Option<&TlsSocket<S>> {
        match &self.state {
            State::Tls(socket) if !socket.session().is_handshaking() => Some(socket),
            _ => None,
        }
    }

    pub(super) fn has_begun(&self) -> bool {
        !matches!(self.state, State::Clear(_))
    }

    /// What TLS is to be begun with.
    pub(super) fn session(&self) -> io::Result<Box<Session>> {
        Session::new(&self.config).map(Box::new)
    }

    /// Speaks TLS from here on, behind what is still to be sent in the clear.
    pub(super) fn begin(&mut self, mut session: Box<Session>, unsent: Vec<u8>) {
        session.begin_behind(unsent);
        self.state = match std::mem::replace(&mut self.state, State::Moved) {
            State::Clear(socket) => State::Tls(TlsSocket::new(socket, session)),
            begun => begun,
        };
    }
}

impl<S: Socket> StartTlsSocket<S> {
    /// Goes on with the handshake as far as it can without waiting; whether it is done. False is the end of a client that
    /// has not begun it.
    fn shake_hands(socket: &mut TlsSocket<S>) -> io::Result<bool> {
        let (socket, session) = socket.parts();
        match session.advance(socket)? {
            Advance::Done => Ok(true),
            Advance::Closed => Ok(false),
            _ => Err(ErrorKind::WouldBlock.into()),
        }
    }
}

impl<S: Socket> Read for StartTlsSocket<S> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        match &mut self.state {
            State::Clear(socket) => socket.read(bytes),
            State::Tls(socket) => {
                if Self::shake_hands(socket)? {
                    socket.read(bytes)
                } else {
                    Ok(0)
                }
            }
            State::Moved => unreachable!("{MOVED}"),
        }
    }
}

impl<S: Socket> Write for StartTlsSocket<S> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.state {
            State::Clear(socket) => socket.write(bytes),
            State::Tls(socket) => {
                if Self::shake_hands(socket)? {
                    socket.write(bytes)
                } else {
                    Err(ErrorKind::BrokenPipe.into())
                }
            }
            State::Moved => unreachable!("{MOVED}"),
        }
    }

    fn write_vectored(&mut self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        match &mut self.state {
            State::Clear(socket) => socket.write_vectored(parts),
            _ => self.write(parts.iter().find(|part| !part.is_empty()).map_or(&[], |part| part)),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.state {
            State::Clear(socket) => socket.flush(),
            State::Tls(socket) => socket.flush(),
            State::Moved => unreachable!("{MOVED}"),
        }
    }
}

impl<S: Socket> Socket for StartTlsSocket<S> {
    type Addr = S::Addr;

    fn descriptor(&self) -> Descriptor<'_> {
        self.get_ref().descriptor()
    }

    fn shutdown_write(&mut self) -> io::Result<()> {
        match &mut self.state {
            State::Clear(socket) => socket.shutdown_write(),
            State::Tls(socket) => socket.shutdown_write(),
            State::Moved => unreachable!("{MOVED}"),
        }
    }

    #[inline]
    fn is_plain(&self) -> bool {
        if let State::Clear(socket) = &self.state { socket.is_plain() } else { false }
    }

    fn is_drained_by_short_read(&self) -> bool {
        match &self.state {
            State::Clear(socket) => socket.is_drained_by_short_read(),
            State::Tls(socket) => socket.is_drained_by_short_read(),
            State::Moved => false,
        }
    }

    fn is_truncated(&self) -> bool {
        match &self.state {
            State::Clear(socket) => socket.is_truncated(),
            State::Tls(socket) => socket.is_truncated(),
            State::Moved => false,
        }
    }

    fn is_in_handshake(&self) -> bool {
        match &self.state {
            State::Clear(socket) => socket.is_in_handshake(),
            State::Tls(socket) => socket.session().is_handshaking(),
            State::Moved => false,
        }
    }

    fn unsent(&self) -> usize {
        match &self.state {
            State::Clear(socket) => socket.unsent(),
            State::Tls(socket) => socket.unsent(),
            State::Moved => 0,
        }
    }

    fn read_interest(&self) -> Interest {
        self.get_ref().read_interest()
    }

    fn write_interest(&self) -> Interest {
        match &self.state {
            // What the handler writes follows the handshake, and this is the client's turn in it.
            State::Tls(socket) if self.is_in_handshake() && socket.session().unsent() == 0 => self.read_interest(),
            _ => self.get_ref().write_interest(),
        }
    }
}

impl<S: fmt::Debug> fmt::Debug for StartTlsSocket<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("StartTlsSocket");
        match &self.state {
            State::Clear(socket) => shown.field("clear", socket),
            State::Tls(socket) => shown.field("tls", socket),
            State::Moved => &mut shown,
        };
        shown.finish_non_exhaustive()
    }
}
