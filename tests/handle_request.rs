//! One request at a time: `handle_request` takes one, waits no longer than its timeout, and ends at a stop.

#[macro_use]
mod common;

use std::io::BufRead;
use std::io::Read;
use std::io::Write;
use std::net::Shutdown;
use std::time::Duration;
use std::time::Instant;

use common::Beside;
use common::Count;
use common::Listen;
use common::Log;
use common::Start;
use common::channel;
use common::echo::Echo;
use socketserver::Builder;
use socketserver::Flow;
use socketserver::Handled;
use socketserver::Stream;
use socketserver::Tcp;
use socketserver::TcpServer;
use socketserver::ThreadingTcpServer;
use socketserver::UdpServer;

/// Answers one line and closes: under `Sync`, `handle_request` returns when the conversation is over.
fn one_line(request: &mut Stream<std::net::TcpStream>) -> socketserver::HandlerResult {
    let mut line = String::new();
    request.read_line(&mut line)?;
    request.write_all(line.as_bytes())?;
    Ok(Flow::Close)
}

under_each_dispatch! {
    fn each_call_takes_exactly_one<D>() {
        let mut server = Builder::<Tcp, D, _>::new(socketserver::handler::function(one_line))
            .listen();
        let clients: Vec<_> = (0..3).map(|_| common::connect(server.local_addr())).collect();
        for mut client in &clients {
            client.write_all(b"hello\n").unwrap();
            // The end of input, so that the server need not wait for more before it closes.
            client.shutdown(Shutdown::Write).unwrap();
        }
        for (index, client) in clients.iter().enumerate() {
            assert_eq!(server.handle_request().unwrap(), Handled::Request);
            assert_eq!(server.stats().accepted, index as u64 + 1);
            assert_eq!(common::read_rest(client), b"hello\n");
        }
        server.stop_handle().shutdown();
        let report = server.serve_forever();
        assert_eq!((report.accepted, report.finished), (3, 3), "{report}");
    }

    fn a_timeout_is_told_once_and_not_before_its_time<D>() {
        const TIMEOUT: Duration = Duration::from_millis(50);
        let timeouts = Log::<()>::default();
        let mut server = Builder::<Tcp, D, _>::new(|| Echo)
            .request_timeout(TIMEOUT)
            .on_timeout({
                let timeouts = timeouts.clone();
                move || timeouts.push(())
            })
            .listen();
        for round in 1..=2 {
            let begun = Instant::now();
            assert_eq!(server.handle_request().unwrap(), Handled::TimedOut);
            assert!(begun.elapsed() >= TIMEOUT);
            assert_eq!(timeouts.len(), round);
        }
    }

    fn a_timeout_of_zero_takes_what_is_there_and_waits_for_nothing<D>() {
        let mut server = Builder::<Tcp, D, _>::new(socketserver::handler::function(one_line))
            .request_timeout(Duration::ZERO)
            .listen();
        assert_eq!(server.handle_request().unwrap(), Handled::TimedOut);
        let mut client = common::connect(server.local_addr());
        client.write_all(b"hello\n").unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        // A loopback connection is in the backlog when connect returns.
        assert_eq!(server.handle_request().unwrap(), Handled::Request);
        assert_eq!(common::read_rest(client), b"hello\n");
    }

    fn a_stop_ends_the_wait<D>() {
        let mut server = Builder::<Tcp, D, _>::new(|| Echo).listen();
        let stop = server.stop_handle();
        let (called, on_call) = channel::<()>();
        let stopper = Beside::start(move || {
            on_call.recv().unwrap();
            stop.shutdown();
        });
        called.send(()).unwrap();
        assert_eq!(server.handle_request().unwrap(), Handled::Stopping);
        stopper.join();
        assert_eq!(server.handle_request().unwrap(), Handled::Stopping);
        let report = server.serve_forever();
        assert_eq!(report.accepted, 0);
    }

    fn the_error_of_one_request_is_not_the_callers<D>() {
        let errors = Log::<String>::default();
        let mut server = Builder::<Tcp, D, _>::new(socketserver::handler::function(
            |request: &mut Stream<std::net::TcpStream>| {
                let mut line = String::new();
                request.read_line(&mut line)?;
                if line == "panic\n" {
                    std::panic::resume_unwind(Box::new("on purpose"));
                }
                Err("on purpose".into())
            },
        ))
        .on_error({
            let errors = errors.clone();
            move |error, _| errors.push(error.to_string())
        })
        .listen();
        for line in ["fail\n", "panic\n"] {
            let mut client = common::connect(server.local_addr());
            client.write_all(line.as_bytes()).unwrap();
            client.shutdown(Shutdown::Write).unwrap();
            assert_eq!(server.handle_request().unwrap(), Handled::Request);
            assert_eq!(common::read_rest(client), b"");
        }
        assert_eq!(errors.entries(), ["handle: on purpose", "handle: panicked: on purpose"]);
    }

    fn serving_goes_on_where_single_steps_ended<D>() {
        let mut server =
            Builder::<Tcp, D, _>::new(socketserver::handler::function(one_line)).listen();
        let address = server.local_addr();
        let mut client = common::connect(address);
        client.write_all(b"step\n").unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        assert_eq!(server.handle_request().unwrap(), Handled::Request);
        assert_eq!(common::read_rest(client), b"step\n");
        assert_eq!(server.local_addr(), address);
        let stop = server.stop_handle();
        let next = Beside::start(move || {
            let client = common::connect(address);
            assert_eq!(common::ask(&client, "loop"), "loop");
            stop.shutdown();
        });
        let report = server.serve_forever();
        next.join();
        assert_eq!((report.accepted, report.finished), (2, 2), "{report}");
    }

    fn serve_forever_knows_no_such_timeout<D>() {
        let (timeouts, ticks) = (Count::default(), Count::default());
        let server = Builder::<Tcp, D, _>::new(|| Echo)
            .request_timeout(Duration::from_millis(1))
            .service_interval(Duration::from_millis(2))
            .on_timeout({
                let timeouts = timeouts.clone();
                move || _ = timeouts.add_one()
            })
            .on_service({
                let ticks = ticks.clone();
                move || _ = ticks.add_one()
            })
            .start();
        common::eventually("some rounds", || ticks.get() >= 5);
        let client = common::connect(server.local_addr());
        assert_eq!(common::ask(&client, "still here"), "still here");
        server.stop();
        assert_eq!(timeouts.get(), 0);
    }
}

/// Dispatches that hand over: the place is taken until the connection ends, whoever asks.
macro_rules! at_the_limit {
    ($($name:ident: $dispatch:ty;)+) => {$(
        #[test]
        fn $name() {
            let mut server = Builder::<Tcp, $dispatch, _>::new(|| Echo)
                .max_connections(1)
                .request_timeout(Duration::from_millis(30))
                .listen();
            let first = common::connect(server.local_addr());
            assert_eq!(server.handle_request().unwrap(), Handled::Request);
            assert_eq!(common::ask(&first, "first"), "first");
            let mut second = common::connect(server.local_addr());
            second.write_all(b"second\n").unwrap();
            assert_eq!(server.handle_request().unwrap(), Handled::TimedOut);
            assert_eq!(server.stats().accepted, 1);
            drop(first);
            common::eventually("the second is taken", || server.handle_request().unwrap() == Handled::Request);
            assert_eq!(common::read_line(&second), "second");
            let counts = server.stats();
            assert_eq!((counts.accepted, counts.active), (2, 1));
        }
    )+};
}

at_the_limit! {
    a_place_is_waited_for_under_threads: socketserver::ThreadPerRequest;
    a_place_is_waited_for_under_pool: socketserver::Pool;
}

/// The request is over when the call returns, so that a caller needs no lock around what handlers do.
#[test]
fn under_sync_the_request_is_over_when_it_returns() {
    let calls = std::rc::Rc::new(std::cell::Cell::new(0));
    let counted = std::rc::Rc::clone(&calls);
    let mut server = TcpServer::builder_fn(move |request| {
        counted.set(counted.get() + 1);
        one_line(request)
    })
    .listen();
    for round in 1..=3 {
        let mut client = common::connect(server.local_addr());
        client.write_all(b"hello\n").unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        assert_eq!(server.handle_request().unwrap(), Handled::Request);
        assert_eq!((calls.get(), server.stats().active), (round, 0));
        assert_eq!(common::read_rest(client), b"hello\n");
    }
}

#[test]
fn messages_come_one_at_a_time_although_they_are_received_in_batches() {
    let mut server = UdpServer::builder(|| Echo).request_timeout(common::PATIENCE).listen();
    let client = common::connect_udp("127.0.0.1:0", server.local_addr());
    for word in ["one", "two", "three"] {
        client.send(word.as_bytes()).unwrap();
    }
    for (index, word) in ["one", "two", "three"].iter().enumerate() {
        assert_eq!(server.handle_request().unwrap(), Handled::Request);
        assert_eq!(server.stats().finished, index as u64 + 1);
        assert_eq!(common::receive(|buffer| client.recv(buffer)), word.as_bytes());
    }
}

/// What was handed over goes on until the server is dropped, which ends it.
#[test]
fn dropping_the_server_ends_what_it_handed_over() {
    let mut server = ThreadingTcpServer::builder(|| Echo).listen();
    let client = common::connect(server.local_addr());
    assert_eq!(server.handle_request().unwrap(), Handled::Request);
    assert_eq!(common::ask(&client, "hello"), "hello");
    let seen = server.seen.clone();
    drop(server);
    assert_eq!(seen.ends(), [socketserver::End::Drained]);
    assert_eq!(Read::read(&mut &client, &mut [0; 1]).unwrap(), 0);
}

under_each_dispatch! {
    fn a_server_that_is_paused_takes_none<D>() {
        let mut server = Builder::<Tcp, D, _>::new(|| Echo).request_timeout(Duration::from_millis(50)).listen();
        let client = common::connect(server.local_addr());
        (&client).write_all(b"hello\n").unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        server.stop_handle().pause();
        assert_eq!(server.handle_request().unwrap(), Handled::TimedOut);
        assert_eq!(server.stats().accepted, 0);
        server.stop_handle().resume();
        assert_eq!(server.handle_request().unwrap(), Handled::Request);
        assert_eq!(common::read_line(&client), "hello");
    }
}

/// The harness has threads, and so `Fork` does not start.
#[cfg(unix)]
#[test]
fn a_start_that_fails_leaves_the_server_as_it_was() {
    let mut server = Builder::<Tcp, socketserver::Fork, _>::new(|| Echo).bind("127.0.0.1:0").unwrap();
    let address = server.local_addr();
    for _ in 0..2 {
        let error = server.handle_request().unwrap_err();
        assert!(matches!(error, socketserver::ServeError::NotSingleThreaded { .. }), "{error}");
        assert_eq!(server.local_addr(), address);
        assert!(std::os::fd::AsFd::as_fd(&server).try_clone_to_owned().is_ok());
    }
    assert!(std::net::TcpStream::connect(address).is_ok(), "it listens");
}
