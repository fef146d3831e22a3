//! Errors of accept, forced by a scripted transport: retried, waited out without spinning, or fatal; told once an
//! episode.
#![cfg(all(unix, feature = "testing"))]

#[macro_use]
mod common;

use std::io::Write;
use std::net::TcpStream;

use common::Listen;
use common::Log;
use common::PATIENCE;
use common::Start;
use common::ask;
use common::channel;
use common::connect;
use common::echo::echo_line;
use common::eventually;
use common::read_line;
use common::read_rest;
use socketserver::AtLimit;
use socketserver::Builder;
use socketserver::Flow;
use socketserver::ServeError;
use socketserver::Stage;
use socketserver::Stream;
use socketserver::Tcp;
use socketserver::handler::function;
use socketserver::testing::Accept;
use socketserver::testing::Faulty;
use socketserver::testing::Script;

under_each_dispatch! {
    fn out_of_descriptors_is_waited_out_and_told_once<D>() {
        let script = Script::new();
        script.fail(&[libc::EMFILE; 5]);
        let told = Log::<(Stage, String)>::default();
        let server = Builder::<Faulty<Tcp>, D, _>::new(function(echo_line))
            .transport_options(script.options())
            .on_error({
                let told = told.clone();
                move |error, _| told.push((error.stage(), error.to_string()))
            })
            .start();

        let client = connect(server.local_addr());
        assert_eq!(ask(&client, "hello"), "hello");
        drop(client);
        let report = server.stop();

        assert_eq!(report.seen.accept_failing(), 1);
        assert_eq!(report.seen.accept_recovered(), [5]);
        assert_eq!(report.seen.accept_lost(), 0);
        assert_eq!(script.failures(), 5);
        let told = told.entries();
        assert_eq!(told.len(), 1, "{told:?}");
        assert_eq!(told[0].0, Stage::Accept);
        assert_eq!(report.accepted, 1);
    }

    fn every_shortage_is_waited_out_and_each_episode_told<D>() {
        let script = Script::new();
        let server = Builder::<Faulty<Tcp>, D, _>::new(function(echo_line))
            .transport_options(script.options())
            .start();

        let shortages = [libc::EMFILE, libc::ENFILE, libc::ENOBUFS, libc::ENOMEM];
        for error in shortages {
            script.push([Accept::Error(error), Accept::Error(error), Accept::Real]);
            let client = connect(server.local_addr());
            assert_eq!(ask(&client, "hello"), "hello");
        }
        let report = server.stop();

        assert_eq!(script.remaining(), 0);
        assert_eq!(report.seen.accept_failing(), 4);
        assert_eq!(report.seen.accept_recovered(), [2; 4]);
        assert_eq!(report.accepted, 4);
    }

    fn connections_are_served_while_accepting_backs_off_and_nothing_spins<D>() {
        let script = Script::new();
        let server = Builder::<Faulty<Tcp>, D, _>::new(function(echo_line))
            .transport_options(script.options())
            .start();
        let early = connect(server.local_addr());
        assert_eq!(ask(&early, "early"), "early");

        script.fail(&[libc::EMFILE; 100_000]);
        let calls_before = script.accept_calls();
        let late = connect(server.local_addr());
        eventually("six failures", || script.failures() >= 6);
        for _ in 0..100 {
            assert_eq!(ask(&early, "hello"), "hello");
        }
        // 5 ms doubling to 1 s: even a test that takes its whole patience sees fewer calls than this.
        let calls = script.accept_calls() - calls_before;
        assert!(calls < 60, "{calls} calls of accept");
        assert_eq!(server.seen.accept_failing(), 1);

        // A stop does not wait for the back-off to end.
        let report = server.stop();
        assert_eq!(report.accepted, 1);
        assert!(report.is_clean(), "{report}");
        assert_eq!(read_rest(&early), b"");
        drop(late);
    }

    fn a_lost_connection_does_not_keep_the_next_waiting<D>() {
        let transient = [
            libc::ECONNABORTED,
            libc::EINTR,
            libc::EPERM,
            libc::EPROTO,
            libc::ENOPROTOOPT,
            libc::ENETDOWN,
            libc::ENETUNREACH,
            libc::EHOSTDOWN,
            libc::EHOSTUNREACH,
            libc::ECONNRESET,
            libc::EOPNOTSUPP,
            libc::ETIMEDOUT,
        ];
        let script = Script::new();
        script.fail(&transient);
        let server = Builder::<Faulty<Tcp>, D, _>::new(function(echo_line))
            .transport_options(script.options())
            .start();

        let client = connect(server.local_addr());
        assert_eq!(ask(&client, "hello"), "hello");
        let report = server.stop();

        assert_eq!(report.seen.accept_lost(), transient.len() as u64);
        assert_eq!(report.seen.accept_failing(), 0);
        assert_eq!(report.seen.accept_recovered(), []);
        assert_eq!(report.accepted, 1);
    }

    fn connections_that_are_lost_without_end_are_no_reason_to_spin<D>() {
        let script = Script::new();
        let server = Builder::<Faulty<Tcp>, D, _>::new(function(echo_line))
            .transport_options(script.options())
            .start();
        let early = connect(server.local_addr());
        assert_eq!(ask(&early, "early"), "early");
        script.fail(&[libc::ECONNABORTED; 1_000_000]);
        let calls_before = script.accept_calls();
        let late = connect(server.local_addr());
        eventually("more than one burst", || script.failures() >= 40);
        for _ in 0..100 {
            assert_eq!(ask(&early, "hello"), "hello");
        }
        // Bursts of 17 with 5 ms doubling to 1 s between them, for as long as a test has patience.
        let calls = script.accept_calls() - calls_before;
        assert!(calls < 1_000, "{calls} calls of accept");
        assert!(server.seen.accept_lost() >= 16);
        assert_eq!(server.seen.accept_failing(), 1);
        drop((early, late));
        server.seen.wait_for_ends(1);
    }

    fn a_full_server_that_refuses_does_not_spin_when_it_cannot_accept<D>() {
        let script = Script::new();
        let server = Builder::<Faulty<Tcp>, D, _>::new(function(echo_line))
            .transport_options(script.options())
            .max_connections(1)
            .at_limit(AtLimit::Refuse(Vec::new()))
            .start();
        let early = connect(server.local_addr());
        assert_eq!(ask(&early, "early"), "early");
        script.fail(&[libc::EMFILE; 1_000_000]);
        let calls_before = script.accept_calls();
        let late = connect(server.local_addr());
        eventually("six failures", || script.failures() >= 6);
        for _ in 0..100 {
            assert_eq!(ask(&early, "hello"), "hello");
        }
        let calls = script.accept_calls() - calls_before;
        assert!(calls < 60, "{calls} calls of accept");
        assert_eq!(server.seen.accept_failing(), 1);
        drop((early, late));
        server.seen.wait_for_ends(1);
    }

    fn a_broken_listener_ends_the_server_after_a_drain<D>() {
        let script = Script::new();
        let (inside, is_inside) = channel();
        let two_lines = function(move |request: &mut Stream<TcpStream>| {
            echo_line(request)?;
            inside.send(())?;
            echo_line(request)?;
            Ok(Flow::Close)
        });
        let server = Builder::<Faulty<Tcp>, D, _>::new(two_lines).transport_options(script.options()).start();
        let address = server.local_addr();
        let mut busy = connect(address);
        busy.write_all(b"one\n").unwrap();
        is_inside.recv_timeout(PATIENCE).unwrap();
        assert_eq!(read_line(&busy), "one");

        script.fail(&[libc::EBADF]);
        let _late = TcpStream::connect(address).unwrap();
        if std::any::type_name::<D>() != std::any::type_name::<socketserver::Sync>() {
            // Under Sync the handler is on the loop's own thread: the listener is looked at when it is done.
            eventually("the failure", || script.failures() == 1);
        }
        assert_eq!(ask(&busy, "two"), "two");
        assert_eq!(read_rest(&busy), b"");

        let seen = server.seen.clone();
        let outcome = server.try_join();
        let Err(ServeError::Accept { source, .. }) = &outcome else { panic!("{outcome:?}") };
        assert_eq!(source.raw_os_error(), Some(libc::EBADF));
        // The one that was busy, and the late one from the backlog.
        assert_eq!(seen.ended(socketserver::End::HandlerClosed), 1);
    }
}

#[test]
fn every_error_that_no_retry_can_help_is_fatal() {
    for error in [libc::EBADF, libc::EINVAL, libc::ENOTSOCK, libc::EFAULT] {
        let script = Script::new();
        script.fail(&[error]);
        let server = Builder::<Faulty<Tcp>, socketserver::Sync, _>::new(function(echo_line))
            .transport_options(script.options())
            .listen();
        let address = server.local_addr();
        let _client = TcpStream::connect(address).unwrap();
        let error_text = server.try_serve_forever().unwrap_err().to_string();
        assert!(error_text.starts_with(&format!("cannot accept on {address}: ")), "{error_text}");
        assert_eq!((script.failures(), script.remaining()), (1, 0));
    }
}
