//! Clients that are slow in mid-message, or in taking an answer, are ended though no timeout is near; those that are
//! idle are not.

#[macro_use]
mod common;

use std::io::BufRead;
use std::io::Read;
use std::io::Write;
use std::net::TcpStream;
use std::time::Duration;

use common::PATIENCE;
use common::Running;
use common::Start;
use common::ask;
use common::connect;
use common::drip;
use common::echo::echo_line;
use common::read_line;
use common::read_rest;
use common::sip;
use socketserver::Builder;
use socketserver::End;
use socketserver::Flow;
use socketserver::HandlerResult;
use socketserver::Stream;
use socketserver::Tcp;
use socketserver::frames;
use socketserver::handler::Function;
use socketserver::handler::function;

const GRACE: Duration = Duration::from_millis(150);

/// No timeout ends anything while a test waits.
const LONG: Duration = Duration::from_secs(600);

/// More than the kernel takes in for a client that does not read.
const MUCH: usize = 64 << 20;

type Connection = Stream<TcpStream>;

/// Ten times what `drip` sends.
fn builder<D: Default, F: Fn(&mut Connection) -> HandlerResult>(handler: F) -> Builder<Tcp, D, Function<F>> {
    Builder::new(function(handler))
        .min_rate(1_000)
        .rate_grace(GRACE)
        .idle_timeout(LONG)
        .read_timeout(LONG)
        .write_timeout(LONG)
}

fn echo_whole_line(request: &mut Connection) -> HandlerResult {
    if request.buffered().contains(&b'\n') { echo_line(request) } else { Ok(Flow::Continue) }
}

fn write_much(request: &mut Connection) -> HandlerResult {
    let count = request.fill_buf()?.len();
    request.consume(count);
    request.write_all(&vec![b'x'; MUCH])?;
    Ok(Flow::Continue)
}

/// The one client of the server was too slow.
fn too_slow(server: Running<Tcp>, error: &str) {
    assert!(server.seen.wait_for_stops(1, PATIENCE));
    let report = server.stop();
    assert_eq!(report.seen.errors(), [error]);
    assert_eq!(report.seen.ended(End::TimedOut), 1);
    assert_eq!((report.accepted, report.failed), (1, 1), "{report}");
}

/// A client drips into a handler that reads on.
fn drips_into(server: Running<Tcp>) {
    let client = connect(server.local_addr());
    assert!(drip(&client) > 1);
    drop(client);
    too_slow(server, "handle: reading fell below 1000 bytes/s (after a grace period of 150ms)");
}

under_each_dispatch! {
    fn a_part_of_a_message_that_waits<D>() {
        let server = builder::<D, _>(echo_whole_line).start();
        let client = connect(server.local_addr());
        assert_eq!(ask(&client, "whole"), "whole");
        assert!(drip(&client) > 1);
        drop(client);
        too_slow(server, "handle: receiving a message fell below 1000 bytes/s (after a grace period of 150ms)");
    }

    fn a_frame<D>() {
        let factory = frames::function(frames::LinesCodec::new(), |line, replies| {
            replies.send(line)?;
            Ok(Flow::Continue)
        });
        let server = Builder::<Tcp, D, _>::new(factory).min_rate(1_000).rate_grace(GRACE).read_timeout(LONG).start();
        let client = connect(server.local_addr());
        assert_eq!(ask(&client, "whole"), "whole");
        assert!(drip(&client) > 1);
        drop(client);
        too_slow(server, "handle: receiving a message fell below 1000 bytes/s (after a grace period of 150ms)");
    }

    fn a_handler_that_reads_a_line<D>() {
        drips_into(builder::<D, _>(echo_line).start());
    }

    fn a_handler_that_reads_so_many_bytes<D>() {
        drips_into(
            builder::<D, _>(|request| {
                request.read_exact(&mut [0; 100_000])?;
                Ok(Flow::Close)
            })
            .start(),
        );
    }

    fn a_handler_that_reads_to_the_end<D>() {
        drips_into(
            builder::<D, _>(|request| {
                request.read_to_end(&mut Vec::new())?;
                Ok(Flow::Close)
            })
            .start(),
        );
    }

    fn a_handler_that_writes<D>() {
        let server = builder::<D, _>(write_much).min_rate(1 << 30).start();
        let mut client = connect(server.local_addr());
        client.write_all(b"go\n").unwrap();
        assert!(sip(&client, || server.seen.stops() == 0) > 0);
        too_slow(server, "handle: writing fell below 1073741824 bytes/s (after a grace period of 150ms)");
    }

    fn output_that_waits<D>() {
        let server = builder::<D, _>(write_much).min_rate(1 << 30).max_pending_output(2 * MUCH).start();
        let mut client = connect(server.local_addr());
        client.write_all(b"go\n").unwrap();
        assert!(sip(&client, || server.seen.stops() == 0) > 0);
        too_slow(server, "handle: sending fell below 1073741824 bytes/s (after a grace period of 150ms)");
    }

    fn the_last_output<D>() {
        let handler = |request: &mut Connection| write_much(request).map(|_| Flow::Close);
        let server = builder::<D, _>(handler).min_rate(1 << 30).max_pending_output(2 * MUCH).start();
        let mut client = connect(server.local_addr());
        client.write_all(b"go\n").unwrap();
        assert!(sip(&client, || server.seen.stops() == 0) > 0);
        assert!(server.seen.wait_for_stops(1, PATIENCE));
        let report = server.stop();
        // The handler had finished; that the answer did not arrive is told.
        assert_eq!(report.seen.errors(), ["handle: sending fell below 1073741824 bytes/s (after a grace period of 150ms)"]);
        assert_eq!((report.seen.ended(End::HandlerClosed), report.finished), (1, 1), "{report}");
    }

    fn bytes_buy_their_time<D>() {
        let server = builder::<D, _>(echo_whole_line).min_rate(1).rate_grace(Duration::ZERO).start();
        let mut client = connect(server.local_addr());
        let line = "x".repeat(1_000);
        client.write_all(line.as_bytes()).unwrap();
        // A thousand seconds have been paid for.
        for _ in 0..20 {
            std::thread::sleep(Duration::from_millis(5));
            client.write_all(b"x").unwrap();
        }
        client.write_all(b"\n").unwrap();
        assert_eq!(read_line(&client).len(), 1_020);
        drop(client);
        assert!(server.seen.wait_for_stops(1, PATIENCE));
        let report = server.stop();
        assert_eq!(report.finished, 1, "{report}");
    }

    fn who_is_idle_is_not_concerned<D>() {
        let server = builder::<D, _>(echo_whole_line).min_rate(u32::MAX).rate_grace(Duration::ZERO).idle_timeout(GRACE);
        let server = server.start();
        let client = connect(server.local_addr());
        assert_eq!(ask(&client, "whole"), "whole");
        assert_eq!(read_rest(&client), b"");
        drop(client);
        let report = server.stop();
        assert_eq!((report.seen.ended(End::IdleTimeout), report.seen.errors().len()), (1, 0));
    }

    fn who_is_idle_is_not_concerned_where_the_handler_waits<D>() {
        let server = builder::<D, _>(|request| loop { echo_line(request)?; });
        let server = server.min_rate(u32::MAX).rate_grace(Duration::ZERO).read_timeout(GRACE).start();
        let client = connect(server.local_addr());
        assert_eq!(ask(&client, "whole"), "whole");
        assert_eq!(read_rest(&client), b"");
        drop(client);
        too_slow(server, "handle: reading took longer than 150ms");
    }

    fn without_a_rate_only_the_timeouts_hold<D>() {
        let server = builder::<D, _>(echo_whole_line).min_rate(None).rate_grace(Duration::ZERO).read_timeout(GRACE).start();
        let client = connect(server.local_addr());
        assert!(drip(&client) > 1);
        drop(client);
        too_slow(server, "handle: receiving a message took longer than 150ms");
    }

    fn no_bytes_a_second_are_refused<D>() {
        let error = builder::<D, _>(echo_line).min_rate(0).bind("127.0.0.1:0").unwrap_err();
        let expected = "option min_rate = 0: no client is slower than that; `None` disables the limit; it must be at least 1";
        assert_eq!(error.to_string(), expected);
    }
}
