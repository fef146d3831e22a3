//! Messages: one request each, also when empty; answered only when asked to, from the address that was hit, in order.
#![cfg(unix)]

#[macro_use]
mod common;

use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::Ipv6Addr;
use std::net::SocketAddr;
use std::net::SocketAddrV6;
use std::net::UdpSocket;
use std::ops::Deref;
use std::os::fd::AsFd;
use std::os::fd::OwnedFd;
use std::os::unix::net;
use std::time::Duration;

use common::AdoptAndStart;
use common::Count;
use common::Listen;
use common::Log;
use common::PATIENCE;
use common::Recorder;
use common::Running;
use common::Start;
use common::TempDir;
use common::background::InBackground;
use common::channel;
use common::connect_udp;
use common::connect_unix_datagram;
use common::receive;
#[cfg(target_os = "linux")]
use nix::sys::socket::sockopt::Ipv4RecvErr;
use socketserver::Builder;
use socketserver::Datagram;
use socketserver::Flow;
use socketserver::HandlerResult;
use socketserver::Server;
use socketserver::Udp;
use socketserver::UnixAddress;
use socketserver::UnixDatagram;
use socketserver::dispatch::Job;
use socketserver::dispatch::Process;
use socketserver::handler::Function;
use socketserver::handler::Observed;
use socketserver::handler::function;

/// Says what came: its length, and whether it was cut.
fn describe<A: Clone>(request: &mut Datagram<A>) -> HandlerResult {
    let text = format!("{} bytes, truncated: {}", request.len(), request.truncated());
    request.reply(text.as_bytes())?;
    Ok(Flow::Close)
}

/// Answers `silence` with nothing, `three` with three messages, other text with itself.
fn talk<A: Clone>(request: &mut Datagram<A>) -> HandlerResult {
    match request.payload() {
        b"silence" => {}
        b"three" => {
            for part in ["one", "", "three"] {
                request.reply(part.as_bytes())?;
            }
        }
        other => {
            let other = other.to_vec();
            request.reply(&other)?;
        }
    }
    Ok(Flow::Close)
}

under_each_dispatch! {
    fn an_empty_message_is_a_request_over_udp<D>() {
        let server = Builder::<Udp, D, _>::new(function(describe)).start();
        let client = connect_udp("127.0.0.1:0", server.local_addr());
        client.send(b"").unwrap();
        assert_eq!(receive(|buffer| client.recv(buffer)), b"0 bytes, truncated: false");
        let report = server.stop();
        assert_eq!((report.accepted, report.finished), (1, 1));
    }

    fn an_empty_message_is_a_request_over_unix<D>() {
        let folder = TempDir::new();
        let server = Builder::<UnixDatagram, D, _>::new(function(describe)).start_at(folder.join("server"));
        let client = connect_unix_datagram(&folder.join("client"), &folder.join("server"));
        client.send(b"").unwrap();
        assert_eq!(receive(|buffer| client.recv(buffer)), b"0 bytes, truncated: false");
        let report = server.stop();
        assert_eq!((report.accepted, report.finished), (1, 1));
    }

    fn nothing_is_sent_that_was_not_asked_for_over_udp<D>() {
        let server = Builder::<Udp, D, _>::new(function(talk)).start();
        let client = connect_udp("127.0.0.1:0", server.local_addr());
        client.send(b"silence").unwrap();
        assert!(server.seen.wait_for_stops(1, PATIENCE));
        client.send(b"three").unwrap();
        // Had the first been answered, that answer would come first.
        for expected in ["one", "", "three"] {
            assert_eq!(receive(|buffer| client.recv(buffer)), expected.as_bytes());
        }
        let report = server.stop();
        assert_eq!((report.accepted, report.finished), (2, 2));
    }

    fn nothing_is_sent_that_was_not_asked_for_over_unix<D>() {
        let folder = TempDir::new();
        let server = Builder::<UnixDatagram, D, _>::new(function(talk)).start_at(folder.join("server"));
        let client = connect_unix_datagram(&folder.join("client"), &folder.join("server"));
        client.send(b"silence").unwrap();
        assert!(server.seen.wait_for_stops(1, PATIENCE));
        client.send(b"three").unwrap();
        for expected in ["one", "", "three"] {
            assert_eq!(receive(|buffer| client.recv(buffer)), expected.as_bytes());
        }
        let report = server.stop();
        assert_eq!((report.accepted, report.finished), (2, 2));
    }

    fn a_message_longer_than_the_buffer_is_marked_over_udp<D>() {
        let server = Builder::<Udp, D, _>::new(function(describe)).max_datagram_size(16).start();
        let client = connect_udp("127.0.0.1:0", server.local_addr());
        for (length, expected) in [(16, "16 bytes, truncated: false"), (17, "16 bytes, truncated: true")] {
            client.send(&vec![b'x'; length]).unwrap();
            assert_eq!(receive(|buffer| client.recv(buffer)), expected.as_bytes());
        }
        drop(server);
    }

    fn a_message_longer_than_the_buffer_is_marked_over_unix<D>() {
        let folder = TempDir::new();
        let server = Builder::<UnixDatagram, D, _>::new(function(describe)).max_datagram_size(16).start_at(folder.join("server"));
        let client = connect_unix_datagram(&folder.join("client"), &folder.join("server"));
        for (length, expected) in [(16, "16 bytes, truncated: false"), (17, "16 bytes, truncated: true")] {
            client.send(&vec![b'x'; length]).unwrap();
            assert_eq!(receive(|buffer| client.recv(buffer)), expected.as_bytes());
        }
        drop(server);
    }

    fn the_largest_udp_message_passes_whole<D>() {
        let server = Builder::<Udp, D, _>::new(function(talk)).start();
        let client = connect_udp("127.0.0.1:0", server.local_addr());
        let largest: Vec<u8> = (0..65_507_u32).map(|at| (at % 251) as u8).collect();
        client.send(&largest).unwrap();
        assert!(receive(|buffer| client.recv(buffer)) == largest);
        drop(server);
    }

    #[ignore = "needs IPv6"]
    fn the_largest_ipv6_message_passes_whole<D>() {
        let server = Builder::<Udp, D, _>::new(function(talk)).start_at("[::]:0");
        let port = server.local_addr().port();
        // An IPv4 peer of the same socket has the bound of IPv4.
        for (local, host, most) in [("[::1]:0", "::1", 65_527), ("127.0.0.1:0", "127.0.0.1", 65_507)] {
            let client = connect_udp(local, (host.parse::<IpAddr>().unwrap(), port).into());
            for length in [65_507, most] {
                let message: Vec<u8> = (0..length).map(|at| (at % 251) as u8).collect();
                client.send(&message).unwrap();
                assert!(receive(|buffer| client.recv(buffer)) == message, "{length} bytes to {host}");
            }
        }
        drop(server);
    }

    #[ignore = "needs IPv6"]
    fn a_reply_longer_than_an_ipv6_message_can_be_is_an_error<D>() {
        let (tell, told) = channel();
        let answer = function(move |request: &mut Datagram<SocketAddr>| {
            let mut error = |length| request.reply(&vec![0; length]).err().map(|error| error.to_string());
            tell.send((error(65_527), error(65_528)))?;
            Ok(Flow::Close)
        });
        let server = Builder::<Udp, D, _>::new(answer).start_at("[::]:0");
        let port = server.local_addr().port();
        let error = |length, most| Some(format!("a reply of {length} bytes: a datagram holds at most {most}"));
        for (local, host, expected) in [
            ("[::1]:0", "::1", (None, error(65_528, 65_527))),
            ("127.0.0.1:0", "127.0.0.1", (error(65_527, 65_507), error(65_528, 65_507))),
        ] {
            let client = connect_udp(local, (host.parse::<IpAddr>().unwrap(), port).into());
            client.send(b"please").unwrap();
            assert_eq!(told.recv_timeout(PATIENCE).unwrap(), expected, "{host}");
        }
        drop(server);
    }

    fn the_reply_leaves_from_the_address_that_was_hit<D>() {
        let locals = Log::<Option<String>>::default();
        let seen = locals.clone();
        let answer = function(move |request: &mut Datagram<SocketAddr>| {
            seen.push(request.local_addr().map(|local| local.to_string()));
            request.reply(b"here")?;
            request.reply_now(b"now")?;
            Ok(Flow::Close)
        });
        let server = Builder::<Udp, D, _>::new(answer).start_at("0.0.0.0:0");
        let port = server.local_addr().port();
        for host in ["127.0.0.2", "127.0.0.3"] {
            let client = UdpSocket::bind("127.0.0.1:0").unwrap();
            client.set_read_timeout(Some(PATIENCE)).unwrap();
            let hit: SocketAddr = (host.parse::<IpAddr>().unwrap(), port).into();
            client.send_to(b"where?", hit).unwrap();
            let mut buffer = [0; 16];
            let (length, from) = client.recv_from(&mut buffer).unwrap();
            assert_eq!((&buffer[..length], from), (&b"now"[..], hit));
            let (length, from) = client.recv_from(&mut buffer).unwrap();
            assert_eq!((&buffer[..length], from), (&b"here"[..], hit));
            assert_eq!(locals.entries().pop(), Some(Some(hit.ip().to_string())));
        }
        drop(server);
    }

    fn a_message_to_all_is_answered_from_an_address_of_this_machine<D>() {
        let (server, locals) = told_where::<D>("0.0.0.0:0");
        let client = UdpSocket::bind("127.0.0.1:0").unwrap();
        client.set_broadcast(true).unwrap();
        ask_to(&client, "127.255.255.255", server.local_addr().port(), "127.0.0.1");
        assert_eq!(locals.recv().unwrap(), "127.255.255.255".parse::<IpAddr>().ok());
        drop(server);
    }

    fn a_message_to_a_group_is_answered_from_an_address_of_this_machine<D>() {
        let (server, locals) = told_where::<D>("0.0.0.0:0");
        let client = UdpSocket::bind("127.0.0.1:0").unwrap();
        let group = Ipv4Addr::new(239, 255, 77, 1);
        join(&server.descriptor, |socket| socket.join_multicast_v4(&group, &Ipv4Addr::LOCALHOST));
        socket2::SockRef::from(&client).set_multicast_if_v4(&Ipv4Addr::LOCALHOST).unwrap();
        ask_to(&client, "239.255.77.1", server.local_addr().port(), "127.0.0.1");
        assert_eq!(locals.recv().unwrap(), Some(group.into()));
        drop(server);
    }

    #[ignore = "needs IPv6 on an interface that is not the loopback one"]
    fn ipv6_messages_to_a_group_are_answered<D>() {
        let (server, locals) = told_where::<D>("[::]:0");
        let client = UdpSocket::bind("[::]:0").unwrap();
        client.set_read_timeout(Some(PATIENCE)).unwrap();
        let (group, interface): (Ipv6Addr, _) = ("ff15::7701".parse().unwrap(), interface_with_ipv6());
        join(&server.descriptor, |socket| socket.join_multicast_v6(&group, interface));
        let port = server.local_addr().port();
        client.send_to(b"where?", SocketAddrV6::new(group, port, 0, interface)).unwrap();
        for expected in [&b"now"[..], b"here"] {
            let mut buffer = [0; 16];
            let (length, sender) = client.recv_from(&mut buffer).unwrap();
            assert_eq!((&buffer[..length], sender.port()), (expected, port));
        }
        assert_eq!(locals.recv().unwrap(), Some(group.into()));
        drop(server);
    }

    #[ignore = "needs IPv6"]
    fn a_socket_of_both_families_answers_ipv4_as_one_of_its_own<D>() {
        let (server, locals) = told_where::<D>("[::]:0");
        let client = UdpSocket::bind("127.0.0.1:0").unwrap();
        client.set_broadcast(true).unwrap();
        for (to, from) in [("127.255.255.255", "127.0.0.1"), ("127.0.0.3", "127.0.0.3")] {
            ask_to(&client, to, server.local_addr().port(), from);
            let mapped = to.parse::<Ipv4Addr>().unwrap().to_ipv6_mapped();
            assert_eq!(locals.recv().unwrap(), Some(mapped.into()));
        }
        drop(server);
    }

    #[ignore = "needs IPv6"]
    fn ipv6_is_served_and_answered_from_the_address_that_was_hit<D>() {
        let client = UdpSocket::bind("[::1]:0").expect("IPv6 on the loopback interface");
        let server = Builder::<Udp, D, _>::new(function(talk)).start_at("[::]:0");
        client.set_read_timeout(Some(PATIENCE)).unwrap();
        let hit = SocketAddr::from(([0, 0, 0, 0, 0, 0, 0, 1], server.local_addr().port()));
        client.send_to(b"six", hit).unwrap();
        let mut buffer = [0; 16];
        let (length, from) = client.recv_from(&mut buffer).unwrap();
        assert_eq!((&buffer[..length], from), (&b"six"[..], hit));
        drop(server);
    }

    fn a_sender_without_an_address_cannot_be_answered<D>() {
        let folder = TempDir::new();
        let (tell, told) = channel::<String>();
        let answer = function(move |request: &mut Datagram<UnixAddress>| {
            let peer = request.peer_addr().cloned();
            let reply = request.reply(b"to whom?").map_err(|error| error.kind());
            let reply_now = request.reply_now(b"to whom?").map_err(|error| error.kind());
            tell.send(format!("{:?}", (peer, reply, reply_now)))?;
            Ok(Flow::Close)
        });
        let server = Builder::<UnixDatagram, D, _>::new(answer).start_at(folder.join("server"));
        let client = net::UnixDatagram::unbound().unwrap();
        client.send_to(b"hello", folder.join("server")).unwrap();
        assert_eq!(told.recv().unwrap(), "(None, Err(NotConnected), Err(NotConnected))");
        let report = server.stop();
        assert_eq!(report.finished, 1, "{report}");
    }

    #[cfg(target_os = "linux")]
    fn errors_that_an_adopted_socket_queues_wake_nobody_for_long<D>() {
        let alive = UdpSocket::bind("127.0.0.1:0").unwrap();
        alive.set_read_timeout(Some(PATIENCE)).unwrap();
        let peer = alive.local_addr().unwrap();
        let (gone, has_gone) = channel::<()>();
        let wakeups = Count::default();
        let answer = function(move |request: &mut Datagram<SocketAddr>| {
            if request.payload() == b"going" {
                has_gone.recv()?;
                // Refused by the kernel of the peer, which is told with the next call, whatever that is for.
                request.reply_now(b"too late")?;
                request.send_to(b"first", &peer)?;
                request.reply_now(b"too late")?;
            }
            request.reply(b"answer")?;
            Ok(Flow::Close)
        });
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        nix::sys::socket::setsockopt(&socket, Ipv4RecvErr, &true).unwrap();
        let address = socket.local_addr().unwrap();
        let count = wakeups.clone();
        let server = Builder::<Udp, D, _>::new(answer)
            .on_service(move || _ = count.add_one())
            .adopt_and_start(socket);
        let going = connect_udp("127.0.0.1:0", address);
        going.send(b"going").unwrap();
        drop(going);
        gone.send(()).unwrap();
        assert_eq!(receive(|buffer| alive.recv(buffer)), b"first");
        for _ in 0..10 {
            alive.send_to(b"hello", address).unwrap();
            assert_eq!(receive(|buffer| alive.recv(buffer)), b"answer");
            std::thread::sleep(Duration::from_millis(10));
        }
        let wakeups = wakeups.get();
        assert!(wakeups < 100, "{wakeups} wake-ups for 11 messages");
        let report = server.stop();
        assert_eq!((report.accepted, report.finished), (11, 11), "{report}: {:?}", report.seen.errors());
    }

    fn a_reply_longer_than_a_message_can_be_is_an_error<D>() {
        let (tell, told) = channel::<String>();
        let answer = function(move |request: &mut Datagram<SocketAddr>| {
            let too_long = vec![0; 65_508];
            let outcomes = [request.reply(&too_long), request.reply_now(&too_long)];
            for error in outcomes.map(|outcome| outcome.unwrap_err()) {
                tell.send(format!("{:?}: {error}", error.kind()))?;
            }
            request.reply(b"sorry")?;
            Ok(Flow::Close)
        });
        let server = Builder::<Udp, D, _>::new(answer).start();
        let client = connect_udp("127.0.0.1:0", server.local_addr());
        client.send(b"please").unwrap();
        for _ in ["reply", "reply_now"] {
            let expected = "InvalidInput: a reply of 65508 bytes: a datagram holds at most 65507";
            assert_eq!(told.recv().unwrap(), expected);
        }
        assert_eq!(receive(|buffer| client.recv(buffer)), b"sorry");
        drop(server);
    }

    fn a_reply_to_a_client_that_has_gone_is_told_and_harms_nobody<D>() {
        let folder = TempDir::new();
        let (tell, told) = channel::<String>();
        let ((arrives, arrived), (goes, gone)) = (channel::<()>(), channel::<()>());
        let answer = function(move |request: &mut Datagram<UnixAddress>| {
            if request.payload() == b"going" {
                arrives.send(())?;
                gone.recv()?;
            }
            request.reply(b"answer")?;
            Ok(Flow::Close)
        });
        let server = Builder::<UnixDatagram, D, _>::new(answer)
            .on_error(move |error, _| tell.send(error.to_string()).unwrap())
            .start_at(folder.join("server"));
        let going = connect_unix_datagram(&folder.join("going"), &folder.join("server"));
        going.send(b"going").unwrap();
        arrived.recv().unwrap();
        drop(going);
        goes.send(()).unwrap();
        let error = told.recv().unwrap();
        assert!(error.contains("efused"), "{error}");
        let client = connect_unix_datagram(&folder.join("client"), &folder.join("server"));
        client.send(b"next").unwrap();
        assert_eq!(receive(|buffer| client.recv(buffer)), b"answer");
        drop(server);
    }

    fn a_burst_of_messages_is_answered_once_each<D>() {
        let folder = TempDir::new();
        let server = Builder::<UnixDatagram, D, _>::new(function(talk)).start_at(folder.join("server"));
        let client = connect_unix_datagram(&folder.join("client"), &folder.join("server"));
        let sender = client.try_clone().unwrap();
        // The kernel makes the sender wait when the queue is full: nothing is lost.
        let sending = std::thread::spawn(move || {
            for number in 0..BURST {
                sender.send(format!("{number}").as_bytes()).unwrap();
            }
        });
        let mut answers = Vec::new();
        for _ in 0..BURST {
            let answer = String::from_utf8(receive(|buffer| client.recv(buffer))).unwrap();
            answers.push(answer.parse::<usize>().unwrap());
        }
        sending.join().unwrap();
        if std::any::type_name::<D>() != std::any::type_name::<socketserver::Sync>() {
            answers.sort_unstable();
        }
        assert!(answers.iter().copied().eq(0..BURST), "{answers:?}");
        let report = server.stop();
        assert_eq!(report.accepted, BURST as u64, "{report}");
    }

    fn a_panic_costs_one_message<D>() {
        let answer = function(|request: &mut Datagram<SocketAddr>| {
            assert!(request.payload() != b"panic", "on purpose");
            request.reply(b"fine")?;
            Ok(Flow::Close)
        });
        let server = Builder::<Udp, D, _>::new(answer).start();
        let client = connect_udp("127.0.0.1:0", server.local_addr());
        for _ in 0..10 {
            client.send(b"panic").unwrap();
            client.send(b"hello").unwrap();
            assert_eq!(receive(|buffer| client.recv(buffer)), b"fine");
        }
        assert!(server.seen.wait_for_stops(20, PATIENCE));
        let report = server.stop();
        assert_eq!((report.finished, report.failed), (10, 10), "{report}");
    }
}

/// A server that answers twice, as it can, and tells where messages were sent to.
fn told_where<D>(address: &str) -> (Told, common::Receiver<Option<IpAddr>>)
where
    D: Process<Job<Udp, Telling>> + Default + InBackground + Send + 'static,
    Server<Udp, D, Telling>: Send,
{
    let (tell, told) = channel();
    let answer: Box<Answer> = Box::new(move |request: &mut Datagram<SocketAddr>| {
        tell.send(request.local_addr())?;
        request.reply(b"here")?;
        request.reply_now(b"now")?;
        Ok(Flow::Close)
    });
    let server = Builder::<Udp, D, _>::new(function(answer)).listen_at(address);
    let descriptor = server.as_fd().try_clone_to_owned().unwrap();
    (Told { server: server.start(), descriptor }, told)
}

type Answer = dyn Fn(&mut Datagram<SocketAddr>) -> HandlerResult + Send + Sync;
type Telling = Observed<Function<Box<Answer>>, Recorder>;

/// A server, and its socket.
struct Told {
    server: Running<Udp>,
    descriptor: OwnedFd,
}

impl Deref for Told {
    type Target = Running<Udp>;

    fn deref(&self) -> &Running<Udp> {
        &self.server
    }
}

#[track_caller]
fn join(descriptor: &OwnedFd, join: impl FnOnce(&socket2::SockRef<'_>) -> std::io::Result<()>) {
    join(&socket2::SockRef::from(descriptor)).unwrap();
}

/// The number of an interface that has an IPv6 address: the second field of a line of if_inet6, whose last is the name.
#[track_caller]
fn interface_with_ipv6() -> u32 {
    let interfaces = std::fs::read_to_string("/proc/net/if_inet6").expect("if_inet6");
    let other = interfaces.lines().find(|line| !line.ends_with(" lo")).expect("an interface beside the loopback one");
    u32::from_str_radix(other.split_whitespace().nth(1).expect("its number"), 16).expect("a number")
}

/// Sends to `to`; both answers come from `from`.
#[track_caller]
fn ask_to(client: &UdpSocket, to: &str, port: u16, from: &str) {
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    client.send_to(b"where?", (to.parse::<IpAddr>().unwrap(), port)).unwrap();
    for expected in [&b"now"[..], b"here"] {
        let mut buffer = [0; 16];
        let (length, sender) = client.recv_from(&mut buffer).unwrap();
        assert_eq!((&buffer[..length], sender), (expected, (from.parse::<IpAddr>().unwrap(), port).into()));
    }
}

const BURST: usize = 500;

#[test]
fn a_udp_burst_from_one_sender_is_answered_in_order_under_sync() {
    // Everything is in the kernel's queue before the server looks, so that it takes it in batches.
    let mut server = socketserver::UdpServer::builder_fn(talk).listen();
    let client = connect_udp("127.0.0.1:0", server.local_addr());
    let batch = 50;
    for round in 0..BURST / batch {
        for number in 0..batch {
            client.send(format!("{}", round * batch + number).as_bytes()).unwrap();
        }
        for number in 0..batch {
            server.handle_request().unwrap();
            let expected = format!("{}", round * batch + number);
            assert_eq!(receive(|buffer| client.recv(buffer)), expected.as_bytes());
        }
    }
}
