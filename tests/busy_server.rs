//! A server that was busy elsewhere when a deadline passed looks before it gives a client up: the client may have done
//! its part.

#[macro_use]
mod common;

use std::io::BufRead;
use std::io::ErrorKind;
use std::io::Read;
use std::io::Write;
use std::net::TcpStream;
use std::sync::Mutex;
use std::sync::mpsc;
use std::time::Duration;
use std::time::Instant;

use common::PATIENCE;
use common::Running;
use common::Start;
use common::ask;
use common::connect;
use common::eventually;
use common::read_line;
use common::read_rest;
use socketserver::Builder;
use socketserver::End;
use socketserver::Flow;
use socketserver::HandlerResult;
use socketserver::Pool;
use socketserver::Stream;
use socketserver::Sync;
use socketserver::Tcp;
use socketserver::handler::function;

const SHORT: Duration = Duration::from_millis(300);

/// More than the kernel takes in for a client that does not read.
const MUCH: usize = 32 << 20;

/// A server with one thread, and the means to keep it busy.
struct Busy {
    server: Running<Tcp>,
    entered: mpsc::Receiver<()>,
    leave: mpsc::Sender<()>,
}

type Handler = Box<dyn Fn(&mut Stream<TcpStream>) -> HandlerResult + Send + std::marker::Sync>;

/// Whole lines come back; `busy` keeps its thread until told.
fn handler(enter: mpsc::Sender<()>, left: mpsc::Receiver<()>) -> Handler {
    let (enter, left) = (Mutex::new(enter), Mutex::new(left));
    Box::new(move |request| {
        if !request.buffered().contains(&b'\n') {
            return Ok(Flow::Continue);
        }
        let mut line = String::new();
        request.read_line(&mut line)?;
        match line.as_str() {
            "busy\n" => {
                enter.lock().unwrap().send(())?;
                left.lock().unwrap().recv_timeout(PATIENCE)?;
            }
            "much\n" => request.write_all(&vec![b'x'; MUCH])?,
            _ => request.write_all(line.as_bytes())?,
        }
        Ok(Flow::Continue)
    })
}

impl Busy {
    fn sync() -> Self {
        let ((enter, entered), (leave, left)) = (mpsc::channel(), mpsc::channel());
        let server = Builder::<Tcp, Sync, _>::new(function(handler(enter, left)))
            .idle_timeout(SHORT)
            .read_timeout(SHORT)
            .write_timeout(SHORT)
            .max_pending_output(2 * MUCH)
            .max_buffered(MUCH)
            .start();
        Self { server, entered, leave }
    }

    fn pool() -> Self {
        let ((enter, entered), (leave, left)) = (mpsc::channel(), mpsc::channel());
        let server = Builder::<Tcp, Pool, _>::new(function(handler(enter, left)))
            .dispatch(Pool::new(1).max_threads(1))
            .idle_timeout(SHORT)
            .read_timeout(SHORT)
            .write_timeout(SHORT)
            .max_pending_output(2 * MUCH)
            .max_buffered(MUCH)
            .start();
        Self { server, entered, leave }
    }

    /// Does `meanwhile` while the server is busy, for longer than any of its timeouts.
    fn while_busy<T>(&self, meanwhile: impl FnOnce() -> T) -> T {
        let mut other = connect(self.server.local_addr());
        other.write_all(b"busy\n").unwrap();
        self.entered.recv_timeout(PATIENCE).unwrap();
        let outcome = meanwhile();
        let begun = Instant::now();
        eventually("all deadlines to pass", || begun.elapsed() > SHORT * 2);
        self.leave.send(()).unwrap();
        outcome
    }

    fn client(&self) -> TcpStream {
        let client = connect(self.server.local_addr());
        assert_eq!(ask(&client, "hello"), "hello");
        client
    }
}

macro_rules! under_one_thread {
    ($($(#[doc = $doc:literal])* fn $name:ident($busy:ident) $body:block)+) => {$(
        mod $name {
            use super::*;

            fn run($busy: &Busy) $body

            #[test]
            fn sync() {
                run(&Busy::sync());
            }

            #[test]
            fn pool() {
                run(&Busy::pool());
            }
        }
    )+};
}

under_one_thread! {
    fn a_message_that_came_in_time_is_answered(busy) {
        let mut client = busy.client();
        busy.while_busy(|| client.write_all(b"in time\n").unwrap());
        assert_eq!(read_line(&client), "in time");
        assert_eq!(busy.server.seen.ended(End::IdleTimeout), 0);
    }

    fn the_rest_of_a_message_that_came_in_time_is_taken(busy) {
        let mut client = busy.client();
        client.write_all(b"in ").unwrap();
        // It has been looked at when a later one is answered.
        drop(busy.client());
        busy.while_busy(|| client.write_all(b"time\n").unwrap());
        assert_eq!(read_line(&client), "in time");
        assert_eq!(busy.server.seen.ended(End::TimedOut), 0);
    }

    fn a_client_that_made_room_in_time_gets_the_rest(busy) {
        let mut client = busy.client();
        client.write_all(b"much\n").unwrap();
        drop(busy.client());
        let mut received = busy.while_busy(|| {
            // All that there is, and then nothing more comes while the server is busy.
            client.set_nonblocking(true).unwrap();
            let (mut piece, mut received) = (vec![0; 1 << 20], 0);
            eventually("the server's output to be taken", || match client.read(&mut piece) {
                Ok(count) => {
                    received += count;
                    false
                }
                Err(error) => error.kind() == ErrorKind::WouldBlock && received > 0,
            });
            client.set_nonblocking(false).unwrap();
            received
        });
        let mut piece = vec![0; 1 << 20];
        while received < MUCH {
            let count = client.read(&mut piece).unwrap();
            assert_ne!(count, 0, "{received} of {MUCH} bytes");
            received += count;
        }
        assert_eq!(busy.server.seen.ended(End::TimedOut), 0);
    }

    fn one_that_was_silent_is_given_up_all_the_same(busy) {
        let client = busy.client();
        busy.while_busy(|| {});
        assert_eq!(read_rest(client), b"");
        eventually("its end", || busy.server.seen.ended(End::IdleTimeout) == 1);
    }

    /// However fast the bytes come: what counts is when the message began.
    fn a_message_that_trickles_in_is_given_up_all_the_same(busy) {
        let mut client = busy.client();
        let begun = Instant::now();
        while client.write_all(b"x").is_ok() {
            assert!(begun.elapsed() < PATIENCE, "still taken after {:?}", begun.elapsed());
            std::thread::yield_now();
        }
        assert_eq!(busy.server.seen.wait_for_ends(1), [End::TimedOut]);
    }
}
