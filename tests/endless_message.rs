//! A message has its time also while its bytes come faster than the server takes them in, so that it never has to wait
//! for more.
#![cfg(unix)]

#[macro_use]
mod common;

use std::io;
use std::io::Read;
use std::io::Write;
use std::net::SocketAddr;
use std::net::TcpStream;
use std::os::fd::AsFd;
use std::time::Duration;

use common::Start;
use common::connect;
use common::own_sockets::OwnSockets;
use socketserver::Builder;
use socketserver::End;
use socketserver::Flow;
use socketserver::Socket;
use socketserver::Stream;
use socketserver::handler::function;
use socketserver::transport::Descriptor;

/// Has a byte more whenever it is asked, once its peer has sent one.
struct Endless {
    socket: TcpStream,
    begun: bool,
}

impl Read for Endless {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        if self.begun {
            bytes[0] = b'x';
            return Ok(1);
        }
        let count = self.socket.read(bytes)?;
        self.begun = count > 0;
        Ok(count)
    }
}

impl Write for Endless {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.socket.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Socket for Endless {
    type Addr = SocketAddr;

    fn descriptor(&self) -> Descriptor<'_> {
        self.socket.as_fd()
    }

    fn shutdown_write(&mut self) -> io::Result<()> {
        self.socket.shutdown(std::net::Shutdown::Write)
    }
}

impl From<TcpStream> for Endless {
    fn from(socket: TcpStream) -> Self {
        Self { socket, begun: false }
    }
}

under_each_dispatch! {
    fn is_given_up<D>() {
        let server = Builder::<OwnSockets<Endless>, D, _>::new(function(|_: &mut Stream<Endless>| Ok(Flow::Continue)))
            .read_timeout(Duration::from_millis(100))
            .max_buffered(1 << 30)
            .start();
        let mut client = connect(server.local_addr());
        client.write_all(b"x").unwrap();
        assert_eq!(server.seen.wait_for_ends(1), [End::TimedOut]);
    }
}
