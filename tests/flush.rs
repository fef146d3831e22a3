//! `Flow::Flush`: a handler is called again when what it wrote has left, and no thread waits meanwhile.

#[macro_use]
mod common;

use std::io::BufRead;
use std::io::Read;
use std::io::Write;
use std::net::Shutdown;
use std::time::Duration;

use common::Start;
use socketserver::Builder;
use socketserver::End;
use socketserver::Flow;
use socketserver::Handler;
use socketserver::HandlerResult;
use socketserver::Pool;
use socketserver::PoolTcpServer;
use socketserver::Socket;
use socketserver::Stream;
use socketserver::Tcp;
use socketserver::TcpServer;
use socketserver::frames;
use socketserver::frames::LinesCodec;

const PIECE: usize = 60_000;

/// A line with a number is answered by so many pieces, one at a time; other lines come back.
#[derive(Default)]
struct Pieces {
    left: usize,
}

impl<S: Socket> Handler<Stream<S>> for Pieces {
    fn handle(&mut self, request: &mut Stream<S>) -> HandlerResult {
        assert_eq!(request.split_buffered().1.pending(), 0, "called too early");
        if self.left > 0 {
            self.left -= 1;
            request.write_all(&[b'x'; PIECE])?;
            return Ok(if self.left > 0 { Flow::Flush } else { Flow::Continue });
        }
        let mut line = String::new();
        request.read_line(&mut line)?;
        match line.trim_end().parse() {
            Ok(count) => {
                self.left = count;
                Ok(Flow::Flush)
            }
            Err(_) => {
                request.write_all(line.as_bytes())?;
                Ok(Flow::Continue)
            }
        }
    }
}

under_each_dispatch! {
    fn pieces_follow_each_other_without_a_word_from_the_client<D>() {
        let server = Builder::<Tcp, D, _>::new(Pieces::default).start();
        let mut client = common::connect(server.local_addr());
        client.write_all(b"300\n").unwrap();
        let mut all = vec![0; 300 * PIECE];
        client.read_exact(&mut all).unwrap();
        assert_eq!(common::ask(&client, "again"), "again");
        // Requests behind it wait for it, also where the client has ended its side.
        client.write_all(b"200\nlast\n").unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        let rest = common::read_rest(client);
        assert_eq!(rest.len(), 200 * PIECE + 5);
        assert!(rest.ends_with(b"last\n"));
        let report = server.stop();
        assert_eq!((report.finished, report.failed), (1, 0), "{report}");
    }

    fn a_drain_lets_it_finish_until_the_deadline<D>() {
        let server = Builder::<Tcp, D, _>::new(Pieces::default).write_timeout(None).start();
        let mut never = common::connect(server.local_addr());
        let mut slow = common::connect(server.local_addr());
        for client in [&mut never, &mut slow] {
            // More than the buffers of both systems take, and no more than a slow machine sends within the deadline.
            client.write_all(b"300\n").unwrap();
            client.read_exact(&mut [0]).unwrap();
        }
        server.stop_handle().shutdown_within(Duration::from_secs(6));
        assert_eq!(common::read_rest(slow).len(), 300 * PIECE - 1);
        let report = server.join();
        assert_eq!(report.forced, 1, "{report}");
        assert!(report.seen.ends().contains(&End::Drained), "{:?}", report.seen.ends());
        drop(never);
    }

    fn frames_go_on_when_the_replies_have_left<D>() {
        let factory = frames::function(LinesCodec::new(), |line, replies| {
            replies.send(line.repeat(1000))?;
            Ok(Flow::Flush)
        });
        let server = Builder::<Tcp, D, _>::new(factory).start();
        let mut client = common::connect(server.local_addr());
        client.write_all("line\n".repeat(5000).as_bytes()).unwrap();
        client.write_all(b"the rest").unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        let all = common::read_rest(client);
        assert_eq!(all.len(), 5000 * 4001 + 8001);
        let report = server.stop();
        assert_eq!((report.finished, report.failed), (1, 0), "{report}");
    }
}

#[test]
fn long_answers_hold_no_worker() {
    let server = PoolTcpServer::builder(Pieces::default).dispatch(Pool::new(2)).write_timeout(None).start();
    let slow: Vec<_> = (0..64)
        .map(|_| {
            let mut client = common::connect(server.local_addr());
            client.write_all(b"1000\n").unwrap();
            client.read_exact(&mut [0]).unwrap();
            client
        })
        .collect();
    for number in 0..100 {
        let client = common::connect(server.local_addr());
        assert_eq!(common::ask(&client, &format!("line {number}")), format!("line {number}"));
    }
    drop(slow);
    server.stop();
}

/// One that has nothing to send and wants to be called again does not keep the only thread for itself.
#[test]
fn others_have_their_turn_in_between() {
    let server = TcpServer::builder_fn(|request: &mut Stream<std::net::TcpStream>| {
        if request.buffered() == b"spin\n" {
            return Ok(if request.is_stopping() { Flow::Close } else { Flow::Flush });
        }
        let mut line = String::new();
        request.read_line(&mut line)?;
        request.write_all(line.as_bytes())?;
        Ok(Flow::Continue)
    });
    let server = server.start();
    let mut spinning = common::connect(server.local_addr());
    spinning.write_all(b"spin\n").unwrap();
    for _ in 0..20 {
        let client = common::connect(server.local_addr());
        assert_eq!(common::ask(&client, "hello"), "hello");
    }
    let report = server.stop();
    assert_eq!(report.failed, 0, "{report}");
}
