//! A transport with a second phase that waits for the peer.

use std::io;
use std::io::ErrorKind;
use std::io::Read;
use std::net::SocketAddr;
use std::net::TcpStream;
use std::os::fd::AsFd;

use socketserver::BindError;
use socketserver::Refusal;
use socketserver::Stream;
use socketserver::Tcp;
use socketserver::Transport;
use socketserver::transport::Advance;
use socketserver::transport::Bind;
use socketserver::transport::Descriptor;
use socketserver::transport::Establish;
use socketserver::transport::InetAddress;
use socketserver::transport::Interest;
use socketserver::transport::TcpOptions;

/// TCP, where a client knocks with a line before it is let in. One that knocks with `thief` is not.
pub struct Knocking(Tcp);

/// A client that has not knocked yet.
pub struct Outside(TcpStream, SocketAddr, Vec<u8>);

impl Transport for Knocking {
    type Request = Stream<TcpStream>;
    type Pending = Outside;
    type Addr = SocketAddr;

    fn accept(&mut self) -> io::Result<Outside> {
        let stream = self.0.accept()?.0;
        let peer = *stream.peer_addr().expect("TCP has addresses");
        Ok(Outside(stream.into_parts().0, peer, Vec::new()))
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

    fn client_address(&self) -> Option<&SocketAddr> {
        Some(&self.1)
    }

    fn descriptor(&self) -> Option<Descriptor<'_>> {
        Some(self.0.as_fd())
    }

    /// Reads ahead: what has come behind the knock is the beginning of the first message.
    fn advance(&mut self) -> io::Result<Advance> {
        let mut bytes = [0; 64];
        loop {
            match self.0.read(&mut bytes) {
                Ok(0) if self.2.is_empty() => return Ok(Advance::Closed),
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(count) => {
                    self.2.extend(&bytes[..count]);
                    if let Some(end) = self.2.iter().position(|&byte| byte == b'\n') {
                        let knock: Vec<u8> = self.2.drain(..=end).collect();
                        let welcome = knock != b"thief\n";
                        return Ok(if welcome { Advance::Done } else { Advance::Refused(Refusal::Untrusted) });
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock && self.2.is_empty() => return Ok(Advance::Idle),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(Advance::Wait(Interest::Read)),
                Err(error) => return Err(error),
            }
        }
    }

    fn into_request(self) -> Stream<TcpStream> {
        Stream::from_parts(self.0, Some(self.1), self.2)
    }
}
