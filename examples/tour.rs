//! Runs all sixteen flavours in turn, each with three real clients, prints a table and exits.
//!
//! ```text
//! cargo run --example tour
//! ```

use std::error::Error;
use std::fmt::Debug;
use std::fmt::Display;
use std::io;
use std::io::BufRead;
use std::io::Read;
use std::io::Write;
use std::net::SocketAddr;
use std::net::TcpStream;
use std::net::UdpSocket;
use std::process::ExitCode;
use std::time::Duration;
use std::time::Instant;

use socketserver::Datagram;
use socketserver::Flow;
use socketserver::Handler;
use socketserver::HandlerFactory;
use socketserver::HandlerResult;
use socketserver::PoolTcpServer;
use socketserver::PoolUdpServer;
use socketserver::Server;
use socketserver::Socket;
use socketserver::Stream;
use socketserver::TcpServer;
use socketserver::ThreadingTcpServer;
use socketserver::ThreadingUdpServer;
use socketserver::Transport;
use socketserver::UdpServer;
use socketserver::dispatch::Serves;
use socketserver::dispatch::ServesInBackground;

type Outcome<T = ()> = Result<T, Box<dyn Error>>;

/// How many clients each flavour has, all connected at the same time.
const CLIENTS: usize = 3;

/// How many messages each client sends.
const ROUNDS: usize = 2;

/// Nothing here takes long: a client that waits for this long has been forgotten.
const PATIENCE: Duration = Duration::from_secs(10);

/// The one handler of all flavours: what comes goes back in upper case.
struct Upper;

impl<S: Socket> Handler<Stream<S>> for Upper {
    fn handle(&mut self, request: &mut Stream<S>) -> HandlerResult {
        let mut line = Vec::new();
        request.read_until(b'\n', &mut line)?;
        line.make_ascii_uppercase();
        request.write_all(&line)?;
        Ok(Flow::Continue)
    }
}

impl<A: Clone + Debug + Send + Sync + 'static> Handler<Datagram<A>> for Upper {
    fn handle(&mut self, request: &mut Datagram<A>) -> HandlerResult {
        let mut payload = request.take_payload();
        payload.make_ascii_uppercase();
        request.reply_owned(payload)?;
        Ok(Flow::Close)
    }
}

/// One end of a conversation with a server, over whatever transport.
trait Client {
    /// Whether each message is a request of its own; all messages of a connection are one.
    fn sends_datagrams(&self) -> bool {
        true
    }

    fn send(&mut self, message: &[u8]) -> io::Result<()>;

    /// The answer to a message of `length` bytes; more than that if more has come.
    fn receive(&mut self, length: usize) -> io::Result<Vec<u8>>;
}

/// A stream: the answer has as many bytes as were sent.
struct Connection<S>(S);

impl<S: Read + Write> Client for Connection<S> {
    fn sends_datagrams(&self) -> bool {
        false
    }

    fn send(&mut self, message: &[u8]) -> io::Result<()> {
        self.0.write_all(message)
    }

    fn receive(&mut self, length: usize) -> io::Result<Vec<u8>> {
        let mut answer = vec![0; length];
        self.0.read_exact(&mut answer)?;
        Ok(answer)
    }
}

fn tcp(address: &SocketAddr, _: usize) -> Outcome<Box<dyn Client>> {
    let socket = TcpStream::connect_timeout(address, PATIENCE)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    Ok(Box::new(Connection(socket)))
}

impl Client for UdpSocket {
    fn send(&mut self, message: &[u8]) -> io::Result<()> {
        Self::send(self, message).map(drop)
    }

    fn receive(&mut self, _: usize) -> io::Result<Vec<u8>> {
        let mut answer = vec![0; 1024];
        let length = self.recv(&mut answer)?;
        answer.truncate(length);
        Ok(answer)
    }
}

fn udp(address: &SocketAddr, _: usize) -> Outcome<Box<dyn Client>> {
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    socket.connect(address)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    Ok(Box::new(socket))
}

/// The clients talk, each its two messages, and each has to get exactly its own bytes back in upper case.
/// `sent` is told of every message, with its round.
fn talk(clients: &mut [Box<dyn Client>], mut sent: impl FnMut(usize) -> Outcome) -> Outcome {
    for round in 0..ROUNDS {
        let message = |number| format!("client {number} says hello, message {round}\n");
        for (number, client) in clients.iter_mut().enumerate() {
            client.send(message(number).as_bytes())?;
            sent(round)?;
        }
        for (number, client) in clients.iter_mut().enumerate() {
            let expected = message(number).to_ascii_uppercase().into_bytes();
            let answer = client.receive(expected.len())?;
            if answer != expected {
                return Err(format!("client {number} got {:?}", String::from_utf8_lossy(&answer)).into());
            }
        }
    }
    Ok(())
}

/// Serves on a thread of its own while the clients talk here.
fn in_background<T, D, H>(
    server: Server<T, D, H>,
    connect: impl Fn(&T::Addr, usize) -> Outcome<Box<dyn Client>>,
) -> Outcome
where
    T: Transport + Send,
    D: Serves<T, H> + ServesInBackground + Send + 'static,
    H: HandlerFactory<T::Request> + Send + Sync + 'static,
    Server<T, D, H>: Send,
{
    let server = server.serve_in_background()?;
    let mut clients = (0..CLIENTS).map(|number| connect(&server.local_addr(), number)).collect::<Outcome<Vec<_>>>()?;
    talk(&mut clients, |_| Ok(()))?;
    drop(clients);
    let report = server.shutdown()?;
    if report.failed > 0 || !report.is_clean() {
        return Err(format!("the server reports: {report}").into());
    }
    Ok(())
}

/// Serves on this very thread, one request at a time: forking needs a process with one thread. What clients send waits
/// in the kernel until `handle_request` takes it.
#[cfg(unix)]
fn on_this_thread<T, H>(
    mut server: Server<T, socketserver::Fork, H>,
    connect: impl Fn(&T::Addr, usize) -> Outcome<Box<dyn Client>>,
) -> Outcome
where
    T: Transport,
    socketserver::Fork: Serves<T, H>,
    H: HandlerFactory<T::Request>,
{
    let address = server.local_addr();
    let mut clients = (0..CLIENTS).map(|number| connect(&address, number)).collect::<Outcome<Vec<_>>>()?;
    let datagrams = clients.iter().all(|client| client.sends_datagrams());
    talk(&mut clients, |round| {
        // A connection is one request, however much is said on it.
        if round > 0 && !datagrams {
            return Ok(());
        }
        match server.handle_request()? {
            socketserver::Handled::Request => Ok(()),
            other => Err(format!("handle_request: {other:?}").into()),
        }
    })
}

/// Prints a line. An output that takes nothing is an error, not a panic as for `println!`.
fn print(line: impl Display) -> io::Result<()> {
    writeln!(io::stdout(), "{line}")
}

/// Runs one flavour and prints its line of the table; true if all its clients were served.
fn run(flavour: &str, transport: &str, dispatch: &str, flavour_runs: impl FnOnce() -> Outcome) -> io::Result<bool> {
    let began = Instant::now();
    let outcome = flavour_runs();
    let elapsed = began.elapsed();
    let (clients, result) = match &outcome {
        Ok(()) => (CLIENTS.to_string(), format!("{:.1} ms", elapsed.as_secs_f64() * 1000.0)),
        Err(error) => (String::new(), format!("failed: {error}")),
    };
    print(format_args!("{flavour:<27} {transport:<14} {dispatch:<17} {clients:>7} {result:>10}"))?;
    Ok(outcome.is_ok())
}

/// Runs `$alias` bound to `$address` with clients made by `$connect`, and notes it in `$failed` unless all went well.
macro_rules! flavour {
    ($failed:ident, $run:ident, $alias:ident, $transport:literal, $dispatch:literal, $address:expr, $connect:expr) => {
        let served = run(stringify!($alias), $transport, $dispatch, || {
            $run($alias::builder(|| Upper).request_timeout(PATIENCE).bind($address)?, $connect)
        })?;
        if !served {
            $failed.push(stringify!($alias));
        }
    };
}

fn main() -> ExitCode {
    match tour() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            // If this cannot be printed either, the exit code says it.
            let _ = writeln!(io::stderr(), "tour: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Runs all flavours; true if all their clients were served.
fn tour() -> Outcome<bool> {
    let mut failed = Vec::new();
    print(format_args!(
        "The flavours of socketserver: each serves {CLIENTS} clients at a time, {ROUNDS} messages each.\n"
    ))?;
    print(format_args!("{:<27} {:<14} {:<17} {:>7} {:>10}", "flavour", "transport", "dispatch", "clients", "elapsed"))?;
    let any = "127.0.0.1:0";

    #[cfg(unix)]
    unix::forking(&mut failed)?;
    flavour!(failed, in_background, TcpServer, "TCP", "Sync", any, tcp);
    flavour!(failed, in_background, ThreadingTcpServer, "TCP", "ThreadPerRequest", any, tcp);
    flavour!(failed, in_background, PoolTcpServer, "TCP", "Pool", any, tcp);
    flavour!(failed, in_background, UdpServer, "UDP", "Sync", any, udp);
    flavour!(failed, in_background, ThreadingUdpServer, "UDP", "ThreadPerRequest", any, udp);
    flavour!(failed, in_background, PoolUdpServer, "UDP", "Pool", any, udp);
    #[cfg(unix)]
    unix::threading(&mut failed)?;

    if failed.is_empty() {
        print("\nEvery client of every flavour got exactly its own bytes back.")?;
    } else {
        print(format_args!("\nFailed: {}.", failed.join(", ")))?;
    }
    Ok(failed.is_empty())
}

/// The flavours that only Unix has: `Fork`, and Unix-domain sockets.
#[cfg(unix)]
mod unix {
    use std::io;
    use std::os::unix::fs::DirBuilderExt;
    use std::os::unix::net;
    use std::path::PathBuf;

    use socketserver::ForkingTcpServer;
    use socketserver::ForkingUdpServer;
    use socketserver::ForkingUnixDatagramServer;
    use socketserver::ForkingUnixStreamServer;
    use socketserver::PoolUnixDatagramServer;
    use socketserver::PoolUnixStreamServer;
    use socketserver::ThreadingUnixDatagramServer;
    use socketserver::ThreadingUnixStreamServer;
    use socketserver::UnixAddress;
    use socketserver::UnixDatagramServer;
    use socketserver::UnixStreamServer;

    use super::Client;
    use super::Connection;
    use super::Outcome;
    use super::PATIENCE;
    use super::Upper;
    use super::in_background;
    use super::on_this_thread;
    use super::run;
    use super::tcp;
    use super::udp;

    type Failed = Vec<&'static str>;

    /// These come first: afterwards there are threads.
    pub(super) fn forking(failed: &mut Failed) -> io::Result<()> {
        let folder = Folder::new()?;
        let any = "127.0.0.1:0";
        flavour!(failed, on_this_thread, ForkingTcpServer, "TCP", "Fork", any, tcp);
        flavour!(failed, on_this_thread, ForkingUdpServer, "UDP", "Fork", any, udp);
        let path = folder.path("stream");
        flavour!(failed, on_this_thread, ForkingUnixStreamServer, "Unix stream", "Fork", path, stream);
        let (path, datagram) = (folder.path("datagram"), datagram(&folder));
        flavour!(failed, on_this_thread, ForkingUnixDatagramServer, "Unix datagram", "Fork", path, datagram);
        Ok(())
    }

    /// All the others on Unix-domain sockets.
    pub(super) fn threading(failed: &mut Failed) -> io::Result<()> {
        let folder = Folder::new()?;
        let path = || folder.path("stream");
        flavour!(failed, in_background, UnixStreamServer, "Unix stream", "Sync", path(), stream);
        flavour!(failed, in_background, ThreadingUnixStreamServer, "Unix stream", "ThreadPerRequest", path(), stream);
        flavour!(failed, in_background, PoolUnixStreamServer, "Unix stream", "Pool", path(), stream);
        let path = || folder.path("datagram");
        let datagram = || datagram(&folder);
        flavour!(failed, in_background, UnixDatagramServer, "Unix datagram", "Sync", path(), datagram());
        flavour!(
            failed,
            in_background,
            ThreadingUnixDatagramServer,
            "Unix datagram",
            "ThreadPerRequest",
            path(),
            datagram()
        );
        flavour!(failed, in_background, PoolUnixDatagramServer, "Unix datagram", "Pool", path(), datagram());
        Ok(())
    }

    fn stream(address: &UnixAddress, _: usize) -> Outcome<Box<dyn Client>> {
        let socket = net::UnixStream::connect(path_of(address)?)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        Ok(Box::new(Connection(socket)))
    }

    /// A client that wants an answer has to have a path of its own.
    struct Sender {
        socket: net::UnixDatagram,
        path: PathBuf,
    }

    impl Drop for Sender {
        fn drop(&mut self) {
            // What is left goes with the folder.
            let _ = std::fs::remove_file(&self.path);
        }
    }

    impl Client for Sender {
        fn send(&mut self, message: &[u8]) -> io::Result<()> {
            self.socket.send(message).map(drop)
        }

        fn receive(&mut self, _: usize) -> io::Result<Vec<u8>> {
            let mut answer = vec![0; 1024];
            let length = self.socket.recv(&mut answer)?;
            answer.truncate(length);
            Ok(answer)
        }
    }

    fn datagram(folder: &Folder) -> impl Fn(&UnixAddress, usize) -> Outcome<Box<dyn Client>> {
        |address, number| {
            let path = folder.path(&format!("client-{number}"));
            let socket = net::UnixDatagram::bind(&path)?;
            let client = Sender { socket, path };
            client.socket.connect(path_of(address)?)?;
            client.socket.set_read_timeout(Some(PATIENCE))?;
            Ok(Box::new(client))
        }
    }

    fn path_of(address: &UnixAddress) -> Outcome<&std::path::Path> {
        address.as_path().ok_or_else(|| format!("a server at a path listens on {address}").into())
    }

    /// A folder of this process's own for socket files, removed at the end.
    struct Folder(PathBuf);

    impl Folder {
        fn new() -> io::Result<Self> {
            let folder = std::env::temp_dir().join(format!("socketserver-tour-{}", std::process::id()));
            std::fs::DirBuilder::new().mode(0o700).create(&folder).map_err(|error| {
                io::Error::new(error.kind(), format!("cannot make {} for socket files: {error}", folder.display()))
            })?;
            Ok(Self(folder))
        }

        fn path(&self, name: &str) -> PathBuf {
            self.0.join(name)
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            // A file that a failed flavour has left goes, too.
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }
}
