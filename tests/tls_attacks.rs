//! Clients that speak no TLS, or speak it to do harm: each has an error of its own, in words, and others are served.

#[macro_use]
mod common;

use std::io;
use std::io::ErrorKind;
use std::io::Read;
use std::io::Write;
use std::net::Shutdown;
use std::net::SocketAddr;
use std::net::TcpStream;
use std::os::fd::AsFd;
use std::time::Duration;

use common::Running;
use common::Start;
use common::ask;
use common::connect;
use common::echo::Echo;
use common::eventually;
use common::own_sockets::OwnSockets;
use common::read_rest;
use common::tls::Client;
use common::tls::Identity;
use common::tls::authority;
use common::tls::connect_tls;
use common::tls::localhost;
use common::tls::server_config;
use rustls::version::TLS12;
use rustls::version::TLS13;
use socket2::Domain;
use socket2::SockRef;
use socket2::Socket;
use socket2::Type;
use socketserver::Builder;
use socketserver::End;
use socketserver::Tcp;
use socketserver::Tls;
use socketserver::transport::Descriptor;

const SHORT: Duration = Duration::from_millis(150);
const LONG: Duration = Duration::from_secs(600);

type EchoFactory = fn() -> Echo;

fn builder<D: Default>() -> Builder<Tls<Tcp>, D, EchoFactory> {
    let factory: EchoFactory = || Echo;
    Builder::new(factory).tls(server_config()).establish_timeout(LONG).linger(Duration::ZERO, 0)
}

/// A new client is served as ever.
fn still_serves(address: SocketAddr) {
    let mut client = connect_tls(address);
    assert_eq!(ask(&mut client, "hello"), "hello");
    client.say_goodbye();
    assert_eq!(read_rest(&mut client), b"");
}

/// What the server says of a client that sends this before anything else and then waits; the alert that it is sent.
fn after(server: Running<Tls<Tcp>>, bytes: &[u8]) -> (String, Option<u8>) {
    let mut client = connect(server.local_addr());
    client.write_all(bytes).unwrap();
    let mut heard = Vec::new();
    // What it has sent and nobody has read may make its end a reset.
    let _ = client.read_to_end(&mut heard);
    let alert = heard.rchunks(7).next().filter(|record| record.len() == 7 && record[0] == 21).map(|record| record[6]);
    assert_eq!(server.seen.wait_for_ends(1), [End::Failed]);
    still_serves(server.local_addr());
    let errors = server.stop().seen.errors();
    assert_eq!(errors.len(), 1, "{errors:?}");
    let error = errors[0].strip_prefix("establish: ").expect("an error of the handshake").to_owned();
    (error, alert)
}

/// The first words of a client.
fn hello(client: &Client) -> Vec<u8> {
    let mut hello = Vec::new();
    client.session().write_tls(&mut hello).unwrap();
    hello
}

/// A record of this type.
fn record(content: u8, bytes: &[u8]) -> Vec<u8> {
    let length = u16::try_from(bytes.len()).unwrap().to_be_bytes();
    [&[content, 3, 1][..], &length, bytes].concat()
}

const CHANGE_CIPHER_SPEC: u8 = 20;
const ALERT: u8 = 21;
const HANDSHAKE: u8 = 22;
const APPLICATION_DATA: u8 = 23;

const UNEXPECTED_MESSAGE: u8 = 10;
const DECODE_ERROR: u8 = 50;

under_each_dispatch! {
    fn plain_http<D>() {
        let (error, alert) = after(builder::<D>().start(), b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
        let expected = "the client speaks plain HTTP, but this server speaks TLS: use https:// in the address";
        assert_eq!((error.as_str(), alert), (expected, Some(DECODE_ERROR)));
    }

    fn garbage<D>() {
        for garbage in [&b"SSH-2.0-OpenSSH_9.2\r\n"[..], b"\0\0\0\0\0\0", b"\xff\xff\xff\xff\xff", &[b'x'; 100_000]] {
            let (error, alert) = after(builder::<D>().start(), garbage);
            assert_eq!((error.as_str(), alert), ("the client does not speak TLS: InvalidContentType", Some(DECODE_ERROR)));
        }
        let (error, _) = after(builder::<D>().start(), &[0x80, 0x2e, 1, 3, 1, 0, 0x15, 0, 0, 0, 0x10]);
        assert_eq!(error, "the client speaks SSL 2.0: this server speaks TLS 1.2 and 1.3");
        // A sequence that is as good as random: x' = x * 6364136223846793005 + 1442695040888963407.
        let mut state = 42_u64;
        for length in [5, 100, 5_000, 60_000] {
            let garbage = std::iter::repeat_with(|| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                state.to_be_bytes()[0]
            });
            // As contents of a record, too.
            let garbage: Vec<u8> = garbage.take(length).collect();
            after(builder::<D>().start(), &garbage);
            after(builder::<D>().start(), &record(HANDSHAKE, &garbage[..length.min(16_384)]));
        }
    }

    fn records_that_are_too_long<D>() {
        for content in [HANDSHAKE, ALERT] {
            let (error, alert) = after(builder::<D>().start(), &[content, 3, 1, 0xff, 0xff, 1, 0, 0, 0]);
            let expected = "the client does not speak TLS: MessageTooLarge";
            assert_eq!((error.as_str(), alert), (expected, Some(DECODE_ERROR)));
        }
        // After the handshake: one that cannot be, and one that only its contents make too long.
        for length in [0xffff_u16, 16_384 + 257] {
            let server = builder::<D>().start();
            let mut client = Client::default().shake_hands(server.local_addr()).unwrap();
            assert_eq!(ask(&mut client, "hello"), "hello");
            let [high, low] = length.to_be_bytes();
            client.socket().write_all(&[APPLICATION_DATA, 3, 3, high, low]).unwrap();
            let _ = client.socket().write_all(&vec![0; length.into()]);
            let error = client.try_read_rest().unwrap_err();
            assert_ne!(error.kind(), ErrorKind::WouldBlock, "{error}");
            assert_eq!(server.seen.wait_for_ends(1), [End::Failed]);
            still_serves(server.local_addr());
        }
    }

    fn a_handshake_message_without_end<D>() {
        // In one-byte pieces, each a record of six: what is held of it has a bound.
        let mut message = record(HANDSHAKE, &[1, 0, 0xff, 0xff]);
        (0..60_000).for_each(|_| message.extend(record(HANDSHAKE, &[0])));
        let (error, _) = after(builder::<D>().start(), &message);
        assert_eq!(error, "a handshake message is longer than 65536 bytes");
        let (error, alert) = after(builder::<D>().start(), &record(HANDSHAKE, &[1, 0xff, 0xff, 0xff]));
        // rustls has no alert for it.
        assert_eq!((error.as_str(), alert), ("the client does not speak TLS: HandshakePayloadTooLarge", None));
    }

    fn messages_at_the_wrong_time<D>() {
        let data = record(APPLICATION_DATA, b"hello\n");
        let (error, alert) = after(builder::<D>().start(), &data);
        assert!(error.starts_with("the handshake failed: received unexpected message"), "{error}");
        assert_eq!(alert, Some(UNEXPECTED_MESSAGE));
        for version in [&TLS12, &TLS13] {
            let hello = hello(&Client::of(authority(), &[version], None));
            // Twice, or with what only comes later.
            for next in [&hello[..], &data, &record(HANDSHAKE, &[20, 0, 0, 1, 0])] {
                after(builder::<D>().start(), &[&hello, next].concat());
            }
            after(builder::<D>().start(), &[&hello[..], &record(CHANGE_CIPHER_SPEC, &[1]).repeat(40)].concat());
        }
    }

    fn alerts_before_during_and_after_the_handshake<D>() {
        // A fatal one (40: handshake_failure), and one that only warns.
        let (fatal, warning) = (record(ALERT, &[2, 40]), record(ALERT, &[1, 90]));
        let (error, _) = after(builder::<D>().start(), &fatal);
        assert_eq!(error, "the client ended the handshake: alert HandshakeFailure");
        let (error, _) = after(builder::<D>().start(), &[&hello(&Client::default())[..], &fatal].concat());
        assert_eq!(error, "the client ended the handshake: alert HandshakeFailure");
        after(builder::<D>().start(), &warning.repeat(40));
        // Whose sender has no keys any more.
        let server = builder::<D>().start();
        let mut client = Client::default().shake_hands(server.local_addr()).unwrap();
        assert_eq!(ask(&mut client, "hello"), "hello");
        client.socket().write_all(&fatal).unwrap();
        client.try_read_rest().unwrap_err();
        assert_eq!(server.seen.wait_for_ends(1), [End::Failed]);
        still_serves(server.local_addr());
    }

    fn bytes_that_were_changed_on_their_way<D>() {
        let server = builder::<D>().start();
        let mut client = Client::default().shake_hands(server.local_addr()).unwrap();
        assert_eq!(ask(&mut client, "hello"), "hello");
        let mut records = client.records_of(b"one\n");
        records.extend(client.records_of(b"two\n"));
        *records.last_mut().unwrap() ^= 1;
        client.socket().write_all(&records).unwrap();
        // What came before is handled, but nothing is said any more.
        let error = client.try_read_rest().unwrap_err();
        assert_eq!(error.to_string(), "received fatal alert: BadRecordMac");
        assert_eq!(server.seen.wait_for_ends(1), [End::Failed]);
        let errors = server.stop().seen.errors();
        assert_eq!(errors, ["handle: received a record that was not encrypted with the keys of this session"]);
    }

    fn new_keys_without_end<D>() {
        let server = builder::<D>().start();
        let mut client = Client::of(authority(), &[&TLS13], None).shake_hands(server.local_addr()).unwrap();
        // Between messages as often as it likes.
        for _ in 0..100 {
            client.session().refresh_traffic_keys().unwrap();
            assert_eq!(ask(&mut client, "hello"), "hello");
        }
        for _ in 0..40 {
            client.session().refresh_traffic_keys().unwrap();
        }
        let _ = client.flush();
        client.try_read_rest().unwrap_err();
        assert_eq!(server.seen.wait_for_ends(1), [End::Failed]);
        still_serves(server.local_addr());
        assert_eq!(server.stop().seen.errors(), ["handle: the client has requested new keys too often"]);
    }

    fn a_greeting_that_ends_at_every_byte<D>() {
        let hello = hello(&Client::default());
        let server = builder::<D>().start();
        for length in 0..hello.len() {
            let mut client = connect(server.local_addr());
            client.write_all(&hello[..length]).unwrap();
        }
        let ends = server.seen.wait_for_ends(hello.len());
        assert_eq!(ends.iter().filter(|end| **end == End::PeerClosed).count(), 1, "the one that has said nothing");
        assert_eq!(ends.iter().filter(|end| **end == End::Failed).count(), hello.len() - 1);
        still_serves(server.local_addr());
        let report = server.stop();
        let gone = "establish: the client has closed the connection in the middle of the handshake";
        assert!(report.seen.errors().iter().all(|error| error == gone), "{:?}", report.seen.errors());
    }

    fn a_greeting_that_pauses_at_every_byte<D>() {
        let server = builder::<D>().start();
        let client = Client::default();
        let length = hello(&client).len();
        for pause in (1..length).step_by(7) {
            let mut session = client.session();
            let mut hello = Vec::new();
            session.write_tls(&mut hello).unwrap();
            let mut socket = connect(server.local_addr());
            socket.set_nodelay(true).unwrap();
            let before = server.stats().accepted;
            socket.write_all(&hello[..pause]).unwrap();
            eventually("it is accepted", || server.stats().accepted >= before);
            socket.write_all(&hello[pause..]).unwrap();
            let mut client = common::tls::TlsClient(rustls::StreamOwned::new(session, socket));
            assert_eq!(ask(&mut client, "hello"), "hello");
        }
    }

    fn a_greeting_that_is_wrong_at_every_byte<D>() {
        let hello = hello(&Client::default());
        let server = builder::<D>().start();
        for at in 0..hello.len() {
            let mut changed = hello.clone();
            changed[at] ^= 0x55;
            let mut client = connect(server.local_addr());
            client.write_all(&changed).unwrap();
            client.shutdown(Shutdown::Write).unwrap();
            let _ = client.read_to_end(&mut Vec::new());
        }
        assert_eq!(server.seen.wait_for_ends(hello.len()), vec![End::Failed; hello.len()]);
        still_serves(server.local_addr());
    }

    fn a_greeting_that_drips_in_has_its_time<D>() {
        let server = builder::<D>().establish_timeout(SHORT).start();
        let mut client = connect(server.local_addr());
        let hello = hello(&Client::default());
        let mut sent = 0;
        for byte in hello.chunks(1) {
            if client.write_all(byte).is_err() {
                break;
            }
            sent += 1;
            std::thread::sleep(Duration::from_millis(5));
        }
        assert!(sent < hello.len(), "it had all the time it wanted");
        assert_eq!(server.seen.wait_for_ends(1), [End::TimedOut]);
        assert_eq!(server.stop().seen.errors(), ["establish: establishing took longer than 150ms"]);
    }

    fn many_that_do_not_go_on_hold_nobody_up<D>() but_fork("each has a child, of which there are 40") {
        // More than a pool has workers; some have said nothing, some half a greeting, some all of it and no more.
        let hello = hello(&Client::default());
        let server = builder::<D>().start();
        let clients: Vec<_> = (0..300)
            .map(|number| {
                let mut client = connect(server.local_addr());
                let said = [0, hello.len() / 2, hello.len()][number % 3];
                client.write_all(&hello[..said]).unwrap();
                client
            })
            .collect();
        eventually("they are accepted", || server.stats().accepted == 300);
        still_serves(server.local_addr());
        eventually("one has gone", || server.stats().active == 300);
        drop(clients);
        server.seen.wait_for_ends(301);
    }

    fn a_client_that_does_not_read_its_handshake<D>() {
        // A chain of certificates that is longer than what the kernel holds of it.
        let mut certificate = localhost().certificate.clone();
        (0..100).for_each(|_| certificate.push_str(&authority().pem()));
        let config = Identity { certificate, key: localhost().key.clone() }.config();
        let builder = |timeout| {
            let builder = Builder::<Tls<OwnSockets<Small>>, D, _>::new(|| Echo);
            builder.tls(config.clone()).establish_timeout(timeout)
        };
        let server = builder(SHORT).start();
        let deaf = deaf(server.local_addr());
        assert_eq!(server.seen.wait_for_ends(DEAF), [End::TimedOut; DEAF]);
        drop(deaf);

        // While they are there, one that reads is served.
        let server = builder(LONG).start();
        let deaf = self::deaf(server.local_addr());
        eventually("they are accepted", || server.stats().accepted == DEAF as u64);
        let mut client = Client::careless().connect(server.local_addr());
        assert_eq!(ask(&mut client, "hello"), "hello");
        drop(client);
        server.seen.wait_for_ends(1);
        // A stop waits for none of them beyond its deadline.
        server.stop_handle().shutdown_within(SHORT);
        let report = server.join();
        assert_eq!((report.forced, report.abandoned), (DEAF as u64, 0), "{report}");
        drop(deaf);
    }
}

/// As many as `Fork` has children, but one.
const DEAF: usize = 39;

/// Those that greet the server and take no answer.
fn deaf(address: SocketAddr) -> Vec<TcpStream> {
    let hello = hello(&Client::default());
    let connect = |_| {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.set_recv_buffer_size(2048).unwrap();
        socket.connect(&address.into()).unwrap();
        let mut client: TcpStream = socket.into();
        client.write_all(&hello).unwrap();
        client
    };
    (0..DEAF).map(connect).collect()
}

/// The kernel takes little of what is sent.
struct Small(TcpStream);

impl From<TcpStream> for Small {
    fn from(socket: TcpStream) -> Self {
        SockRef::from(&socket).set_send_buffer_size(4096).unwrap();
        Self(socket)
    }
}

impl Read for Small {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        self.0.read(bytes)
    }
}

impl Write for Small {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl socketserver::Socket for Small {
    type Addr = SocketAddr;

    fn descriptor(&self) -> Descriptor<'_> {
        self.0.as_fd()
    }

    fn shutdown_write(&mut self) -> io::Result<()> {
        self.0.shutdown(Shutdown::Write)
    }
}
