//! Threads are reused and not hoarded, and signals interrupt nothing that was promised to be complete.

mod common;

use std::io::BufRead;
use std::io::Read;
use std::io::Write;
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;

use common::Start;
use common::ask;
use common::connect;
use common::read_line;
use socketserver::Flow;
use socketserver::Stream;
use socketserver::ThreadPerRequest;
use socketserver::ThreadingTcpServer;

/// Ten clients, one after the other, need fewer than ten threads (T27 of the ancestor's suite).
#[test]
fn ten_clients_in_sequence_leave_fewer_than_ten_threads() {
    let server = ThreadingTcpServer::builder_fn(|request: &mut Stream<TcpStream>| {
        let name = std::thread::current().name().unwrap_or_default().to_owned();
        writeln!(request, "{name}")?;
        Ok(Flow::Close)
    })
    .start();
    let address = server.local_addr();
    let mut names = std::collections::HashSet::new();
    for _ in 0..10 {
        let client = connect(address);
        names.insert(ask(&client, "who"));
        drop(client);
        common::eventually("the request is over", || server.stats().active == 0);
    }
    assert!(names.len() < 10, "{names:?}");
    server.stop();
}

/// A huge write arrives whole although signals interrupt the calls it waits in (T24).
#[cfg(unix)]
#[test]
fn a_storm_of_signals_cuts_no_write_short() {
    const SIZE: usize = 16 * 1024 * 1024 + 1;
    let caught = Arc::new(AtomicBool::new(false));
    signal_hook::flag::register(signal_hook::consts::SIGUSR1, Arc::clone(&caught)).unwrap();
    let server = ThreadingTcpServer::builder_fn(|request: &mut Stream<TcpStream>| {
        let mut greeting = [0; 3];
        request.read_exact(&mut greeting)?;
        // A small write is there before any flush: the client answers it.
        request.write_all(b"small\n")?;
        request.read_exact(&mut greeting)?;
        let written = request.write(&vec![b'x'; SIZE])?;
        assert_eq!(written, SIZE, "a write takes all");
        Ok(Flow::Close)
    })
    .start();
    let address = server.local_addr();
    let over = Arc::new(AtomicBool::new(false));
    let storm = {
        let over = Arc::clone(&over);
        std::thread::spawn(move || {
            let me = rustix::process::getpid();
            while !over.load(Ordering::SeqCst) {
                rustix::process::kill_process(me, rustix::process::Signal::USR1).unwrap();
                std::thread::yield_now();
            }
        })
    };
    let mut client = connect(address);
    client.write_all(b"hi\n").unwrap();
    assert_eq!(read_line(&client), "small");
    client.write_all(b"go\n").unwrap();
    let mut received = 0;
    let mut piece = [0; 8192];
    loop {
        match client.read(&mut piece) {
            Ok(0) => break,
            Ok(count) => received += count,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => panic!("{error}"),
        }
    }
    over.store(true, Ordering::SeqCst);
    storm.join().unwrap();
    assert_eq!(received, SIZE);
    assert!(caught.load(Ordering::SeqCst), "no signal came through");
    server.stop();
}

/// A request is over a moment before its thread is free: no other thread is started for that.
#[test]
fn there_are_never_more_threads_than_allowed() {
    let names = common::Log::<String>::default();
    let log = names.clone();
    let server = ThreadingTcpServer::builder_fn(move |request| {
        let mut line = String::new();
        request.read_line(&mut line)?;
        log.push(std::thread::current().name().unwrap_or_default());
        request.write_all(line.as_bytes())?;
        Ok(Flow::Close)
    })
    .dispatch(ThreadPerRequest::default().max_threads(1))
    .start();
    for number in 0..200 {
        let client = connect(server.local_addr());
        assert_eq!(ask(&client, &number.to_string()), number.to_string());
    }
    let mut names = names.entries();
    names.dedup();
    assert_eq!(names, ["request-1"]);
}
