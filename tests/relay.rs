//! `Flow::Relay`: bytes are carried both ways between a client and a connection of the handler's own, under the server's
//! timeouts, its drain and its counters.

#![cfg(target_os = "linux")]

#[macro_use]
mod common;

use std::io;
use std::io::BufRead;
use std::io::ErrorKind;
use std::io::Read;
use std::io::Write;
use std::net::Shutdown;
use std::net::SocketAddr;
use std::net::TcpListener;
use std::net::TcpStream;
use std::os::fd::AsFd;
use std::os::unix::net;
use std::time::Duration;

use common::Beside;
use common::Count;
use common::PATIENCE;
use common::Seen;
use common::Start;
use common::channel;
use common::streams::Streams;
use socketserver::Builder;
use socketserver::End;
use socketserver::Flow;
use socketserver::Handler;
use socketserver::HandlerResult;
use socketserver::Socket;
use socketserver::Stream;
use socketserver::Tcp;
use socketserver::Traffic;
use socketserver::handler::function;
use socketserver::transport::Descriptor;

type Connection = Stream<TcpStream>;

/// Greets a client that has sent a line, and relays it to this address.
#[derive(Clone, Copy)]
struct To(SocketAddr);

impl<S: Socket> Handler<Stream<S>> for To {
    fn handle(&mut self, request: &mut Stream<S>) -> HandlerResult {
        let mut line = String::new();
        request.read_line(&mut line)?;
        // Only what is relayed is to be idle for too long.
        if let Some(milliseconds) = line.trim().strip_prefix("idle ") {
            request.set_idle_timeout(Duration::from_millis(milliseconds.parse()?));
        }
        request.write_all(b"hello\n")?;
        request.relay_to(TcpStream::connect(self.0)?)?;
        Ok(Flow::Relay)
    }
}

/// What the relays lead to, served by the test.
fn upstream() -> (TcpListener, To) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let to = To(listener.local_addr().unwrap());
    (listener, to)
}

fn accept(listener: &TcpListener) -> TcpStream {
    let (socket, _) = listener.accept().unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket.set_write_timeout(Some(PATIENCE)).unwrap();
    socket
}

/// A client of a relay and its other side: what was sent with the first line has arrived.
fn relayed<C: Read + Write>(mut client: C, upstream: &TcpListener, first: &str) -> (C, TcpStream) {
    client.write_all(format!("{first}\nearly").as_bytes()).unwrap();
    assert_eq!(common::read_line(&mut client), "hello");
    let mut other = accept(upstream);
    assert_eq!(take(&mut other, 5), b"early");
    (client, other)
}

fn take(mut from: impl Read, count: usize) -> Vec<u8> {
    let mut bytes = vec![0; count];
    from.read_exact(&mut bytes).unwrap();
    bytes
}

/// Says something on each side, which the other hears.
fn ping(mut one: impl Read + Write, mut other: impl Read + Write) {
    one.write_all(b"ping").unwrap();
    assert_eq!(take(&mut other, 4), b"ping");
    other.write_all(b"pong").unwrap();
    assert_eq!(take(&mut one, 4), b"pong");
}

/// Counts the calls.
struct Counted(net::UnixStream, Count);

impl Read for Counted {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        self.1.add_one();
        self.0.read(bytes)
    }
}

impl Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.1.add_one();
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Socket for Counted {
    type Addr = ();

    fn descriptor(&self) -> Descriptor<'_> {
        self.0.as_fd()
    }

    fn shutdown_write(&mut self) -> io::Result<()> {
        self.0.shutdown(Shutdown::Write)
    }
}

fn is_reset(mut side: impl Read) -> bool {
    let mut rest = Vec::new();
    side.read_to_end(&mut rest).is_err_and(|error| error.kind() == ErrorKind::ConnectionReset)
}

/// Bytes that differ from those of the other direction, and from their neighbours.
fn pattern(length: usize, step: u8) -> Vec<u8> {
    let mut bytes = (0..251_u8).map(|at| at.wrapping_mul(step)).collect::<Vec<_>>().repeat(length.div_ceil(251));
    bytes.truncate(length);
    bytes
}

over_each_stream! {
    fn bytes_and_ends_are_carried_both_ways<T, D>() {
        let (listener, to) = upstream();
        let server = Builder::<T, D, _>::new(move || to).transport_options(T::options()).start_at(T::place());
        for client_ends_first in [true, false] {
            let client = T::connect(&server.local_addr());
            let (mut client, mut other) = relayed(client, &listener, "go");
            ping(&mut client, &mut other);
            if client_ends_first {
                T::half_close(&mut client);
                assert_eq!(common::read_rest(&other), b"");
                other.write_all(b"all the same").unwrap();
                assert_eq!(take(&mut client, 12), b"all the same");
                drop(other);
                assert_eq!(common::read_rest(&mut client), b"");
            } else {
                other.shutdown(Shutdown::Write).unwrap();
                assert_eq!(common::read_rest(&mut client), b"");
                client.write_all(b"all the same").unwrap();
                assert_eq!(take(&mut other, 12), b"all the same");
                T::half_close(&mut client);
                assert_eq!(common::read_rest(&other), b"");
            }
        }
        assert_eq!(server.seen.wait_for_ends(2), [End::PeerClosed; 2]);
        assert_eq!(server.stop().finished, 2);
    }

    fn much_is_carried_both_ways_at_a_time<T, D>() {
        const LENGTH: usize = 4 << 20;
        let (listener, to) = upstream();
        let server = Builder::<T, D, _>::new(move || to).transport_options(T::options()).start_at(T::place());
        let (mut client, other) = relayed(T::connect(&server.local_addr()), &listener, "go");
        // The other side reads only when it has written everything.
        let beside = Beside::start(move || {
            (&other).write_all(&pattern(LENGTH, 3)).unwrap();
            assert!(common::read_rest(&other) == pattern(LENGTH, 7), "the other side has got something else");
        });
        let mut received = Vec::new();
        for piece in pattern(LENGTH, 7).chunks(LENGTH / 64) {
            received.extend(take(&mut client, piece.len()));
            client.write_all(piece).unwrap();
        }
        T::half_close(&mut client);
        beside.join();
        assert!(received == pattern(LENGTH, 3), "the client has got something else");
        assert_eq!(common::read_rest(client), b"");
        assert_eq!(server.stop().finished, 1);
    }
}

under_each_dispatch! {
    fn a_side_that_does_not_read_does_not_stop_the_other_direction<D>() {
        const LENGTH: usize = 32 << 20;
        let (listener, to) = upstream();
        let server = Builder::<Tcp, D, _>::new(move || to).start();
        let (client, other) = relayed(common::connect(server.local_addr()), &listener, "go");
        let sends = client.try_clone().unwrap();
        let beside = Beside::start(move || {
            (&sends).write_all(&pattern(LENGTH, 7)).unwrap();
            sends.shutdown(Shutdown::Write).unwrap();
        });
        for _ in 0..100 {
            (&other).write_all(b"pong").unwrap();
            assert_eq!(take(&client, 4), b"pong");
        }
        assert!(common::read_rest(&other) == pattern(LENGTH, 7), "the other side has got something else");
        beside.join();
        drop((client, other));
        server.stop();
    }

    fn relays_hold_no_thread_where_others_do_not<D>() {
        let (listener, to) = upstream();
        let server = Builder::<Tcp, D, _>::new(move || to).start();
        let mut relays: Vec<_> =
            (0..30).map(|_| relayed(common::connect(server.local_addr()), &listener, "go")).collect();
        for _ in 0..3 {
            relays.iter_mut().for_each(|(client, other)| ping(client, other));
        }
        drop(relays);
        assert_eq!(server.stop().finished, 30);
    }

    fn a_drain_waits_for_a_relay<D>() {
        let (listener, to) = upstream();
        for hands_over in [false, true] {
            let server = Builder::<Tcp, D, _>::new(move || to).drain_timeout(PATIENCE).start();
            let (client, other) = relayed(common::connect(server.local_addr()), &listener, "go");
            if hands_over {
                server.stop_handle().hand_over();
            } else {
                server.stop_handle().shutdown();
            }
            common::eventually("the drain begins", || server.seen.entries().contains(&Seen::DrainStart));
            ping(&client, &other);
            drop(client);
            assert_eq!(common::read_rest(&other), b"");
            drop(other);
            let report = server.join();
            assert_eq!((report.finished, report.forced), (1, 0), "{report}");
        }
    }

    fn at_the_deadline_both_sides_are_reset<D>() {
        let (listener, to) = upstream();
        for hands_over in [false, true] {
            let server = Builder::<Tcp, D, _>::new(move || to).drain_timeout(Duration::from_millis(50)).start();
            let (client, other) = relayed(common::connect(server.local_addr()), &listener, "go");
            if hands_over {
                server.stop_handle().hand_over();
            } else {
                server.stop_handle().shutdown();
            }
            assert_eq!((is_reset(client), is_reset(other)), (true, true));
            let report = server.join();
            assert_eq!((report.forced, report.failed), (1, 0), "{report}");
        }
    }

    fn a_deadline_ends_a_relay_that_never_waits<D>() {
        let (listener, to) = upstream();
        let server = Builder::<Tcp, D, _>::new(move || to).drain_timeout(Duration::from_millis(50)).start();
        let (client, other) = relayed(common::connect(server.local_addr()), &listener, "go");
        let (sends, hears) = (client.try_clone().unwrap(), other.try_clone().unwrap());
        let writes = Beside::start(move || while (&sends).write_all(&[b'x'; 64 << 10]).is_ok() {});
        let reads = Beside::start(move || while (&hears).read(&mut [0; 64 << 10]).is_ok_and(|count| count > 0) {});
        server.stop_handle().shutdown();
        assert_eq!(server.join().forced, 1);
        writes.join();
        reads.join();
    }

    fn an_idle_relay_is_closed<D>() {
        let (listener, to) = upstream();
        let server = Builder::<Tcp, D, _>::new(move || to).start();
        let (client, other) = relayed(common::connect(server.local_addr()), &listener, "idle 50");
        assert_eq!((common::read_rest(client), common::read_rest(other)), (vec![], vec![]));
        assert_eq!(server.seen.wait_for_ends(1), [End::IdleTimeout]);
        assert_eq!(server.stop().idle_closed, 1);
    }

    fn a_relay_that_is_stuck_is_idle_and_both_sides_are_reset<D>() {
        // More than all that is between the two can hold; made before there is something that could be idle.
        let bytes = vec![b'x'; 32 << 20];
        let (listener, to) = upstream();
        let server = Builder::<Tcp, D, _>::new(move || to).start();
        let (client, other) = relayed(common::connect(server.local_addr()), &listener, "idle 2000");
        let sent = (&client).write_all(&bytes);
        assert!(matches!(sent.unwrap_err().kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe));
        assert!(is_reset(other), "what it has got looks like all");
        assert_eq!(server.seen.wait_for_ends(1), [End::IdleTimeout]);
        server.stop();
    }

    fn what_waits_for_room_is_not_looked_at_meanwhile<D>() {
        let bytes = vec![b'x'; 32 << 20];
        let calls = Count::default();
        let counted = calls.clone();
        let (other, deaf) = net::UnixStream::pair().unwrap();
        let server = Builder::<Tcp, D, _>::new(function(move |request: &mut Connection| {
            request.read_line(&mut String::new())?;
            request.set_idle_timeout(Duration::from_millis(500));
            request.relay_to(Counted(other.try_clone()?, counted.clone()))?;
            Ok(Flow::Relay)
        }))
        .start();
        let client = common::connect(server.local_addr());
        (&client).write_all(b"go\n").unwrap();
        let sent = (&client).write_all(&bytes);
        assert!(matches!(sent.unwrap_err().kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe));
        assert_eq!(server.seen.wait_for_ends(1), [End::IdleTimeout]);
        // What the kernel takes is some hundred kilobytes; in half a second there is time for a hundred thousand calls.
        assert!(calls.get() < 2_000, "{} calls", calls.get());
        server.stop();
        drop(deaf);
    }

    fn a_reset_of_one_side_is_one_of_the_other<D>() {
        let (listener, to) = upstream();
        let server = Builder::<Tcp, D, _>::new(move || to).start();
        for (ended, client_resets) in [(1, true), (2, false)] {
            let (client, other) = relayed(common::connect(server.local_addr()), &listener, "go");
            let (rude, polite) = if client_resets { (client, other) } else { (other, client) };
            common::reset(rude);
            assert!(is_reset(polite), "client_resets: {client_resets}");
            // The next one's error would overtake this one's on another thread.
            assert_eq!(server.seen.wait_for_ends(ended).len(), ended);
        }
        assert_eq!(server.seen.wait_for_ends(2), [End::Failed; 2]);
        let errors = server.seen.errors();
        let told = ["handle: Connection reset", "handle: the other side of the relay: Connection reset"];
        assert!(errors.iter().zip(told).all(|(error, told)| error.starts_with(told)), "{errors:?}");
        assert_eq!(server.stop().failed, 2);
    }

    fn the_time_for_the_whole_request_holds<D>() {
        let (listener, to) = upstream();
        let server = Builder::<Tcp, D, _>::new(move || to).total_timeout(Duration::from_secs(2)).start();
        // On a machine that is busy it may be over before the relay begins.
        let mut client = common::connect(server.local_addr());
        client.write_all(b"go\n").unwrap();
        let mut rest = Vec::new();
        let outcome = client.read_to_end(&mut rest);
        if rest == b"hello\n" {
            assert_eq!(outcome.unwrap_err().kind(), ErrorKind::ConnectionReset);
            assert!(is_reset(accept(&listener)));
        }
        assert_eq!(server.seen.wait_for_ends(1), [End::TimedOut]);
        server.stop();
    }

    fn without_another_side_it_is_an_error<D>() {
        let server = Builder::<Tcp, D, _>::new(function(|request: &mut Connection| {
            request.read_line(&mut String::new())?;
            Ok(Flow::Relay)
        }))
        .start();
        let mut client = common::connect(server.local_addr());
        client.write_all(b"go\n").unwrap();
        assert_eq!(common::read_rest(client), b"");
        assert_eq!(server.seen.wait_for_ends(1), [End::Failed]);
        let errors = server.seen.errors();
        assert!(errors[0].contains("call Stream::relay_to first"), "{errors:?}");
        server.stop();
    }

    fn finish_is_told_and_what_was_carried_is_counted<D>() {
        struct Counts(To, common::Sender<(End, u64, u64)>);

        impl Handler<Connection> for Counts {
            fn handle(&mut self, request: &mut Connection) -> HandlerResult {
                self.0.handle(request)
            }

            fn finish(&mut self, request: &mut Connection, end: End) -> HandlerResult<()> {
                let Traffic { received, sent } = request.traffic();
                Ok(self.1.send((end, received, sent))?)
            }
        }

        let (listener, to) = upstream();
        let (finished, on_finish) = channel();
        let server = Builder::<Tcp, D, _>::new(move || Counts(to, finished.clone())).start();
        let (client, other) = relayed(common::connect(server.local_addr()), &listener, "go");
        ping(&client, &other);
        drop((client, other));
        // "go", a newline, "early" and "ping"; "hello", a newline and "pong".
        assert_eq!(on_finish.recv().unwrap(), (End::PeerClosed, 12, 10));
        server.stop();
    }

    fn the_other_side_may_be_any_socket<D>() {
        let place = common::TempDir::new();
        let path = place.path().join("upstream");
        let listener = net::UnixListener::bind(&path).unwrap();
        let server = Builder::<Tcp, D, _>::new(function(move |request: &mut Connection| {
            request.read_line(&mut String::new())?;
            request.relay_to(net::UnixStream::connect(&path)?)?;
            Ok(Flow::Relay)
        }))
        .start();
        let mut client = common::connect(server.local_addr());
        client.write_all(b"go\n").unwrap();
        let (other, _) = listener.accept().unwrap();
        other.set_read_timeout(Some(PATIENCE)).unwrap();
        ping(&client, &other);
        client.shutdown(Shutdown::Write).unwrap();
        assert_eq!(common::read_rest(&other), b"");
        drop(other);
        assert_eq!(common::read_rest(client), b"");
        assert_eq!(server.stop().finished, 1);
    }
}

under_each_dispatch! {
    but_fork("no other process can write to a connection of a child"):

    fn what_a_sender_sends_goes_in_between_and_its_close_ends_the_relay<D>() {
        let (listener, to) = upstream();
        let (sender, on_sender) = std::sync::mpsc::channel();
        let server = Builder::<Tcp, D, _>::new(function(move |request: &mut Connection| {
            sender.send(request.sender()?)?;
            To(to.0).handle(request)
        }))
        .start();
        let (client, other) = relayed(common::connect(server.local_addr()), &listener, "go");
        ping(&client, &other);
        let sender = on_sender.recv_timeout(PATIENCE).unwrap();
        sender.send("psst").unwrap();
        assert_eq!(take(&client, 4), b"psst");
        ping(&client, &other);
        sender.close_with("that was all");
        assert_eq!(common::read_rest(&client), b"that was all");
        assert_eq!(common::read_rest(other), b"");
        assert_eq!(server.seen.wait_for_ends(1), [End::HandlerClosed]);
        server.stop();
    }
}

/// Kept for the type: an other side must be `Send` and `Sync`, whatever the dispatch.
#[test]
fn a_stream_that_relays_is_send_and_sync() {
    fn assert<T: Send + Sync>() {}
    assert::<Connection>();
    let (client, server) = net::UnixStream::pair().unwrap();
    let mut stream = Stream::new(server, None);
    let outcome: io::Result<()> = stream.relay_to(client);
    outcome.unwrap();
}
