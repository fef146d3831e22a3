//! The example `socks` speaks RFC 1928 and RFC 1929, says why it cannot connect, and carries what comes after that.

#![cfg(unix)]

mod common;

use std::io::Read;
use std::io::Write;
use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::Shutdown;
use std::net::SocketAddr;
use std::net::TcpListener;
use std::net::TcpStream;
use std::process::Command;
use std::thread;

use common::PATIENCE;
use common::TempDir;
use common::connect;
use common::connect_unix;
use common::example::Example;
use common::example::finish;
use common::example::program;
use common::read_rest;

const DISPATCHES: [&str; 4] = ["sync", "threads", "fork", "pool"];

const NO_PASSWORD: &[u8] = &[5, 1, 0];

fn start(dispatch: &str, flags: &[&str]) -> Example {
    Example::start("socks", &[&["--listen", "127.0.0.1:0", "--dispatch", dispatch], flags].concat())
}

/// Sends back what comes, and the end behind it.
fn echo() -> SocketAddr {
    echo_at(Ipv4Addr::LOCALHOST.into())
}

fn echo_at(address: IpAddr) -> SocketAddr {
    let listener = TcpListener::bind((address, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for client in listener.incoming() {
            let client = client.unwrap();
            thread::spawn(move || {
                let _ = std::io::copy(&mut &client, &mut &client);
                let _ = client.shutdown(Shutdown::Write);
            });
        }
    });
    address
}

fn asks_for(address: SocketAddr) -> Vec<u8> {
    let (kind, octets) = match address.ip() {
        IpAddr::V4(address) => (1, address.octets().to_vec()),
        IpAddr::V6(address) => (4, address.octets().to_vec()),
    };
    [&[5, 1, 0, kind], &*octets, &address.port().to_be_bytes()].concat()
}

fn asks_for_name(name: &str, port: u16) -> Vec<u8> {
    [&[5, 1, 0, 3, name.len() as u8], name.as_bytes(), &port.to_be_bytes()].concat()
}

fn take<const N: usize>(mut from: impl Read) -> [u8; N] {
    let mut bytes = [0; N];
    from.read_exact(&mut bytes).unwrap();
    bytes
}

/// What the server says to the request, and the address that it names.
fn reply(mut client: impl Read) -> (u8, SocketAddr) {
    let [5, code, 0, kind] = take(&mut client) else { panic!("no reply") };
    let address: IpAddr = match kind {
        1 => take::<4>(&mut client).into(),
        4 => take::<16>(&mut client).into(),
        other => panic!("an address of the kind {other}"),
    };
    (code, SocketAddr::new(address, u16::from_be_bytes(take(&mut client))))
}

/// Has the proxy connect it; from then on it is as if it were connected to the other side.
fn connected<C: Read + Write>(mut client: C, request: &[u8]) -> C {
    client.write_all(NO_PASSWORD).unwrap();
    assert_eq!(take(&mut client), [5, 0]);
    client.write_all(request).unwrap();
    let (code, local) = reply(&mut client);
    assert_eq!(code, 0);
    assert!(local.ip().is_loopback() && local.port() != 0, "{local}");
    client
}

/// What a request is refused with, which ends the connection.
fn refused(server: &Example, request: &[u8]) -> u8 {
    let mut client = connect(server.socket_address());
    client.write_all(NO_PASSWORD).unwrap();
    assert_eq!(take(&client), [5, 0]);
    client.write_all(request).unwrap();
    let (code, local) = reply(&client);
    assert_eq!(local, "0.0.0.0:0".parse().unwrap());
    assert_eq!(read_rest(&client), b"");
    code
}

#[test]
fn it_connects_to_addresses_and_names_and_carries_both_ways() {
    let echo = echo();
    for dispatch in DISPATCHES {
        let server = start(dispatch, &[]);
        let wishes = [asks_for(echo), asks_for_name("localhost", echo.port()), asks_for_name("127.0.0.1", echo.port())];
        for wish in wishes {
            let mut client = connected(connect(server.socket_address()), &wish);
            client.write_all(b"there and back").unwrap();
            assert_eq!(&take(&client), b"there and back", "{dispatch}");
            client.shutdown(Shutdown::Write).unwrap();
            assert_eq!(read_rest(client), b"", "{dispatch}");
        }
        let (status, report) = server.stop();
        assert!(status.success() && report.contains("3 accepted: 3 finished"), "{dispatch}: {report}");
    }
}

#[test]
#[ignore = "needs IPv6"]
fn it_connects_to_ipv6_addresses() {
    let echo = echo_at("::1".parse().unwrap());
    for dispatch in DISPATCHES {
        let server = start(dispatch, &[]);
        for wish in [asks_for(echo), asks_for_name("::1", echo.port())] {
            let mut client = connected(connect(server.socket_address()), &wish);
            client.write_all(b"there and back").unwrap();
            assert_eq!(&take(&client), b"there and back", "{dispatch}");
        }
    }
}

#[test]
fn messages_may_come_together_or_byte_by_byte() {
    let wish = [NO_PASSWORD, &asks_for(echo()), b"early"].concat();
    for dispatch in DISPATCHES {
        let server = start(dispatch, &[]);
        for piece in [wish.len(), 1] {
            let mut client = connect(server.socket_address());
            client.set_nodelay(true).unwrap();
            wish.chunks(piece).for_each(|piece| client.write_all(piece).unwrap());
            assert_eq!(take(&client), [5, 0], "{dispatch}");
            assert_eq!(reply(&client).0, 0, "{dispatch}");
            assert_eq!(&take(&client), b"early", "{dispatch}");
        }
    }
}

#[test]
fn much_is_carried_and_both_ends_are() {
    const LENGTH: usize = 16 << 20;
    let echo = echo();
    let bytes: Vec<u8> = (0..=250).collect::<Vec<u8>>().repeat(LENGTH / 251);
    for dispatch in DISPATCHES {
        let server = start(dispatch, &[]);
        let client = connected(connect(server.socket_address()), &asks_for(echo));
        thread::scope(|scope| {
            scope.spawn(|| {
                (&client).write_all(&bytes).unwrap();
                client.shutdown(Shutdown::Write).unwrap();
            });
            assert!(read_rest(&client) == bytes, "{dispatch}: something else has come back");
        });
    }
}

#[test]
fn clients_say_who_they_are_if_they_must() {
    let echo = echo();
    let password = |name: &str, password: &str| {
        [&[1, name.len() as u8], name.as_bytes(), &[password.len() as u8], password.as_bytes()].concat()
    };
    for dispatch in DISPATCHES {
        let server = start(dispatch, &["--user", "me:secret", "--user", "you:a:b"]);
        for (name, secret) in [("me", "secret"), ("you", "a:b")] {
            let mut client = connect(server.socket_address());
            client.write_all(&[&[5, 2, 0, 2], &*password(name, secret), &asks_for(echo)].concat()).unwrap();
            assert_eq!(take(&client), [5, 2, 1, 0], "{dispatch}");
            assert_eq!(reply(&client).0, 0, "{dispatch}");
        }
        for (name, secret) in [("me", "a:b"), ("me", "secre"), ("me", ""), ("", "secret"), ("nobody", "secret")] {
            let mut client = connect(server.socket_address());
            client.write_all(&[&[5, 1, 2], &*password(name, secret)].concat()).unwrap();
            assert_eq!(read_rest(client), [5, 2, 1, 1], "{dispatch}: {name}:{secret}");
        }
        let mut client = connect(server.socket_address());
        client.write_all(NO_PASSWORD).unwrap();
        assert_eq!(read_rest(client), [5, 0xff], "{dispatch}");
    }
    let server = start("pool", &[]);
    let mut client = connect(server.socket_address());
    client.write_all(&[5, 1, 2]).unwrap();
    assert_eq!(read_rest(client), [5, 0xff], "there is no user");
}

#[test]
fn a_request_that_cannot_be_met_is_told_why() {
    // A port that was free a moment ago; none is given out twice in a row.
    let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut bind = asks_for(gone);
    bind[1] = 2;
    let mut udp = asks_for_name("localhost", 53);
    udp[1] = 3;
    for dispatch in DISPATCHES {
        let server = start(dispatch, &[]);
        assert_eq!(refused(&server, &asks_for(gone)), 5, "{dispatch}");
        assert_eq!(refused(&server, &asks_for_name("name.invalid", 80)), 4, "{dispatch}");
        assert_eq!(refused(&server, &asks_for_name("", 80)), 4, "{dispatch}");
        assert_eq!(refused(&server, &asks_for_name("local\0host", 80)), 4, "{dispatch}");
        assert_eq!(refused(&server, &bind), 7, "{dispatch}");
        assert_eq!(refused(&server, &udp), 7, "{dispatch}");
        assert_eq!(refused(&server, &[5, 1, 0, 9]), 8, "{dispatch}");
    }
}

#[test]
fn another_protocol_gets_no_answer() {
    let server = start("pool", &[]);
    for (says, hears) in [(&b"GET / HTTP/1.1\r\n\r\n"[..], &b""[..]), (&[4, 1, 0, 80], b""), (&[5, 1, 0, 4], &[5, 0])] {
        let mut client = connect(server.socket_address());
        client.write_all(says).unwrap();
        assert_eq!(read_rest(client), hears, "{says:?}");
    }
}

#[test]
#[cfg(target_os = "linux")]
fn a_connection_that_does_not_come_about_is_given_up() {
    // A queue of one place that is taken: what comes now is not answered.
    let listener = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    listener.bind(&"127.0.0.1:0".parse::<SocketAddr>().unwrap().into()).unwrap();
    listener.listen(0).unwrap();
    let address = listener.local_addr().unwrap().as_socket().unwrap();
    let _waits = TcpStream::connect(address).unwrap();
    for dispatch in DISPATCHES {
        let server = start(dispatch, &["--timeout", "1"]);
        assert_eq!(refused(&server, &asks_for(address)), 4, "{dispatch}");
    }
}

#[test]
fn a_relay_in_which_nothing_is_carried_is_closed() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    for dispatch in DISPATCHES {
        let server = start(dispatch, &["--idle", "1"]);
        let client = connected(connect(server.socket_address()), &asks_for(address));
        let (other, _) = listener.accept().unwrap();
        other.set_read_timeout(Some(PATIENCE)).unwrap();
        assert_eq!((read_rest(client), read_rest(other)), (vec![], vec![]), "{dispatch}");
        let (_, report) = server.stop();
        assert!(report.contains(" 1 idle closed"), "{dispatch}: {report}");
    }
}

#[test]
fn clients_may_come_over_a_unix_socket() {
    let (echo, folder) = (echo(), TempDir::new());
    let path = folder.join("socks.sock");
    for dispatch in DISPATCHES {
        let flags = ["--transport", "unix", "--listen", path.to_str().unwrap(), "--dispatch", dispatch];
        let server = Example::start("socks", &flags);
        let mut client = connected(connect_unix(&path), &asks_for(echo));
        client.write_all(b"there and back").unwrap();
        assert_eq!(&take(&client), b"there and back", "{dispatch}");
        drop(client);
        server.stop();
    }
}

#[test]
fn a_wrong_command_line_is_explained() {
    for (flags, message) in [
        (["--user", "me"], "--user: give it as NAME:PASSWORD"),
        (["--user", ":secret"], "--user: name and password have 1 to 255 bytes each"),
        (["--timeout", "0"], "--timeout: it must be at least 1"),
        (["--idle", "soon"], "--idle soon: "),
        (["--transport", "udp"], "--transport udp: choose tcp or unix"),
    ] {
        let ended = finish(Command::new(program("socks")).args(flags));
        assert_eq!(ended.code, Some(2), "{flags:?}: {}", ended.errors);
        assert!(ended.errors.contains(message), "{flags:?}: {}", ended.errors);
    }
}

/// A client that others have written.
mod clients {
    use super::*;

    fn curl(arguments: &[&str]) -> String {
        let mut curl = Command::new("curl");
        curl.args(["--silent", "--show-error", "--noproxy", "", "--max-time", "60"]).args(arguments);
        let ended = finish(&mut curl);
        assert_eq!(ended.code, Some(0), "{arguments:?}: {}", ended.errors);
        ended.output
    }

    #[test]
    #[ignore = "needs curl"]
    fn curl_fetches_pages_through_it() {
        let folder = TempDir::new();
        std::fs::write(folder.join("page.txt"), "over a proxy\n").unwrap();
        let directory = folder.path().to_str().unwrap();
        let site = Example::start("http_files", &["--listen", "127.0.0.1:0", "--directory", directory]);
        let url = format!("http://localhost:{}/page.txt", site.port());
        for dispatch in DISPATCHES {
            let server = start(dispatch, &["--user", "me:secret"]);
            for scheme in ["socks5", "socks5h"] {
                let proxy = format!("{scheme}://me:secret@{}", server.address);
                // Two over one connection.
                let said = curl(&["--ipv4", "--proxy", &proxy, "--write-out", "%{num_connects}\n", &url, &url]);
                assert_eq!(said, "over a proxy\n1\nover a proxy\n0\n", "{dispatch}: {scheme}");
            }
        }
    }

    #[test]
    #[ignore = "needs curl"]
    fn curl_fetches_two_hundred_megabytes_through_it() {
        const LENGTH: u64 = 200 << 20;
        let folder = TempDir::new();
        // All of it is a hole.
        std::fs::File::create(folder.join("large")).unwrap().set_len(LENGTH).unwrap();
        let directory = folder.path().to_str().unwrap();
        let site = Example::start("http_files", &["--listen", "127.0.0.1:0", "--directory", directory]);
        let url = format!("http://127.0.0.1:{}/large", site.port());
        for dispatch in DISPATCHES {
            let server = start(dispatch, &[]);
            let proxy = format!("socks5h://{}", server.address);
            let said = curl(&["--proxy", &proxy, "--output", "/dev/null", "--write-out", "%{size_download}", &url]);
            assert_eq!(said, LENGTH.to_string(), "{dispatch}");
        }
    }
}
