//! Behind a proxy that says whose a connection is, the server serves it as that client's.
#![cfg(unix)]

#[macro_use]
mod common;

use std::io::Read;
use std::io::Write;
use std::net::Shutdown;
use std::net::SocketAddr;
use std::net::TcpStream;
use std::time::Duration;

use common::Knocking;
use common::Log;
use common::PATIENCE;
use common::Running;
use common::Start;
use common::TempDir;
use common::ask;
use common::connect;
use common::connect_from;
use common::connect_unix;
use common::drip;
use common::echo::echo_line;
use common::eventually;
use common::own_sockets::OwnSockets;
use common::proxy_headers::LOCAL;
use common::proxy_headers::PROXY;
use common::proxy_headers::tlv;
use common::proxy_headers::v1;
use common::proxy_headers::v2;
use common::proxy_headers::v2_from;
use common::proxy_headers::with_checksum;
use common::read_line;
use common::read_rest;
use common::reset;
use socketserver::BindError;
use socketserver::Builder;
use socketserver::End;
use socketserver::Flow;
use socketserver::HandlerFactoryExt;
use socketserver::HandlerResult;
use socketserver::Refusal;
use socketserver::RequestError;
use socketserver::Socket;
use socketserver::Stage;
use socketserver::Stream;
use socketserver::Sync;
use socketserver::Tcp;
use socketserver::Transport;
use socketserver::UnixStream;
use socketserver::handler::Function;
use socketserver::handler::function;
use socketserver::transport::Bind;
use socketserver::transport::PerSource;
use socketserver::transport::PerSourceOptions;
use socketserver::transport::Proxied;
use socketserver::transport::ProxiedAddr;
use socketserver::transport::ProxyOptions;
use socketserver::transport::ProxyProtocol;
use socketserver::transport::proxy::Header;

const SHORT: Duration = Duration::from_millis(150);
const LONG: Duration = Duration::from_secs(600);

type Relayed = Stream<Proxied<TcpStream>>;
type Handle<R> = Function<fn(&mut R) -> HandlerResult>;

/// `who` is answered with the client and the proxy, other lines with themselves.
fn answer<S: Socket<Addr: std::fmt::Debug>>(request: &mut Stream<Proxied<S>>) -> HandlerResult {
    let line = read_line(&mut *request);
    if line == "who" {
        let (client, proxy) = (request.peer_addr().cloned(), request.get_ref().proxy_addr().cloned());
        writeln!(request, "{client:?} {proxy:?}")?;
    } else {
        writeln!(request, "{line}")?;
    }
    Ok(if line.is_empty() { Flow::Close } else { Flow::Continue })
}

fn trusting<O: Default>(networks: &str) -> ProxyOptions<O> {
    ProxyOptions::new().trust(networks.parse().unwrap())
}

/// Behind proxies on this machine.
fn builder<D: Default>() -> Builder<ProxyProtocol<Tcp>, D, Handle<Relayed>> {
    Builder::new(function(answer as fn(&mut Relayed) -> HandlerResult))
        .transport_options(trusting("127.0.0.1"))
        .establish_timeout(LONG)
        .idle_timeout(LONG)
}

fn relay(address: SocketAddr, header: &[u8]) -> TcpStream {
    let mut client = connect(address);
    client.write_all(header).unwrap();
    client
}

/// Whom the server takes the client for.
fn who(client: impl Read + Write) -> String {
    let answer = ask(client, "who");
    answer.split_once(' ').unwrap().0.to_owned()
}

fn is_closed(mut client: impl Read) {
    match client.read(&mut [0; 1]) {
        Ok(count) => assert_eq!(count, 0, "it is served"),
        Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset),
    }
}

/// The only connection has failed to be established.
fn assert_failed<T: Transport>(server: Running<T>, text: &str) {
    assert!(server.seen.wait_for_stops(1, PATIENCE));
    let report = server.stop();
    assert_eq!((report.accepted, report.failed), (1, 1), "{report}");
    let errors = report.seen.errors();
    assert!(errors.len() == 1 && errors[0].contains(text), "{errors:?}");
}

/// Headers of both versions, as short and as long as they get.
fn headers() -> Vec<Vec<u8>> {
    vec![
        v1("192.0.2.1", 7),
        b"PROXY TCP6 2001:db8::1 2001:db8::2 7 443\r\n".to_vec(),
        b"PROXY UNKNOWN\r\n".to_vec(),
        v2_from([192, 0, 2, 1], 7, &[]),
        with_checksum(|sum| v2_from([192, 0, 2, 1], 7, &[&tlv(5, &[b'x'; 128]), sum].concat())),
        v2(LOCAL, 0, &[], &[]),
        v2_from([192, 0, 2, 1], 7, &tlv(0xe0, &[b'x'; 4096 - 16 - 12 - 3])),
    ]
}

under_each_dispatch! {
    fn the_client_is_the_one_that_is_announced<D>() {
        let server = builder::<D>().start();
        let client = relay(server.local_addr(), &v1("192.0.2.1", 7));
        let proxy = client.local_addr().unwrap();
        assert_eq!(ask(&client, "who"), format!("Some(Inet(192.0.2.1:7)) Some({proxy})"));
        let client = relay(server.local_addr(), &v2_from([192, 0, 2, 1], 7, &[]));
        assert_eq!(who(&client), "Some(Inet(192.0.2.1:7))");
        let client = relay(server.local_addr(), b"PROXY TCP6 2001:db8::1 2001:db8::2 7 443\r\n");
        assert_eq!(who(&client), "Some(Inet([2001:db8::1]:7))");
    }

    fn a_proxy_that_announces_nobody_is_itself<D>() {
        let server = builder::<D>().start();
        for header in [
            v2(LOCAL, 0, &[], &[]),
            v2(LOCAL, 0x11, &[9; 12], &[]),
            v2(PROXY, 0, &[], &[]),
            b"PROXY UNKNOWN\r\n".to_vec(),
            b"PROXY UNKNOWN 192.0.2.1 192.0.2.9 7 443\r\n".to_vec(),
        ] {
            let client = relay(server.local_addr(), &header);
            let own = client.local_addr().unwrap();
            assert_eq!(who(&client), format!("Some(Own({own}))"), "{}", header.escape_ascii());
        }
    }

    fn a_header_comes_in_any_pieces<D>() {
        let server = builder::<D>().start();
        for header in headers() {
            let cuts: Vec<usize> = if header.len() > 300 { vec![1, 16, 255, 256, 257, 300] } else { (1..header.len()).collect() };
            for cut in cuts {
                let mut client = connect(server.local_addr());
                client.set_nodelay(true).unwrap();
                client.write_all(&header[..cut]).unwrap();
                // What came first is looked at before the rest comes, most of the time.
                std::thread::yield_now();
                client.write_all(&[&header[cut..], b"hello\n"].concat()).unwrap();
                assert_eq!(read_line(&client), "hello", "{cut} bytes of {}", header.escape_ascii());
            }
        }
    }

    fn a_header_comes_byte_by_byte<D>() {
        let server = builder::<D>().start();
        let clients: Vec<_> = headers().into_iter().filter(|header| header.len() < 300).map(|header| {
            let mut client = connect(server.local_addr());
            client.set_nodelay(true).unwrap();
            for byte in header {
                client.write_all(&[byte]).unwrap();
            }
            client
        }).collect();
        for client in &clients {
            assert_eq!(ask(client, "hello"), "hello");
        }
    }

    fn what_is_behind_a_header_stays_in_the_socket<D>() {
        let server = Builder::<ProxyProtocol<Tcp>, D, _>::new(function(|request: &mut Relayed| {
            // Past the buffers, as TLS would read.
            assert_eq!(request.buffered(), b"");
            let mut bytes = [0; 64];
            let count = request.get_mut().get_mut().read(&mut bytes)?;
            request.write_all(&bytes[..count])?;
            Ok(Flow::Close)
        }).speaking_first())
        .transport_options(trusting("127.0.0.1"))
        .start();
        for header in headers() {
            let client = relay(server.local_addr(), &[&header[..], b"\x16\x03\x01 hello"].concat());
            client.shutdown(Shutdown::Write).unwrap();
            assert_eq!(read_rest(&client), b"\x16\x03\x01 hello");
        }
    }

    fn one_that_is_not_trusted_is_refused<D>() {
        let server = builder::<D>().start();
        for header in [v1("192.0.2.1", 7), v2_from([192, 0, 2, 1], 7, &[]), b"hello\n".to_vec()] {
            let mut client = connect_from("127.0.0.2", server.local_addr());
            // It may be closed already.
            let _ = client.write_all(&header);
            is_closed(&client);
        }
        assert_eq!(who(relay(server.local_addr(), &v1("192.0.2.1", 7))), "Some(Inet(192.0.2.1:7))");
        let report = server.stop();
        assert_eq!((report.seen.refused(Refusal::Untrusted), report.refused, report.failed), (3, 3, 0), "{report}");
        assert_eq!(report.seen.errors(), Vec::<String>::new());
    }

    fn one_that_looks_whether_the_server_is_there_is_no_error<D>() {
        let server = builder::<D>().start();
        drop(connect(server.local_addr()));
        reset(connect(server.local_addr()));
        drop(relay(server.local_addr(), &v2(LOCAL, 0, &[], &[])));
        assert_eq!(server.seen.wait_for_ends(3), [End::PeerClosed; 3]);
        let report = server.stop();
        assert_eq!(report.seen.errors(), Vec::<String>::new());
        assert_eq!((report.accepted, report.finished), (3, 3), "{report}");
    }

    fn one_that_goes_within_its_header_is_an_error<D>() {
        for header in headers() {
            for cut in [1, header.len() / 2, header.len() - 1] {
                let server = builder::<D>().start();
                drop(relay(server.local_addr(), &header[..cut]));
                assert_failed(server, &format!("within its PROXY header, after {cut} bytes of it"));
            }
        }
    }

    fn what_is_no_header_is_told<D>() {
        for (bytes, text) in [
            (b"GET / HTTP/1.1\r\nHost: here\r\n\r\n".to_vec(), r#"establish: no PROXY header but "GET / HTTP/1.1\r\n""#),
            (b"\x16\x03\x01\x02\0".to_vec(), r#"no PROXY header but "\x16\x03\x01\x02\x00""#),
            (b"PROXY TCP4 192.0.2.1 192.0.2.9 7 x\r\n".to_vec(), "a port is not a number up to 65535"),
            ([b"PROXY UNKNOWN".as_slice(), &[b' '; 100]].concat(), "no CRLF in the first 107 bytes"),
            (v2_from([192, 0, 2, 1], 7, &[1]), "a TLV is longer than the header"),
            (v2_from([192, 0, 2, 1], 7, &tlv(3, b"\0\0\0\0")), "checksum (CRC32C) is wrong"),
            (v2_from([192, 0, 2, 1], 7, &tlv(0xe0, &[0; 4096 - 16 - 12 - 2])),
                "a PROXY header of 4097 bytes, but at most 4096 are accepted: raise ProxyOptions::max_header"),
        ] {
            let server = builder::<D>().start();
            is_closed(relay(server.local_addr(), &bytes));
            assert_failed(server, text);
        }
    }

    fn a_silent_one_is_not_waited_for<D>() {
        let server = builder::<D>().establish_timeout(SHORT).start();
        assert_eq!(read_rest(connect(server.local_addr())), b"");
        assert_failed(server, "establish: establishing took longer than 150ms");
        let server = builder::<D>().establish_timeout(SHORT).start();
        let client = relay(server.local_addr(), b"PROXY UNKNOWN ");
        drip(&client);
        assert_failed(server, "establish: establishing took longer than 150ms");
    }

    fn silent_ones_hold_no_one_up<D>() but_fork("each has a child, of which there are 40") {
        let server = builder::<D>().start();
        let mut silent: Vec<_> = (0..200).map(|_| connect(server.local_addr())).collect();
        for (index, client) in silent.iter_mut().enumerate() {
            client.write_all(&b"PROXY TCP4 "[..index % 11]).unwrap();
        }
        eventually("they are accepted", || server.stats().accepted == 200);
        let client = relay(server.local_addr(), &v1("192.0.2.1", 7));
        assert_eq!(ask(&client, "hello"), "hello");
        drop(silent);
        server.seen.wait_for_ends(200);
    }

    fn a_stop_waits_for_headers_that_have_begun<D>() {
        let server = builder::<D>().drain_timeout(SHORT).start();
        let silent = connect(server.local_addr());
        let slow = relay(server.local_addr(), b"PROXY ");
        eventually("they are accepted", || server.stats().accepted == 2);
        let report = server.stop();
        is_closed(&silent);
        is_closed(&slow);
        assert_eq!((report.accepted, report.forced), (2, 1), "{report}");
        assert_eq!((report.seen.ended(End::Drained), report.seen.ended(End::Forced)), (1, 1));
    }

    fn hooks_see_the_announced_client<D>() {
        let told = Log::<String>::default();
        let tell = told.clone();
        let server = Builder::<ProxyProtocol<Tcp>, D, _>::new(function(|request: &mut Relayed| match read_line(request) {
            line if line == "fail" => Err("on purpose".into()),
            _ => Ok(Flow::Close),
        }))
        .transport_options(trusting("127.0.0.1"))
        .verify(|request: &Relayed| {
            request.peer_addr().and_then(ProxiedAddr::socket_addr).is_some_and(|client| client.port() != 666)
        })
        .on_error(move |error: &RequestError, client: Option<&ProxiedAddr<SocketAddr>>| {
            assert_eq!(error.stage(), Stage::Handle);
            tell.push(client.unwrap().to_string());
        })
        .start();
        is_closed(relay(server.local_addr(), &[&v1("192.0.2.1", 666)[..], b"hello\n"].concat()));
        is_closed(relay(server.local_addr(), &[&v1("192.0.2.1", 7)[..], b"fail\n"].concat()));
        server.seen.wait_for_ends(2);
        let report = server.stop();
        assert_eq!((report.refused, report.failed), (1, 1), "{report}");
        assert_eq!(told.entries(), ["192.0.2.1:7"]);
    }

    fn the_rest_of_the_header_is_there<D>() {
        let server = Builder::<ProxyProtocol<Tcp>, D, _>::new(function(|request: &mut Relayed| {
            let header: &Header = request.get_ref().header().unwrap();
            let name = header.authority().unwrap_or_default().escape_ascii().to_string();
            writeln!(request, "{name}")?;
            Ok(Flow::Close)
        }).speaking_first())
        .transport_options(trusting("127.0.0.1"))
        .start();
        let client = relay(server.local_addr(), &v2_from([192, 0, 2, 1], 7, &tlv(2, b"example.org")));
        assert_eq!(read_line(&client), "example.org");
    }

    fn over_a_unix_domain_socket<D>() {
        type Local = Stream<Proxied<std::os::unix::net::UnixStream>>;
        let folder = TempDir::new();
        let serve = |name: &str, options| {
            Builder::<ProxyProtocol<UnixStream>, D, _>::new(function(answer as fn(&mut Local) -> HandlerResult))
                .transport_options(options)
                .mode(0o600)
                .start_at(folder.join(name))
        };
        let server = serve("trusting", ProxyOptions::new().trust_unix());
        let path = folder.join("trusting");
        let mut client = connect_unix(&path);
        client.write_all(&v1("192.0.2.1", 7)).unwrap();
        assert_eq!(ask(&client, "who"), "Some(Inet(192.0.2.1:7)) Some(Unnamed)");
        let mut client = connect_unix(&path);
        let mut addresses = [0; 216];
        addresses[..6].copy_from_slice(b"/run/a");
        client.write_all(&v2(PROXY, 0x31, &addresses, &[])).unwrap();
        let answer = ask(&client, "who");
        assert!(answer.starts_with("Some(Unix(["), "{answer}");
        let mut client = connect_unix(&path);
        client.write_all(b"PROXY UNKNOWN\r\n").unwrap();
        assert_eq!(who(&client), "Some(Own(Unnamed))");
        drop(server);

        let server = serve("trusting_others", trusting("0.0.0.0/0,::/0"));
        is_closed(connect_unix(&folder.join("trusting_others")));
        let report = server.stop();
        assert_eq!(report.seen.refused(Refusal::Untrusted), 1);
    }

    fn the_announced_source_is_counted<D>() {
        let server = Builder::<PerSource<ProxyProtocol<Tcp>>, D, _>::new(function(answer as fn(&mut Relayed) -> HandlerResult))
            .transport_options(PerSourceOptions::new().most(1).inner(trusting("127.0.0.1")))
            .start();
        let first = relay(server.local_addr(), &v1("192.0.2.1", 7));
        assert_eq!(ask(&first, "hello"), "hello");
        is_closed(relay(server.local_addr(), &v1("192.0.2.1", 8)));
        let other = relay(server.local_addr(), &v1("192.0.2.2", 7));
        assert_eq!(ask(&other, "hello"), "hello");
        // What the balancer does for itself is counted as its own.
        let local = relay(server.local_addr(), &v2(LOCAL, 0, &[], &[]));
        assert_eq!(ask(&local, "hello"), "hello");
        drop(first);
        let report = server.stop();
        assert_eq!((report.seen.refused(Refusal::PerSource), report.refused), (1, 1), "{report}");
    }

    fn where_there_are_no_headers_it_is_as_if_it_was_not_there<D>() {
        type Front = PerSource<ProxyProtocol<Tcp>>;
        let proxies = ProxyOptions::new().without_headers();
        let server = Builder::<Front, D, _>::new(function(answer as fn(&mut Relayed) -> HandlerResult))
            .transport_options(PerSourceOptions::new().most(usize::MAX).max_sources(1).inner(proxies))
            .start();
        let client = connect(server.local_addr());
        let own = client.local_addr().unwrap();
        assert_eq!(ask(&client, "who"), format!("Some(Own({own})) None"));
        // What could be a header is a message.
        assert_eq!(ask(&client, "PROXY TCP4 192.0.2.1 192.0.2.9 7 8"), "PROXY TCP4 192.0.2.1 192.0.2.9 7 8");
        // Nothing is counted.
        let other = connect_from("127.0.0.2", server.local_addr());
        assert_eq!(ask(&other, "hello"), "hello");
        drop((client, other));
        let report = server.stop();
        assert_eq!((report.accepted, report.refused), (2, 0), "{report}");
    }

    fn or_the_proxy_is<D>() {
        let server = Builder::<ProxyProtocol<PerSource<Tcp>>, D, _>::new(function(answer as fn(&mut Relayed) -> HandlerResult))
            .transport_options(trusting("127.0.0.0/8").inner(PerSourceOptions::new().most(1)))
            .start();
        let first = relay(server.local_addr(), &v1("192.0.2.1", 7));
        assert_eq!(ask(&first, "hello"), "hello");
        let mut client = connect(server.local_addr());
        let _ = client.write_all(&v1("192.0.2.2", 7));
        is_closed(client);
        let mut other = connect_from("127.0.0.2", server.local_addr());
        other.write_all(&v1("192.0.2.1", 7)).unwrap();
        assert_eq!(ask(&other, "hello"), "hello");
        drop(first);
        server.seen.wait_for_ends(2);
        // The place that the transport inside has taken is given back.
        assert_eq!(ask(relay(server.local_addr(), &v1("192.0.2.1", 7)), "hello"), "hello");
        let report = server.stop();
        assert_eq!((report.seen.refused(Refusal::PerSource), report.refused), (1, 1), "{report}");
    }

    fn over_a_transport_with_a_handshake<D>() {
        let server = Builder::<ProxyProtocol<Knocking>, D, _>::new(function(answer as fn(&mut Relayed) -> HandlerResult))
            .transport_options(trusting("127.0.0.1"))
            .start();
        // What has been read ahead is the beginning of the header.
        let client = relay(server.local_addr(), &[b"knock\n", &v1("192.0.2.1", 7)[..], b"hello\n"].concat());
        assert_eq!(read_line(&client), "hello");
        assert_eq!(who(&client), "Some(Inet(192.0.2.1:7))");
        let client = relay(server.local_addr(), &[b"knock\n", &v1("192.0.2.1", 7)[..20]].concat());
        (&client).write_all(&v1("192.0.2.1", 7)[20..]).unwrap();
        assert_eq!(ask(&client, "hello"), "hello");
        is_closed(relay(server.local_addr(), b"thief\n"));
        let mut stranger = connect_from("127.0.0.2", server.local_addr());
        let _ = stranger.write_all(b"knock\n");
        is_closed(stranger);
        assert_eq!(server.stop().seen.refused(Refusal::Untrusted), 2);
    }

    fn over_a_socket_that_is_not_plain<D>() {
        let server = Builder::<ProxyProtocol<OwnSockets<Opaque>>, D, _>::new(function(answer as fn(&mut Stream<Proxied<Opaque>>) -> HandlerResult))
            .transport_options(trusting("127.0.0.1"))
            .start();
        for header in headers() {
            let client = relay(server.local_addr(), &[&header[..], b"hello\n"].concat());
            assert_eq!(read_line(&client), "hello");
            assert_eq!(ask(&client, "again"), "again");
            let mut client = relay(server.local_addr(), &header[..header.len() / 2]);
            std::thread::yield_now();
            client.write_all(&header[header.len() / 2..]).unwrap();
            assert_eq!(ask(&client, "hello"), "hello");
        }
        drop(connect(server.local_addr()));
    }

    fn one_proxy_behind_the_other<D>() {
        type Twice = Stream<Proxied<Proxied<TcpStream>>>;
        let server = Builder::<ProxyProtocol<ProxyProtocol<Tcp>>, D, _>::new(function(answer as fn(&mut Twice) -> HandlerResult))
            .transport_options(trusting("192.0.2.1").inner(trusting("127.0.0.1")))
            .start();
        let chain = |first: &str| [v1(first, 7), v2_from([198, 51, 100, 1], 8, &[])].concat();
        let client = relay(server.local_addr(), &chain("192.0.2.1"));
        assert_eq!(ask(&client, "who"), "Some(Inet(198.51.100.1:8)) Some(Inet(192.0.2.1:7))");
        // The second of the two is not trusted.
        is_closed(relay(server.local_addr(), &chain("192.0.2.2")));
        assert_eq!(server.stop().seen.refused(Refusal::Untrusted), 1);
    }
}

/// A socket of which the server knows nothing but how to read and to write.
struct Opaque(TcpStream);

own_socket!(Opaque);

impl Read for Opaque {
    fn read(&mut self, bytes: &mut [u8]) -> std::io::Result<usize> {
        self.0.read(bytes)
    }
}

impl Write for Opaque {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_proxy_protocol_that_trusts_nobody_is_refused() {
    let bind = |options| ProxyProtocol::<Tcp>::bind(&"127.0.0.1:0".into(), &options).unwrap_err();
    let new = || trusting("10.0.0.0/8");
    for (error, expected) in [
        (bind(ProxyOptions::new()), "option trust = nobody: every connection would be refused; name the networks"),
        (bind(new().without_headers()), "option trust = given: without_headers was called, too: "),
        (bind(new().max_header(231)), "option max_header = 231: addresses take up to 232 bytes"),
        (bind(new().max_header(65552)), "option max_header = 65552: "),
    ] {
        assert!(matches!(error, BindError::Option { .. }));
        assert!(error.to_string().starts_with(expected), "{error}");
    }
}

#[test]
fn options_of_the_socket_are_set_through_both() {
    let error = Builder::<PerSource<ProxyProtocol<Tcp>>, Sync, _>::new(function(echo_line::<Proxied<TcpStream>>))
        .transport_options(PerSourceOptions::new().inner(trusting("::1")))
        .backlog(1)
        .keepalive(Duration::ZERO)
        .bind("127.0.0.1:0")
        .unwrap_err();
    assert!(error.to_string().starts_with("option keepalive = 0ns: "), "{error}");
}
