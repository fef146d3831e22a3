//! Conversations over TLS are as over TCP, under every dispatch.

#[macro_use]
mod common;

use std::fs::File;
use std::io::BufRead;
use std::io::ErrorKind;
use std::io::Read;
use std::io::Write;
use std::net::TcpStream;
use std::sync::Mutex;
use std::sync::mpsc;
use std::time::Duration;

use common::Start;
use common::TempDir;
use common::ask;
use common::connect;
use common::echo::Echo;
use common::eventually;
use common::proxy_headers::v2_from;
use common::read_line;
use common::read_rest;
use common::tls::Client;
use common::tls::TlsClient;
use common::tls::authority;
use common::tls::connect_tls;
use common::tls::server_config;
use rustls::version::TLS12;
use rustls::version::TLS13;
use socketserver::AtLimit;
use socketserver::Builder;
use socketserver::End;
use socketserver::Flow;
use socketserver::Handler;
use socketserver::HandlerResult;
use socketserver::Sender;
use socketserver::Socket;
use socketserver::Stream;
use socketserver::Tcp;
use socketserver::Tls;
use socketserver::handler::Function;
use socketserver::handler::function;
use socketserver::transport::ProxyOptions;
use socketserver::transport::ProxyProtocol;
use socketserver::transport::TlsOptions;
use socketserver::transport::TlsSocket;

type Connection = Stream<TlsSocket<TcpStream>>;

type Handle = fn(&mut Connection) -> HandlerResult;

fn builder<D: Default>(handle: Handle) -> Builder<Tls<Tcp>, D, Function<Handle>> {
    Builder::new(function(handle)).tls(server_config())
}

/// Takes lines one by one: `N` is answered with as many bytes, `last N` as well, and then the connection is closed.
fn answer(request: &mut Connection) -> HandlerResult {
    let Some(line) = request.line()? else { return Ok(Flow::Continue) };
    let (flow, count) = match line.trim().split_once(' ') {
        Some(("last", count)) => (Flow::Close, count.parse()?),
        _ => (Flow::Continue, line.trim().parse()?),
    };
    request.write_all(&pattern(count))?;
    Ok(flow)
}

/// Bytes that differ from their neighbours, so that a lost or doubled one shows.
fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at % 251) as u8).collect()
}

/// Reads in pieces that are no records.
fn expect(client: &mut impl Read, count: usize) {
    let mut bytes = vec![0; count];
    for piece in bytes.chunks_mut(3_001) {
        client.read_exact(piece).unwrap();
    }
    assert!(bytes == pattern(count), "{count} bytes came otherwise");
}

/// The line and its length, after a wait for the rest in Python's style.
fn measure(request: &mut Connection) -> HandlerResult {
    let mut line = String::new();
    request.read_line(&mut line)?;
    writeln!(request, "{}", line.trim_end().len())?;
    Ok(if line.is_empty() { Flow::Close } else { Flow::Continue })
}

/// Gives its connection away.
struct Detaching(mpsc::Sender<Connection>);

impl Handler<Connection> for Detaching {
    fn handle(&mut self, request: &mut Connection) -> HandlerResult {
        let mut line = String::new();
        request.read_line(&mut line)?;
        Ok(if line == "detach\n" { Flow::Detach } else { Flow::Continue })
    }

    fn detached(self, request: Connection) {
        self.0.send(request).unwrap();
    }
}

under_each_dispatch! {
    fn lines_come_back<D>() {
        for version in [&TLS12, &TLS13] {
            let server = Builder::<Tls<Tcp>, D, _>::new(|| Echo).tls(server_config()).start();
            let mut client = Client::of(authority(), &[version], None).connect(server.local_addr());
            for line in ["one", "two", "three"] {
                assert_eq!(ask(&mut client, line), line);
            }
            client.say_goodbye();
            assert_eq!(read_rest(&mut client), b"");
            assert_eq!(server.seen.wait_for_ends(1), [End::PeerClosed]);
            let report = server.stop();
            assert_eq!((report.accepted, report.finished, report.failed), (1, 1, 0), "{report}");
        }
    }

    fn what_comes_in_one_piece_with_the_handshake_is_served_at_once<D>() {
        for version in [&TLS12, &TLS13] {
            let server = Builder::<Tls<Tcp>, D, _>::new(|| Echo).tls(server_config()).start();
            let mut client = Client::of(authority(), &[version], None).connect(server.local_addr());
            // Said before there are keys, it leaves with the last word of the handshake.
            client.session().writer().write_all(b"one\ntwo\nthr").unwrap();
            assert_eq!(read_line(&mut client), "one");
            assert_eq!(read_line(&mut client), "two");
            assert_eq!(ask(&mut client, "ee"), "three");
        }
    }

    fn every_answer_comes_whole<D>() {
        let server = builder::<D>(answer).start();
        let mut client = connect_tls(server.local_addr());
        for count in [1, 10, 16_384, 16_385, 60_000, 70_000, 150_000, 600_000] {
            client.write_all(format!("{count}\n").as_bytes()).unwrap();
            expect(&mut client, count);
        }
        client.write_all(b"last 150000\n").unwrap();
        expect(&mut client, 150_000);
        // Its end would be an error without `close_notify`.
        assert_eq!(read_rest(&mut client), b"");
        drop(client);
        assert_eq!(server.seen.wait_for_ends(1), [End::HandlerClosed]);
    }

    fn long_messages_arrive_whole<D>() {
        let server = builder::<D>(measure).max_line(2_000_000).start();
        let mut client = connect_tls(server.local_addr());
        for length in [0, 1, 16_383, 16_384, 65_536, 300_000] {
            assert_eq!(ask(&mut client, &"x".repeat(length)), length.to_string());
        }
    }

    fn records_that_come_in_pieces_and_many_at_once<D>() {
        let server = Builder::<Tls<Tcp>, D, _>::new(|| Echo).tls(server_config()).start();
        let mut client = Client::default().shake_hands(server.local_addr()).unwrap();
        let lines: String = (0..300).map(|number| format!("line {number}\n")).collect();
        let records: Vec<u8> = lines.split_inclusive('\n').flat_map(|line| client.records_of(line.as_bytes())).collect();
        client.socket().set_nodelay(true).unwrap();
        for piece in records.chunks(777) {
            client.socket().write_all(piece).unwrap();
        }
        for line in lines.lines() {
            assert_eq!(read_line(&mut client), line);
        }
    }

    fn one_side_may_end_before_the_other<D>() {
        let server = builder::<D>(answer).start();
        let mut client = connect_tls(server.local_addr());
        client.write_all(b"600000\n10\n").unwrap();
        client.say_goodbye();
        expect(&mut client, 600_000);
        expect(&mut client, 10);
        assert_eq!(read_rest(&mut client), b"");
        assert_eq!(server.seen.wait_for_ends(1), [End::PeerClosed]);
    }

    fn a_close_between_messages_needs_no_word<D>() {
        let server = builder::<D>(answer).start();
        let mut client = connect_tls(server.local_addr());
        client.write_all(b"10\n").unwrap();
        expect(&mut client, 10);
        drop(client);
        assert_eq!(server.seen.wait_for_ends(1), [End::PeerClosed]);
        let report = server.stop();
        assert_eq!((report.failed, report.seen.errors()), (0, vec![]), "{report}");
    }

    fn a_close_in_mid_message_is_an_error<D>() {
        for handle in [answer as Handle, measure] {
            let server = builder::<D>(handle).start();
            let mut client = connect_tls(server.local_addr());
            client.write_all(b"10").unwrap();
            client.socket().shutdown(std::net::Shutdown::Write).unwrap();
            assert_eq!(server.seen.wait_for_ends(1), [End::Failed]);
            let cut = "handle: the connection was closed in the middle of a message, without a proper close";
            assert_eq!(server.stop().seen.errors(), [cut]);

            let server = builder::<D>(handle).start();
            let mut client = connect_tls(server.local_addr());
            client.write_all(b"10").unwrap();
            client.say_goodbye();
            // As over TCP: an end that was said is the end of the last line, too.
            assert_eq!(server.seen.wait_for_ends(1), [End::PeerClosed]);
        }
    }

    fn a_close_in_mid_message_is_one_also_behind_a_header_inside_of_tls<D>() {
        let server = Builder::<ProxyProtocol<Tls<Tcp>>, D, _>::new(|| Echo)
            .transport_options(ProxyOptions::new().trust("127.0.0.0/8".parse().unwrap()).inner(TlsOptions::new(server_config())))
            .start();
        let mut client = connect_tls(server.local_addr());
        client.write_all(&v2_from([192, 0, 2, 1], 4711, &[])).unwrap();
        assert_eq!(ask(&mut client, "hello"), "hello");
        client.write_all(b"10").unwrap();
        client.socket().shutdown(std::net::Shutdown::Write).unwrap();
        assert_eq!(server.seen.wait_for_ends(1), [End::Failed]);
        let cut = "handle: the connection was closed in the middle of a message, without a proper close";
        assert_eq!(server.stop().seen.errors(), [cut]);
    }

    fn a_close_in_the_middle_of_a_record_is_an_error<D>() {
        let server = builder::<D>(measure).start();
        let mut client = connect_tls(server.local_addr());
        assert_eq!(ask(&mut client, "hello"), "5");
        let records = client.records_of(b"hello\n");
        client.socket().write_all(&records[..records.len() - 1]).unwrap();
        client.socket().shutdown(std::net::Shutdown::Write).unwrap();
        assert_eq!(server.seen.wait_for_ends(1), [End::Failed]);
        let cut = "handle: the client has closed the connection in the middle of a record";
        assert_eq!(server.stop().seen.errors(), [cut]);
    }

    fn an_error_loses_no_answer<D>() {
        // Much is unread when the connection is closed, and more is on its way: a reset would be an error here.
        let fails: Handle = |request| {
            let mut line = String::new();
            request.read_line(&mut line)?;
            request.write_all(line.as_bytes())?;
            if line == "fail\n" { Err("on purpose".into()) } else { Ok(Flow::Continue) }
        };
        let server = builder::<D>(fails).linger(Duration::from_secs(10), 8 << 20).start();
        let mut client = connect_tls(server.local_addr());
        client.write_all(b"first\nfail\n").unwrap();
        for _ in 0..64 {
            client.write_all(&[b'x'; 16 << 10]).unwrap();
        }
        client.say_goodbye();
        assert_eq!(read_rest(&mut client), b"first\nfail\n");
        assert_eq!(server.seen.wait_for_ends(1), [End::Failed]);
    }

    fn a_stop_is_told_by_close_notify<D>() {
        let server = Builder::<Tls<Tcp>, D, _>::new(|| Echo).tls(server_config()).start();
        let mut clients: Vec<_> = (0..5).map(|_| connect_tls(server.local_addr())).collect();
        for client in &mut clients {
            assert_eq!(ask(client, "hello"), "hello");
        }
        let report = server.stop();
        for client in &mut clients {
            assert_eq!(read_rest(client), b"");
        }
        assert_eq!((report.idle_closed, report.forced, report.failed), (5, 0, 0), "{report}");
    }

    fn a_handler_may_speak_first<D>() {
        let greet: Handle = |request| {
            request.write_all(b"welcome\n")?;
            Ok(Flow::Close)
        };
        let server = builder::<D>(greet).speaking_first().start();
        let mut client = connect_tls(server.local_addr());
        assert_eq!(read_line(&mut client), "welcome");
        assert_eq!(read_rest(&mut client), b"");
    }

    fn idle_connections_end_in_time<D>() {
        let server = builder::<D>(answer).idle_timeout(Duration::from_millis(50)).start();
        let mut client = connect_tls(server.local_addr());
        client.write_all(b"10\n").unwrap();
        expect(&mut client, 10);
        assert_eq!(read_rest(&mut client), b"");
        drop(client);
        assert_eq!(server.seen.wait_for_ends(1), [End::IdleTimeout]);
    }

    fn a_message_that_drips_in_times_out<D>() {
        for handle in [answer as Handle, measure] {
            let server = builder::<D>(handle).read_timeout(Duration::from_millis(150)).linger(Duration::ZERO, 0).start();
            let mut client = connect_tls(server.local_addr());
            let error = loop {
                if let Err(error) = client.write_all(b"1") {
                    break error;
                }
                std::thread::sleep(Duration::from_millis(5));
            };
            assert!(common::tls::is_gone(&error), "{error}");
            assert_eq!(server.seen.wait_for_ends(1), [End::TimedOut]);
        }
    }

    fn a_client_that_takes_its_answer_too_slowly_is_given_up<D>() {
        let server = builder::<D>(answer).min_rate(1_000_000_000).rate_grace(Duration::from_millis(200)).start();
        let mut deaf = Client::default().shake_hands(server.local_addr()).unwrap();
        deaf.write_all(b"9000000\n").unwrap();
        assert_eq!(server.seen.wait_for_ends(1), [End::TimedOut]);
        let report = server.stop();
        assert_eq!(report.failed, 1, "{report}");
        assert!(report.seen.errors()[0].contains("fell below 1000000000 bytes/s"), "{:?}", report.seen.errors());
    }

    fn files_are_sent<D>() {
        let dir = TempDir::new();
        let path = dir.join("large");
        std::fs::write(&path, pattern(1_000_000)).unwrap();
        let server = Builder::<Tls<Tcp>, D, _>::new(function(move |request: &mut Connection| {
            let mut line = String::new();
            request.read_line(&mut line)?;
            request.send_file(File::open(&path)?, 0, 1_000_000)?;
            request.write_all(b"that was it\n")?;
            Ok(Flow::Continue)
        }))
        .tls(server_config())
        .start();
        let mut client = connect_tls(server.local_addr());
        for _ in 0..2 {
            client.write_all(b"send it\n").unwrap();
            expect(&mut client, 1_000_000);
            assert_eq!(read_line(&mut client), "that was it");
        }
    }

    fn others_may_send<D>() but_fork("a sender would be of the child's own") {
        let audience = Mutex::new(Vec::new());
        let server = Builder::<Tls<Tcp>, D, _>::new(function(move |request: &mut Connection| {
            let mut line = String::new();
            request.read_line(&mut line)?;
            let mut audience = audience.lock().unwrap();
            if line == "listen\n" {
                audience.push(request.sender()?);
                request.write_all(b"listening\n")?;
            } else {
                audience.iter().for_each(|listener: &Sender| listener.send(&line).unwrap());
            }
            Ok(Flow::Continue)
        }))
        .tls(server_config())
        .start();
        let mut listener = connect_tls(server.local_addr());
        assert_eq!(ask(&mut listener, "listen"), "listening");
        let mut client = connect_tls(server.local_addr());
        for line in ["one", "two"] {
            client.write_all(format!("{line}\n").as_bytes()).unwrap();
            assert_eq!(read_line(&mut listener), line);
        }
    }

    fn a_connection_can_be_taken_out<D>() but_fork("it stays with its child") {
        let (taken, on_taken) = mpsc::channel();
        let server = Builder::<Tls<Tcp>, D, _>::new(move || Detaching(taken.clone())).tls(server_config()).start();
        let mut client = connect_tls(server.local_addr());
        client.write_all(b"detach\nand the rest\n").unwrap();
        let request: Connection = on_taken.recv_timeout(common::PATIENCE).unwrap();
        server.stop();
        let (mut socket, rest) = request.into_parts();
        assert_eq!(rest, b"and the rest\n");
        // It is its new owner's to wait as he likes.
        socket.get_ref().set_nonblocking(false).unwrap();
        client.write_all(b"hello\n").unwrap();
        let mut line = [0; 6];
        socket.read_exact(&mut line).unwrap();
        socket.write_all(&line).unwrap();
        socket.flush().unwrap();
        assert_eq!(read_line(&mut client), "hello");
        socket.shutdown_write().unwrap();
        assert_eq!(read_rest(&mut client), b"");
    }

    fn a_farewell_is_never_said_in_the_clear<D>() {
        let server = builder::<D>(answer)
            .max_connections(1)
            .at_limit(AtLimit::Refuse(b"come back later\n".as_slice().into()))
            .start();
        let mut client = connect_tls(server.local_addr());
        client.write_all(b"10\n").unwrap();
        expect(&mut client, 10);
        for _ in 0..5 {
            let mut refused = connect(server.local_addr());
            let mut heard = Vec::new();
            let outcome = refused.read_to_end(&mut heard);
            assert_eq!(heard, b"", "{outcome:?}");
        }
        assert_eq!(server.seen.wait_for_ends(5), [End::Refused; 5]);
        drop(client);
        assert_eq!(server.stop().refused, 5);
    }

    fn a_silent_client_costs_no_session<D>() {
        let server = builder::<D>(answer).establish_timeout(Duration::from_millis(150)).start();
        let silent = connect(server.local_addr());
        assert_eq!(read_rest(&silent), b"");
        assert_eq!(server.seen.wait_for_ends(1), [End::TimedOut]);
        assert_eq!(server.stop().seen.errors(), ["establish: establishing took longer than 150ms"]);
    }

    fn one_that_only_looks_whether_the_server_is_there_is_no_error<D>() {
        let server = builder::<D>(answer).start();
        drop(connect(server.local_addr()));
        common::reset(connect(server.local_addr()));
        assert_eq!(server.seen.wait_for_ends(2), [End::PeerClosed; 2]);
        assert_eq!(server.stop().seen.errors(), Vec::<String>::new());
    }

    fn a_stop_does_not_wait_for_silent_clients<D>() {
        let server = builder::<D>(answer).start();
        let silent: Vec<_> = (0..5).map(|_| connect(server.local_addr())).collect();
        eventually("they are accepted", || server.stats().accepted == 5);
        let report = server.stop();
        silent.iter().for_each(|client| assert_eq!(read_rest(client), b""));
        assert_eq!((report.idle_closed, report.failed, report.forced), (5, 0, 0), "{report}");
    }
}

/// One that writes before its handshake is done would block for ever if nobody told it.
#[test]
fn a_server_without_a_certificate_is_not_bound() {
    let error = socketserver::TlsServer::bind("127.0.0.1:0", || Echo).unwrap_err().to_string();
    assert_eq!(
        error,
        "option tls = none: a TLS server needs a certificate and its key: give the builder `.tls(TlsConfig::from_pem_files(..)?)`"
    );
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let error = socketserver::TlsServer::builder(|| Echo).adopt(listener).unwrap_err().to_string();
    assert!(error.starts_with("option tls = none"), "{error}");
}

#[test]
fn a_listener_can_be_adopted() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let server = socketserver::PoolTlsServer::builder(|| Echo).tls(server_config()).adopt(listener).unwrap();
    let server = server.serve_in_background().unwrap();
    assert_eq!(ask(connect_tls(address), "hello"), "hello");
    // Whether the stop or the end of the client comes first is not known.
    let report = server.shutdown().unwrap();
    assert_eq!((report.accepted, report.finished + report.idle_closed), (1, 1), "{report}");
}

/// Under `handle_request`, which serves one request to its end.
#[test]
fn one_request_at_a_time() {
    let mut server = socketserver::TlsServer::builder(|| Echo).tls(server_config()).bind("127.0.0.1:0").unwrap();
    let address = server.local_addr();
    let client = std::thread::spawn(move || {
        let mut client = connect_tls(address);
        let answer = ask(&mut client, "hello");
        client.say_goodbye();
        (answer, read_rest(&mut client))
    });
    server.handle_request().unwrap();
    assert_eq!(client.join().unwrap(), ("hello".to_owned(), Vec::new()));
}

#[test]
fn a_client_that_is_told_nothing_at_the_end_has_an_error() {
    // That the tests above would notice.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let server = std::thread::spawn(move || {
        let (socket, _) = listener.accept().unwrap();
        let config = common::tls::localhost();
        let config = rustls::ServerConfig::builder_with_provider(rustls::crypto::ring::default_provider().into())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(config.chain(), config.key())
            .unwrap();
        let session = rustls::ServerConnection::new(config.into()).unwrap();
        let mut stream = rustls::StreamOwned::new(session, socket);
        stream.read_exact(&mut [0; 6]).unwrap();
    });
    let mut client: TlsClient<_> = connect_tls(address);
    client.write_all(b"hello\n").unwrap();
    assert_eq!(client.try_read_rest().unwrap_err().kind(), ErrorKind::UnexpectedEof);
    server.join().unwrap();
}
