//! The time for a whole request holds whatever the request is doing, and is counted once.

#[macro_use]
mod common;

use std::io::BufRead;
use std::io::BufReader;
use std::io::Write;
use std::net::Shutdown;
use std::net::TcpStream;
use std::time::Duration;
use std::time::Instant;

use common::PATIENCE;
use common::Running;
use common::Start;
use common::ask;
use common::connect;
use common::drip;
use common::echo::echo_line;
use common::read_rest;
use socketserver::Builder;
use socketserver::End;
use socketserver::Flow;
use socketserver::HandlerResult;
use socketserver::Stream;
use socketserver::Tcp;
use socketserver::handler::Function;
use socketserver::handler::function;

const SHORT: Duration = Duration::from_millis(150);

/// No other timeout ends anything while a test waits.
const LONG: Duration = Duration::from_secs(600);

/// More than the kernel takes in for a client that does not read.
const MUCH: usize = 64 << 20;

type Connection = Stream<TcpStream>;

fn echo_whole_line(request: &mut Connection) -> HandlerResult {
    if request.buffered().contains(&b'\n') { echo_line(request) } else { Ok(Flow::Continue) }
}

fn write_much(request: &mut Connection) -> HandlerResult {
    let count = request.fill_buf()?.len();
    request.consume(count);
    request.write_all(&vec![b'x'; MUCH])?;
    Ok(Flow::Continue)
}

fn builder<D: Default, F: Fn(&mut Connection) -> HandlerResult>(handler: F) -> Builder<Tcp, D, Function<F>> {
    Builder::new(function(handler))
        .total_timeout(SHORT)
        .idle_timeout(LONG)
        .read_timeout(LONG)
        .write_timeout(LONG)
        .linger(LONG, usize::MAX)
}

/// The one request of the server ends in time, for the reason given, and is counted once.
fn ends_in_time(server: Running<Tcp>, end: End) {
    assert!(server.seen.wait_for_stops(1, PATIENCE));
    let report = server.stop();
    let timed_out = end == End::TimedOut;
    let expected = timed_out.then(|| "handle: the whole request took longer than 150ms".to_owned());
    assert_eq!(report.seen.errors(), Vec::from_iter(expected));
    assert_eq!(report.seen.ended(end), 1);
    assert_eq!((report.accepted, report.failed), (1, u64::from(timed_out)), "{report}");
}

under_each_dispatch! {
    fn a_silent_client<D>() {
        let server = builder::<D, _>(echo_line).start();
        let begun = Instant::now();
        assert_eq!(read_rest(&mut connect(server.local_addr())), b"");
        assert!(begun.elapsed() >= SHORT, "after {:?}", begun.elapsed());
        ends_in_time(server, End::TimedOut);
    }

    fn messages_do_not_extend_it<D>() {
        let server = builder::<D, _>(echo_line).start();
        let client = connect(server.local_addr());
        let (mut reader, mut line, mut answered) = (BufReader::new(&client), String::new(), 0);
        // The last one may find the server closed, or closing.
        while (&client).write_all(b"hello\n").is_ok() && reader.read_line(&mut line).is_ok_and(|count| count > 0) {
            answered += 1;
        }
        assert!(answered > 0);
        ends_in_time(server, End::TimedOut);
    }

    fn messages_without_a_pause_end<D>() {
        let server = builder::<D, _>(echo_line).start();
        let client = connect(server.local_addr());
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let lines = "hello\n".repeat(1000);
                let mut sender = &client;
                while sender.write_all(lines.as_bytes()).is_ok() {}
            });
            // Reset, because more is under way: there is nobody to linger for.
            let _ = std::io::copy(&mut &client, &mut std::io::sink());
            client.shutdown(Shutdown::Both).ok();
        });
        ends_in_time(server, End::TimedOut);
    }

    fn a_part_of_a_message_that_waits<D>() {
        let server = builder::<D, _>(echo_whole_line).start();
        assert!(drip(&connect(server.local_addr())) > 0);
        ends_in_time(server, End::TimedOut);
    }

    fn a_handler_that_reads<D>() {
        let server = builder::<D, _>(echo_line).start();
        assert!(drip(&connect(server.local_addr())) > 0);
        ends_in_time(server, End::TimedOut);
    }

    fn a_handler_that_writes<D>() {
        let server = builder::<D, _>(write_much).start();
        let mut client = connect(server.local_addr());
        client.write_all(b"go\n").unwrap();
        ends_in_time(server, End::TimedOut);
    }

    fn output_that_waits<D>() {
        let server = builder::<D, _>(write_much).max_pending_output(2 * MUCH).start();
        let mut client = connect(server.local_addr());
        client.write_all(b"go\n").unwrap();
        ends_in_time(server, End::TimedOut);
    }

    fn a_handler_that_tries_again<D>() {
        let handler = |request: &mut Connection| {
            let mut line = String::new();
            for _ in 0..3 {
                assert!(request.read_line(&mut line).is_err());
            }
            Err(request.read_line(&mut line).expect_err("still over").into())
        };
        let server = builder::<D, _>(handler).start();
        let mut client = connect(server.local_addr());
        client.write_all(b"no line").unwrap();
        assert_eq!(read_rest(&mut client), b"");
        ends_in_time(server, End::TimedOut);
    }

    fn a_connection_that_lingers<D>() {
        let server = builder::<D, _>(|_| Ok(Flow::Close)).start();
        let mut client = connect(server.local_addr());
        client.write_all(b"go\n").unwrap();
        assert_eq!(read_rest(&mut client), b"");
        // The client keeps its side open; the server has said its last word and only lingers.
        ends_in_time(server, End::HandlerClosed);
    }

    fn one_that_keeps_its_time_is_not_concerned<D>() {
        let server = builder::<D, _>(echo_line).total_timeout(LONG).start();
        let client = connect(server.local_addr());
        for _ in 0..3 {
            assert_eq!(ask(&client, "hello"), "hello");
        }
        drop(client);
        ends_in_time(server, End::PeerClosed);
    }
}
