//! Transports of streams under test, each with its clients: what is said of one is said of all.

use std::io::Read;
use std::io::Write;
use std::net::Shutdown;
use std::net::SocketAddr;
use std::net::TcpStream;
use std::os::unix::net;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

use socketserver::Socket;
use socketserver::Stream;
use socketserver::Tcp;
use socketserver::Tls;
use socketserver::UnixAddress;
use socketserver::UnixStream;
use socketserver::transport::Bind;
use socketserver::transport::TlsOptions;
use socketserver::transport::TlsSocket;

use super::tls::Client;
use super::tls::TlsClient;
use super::tls::server_config;

/// Where servers listen, and what their clients do.
pub trait Streams: Bind<Request = Stream<Self::Socket>, Pending: Send, Addr: Clone + Send> + Send {
    type Socket: Socket + Send + 'static;
    /// A connection on which nothing has been said.
    type Silent;
    type Client: Read + Write + Send;
    /// Whether something is said before the first message.
    const GREETS: bool = false;

    /// A free address of this machine.
    fn place() -> Self::Address;

    /// The address of a server as it prints it.
    fn address(printed: &str) -> Self::Addr;

    fn options() -> Self::Options {
        Self::Options::default()
    }

    /// Connects, and says nothing.
    fn knock(address: &Self::Addr) -> Self::Silent;

    /// Says what there is to say before a message.
    fn greet(silent: Self::Silent) -> Self::Client;

    /// Says a part of that.
    fn stammer(silent: Self::Silent) -> Self::Silent {
        silent
    }

    fn connect(address: &Self::Addr) -> Self::Client {
        Self::greet(Self::knock(address))
    }

    /// Says that no more will come, and goes on listening.
    fn half_close(client: &mut Self::Client);

    /// Goes away without a word, as rudely as it can.
    fn reset(silent: Self::Silent);

    /// What the client speaks over.
    fn under(client: Self::Client) -> Self::Silent;
}

impl Streams for Tcp {
    type Socket = TcpStream;
    type Silent = TcpStream;
    type Client = TcpStream;

    fn place() -> Self::Address {
        "127.0.0.1:0".into()
    }

    fn address(printed: &str) -> SocketAddr {
        printed.parse().unwrap()
    }

    fn knock(address: &SocketAddr) -> TcpStream {
        super::connect(*address)
    }

    fn greet(silent: TcpStream) -> TcpStream {
        silent
    }

    fn half_close(client: &mut TcpStream) {
        client.shutdown(Shutdown::Write).unwrap();
    }

    fn reset(silent: TcpStream) {
        super::reset(silent);
    }

    fn under(client: TcpStream) -> TcpStream {
        client
    }
}

impl Streams for UnixStream {
    type Socket = net::UnixStream;
    type Silent = net::UnixStream;
    type Client = net::UnixStream;

    /// One that is gone with the process.
    fn place() -> UnixAddress {
        static PLACES: AtomicUsize = AtomicUsize::new(0);
        let number = PLACES.fetch_add(1, Ordering::Relaxed);
        UnixAddress::Abstract(format!("socketserver-{}-{number}", std::process::id()).into_bytes())
    }

    fn address(printed: &str) -> UnixAddress {
        printed.into()
    }

    fn knock(address: &UnixAddress) -> net::UnixStream {
        use std::os::linux::net::SocketAddrExt;
        let UnixAddress::Abstract(name) = address else { panic!("{address} is no abstract name") };
        let address = net::SocketAddr::from_abstract_name(name).unwrap();
        let client = net::UnixStream::connect_addr(&address).unwrap();
        client.set_read_timeout(Some(super::PATIENCE)).unwrap();
        client.set_write_timeout(Some(super::PATIENCE)).unwrap();
        client
    }

    fn greet(silent: net::UnixStream) -> net::UnixStream {
        silent
    }

    fn half_close(client: &mut net::UnixStream) {
        client.shutdown(Shutdown::Write).unwrap();
    }

    fn reset(silent: net::UnixStream) {
        drop(silent);
    }

    fn under(client: net::UnixStream) -> net::UnixStream {
        client
    }
}

impl<T, S> Streams for Tls<T>
where
    T: Streams<Socket = S, Request = Stream<S>, Silent: Read + Write + Send>,
    S: Socket + Send + 'static,
{
    type Socket = TlsSocket<S>;
    type Silent = T::Silent;
    type Client = TlsClient<T::Silent>;
    const GREETS: bool = true;

    fn place() -> T::Address {
        T::place()
    }

    fn options() -> TlsOptions<T::Options> {
        TlsOptions::new(server_config()).inner(T::options())
    }

    fn address(printed: &str) -> T::Addr {
        T::address(printed)
    }

    fn knock(address: &T::Addr) -> T::Silent {
        T::knock(address)
    }

    fn greet(silent: T::Silent) -> Self::Client {
        // The server may be another process, with a certificate of its own making.
        let mut client = Client::careless().over(silent);
        client.shake_hands().unwrap();
        client
    }

    fn stammer(mut silent: T::Silent) -> T::Silent {
        let mut hello = Vec::new();
        Client::default().session().write_tls(&mut hello).unwrap();
        silent.write_all(&hello[..hello.len() / 2]).unwrap();
        silent
    }

    fn half_close(client: &mut Self::Client) {
        client.say_goodbye();
    }

    fn reset(silent: T::Silent) {
        T::reset(silent);
    }

    fn under(client: Self::Client) -> T::Silent {
        client.0.sock
    }
}

/// Writes each test for TCP, for TLS over it, and for TLS over Unix-domain sockets, [under each
/// dispatch](crate::under_each_dispatch); its body calls the transport and the dispatch by the names in angle brackets.
#[macro_export]
macro_rules! over_each_stream {
    ($($(#[$attribute:meta])* fn $name:ident<$T:ident, $D:ident>() $(but_fork($reason:literal))? $body:block)+) => {$(
        mod $name {
            use super::*;

            mod tcp {
                use super::*;
                type $T = socketserver::Tcp;
                $crate::under_each_dispatch! { $(#[$attribute])* fn under<$D>() $(but_fork($reason))? $body }
            }

            mod tls {
                use super::*;
                type $T = socketserver::Tls<socketserver::Tcp>;
                $crate::under_each_dispatch! { $(#[$attribute])* fn under<$D>() $(but_fork($reason))? $body }
            }

            mod tls_over_unix {
                use super::*;
                type $T = socketserver::Tls<socketserver::UnixStream>;
                $crate::under_each_dispatch! { $(#[$attribute])* fn under<$D>() $(but_fork($reason))? $body }
            }
        }
    )+};
}
