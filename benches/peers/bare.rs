//! The base of the comparison: a single-threaded, edge-triggered epoll loop that does nothing but echo, and a UDP loop.

use std::fs;
use std::io;
use std::io::ErrorKind;
use std::io::Read;
use std::io::Write;
use std::net::TcpListener;
use std::net::UdpSocket;
use std::os::fd::AsFd;
use std::os::unix::net::UnixListener;

use rustix::buffer::spare_capacity;
use rustix::event::epoll;
use rustix::event::epoll::EventData;
use rustix::event::epoll::EventFlags;

use crate::servers::Address;
use crate::servers::Outcome;
use crate::servers::announce;

const LISTENER: u64 = u64::MAX;

/// Echoes what comes, 16 KiB at a time at most.
pub(crate) fn serve(address: &Address) -> Outcome {
    match address {
        Address::Tcp(address) => {
            let listener = TcpListener::bind(address)?;
            listener.set_nonblocking(true)?;
            announce(&listener.local_addr()?)?;
            run(&listener, || {
                let (socket, _) = listener.accept()?;
                socket.set_nodelay(true)?;
                socket.set_nonblocking(true)?;
                Ok(socket)
            })
        }
        Address::Unix(path) => {
            let listener = UnixListener::bind(path)?;
            listener.set_nonblocking(true)?;
            announce(path)?;
            let outcome = run(&listener, || {
                let (socket, _) = listener.accept()?;
                socket.set_nonblocking(true)?;
                Ok(socket)
            });
            fs::remove_file(path)?;
            outcome
        }
        Address::Tls(_) => Err("the bare loop has no TLS".into()),
        Address::Udp(address) => {
            let socket = UdpSocket::bind(address)?;
            announce(&socket.local_addr()?)?;
            let mut buffer = [0; 65_536];
            loop {
                let (count, peer) = socket.recv_from(&mut buffer)?;
                socket.send_to(&buffer[..count], peer)?;
            }
        }
    }
}

struct Connection<S> {
    socket: S,
    /// What the client has no room for yet.
    unsent: Vec<u8>,
}

fn run<S: Read + Write + AsFd>(listener: &impl AsFd, accept: impl Fn() -> io::Result<S>) -> Outcome {
    let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    epoll::add(&epoll, listener, EventData::new_u64(LISTENER), EventFlags::IN)?;
    let mut connections: Vec<Option<Connection<S>>> = Vec::new();
    let mut free = Vec::new();
    let mut events = Vec::with_capacity(512);
    let mut buffer = vec![0; 16 << 10];
    loop {
        epoll::wait(&epoll, spare_capacity(&mut events), None)?;
        for event in events.drain(..) {
            let token = event.data.u64();
            if token != LISTENER {
                let place = token as usize;
                let alive = connections[place].as_mut().is_some_and(|connection| echo(connection, &mut buffer).is_ok());
                if !alive {
                    connections[place] = None;
                    free.push(place);
                }
                continue;
            }
            loop {
                let socket = match accept() {
                    Ok(socket) => socket,
                    Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                    Err(error) => return Err(error.into()),
                };
                let place = free.pop().unwrap_or_else(|| {
                    connections.push(None);
                    connections.len() - 1
                });
                let flags = EventFlags::IN | EventFlags::OUT | EventFlags::RDHUP | EventFlags::ET;
                epoll::add(&epoll, &socket, EventData::new_u64(place as u64), flags)?;
                connections[place] = Some(Connection { socket, unsent: Vec::new() });
            }
        }
    }
}

/// Reads and writes until the socket has no more; an error when the connection is over.
fn echo<S: Read + Write>(connection: &mut Connection<S>, buffer: &mut [u8]) -> io::Result<()> {
    let Connection { socket, unsent } = connection;
    loop {
        if !unsent.is_empty() {
            let sent = write(socket, unsent)?;
            unsent.drain(..sent);
            if !unsent.is_empty() {
                return Ok(());
            }
        }
        let count = match socket.read(buffer) {
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Ok(count) => count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error),
        };
        let sent = write(socket, &buffer[..count])?;
        unsent.extend_from_slice(&buffer[sent..count]);
        // A short read has emptied the socket; the next bytes, or the end, bring an event.
        if count < buffer.len() && unsent.is_empty() {
            return Ok(());
        }
    }
}

fn write(socket: &mut impl Write, bytes: &[u8]) -> io::Result<usize> {
    match socket.write(bytes) {
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(0),
        outcome => outcome,
    }
}
