//! A minute of everything at once, under the dispatches with threads: no wrong byte, nothing left over.
//!
//! `SOAK_SECONDS` says how long; 60 by default.

#![cfg(target_os = "linux")]

mod common;

use std::io::BufRead;
use std::io::Read;
use std::io::Write;
use std::net::SocketAddr;
use std::net::TcpStream;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

use common::Held;
use common::PATIENCE;
use common::ask;
use common::becomes;
use common::connect;
use common::connect_udp;
use common::read_rest;
use common::receive;
use common::reset;
use socketserver::BackgroundServer;
use socketserver::Builder;
use socketserver::Datagram;
use socketserver::Flow;
use socketserver::HandlerResult;
use socketserver::Pool;
use socketserver::Report;
use socketserver::Stream;
use socketserver::Sync;
use socketserver::Tcp;
use socketserver::ThreadPerRequest;
use socketserver::Udp;
use socketserver::handler::function;

/// What an allocator has left over after all kinds of load.
const SLACK: u64 = 16 << 20;

fn for_how_long() -> Duration {
    let seconds = std::env::var("SOAK_SECONDS").ok().and_then(|seconds| seconds.parse().ok());
    Duration::from_secs(seconds.unwrap_or(60))
}

/// `panic` and `error` do what they say, `slow` takes its time; the rest comes back.
fn answer(request: &mut Stream<TcpStream>) -> HandlerResult {
    let mut line = Vec::new();
    request.read_until(b'\n', &mut line)?;
    match &*line {
        b"panic\n" => panic!("on purpose"),
        b"error\n" => return Err("on purpose".into()),
        b"slow\n" => std::thread::sleep(Duration::from_millis(5)),
        _ => {}
    }
    request.write_all(&line)?;
    Ok(Flow::Continue)
}

fn echo_message(request: &mut Datagram<SocketAddr>) -> HandlerResult {
    let payload = request.take_payload();
    request.reply_owned(payload)?;
    Ok(Flow::Close)
}

macro_rules! streams {
    ($dispatch:ty) => {
        Builder::<Tcp, $dispatch, _>::new(function(answer)).bind("127.0.0.1:0").unwrap().serve_in_background().unwrap()
    };
}

macro_rules! datagrams {
    ($dispatch:ty) => {
        Builder::<Udp, $dispatch, _>::new(function(echo_message))
            .bind("127.0.0.1:0")
            .unwrap()
            .serve_in_background()
            .unwrap()
    };
}

/// The same text for the same numbers, and another for others; with its newline.
fn line(client: usize, round: u64) -> Vec<u8> {
    let length = 1 + (client as u64 * 7_919 + round * 104_729) % 20_000;
    let mut line: Vec<u8> = (0..length).map(|at| b'a' + ((at * 31 + round) % 26) as u8).collect();
    line.push(b'\n');
    line
}

/// Whole messages over one connection, checked byte by byte.
fn echoes(address: SocketAddr, number: usize, go_on: &dyn Fn() -> bool) -> u64 {
    let (mut client, mut rounds) = (connect(address), 0);
    while go_on() {
        let sent = line(number, rounds);
        client.write_all(&sent).unwrap();
        let mut received = vec![0; sent.len()];
        client.read_exact(&mut received).unwrap();
        assert!(sent == received, "wrong bytes: client {number}, round {rounds}");
        rounds += 1;
    }
    rounds
}

/// A connection for each message. A pause now and then keeps the ports of this machine from running out.
fn churns(address: SocketAddr, number: usize, go_on: &dyn Fn() -> bool) -> u64 {
    let mut rounds = 0;
    while go_on() {
        let text = format!("client {number} round {rounds}");
        assert_eq!(ask(connect(address), &text), text);
        rounds += 1;
        std::thread::sleep(Duration::from_millis(2));
    }
    rounds
}

/// Half messages, slow ones, resets, panics and errors, one after the other.
fn misbehaves(address: SocketAddr, go_on: &dyn Fn() -> bool) -> u64 {
    let mut rounds = 0;
    while go_on() {
        let mut client = connect(address);
        match rounds % 6 {
            0 => {
                client.write_all(b"half a li").unwrap();
                reset(client);
            }
            1 => {
                client.write_all(&line(0, rounds)).unwrap();
                reset(client);
            }
            2 => {
                for byte in b"one by one\n" {
                    client.write_all(&[*byte]).unwrap();
                    std::thread::sleep(Duration::from_millis(1));
                }
                assert_eq!(common::read_line(&client), "one by one");
            }
            3 => assert_eq!(ask(&client, "slow"), "slow"),
            ending => {
                client.write_all(if ending == 4 { b"panic\n" } else { b"error\n" }).unwrap();
                assert_eq!(read_rest(client), b"");
            }
        }
        rounds += 1;
        std::thread::sleep(Duration::from_millis(2));
    }
    rounds
}

/// One datagram at a time, so that the kernel has no reason to lose one.
fn sends_datagrams(address: SocketAddr, number: usize, go_on: &dyn Fn() -> bool) -> u64 {
    let (client, mut rounds) = (connect_udp("127.0.0.1:0", address), 0);
    while go_on() {
        let sent = line(number, rounds);
        client.send(&sent).unwrap();
        assert!(sent == receive(|buffer| client.recv(buffer)), "wrong bytes: client {number}, round {rounds}");
        rounds += 1;
    }
    rounds
}

/// Servers that come and go beside the others.
fn starts_and_stops(go_on: &dyn Fn() -> bool) -> u64 {
    let mut rounds = 0;
    while go_on() {
        let server = match rounds % 3 {
            0 => streams!(Sync),
            1 => streams!(ThreadPerRequest),
            _ => streams!(Pool),
        };
        let clients: Vec<TcpStream> = (0..5).map(|_| connect(server.local_addr())).collect();
        for client in &clients {
            assert_eq!(ask(client, "hello"), "hello");
        }
        let report = server.shutdown().unwrap();
        assert_eq!((report.accepted, report.idle_closed), (5, 5), "{report}");
        rounds += 1;
    }
    rounds
}

fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).and_then(|kibibytes| kibibytes.parse::<u64>().ok()).unwrap() << 10
}

fn adds_up(report: &Report) {
    let ended = report.finished + report.idle_closed + report.forced + report.refused + report.failed;
    assert_eq!((report.accepted, report.forced, report.refused), (ended, 0, 0), "{report}");
}

#[test]
#[ignore = "takes a minute: `.ci/run soak`"]
fn everything_at_once() {
    // A panic on purpose is no news.
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if info.payload().downcast_ref::<&str>() != Some(&"on purpose") {
            usual(info);
        }
    }));
    let before = Held::now();
    let servers: Vec<BackgroundServer<SocketAddr>> = vec![streams!(Sync), streams!(ThreadPerRequest), streams!(Pool)];
    let receivers: Vec<BackgroundServer<SocketAddr>> =
        vec![datagrams!(Sync), datagrams!(ThreadPerRequest), datagrams!(Pool)];
    let (begun, length) = (Instant::now(), for_how_long());
    let (failed, warm) = (AtomicBool::new(false), AtomicU64::new(0));
    let go_on = || {
        if warm.load(Ordering::Relaxed) == 0 && begun.elapsed() > length / 4 {
            // From here on nothing should grow.
            warm.store(resident(), Ordering::Relaxed);
        }
        begun.elapsed() < length && !failed.load(Ordering::Relaxed)
    };
    std::thread::scope(|scope| {
        let go_on: &(dyn Fn() -> bool + std::marker::Sync) = &go_on;
        let mut clients = Vec::new();
        for (server, receiver) in servers.iter().zip(&receivers) {
            let (address, datagrams) = (server.local_addr(), receiver.local_addr());
            for number in 0..3 {
                clients.push(("echoes", scope.spawn(move || echoes(address, number, go_on))));
            }
            clients.push(("churns", scope.spawn(move || churns(address, 3, go_on))));
            clients.push(("misbehaves", scope.spawn(move || misbehaves(address, go_on))));
            clients.push(("datagrams", scope.spawn(move || sends_datagrams(datagrams, 4, go_on))));
        }
        clients.push(("starts and stops", scope.spawn(move || starts_and_stops(go_on))));
        for (what, client) in clients {
            let Ok(rounds) = client.join() else {
                failed.store(true, Ordering::Relaxed);
                panic!("a client that {what} has failed");
            };
            println!("{what}: {rounds} rounds");
            assert!(rounds > 0);
        }
    });
    let grown = resident().saturating_sub(warm.into_inner());
    for server in servers.into_iter().chain(receivers) {
        let report = server.shutdown().unwrap();
        println!("{report}");
        adds_up(&report);
    }
    becomes("descriptors and threads", &before, Held::now);
    println!("{} KiB more after {:?}", grown >> 10, begun.elapsed());
    assert!(grown < SLACK, "{grown} bytes more");
    assert!(begun.elapsed() < length + PATIENCE);
}
