//! Sockets opened and passed by a process manager: sd_listen_fds(3).

use std::fmt;
use std::io;
use std::net::TcpListener;
use std::net::UdpSocket;
use std::os::fd::AsFd;
use std::os::fd::BorrowedFd;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::os::unix::net::UnixListener;

use socket2::SockRef;
use socket2::Type;

use crate::sys::passed::take_once;
use crate::transport::kept;

/// The sockets that a process manager has passed to this process, by name (`FileDescriptorName=` of systemd; by default
/// the name of the unit, such as `echo.socket`).
///
/// ```no_run
/// use std::net::TcpListener;
/// use socketserver::deploy::Sockets;
/// use socketserver::{Flow, PoolTcpServer};
///
/// let mut sockets = Sockets::take()?;
/// let listener = sockets.one::<TcpListener>("web")?;
/// let server = PoolTcpServer::builder_fn(|_| Ok(Flow::Close)).adopt(listener)?;
/// server.serve_forever()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// They are closed on exec, and, unless taken out, when this is dropped.
///
/// The process manager keeps them open. So when the server [stops](crate::StopHandle::shutdown), the backlog is left
/// for the next process, whereas clients in the backlog of the server's own socket see a close.
#[derive(Debug)]
pub struct Sockets {
    sockets: Vec<(OwnedFd, String)>,
}

impl Sockets {
    /// Takes the sockets passed to this process: none, if it was started by hand, or if the environment variables are
    /// meant for another process.
    ///
    /// # Errors
    ///
    /// - They have been taken before.
    /// - The environment variables (`LISTEN_PID`, `LISTEN_FDS`, `LISTEN_FDNAMES`) are invalid.
    pub fn take() -> Result<Self, PassedSocketError> {
        match take_once(sd_notify::listen_fds_with_names) {
            Some(outcome) => {
                let sockets = outcome.map_err(|source| PassedSocketError::Environment { source })?;
                let this = Self { sockets };
                kept::note_passed(this.descriptors());
                Ok(this)
            }
            None => Err(PassedSocketError::TakenBefore),
        }
    }

    /// The names of the remaining sockets, in the order in which they were passed.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.sockets.iter().map(|(_, name)| name.as_str())
    }

    /// Takes out the only socket with this name.
    ///
    /// # Errors
    ///
    /// There is none with this name, there are several, or it is not an `S`. Nothing is taken out then.
    pub fn one<S: PassedSocket>(&mut self, name: &str) -> Result<S, PassedSocketError> {
        let mut found = self.find::<S>(Some(name))?;
        match found.pop() {
            Some(index) if found.is_empty() => Ok(S::from(self.sockets.remove(index).0)),
            _ => Err(PassedSocketError::Several { name: name.to_owned(), count: found.len() + 1 }),
        }
    }

    /// Takes out each `S` with this name, at least one, in the order in which they were passed.
    ///
    /// # Errors
    ///
    /// There is none with this name, or none of them is an `S`.
    pub fn all<S: PassedSocket>(&mut self, name: &str) -> Result<Vec<S>, PassedSocketError> {
        self.take_out(Some(name))
    }

    /// Takes out each `S`, at least one, in the order in which they were passed.
    ///
    /// # Errors
    ///
    /// There is none, or none of them is an `S`.
    pub fn any<S: PassedSocket>(&mut self) -> Result<Vec<S>, PassedSocketError> {
        self.take_out(None)
    }

    /// Checks that all sockets have been taken out: clients of a remaining one would wait for ever.
    ///
    /// # Errors
    ///
    /// Some remain; the error names them.
    pub fn finish(&self) -> Result<(), PassedSocketError> {
        if self.sockets.is_empty() { Ok(()) } else { Err(PassedSocketError::Left { names: self.quoted_names() }) }
    }

    fn take_out<S: PassedSocket>(&mut self, wanted: Option<&str>) -> Result<Vec<S>, PassedSocketError> {
        let found = self.find::<S>(wanted)?;
        // From behind, so that the places of the others stay what they are.
        let mut taken: Vec<_> = found.iter().rev().map(|index| S::from(self.sockets.remove(*index).0)).collect();
        taken.reverse();
        Ok(taken)
    }

    /// The places of those that are wanted, one at least.
    fn find<S: PassedSocket>(&self, wanted: Option<&str>) -> Result<Vec<usize>, PassedSocketError> {
        let mut found = Vec::new();
        let mut other = None;
        for (index, (socket, name)) in self.sockets.iter().enumerate() {
            if wanted.is_some_and(|wanted| name != wanted) {
                continue;
            }
            match Kind::of(socket) {
                kind if kind == S::KIND => found.push(index),
                kind => other = other.or(Some((name, kind))),
            }
        }
        match other {
            Some((name, kind)) if found.is_empty() => {
                Err(PassedSocketError::WrongKind { name: name.clone(), wanted: S::KIND.0, found: kind.0 })
            }
            None if found.is_empty() => {
                let wanted = wanted.map(str::to_owned);
                Err(PassedSocketError::NotPassed { wanted, passed: self.quoted_names() })
            }
            _ => Ok(found),
        }
    }

    /// Takes out what a transport wants: the only one of this name, or all of them.
    pub(super) fn take_for<S: PassedSockets>(&mut self, name: &str) -> Result<S, PassedSocketError> {
        S::take(self, name)
    }

    /// Takes out what has this name, whatever it is.
    pub(super) fn take_any(&mut self, name: &str) -> Option<OwnedFd> {
        let at = self.sockets.iter().position(|(_, other)| other == name)?;
        Some(self.sockets.remove(at).0)
    }

    pub(super) fn descriptors(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.sockets.iter().map(|(socket, _)| socket.as_fd())
    }

    fn quoted_names(&self) -> String {
        self.names().map(|name| format!("{name:?}")).collect::<Vec<_>>().join(", ")
    }
}

/// A socket that can be passed to a server: a `TcpListener`, `UdpSocket`, `UnixListener` or `UnixDatagram` of the
/// standard library, for [`Builder::adopt`](crate::Builder::adopt).
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a socket that can be passed",
    note = "`TcpListener`, `UdpSocket`, `UnixListener` and `UnixDatagram` of the standard library are"
)]
pub trait PassedSocket: From<OwnedFd> + sealed::Sealed {
    #[doc(hidden)]
    const KIND: Kind;
}

/// One or more passed sockets that a transport can adopt: a [`PassedSocket`], or, for [`Many`](crate::transport::Many),
/// a `Vec` of them.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be passed to a process",
    note = "a `TcpListener`, `UdpSocket`, `UnixListener` or `UnixDatagram` of the standard library can, or a `Vec` of them"
)]
pub trait PassedSockets: Sized + sealed::Passed {
    #[doc(hidden)]
    fn take(sockets: &mut Sockets, name: &str) -> Result<Self, PassedSocketError>;
}

impl<S: PassedSocket> sealed::Passed for S {}

impl<S: PassedSocket> PassedSockets for S {
    fn take(sockets: &mut Sockets, name: &str) -> Result<Self, PassedSocketError> {
        sockets.one(name)
    }
}

impl<S: PassedSocket> sealed::Passed for Vec<S> {}

impl<S: PassedSocket> PassedSockets for Vec<S> {
    fn take(sockets: &mut Sockets, name: &str) -> Result<Self, PassedSocketError> {
        sockets.all(name)
    }
}

/// What a socket is, in words.
#[doc(hidden)]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Kind(&'static str);

mod sealed {
    pub trait Sealed {}

    pub trait Passed {}
}

macro_rules! passed {
    ($($socket:ty: $kind:literal),+) => {$(
        impl sealed::Sealed for $socket {}

        impl PassedSocket for $socket {
            const KIND: Kind = Kind($kind);
        }
    )+};
}

passed! {
    TcpListener: "a TCP socket that listens",
    UdpSocket: "a UDP socket",
    UnixListener: "a Unix-domain stream socket that listens",
    UnixDatagram: "a Unix-domain datagram socket"
}

impl Kind {
    fn of(socket: &OwnedFd) -> Self {
        Self::ask(&SockRef::from(socket)).unwrap_or(Self("not a socket"))
    }

    fn ask(socket: &socket2::Socket) -> io::Result<Self> {
        let (address, kind) = (socket.local_addr()?, socket.r#type()?);
        // One that does not listen can be meant for its one client.
        let listens = kind == Type::STREAM && is_listener(socket)?;
        let is_inet = address.is_ipv4() || address.is_ipv6();
        Ok(match kind {
            Type::STREAM if is_inet && listens => TcpListener::KIND,
            Type::STREAM if is_inet => Self("a TCP socket that does not listen"),
            Type::DGRAM if is_inet => UdpSocket::KIND,
            Type::STREAM if address.is_unix() && listens => UnixListener::KIND,
            Type::STREAM if address.is_unix() => Self("a Unix-domain stream socket that does not listen"),
            Type::DGRAM if address.is_unix() => UnixDatagram::KIND,
            _ => Self("a socket of another kind"),
        })
    }
}

#[cfg(any(target_os = "linux", target_os = "android", target_os = "freebsd"))]
fn is_listener(socket: &socket2::Socket) -> io::Result<bool> {
    socket.is_listener()
}

/// macOS has `SO_ACCEPTCONN` by name only, so that a socket without a peer is taken for one that listens.
#[cfg(not(any(target_os = "linux", target_os = "android", target_os = "freebsd")))]
#[allow(clippy::unnecessary_wraps, reason = "as where the system is asked")]
fn is_listener(socket: &socket2::Socket) -> io::Result<bool> {
    Ok(socket.peer_addr().is_err())
}

/// Why a passed socket cannot be taken.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PassedSocketError {
    /// The environment variables are invalid.
    #[error(
        "cannot take the sockets that were passed to this process: {source}; check LISTEN_PID, LISTEN_FDS and LISTEN_FDNAMES"
    )]
    Environment {
        /// What is wrong.
        source: io::Error,
    },
    /// Some sockets have not been taken out.
    #[error(
        "this process does not use some of the sockets that were passed to it: {names}; remove them from its units, or serve them"
    )]
    Left {
        /// Their names, in quotes.
        names: String,
    },
    /// No socket was passed, or none with this name.
    #[error("no socket{} was passed to this process: {}", Named(.wanted.as_deref()), Passed(.passed))]
    NotPassed {
        /// The requested name; `None` for any.
        wanted: Option<String>,
        /// The names of the sockets that were passed, in quotes.
        passed: String,
    },
    /// One socket was requested, but there are several.
    #[error(
        "{count} sockets were passed as {name:?} where one was requested; give each its own name (FileDescriptorName=)"
    )]
    Several {
        /// Their name.
        name: String,
        /// How many.
        count: usize,
    },
    /// This process has taken them before.
    #[error("the sockets that were passed to this process have already been taken; keep the first `Sockets`")]
    TakenBefore,
    /// The socket is of another family or type.
    #[error(
        "the socket that was passed as {name:?} is {found}, where {wanted} was requested; check ListenStream= and ListenDatagram= of its unit"
    )]
    WrongKind {
        /// Its name.
        name: String,
        /// What was requested.
        wanted: &'static str,
        /// What it is.
        found: &'static str,
    },
}

struct Named<'a>(Option<&'a str>);

impl fmt::Display for Named<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |name| write!(f, " named {name:?}"))
    }
}

struct Passed<'a>(&'a str);

impl fmt::Display for Passed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            "" => f.write_str("there are none; start it with a systemd socket unit, or with systemd-socket-activate"),
            names => write!(f, "there are {names}"),
        }
    }
}
