//! A connection is `BufRead + Write`: reads take exactly what was asked for, writes are complete or fail, deadlines
//! hold.

#[macro_use]
mod common;

use std::io::BufRead;
use std::io::ErrorKind;
use std::io::Read;
use std::io::Write;
use std::net::Shutdown;
use std::net::TcpStream;
use std::os::unix::net::UnixStream as Pair;
use std::sync::mpsc;
use std::time::Duration;

use common::Count;
use common::Start;
use common::channel;
use common::echo::Echo;
use socketserver::Builder;
use socketserver::End;
use socketserver::Flow;
use socketserver::Handler;
use socketserver::HandlerResult;
use socketserver::Stage;
use socketserver::Stream;
use socketserver::Tcp;
use socketserver::TcpServer;
use socketserver::Traffic;
use socketserver::handler::function;

type Connection = Stream<TcpStream>;

/// Bytes that differ from their neighbours, so that a lost or doubled one shows.
fn pattern(length: usize) -> Vec<u8> {
    let mut bytes = (0..251).collect::<Vec<u8>>().repeat(length.div_ceil(251));
    bytes.truncate(length);
    bytes
}

/// Takes the connection over, and answers what it takes from a thread of its own.
struct Detaching(mpsc::Sender<Connection>);

impl Handler<Connection> for Detaching {
    fn handle(&mut self, request: &mut Connection) -> HandlerResult {
        let mut line = String::new();
        request.read_line(&mut line)?;
        Ok(if line == "upgrade\n" { Flow::Detach } else { Flow::Continue })
    }

    fn detached(self, request: Connection) {
        self.0.send(request).unwrap();
    }
}

under_each_dispatch! {
    fn lines_that_come_together_are_answered_each_in_turn<D>() {
        let server = Builder::<Tcp, D, _>::new(|| Echo).start();
        let mut client = common::connect(server.local_addr());
        let lines: String = (0..1000).map(|number| format!("line {number}\n")).collect();
        client.write_all(lines.as_bytes()).unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        assert_eq!(String::from_utf8(common::read_rest(client)).unwrap(), lines);
        let report = server.stop();
        assert_eq!(report.finished, 1);
    }

    fn the_last_line_needs_no_newline<D>() {
        let server = Builder::<Tcp, D, _>::new(|| Echo).start();
        for says in ["the rest", "a line\nthe rest"] {
            let mut client = common::connect(server.local_addr());
            client.write_all(says.as_bytes()).unwrap();
            client.shutdown(Shutdown::Write).unwrap();
            assert_eq!(String::from_utf8(common::read_rest(client)).unwrap(), says);
        }
        assert_eq!(server.seen.wait_for_ends(2), [End::PeerClosed; 2]);
        server.stop();
    }

    fn a_message_in_pieces_is_handled_when_it_is_whole<D>() {
        let calls = Count::default();
        let counted = calls.clone();
        let (seen, on_seen) = channel();
        let server = Builder::<Tcp, D, _>::new(function(move |request: &mut Connection| {
            // On a thread of its own it is called before there is anything.
            if request.buffered().is_empty() {
                return Ok(Flow::Continue);
            }
            counted.add_one();
            seen.send(request.buffered().len())?;
            // What is not taken stays; the next bytes come behind it.
            if request.buffered().len() < 6 {
                return Ok(Flow::Continue);
            }
            let mut word = [0; 6];
            request.read_exact(&mut word)?;
            request.write_all(&word)?;
            Ok(Flow::Continue)
        }))
        .start();
        let mut client = common::connect(server.local_addr());
        client.set_nodelay(true).unwrap();
        for (piece, total) in [("ab", 2), ("cd", 4), ("ef", 6)] {
            client.write_all(piece.as_bytes()).unwrap();
            assert_eq!(on_seen.recv_timeout(common::PATIENCE).unwrap(), total);
        }
        let mut answer = [0; 6];
        client.read_exact(&mut answer).unwrap();
        assert_eq!((&answer, calls.get()), (b"abcdef", 3));
        server.stop();
    }

    fn a_read_waits_for_all_it_was_asked_for<D>() {
        let (entered, on_entry) = channel();
        let server = Builder::<Tcp, D, _>::new(function(move |request: &mut Connection| {
            let mut length = [0; 4];
            request.read_exact(&mut length)?;
            entered.send(())?;
            let mut body = vec![0; u32::from_be_bytes(length) as usize];
            request.read_exact(&mut body)?;
            request.write_all(&body)?;
            Ok(Flow::Continue)
        }))
        .start();
        let mut client = common::connect(server.local_addr());
        for size in [0, 1, 100_000] {
            let body = pattern(size);
            client.write_all(&(size as u32).to_be_bytes()).unwrap();
            // The handler is inside `read_exact`, or beyond it, when the body comes.
            on_entry.recv_timeout(common::PATIENCE).unwrap();
            client.write_all(&body).unwrap();
            let mut answer = vec![0; size];
            client.read_exact(&mut answer).unwrap();
            assert_eq!(answer, body);
        }
        server.stop();
    }

    fn a_small_write_arrives_before_the_handler_reads_on<D>() {
        for write_buffer in [0, 4096] {
            let server = Builder::<Tcp, D, _>::new(function(|request: &mut Connection| {
                request.read_line(&mut String::new())?;
                request.write_all(b"name?\n")?;
                let mut name = String::new();
                request.read_line(&mut name)?;
                request.write_all(format!("hello {name}").as_bytes())?;
                Ok(Flow::Close)
            }))
            .write_buffer(write_buffer)
            .start();
            let client = common::connect(server.local_addr());
            assert_eq!(common::ask(&client, "knock"), "name?");
            assert_eq!(common::ask(&client, "world"), "hello world");
            server.stop();
        }
    }

    fn a_huge_write_is_complete<D>() {
        const SIZE: usize = 16 * 1024 * 1024 + 1;
        let (wrote, on_wrote) = channel();
        let server = Builder::<Tcp, D, _>::new(function(move |request: &mut Connection| {
            request.read_line(&mut String::new())?;
            let count = request.write(&pattern(SIZE))?;
            wrote.send((count, request.traffic().received))?;
            Ok(Flow::Close)
        }))
        .start();
        let mut client = common::connect(server.local_addr());
        client.write_all(b"all of it\n").unwrap();
        // A slow reader: small pieces, each of which makes room for a little more.
        let mut received = Vec::with_capacity(SIZE);
        let mut piece = [0; 4096];
        while received.len() < 1 << 20 {
            let count = client.read(&mut piece).unwrap();
            received.extend_from_slice(&piece[..count]);
        }
        client.read_to_end(&mut received).unwrap();
        assert_eq!(on_wrote.recv_timeout(common::PATIENCE).unwrap(), (SIZE, 10));
        assert_eq!(received.len(), SIZE);
        assert!(received == pattern(SIZE), "bytes are lost or out of order");
        let report = server.stop();
        assert_eq!(report.finished, 1);
    }

    fn an_answer_outlives_input_that_nobody_reads<D>() {
        let server = Builder::<Tcp, D, _>::new(function(|request: &mut Connection| {
            request.read_line(&mut String::new())?;
            request.write_all(&pattern(100_000))?;
            Ok(Flow::Close)
        }))
        .start();
        let mut client = common::connect(server.local_addr());
        client.write_all(b"go\n").unwrap();
        client.write_all(&vec![b'x'; 1 << 20]).unwrap();
        // Without the lingering close, the unread megabyte makes the kernel reset the connection.
        assert!(common::read_rest(client) == pattern(100_000));
        let report = server.stop();
        assert_eq!((report.finished, report.failed), (1, 0), "{report}");
    }

    fn a_client_that_drips_meets_the_deadline<D>() {
        let (told, errors) = channel();
        let server = Builder::<Tcp, D, _>::new(|| Echo)
            .read_timeout(Duration::from_millis(100))
            .on_error(move |error, _| {
                let _ = told.send((error.stage(), error.is_timeout()));
            })
            .start();
        let mut client = common::connect(server.local_addr());
        client.set_read_timeout(Some(Duration::from_millis(10))).unwrap();
        // Each byte comes well within the time; the line never ends.
        let dripping = common::PATIENCE.as_millis() / 10;
        let closed = (0..dripping).any(|_| {
            let sent = client.write_all(b"x");
            sent.is_err() || !client.read(&mut [0; 1]).is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
        });
        assert!(closed, "the server waited for ever");
        assert_eq!(errors.try_recv().unwrap(), (Stage::Handle, true));
        let report = server.stop();
        assert_eq!(report.failed, 1);
    }

    fn more_than_the_buffer_holds_is_an_error_that_says_so<D>() {
        fn check<const LIMIT: usize>() {
            let (told, errors) = channel();
            // It waits for a newline that never comes.
            let server = Builder::<Tcp, D, _>::new(function(|request: &mut Connection| {
                if request.buffered().contains(&b'\n') {
                    request.read_line(&mut String::new())?;
                    request.write_all(b"ok\n")?;
                }
                Ok(Flow::Continue)
            }))
            .max_buffered(LIMIT)
            .on_error(move |error, _| {
                let _ = told.send(error.to_string());
            })
            .start();
            let mut client = common::connect(server.local_addr());
            client.write_all(&vec![b'x'; LIMIT - 1]).unwrap();
            assert_eq!(common::ask(&client, ""), "ok");
            let _ = client.write_all(&vec![b'x'; LIMIT]);
            let error = errors.recv_timeout(common::PATIENCE).unwrap();
            assert!(error.contains("max_buffered") && error.contains(&format!("{LIMIT} bytes")), "{error}");
            let report = server.stop();
            assert_eq!(report.failed, 1);
        }
        check::<1000>();
        check::<100_000>();
    }

    fn a_detached_connection_is_the_handlers_own<D>() but_fork("it stays with its child") {
        let (detached, on_detach) = mpsc::channel();
        let server = Builder::<Tcp, D, _>::new(move || Detaching(detached.clone()))
            .read_timeout(Duration::from_millis(1))
            .start();
        let mut client = common::connect(server.local_addr());
        client.write_all(b"upgrade\nbuffered already\n").unwrap();
        let mut connection = on_detach.recv_timeout(common::PATIENCE).unwrap();
        let report = server.stop();
        assert_eq!((report.accepted, report.finished, report.is_clean()), (1, 1, true), "{report}");
        assert_eq!(report.seen.ends(), [End::Detached]);
        // The server is gone; the connection is not, and has no deadlines any more.
        let mut line = String::new();
        connection.read_line(&mut line).unwrap();
        assert_eq!(line, "buffered already\n");
        let reader = std::thread::spawn(move || {
            let mut line = String::new();
            connection.read_line(&mut line).unwrap();
            connection.write_all(line.as_bytes()).unwrap();
        });
        assert_eq!(common::ask(&client, "still there"), "still there");
        reader.join().unwrap();
        assert_eq!(common::read_rest(client), b"");
    }
}

#[test]
fn writes_are_gathered_only_if_asked_for() {
    for (write_buffer, pending) in [(0, 0), (1000, 300)] {
        let (seen, on_seen) = channel();
        let server = TcpServer::builder_fn(move |request: &mut Connection| {
            request.read_line(&mut String::new())?;
            for _ in 0..3 {
                request.write_all(&[b'x'; 100])?;
            }
            let before = request.split_buffered().1.pending();
            request.flush()?;
            seen.send((before, request.split_buffered().1.pending()))?;
            // Not flushed: the server sends it before it waits for anything.
            request.write_all(b"\n")?;
            Ok(Flow::Continue)
        });
        let server = server.write_buffer(write_buffer).start();
        let client = common::connect(server.local_addr());
        assert_eq!(common::ask(&client, "go").len(), 300);
        assert_eq!(on_seen.recv_timeout(common::PATIENCE).unwrap(), (pending, 0));
        server.stop();
    }
}

#[test]
fn bytes_are_answered_from_the_buffer_and_taken_one_by_one() {
    let server = TcpServer::builder_fn(|request: &mut Connection| {
        assert_eq!(request.peer_addr().copied(), request.get_ref().peer_addr().ok());
        let (bytes, writer) = request.split_buffered();
        writer.write_all(&bytes[..1])?;
        request.consume(1);
        Ok(Flow::Continue)
    })
    .start();
    let mut client = common::connect(server.local_addr());
    client.write_all(b"one at a time").unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    assert_eq!(common::read_rest(client), b"one at a time");
    server.stop();
}

#[test]
fn a_line_that_is_not_text_is_an_error_and_bytes_are_not() {
    let (told, errors) = channel();
    let server = TcpServer::builder_fn(|request: &mut Connection| {
        if request.buffered().starts_with(b"bytes") {
            let mut bytes = Vec::new();
            request.read_until(b'\n', &mut bytes)?;
            request.write_all(&bytes)?;
        } else {
            request.read_line(&mut String::new())?;
        }
        Ok(Flow::Continue)
    })
    .on_error(move |error, _| {
        let _ = told.send(error.to_string());
    });
    let server = server.start();
    let mut client = common::connect(server.local_addr());
    client.write_all(b"bytes \xff\n").unwrap();
    let mut answer = [0; 8];
    client.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"bytes \xff\n");
    client.write_all(b"text \xff\n").unwrap();
    assert_eq!(common::read_rest(client), b"");
    assert!(errors.recv_timeout(common::PATIENCE).unwrap().contains("not UTF-8"));
    server.stop();
}

/// One thread, a thousand conversations: each is answered although all the others are open.
#[test]
fn one_thread_serves_a_thousand_connections_in_turn() {
    common::allow_descriptors(4_096);
    let server = TcpServer::builder(|| Echo).max_connections(1000).start();
    let clients: Vec<_> = (0..1000).map(|_| common::connect(server.local_addr())).collect();
    for round in 0..3 {
        for (number, client) in clients.iter().enumerate() {
            let line = format!("round {round} of {number}");
            assert_eq!(common::ask(client, &line), line);
        }
    }
    assert_eq!(server.stats().active, 1000);
    let report = server.stop();
    assert_eq!((report.accepted, report.idle_closed), (1000, 1000), "{report}");
}

/// What it is owed waits with the server, not with the only thread.
#[test]
fn a_client_that_does_not_read_delays_nobody() {
    const ANSWER: usize = 60_000;
    let server = TcpServer::builder_fn(|request: &mut Connection| {
        let mut line = String::new();
        request.read_line(&mut line)?;
        if line == "much\n" {
            request.write_all(&pattern(ANSWER))?;
        } else {
            request.write_all(line.as_bytes())?;
        }
        Ok(Flow::Continue)
    });
    let server = server.write_timeout(None).start();
    let mut greedy = common::connect(server.local_addr());
    // More answers than the kernel's buffers hold.
    greedy.write_all("much\n".repeat(500).as_bytes()).unwrap();
    greedy.shutdown(Shutdown::Write).unwrap();
    for _ in 0..20 {
        let other = common::connect(server.local_addr());
        assert_eq!(common::ask(&other, "hello"), "hello");
    }
    let all = common::read_rest(greedy);
    assert_eq!(all.len(), 500 * ANSWER);
    assert!(all == pattern(ANSWER).repeat(500));
    server.seen.wait_for_ends(21);
    let report = server.stop();
    assert_eq!((report.finished, report.failed), (21, 0), "{report}");
}

/// Without a server a stream waits for as long as it takes.
#[test]
fn a_stream_without_a_server_reads_and_writes() {
    let (ours, mut theirs) = Pair::pair().unwrap();
    ours.set_nonblocking(true).unwrap();
    let mut stream = Stream::new(ours, None);
    assert!(stream.stop_handle().is_none() && !stream.is_stopping() && stream.peer_addr().is_none());
    let peer = std::thread::spawn(move || {
        theirs.write_all(b"first\nsecond\nthe rest").unwrap();
        let mut received = vec![0; 1 << 20];
        theirs.read_exact(&mut received).unwrap();
        received
    });
    let mut line = String::new();
    stream.read_line(&mut line).unwrap();
    assert_eq!(line, "first\n");
    stream.write_all(&pattern(1 << 20)).unwrap();
    assert!(peer.join().unwrap() == pattern(1 << 20));
    assert_eq!(Read::by_ref(&mut stream).lines().map(Result::unwrap).collect::<Vec<_>>(), ["second", "the rest"]);
    assert!(stream.is_ended());
    assert_eq!(stream.traffic(), Traffic { received: 21, sent: 1 << 20 });
    assert_eq!(stream.read(&mut [0; 1]).unwrap(), 0);
    let (_, rest) = stream.into_parts();
    assert_eq!(rest, b"");
}

/// Asked of the very sockets that handlers get, wherever the option was set.
#[test]
fn clients_are_asked_whether_they_are_still_there() {
    let seen = |keepalive: Option<Duration>| {
        let (tell, told) = mpsc::channel();
        let server = Builder::<Tcp, socketserver::Sync, _>::new(function(move |request: &mut Connection| {
            let socket = socket2::SockRef::from(request.get_ref());
            let found = (socket.keepalive()?, socket.tcp_keepalive_time()?, socket.tcp_keepalive_interval()?);
            tell.send(found)?;
            common::echo::echo_line(request)
        }))
        .keepalive(keepalive)
        .start();
        assert_eq!(common::ask(common::connect(server.local_addr()), "hello"), "hello");
        told.recv().unwrap()
    };
    let minute = Duration::from_secs(60);
    assert_eq!(seen(Some(minute)), (true, minute, minute));
    assert!(!seen(None).0);
}
