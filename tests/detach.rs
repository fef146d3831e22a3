//! Taking a connection out of the server: whoever takes it owns it, with every byte; the server counts it, forgets it,
//! and has a place free.

#[macro_use]
mod common;

use std::io::BufRead;
use std::io::Read;
use std::io::Write;
use std::net::TcpStream;
use std::sync::mpsc;

use common::PATIENCE;
use common::Start;
use socketserver::Builder;
use socketserver::End;
use socketserver::Flow;
use socketserver::Handler;
use socketserver::HandlerResult;
use socketserver::SendError;
use socketserver::Sender;
use socketserver::Stream;
use socketserver::Tcp;
use socketserver::frames::FrameHandler;
use socketserver::frames::Frames;
use socketserver::frames::LinesCodec;
use socketserver::frames::Replies;

type Connection = Stream<TcpStream>;

/// Speaks lines until its client wants something else.
struct Upgrading(mpsc::Sender<Connection>);

impl FrameHandler<LinesCodec, TcpStream> for Upgrading {
    fn message(&mut self, line: &str, replies: &mut Replies<'_, LinesCodec>) -> HandlerResult {
        replies.send(format!("{line}!"))?;
        Ok(if line == "upgrade" { Flow::Detach } else { Flow::Continue })
    }

    fn detached(self, _: LinesCodec, request: Connection) {
        self.0.send(request).unwrap();
    }
}

/// Is sent something by others, and goes.
struct Parting;

impl Handler<Connection> for Parting {
    fn handle(&mut self, request: &mut Connection) -> HandlerResult {
        request.read_line(&mut String::new())?;
        request.sender()?.send("sent before\n")?;
        request.write_all(b"written\n")?;
        Ok(Flow::Detach)
    }

    fn detached(self, mut request: Connection) {
        assert!(request.sender().is_err(), "nobody serves it any more");
        request.write_all(b"written after\n").unwrap();
    }
}

/// As [`Parting`], but its sender and its connection go to the test.
struct Leaving(mpsc::Sender<(Sender, Connection)>, Option<Sender>);

impl Handler<Connection> for Leaving {
    fn handle(&mut self, request: &mut Connection) -> HandlerResult {
        self.1 = Some(request.sender()?);
        Parting.handle(request)
    }

    fn detached(self, request: Connection) {
        self.0.send((self.1.unwrap(), request)).unwrap();
    }
}

under_each_dispatch! {
    but_fork("a connection that leaves its server stays with its child, as is tested with the rest of Fork"):

    fn an_upgraded_connection_keeps_its_bytes_and_gives_its_place_back<D>() {
        let (detached, on_detach) = mpsc::channel();
        let server = Builder::<Tcp, D, _>::new(move || {
            Frames::new(LinesCodec::new(), Upgrading(detached.clone()))
        })
        .max_connections(1)
        .start();
        let mut client = common::connect(server.local_addr());
        // All at once: the answers come first, and what is behind belongs to the new owner.
        client.write_all(b"hello\nupgrade\n\x01\x02 raw").unwrap();
        assert_eq!(common::read_line(&client), "hello!");
        assert_eq!(common::read_line(&client), "upgrade!");
        let mut connection = on_detach.recv_timeout(PATIENCE).unwrap();
        assert_eq!(server.seen.wait_for_ends(1), [End::Detached]);
        // There is one place, and it is free.
        let second = common::connect(server.local_addr());
        assert_eq!(common::ask(&second, "anybody there?"), "anybody there?!");
        drop(second);
        assert_eq!(server.seen.wait_for_ends(2), [End::Detached, End::PeerClosed]);
        let mut raw = [0; 6];
        connection.read_exact(&mut raw).unwrap();
        assert_eq!(&raw, b"\x01\x02 raw");
        let (mut socket, unread) = connection.into_parts();
        assert_eq!(unread, b"");
        let report = server.stop();
        assert_eq!((report.accepted, report.finished, report.detached), (2, 2, 1), "{report}");
        assert!(report.to_string().starts_with("2 accepted: 2 finished (1 detached), 0 idle closed"), "{report}");
        // The server has ended; the connection has not.
        socket.write_all(b"raw answer\n").unwrap();
        assert_eq!(common::read_line(&client), "raw answer");
        drop(socket);
        assert_eq!(common::read_rest(&client), b"");
    }

    fn what_others_have_sent_goes_out_with_the_new_owners_output<D>() {
        let (left, on_leave) = mpsc::channel();
        let server = Builder::<Tcp, D, _>::new(move || Leaving(left.clone(), None)).start();
        let mut client = common::connect(server.local_addr());
        client.write_all(b"go\n").unwrap();
        let (sender, mut connection) = on_leave.recv_timeout(PATIENCE).unwrap();
        assert_eq!(sender.send("late"), Err(SendError::Closed));
        connection.write_all(b"mine\n").unwrap();
        for line in ["written", "sent before", "mine"] {
            assert_eq!(common::read_line(&client), line);
        }
        server.stop();
        drop(connection);
        assert_eq!(common::read_rest(client), b"");
    }

    fn a_detached_connection_that_is_dropped_is_closed<D>() {
        let server = Builder::<Tcp, D, _>::new(|| Parting).start();
        let mut client = common::connect(server.local_addr());
        client.write_all(b"go\n").unwrap();
        assert_eq!(common::read_rest(client), b"written\nsent before\nwritten after\n");
        let report = server.stop();
        assert_eq!((report.finished, report.detached), (1, 1), "{report}");
    }
}
