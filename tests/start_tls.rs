//! Connections that begin in the clear and go on inside of TLS, under every dispatch: a small SMTP.

#[macro_use]
mod common;

use std::fs::File;
use std::io::BufRead;
use std::io::BufReader;
use std::io::Read;
use std::io::Write;
use std::net::Shutdown;
use std::net::SocketAddr;
use std::net::TcpStream;
use std::sync::mpsc;
use std::time::Duration;

use common::Start;
use common::TempDir;
use common::ask;
use common::connect;
use common::connect_unix;
use common::eventually;
use common::read_line;
use common::read_rest;
use common::tls::Client;
use common::tls::TlsClient;
use common::tls::authority;
use common::tls::server_config;
use rustls::version::TLS12;
use rustls::version::TLS13;
use socketserver::Builder;
use socketserver::End;
use socketserver::Flow;
use socketserver::HandlerResult;
use socketserver::Sender;
use socketserver::Socket;
use socketserver::Stream;
use socketserver::Tcp;
use socketserver::UnixStream;
use socketserver::handler::Function;
use socketserver::handler::function;
use socketserver::transport::PerSource;
use socketserver::transport::StartTls;
use socketserver::transport::StartTlsSocket;

const SHORT: Duration = Duration::from_millis(150);
const LONG: Duration = Duration::from_secs(600);

type Connection = Stream<StartTlsSocket<TcpStream>>;

type Handle = fn(&mut Connection) -> HandlerResult;

/// A command of a small SMTP: `STARTTLS` begins TLS, `STATE` says what was negotiated, `SEND N` sends N bytes, `QUIT` ends it.
fn command<S: Socket>(request: &mut Stream<StartTlsSocket<S>>) -> HandlerResult {
    let Some(line) = request.line()? else { return Ok(Flow::Continue) };
    match line.trim_end().split_once(' ').unwrap_or_else(|| (line.trim_end(), "")) {
        ("STARTTLS", _) => {
            request.write_all(b"220 go ahead\n")?;
            request.start_tls()?;
        }
        ("STATE", _) => {
            let socket = request.get_ref();
            let state = match socket.tls() {
                Some(tls) => format!("250 {} for {:?}\n", tls.protocol_version(), tls.server_name()),
                None => "250 in the clear\n".to_owned(),
            };
            assert_eq!(socket.is_secure(), socket.tls().is_some());
            request.write_all(state.as_bytes())?;
        }
        ("SEND", count) => request.write_all(&vec![b'x'; count.parse()?])?,
        ("QUIT", _) => {
            request.write_all(b"221 bye\n")?;
            return Ok(Flow::Close);
        }
        (other, argument) => request.write_all(format!("250 {other} {argument}\n").as_bytes())?,
    }
    Ok(Flow::Continue)
}

/// The same in Python's style: it waits inside of the call.
fn conversation<S: Socket>(request: &mut Stream<StartTlsSocket<S>>) -> HandlerResult {
    let mut line = String::new();
    request.read_line(&mut line)?;
    if line.trim_end() == "STARTTLS" {
        request.write_all(b"220 go ahead\n")?;
        request.start_tls()?;
        line.clear();
        request.read_line(&mut line)?;
        assert!(line.is_empty() || request.get_ref().is_secure());
    }
    request.write_all(format!("250 {line}").as_bytes())?;
    Ok(if line.is_empty() { Flow::Close } else { Flow::Continue })
}

fn builder<D: Default>(handle: Handle) -> Builder<StartTls<Tcp>, D, Function<Handle>> {
    Builder::new(function(handle)).tls(server_config()).establish_timeout(LONG)
}

/// Goes up to where the client would begin its handshake.
fn begin<C: Read + Write>(mut client: C) -> C {
    client.write_all(b"STARTTLS\n").unwrap();
    assert_eq!(read_line(&mut client), "220 go ahead");
    client
}

fn secure(address: SocketAddr) -> TlsClient<TcpStream> {
    Client::default().over(begin(connect(address)))
}

/// The first words of a client.
fn hello() -> Vec<u8> {
    let mut hello = Vec::new();
    Client::default().session().write_tls(&mut hello).unwrap();
    hello
}

/// A new client is served as ever.
fn still_serves(address: SocketAddr) {
    let mut client = secure(address);
    assert_eq!(ask(&mut client, "NOOP now"), "250 NOOP now");
    assert_eq!(ask(&mut client, "QUIT"), "221 bye");
    assert_eq!(read_rest(&mut client), b"");
}

under_each_dispatch! {
    fn a_connection_goes_on_inside_of_tls<D>() {
        for version in [&TLS12, &TLS13] {
            let server = builder::<D>(command).start();
            let mut clear = connect(server.local_addr());
            assert_eq!(ask(&mut clear, "EHLO me"), "250 EHLO me");
            assert_eq!(ask(&mut clear, "STATE"), "250 in the clear");
            let mut client = Client::of(authority(), &[version], None).over(begin(clear));
            let expected = if *version == TLS12 { "TLSv1.2" } else { "TLSv1.3" };
            assert_eq!(ask(&mut client, "STATE"), format!("250 {expected} for Some(\"localhost\")"));
            assert_eq!(ask(&mut client, "NOOP 1"), "250 NOOP 1");
            assert_eq!(ask(&mut client, "QUIT"), "221 bye");
            // Its end would be an error without `close_notify`.
            assert_eq!(read_rest(&mut client), b"");
            drop(client);
            assert_eq!(server.seen.wait_for_ends(1), [End::HandlerClosed]);
            assert_eq!(server.stop().seen.errors(), Vec::<String>::new());
        }
    }

    fn over_a_unix_stream<D>() {
        let dir = TempDir::new();
        let path = dir.join("socket");
        let server = Builder::<StartTls<UnixStream>, D, _>::new(function(command)).tls(server_config()).start_at(path.as_path());
        let mut client = Client::default().over(begin(connect_unix(&path)));
        assert_eq!(ask(&mut client, "STATE"), "250 TLSv1.3 for Some(\"localhost\")");
        client.say_goodbye();
        assert_eq!(read_rest(&mut client), b"");
        assert_eq!(server.seen.wait_for_ends(1), [End::PeerClosed]);
    }

    fn over_a_transport_that_wraps_another<D>() {
        let server = Builder::<StartTls<PerSource<Tcp>>, D, _>::new(function(command)).tls(server_config()).start();
        let mut client = secure(server.local_addr());
        assert_eq!(ask(&mut client, "NOOP 1"), "250 NOOP 1");
    }

    fn a_connection_may_stay_in_the_clear<D>() {
        let server = builder::<D>(command).start();
        let mut client = connect(server.local_addr());
        assert_eq!(ask(&mut client, "NOOP 1"), "250 NOOP 1");
        client.write_all(b"SEND 600000\nNOOP 2\n").unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        let rest = read_rest(&mut client);
        assert_eq!(rest.len(), 600_000 + "250 NOOP 2\n".len());
        assert!(rest.ends_with(b"x250 NOOP 2\n"));
        assert_eq!(server.seen.wait_for_ends(1), [End::PeerClosed]);
    }

    fn what_came_in_the_clear_is_not_taken_for_what_comes_in_tls<D>() {
        let server = builder::<D>(command).start();
        let mut client = connect(server.local_addr());
        client.write_all(b"STARTTLS\nMAIL evil\n").unwrap();
        let mut heard = Vec::new();
        let _ = client.read_to_end(&mut heard);
        assert_eq!(heard, b"220 go ahead\n");
        assert_eq!(server.seen.wait_for_ends(1), [End::Failed]);
        still_serves(server.local_addr());
        let injected = "handle: 10 bytes of plaintext follow the command that starts TLS, where anybody could have inserted them: \
                        the connection has to be closed";
        assert_eq!(server.stop().seen.errors(), [injected]);
    }

    fn what_comes_in_the_clear_later_is_not_tls<D>() {
        for (handle, stage) in [(command as Handle, "establish"), (conversation, "handle")] {
            let server = builder::<D>(handle).start();
            let mut client = begin(connect(server.local_addr()));
            client.write_all(b"MAIL evil\n").unwrap();
            let mut heard = Vec::new();
            let _ = client.read_to_end(&mut heard);
            // An alert, and nothing in the clear.
            assert_eq!((heard.len(), heard.first()), (7, Some(&21)), "{heard:?}");
            assert_eq!(server.seen.wait_for_ends(1), [End::Failed]);
            let error = format!("{stage}: the client does not speak TLS: InvalidContentType");
            assert_eq!(server.stop().seen.errors(), [error]);
        }
    }

    fn a_handler_may_wait_for_the_handshake<D>() {
        let server = builder::<D>(conversation).start();
        let mut client = secure(server.local_addr());
        assert_eq!(ask(&mut client, "one"), "250 one");
        assert_eq!(ask(&mut client, "two"), "250 two");
    }

    fn what_is_written_behind_the_beginning_follows_the_handshake<D>() {
        let greets: Handle = |request| {
            let Some(line) = request.line()? else { return Ok(Flow::Continue) };
            // More than the kernel takes at once, before and behind.
            request.write_all(&vec![b'a'; line.trim_end().parse()?])?;
            request.write_all(b"220 go ahead\n")?;
            request.start_tls()?;
            assert!(!request.get_ref().is_secure());
            request.write_all(&vec![b'b'; line.trim_end().parse()?])?;
            request.write_all(b"\n")?;
            Ok(Flow::Continue)
        };
        for count in [1, 1_000_000, 12_000_000] {
            let server = builder::<D>(greets).max_pending_output(32_000_000).start();
            let mut client = connect(server.local_addr());
            client.write_all(format!("{count}\n").as_bytes()).unwrap();
            // Nothing comes behind it before the client has gone on.
            let mut line = String::new();
            BufReader::new(&client).read_line(&mut line).unwrap();
            assert_eq!((line.len(), line.trim_start_matches('a')), (count + 13, "220 go ahead\n"));
            let mut client = Client::default().over(client);
            line.clear();
            BufReader::new(&mut client).read_line(&mut line).unwrap();
            assert_eq!((line.len(), line.trim_start_matches('b')), (count + 1, "\n"));
            client.say_goodbye();
            assert_eq!(read_rest(&mut client), b"");
            assert_eq!(server.seen.wait_for_ends(1), [End::PeerClosed]);
        }
    }

    fn tls_is_begun_once<D>() {
        let server = builder::<D>(command).start();
        let mut client = secure(server.local_addr());
        assert_eq!(ask(&mut client, "STARTTLS"), "220 go ahead");
        assert_eq!(read_rest(&mut client), b"");
        assert_eq!(server.seen.wait_for_ends(1), [End::Failed]);
        assert_eq!(server.stop().seen.errors(), ["handle: TLS has begun on this connection before"]);
    }

    fn files_are_sent<D>() {
        let dir = TempDir::new();
        let path = dir.join("large");
        std::fs::write(&path, vec![b'x'; 1_000_000]).unwrap();
        let server = Builder::<StartTls<Tcp>, D, _>::new(function(move |request: &mut Connection| {
            let mut line = String::new();
            request.read_line(&mut line)?;
            match line.trim_end() {
                "STARTTLS" => {
                    request.write_all(b"220 go ahead\n")?;
                    request.start_tls()?;
                }
                _ => {
                    request.send_file(File::open(&path)?, 0, 1_000_000)?;
                    request.write_all(b"\n")?;
                }
            }
            Ok(Flow::Continue)
        }))
        .tls(server_config())
        .start();
        let mut client = connect(server.local_addr());
        assert_eq!(ask(&mut client, "GET").len(), 1_000_000);
        let mut client = Client::default().over(begin(client));
        for _ in 0..2 {
            assert_eq!(ask(&mut client, "GET").len(), 1_000_000);
        }
    }

    fn one_side_may_end_before_the_other<D>() {
        let server = builder::<D>(command).start();
        let mut client = secure(server.local_addr());
        client.write_all(b"SEND 600000\nNOOP 1\n").unwrap();
        client.say_goodbye();
        assert_eq!(read_rest(&mut client).len(), 600_000 + "250 NOOP 1\n".len());
        assert_eq!(server.seen.wait_for_ends(1), [End::PeerClosed]);
    }

    fn a_client_that_thinks_better_of_it_is_no_error<D>() {
        let server = builder::<D>(command).start();
        let mut client = begin(connect(server.local_addr()));
        client.shutdown(Shutdown::Write).unwrap();
        assert_eq!(read_rest(&mut client), b"");
        assert_eq!(server.seen.wait_for_ends(1), [End::PeerClosed]);
        let mut client = begin(connect(server.local_addr()));
        client.write_all(&hello()[..20]).unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        assert_eq!(read_rest(&mut client), b"");
        assert_eq!(server.seen.wait_for_ends(2)[1], End::Failed);
        let gone = "establish: the client has closed the connection in the middle of the handshake";
        assert_eq!(server.stop().seen.errors(), [gone]);
    }

    fn a_close_in_mid_message_is_an_error<D>() {
        let server = builder::<D>(command).start();
        let mut client = secure(server.local_addr());
        assert_eq!(ask(&mut client, "NOOP 1"), "250 NOOP 1");
        client.write_all(b"NOOP").unwrap();
        client.socket().shutdown(Shutdown::Write).unwrap();
        assert_eq!(server.seen.wait_for_ends(1), [End::Failed]);
        let cut = "handle: the connection was closed in the middle of a message, without a proper close";
        assert_eq!(server.stop().seen.errors(), [cut]);
    }

    fn a_handshake_that_does_not_go_on_has_its_time<D>() {
        for said in [0, 20] {
            let server = builder::<D>(command).establish_timeout(SHORT).start();
            let mut client = begin(connect(server.local_addr()));
            client.write_all(&hello()[..said]).unwrap();
            assert_eq!(read_rest(&mut client), b"");
            assert_eq!(server.seen.wait_for_ends(1), [End::TimedOut]);
            assert_eq!(server.stop().seen.errors(), ["establish: establishing took longer than 150ms"]);
        }
    }

    fn a_greeting_that_drips_in_has_its_time<D>() {
        let server = builder::<D>(command).establish_timeout(SHORT).linger(Duration::ZERO, 0).start();
        let mut client = begin(connect(server.local_addr()));
        client.set_nodelay(true).unwrap();
        for byte in hello().repeat(10).chunks(1) {
            if client.write_all(byte).is_err() {
                break;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        assert_eq!(server.seen.wait_for_ends(1), [End::TimedOut]);
    }

    fn behind_the_handshake_the_client_is_idle<D>() {
        // So soon that a handshake would hardly be done in that time.
        let hurries: Handle = |request| {
            let Some(line) = request.line()? else { return Ok(Flow::Continue) };
            assert_eq!(line, "STARTTLS\n");
            request.write_all(b"220 go ahead\n")?;
            request.start_tls()?;
            request.set_idle_timeout(Duration::from_millis(1));
            Ok(Flow::Continue)
        };
        let server = builder::<D>(hurries).start();
        let mut client = secure(server.local_addr());
        client.shake_hands().unwrap();
        assert_eq!(read_rest(&mut client), b"");
        assert_eq!(server.seen.wait_for_ends(1), [End::IdleTimeout]);
    }

    fn others_may_send_while_it_lasts<D>() but_fork("a sender would be of the child's own") {
        let (made, senders) = mpsc::channel();
        let server = Builder::<StartTls<Tcp>, D, _>::new(function(move |request: &mut Connection| {
            made.send(request.sender()?)?;
            command(request)
        }))
        .tls(server_config())
        .establish_timeout(LONG)
        .start();
        let client = begin(connect(server.local_addr()));
        let sender: Sender = senders.recv_timeout(common::PATIENCE).unwrap();
        sender.send("250 news\n").unwrap();
        let mut client = Client::default().over(client);
        assert_eq!(read_line(&mut client), "250 news");
        assert_eq!(ask(&mut client, "NOOP 1"), "250 NOOP 1");
    }

    fn many_that_do_not_go_on_hold_nobody_up<D>() but_fork("each has a child, of which there are 40") {
        // More than a pool has workers; some have said nothing, some half a greeting, some all of it and no more.
        let hello = hello();
        let server = builder::<D>(command).start();
        let clients: Vec<_> = (0..200)
            .map(|number| {
                let mut client = begin(connect(server.local_addr()));
                let said = [0, hello.len() / 2, hello.len()][number % 3];
                client.write_all(&hello[..said]).unwrap();
                client
            })
            .collect();
        still_serves(server.local_addr());
        eventually("one has gone", || server.stats().active == 200);
        // And a stop waits for none of them.
        let report = server.stop();
        assert_eq!((report.forced, report.failed), (0, 0), "{report}");
        drop(clients);
    }

    fn a_stop_is_told_by_close_notify<D>() {
        let server = builder::<D>(command).start();
        let mut client = secure(server.local_addr());
        assert_eq!(ask(&mut client, "NOOP 1"), "250 NOOP 1");
        let report = server.stop();
        assert_eq!(read_rest(&mut client), b"");
        assert_eq!((report.idle_closed, report.forced, report.failed), (1, 0, 0), "{report}");
    }
}

#[test]
fn a_server_without_a_certificate_is_not_bound() {
    let builder = Builder::<StartTls<Tcp>, socketserver::Sync, _>::new(function(command));
    let error = builder.bind("127.0.0.1:0").unwrap_err().to_string();
    assert!(error.starts_with("option tls = none: "), "{error}");
}
