//! A transport with a second phase that waits for the peer.

use std::io;
use std::io::ErrorKind;
use std::io::Read;
use std::net::SocketAddr;
use std::net::TcpStream;
use std::os::fd::AsFd;

use socketserver::BindError;
use socketserver::Descriptor;
use socketserver::Establish;
use socketserver::Stream;
use socketserver::Tcp;
use socketserver::Transport;
use socketserver::transport::Bind;
use socketserver::transport::Deadline;
use socketserver::transport::InetAddress;
use socketserver::transport::TcpOptions;

/// TCP, where a client knocks with a line before it is let in.
pub struct Knocking(Tcp);

/// A client that has not knocked yet.
pub struct Outside(TcpStream, SocketAddr);

impl Transport for Knocking {
    type Request = Stream<TcpStream>;
    type Pending = Outside;
    type Addr = SocketAddr;

    fn accept(&mut self) -> io::Result<Outside> {
        let stream = self.0.accept()?.0;
        let peer = *stream.peer_addr().expect("TCP has addresses");
        Ok(Outside(stream.into_parts().0, peer))
    }

    fn descriptor(&self) -> Descriptor<'_> {
        self.0.descriptor()
    }

    fn local_addr(&self) -> SocketAddr {
        self.0.local_addr()
    }
}

impl Bind for Knocking {
    type Address = InetAddress;
    type Options = TcpOptions;

    fn bind(address: &InetAddress, options: &TcpOptions) -> Result<Self, BindError> {
        Tcp::bind(address, options).map(Self)
    }
}

impl Establish for Outside {
    type Request = Stream<TcpStream>;

    const WAITS: bool = true;

    fn client_address(&self) -> Option<&SocketAddr> {
        Some(&self.1)
    }

    fn establish(self, deadline: Deadline<'_>) -> io::Result<Stream<TcpStream>> {
        let Self(socket, peer) = self;
        let mut byte = [0];
        while byte != *b"\n" {
            deadline.wait_readable(socket.as_fd())?;
            match (&socket).read(&mut byte) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Err(error) if error.kind() != ErrorKind::WouldBlock => return Err(error),
                Ok(_) | Err(_) => {}
            }
        }
        Ok(Stream::new(socket, Some(peer)))
    }
}
