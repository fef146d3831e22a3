//! A transport over sockets of a test's own, each made of a TCP connection.

use std::io;
use std::marker::PhantomData;
use std::net::SocketAddr;
use std::net::TcpListener;
use std::net::TcpStream;
use std::os::fd::AsFd;

use socketserver::BindError;
use socketserver::Socket;
use socketserver::Stream;
use socketserver::Tcp;
use socketserver::Transport;
use socketserver::transport::Bind;
use socketserver::transport::Descriptor;
use socketserver::transport::Immediate;
use socketserver::transport::InetAddress;
use socketserver::transport::TcpOptions;

/// Listens on TCP and serves sockets of type `S`.
pub struct OwnSockets<S> {
    listener: TcpListener,
    made: PhantomData<fn() -> S>,
}

impl<S: Socket<Addr = SocketAddr> + From<TcpStream> + 'static> Bind for OwnSockets<S> {
    type Address = InetAddress;
    type Options = ();

    fn bind(address: &InetAddress, (): &()) -> Result<Self, BindError> {
        let tcp = Tcp::bind(address, &TcpOptions::default())?;
        let listener = tcp.as_fd().try_clone_to_owned().expect("a copy of the descriptor");
        Ok(Self { listener: listener.into(), made: PhantomData })
    }
}

impl<S: Socket<Addr = SocketAddr> + From<TcpStream> + 'static> Transport for OwnSockets<S> {
    type Request = Stream<S>;
    type Pending = Immediate<Stream<S>>;
    type Addr = SocketAddr;

    fn accept(&mut self) -> io::Result<Self::Pending> {
        let (socket, peer) = self.listener.accept()?;
        socket.set_nonblocking(true)?;
        Ok(Immediate(Stream::new(socket.into(), Some(peer))))
    }

    fn descriptor(&self) -> Descriptor<'_> {
        self.listener.as_fd()
    }

    fn local_addr(&self) -> SocketAddr {
        self.listener.local_addr().expect("bound")
    }
}

/// Makes a socket of a type that holds a `TcpStream` and has its own way to read and write.
#[macro_export]
macro_rules! own_socket {
    ($socket:ident) => {
        impl From<std::net::TcpStream> for $socket {
            fn from(socket: std::net::TcpStream) -> Self {
                Self(socket)
            }
        }

        impl socketserver::Socket for $socket {
            type Addr = std::net::SocketAddr;

            fn descriptor(&self) -> socketserver::transport::Descriptor<'_> {
                std::os::fd::AsFd::as_fd(&self.0)
            }

            fn shutdown_write(&mut self) -> std::io::Result<()> {
                self.0.shutdown(std::net::Shutdown::Write)
            }
        }
    };
}
