//! The errors of each operation: what was tried, on what, and why it failed.

#[cfg(feature = "tls")]
mod tls;

use std::error::Error;
use std::fmt;
use std::io;

use crate::panics::Thrown;

#[cfg(feature = "tls")]
pub use tls::TlsConfigError;

/// Any error a handler or a hook may return; `?` works on every error type.
pub type BoxError = Box<dyn Error + Send + Sync>;

/// Why a server could not be bound.
///
/// Each message names the address or the option, its value, and the way out where there is one.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BindError {
    /// The system refused the address: in use, not local, no permission, a missing folder.
    #[error("cannot bind to {address}: {source}{}", hint(.source))]
    Bind {
        /// The address that was tried.
        address: String,
        /// What the system said.
        source: io::Error,
    },
    /// Something that is not a socket stands at the path.
    #[error("cannot bind to {path}: a file that is not a socket is there; move it away or choose another path")]
    NotASocket {
        /// The path that was tried.
        path: String,
    },
    /// An option has a value that cannot work, or does not go with the others.
    #[error("option {option} = {value}: {reason}")]
    Option {
        /// The builder method.
        option: &'static str,
        /// The value it was given.
        value: String,
        /// What is wrong, and what would be right.
        reason: String,
    },
    /// The name does not resolve, or the text is not an address.
    #[error("cannot resolve {address}: {source}")]
    Resolve {
        /// The text that was given.
        address: String,
        /// What the resolver said.
        source: io::Error,
    },
    /// The socket was made, but an option of it could not be set.
    #[error("cannot set up the socket for {address}: {step}: {source}")]
    SetUp {
        /// The address that was tried.
        address: String,
        /// The call that failed.
        step: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// The certificate, its key or the client CA of a TLS server cannot be loaded.
    #[cfg(feature = "tls")]
    #[error(transparent)]
    Tls(#[from] TlsConfigError),
    /// Another server answers at the path.
    #[error("cannot bind to {path}: another server is listening there; stop it or choose another path")]
    UnixPathInUse {
        /// The path that was tried.
        path: String,
    },
}

fn hint(source: &io::Error) -> &'static str {
    match source.kind() {
        io::ErrorKind::AddrInUse => "; another socket is using it: choose another port, or 0 for a free one",
        io::ErrorKind::AddrNotAvailable => "; it is not an address of this machine",
        io::ErrorKind::PermissionDenied => "; ports below 1024 and protected folders need more rights",
        io::ErrorKind::NotFound => "; the folder does not exist",
        _ => "",
    }
}

/// Why serving failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// The listener is unusable (`EBADF`, `EINVAL`, `ENOTSOCK`, ...): trying again cannot help.
    #[error("cannot accept on {address}: {source}")]
    Accept {
        /// Where the server listens.
        address: String,
        /// What the system said.
        source: io::Error,
    },
    /// `Fork` needs a process with one thread: a lock held by another thread would stay locked in the child for ever.
    #[error(
        "cannot fork: this process has {} threads and the dispatch Fork needs exactly one; serve before any thread is started, or use ThreadPerRequest or Pool",
        .threads.map_or("several".to_owned(), |threads| threads.to_string())
    )]
    NotSingleThreaded {
        /// The number of threads; `None` if there were several, but it is not known how many.
        threads: Option<usize>,
    },
    /// A handler panicked and the policy is to stop.
    #[error("a handler panicked and the policy is PanicPolicy::Stop: {message}")]
    Panicked {
        /// What the panic said.
        message: String,
    },
    /// The dispatch could not be started: no threads, no descriptors.
    #[error("cannot start the dispatch {dispatch}: {source}")]
    Start {
        /// The dispatch.
        dispatch: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// `Fork` needs a process with one thread, and the threads of this one cannot be counted.
    #[error(
        "cannot fork: cannot count the threads of this process ({source}), and the dispatch Fork needs exactly one; mount /proc, or use ThreadPerRequest or Pool"
    )]
    UnknownThreads {
        /// What the system said.
        source: io::Error,
    },
    /// Waiting for events failed.
    #[error("cannot wait for events on {address}: {source}")]
    Wait {
        /// Where the server listens.
        address: String,
        /// What the system said.
        source: io::Error,
    },
}

/// Where in the life of a request something went wrong.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Stage {
    /// Taking a request from the transport (`get_request`).
    Accept,
    /// Closing the connection (`shutdown_request`, `close_request`).
    Close,
    /// Handing the request to its thread, process or worker (`process_request`).
    Dispatch,
    /// The second phase of the transport (handshakes, headers), or a handshake started by the handler, between two
    /// calls.
    Establish,
    /// [`Handler::finish`](crate::Handler::finish).
    Finish,
    /// [`Handler::handle`](crate::Handler::handle).
    Handle,
    /// [`HandlerFactory::service_actions`](crate::HandlerFactory::service_actions).
    ServiceActions,
    /// Making the handler, or [`Handler::setup`](crate::Handler::setup).
    Setup,
    /// [`HandlerFactory::verify_request`](crate::HandlerFactory::verify_request).
    Verify,
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Accept => "accept",
            Self::Close => "close",
            Self::Dispatch => "dispatch",
            Self::Establish => "establish",
            Self::Finish => "finish",
            Self::Handle => "handle",
            Self::ServiceActions => "service_actions",
            Self::Setup => "setup",
            Self::Verify => "verify",
        })
    }
}

/// An error of a request with its stage, as passed to
/// [`HandlerFactory::handle_error`](crate::HandlerFactory::handle_error).
#[derive(Debug)]
pub struct RequestError {
    stage: Stage,
    cause: Cause,
}

#[derive(Debug)]
enum Cause {
    Failed(BoxError),
    Panicked(String),
}

impl RequestError {
    /// An error returned at `stage`.
    #[must_use]
    pub fn failed(stage: Stage, source: impl Into<BoxError>) -> Self {
        Self { stage, cause: Cause::Failed(source.into()) }
    }

    /// A panic caught at `stage`.
    pub(crate) fn panicked(stage: Stage, thrown: &Thrown) -> Self {
        Self { stage, cause: Cause::Panicked(thrown.message()) }
    }

    /// The step that failed.
    #[must_use]
    pub fn stage(&self) -> Stage {
        self.stage
    }

    /// Whether the peer simply went away (reset, broken pipe, end of input in mid-message): rarely worth a log line.
    ///
    /// Like [`is_timeout`](Self::is_timeout) and [`is_stopping`](Self::is_stopping), it looks for an [`io::Error`]
    /// among the [sources](Error::source) of the error, so that it also works for an error type that wraps one. For
    /// other errors, downcast what [`source`](Error::source) returns.
    #[must_use]
    pub fn is_disconnect(&self) -> bool {
        self.io_kind().is_some_and(is_disconnect)
    }

    /// Whether a deadline passed.
    #[must_use]
    pub fn is_timeout(&self) -> bool {
        self.io_kind() == Some(io::ErrorKind::TimedOut)
    }

    /// Whether it was a panic.
    #[must_use]
    pub fn is_panic(&self) -> bool {
        matches!(self.cause, Cause::Panicked(_))
    }

    /// Whether a blocked read or write was interrupted because the server stops.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        self.io().and_then(io::Error::get_ref).is_some_and(<dyn Error + Send + Sync>::is::<Stopping>)
    }

    /// The error itself; a panic's message for a panic.
    #[must_use]
    pub fn into_source(self) -> BoxError {
        match self.cause {
            Cause::Failed(source) => source,
            Cause::Panicked(message) => message.into(),
        }
    }

    fn io_kind(&self) -> Option<io::ErrorKind> {
        self.io().map(io::Error::kind)
    }

    /// The `io::Error` that this is, or that an error of the handler's own has as its source.
    fn io(&self) -> Option<&io::Error> {
        let Cause::Failed(source) = &self.cause else { return None };
        let mut next: Option<&(dyn Error + 'static)> = Some(&**source);
        while let Some(error) = next {
            if let Some(error) = error.downcast_ref() {
                return Some(error);
            }
            next = error.source();
        }
        None
    }
}

impl fmt::Display for RequestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.cause {
            Cause::Failed(source) => write!(f, "{}: {source}", self.stage),
            Cause::Panicked(message) => write!(f, "{}: panicked: {message}", self.stage),
        }
    }
}

impl Error for RequestError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match &self.cause {
            Cause::Failed(source) => Some(&**source),
            Cause::Panicked(_) => None,
        }
    }
}

/// What is inside of an `io::Error` of this crate: a text, and the same error once more as its source.
///
/// An error type that is transparent to the `io::Error` inside of it (`#[error(transparent)]` of thiserror) passes its
/// source on and not itself. With the source, its kind is found through such a type, too.
#[derive(Debug, thiserror::Error)]
#[error("{text}")]
struct Told {
    text: String,
    source: io::Error,
}

/// An `io::Error` that keeps its kind inside of other error types.
pub(crate) fn told(kind: io::ErrorKind, text: String) -> io::Error {
    io::Error::new(kind, Told { text, source: kind.into() })
}

/// As [`told`], of an error of another library, which is kept as the source of the source.
#[cfg(feature = "tls")]
#[cold]
pub(crate) fn told_by(kind: io::ErrorKind, text: String, error: impl Into<BoxError>) -> io::Error {
    io::Error::new(kind, Told { text, source: io::Error::new(kind, error) })
}

/// What the system said of a connection: that the peer has gone is [told](Told) so that it can be found.
#[cold]
pub(crate) fn of_peer(error: io::Error) -> io::Error {
    if error.raw_os_error().is_some() && is_disconnect(error.kind()) {
        return io::Error::new(error.kind(), Told { text: error.to_string(), source: error });
    }
    error
}

fn is_disconnect(kind: io::ErrorKind) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, NotConnected, UnexpectedEof};
    matches!(kind, BrokenPipe | ConnectionAborted | ConnectionReset | NotConnected | UnexpectedEof)
}

/// The inner error of a read or write that was interrupted at the drain's deadline.
#[derive(Debug, thiserror::Error)]
#[error("the server is stopping")]
pub(crate) struct Stopping {
    source: Option<io::Error>,
}

impl Stopping {
    /// As what is [told](Told), it is its own source.
    pub(crate) fn io_error() -> io::Error {
        let inner = io::Error::new(io::ErrorKind::ConnectionAborted, Self { source: None });
        io::Error::new(io::ErrorKind::ConnectionAborted, Self { source: Some(inner) })
    }
}

/// A wait that its pool has ended for the sake of others, as an `io::Error`.
pub(crate) fn evicted() -> io::Error {
    let text = "this wait was the longest when every thread of the pool was waiting and others had to be served; \
                raise Pool::max_threads to allow more threads";
    told(io::ErrorKind::TimedOut, text.to_owned())
}

/// The end of a connection in the middle of a message, where the peer has not said that it was the end.
#[cold]
pub(crate) fn cut_short() -> io::Error {
    let text = "the connection was closed in the middle of a message, without a proper close";
    told(io::ErrorKind::UnexpectedEof, text.to_owned())
}

/// A deadline that passed, as an `io::Error`.
pub(crate) fn timed_out(what: &str, limit: std::time::Duration) -> io::Error {
    told(io::ErrorKind::TimedOut, format!("{what} took longer than {limit:?}"))
}
