//! SIGTERM under load: no reply is cut short, no connection is reset, who waits sees the end, and the port is free
//! afterwards.

#![cfg(unix)]

mod common;

use std::io::ErrorKind;
use std::io::Read;
use std::io::Write;
use std::net::SocketAddr;
use std::net::TcpListener;
use std::net::TcpStream;
use std::sync::Barrier;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Instant;

use common::connect;
use common::example::Example;
use common::read_rest;

const BUSY: usize = 24;
const CHURNING: usize = 4;
const IDLE: usize = 50;
const SIZE: usize = 3_000;

/// How the conversations of the busy clients have ended.
#[derive(Debug, Default)]
struct Outcomes {
    answered: AtomicU64,
    /// With the end of input instead of an answer, or before it was asked for.
    ended: AtomicU64,
    cut: AtomicU64,
    reset: AtomicU64,
    refused: AtomicU64,
}

impl Outcomes {
    fn count(counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// One message and its answer; false when the conversation is over.
    fn exchange(&self, client: &mut TcpStream, message: &[u8]) -> bool {
        // A server that has ended takes nothing any more: that is told by the read, as a client sees it that sends and
        // then reads.
        let sent = client.write_all(message);
        let mut answer = vec![0; message.len()];
        let mut received = 0;
        while received < answer.len() {
            match client.read(&mut answer[received..]) {
                Ok(0) => {
                    Self::count(if received == 0 { &self.ended } else { &self.cut });
                    return false;
                }
                Ok(count) => received += count,
                Err(error) => {
                    assert!(
                        matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe),
                        "{error} {sent:?}"
                    );
                    Self::count(if received == 0 { &self.reset } else { &self.cut });
                    return false;
                }
            }
        }
        assert!(answer == message, "wrong bytes");
        Self::count(&self.answered);
        true
    }
}

fn busy(address: SocketAddr, number: usize, start: &Barrier, outcomes: &Outcomes) {
    let mut client = connect(address);
    let message: Vec<u8> = (0..SIZE).map(|at| (at * 31 + number).to_le_bytes()[0]).collect();
    start.wait();
    while outcomes.exchange(&mut client, &message) {}
}

fn churning(address: SocketAddr, number: usize, start: &Barrier, outcomes: &Outcomes) {
    let message: Vec<u8> = (0..SIZE).map(|at| (at * 37 + number).to_le_bytes()[0]).collect();
    start.wait();
    loop {
        let Ok(mut client) = TcpStream::connect(address) else {
            return Outcomes::count(&outcomes.refused);
        };
        client.set_read_timeout(Some(common::PATIENCE)).unwrap();
        if !outcomes.exchange(&mut client, &message) {
            return;
        }
    }
}

fn under(dispatch: &str) {
    let server = Example::start("echo", &["--listen", "127.0.0.1:0", "--dispatch", dispatch]);
    let address = server.socket_address();
    let outcomes = Outcomes::default();
    let start = Barrier::new(BUSY + CHURNING + 1);
    let (took, code, said) = std::thread::scope(|scope| {
        // A process each would leave none for the others.
        let idle = if dispatch == "fork" { 0 } else { IDLE };
        let idle: Vec<TcpStream> = (0..idle).map(|_| connect(address)).collect();
        for client in &idle {
            assert_eq!(common::ask(client, "hello"), "hello");
        }
        for number in 0..BUSY {
            let (start, outcomes) = (&start, &outcomes);
            scope.spawn(move || busy(address, number, start, outcomes));
        }
        for number in 0..CHURNING {
            let (start, outcomes) = (&start, &outcomes);
            scope.spawn(move || churning(address, number, start, outcomes));
        }
        start.wait();
        common::eventually("load", || outcomes.answered.load(Ordering::Relaxed) > 2_000);
        let begun = Instant::now();
        let (status, said) = server.stop();
        let took = begun.elapsed();
        for client in &idle {
            assert_eq!(read_rest(client), b"");
        }
        (took, status.code(), said)
    });
    println!("{dispatch}: stopped in {took:?}: {outcomes:?}; {}", said.trim_end());
    TcpListener::bind(address).expect("the port is free");
    assert_eq!(code, Some(0), "{said}");
    let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    assert_eq!((read(&outcomes.cut), read(&outcomes.reset)), (0, 0), "{outcomes:?}");
}

#[test]
fn under_sync() {
    under("sync");
}

#[test]
fn under_threads() {
    under("threads");
}

#[test]
fn under_fork() {
    under("fork");
}

#[test]
fn under_pool() {
    under("pool");
}
