//! A thousand clients that never speak and a thousand that have spoken once cost the next one nothing, nor the stop.

#![cfg(target_os = "linux")]

mod common;

use std::net::TcpStream;
use std::time::Duration;
use std::time::Instant;

use common::allow_descriptors;
use common::ask;
use common::connect;
use common::example::Example;
use common::example::program;
use common::read_rest;

const SILENT: usize = 1_000;
const PARKED: usize = 1_000;

/// For machines that do other things: what is measured is printed.
const GENEROUS: Duration = Duration::from_secs(5);

fn under(dispatch: &str) {
    allow_descriptors(4_096);
    let flags = ["--listen", "127.0.0.1:0", "--dispatch", dispatch, "--workers", "4"];
    let server = Example::start_after("ulimit -n 4096", &program("echo"), &flags);
    let address = server.socket_address();
    let silent: Vec<TcpStream> = (0..SILENT).map(|_| connect(address)).collect();
    let parked: Vec<TcpStream> = (0..PARKED).map(|_| connect(address)).collect();
    for client in &parked {
        assert_eq!(ask(client, "hello"), "hello");
    }

    let mut times: Vec<Duration> = (0..50)
        .map(|_| {
            let begun = Instant::now();
            assert_eq!(ask(connect(address), "new"), "new");
            begun.elapsed()
        })
        .collect();
    times.sort_unstable();
    let (median, most) = (times[times.len() / 2], times[times.len() - 1]);
    let begun = Instant::now();
    let (status, said) = server.stop();
    let stopped = begun.elapsed();
    println!(
        "{dispatch}: a new client is answered in {median:?}, {most:?} at most; stopped in {stopped:?}; {}",
        said.trim()
    );

    assert_eq!(status.code(), Some(0), "{said}");
    // The last of the new ones may be on its way out.
    assert!(
        said.starts_with("2050 accepted: ") && said.contains(" 0 forced (0 abandoned), 0 refused, 0 failed"),
        "{said}"
    );
    assert!(median < Duration::from_millis(50) && most < GENEROUS, "{median:?}, {most:?}");
    assert!(stopped < GENEROUS, "{stopped:?}");
    for client in silent.iter().chain(&parked) {
        assert_eq!(read_rest(client), b"");
    }
}

#[test]
fn under_pool_of_four() {
    under("pool");
}

#[test]
fn under_sync() {
    under("sync");
}

/// A parked connection needs this, and about 90 bytes in the tables: 512 in all, with what the allocator adds.
#[cfg(target_pointer_width = "64")]
#[test]
fn a_connection_needs_little_memory() {
    type Request = socketserver::Stream<TcpStream>;
    type Answer = socketserver::handler::Function<fn(&mut Request) -> socketserver::HandlerResult>;
    let size = size_of::<socketserver::dispatch::Job<socketserver::Tcp, Answer>>();
    assert!(size <= 408, "{size} bytes");
}
