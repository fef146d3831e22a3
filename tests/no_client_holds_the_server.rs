//! What a client does or does not send never takes the capacity to serve the others.

#[macro_use]
mod common;

use std::io::BufRead;
use std::io::Read;
use std::io::Write;
use std::net::Shutdown;
use std::net::SocketAddr;
use std::net::TcpStream;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

use common::Log;
use common::Start;
use common::ask;
use common::connect;
use common::eventually;
use common::read_line;
use common::read_rest;
use socketserver::Builder;
use socketserver::End;
use socketserver::Event;
use socketserver::Flow;
use socketserver::HandlerResult;
use socketserver::Pool;
use socketserver::Stream;
use socketserver::Tcp;
use socketserver::ThreadPerRequest;
use socketserver::handler::function;

/// Waits for a whole line inside of `handle`.
fn upper<S: socketserver::Socket>(request: &mut Stream<S>) -> HandlerResult {
    let mut line = Vec::new();
    request.read_until(b'\n', &mut line)?;
    request.write_all(&line.to_ascii_uppercase())?;
    Ok(if line.is_empty() { Flow::Close } else { Flow::Continue })
}

/// The same in Python's style: the conversation is one call.
fn upper_in_a_loop<S: socketserver::Socket>(request: &mut Stream<S>) -> HandlerResult {
    while let Flow::Continue = upper(request)? {}
    Ok(Flow::Close)
}

fn send_half_lines(server: SocketAddr, count: usize) -> Vec<TcpStream> {
    let send = |_| {
        let mut client = connect(server);
        client.write_all(b"abc").unwrap();
        client
    };
    (0..count).map(send).collect()
}

macro_rules! where_a_handler_may_wait {
    ($($(#[$attribute:meta])* fn $name:ident<$D:ident>() $body:block)+) => {$(
        mod $name {
            use super::*;

            #[test]
            fn threads() {
                type $D = ThreadPerRequest;
                $body
            }

            #[test]
            fn pool() {
                type $D = Pool;
                $body
            }
        }
    )+};
}

where_a_handler_may_wait! {
    fn half_lines_hold_no_one_up<D>() {
        for handler in [upper, upper_in_a_loop] {
            let server = Builder::<Tcp, D, _>::new(function(handler)).start();
            let known = connect(server.local_addr());
            assert_eq!(ask(&known, "known"), "KNOWN");
            let mut half = send_half_lines(server.local_addr(), 100);
            eventually("they are served", || server.stats().accepted == 101);
            for round in 0..20 {
                assert_eq!(ask(&known, "known"), "KNOWN", "round {round}");
                assert_eq!(ask(connect(server.local_addr()), "new"), "NEW", "round {round}");
            }
            // None of them was cut off.
            for client in &mut half {
                client.write_all(b"def\n").unwrap();
            }
            for client in &half {
                assert_eq!(read_line(client), "ABCDEF");
            }
            assert_eq!(server.stats().waits_ended, 0);
        }
    }

    fn clients_that_do_not_read_hold_no_one_up<D>() {
        let server = Builder::<Tcp, D, _>::new(function(|request: &mut Stream<TcpStream>| {
            let mut line = String::new();
            request.read_line(&mut line)?;
            // More than the kernel and the server take for a client that does not read: the write waits.
            request.write_all(&vec![b'x'; line.trim().parse()?])?;
            request.write_all(b"\n")?;
            Ok(Flow::Continue)
        }))
        .start();
        let known = connect(server.local_addr());
        assert_eq!(ask(&known, "3"), "xxx");
        let deaf: Vec<_> = (0..40).map(|_| connect(server.local_addr())).collect();
        for mut client in &deaf {
            client.write_all(b"20000000\n").unwrap();
        }
        eventually("they are served", || server.stats().accepted == 41);
        for _ in 0..20 {
            assert_eq!(ask(&known, "3"), "xxx");
            assert_eq!(ask(connect(server.local_addr()), "2"), "xx");
        }
        drop(deaf);
    }
}

#[test]
fn the_threads_of_those_that_wait_end_when_they_are_not_needed() {
    let server = Builder::<Tcp, Pool, _>::new(function(upper)).dispatch(Pool::new(2)).start();
    let half = send_half_lines(server.local_addr(), 50);
    eventually("each waits in a thread, and there is another", || {
        let stats = server.stats();
        stats.threads_waiting == 50 && stats.threads >= 51 && stats.threads_spare == stats.threads - 2
    });
    drop(half);
    server.seen.wait_for_ends(50);
    // Ten seconds later, which is what this test waits for.
    eventually("the spare threads end", || server.stats().threads == 2);
    assert_eq!((server.stats().threads_waiting, server.stats().threads_spare), (0, 0));
    assert_eq!(ask(connect(server.local_addr()), "still here"), "STILL HERE");
}

#[test]
fn at_the_bound_waits_give_way_one_by_one() {
    let ended = Log::<(usize, usize)>::default();
    let told = ended.clone();
    let server = Builder::<Tcp, Pool, _>::new(function(upper))
        .dispatch(Pool::new(2).max_threads(4).least_wait(Duration::from_millis(50)))
        .on_event(move |event| {
            if let Event::WaitsEnded { waiting, ended } = event {
                told.push((*waiting, *ended));
            }
        })
        .start();
    let half = send_half_lines(server.local_addr(), 20);
    // A client that sends whole lines is served, whoever waits.
    let client = connect(server.local_addr());
    for _ in 0..20 {
        assert_eq!(ask(&client, "whole"), "WHOLE");
    }
    let ends = server.seen.wait_for_ends(16);
    assert!(ends.iter().all(|end| *end == End::TimedOut), "{ends:?}");
    let error = &server.seen.errors()[0];
    assert!(error.contains("Pool::max_threads"), "{error}");
    assert!(server.stats().waits_ended >= 16);
    let told = ended.entries();
    assert!(told.iter().all(|(waiting, ended)| *ended >= 1 && ended <= waiting && *waiting <= 4), "{told:?}");
    assert!(server.stats().threads <= 4);
    drop((half, client));
}

#[test]
fn at_the_bound_waits_between_messages_end_first() {
    let server = Builder::<Tcp, Pool, _>::new(function(upper_in_a_loop))
        // Both may be ended at once: else the older one could be alone in having waited for long enough.
        .dispatch(Pool::new(1).max_threads(2).least_wait(Duration::ZERO))
        .start();
    // The older one is in a message.
    let half = send_half_lines(server.local_addr(), 1).remove(0);
    eventually("it waits", || server.stats().threads_waiting == 1);
    let idle = connect(server.local_addr());
    assert_eq!(ask(&idle, "then idle"), "THEN IDLE");
    eventually("both wait", || server.stats().threads_waiting == 2);
    let new = connect(server.local_addr());
    assert_eq!(ask(&new, "new"), "NEW");
    assert_eq!(read_rest(&idle), b"");
    (&half).write_all(b"def\n").unwrap();
    assert_eq!(read_line(&half), "ABCDEF");
}

/// Sends lines without end until `stop`, and reads the answers; `answered` counts their bytes.
fn pipeline(server: SocketAddr, stop: &AtomicBool, answered: &AtomicUsize) {
    let client = connect(server);
    let mut writer = client.try_clone().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            let lines = b"a\n".repeat(8 * 1024);
            while !stop.load(Ordering::SeqCst) && writer.write_all(&lines).is_ok() {}
            // What is left is not waited for.
            let _ = writer.shutdown(Shutdown::Both);
        });
        let mut bytes = vec![0; 64 * 1024];
        loop {
            match (&client).read(&mut bytes) {
                Ok(0) | Err(_) => return,
                Ok(count) => _ = answered.fetch_add(count, Ordering::SeqCst),
            }
        }
    });
}

/// Asks again and again beside clients that pipeline: all are answered.
fn beside_pipelines<T: socketserver::Transport<Addr = SocketAddr>>(server: &common::Running<T>, count: usize) {
    let stop = AtomicBool::new(false);
    let known = connect(server.local_addr());
    assert_eq!(ask(&known, "known"), "KNOWN");
    let answered: Vec<_> = (0..count).map(|_| AtomicUsize::new(0)).collect();
    std::thread::scope(|scope| {
        for answered in &answered {
            scope.spawn(|| pipeline(server.local_addr(), &stop, answered));
        }
        eventually("each is served", || answered.iter().all(|answered| answered.load(Ordering::SeqCst) > 0));
        let mut longest = Duration::ZERO;
        for _ in 0..50 {
            let begun = Instant::now();
            assert_eq!(ask(&known, "known"), "KNOWN");
            assert_eq!(ask(connect(server.local_addr()), "new"), "NEW");
            longest = longest.max(begun.elapsed());
        }
        println!("the longest took {longest:?}");
        stop.store(true, Ordering::SeqCst);
    });
}

under_each_dispatch! {
    fn clients_that_never_stop_sending_hold_no_one_up<D>() {
        for count in [1, 8] {
            let server = Builder::<Tcp, D, _>::new(function(upper)).start();
            beside_pipelines(&server, count);
        }
    }

    fn a_handler_that_holds_its_thread_is_told_of<D>() {
        let calls = Log::<(u64, Duration)>::default();
        let told = calls.clone();
        let server = Builder::<Tcp, D, _>::new(function(|request: &mut Stream<TcpStream>| {
            let mut line = String::new();
            request.read_line(&mut line)?;
            if line == "nap\n" {
                // What is tested here is a handler that holds its thread.
                std::thread::sleep(Duration::from_millis(60));
            }
            request.write_all(line.as_bytes())?;
            Ok(Flow::Continue)
        }))
        .long_call(Duration::from_millis(50))
        .on_event(move |event| {
            if let Event::LongCall { id, took } = event {
                told.push((id.to_string().parse::<u64>().unwrap(), *took));
            }
        })
        .start();
        let client = connect(server.local_addr());
        assert_eq!(ask(&client, "nap"), "nap");
        assert_eq!(ask(&client, "quick"), "quick");
        drop(client);
        server.seen.wait_for_ends(1);
        let calls = calls.entries();
        let serves_many = ["Sync", "Pool"].iter().any(|name| std::any::type_name::<D>().ends_with(name));
        let expected = usize::from(serves_many);
        // A machine that is busy may make the quick one long, too.
        assert!(calls.len() >= expected && (expected > 0 || calls.is_empty()), "{calls:?}");
        assert!(calls.iter().all(|(id, took)| *id == 1 && *took >= Duration::from_millis(50)), "{calls:?}");
    }
}
