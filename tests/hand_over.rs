//! Handing over: two servers share a listener, one hands over, and no client sees a cut.
#![cfg(unix)]

#[macro_use]
mod common;

use std::io::Write;
use std::net::Shutdown;
use std::net::TcpListener;
use std::os::fd::AsFd;
use std::time::Duration;

use common::AdoptAndStart;
use common::Listen;
use common::PATIENCE;
use common::Start;
use common::TempDir;
use common::ask;
use common::connect;
use common::connect_unix;
use common::echo::Echo;
use common::eventually;
use common::read_line;
use common::read_rest;
use socketserver::Builder;
use socketserver::Flow;
use socketserver::HandlerFactory;
use socketserver::Socket;
use socketserver::Stream;
use socketserver::Tcp;
use socketserver::Udp;
use socketserver::UnixDatagram;
use socketserver::UnixStream;
use socketserver::frames;
use socketserver::frames::LinesCodec;

/// Echoes lines, and waits for the rest of one in the poller.
fn echo_lines<S: Socket>() -> impl HandlerFactory<Stream<S>, Handler: Send> + Send + Sync + 'static {
    frames::function(LinesCodec::new(), |line: &str, replies| {
        replies.send(line)?;
        Ok(Flow::Continue)
    })
}

under_each_dispatch! {
    fn what_is_open_is_served_and_closed_behind_an_answer<D>() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let old = Builder::<Tcp, D, _>::new(echo_lines()).adopt_and_start(listener.try_clone().unwrap());
        let kept_alive = connect(address);
        assert_eq!(ask(&kept_alive, "before"), "before");
        let silent = connect(address);
        let mut half = connect(address);
        half.write_all(b"ha").unwrap();
        eventually("all are accepted", || old.stats().accepted == 3);
        old.stop_handle().hand_over();
        // In the backlog, which is the next one's.
        let late = connect(address);
        let new = Builder::<Tcp, D, _>::new(|| Echo).adopt_and_start(listener);
        assert_eq!(ask(&late, "late"), "late");
        assert_eq!(ask(&silent, "first"), "first");
        half.write_all(b"lf\n").unwrap();
        assert_eq!(read_line(&half), "half");
        assert_eq!(ask(&kept_alive, "after"), "after");
        for client in [&silent, &half, &kept_alive] {
            assert_eq!(read_rest(client), b"", "closed behind its answer");
        }
        drop((silent, half, kept_alive));
        let report = old.join();
        assert_eq!((report.accepted, report.forced, report.refused, report.failed), (3, 0, 0, 0), "{report}");
        assert_eq!(ask(&late, "still here"), "still here");
        drop(late);
        assert_eq!(new.stop().accepted, 1);
    }

    fn a_request_that_crosses_the_close_meets_no_reset<D>() {
        let server = Builder::<Tcp, D, _>::new(echo_lines()).start();
        let mut client = connect(server.local_addr());
        assert_eq!(ask(&client, "one"), "one");
        server.stop_handle().hand_over();
        assert_eq!(ask(&client, "two"), "two");
        assert_eq!(read_rest(&client), b"", "closed behind its answer");
        for _ in 0..100 {
            client.write_all(b"crossed\n").expect("not reset");
        }
        drop(client);
        let report = server.join();
        assert_eq!((report.accepted, report.forced, report.failed), (1, 0, 0), "{report}");
    }

    fn who_stays_silent_is_idle_at_the_deadline<D>()
    but_fork("a child that is idle at the deadline of a hand over is counted with the busy ones") {
        let short = Duration::from_millis(100);
        let server = Builder::<Tcp, D, _>::new(|| Echo).drain_timeout(short).start();
        let clients = [connect(server.local_addr()), connect(server.local_addr())];
        assert_eq!(ask(&clients[0], "one"), "one");
        eventually("both are accepted", || server.stats().accepted == 2);
        server.stop_handle().hand_over();
        let report = server.join();
        assert!(report.drained_in >= short, "{report}");
        assert_eq!((report.accepted, report.idle_closed, report.forced), (2, 2, 0), "{report}");
        for client in &clients {
            assert_eq!(read_rest(client), b"");
        }
    }

    fn a_shutdown_ends_those_that_a_hand_over_has_kept<D>() {
        let server = Builder::<Tcp, D, _>::new(|| Echo).drain_timeout(2 * PATIENCE).start();
        let client = connect(server.local_addr());
        assert_eq!(ask(&client, "one"), "one");
        server.stop_handle().hand_over();
        server.stop_handle().shutdown();
        let report = server.join();
        assert_eq!((report.accepted, report.idle_closed, report.forced), (1, 1, 0), "{report}");
        drop(client);
    }

    fn the_file_of_a_unix_socket_stays<D>() but_fork("the process that has made it leaves it; here another serves") {
        let folder = TempDir::new();
        let path = folder.join("socket");
        let old = Builder::<UnixStream, D, _>::new(|| Echo).listen_at(&*path);
        let listener = std::os::unix::net::UnixListener::from(old.as_fd().try_clone_to_owned().unwrap());
        let old = old.start();
        old.stop_handle().hand_over();
        assert_eq!(old.join().accepted, 0);
        let client = connect_unix(&path);
        let new = Builder::<UnixStream, D, _>::new(|| Echo).adopt_and_start(listener);
        assert_eq!(ask(&client, "hello"), "hello");
        client.shutdown(Shutdown::Both).unwrap();
        new.seen.wait_for_ends(1);
    }

    fn messages_are_answered_by_one_of_the_two<D>() {
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        let old = Builder::<Udp, D, _>::new(socketserver::handler::function(common::echo::echo_message))
            .adopt_and_start(socket.try_clone().unwrap());
        let client = common::connect_udp("127.0.0.1:0", address);
        for number in 0..200_u32 {
            client.send(&number.to_be_bytes()).unwrap();
            if number == 100 {
                old.stop_handle().hand_over();
            }
        }
        let first = old.join();
        let new = Builder::<Udp, D, _>::new(socketserver::handler::function(common::echo::echo_message))
            .adopt_and_start(socket);
        let mut answers: Vec<_> = (0..200)
            .map(|_| {
                let answer = common::receive(|buffer| client.recv(buffer));
                u32::from_be_bytes(answer.try_into().unwrap())
            })
            .collect();
        answers.sort_unstable();
        assert_eq!(answers, (0..200).collect::<Vec<_>>());
        assert_eq!(first.accepted + new.stop().accepted, 200);
    }
}

#[test]
fn the_file_of_a_datagram_socket_stays() {
    let folder = TempDir::new();
    let path = folder.join("socket");
    let server = Builder::<UnixDatagram, socketserver::Sync, _>::new(socketserver::handler::function(
        common::echo::echo_message,
    ))
    .listen_at(&*path);
    server.stop_handle().hand_over();
    assert_eq!(server.serve_forever().accepted, 0);
    assert!(path.exists());
}
