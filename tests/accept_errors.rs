//! Errors of accept, forced by a scripted transport: retried, waited out without spinning, or fatal; told once an
//! episode.
#![cfg(all(unix, feature = "testing"))]

#[macro_use]
mod common_faults;

use std::io::BufRead;
use std::io::Write;
use std::net::TcpStream;
use std::sync::Mutex;
use std::sync::mpsc;

use common_faults::PATIENCE;
use common_faults::ask;
use common_faults::connect;
use common_faults::eventually;
use common_faults::read_line;
use common_faults::read_rest;
use socketserver::Builder;
use socketserver::Flow;
use socketserver::HandlerResult;
use socketserver::ServeError;
use socketserver::Stage;
use socketserver::Stream;
use socketserver::Tcp;
use socketserver::handler::function;
use socketserver::testing::Accept;
use socketserver::testing::CheckingObserver;
use socketserver::testing::Faulty;
use socketserver::testing::Script;

fn echo_line(request: &mut Stream<TcpStream>) -> HandlerResult {
    let mut line = String::new();
    request.read_line(&mut line)?;
    request.write_all(line.as_bytes())?;
    Ok(Flow::Continue)
}

under_every_dispatch! {
    fn out_of_descriptors_is_waited_out_and_told_once() {
        let (script, observer) = (Script::new(), CheckingObserver::new());
        script.fail(&[libc::EMFILE; 5]);
        let (errors, told) = mpsc::channel();
        let errors = Mutex::new(errors);
        let server = Builder::<Faulty<Tcp>, Dispatch, _>::new(function(echo_line))
            .transport_options(script.options())
            .on_error(move |error, _| errors.lock().unwrap().send((error.stage(), error.to_string())).unwrap())
            .observed(observer.clone())
            .bind("127.0.0.1:0")
            .unwrap()
            .serve_in_background()
            .unwrap();

        let mut client = connect(server.local_addr());
        assert_eq!(ask(&mut client, "hello\n"), "hello\n");
        drop(client);
        let report = server.shutdown().unwrap();

        assert_eq!(observer.accept_failing(), 1);
        assert_eq!(observer.accept_recovered(), [5]);
        assert_eq!(observer.accept_lost(), 0);
        assert_eq!(script.failures(), 5);
        let told: Vec<_> = told.try_iter().collect();
        assert_eq!(told.len(), 1, "{told:?}");
        assert_eq!(told[0].0, Stage::Accept);
        assert_eq!(report.accepted, 1);
        observer.assert_adds_up(&report);
    }

    fn every_shortage_is_waited_out_and_each_episode_told() {
        let (script, observer) = (Script::new(), CheckingObserver::new());
        let server = Builder::<Faulty<Tcp>, Dispatch, _>::new(function(echo_line))
            .transport_options(script.options())
            .observed(observer.clone())
            .bind("127.0.0.1:0")
            .unwrap()
            .serve_in_background()
            .unwrap();

        let shortages = [libc::EMFILE, libc::ENFILE, libc::ENOBUFS, libc::ENOMEM];
        for error in shortages {
            script.push([Accept::Error(error), Accept::Error(error), Accept::Real]);
            let mut client = connect(server.local_addr());
            assert_eq!(ask(&mut client, "hello\n"), "hello\n");
        }
        let report = server.shutdown().unwrap();

        assert_eq!(script.remaining(), 0);
        assert_eq!(observer.accept_failing(), 4);
        assert_eq!(observer.accept_recovered(), [2; 4]);
        assert_eq!(report.accepted, 4);
        observer.assert_adds_up(&report);
    }

    fn connections_are_served_while_accepting_backs_off_and_nothing_spins() {
        let (script, observer) = (Script::new(), CheckingObserver::new());
        let server = Builder::<Faulty<Tcp>, Dispatch, _>::new(function(echo_line))
            .transport_options(script.options())
            .observed(observer.clone())
            .bind("127.0.0.1:0")
            .unwrap()
            .serve_in_background()
            .unwrap();
        let mut early = connect(server.local_addr());
        assert_eq!(ask(&mut early, "early\n"), "early\n");

        script.fail(&[libc::EMFILE; 100_000]);
        let calls_before = script.accept_calls();
        let late = connect(server.local_addr());
        eventually("six failures", || script.failures() >= 6);
        for _ in 0..100 {
            assert_eq!(ask(&mut early, "hello\n"), "hello\n");
        }
        // 5 ms doubling to 1 s: even a test that takes its whole patience sees fewer calls than this.
        let calls = script.accept_calls() - calls_before;
        assert!(calls < 60, "{calls} calls of accept");
        assert_eq!(observer.accept_failing(), 1);

        // A stop does not wait for the back-off to end.
        let report = server.shutdown().unwrap();
        assert_eq!(report.accepted, 1);
        assert!(report.is_clean(), "{report}");
        assert_eq!(read_rest(&mut early), b"");
        drop(late);
        observer.assert_adds_up(&report);
    }

    fn a_lost_connection_does_not_keep_the_next_waiting() {
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
            libc::ETIMEDOUT,
        ];
        let (script, observer) = (Script::new(), CheckingObserver::new());
        script.fail(&transient);
        let server = Builder::<Faulty<Tcp>, Dispatch, _>::new(function(echo_line))
            .transport_options(script.options())
            .observed(observer.clone())
            .bind("127.0.0.1:0")
            .unwrap()
            .serve_in_background()
            .unwrap();

        let mut client = connect(server.local_addr());
        assert_eq!(ask(&mut client, "hello\n"), "hello\n");
        let report = server.shutdown().unwrap();

        assert_eq!(observer.accept_lost(), transient.len() as u64);
        assert_eq!(observer.accept_failing(), 0);
        assert_eq!(observer.accept_recovered(), []);
        assert_eq!(report.accepted, 1);
        observer.assert_adds_up(&report);
    }

    fn a_broken_listener_ends_the_server_after_a_drain() {
        let (script, observer) = (Script::new(), CheckingObserver::new());
        let (inside, is_inside) = mpsc::channel();
        let inside = Mutex::new(inside);
        let two_lines = function(move |request: &mut Stream<TcpStream>| {
            echo_line(request)?;
            inside.lock().unwrap().send(())?;
            echo_line(request)?;
            Ok(Flow::Close)
        });
        let server = Builder::<Faulty<Tcp>, Dispatch, _>::new(two_lines)
            .transport_options(script.options())
            .observed(observer.clone())
            .bind("127.0.0.1:0")
            .unwrap()
            .serve_in_background()
            .unwrap();
        let address = server.local_addr();
        let mut busy = connect(address);
        busy.write_all(b"one\n").unwrap();
        is_inside.recv_timeout(PATIENCE).unwrap();
        assert_eq!(read_line(&mut busy), "one\n");

        script.fail(&[libc::EBADF]);
        let _late = TcpStream::connect(address).unwrap();
        if std::any::type_name::<Dispatch>() != std::any::type_name::<socketserver::Sync>() {
            // Under Sync the handler is on the loop's own thread: the listener is looked at when it is done.
            eventually("the failure", || script.failures() == 1);
        }
        assert_eq!(ask(&mut busy, "two\n"), "two\n");
        assert_eq!(read_rest(&mut busy), b"");

        let outcome = server.join();
        let Err(ServeError::Accept { source, .. }) = &outcome else { panic!("{outcome:?}") };
        assert_eq!(source.raw_os_error(), Some(libc::EBADF));
        // The one that was busy, and the late one from the backlog.
        assert_eq!(observer.ended(socketserver::End::HandlerClosed), 1);
        observer.assert_balanced();
    }
}

#[test]
fn every_error_that_no_retry_can_help_is_fatal() {
    for error in [libc::EBADF, libc::EINVAL, libc::ENOTSOCK, libc::EOPNOTSUPP, libc::EFAULT] {
        let script = Script::new();
        script.fail(&[error]);
        let server = Builder::<Faulty<Tcp>, socketserver::Sync, _>::new(function(echo_line))
            .transport_options(script.options())
            .bind("127.0.0.1:0")
            .unwrap();
        let address = server.local_addr();
        let _client = TcpStream::connect(address).unwrap();
        let error_text = server.serve_forever().unwrap_err().to_string();
        assert!(error_text.starts_with(&format!("cannot accept on {address}: ")), "{error_text}");
        assert_eq!((script.failures(), script.remaining()), (1, 0));
    }
}
