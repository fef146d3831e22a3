//! The flags of the examples that say what stands before them: several addresses, proxies, limits.

#![cfg(unix)]

mod common;

use std::io::Read;
use std::io::Write;
use std::net::SocketAddr;
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;

use common::TempDir;
use common::ask;
use common::connect;
use common::connect_udp;
use common::connect_unix;
use common::connect_unix_datagram;
use common::eventually;
use common::example::Example;
use common::example::finish;
use common::example::program;
use common::proxy_headers::v1;
use common::read_line;
use common::read_rest;
use common::receive;
use common::tls::Client;
use common::tls::localhost;

/// An example with streams.
struct Served {
    name: &'static str,
    unix: &'static str,
    dispatches: &'static [&'static str],
    /// What its client says, and the beginning of the first line that comes back.
    says: &'static str,
    hears: &'static str,
    /// The last of its flags.
    flags: &'static [&'static str],
}

const ALL: &[&str] = &["sync", "threads", "fork", "pool"];
const IN_ONE_PROCESS: &[&str] = &["sync", "threads", "pool"];
const REQUEST: &str = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";

const SERVED: &[Served] = &[
    Served { name: "chat", unix: "unix", dispatches: IN_ONE_PROCESS, says: "", hears: "* welcome", flags: &[] },
    Served { name: "echo", unix: "unix-stream", dispatches: ALL, says: "hello\n", hears: "hello", flags: &[] },
    Served { name: "exec", unix: "unix", dispatches: &["fork"], says: "hi\n", hears: "hi", flags: &["--run", "cat"] },
    Served {
        name: "http_files",
        unix: "unix",
        dispatches: ALL,
        says: REQUEST,
        hears: "HTTP/1.1 200 OK",
        flags: &["--hello"],
    },
    Served { name: "kv", unix: "unix", dispatches: IN_ONE_PROCESS, says: "PING\r\n", hears: "+PONG", flags: &[] },
    Served { name: "smtp", unix: "unix", dispatches: ALL, says: "", hears: "220 ", flags: &[] },
    Served { name: "upper", unix: "unix", dispatches: ALL, says: "hello\n", hears: "HELLO", flags: &[] },
];

/// Examples with datagrams, which have none of the flags for streams.
const MESSAGES: &[(&str, &str)] = &[("echo", "udp"), ("echo", "unix-datagram"), ("syslog", "udp"), ("syslog", "unix")];

impl Served {
    fn start(&self, flags: &[&str]) -> Example {
        Example::start(self.name, &[flags, self.flags].concat())
    }

    /// The client says something behind `preamble`, and hears what there is to hear.
    fn converse(&self, mut client: impl Read + Write, preamble: &[u8]) {
        client.write_all(&[preamble, self.says.as_bytes()].concat()).unwrap();
        let line = read_line(&mut client);
        assert!(line.starts_with(self.hears), "{}: {line}", self.name);
    }
}

/// Says something, and is closed without an answer; one that had something unread is reset.
fn is_turned_away(mut client: impl Read + Write, says: &str) {
    let _ = client.write_all(says.as_bytes());
    assert!(matches!(client.read(&mut [0; 1]), Ok(0) | Err(_)), "it is served");
}

/// Where it listens beside its first address.
fn next_address(server: &mut Example) -> String {
    server.line().trim_end().strip_prefix("listening on ").expect("a line for each address").to_owned()
}

#[test]
fn each_example_of_streams_serves_on_several_addresses() {
    let folder = TempDir::new();
    for served in SERVED {
        for dispatch in served.dispatches {
            let listen = ["--listen", "127.0.0.1:0", "--listen", "127.0.0.2:0"];
            let mut server = served.start(&[&listen[..], &["--dispatch", dispatch]].concat());
            let first = server.socket_address();
            let second: SocketAddr = next_address(&mut server).parse().unwrap();
            assert_eq!([first, second].map(|address| address.ip().to_string()), ["127.0.0.1", "127.0.0.2"]);
            for address in [first, second] {
                served.converse(connect(address), b"");
            }
            let (status, report) = server.stop();
            assert!(status.success() && report.contains("2 accepted: "), "{} {dispatch}: {report}", served.name);
        }
        let paths = ["one", "two"].map(|name| folder.join(name));
        let [one, two] = paths.each_ref().map(|path| path.to_str().unwrap());
        let mut server = served.start(&["--transport", served.unix, "--listen", one, "--listen", two]);
        assert_eq!(server.address, one);
        assert_eq!(next_address(&mut server), two);
        for path in &paths {
            served.converse(connect_unix(path), b"");
        }
        server.stop();
        assert!(!paths.iter().any(|path| path.exists()));
    }
}

#[test]
fn each_example_of_messages_serves_on_several_addresses() {
    let folder = TempDir::new();
    let paths = ["one", "two"].map(|name| folder.join(name));
    let [one, two] = paths.each_ref().map(|path| path.to_str().unwrap());
    for (name, transport) in MESSAGES {
        let is_path = transport.starts_with("unix");
        let listen = if is_path { [one, two] } else { ["127.0.0.1:0", "127.0.0.2:0"] };
        let flags = ["--transport", transport, "--listen", listen[0], "--listen", listen[1]];
        let mut server = Example::start(name, &flags);
        let addresses = [server.address.clone(), next_address(&mut server)];
        for (number, address) in addresses.iter().enumerate() {
            if is_path {
                let client = connect_unix_datagram(&folder.join(&format!("{name}-{number}")), Path::new(address));
                client.send(b"<13>hello").unwrap();
                if *name == "echo" {
                    assert_eq!(receive(|buffer| client.recv(buffer)), b"<13>hello");
                }
            } else {
                let client = connect_udp("127.0.0.1:0", address.parse().unwrap());
                client.send(b"<13>hello").unwrap();
                if *name == "echo" {
                    assert_eq!(receive(|buffer| client.recv(buffer)), b"<13>hello");
                }
            }
            if *name == "syslog" {
                assert!(server.line().contains("hello"));
            }
        }
        let (status, report) = server.stop();
        assert!(status.success() && report.contains("2 accepted: "), "{name} {transport}: {report}");
    }
}

#[test]
fn dns_answers_on_several_addresses_by_udp_and_tcp() {
    let mut server = Example::start("dns", &["--listen", "127.0.0.1:0", "--listen", "127.0.0.2:0"]);
    let addresses = [server.socket_address(), next_address(&mut server).parse().unwrap()];
    let query = [0, 17, 0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 1];
    for address in addresses {
        let udp = connect_udp("127.0.0.1:0", address);
        udp.send(&query[2..]).unwrap();
        assert_eq!(receive(|buffer| udp.recv(buffer))[..2], [0, 1]);
        let mut tcp = connect(address);
        tcp.write_all(&query).unwrap();
        let mut head = [0; 4];
        tcp.read_exact(&mut head).unwrap();
        assert_eq!(head[2..], [0, 1]);
    }
    server.stop();
}

#[test]
fn behind_proxies_each_connection_begins_with_a_header() {
    let folder = TempDir::new();
    let path = folder.join("socket");
    for served in SERVED {
        for dispatch in served.dispatches {
            let proxies = ["--dispatch", dispatch, "--proxy-from", "10.0.0.0/8,127.0.0.1"];
            let server = served.start(&[&["--listen", "127.0.0.1:0"], &proxies[..]].concat());
            served.converse(connect(server.socket_address()), &v1("192.0.2.1", 7));
            let stranger = common::connect_from("127.0.0.2", server.socket_address());
            is_turned_away(stranger, served.says);
            let (status, report) = server.stop();
            assert!(status.success() && report.contains(" 1 refused, "), "{} {dispatch}: {report}", served.name);
        }
        let listen = path.to_str().unwrap();
        let server = served.start(&["--transport", served.unix, "--listen", listen, "--proxy-from", "unix"]);
        served.converse(connect_unix(&path), &v1("192.0.2.1", 7));
        server.stop();
    }
    let tells = ["--run", "sh", "-c", "echo $TCPREMOTEIP $TCPREMOTEPORT"];
    let server =
        Example::start("exec", &[&["--listen", "127.0.0.1:0", "--proxy-from", "127.0.0.1"], &tells[..]].concat());
    let mut client = connect(server.socket_address());
    client.write_all(&v1("192.0.2.1", 7)).unwrap();
    assert_eq!(read_line(&client), "192.0.2.1 7");
    server.stop();
}

#[test]
fn the_header_comes_before_tls() {
    let folder = TempDir::new();
    let (certificate, key) = (folder.join("cert.pem"), folder.join("key.pem"));
    std::fs::write(&certificate, &localhost().certificate).unwrap();
    std::fs::write(&key, &localhost().key).unwrap();
    for dispatch in ALL {
        let server = Example::start(
            "echo",
            &[
                "--listen",
                "127.0.0.1:0",
                "--dispatch",
                dispatch,
                "--tls-cert",
                certificate.to_str().unwrap(),
                "--tls-key",
                key.to_str().unwrap(),
                "--proxy-from",
                "127.0.0.1",
                "--max-per-source",
                "1",
            ],
        );
        let from = |source: &str| {
            let mut client = connect(server.socket_address());
            client.write_all(&v1(source, 7)).unwrap();
            Client::default().over(client)
        };
        let mut first = from("192.0.2.1");
        first.shake_hands().unwrap();
        assert_eq!(ask(&mut first, "hello"), "hello");
        assert!(from("192.0.2.1").shake_hands().is_err(), "{dispatch}: its source has a connection already");
        let mut other = from("192.0.2.2");
        other.shake_hands().unwrap();
        assert_eq!(ask(&mut other, "hello"), "hello");
        drop((first, other));
        let (status, report) = server.stop();
        assert!(status.success() && report.contains(" 1 refused, "), "{dispatch}: {report}");
    }
}

#[test]
fn one_source_has_at_most_this_many_connections() {
    for served in SERVED {
        for dispatch in served.dispatches {
            let flags = ["--listen", "127.0.0.1:0", "--dispatch", dispatch, "--max-per-source", "1"];
            let server = served.start(&flags);
            let first = connect(server.socket_address());
            served.converse(&first, b"");
            is_turned_away(connect(server.socket_address()), served.says);
            served.converse(common::connect_from("127.0.0.2", server.socket_address()), b"");
            drop(first);
            let (status, report) = server.stop();
            assert!(status.success() && report.contains(" 1 refused, "), "{} {dispatch}: {report}", served.name);
        }
    }
}

#[test]
fn what_a_proxy_announces_is_what_is_counted() {
    for dispatch in ALL {
        let flags =
            ["--listen", "127.0.0.1:0", "--dispatch", dispatch, "--proxy-from", "127.0.0.1", "--max-per-source", "1"];
        let server = Example::start("echo", &flags);
        let from = |source: &str| {
            let mut client = connect(server.socket_address());
            client.write_all(&v1(source, 7)).unwrap();
            client
        };
        let clients = [from("192.0.2.1"), from("192.0.2.2")];
        for client in &clients {
            assert_eq!(ask(client, "hello"), "hello");
        }
        is_turned_away(from("192.0.2.1"), "");
        drop(clients);
        let (status, report) = server.stop();
        assert!(status.success() && report.contains(" 1 refused, "), "{dispatch}: {report}");
    }
}

#[test]
fn at_most_this_many_connections_are_served_at_a_time() {
    for served in SERVED {
        for dispatch in served.dispatches {
            let flags = ["--listen", "127.0.0.1:0", "--dispatch", dispatch, "--max-connections", "1"];
            let server = served.start(&flags);
            let first = connect(server.socket_address());
            served.converse(&first, b"");
            let mut second = connect(server.socket_address());
            second.write_all(served.says.as_bytes()).unwrap();
            second.set_read_timeout(Some(std::time::Duration::from_millis(20))).unwrap();
            assert!(second.read(&mut [0; 1]).is_err(), "{} {dispatch}: there is one already", served.name);
            second.set_read_timeout(Some(common::PATIENCE)).unwrap();
            drop(first);
            assert!(read_line(&second).starts_with(served.hears));
            server.stop();
        }
    }
    // The flag of messages: one at a time.
    for (name, transport) in MESSAGES.iter().filter(|(_, transport)| *transport == "udp") {
        let flags = ["--listen", "127.0.0.1:0", "--transport", transport, "--max-connections", "1"];
        Example::start(name, &flags).stop();
    }
    let server = Example::start("dns", &["--listen", "127.0.0.1:0", "--max-connections", "1"]);
    let first = connect(server.socket_address());
    let query = [0, 17, 0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 1];
    (&first).write_all(&query).unwrap();
    assert_ne!((&first).read(&mut [0; 100]).unwrap(), 0);
    let mut second = connect(server.socket_address());
    second.write_all(&query).unwrap();
    drop(first);
    assert_ne!(second.read(&mut [0; 100]).unwrap(), 0);
    drop(second);
    server.stop();
}

#[test]
fn the_threads_of_the_pool_are_bounded() {
    let one_thread = ["--listen", "127.0.0.1:0", "--loop", "--workers", "1", "--max-threads", "1"];
    for name in ["echo", "upper"] {
        let server = Example::start(name, &one_thread);
        let first = connect(server.socket_address());
        assert!(ask(&first, "hello").eq_ignore_ascii_case("hello"));
        // The only thread waits for the first client, whose wait is ended for the second.
        assert!(ask(connect(server.socket_address()), "hello").eq_ignore_ascii_case("hello"));
        assert_eq!(read_rest(&first), b"");
        server.stop();
    }
}

/// How a command line is turned away, in its first line.
fn refusal(name: &str, flags: &[&str]) -> String {
    let ended = finish(Command::new(program(name)).args(flags));
    assert_eq!((ended.code, ended.output.as_str()), (Some(2), ""), "{name} {flags:?}: {}", ended.errors);
    ended.errors.lines().next().unwrap_or_default().to_owned()
}

#[test]
fn wrong_values_are_told() {
    let wrong: &[(&[&str], &str)] = &[
        (&["--max-connections", "0"], "--max-connections 0: it must be"),
        (&["--max-connections", "many"], "--max-connections many: "),
        (&["--listen", "127.0.0.1:0", "--listen", "127.0.0.1:65536"], "127.0.0.1:65536"),
        (&["--listen", "127.0.0.1:0", "--listen", "systemd"], "--listen: give either addresses or sockets"),
    ];
    let of_streams: &[(&[&str], &str)] = &[
        (&["--max-per-source", "0"], "--max-per-source 0: it must be a whole number, 1 or more"),
        (&["--max-per-source", "-1"], "--max-per-source -1: "),
        (&["--proxy-from", "10.0.0.0/33"], "--proxy-from 10.0.0.0/33: "),
        (&["--proxy-from", "10.0.0.1/8"], "--proxy-from 10.0.0.1/8: "),
        (&["--proxy-from", "balancer"], "--proxy-from balancer: "),
        (&["--proxy-from", ""], "--proxy-from : "),
        (&["--proxy-from", "unix"], "--proxy-from unix: name the networks of the proxies, such as 10.0.0.0/8"),
        (&["--proxy-from"], "--proxy-from"),
    ];
    let of_the_pool: &[(&[&str], &str)] = &[
        (&["--max-threads", "0"], "--max-threads 0: it must be"),
        (&["--max-threads", "all"], "--max-threads all: "),
        (&["--workers", "2", "--max-threads", "1"], "option max_threads = 1: "),
        (
            &["--dispatch", "sync", "--max-threads", "9"],
            "--max-threads 9: only the pool has this limit, and the dispatch is sync",
        ),
    ];
    let check = |name: &str, more: &[&str], cases: &[(&[&str], &str)]| {
        for (flags, expected) in cases {
            let said = refusal(name, &[*flags, more].concat());
            assert!(said.starts_with(&format!("{name}: ")) && said.contains(expected), "{name} {flags:?}: {said}");
        }
    };
    for served in SERVED {
        check(served.name, served.flags, wrong);
        check(served.name, served.flags, of_streams);
        if served.dispatches.contains(&"pool") {
            check(served.name, served.flags, of_the_pool);
        }
        let said =
            refusal(served.name, &[&["--transport", served.unix, "--proxy-from", "127.0.0.1"], served.flags].concat());
        assert!(said.contains("--proxy-from 127.0.0.1: peers of a Unix-domain socket have no address"), "{said}");
    }
    for (name, transport) in MESSAGES {
        for flag in [["--proxy-from", "127.0.0.1"], ["--max-per-source", "3"]] {
            let said = refusal(name, &[&["--transport", transport], &flag[..]].concat());
            assert!(said.contains(&format!("{}: it is for connections", flag[0])), "{said}");
        }
        if *transport == "udp" {
            check(name, &["--transport", transport], wrong);
        }
    }
    check("dns", &[], wrong);
    check("dns", &["--dispatch", "pool"], &of_the_pool[..3]);
    assert!(refusal("dns", &["--proxy-from", "127.0.0.1"]).contains("--proxy-from: the UDP server on the same port"));
}

#[test]
fn dns_counts_the_connections_of_a_source() {
    let server = Example::start("dns", &["--listen", "127.0.0.1:0", "--max-per-source", "1"]);
    let query = [0, 17, 0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 1];
    let mut first: TcpStream = connect(server.socket_address());
    first.write_all(&query).unwrap();
    assert_ne!(first.read(&mut [0; 100]).unwrap(), 0);
    is_turned_away(connect(server.socket_address()), "");
    drop(first);
    eventually("the place is free", || {
        let mut client = connect(server.socket_address());
        client.write_all(&query).is_ok() && client.read(&mut [0; 100]).is_ok_and(|count| count > 0)
    });
    server.stop();
}
