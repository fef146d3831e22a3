//! Forty clients at the same moment: exactly as many are inside as are allowed, and each who leaves makes room for one.

#[macro_use]
mod common;

use std::net::TcpStream;
use std::sync::Barrier;
use std::sync::Mutex;

use common::Running;
use common::Start;
use common::ask;
use common::becomes;
use common::connect;
use common::echo::echo_line;
use common::eventually;
use socketserver::Builder;
use socketserver::Tcp;
use socketserver::ThreadPerRequest;
use socketserver::handler::function;

const RACERS: usize = 40;

/// All come at once, and stay until they are told to leave, one by one.
fn race(server: Running<Tcp>, allowed: usize) {
    let address = server.local_addr();
    let (barrier, inside) = (Barrier::new(RACERS), Mutex::new(Vec::<TcpStream>::new()));
    std::thread::scope(|scope| {
        for racer in 0..RACERS {
            let (barrier, inside) = (&barrier, &inside);
            scope.spawn(move || {
                barrier.wait();
                let client = connect(address);
                let line = format!("racer {racer}");
                assert_eq!(ask(&client, &line), line);
                inside.lock().unwrap().push(client);
            });
        }
        for waiting in (1..=RACERS).rev() {
            let expected = waiting.min(allowed);
            eventually("as many as are allowed", || inside.lock().unwrap().len() == expected);
            // Accepted is who is inside or has left: nobody beyond, however many wait.
            assert!(server.stats().accepted as usize <= RACERS - waiting + allowed, "{:?}", server.stats());
            becomes("requests", &expected, || server.stats().active);
            drop(inside.lock().unwrap().swap_remove(0));
        }
    });
    server.seen.wait_for_ends(RACERS);
    let report = server.stop();
    assert_eq!((report.accepted, report.finished), (RACERS as u64, RACERS as u64), "{report}");
}

under_each_dispatch! {
    fn connections<D>() {
        for allowed in [1, 7, 39] {
            race(Builder::<Tcp, D, _>::new(function(echo_line)).max_connections(allowed).start(), allowed);
        }
    }
}

#[test]
fn threads() {
    for allowed in [1, 7, 39] {
        let dispatch = ThreadPerRequest::default().max_threads(allowed);
        race(Builder::<Tcp, ThreadPerRequest, _>::new(function(echo_line)).dispatch(dispatch).start(), allowed);
    }
}
