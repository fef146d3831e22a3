//! A socket that takes output and sends it later, as those of TLS and compression do, loses nothing.
#![cfg(unix)]

#[macro_use]
mod common;

use std::io;
use std::io::BufRead;
use std::io::Read;
use std::io::Write;
use std::net::Shutdown;
use std::net::SocketAddr;
use std::net::TcpStream;
use std::os::fd::AsFd;
use std::time::Duration;

use common::Start;
use common::connect;
use common::own_sockets::OwnSockets;
use common::read_rest;
use socketserver::Builder;
use socketserver::End;
use socketserver::Flow;
use socketserver::HandlerResult;
use socketserver::Socket;
use socketserver::Stream;
use socketserver::handler::function;
use socketserver::transport::Descriptor;

/// Holds back all that it can: nothing is sent before it is flushed, or full.
struct Hoarder {
    socket: TcpStream,
    held: Vec<u8>,
    /// Has a last word to send before it shuts down.
    farewell: bool,
}

const MOST_HELD: usize = 64 * 1024;

impl From<TcpStream> for Hoarder {
    fn from(socket: TcpStream) -> Self {
        socket2::SockRef::from(&socket).set_send_buffer_size(16 * 1024).unwrap();
        Self { socket, held: Vec::new(), farewell: true }
    }
}

impl Hoarder {
    fn send(&mut self) -> io::Result<()> {
        while !self.held.is_empty() {
            let count = self.socket.write(&self.held)?;
            self.held.drain(..count);
        }
        Ok(())
    }
}

impl Read for Hoarder {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let count = self.socket.read(bytes)?;
        if bytes[..count].starts_with(b"?") {
            // Answers while it reads, as TLS does where it is asked for new keys.
            self.held.extend(b"!\n");
        }
        Ok(count)
    }
}

impl Write for Hoarder {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.held.len() == MOST_HELD {
            self.send()?;
        }
        let count = bytes.len().min(MOST_HELD - self.held.len());
        self.held.extend(&bytes[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.send()
    }
}

impl Socket for Hoarder {
    type Addr = SocketAddr;

    fn descriptor(&self) -> Descriptor<'_> {
        self.socket.as_fd()
    }

    fn shutdown_write(&mut self) -> io::Result<()> {
        if std::mem::take(&mut self.farewell) {
            self.held.extend(b"bye\n");
        }
        self.send()?;
        self.socket.shutdown(Shutdown::Write)
    }

    fn unsent(&self) -> usize {
        self.held.len()
    }
}

/// Sends as many bytes as a line asks for.
fn answer<S: Socket>(request: &mut Stream<S>) -> HandlerResult {
    let mut line = String::new();
    request.read_line(&mut line)?;
    let (flow, count) = match line.trim().split_once(' ') {
        Some(("last", count)) => (Flow::Close, count.parse()?),
        _ => (Flow::Continue, line.trim_start_matches('?').trim().parse()?),
    };
    request.write_all(&vec![b'x'; count])?;
    Ok(flow)
}

/// Reads slowly: a little at a time, through a small window.
fn read_slowly(mut client: &TcpStream, count: usize) {
    let mut bytes = vec![0; count];
    for piece in bytes.chunks_mut(3_000) {
        client.read_exact(piece).unwrap();
    }
    assert!(bytes.iter().all(|&byte| byte == b'x'));
}

under_each_dispatch! {
    fn every_answer_comes_whole<D>() {
        let server = Builder::<OwnSockets<Hoarder>, D, _>::new(function(answer::<Hoarder>)).start();
        let mut client = connect(server.local_addr());
        for count in [1, 10, 1_000, 60_000, 70_000, 150_000, 1_000_000] {
            client.write_all(format!("{count}\n").as_bytes()).unwrap();
            read_slowly(&client, count);
        }
        client.write_all(b"last 150000\n").unwrap();
        read_slowly(&client, 150_000);
        assert_eq!(read_rest(&client), b"bye\n");
        drop(client);
        assert_eq!(server.seen.wait_for_ends(1), [End::HandlerClosed]);
    }

    fn what_a_read_has_made_it_say_leaves_before_it_waits<D>() {
        let server = Builder::<OwnSockets<Hoarder>, D, _>::new(function(answer::<Hoarder>)).start();
        let mut client = connect(server.local_addr());
        client.write_all(b"?").unwrap();
        // No line yet: the handler waits for it, in the poller or inside of its read.
        assert_eq!(common::read_line(&client), "!");
        client.write_all(b"5\n").unwrap();
        read_slowly(&client, 5);
    }

    fn a_peer_that_has_closed_is_told_goodbye<D>() {
        let server = Builder::<OwnSockets<Hoarder>, D, _>::new(function(answer::<Hoarder>)).start();
        let mut client = connect(server.local_addr());
        client.write_all(b"150000\n").unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        read_slowly(&client, 150_000);
        assert_eq!(read_rest(&client), b"bye\n");
    }

    fn a_peer_that_does_not_read_is_given_up<D>() {
        let server = Builder::<OwnSockets<Hoarder>, D, _>::new(function(answer::<Hoarder>))
            .write_timeout(Duration::from_millis(200))
            .start();
        let mut deaf = connect(server.local_addr());
        deaf.write_all(b"9000000\n").unwrap();
        assert_eq!(server.seen.wait_for_ends(1), [End::TimedOut]);
        assert_eq!(server.stop().failed, 1);
    }

    fn a_stop_is_told_goodbye<D>() {
        let server = Builder::<OwnSockets<Hoarder>, D, _>::new(function(answer::<Hoarder>)).start();
        let mut client = connect(server.local_addr());
        client.write_all(b"1000\n").unwrap();
        read_slowly(&client, 1_000);
        let report = server.stop();
        assert_eq!(report.idle_closed, 1, "{report}");
        assert_eq!(read_rest(&client), b"bye\n");
    }
}
