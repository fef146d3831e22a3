//! What cannot work is refused when the server is bound: an error that names the value, and nothing left behind.

mod common;

use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::Ipv6Addr;
use std::net::SocketAddrV4;
use std::net::SocketAddrV6;
use std::net::TcpListener;
use std::net::UdpSocket;
use std::time::Duration;

use socketserver::BindError;
use socketserver::Builder;
use socketserver::Datagram;
use socketserver::Flow;
use socketserver::HandlerResult;
use socketserver::Pool;
use socketserver::Stream;
use socketserver::Sync;
use socketserver::Tcp;
use socketserver::ThreadPerRequest;
use socketserver::Udp;
use socketserver::handler::Function;
use socketserver::handler::function;
use socketserver::testing::Faulty;
use socketserver::transport::InetAddress;

type Answer = fn(&mut Stream<std::net::TcpStream>) -> HandlerResult;
type Reply = fn(&mut Datagram<std::net::SocketAddr>) -> HandlerResult;

fn tcp<D: Default>() -> Builder<Tcp, D, Function<Answer>> {
    let answer: Answer = |_| Ok(Flow::Close);
    Builder::new(function(answer))
}

fn udp<D: Default>() -> Builder<Udp, D, Function<Reply>> {
    let reply: Reply = |_| Ok(Flow::Close);
    Builder::new(function(reply))
}

#[track_caller]
fn assert_option(error: &BindError, expected_option: &str, expected_value: &str) {
    let BindError::Option { option, value, .. } = error else { panic!("{error:?}") };
    assert_eq!((*option, value.as_str()), (expected_option, expected_value));
    let text = error.to_string();
    let start = format!("option {expected_option} = {expected_value}: ");
    assert!(text.starts_with(&start) && text.len() > start.len() + 10, "{text}");
}

#[test]
fn text_that_is_no_address_is_named() {
    for address in ["no port", "127.0.0.1", "127.0.0.1:", "127.0.0.1:65536", "127.0.0.1:-1", "", ":::", "[::1"] {
        for error in [tcp::<Sync>().bind(address).unwrap_err(), udp::<Sync>().bind(address).unwrap_err()] {
            assert!(matches!(error, BindError::Resolve { .. }), "{error:?}");
            let text = error.to_string();
            assert!(text.starts_with(&format!("cannot resolve {address:?}: ")), "{text}");
        }
    }
}

#[test]
fn what_text_misses_is_told() {
    let why = |address: &str| tcp::<Sync>().bind(address).unwrap_err().to_string();
    assert!(why("127.0.0.1").contains("it has no port; write host:port"));
    assert!(why("127.0.0.1:http").contains("the port is not a number from 0 to 65535"));
    assert!(why(":0").contains("it has no host; 0.0.0.0 and [::] stand for all addresses"));
    assert!(why("[::1:0").contains("the bracket is not closed"));
    let error = tcp::<Sync>().bind(("", 0)).unwrap_err();
    assert!(error.to_string().starts_with("cannot resolve \":0\": it has no host"), "{error}");
}

#[track_caller]
fn bound(address: impl Into<InetAddress>) -> IpAddr {
    tcp::<Sync>().bind(address).unwrap().local_addr().ip()
}

#[test]
fn an_ipv4_address_has_many_forms() {
    let ip = Ipv4Addr::LOCALHOST;
    assert_eq!(bound("127.0.0.1:0"), ip);
    assert_eq!(bound(SocketAddrV4::new(ip, 0)), ip);
    assert_eq!(bound(("127.0.0.1".to_owned(), 0)), ip);
    assert_eq!(bound((ip, 0)), ip);
}

#[test]
#[ignore = "needs IPv6"]
fn an_ipv6_address_has_many_forms() {
    let ip = Ipv6Addr::LOCALHOST;
    assert_eq!(bound("[::1]:0"), ip);
    assert_eq!(bound(SocketAddrV6::new(ip, 0, 0, 0)), ip);
    assert_eq!(bound(("::1", 0)), ip);
    assert_eq!(bound(("[::1]", 0)), ip);
    assert_eq!(bound((ip, 0)), ip);
}

#[test]
fn a_name_that_cannot_exist_is_named() {
    // RFC 6761, 6.4: names under .invalid do not exist; whatever the resolver says of it, the name is told.
    let error = tcp::<Sync>().bind("nobody.invalid:80").unwrap_err();
    assert!(matches!(error, BindError::Resolve { .. }), "{error:?}");
    assert!(error.to_string().starts_with("cannot resolve \"nobody.invalid:80\": "), "{error}");
}

#[test]
fn a_port_in_use_is_named() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let error = tcp::<Sync>().bind(address).unwrap_err();
    let text = error.to_string();
    assert!(text.starts_with(&format!("cannot bind to {address}: ")), "{text}");
    assert!(text.ends_with("; another socket is using it: choose another port, or 0 for a free one"), "{text}");

    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let taken = socket.local_addr().unwrap();
    let text = udp::<Sync>().bind(taken).unwrap_err().to_string();
    assert!(text.starts_with(&format!("cannot bind to {taken}: ")), "{text}");
    assert!(text.ends_with("; another socket is using it: choose another port, or 0 for a free one"), "{text}");

    drop((listener, socket));
    drop(tcp::<Sync>().bind(address).unwrap());
}

#[test]
fn a_port_that_one_of_our_servers_has_is_in_use() {
    let server = tcp::<Sync>().bind("127.0.0.1:0").unwrap();
    let address = server.local_addr();
    let text = tcp::<Sync>().bind(address).unwrap_err().to_string();
    assert!(text.contains(&format!("cannot bind to {address}: ")), "{text}");
    drop(server);
    drop(tcp::<Sync>().bind(address).unwrap());
}

#[test]
fn an_address_of_another_machine_is_named() {
    // RFC 5737: an address for documentation, which no machine has.
    for error in [tcp::<Sync>().bind("192.0.2.1:0").unwrap_err(), udp::<Sync>().bind("192.0.2.1:0").unwrap_err()] {
        let text = error.to_string();
        assert!(text.starts_with("cannot bind to 192.0.2.1:0: "), "{text}");
        assert!(text.ends_with("; it is not an address of this machine"), "{text}");
    }
}

#[test]
fn a_server_for_nobody_is_refused_under_every_dispatch() {
    assert_option(&tcp::<Sync>().max_connections(0).bind("127.0.0.1:0").unwrap_err(), "max_connections", "0");
    let error = tcp::<ThreadPerRequest>().max_connections(0).bind("127.0.0.1:0").unwrap_err();
    assert_option(&error, "max_connections", "0");
    assert_option(&tcp::<Pool>().max_connections(0).bind("127.0.0.1:0").unwrap_err(), "max_connections", "0");
    assert_option(&udp::<Sync>().max_connections(0).bind("127.0.0.1:0").unwrap_err(), "max_connections", "0");
    #[cfg(unix)]
    {
        let error = tcp::<socketserver::Fork>().max_connections(0).bind("127.0.0.1:0").unwrap_err();
        assert_option(&error, "max_connections", "0");
    }
}

#[test]
fn a_dispatch_that_cannot_run_anything_is_refused() {
    let error = tcp().dispatch(ThreadPerRequest::default().max_threads(0)).bind("127.0.0.1:0").unwrap_err();
    assert_option(&error, "max_threads", "0");
    assert_option(&tcp().dispatch(Pool::new(0)).bind("127.0.0.1:0").unwrap_err(), "workers", "0");
    assert_option(&tcp().dispatch(Pool::default().workers(0)).bind("127.0.0.1:0").unwrap_err(), "workers", "0");
    #[cfg(unix)]
    {
        use socketserver::Fork;
        let error = tcp().dispatch(Fork::default().max_children(0)).bind("127.0.0.1:0").unwrap_err();
        assert_option(&error, "max_children", "0");
        let error = tcp().dispatch(Fork::default().child_timeout(Duration::ZERO)).bind("127.0.0.1:0").unwrap_err();
        assert_option(&error, "child_timeout", "0");
    }
    // Also where a transport is handed over.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let error = tcp().dispatch(ThreadPerRequest::default().max_threads(0)).adopt(listener).unwrap_err();
    assert_option(&error, "max_threads", "0");
}

#[test]
fn only_v6_needs_an_ipv6_address() {
    for only_v6 in [true, false] {
        let error = tcp::<Sync>().only_v6(only_v6).bind("127.0.0.1:0").unwrap_err();
        assert_option(&error, "only_v6", &only_v6.to_string());
        assert!(error.to_string().contains("\"127.0.0.1:0\" is an IPv4 address"), "{error}");
        let error = udp::<Sync>().only_v6(only_v6).bind("127.0.0.1:0").unwrap_err();
        assert_option(&error, "only_v6", &only_v6.to_string());
    }
}

#[test]
fn a_receive_buffer_has_a_size() {
    for size in [0, (1 << 20) + 1, usize::MAX] {
        let error = udp::<Sync>().max_datagram_size(size).bind("127.0.0.1:0").unwrap_err();
        assert_option(&error, "max_datagram_size", &size.to_string());
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let error = udp::<Sync>().max_datagram_size(size).adopt(socket).unwrap_err();
        assert_option(&error, "max_datagram_size", &size.to_string());
    }
}

#[test]
fn a_probe_comes_after_a_second_or_more() {
    for period in [Duration::ZERO, Duration::from_millis(999), Duration::from_secs(32_768), Duration::MAX] {
        let error = tcp::<Sync>().keepalive(period).bind("127.0.0.1:0").unwrap_err();
        assert_option(&error, "keepalive", &format!("{period:?}"));
    }
}

#[test]
fn options_reach_the_socket_through_what_wraps_it() {
    let answer: Answer = |_| Ok(Flow::Close);
    let wrapped = || Builder::<Faulty<Faulty<Tcp>>, Sync, _>::new(function(answer)).backlog(1).nodelay(false);
    assert_option(&wrapped().keepalive(Duration::ZERO).bind("127.0.0.1:0").unwrap_err(), "keepalive", "0ns");
    assert_option(&wrapped().only_v6(true).bind("127.0.0.1:0").unwrap_err(), "only_v6", "true");
    // Two servers share a port only if both have the option.
    let first = wrapped().reuse_port(true).bind("127.0.0.1:0").unwrap();
    wrapped().reuse_port(true).bind(first.local_addr()).unwrap();
    assert!(matches!(wrapped().bind(first.local_addr()), Err(BindError::Bind { .. })));
}

#[test]
fn a_connection_needs_a_buffer() {
    assert_option(&tcp::<Sync>().max_buffered(0).bind("127.0.0.1:0").unwrap_err(), "max_buffered", "0");
}

#[test]
fn a_timeout_that_is_over_at_once_is_refused() {
    let zero = Duration::ZERO;
    assert_option(&tcp::<Sync>().idle_timeout(zero).bind("127.0.0.1:0").unwrap_err(), "idle_timeout", "0");
    assert_option(&tcp::<Sync>().read_timeout(zero).bind("127.0.0.1:0").unwrap_err(), "read_timeout", "0");
    assert_option(&tcp::<Sync>().write_timeout(zero).bind("127.0.0.1:0").unwrap_err(), "write_timeout", "0");
    assert_option(&tcp::<Sync>().establish_timeout(zero).bind("127.0.0.1:0").unwrap_err(), "establish_timeout", "0");
    assert_option(&tcp::<Sync>().total_timeout(zero).bind("127.0.0.1:0").unwrap_err(), "total_timeout", "0");
    assert_option(&tcp::<Sync>().service_interval(zero).bind("127.0.0.1:0").unwrap_err(), "service_interval", "0");
    // Those for which it means something: one look, no patience.
    drop(tcp::<Sync>().request_timeout(zero).drain_timeout(zero).rate_grace(zero).bind("127.0.0.1:0").unwrap());
}
