//! Waiting for messages inside of `handle`, in Python's style, and timeouts of one connection.

#[macro_use]
mod common;

use std::io::BufRead;
use std::io::Write;
use std::net::TcpStream;
use std::time::Duration;

use common::Start;
use common::ask;
use common::connect;
use common::read_line;
use common::read_rest;
use socketserver::Builder;
use socketserver::End;
use socketserver::Flow;
use socketserver::Handler;
use socketserver::HandlerResult;
use socketserver::Pool;
use socketserver::Stream;
use socketserver::Tcp;
use socketserver::TcpServer;
use socketserver::ThreadPerRequest;
use socketserver::handler::function;

type Connection = Stream<TcpStream>;

const SHORT: Duration = Duration::from_millis(100);
const LONG: Duration = Duration::from_secs(600);

/// In Python's style, with a greeting.
fn conversation(request: &mut Connection) -> HandlerResult {
    request.write_all(b"welcome\n")?;
    while request.wait_for_message()? {
        let mut line = String::new();
        request.read_line(&mut line)?;
        request.write_all(line.to_uppercase().as_bytes())?;
    }
    request.write_all(b"bye\n")?;
    Ok(Flow::Close)
}

struct Greeter;

impl Handler<Connection> for Greeter {
    const SPEAKS_FIRST: bool = true;

    fn handle(&mut self, request: &mut Connection) -> HandlerResult {
        conversation(request)
    }
}

macro_rules! where_a_handler_may_wait {
    ($(fn $name:ident<$D:ident>() $body:block)+) => {$(
        mod $name {
            use super::*;

            #[test]
            fn threads() {
                type $D = ThreadPerRequest;
                $body
            }

            #[test]
            fn pool() {
                type $D = Pool;
                $body
            }
        }
    )+};
}

where_a_handler_may_wait! {
    fn a_client_that_leaves_ends_the_loop<D>() {
        let server = Builder::<Tcp, D, _>::new(|| Greeter).start();
        let client = connect(server.local_addr());
        assert_eq!(read_line(&client), "welcome");
        assert_eq!((ask(&client, "one"), ask(&client, "two")), ("ONE".to_owned(), "TWO".to_owned()));
        client.shutdown(std::net::Shutdown::Write).unwrap();
        assert_eq!(read_rest(&client), b"bye\n");
        server.seen.wait_for_ends(1);
    }

    fn the_idle_timeout_ends_the_loop<D>() {
        let server = Builder::<Tcp, D, _>::new(|| Greeter).idle_timeout(SHORT).read_timeout(LONG).start();
        let client = connect(server.local_addr());
        assert_eq!(read_line(&client), "welcome");
        assert_eq!(ask(&client, "one"), "ONE");
        assert_eq!(read_rest(&client), b"bye\n");
        drop(client);
        assert_eq!(server.seen.wait_for_ends(1), [End::IdleTimeout]);
        assert_eq!(server.stop().idle_closed, 1);
    }

    fn a_stop_ends_the_loop_at_once<D>() {
        let server = Builder::<Tcp, D, _>::new(|| Greeter).drain_timeout(LONG).idle_timeout(LONG).start();
        let client = connect(server.local_addr());
        assert_eq!(read_line(&client), "welcome");
        assert_eq!(ask(&client, "one"), "ONE");
        server.stop_handle().shutdown();
        assert_eq!(read_rest(&client), b"bye\n");
        drop(client);
        let report = server.join();
        assert_eq!((report.idle_closed, report.forced), (1, 0), "{report}");
    }
}

#[test]
fn on_a_thread_of_its_own_a_handler_greets_without_saying_so() {
    let server = Builder::<Tcp, ThreadPerRequest, _>::new(function(conversation)).drain_timeout(LONG).start();
    let silent = connect(server.local_addr());
    let client = connect(server.local_addr());
    assert_eq!(read_line(&client), "welcome");
    assert_eq!(ask(&client, "one"), "ONE");
    assert_eq!(read_line(&silent), "welcome");
    let report = server.stop();
    assert_eq!((report.idle_closed, report.forced), (2, 0), "{report}");
}

#[test]
fn a_handler_that_only_reads_waits_as_one_that_is_idle() {
    let plain = |request: &mut Connection| {
        let mut line = String::new();
        request.read_line(&mut line)?;
        request.write_all(line.as_bytes())?;
        Ok(Flow::Close)
    };
    let builder = || Builder::<Tcp, ThreadPerRequest, _>::new(function(plain)).drain_timeout(LONG).read_timeout(LONG);
    let server = builder().start();
    let client = connect(server.local_addr());
    let report = server.stop();
    assert_eq!((report.forced, report.failed), (0, 0), "{report}");
    assert_eq!(read_rest(client), b"");
    let server = builder().idle_timeout(SHORT).start();
    let client = connect(server.local_addr());
    assert_eq!(read_rest(client), b"");
    assert_eq!(server.seen.wait_for_ends(1), [End::IdleTimeout]);
}

#[test]
fn under_sync_it_is_an_error_at_the_first_call() {
    let server = TcpServer::builder_fn(|request| {
        request.wait_for_message()?;
        Ok(Flow::Close)
    })
    .start();
    let mut client = connect(server.local_addr());
    client.write_all(b"hello\n").unwrap();
    assert_eq!(server.seen.wait_for_ends(1), [End::Failed]);
    let errors = server.seen.errors();
    assert!(errors[0].contains("under Sync") && errors[0].contains("Flow::Continue"), "{errors:?}");
    drop(client);
}

under_each_dispatch! {
    fn a_connection_may_have_timeouts_of_its_own<D>() {
        let server = Builder::<Tcp, D, _>::new(function(|request: &mut Connection| {
            let Some(line) = request.line()? else { return Ok(Flow::Continue) };
            match line.trim_end() {
                "idle" => request.set_idle_timeout(SHORT),
                "read" => request.set_read_timeout(SHORT),
                "write" => request.set_write_timeout(SHORT),
                _ => {}
            }
            request.write_all(b"ok\n")?;
            if line.starts_with("write") {
                request.write_all(&vec![0; 20_000_000])?;
            }
            Ok(Flow::Continue)
        }))
        .idle_timeout(LONG)
        .read_timeout(LONG)
        .write_timeout(LONG)
        .start();
        let other = connect(server.local_addr());
        assert_eq!(ask(&other, "hello"), "ok");
        for (number, (kind, end)) in
            [("idle", End::IdleTimeout), ("read", End::TimedOut), ("write", End::TimedOut)].into_iter().enumerate()
        {
            let mut client = connect(server.local_addr());
            assert_eq!(ask(&client, kind), "ok");
            if kind == "read" {
                client.write_all(b"half").unwrap();
            }
            let ends = server.seen.wait_for_ends(number + 1);
            assert_eq!(ends[number], end, "{kind}");
            drop(client);
        }
        assert_eq!(ask(&other, "still here"), "ok");
    }
}
