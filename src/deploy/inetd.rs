//! Serving one connection on standard input and output, as inetd (`nowait`), tcpserver and systemd sockets with
//! `Accept=yes` start a program.

use std::fs::File;
use std::io;
use std::net::TcpStream;
use std::os::fd::AsFd;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;

use rustix::fs::fstat;
use rustix::stdio::dup2_stderr;
use rustix::stdio::dup2_stdin;
use rustix::stdio::dup2_stdout;
use socket2::SockRef;
use socket2::Type;

use crate::Report;
use crate::ServeError;
use crate::Server;
use crate::ServerOptions;
use crate::Socket;
use crate::Stream;
use crate::Sync;
use crate::UnixAddress;
use crate::error::BindError;
use crate::handler::HandlerFactory;
use crate::sys::Descriptor;
use crate::transport::Immediate;
use crate::transport::Transport;

/// Serves the connection that this process was started with, a [`TcpStream`] or a [`UnixStream`], to its end, under the
/// dispatch `Sync`.
///
/// Standard input and output *are* the client, and under inetd standard error is, too. This call redirects them to
/// `/dev/null`, so that nothing that the program or a panic prints gets between the replies; errors go to
/// [`handle_error`](HandlerFactory::handle_error). If standard error is something else, such as a log, it is left
/// alone. Call this before anything else. The connection becomes non-blocking, also for other processes that have it.
///
/// A handler whose [`setup`](crate::Handler::setup) greets the client does so at once.
///
/// ```no_run
/// use std::io::{BufRead, Write};
/// use std::net::TcpStream;
/// use socketserver::handler::function;
/// use socketserver::{Flow, ServerOptions, Stream, deploy::inetd};
///
/// let upper = function(|request: &mut Stream<TcpStream>| {
///     let mut line = String::new();
///     request.read_line(&mut line)?;
///     request.write_all(line.to_uppercase().as_bytes())?;
///     Ok(Flow::Continue)
/// });
/// inetd::serve(upper, ServerOptions::default())?;
/// # Ok::<(), inetd::InetdError>(())
/// ```
///
/// # Errors
///
/// - Standard input is not such a connection.
/// - The system is out of descriptors, or waiting failed.
pub fn serve<S, H>(factory: H, options: ServerOptions) -> Result<Report, InetdError>
where
    S: StandardSocket,
    H: HandlerFactory<Stream<S>>,
{
    let connection = Connection::<S>::take()?;
    let mut server = Server::with_options(connection, Sync, factory, options)?;
    server.handle_request()?;
    // What is left is to linger.
    server.stop_handle().shutdown();
    Ok(server.serve_forever()?)
}

/// A socket that a program can be started with.
pub trait StandardSocket: Socket + From<OwnedFd> + sealed::Sealed + 'static {
    #[doc(hidden)]
    const KIND: &'static str;

    #[doc(hidden)]
    fn is(socket: &socket2::Socket) -> io::Result<bool>;

    #[doc(hidden)]
    fn peer(&self) -> Option<Self::Addr>;
}

mod sealed {
    pub trait Sealed {}

    impl Sealed for std::net::TcpStream {}
    impl Sealed for std::os::unix::net::UnixStream {}
}

impl StandardSocket for TcpStream {
    const KIND: &'static str = "a TCP connection";

    fn is(socket: &socket2::Socket) -> io::Result<bool> {
        let peer = socket.peer_addr()?;
        Ok(socket.r#type()? == Type::STREAM && (peer.is_ipv4() || peer.is_ipv6()))
    }

    fn peer(&self) -> Option<Self::Addr> {
        self.peer_addr().ok()
    }
}

impl StandardSocket for UnixStream {
    const KIND: &'static str = "a connection of a Unix-domain socket";

    fn is(socket: &socket2::Socket) -> io::Result<bool> {
        Ok(socket.r#type()? == Type::STREAM && socket.peer_addr()?.is_unix())
    }

    fn peer(&self) -> Option<Self::Addr> {
        self.peer_addr().ok().map(|peer| UnixAddress::from_std(&peer))
    }
}

/// Why the connection cannot be served.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InetdError {
    /// The server could not be created.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// Standard input is not such a connection.
    #[error("standard input is not {wanted}{}; start this program from inetd, or from a socket unit with Accept=yes", .source.as_ref().map_or_else(String::new, |source| format!(" ({source})")))]
    NotAConnection {
        /// What it should be.
        wanted: &'static str,
        /// What the system said.
        source: Option<io::Error>,
    },
    /// Serving failed.
    #[error(transparent)]
    Serve(#[from] ServeError),
    /// The standard streams could not be redirected.
    #[error("cannot take the connection from standard input: {source}")]
    Take {
        /// What the system said.
        source: io::Error,
    },
}

/// A transport of one request.
#[derive(Debug)]
struct Connection<S> {
    stream: Option<S>,
    /// Nothing ever arrives here: the request is there from the start. Another copy of the connection in its place would
    /// keep that open after its end.
    silence: (UnixStream, UnixStream),
}

impl<S: StandardSocket> Connection<S> {
    fn take() -> Result<Self, InetdError> {
        let wrong = |source| InetdError::NotAConnection { wanted: S::KIND, source };
        let failed = |source| InetdError::Take { source };
        let stream = io::stdin().as_fd().try_clone_to_owned().map_err(failed)?;
        let socket = SockRef::from(&stream);
        socket.r#type().map_err(|source| wrong(Some(source)))?;
        // Before anything can be wrong with it that the program tells of: the client is not who should read that.
        lead_nowhere(&stream).map_err(failed)?;
        if !S::is(&socket).map_err(|source| wrong(Some(source)))? {
            return Err(wrong(None));
        }
        socket.set_nonblocking(true).map_err(failed)?;
        let silence = UnixStream::pair().map_err(failed)?;
        Ok(Self { stream: Some(stream.into()), silence })
    }
}

/// Standard input, output and error are not the client any more, where they were.
fn lead_nowhere(client: &OwnedFd) -> io::Result<()> {
    let nowhere = File::options().read(true).write(true).open("/dev/null")?;
    dup2_stdin(&nowhere)?;
    if is_same(io::stdout(), client)? {
        dup2_stdout(&nowhere)?;
    }
    if is_same(io::stderr(), client)? {
        dup2_stderr(&nowhere)?;
    }
    Ok(())
}

fn is_same(standard: impl AsFd, client: &OwnedFd) -> io::Result<bool> {
    let (standard, client) = (fstat(standard)?, fstat(client)?);
    Ok((standard.st_dev, standard.st_ino) == (client.st_dev, client.st_ino))
}

impl<S: StandardSocket> Transport for Connection<S> {
    type Request = Stream<S>;
    type Pending = Immediate<Stream<S>>;
    type Addr = &'static str;

    fn accept(&mut self) -> io::Result<Self::Pending> {
        let Some(stream) = self.stream.take() else { return Err(io::ErrorKind::WouldBlock.into()) };
        let peer = stream.peer();
        Ok(Immediate(Stream::new(stream, peer)))
    }

    fn descriptor(&self) -> Descriptor<'_> {
        self.silence.0.as_fd()
    }

    fn local_addr(&self) -> &'static str {
        "standard input"
    }
}
