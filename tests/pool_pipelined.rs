//! Lines that are sent together are all answered, in order and whole, while connections become slow and quick again,
//! wait and go on, under a pool with more threads than processors.
//!
//! `PIPELINED_SECONDS` says how long each test runs; by default two seconds.

mod common;

use std::io::BufRead;
use std::io::Read;
use std::io::Write;
use std::os::unix::net::UnixStream as Client;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

use common::Recorder;
use common::Start;
use common::TempDir;
use common::connect_unix;
use socketserver::Builder;
use socketserver::Flow;
use socketserver::HandlerResult;
use socketserver::Pool;
use socketserver::Stream;
use socketserver::UnixStream;
use socketserver::handler::function;

/// So many lines at a time: more than one turn of a connection takes.
const TOGETHER: usize = 32;

/// Far longer than any client keeps silent.
const IDLE: Duration = Duration::from_secs(2);

fn for_how_long() -> Duration {
    let seconds = std::env::var("PIPELINED_SECONDS").ok().and_then(|seconds| seconds.parse().ok());
    Duration::from_secs(seconds.unwrap_or(2))
}

/// Lines in upper case. One that begins with `s` takes longer than the monitor of the pool allows for quick ones.
fn upper(request: &mut Stream<Client>) -> HandlerResult {
    let mut line = Vec::new();
    request.read_until(b'\n', &mut line)?;
    if line.first() == Some(&b's') {
        std::thread::sleep(Duration::from_millis(4));
    }
    line.make_ascii_uppercase();
    request.write_all(&line)?;
    Ok(Flow::Continue)
}

/// What one client does until the time is over; the number of its rounds.
fn converse(mut client: Client, number: usize, until: Instant, seen: &Recorder) -> u64 {
    let mut rounds = 0;
    let mut received = Vec::new();
    while Instant::now() < until {
        // One line in so many is slow, with another number for each client; the first client's never.
        let slow = number > 0 && rounds % (7 * number as u64 + 3) == 0;
        let mut sent = Vec::new();
        for line in 0..TOGETHER {
            let kind = if slow && line % 11 == number % 11 { 's' } else { 'q' };
            sent.extend_from_slice(format!("{kind} client {number} round {rounds} line {line}\n").as_bytes());
        }
        let expected = sent.to_ascii_uppercase();
        // In one piece, or with a pause inside a line, so that the handler meets half a line.
        if rounds % 5 == 4 {
            let half = sent.len() / 2 + 3;
            client.write_all(&sent[..half]).unwrap();
            std::thread::yield_now();
            client.write_all(&sent[half..]).unwrap();
        } else {
            client.write_all(&sent).unwrap();
        }
        received.resize(sent.len(), 0);
        let begun = Instant::now();
        if let Err(error) = client.read_exact(&mut received) {
            let errors = seen.errors();
            panic!("client {number}, round {rounds}: {error} after {:?}; {seen:?}; {errors:?}", begun.elapsed());
        }
        assert!(received == expected, "client {number}, round {rounds}: {}", String::from_utf8_lossy(&received));
        rounds += 1;
        if rounds % 50 == 0 {
            // Long enough to be parked for a while.
            std::thread::sleep(Duration::from_millis(5));
        }
    }
    rounds
}

fn run(clients: usize, dispatch: Pool) {
    let dir = TempDir::new();
    let path = dir.join("server.sock");
    let server = Builder::<UnixStream, Pool, _>::new(function(upper))
        .dispatch(dispatch)
        .write_buffer(4096)
        .idle_timeout(IDLE)
        .start_at(&path);
    let (rounds, until) = (AtomicU64::new(0), Instant::now() + for_how_long());
    std::thread::scope(|scope| {
        for number in 0..clients {
            let (path, seen, rounds) = (&path, &server.seen, &rounds);
            scope.spawn(move || {
                let client = connect_unix(path);
                rounds.fetch_add(converse(client, number, until, seen), Ordering::Relaxed);
            });
        }
    });
    let report = server.stop();
    assert_eq!((report.accepted, report.failed, report.forced), (clients as u64, 0, 0), "{report}");
    assert_eq!(report.seen.errors(), [""; 0]);
    println!("{clients} clients: {} rounds of {TOGETHER} lines", rounds.into_inner());
}

#[test]
fn one_client_and_the_default_workers() {
    run(1, Pool::default());
}

#[test]
fn many_clients_some_of_them_slow() {
    run(9, Pool::default());
}

#[test]
fn more_slow_clients_than_workers() {
    run(9, Pool::new(3));
}

#[test]
fn on_one_worker() {
    run(5, Pool::new(1));
}
