//! Limits are exact: never more than allowed inside, everybody served in the end, every place given back.

#[macro_use]
mod common;

use std::io::BufRead;
use std::io::Read;
use std::io::Write;
use std::net::TcpStream;
use std::sync::Barrier;
use std::sync::Mutex;
use std::sync::mpsc;
use std::time::Duration;
use std::time::Instant;

use common::Count;
use common::PATIENCE;
use common::Start;
use common::ask;
use common::becomes;
use common::channel;
use common::connect;
use common::echo::echo_line;
use common::eventually;
use common::read_line;
use common::read_rest;
use socketserver::AtLimit;
use socketserver::Builder;
use socketserver::End;
use socketserver::Flow;
use socketserver::Handler;
use socketserver::HandlerResult;
use socketserver::Refusal;
use socketserver::Stream;
use socketserver::Tcp;
use socketserver::handler::function;

/// Notes how many of its kind there are, from `setup` to `finish`.
struct Counted(Inside);

#[derive(Clone, Default)]
struct Inside {
    now: Count,
    most: Count,
}

impl Handler<Stream<TcpStream>> for Counted {
    fn setup(&mut self, _: &mut Stream<TcpStream>) -> HandlerResult<()> {
        let others = self.0.now.add_one();
        self.0.most.raise_to(others + 1);
        Ok(())
    }

    fn handle(&mut self, request: &mut Stream<TcpStream>) -> HandlerResult {
        echo_line(request)
    }

    fn finish(&mut self, _: &mut Stream<TcpStream>, _: End) -> HandlerResult<()> {
        self.0.now.take_one_back();
        Ok(())
    }
}

const RACERS: usize = 40;

/// Connects from forty threads at the same moment; each asks twice, and leaves.
fn race(address: std::net::SocketAddr, rounds: usize) {
    let barrier = Barrier::new(RACERS);
    std::thread::scope(|scope| {
        for racer in 0..RACERS {
            let barrier = &barrier;
            scope.spawn(move || {
                for round in 0..rounds {
                    barrier.wait();
                    let client = connect(address);
                    for part in ["one", "two"] {
                        let line = format!("{racer} {round} {part}");
                        assert_eq!(ask(&client, &line), line);
                    }
                }
            });
        }
    });
}

under_each_dispatch! {
    fn a_race_of_forty_never_gets_more_inside_than_allowed<D>() {
        for limit in [1, 3, 39] {
            let inside = Inside::default();
            let counted = inside.clone();
            let server = Builder::<Tcp, D, _>::new(move || Counted(counted.clone()))
                .max_connections(limit)
                .start();
            race(server.local_addr(), 3);
            let report = server.stop();
            let most = inside.most.get();
            assert!((1..=limit).contains(&most), "{most} inside, {limit} allowed");
            assert_eq!(inside.now.get(), 0);
            assert_eq!((report.accepted, report.refused), (3 * RACERS as u64, 0), "{report}");
        }
    }

    fn at_the_limit_clients_wait_until_a_place_is_free<D>() {
        let server = Builder::<Tcp, D, _>::new(function(echo_line)).max_connections(2).start();
        let address = server.local_addr();
        let mut inside: Vec<TcpStream> = (0..2).map(|_| connect(address)).collect();
        for client in &mut inside {
            assert_eq!(ask(client, "inside"), "inside");
        }
        let mut waiting = connect(address);
        waiting.write_all(b"waiting\n").unwrap();
        // Those inside are served on; the third has not been accepted.
        for client in &mut inside {
            assert_eq!(ask(client, "still"), "still");
        }
        assert_eq!((server.seen.starts(), server.stats().active), (2, 2));
        waiting.set_nonblocking(true).unwrap();
        let early = waiting.read(&mut [0]).unwrap_err();
        assert_eq!(early.kind(), std::io::ErrorKind::WouldBlock);
        waiting.set_nonblocking(false).unwrap();

        drop(inside.pop());
        assert_eq!(read_line(&waiting), "waiting");
        let report = server.stop();
        assert_eq!((report.accepted, report.refused), (3, 0), "{report}");
    }

    fn at_the_limit_clients_are_told_so_and_counted<D>() {
        let server = Builder::<Tcp, D, _>::new(function(echo_line))
            .max_connections(1)
            .at_limit(AtLimit::Refuse(b"too many\n".to_vec()))
            .start();
        let address = server.local_addr();
        let inside = connect(address);
        assert_eq!(ask(&inside, "inside"), "inside");
        for _ in 0..5 {
            assert_eq!(read_rest(&connect(address)), b"too many\n");
        }
        assert_eq!(ask(&inside, "still"), "still");
        drop(inside);
        eventually("the place is free", || server.stats().active == 0);
        let next = connect(address);
        assert_eq!(ask(&next, "next"), "next");
        let report = server.stop();
        assert_eq!((report.accepted, report.refused), (7, 5), "{report}");
        assert_eq!(report.seen.refused(Refusal::AtLimit), 5);
        assert_eq!(report.seen.ended(End::Refused), 5);
    }

    fn every_place_is_given_back_however_the_request_ends<D>() {
        let handler = function(|request: &mut Stream<TcpStream>| {
            let mut line = String::new();
            request.read_line(&mut line)?;
            match line.as_str() {
                "panic\n" => panic!("on purpose"),
                "error\n" => Err("on purpose".into()),
                _ => {
                    request.write_all(line.as_bytes())?;
                    Ok(Flow::Close)
                }
            }
        });
        let connections = Count::default();
        let server = Builder::<Tcp, D, _>::new(handler)
            .max_connections(1)
            .verify(move |_: &Stream<TcpStream>| connections.add_one() % 4 != 3)
            .start();
        for _ in 0..5 {
            for (line, answer) in [("fine\n", "fine\n"), ("panic\n", ""), ("error\n", ""), ("unverified\n", "")] {
                let mut client = connect(server.local_addr());
                client.write_all(line.as_bytes()).unwrap();
                assert_eq!(read_rest(&client), answer.as_bytes());
            }
        }
        becomes("places taken", &0, || server.stats().active);
        let report = server.stop();
        assert_eq!((report.accepted, report.finished, report.failed, report.refused), (20, 5, 10, 5), "{report}");
        let ends = [End::HandlerClosed, End::Panicked, End::Failed, End::Refused].map(|end| report.seen.ended(end));
        assert_eq!(ends, [5; 4]);
        assert_eq!(report.seen.refused(Refusal::Unverified), 5);
    }

    fn a_place_is_given_back_after_a_failing_setup_and_a_failing_finish<D>() {
        #[derive(Default)]
        struct Fails {
            at: u8,
        }
        impl Handler<Stream<TcpStream>> for Fails {
            fn setup(&mut self, request: &mut Stream<TcpStream>) -> HandlerResult<()> {
                // Under some dispatches it may be called before the client has sent anything.
                self.at = request.fill_buf()?[0];
                match self.at {
                    b'0' => Err("setup, on purpose".into()),
                    b'1' => panic!("setup, on purpose"),
                    _ => Ok(()),
                }
            }
            fn handle(&mut self, request: &mut Stream<TcpStream>) -> HandlerResult {
                let mut line = String::new();
                request.read_line(&mut line)?;
                Ok(Flow::Close)
            }
            fn finish(&mut self, _: &mut Stream<TcpStream>, _: End) -> HandlerResult<()> {
                match self.at {
                    b'2' => Err("finish, on purpose".into()),
                    b'3' => panic!("finish, on purpose"),
                    _ => Ok(()),
                }
            }
        }
        let (tell, told) = channel::<String>();
        let server = Builder::<Tcp, D, _>::new(Fails::default)
            .max_connections(1)
            .on_error(move |error, _| tell.send(error.to_string()).unwrap())
            .start();
        let expected = [
            "setup: setup, on purpose",
            "setup: panicked: setup, on purpose",
            "finish: finish, on purpose",
            "finish: panicked: finish, on purpose",
        ];
        for (at, expected) in expected.iter().enumerate() {
            let mut client = connect(server.local_addr());
            client.write_all(format!("{at}\n").as_bytes()).unwrap();
            assert_eq!(read_rest(&client), b"");
            assert_eq!(told.recv().unwrap(), *expected);
        }
        becomes("places taken", &0, || server.stats().active);
        let report = server.stop();
        assert_eq!(report.accepted, 4, "{report}");
    }
}

/// Who has been idle longest is told apart by the millisecond.
fn a_moment_later() {
    let now = Instant::now();
    eventually("five milliseconds", || now.elapsed() > Duration::from_millis(5));
}

/// Where connections wait without a thread, the longest idle one makes room.
macro_rules! sheds {
    ($($name:ident: $dispatch:ty,)*) => {$(
        #[test]
        fn $name() {
            let server = Builder::<Tcp, $dispatch, _>::new(function(echo_line))
                .max_connections(3)
                .at_limit(AtLimit::ShedIdle)
                .start();
            let address = server.local_addr();
            let mut clients: Vec<TcpStream> = (0..3).map(|_| connect(address)).collect();
            for client in &mut clients {
                assert_eq!(ask(client, "here"), "here");
                a_moment_later();
            }
            // The first has been heard of last: now the second is idle longest.
            assert_eq!(ask(&clients[0], "again"), "again");
            let mut fourth = connect(address);
            assert_eq!(ask(&fourth, "fourth"), "fourth");
            assert_eq!(read_rest(&clients[1]), b"");
            a_moment_later();
            // The third speaks before its turn has come: then it is the first's, whatever an earlier look has found.
            assert_eq!(ask(&clients[2], "again"), "again");
            let mut fifth = connect(address);
            assert_eq!(ask(&fifth, "fifth"), "fifth");
            assert_eq!(read_rest(&clients[0]), b"");
            for client in [&mut clients[2], &mut fourth, &mut fifth] {
                assert_eq!(ask(client, "still"), "still");
            }
            assert_eq!(server.seen.ended(End::Shed), 2);
            let report = server.stop();
            assert_eq!((report.accepted, report.refused), (5, 0), "{report}");
        }
    )*};
}

sheds! {
    the_longest_idle_makes_room_under_sync: socketserver::Sync,
    the_longest_idle_makes_room_under_pool: socketserver::Pool,
}

/// Echoes lines; for "wait" it says that it has begun, and goes on when it is told.
fn waits_when_told()
-> (impl Fn(&mut Stream<TcpStream>) -> HandlerResult + Send + Sync + 'static, mpsc::Receiver<()>, mpsc::Sender<()>) {
    let (start, started) = mpsc::channel();
    let (goes_on, go_on) = mpsc::channel::<()>();
    let (start, go_on) = (Mutex::new(start), Mutex::new(go_on));
    let handler = move |request: &mut Stream<TcpStream>| {
        if request.buffered() == b"wait\n" {
            start.lock().unwrap().send(())?;
            go_on.lock().unwrap().recv_timeout(PATIENCE)?;
        }
        echo_line(request)
    };
    (handler, started, goes_on)
}

/// A message that has come, but that a busy server has not taken in yet: its client is not idle.
#[test]
fn who_has_spoken_meanwhile_is_not_idle() {
    let (handler, started, goes_on) = waits_when_told();
    let server = Builder::<Tcp, socketserver::Sync, _>::new(function(handler))
        .max_connections(2)
        .at_limit(AtLimit::ShedIdle)
        .start();
    let mut longest_idle = connect(server.local_addr());
    assert_eq!(ask(&longest_idle, "here"), "here");
    a_moment_later();
    let mut busy = connect(server.local_addr());
    busy.write_all(b"wait\n").unwrap();
    started.recv_timeout(PATIENCE).unwrap();
    longest_idle.write_all(b"spoken\n").unwrap();
    let third = connect(server.local_addr());
    goes_on.send(()).unwrap();
    assert_eq!(ask(&third, "third"), "third");
    assert_eq!(read_line(&longest_idle), "spoken");
    assert_eq!(ask(&longest_idle, "still"), "still");
    assert_eq!(read_rest(&busy), b"wait\n", "the one that was idle");
    let report = server.stop();
    assert_eq!((report.accepted, report.refused), (3, 0), "{report}");
}

/// Nobody is idle when the new client comes; one of those inside is when it has been served.
#[test]
fn somebody_who_becomes_idle_later_makes_room_too() {
    let (handler, started, goes_on) = waits_when_told();
    let server = Builder::<Tcp, socketserver::Pool, _>::new(function(handler))
        .dispatch(socketserver::Pool::new(4))
        .max_connections(1)
        .at_limit(AtLimit::ShedIdle)
        .start();
    let mut busy = connect(server.local_addr());
    busy.write_all(b"wait\n").unwrap();
    started.recv_timeout(PATIENCE).unwrap();
    let mut late = connect(server.local_addr());
    late.write_all(b"late\n").unwrap();
    assert_eq!(server.seen.starts(), 1);
    goes_on.send(()).unwrap();
    assert_eq!(read_line(&busy), "wait");
    assert_eq!(read_line(&late), "late");
    assert_eq!(read_rest(&busy), b"");
    let report = server.stop();
    assert_eq!(report.seen.ended(End::Shed), 1);
    assert_eq!((report.accepted, report.refused), (2, 0), "{report}");
}

#[test]
fn threads_are_limited_exactly() {
    let inside = Inside::default();
    let counted = inside.clone();
    let server = Builder::<Tcp, socketserver::ThreadPerRequest, _>::new(move || Counted(counted.clone()))
        .dispatch(socketserver::ThreadPerRequest::default().max_threads(2))
        .start();
    race(server.local_addr(), 2);
    let report = server.stop();
    let most = inside.most.get();
    assert!((1..=2).contains(&most), "{most} inside");
    assert_eq!(report.accepted, 2 * RACERS as u64);
}
