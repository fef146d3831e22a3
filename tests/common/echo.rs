//! The echo scenario: a server at an address the system picks, three clients one after the other, a stop.

use std::fmt::Debug;
use std::io::BufRead;
use std::io::Read;
use std::io::Write;
use std::net;
use std::os::fd::AsFd;
use std::os::fd::OwnedFd;
use std::os::unix;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

use socketserver::Builder;
use socketserver::Datagram;
use socketserver::Flow;
use socketserver::Handler;
use socketserver::HandlerFactory;
use socketserver::HandlerResult;
use socketserver::Server;
use socketserver::Socket;
use socketserver::Stream;
use socketserver::Tcp;
use socketserver::Tls;
use socketserver::Udp;
use socketserver::UnixDatagram;
use socketserver::UnixStream;
use socketserver::dispatch::Job;
use socketserver::dispatch::Process;
use socketserver::transport::Bind;
use socketserver::transport::TlsOptions;

use super::Listen;
use super::Recorder;
use super::TempDir;
use super::background::InBackground;
use super::tls::Client;
use super::tls::server_config;

/// Sends lines and datagrams back.
#[derive(Clone, Copy, Debug)]
pub struct Echo;

impl<S: Socket> Handler<Stream<S>> for Echo {
    fn handle(&mut self, request: &mut Stream<S>) -> HandlerResult {
        let mut line = String::new();
        request.read_line(&mut line)?;
        request.write_all(line.as_bytes())?;
        Ok(Flow::Continue)
    }
}

impl<A: Clone + Debug + Send + Sync + 'static> Handler<Datagram<A>> for Echo {
    fn handle(&mut self, request: &mut Datagram<A>) -> HandlerResult {
        let payload = request.take_payload();
        request.reply_owned(payload)?;
        Ok(Flow::Close)
    }
}

/// A line comes back, and the connection stays.
pub fn echo_line<S: Socket>(request: &mut Stream<S>) -> HandlerResult {
    Echo.handle(request)
}

/// A line comes back, and the connection is closed.
pub fn echo_line_and_close<S: Socket>(request: &mut Stream<S>) -> HandlerResult {
    Echo.handle(request)?;
    Ok(Flow::Close)
}

/// A message comes back.
pub fn echo_message<A: Clone + Debug + Send + Sync + 'static>(request: &mut Datagram<A>) -> HandlerResult {
    Echo.handle(request)
}

/// What the scenario needs to know of a transport: where to bind, the bound name as the system tells it, and a client.
pub trait Wire: Bind + Send {
    fn place(dir: &TempDir) -> Self::Address;
    fn options() -> Self::Options {
        Self::Options::default()
    }
    fn bound_name(socket: OwnedFd) -> String;
    /// Sends the message and returns what comes back: up to a newline on a stream, one datagram otherwise.
    fn exchange(address: &Self::Addr, dir: &TempDir, message: &[u8]) -> Vec<u8>;
}

impl Wire for Tcp {
    fn place(_: &TempDir) -> Self::Address {
        "127.0.0.1:0".into()
    }

    fn bound_name(socket: OwnedFd) -> String {
        net::TcpListener::from(socket).local_addr().unwrap().to_string()
    }

    fn exchange(address: &Self::Addr, _: &TempDir, message: &[u8]) -> Vec<u8> {
        let mut client = super::connect(*address);
        client.write_all(message).unwrap();
        format!("{}\n", super::read_line(client)).into_bytes()
    }
}

impl Wire for Udp {
    fn place(_: &TempDir) -> Self::Address {
        "127.0.0.1:0".into()
    }

    fn bound_name(socket: OwnedFd) -> String {
        net::UdpSocket::from(socket).local_addr().unwrap().to_string()
    }

    fn exchange(address: &Self::Addr, _: &TempDir, message: &[u8]) -> Vec<u8> {
        let client = super::connect_udp("127.0.0.1:0", *address);
        client.send(message).unwrap();
        super::receive(|buffer| client.recv(buffer))
    }
}

impl Wire for UnixStream {
    fn place(dir: &TempDir) -> Self::Address {
        dir.join("server.sock").into()
    }

    fn bound_name(socket: OwnedFd) -> String {
        let address = unix::net::UnixListener::from(socket).local_addr().unwrap();
        address.as_pathname().unwrap().display().to_string()
    }

    fn exchange(address: &Self::Addr, _: &TempDir, message: &[u8]) -> Vec<u8> {
        let mut client = super::connect_unix(address.as_path().unwrap());
        client.write_all(message).unwrap();
        format!("{}\n", super::read_line(client)).into_bytes()
    }
}

impl Wire for UnixDatagram {
    fn place(dir: &TempDir) -> Self::Address {
        dir.join("server.sock").into()
    }

    fn bound_name(socket: OwnedFd) -> String {
        let address = unix::net::UnixDatagram::from(socket).local_addr().unwrap();
        address.as_pathname().unwrap().display().to_string()
    }

    fn exchange(address: &Self::Addr, dir: &TempDir, message: &[u8]) -> Vec<u8> {
        static CLIENTS: AtomicUsize = AtomicUsize::new(0);
        let number = CLIENTS.fetch_add(1, Ordering::Relaxed);
        let local = dir.join(&format!("client-{number}.sock"));
        let client = super::connect_unix_datagram(&local, address.as_path().unwrap());
        client.send(message).unwrap();
        super::receive(|buffer| client.recv(buffer))
    }
}

impl Wire for Tls<Tcp> {
    fn place(dir: &TempDir) -> Self::Address {
        Tcp::place(dir)
    }

    fn options() -> Self::Options {
        TlsOptions::new(server_config())
    }

    fn bound_name(socket: OwnedFd) -> String {
        Tcp::bound_name(socket)
    }

    fn exchange(address: &Self::Addr, _: &TempDir, message: &[u8]) -> Vec<u8> {
        exchange_over_tls(super::connect(*address), message)
    }
}

impl Wire for Tls<UnixStream> {
    fn place(dir: &TempDir) -> Self::Address {
        UnixStream::place(dir)
    }

    fn options() -> Self::Options {
        TlsOptions::new(server_config())
    }

    fn bound_name(socket: OwnedFd) -> String {
        UnixStream::bound_name(socket)
    }

    fn exchange(address: &Self::Addr, _: &TempDir, message: &[u8]) -> Vec<u8> {
        exchange_over_tls(super::connect_unix(address.as_path().unwrap()), message)
    }
}

fn exchange_over_tls(socket: impl Read + Write, message: &[u8]) -> Vec<u8> {
    let mut client = Client::default().over(socket);
    client.write_all(message).unwrap();
    format!("{}\n", super::read_line(&mut client)).into_bytes()
}

/// The scenario, with the address checked against the listener's.
pub fn scenario<T: Wire, D, H>(dispatch: D, factory: H)
where
    D: Process<Job<T, Watched<H>>> + Default + InBackground + Send + 'static,
    H: HandlerFactory<T::Request> + Send + Sync + 'static,
    Server<T, D, Watched<H>>: AsFd + Send,
{
    let dir = TempDir::new();
    let builder = Builder::<T, D, H>::new(factory).dispatch(dispatch).transport_options(T::options());
    let server = builder.listen_at(T::place(&dir));
    let address = server.local_addr();
    assert_eq!(address.to_string(), T::bound_name(server.as_fd().try_clone_to_owned().unwrap()));

    let server = server.start();
    for _ in 0..3 {
        assert_eq!(T::exchange(&address, &dir, b"hello world\n"), b"hello world\n");
    }
    let report = server.stop();
    assert_eq!((report.accepted, report.failed, report.refused, report.forced), (3, 0, 0, 0), "{report}");
    if let Some(path) = address.to_string().strip_prefix('/') {
        assert!(!std::path::Path::new(&format!("/{path}")).exists(), "the socket's file is removed");
    }
}

/// The factory of the scenario's server.
type Watched<H> = socketserver::handler::Observed<H, Recorder>;
