//! Clients whose reads and writes fail after [`PATIENCE`] instead of hanging.

use std::io::BufRead;
use std::io::BufReader;
use std::io::Read;
use std::io::Write;
use std::net::SocketAddr;
use std::net::TcpStream;
use std::net::UdpSocket;
use std::time::Duration;

use super::PATIENCE;

/// A TCP client.
pub fn connect(address: SocketAddr) -> TcpStream {
    let client = TcpStream::connect(address).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    client.set_write_timeout(Some(PATIENCE)).unwrap();
    client
}

/// A TCP client that comes from another address of this machine.
pub fn connect_from(source: &str, address: SocketAddr) -> TcpStream {
    let source: SocketAddr = format!("{source}:0").parse().unwrap();
    let socket = socket2::Socket::new(socket2::Domain::for_address(address), socket2::Type::STREAM, None).unwrap();
    socket.bind(&source.into()).unwrap();
    socket.connect(&address.into()).unwrap();
    let client = TcpStream::from(socket);
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    client.set_write_timeout(Some(PATIENCE)).unwrap();
    client
}

/// A UDP client bound to `local`, connected to `server`.
pub fn connect_udp(local: &str, server: SocketAddr) -> UdpSocket {
    let client = UdpSocket::bind(local).unwrap();
    client.connect(server).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    client
}

/// Sends `line` and a newline; the line that comes back, without its newline.
pub fn ask(mut client: impl Read + Write, line: &str) -> String {
    client.write_all(format!("{line}\n").as_bytes()).unwrap();
    read_line(client)
}

/// The next line, without its newline; empty at the end of input. Takes not a byte more. A line that is cut short is a
/// failure.
pub fn read_line(client: impl Read) -> String {
    let mut line = String::new();
    BufReader::with_capacity(1, client).read_line(&mut line).unwrap();
    match line.strip_suffix('\n') {
        Some(whole) => whole.to_owned(),
        None => {
            assert_eq!(line, "", "the line ends without a newline");
            line
        }
    }
}

/// Everything up to the end of input; a reset is a failure.
pub fn read_rest(mut client: impl Read) -> Vec<u8> {
    let mut rest = Vec::new();
    client.read_to_end(&mut rest).unwrap();
    rest
}

/// The next datagram, whatever its length, from the `recv` of a socket.
pub fn receive(receive: impl FnOnce(&mut [u8]) -> std::io::Result<usize>) -> Vec<u8> {
    let mut buffer = vec![0; 70_000];
    let length = receive(&mut buffer).expect("a datagram");
    buffer.truncate(length);
    buffer
}

/// Resets the connection.
pub fn reset(client: TcpStream) {
    socket2::SockRef::from(&client).set_linger(Some(Duration::ZERO)).unwrap();
    drop(client);
}

#[cfg(unix)]
pub use unix::*;

#[cfg(unix)]
mod unix {
    use super::PATIENCE;
    use std::os::unix::net;
    use std::path::Path;

    /// A client of a Unix stream server.
    pub fn connect_unix(server: &Path) -> net::UnixStream {
        let client = net::UnixStream::connect(server).unwrap();
        client.set_read_timeout(Some(PATIENCE)).unwrap();
        client.set_write_timeout(Some(PATIENCE)).unwrap();
        client
    }

    /// A client of a Unix datagram server, bound to `local`: one without a name cannot be answered.
    pub fn connect_unix_datagram(local: &Path, server: &Path) -> net::UnixDatagram {
        let client = net::UnixDatagram::bind(local).unwrap();
        client.connect(server).unwrap();
        client.set_read_timeout(Some(PATIENCE)).unwrap();
        client
    }
}
