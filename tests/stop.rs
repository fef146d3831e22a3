//! Stopping takes effect at once, from anywhere, at any time, and ends.

#[macro_use]
mod common;

use std::io::BufRead;
use std::io::Read;
use std::io::Write;
use std::net::SocketAddr;
use std::net::TcpStream;
use std::time::Duration;

use common::Beside;
use common::Count;
use common::Listen;
use common::Log;
use common::Seen;
use common::Start;
use common::channel;
use common::echo::Echo;
use socketserver::Builder;
use socketserver::End;
use socketserver::Flow;
use socketserver::Refusal;
use socketserver::Stream;
use socketserver::Tcp;
use socketserver::TcpServer;
use socketserver::ThreadingTcpServer;

type Connection = Stream<TcpStream>;

/// A client whose handler has said that it is inside `handle`.
fn client_inside(address: SocketAddr, entered: &common::Receiver<()>) -> TcpStream {
    let mut client = common::connect(address);
    client.write_all(b"begin\n").unwrap();
    entered.recv_timeout(common::PATIENCE).unwrap();
    client
}

/// Sends lines without end, and reads what comes, until the server has closed the connection; tells of the first answer.
fn send_without_end(address: SocketAddr) -> TcpStream {
    let client = common::connect(address);
    let (mut sends, mut reads) = (client.try_clone().unwrap(), client.try_clone().unwrap());
    let (answered, is_answered) = std::sync::mpsc::channel();
    std::thread::spawn(move || while sends.write_all(&b"abc\n".repeat(2_000)).is_ok() {});
    std::thread::spawn(move || {
        let mut room = vec![0; 1 << 16];
        while matches!(reads.read(&mut room), Ok(1..)) {
            let _ = answered.send(());
        }
    });
    is_answered.recv_timeout(common::PATIENCE).unwrap();
    client
}

under_each_dispatch! {
    fn a_loop_whose_client_sends_without_end_is_cut_off_at_the_deadline<D>() {
        let server = Builder::<Tcp, D, _>::new(socketserver::handler::function(|request: &mut Connection| {
            let mut line = String::new();
            while request.read_line(&mut line)? > 0 {
                request.write_all(line.as_bytes())?;
                line.clear();
            }
            Ok(Flow::Close)
        }))
        .drain_timeout(Duration::from_millis(200))
        .start();
        let client = send_without_end(server.local_addr());
        let report = server.stop();
        drop(client);
        assert_eq!((report.forced, report.abandoned), (1, 0), "{report}");
    }

    fn a_loop_that_waits_for_messages_ends_though_more_have_come<D>()
    but_fork("a signal ends a child that a busy machine has kept from running") {
        let server = Builder::<Tcp, D, _>::new(socketserver::handler::function(|request: &mut Connection| {
            // It is an error under `Sync`, where the server calls again.
            while request.wait_for_message().or_else(|error| match error.kind() {
                std::io::ErrorKind::Unsupported => Ok(!request.buffered().is_empty()),
                _ => Err(error),
            })? {
                let mut line = String::new();
                request.read_line(&mut line)?;
                request.write_all(line.as_bytes())?;
                if request.turn_is_over() {
                    break;
                }
            }
            Ok(Flow::Continue)
        }))
        .start();
        let client = send_without_end(server.local_addr());
        let report = server.stop();
        drop(client);
        assert_eq!((report.forced, report.abandoned), (0, 0), "{report}");
    }

    fn before_serving_it_is_not_forgotten<D>() {
        let server = Builder::<Tcp, D, _>::new(|| Echo).listen();
        let client = common::connect(server.local_addr());
        server.stop_handle().shutdown();
        let report = server.serve_forever();
        // The client in the backlog believes that it is connected: it is turned away, not reset.
        assert_eq!(common::read_rest(client), b"");
        assert_eq!((report.accepted, report.refused), (1, 1), "{report}");
        assert!(report.seen.entries().contains(&Seen::Refused(Refusal::Stopping)));
    }

    fn while_idle_it_ends_and_frees_the_port<D>() {
        let server = Builder::<Tcp, D, _>::new(|| Echo).start();
        let address = server.local_addr();
        let report = server.stop();
        assert_eq!(report.accepted, 0);
        TcpStream::connect(address).unwrap_err();
        TcpServer::bind(address, || Echo).unwrap();
    }

    fn after_serving_it_changes_nothing<D>() {
        let server = Builder::<Tcp, D, _>::new(|| Echo).start();
        let stop = server.stop_handle();
        server.stop();
        stop.shutdown();
        stop.shutdown_now();
        stop.pause();
        stop.resume();
        assert!(stop.is_stopping());
    }

    fn by_somebody_else_is_seen_without_waiting_for_it<D>() {
        let server = Builder::<Tcp, D, _>::new(|| Echo).start();
        assert!(!server.is_finished());
        let client = common::connect(server.local_addr());
        assert_eq!(common::ask(&client, "hello"), "hello");
        assert_eq!(server.stats_handle().snapshot().accepted, 1);
        server.stop_handle().shutdown();
        common::eventually("the server has ended", || server.is_finished());
        let report = server.join();
        assert_eq!(report.accepted, 1, "{report}");
    }

    fn from_a_handler_lets_that_handler_finish<D>() {
        let server = Builder::<Tcp, D, _>::new(socketserver::handler::function(|request: &mut Connection| {
            request.read_line(&mut String::new())?;
            request.stop_handle().expect("it is served").shutdown();
            assert!(request.is_stopping());
            request.write_all(b"stopped\n")?;
            Ok(Flow::Continue)
        }))
        .start();
        let client = common::connect(server.local_addr());
        assert_eq!(common::ask(&client, "stop"), "stopped");
        assert_eq!(common::read_rest(&client), b"");
        let report = server.join();
        assert_eq!((report.accepted, report.idle_closed), (1, 1), "{report}");
    }

    fn the_drain_is_measured_from_it<D>() {
        const BUSY: Duration = Duration::from_millis(50);
        let server = Builder::<Tcp, D, _>::new(socketserver::handler::function(|request: &mut Connection| {
            request.read_line(&mut String::new())?;
            request.stop_handle().expect("it is served").shutdown();
            std::thread::sleep(BUSY);
            Ok(Flow::Close)
        }))
        .start();
        let mut client = common::connect(server.local_addr());
        client.write_all(b"stop\n").unwrap();
        let report = server.join();
        assert!(report.drained_in >= BUSY, "{report}");
    }

    fn no_request_is_handled_after_it<D>() {
        let calls = Count::default();
        let counted = calls.clone();
        let (entered, on_entry) = channel();
        let (go_on, wait) = channel();
        let server = Builder::<Tcp, D, _>::new(socketserver::handler::function(move |request: &mut Connection| {
            request.read_line(&mut String::new())?;
            counted.add_one();
            entered.send(())?;
            wait.recv()?;
            request.write_all(b"done\n")?;
            Ok(Flow::Close)
        }))
        .start();
        let stop = server.stop_handle();
        let first = client_inside(server.local_addr(), &on_entry);
        stop.shutdown();
        // The server is told to stop before these speak: they are turned away or find nobody, but are never handled.
        let mut late = Vec::new();
        for _ in 0..5 {
            if let Ok(mut client) = TcpStream::connect(server.local_addr()) {
                client.set_read_timeout(Some(common::PATIENCE)).unwrap();
                let _ = client.write_all(b"late\n");
                late.push(client);
            }
        }
        go_on.send(()).unwrap();
        assert_eq!(common::read_rest(first), b"done\n");
        let report = server.join();
        for mut client in late {
            let mut rest = Vec::new();
            // Closed, or reset: its line may still be unread.
            let _ = client.read_to_end(&mut rest);
            assert_eq!(rest, b"");
        }
        assert_eq!((calls.get(), report.finished), (1, 1), "{report}");
    }

    fn busy_handlers_finish_within_the_drain<D>() {
        let (entered, on_entry) = channel();
        let server = Builder::<Tcp, D, _>::new(socketserver::handler::function(move |request: &mut Connection| {
            request.read_line(&mut String::new())?;
            entered.send(())?;
            // The rest of the conversation, inside one call.
            let mut line = String::new();
            request.read_line(&mut line)?;
            assert!(request.is_stopping());
            request.write_all(line.as_bytes())?;
            Ok(Flow::Close)
        }))
        .start();
        let stop = server.stop_handle();
        let mut client = client_inside(server.local_addr(), &on_entry);
        stop.shutdown();
        client.write_all(b"end\n").unwrap();
        assert_eq!(common::read_rest(client), b"end\n");
        let report = server.join();
        assert_eq!((report.finished, report.is_clean()), (1, true), "{report}");
    }

    fn a_blocked_read_is_interrupted_at_the_deadline<D>()
    but_fork("a signal ends a child that a busy machine has kept from running") {
        let (entered, on_entry) = channel();
        let errors = Log::<(bool, bool)>::default();
        let server = Builder::<Tcp, D, _>::new(socketserver::handler::function(move |request: &mut Connection| {
            request.read_line(&mut String::new())?;
            entered.send(())?;
            request.read_line(&mut String::new())?;
            Ok(Flow::Continue)
        }))
        .read_timeout(None)
        .on_error({
            let errors = errors.clone();
            move |error, peer| errors.push((error.is_stopping(), peer.is_some()))
        })
        .start();
        let stop = server.stop_handle();
        let client = client_inside(server.local_addr(), &on_entry);
        stop.shutdown_within(Duration::from_millis(50));
        let report = server.join();
        assert_eq!((report.accepted, report.forced, report.abandoned), (1, 1, 0), "{report}");
        assert_eq!(errors.entries(), [(true, true)]);
        assert_eq!(report.seen.ends(), [End::Forced]);
        assert_eq!(common::read_rest(client), b"");
    }

    fn a_blocked_write_is_interrupted_at_the_deadline<D>() {
        let (entered, on_entry) = channel();
        let server = Builder::<Tcp, D, _>::new(socketserver::handler::function(move |request: &mut Connection| {
            request.read_line(&mut String::new())?;
            entered.send(())?;
            // The client does not read: at some point the kernel takes no more.
            loop {
                request.write_all(&[b'x'; 16 << 10])?;
            }
        }))
        .write_timeout(None)
        .start();
        let stop = server.stop_handle();
        let _client = client_inside(server.local_addr(), &on_entry);
        stop.shutdown_within(Duration::from_millis(50));
        let report = server.join();
        assert_eq!((report.accepted, report.forced, report.abandoned), (1, 1, 0), "{report}");
        assert_eq!(report.seen.ends(), [End::Forced]);
    }

    fn a_second_one_shortens_the_deadline<D>() {
        let (entered, on_entry) = channel();
        let server = Builder::<Tcp, D, _>::new(socketserver::handler::function(move |request: &mut Connection| {
            request.read_line(&mut String::new())?;
            entered.send(())?;
            request.read_line(&mut String::new())?;
            Ok(Flow::Continue)
        }))
        .read_timeout(None)
        .drain_timeout(Duration::MAX)
        .start();
        let stop = server.stop_handle();
        let client = client_inside(server.local_addr(), &on_entry);
        // The first would wait for ever, and so would the third.
        stop.shutdown();
        stop.shutdown_within(Duration::from_millis(20));
        stop.shutdown();
        let report = server.join();
        assert_eq!((report.accepted, report.forced), (1, 1), "{report}");
        assert_eq!(common::read_rest(client), b"");
    }

    fn idle_connections_end_and_see_a_clean_close<D>() {
        let server = Builder::<Tcp, D, _>::new(|| Echo).start();
        let spoken = common::connect(server.local_addr());
        assert_eq!(common::ask(&spoken, "hello"), "hello");
        let silent = common::connect(server.local_addr());
        common::eventually("both are accepted", || server.stats().accepted == 2);
        let report = server.stop();
        assert_eq!(common::read_rest(spoken), b"");
        assert_eq!(common::read_rest(silent), b"");
        assert_eq!((report.accepted, report.idle_closed, report.is_clean()), (2, 2, true), "{report}");
    }

    fn a_client_that_does_not_close_does_not_hold_it_up<D>() {
        let server = Builder::<Tcp, D, _>::new(socketserver::handler::function(|request: &mut Connection| {
            request.read_line(&mut String::new())?;
            request.write_all(b"bye\n")?;
            Ok(Flow::Close)
        }))
        .linger(Duration::from_secs(3600), usize::MAX)
        .drain_timeout(common::PATIENCE)
        .start();
        let client = common::connect(server.local_addr());
        // The end of input: from here on the server only waits for the client to close.
        assert_eq!(common::ask(&client, "hello"), "bye");
        assert_eq!(common::read_rest(&client), b"");
        let report = server.stop();
        assert_eq!((report.accepted, report.finished), (1, 1), "{report}");
        assert!(!report.seen.entries().contains(&Seen::DrainForce));
    }

    fn a_pause_keeps_clients_waiting_and_resume_serves_them<D>() {
        let server = Builder::<Tcp, D, _>::new(|| Echo).listen();
        let stop = server.stop_handle();
        // Before serving, so that no connection slips in.
        stop.pause();
        let server = server.start();
        let mut client = common::connect(server.local_addr());
        client.write_all(b"hello\n").unwrap();
        client.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
        let silence = client.read(&mut [0; 1]).unwrap_err();
        assert!(matches!(silence.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut), "{silence}");
        assert_eq!(server.stats().accepted, 0);
        stop.resume();
        client.set_read_timeout(Some(common::PATIENCE)).unwrap();
        assert_eq!(common::read_line(&client), "hello");
        // Connections that are open are served on while the server is paused.
        stop.pause();
        assert_eq!(common::ask(&client, "still there"), "still there");
        let report = server.stop();
        assert_eq!(report.accepted, 1);
    }

    fn racing_with_the_start_it_always_ends<D>() {
        for _ in 0..20 {
            let server = Builder::<Tcp, D, _>::new(|| Echo).listen();
            let stop = server.stop_handle();
            let ((is_ready, ready), (both_are, go)) = (channel::<()>(), channel::<()>());
            let stopper = Beside::start(move || {
                is_ready.send(()).unwrap();
                go.recv().unwrap();
                stop.shutdown();
            });
            ready.recv().unwrap();
            both_are.send(()).unwrap();
            assert_eq!(server.serve_forever().accepted, 0);
            stopper.join();
        }
    }

    fn a_server_that_never_served_is_dropped_without_a_word<D>() {
        let server = Builder::<Tcp, D, _>::new(|| Echo).listen();
        let address = server.local_addr();
        drop(server);
        TcpStream::connect(address).unwrap_err();
    }
}

#[test]
fn from_many_threads_at_once_it_ends_once() {
    let server = ThreadingTcpServer::builder(|| Echo).start();
    let stop = server.stop_handle();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| stop.shutdown());
        }
    });
    let report = server.join();
    let phases: Vec<_> = report.seen.entries();
    assert_eq!(phases, [Seen::ListenStart, Seen::DrainStart, Seen::ListenStop]);
}

/// Every way to end in one run; the figures of the report say how often each was taken.
#[test]
fn the_report_adds_up() {
    let (entered, on_entry) = channel();
    let server = ThreadingTcpServer::builder_fn(move |request| {
        let mut line = String::new();
        request.read_line(&mut line)?;
        match line.as_str() {
            "close\n" => Ok(Flow::Close),
            "fail\n" => Err("on purpose".into()),
            "panic\n" => std::panic::resume_unwind(Box::new("on purpose")),
            "block\n" => {
                entered.send(())?;
                request.read_line(&mut line)?;
                Ok(Flow::Continue)
            }
            _ => {
                request.write_all(line.as_bytes())?;
                Ok(Flow::Continue)
            }
        }
    })
    .start();
    let stop = server.stop_handle();
    let address = server.local_addr();
    for line in ["close\n", "fail\n", "panic\n", "close\n"] {
        let mut client = common::connect(address);
        client.write_all(line.as_bytes()).unwrap();
        assert_eq!(common::read_rest(client), b"");
    }
    let leaves = common::connect(address);
    assert_eq!(common::ask(&leaves, "hello"), "hello");
    drop(leaves);
    let stays = common::connect(address);
    assert_eq!(common::ask(&stays, "hello"), "hello");
    let mut blocks = common::connect(address);
    blocks.write_all(b"block\n").unwrap();
    on_entry.recv_timeout(common::PATIENCE).unwrap();
    server.seen.wait_for_ends(5);
    stop.shutdown_within(Duration::from_millis(20));
    let report = server.join();
    let counts = (report.finished, report.failed, report.idle_closed, report.forced, report.refused);
    assert_eq!((report.accepted, counts), (7, (3, 2, 1, 1, 0)), "{report}");
    assert_eq!(
        report.to_string().split(';').next(),
        Some("7 accepted: 3 finished, 1 idle closed, 1 forced (0 abandoned), 0 refused, 2 failed")
    );
}
