//! The pool keeps its promises: handlers that block delay nobody else, rayon works in handlers, panics cost no worker.

mod common;

use std::collections::HashSet;
use std::io::BufRead;
use std::io::Write;
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::Condvar;
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::time::Duration;

use common::PATIENCE;
use common::Start;
use common::ask;
use common::connect;
use common::read_line;
use socketserver::Builder;
use socketserver::Event;
use socketserver::Flow;
use socketserver::Pool;
use socketserver::Stream;
use socketserver::Tcp;
use socketserver::handler::function;

/// The line that has arrived, without its newline.
fn line(request: &mut Stream<TcpStream>) -> std::io::Result<String> {
    let mut line = String::new();
    request.read_line(&mut line)?;
    Ok(line.trim_end().to_owned())
}

/// Holds handlers until it is opened.
#[derive(Default)]
struct Gate {
    open: Mutex<bool>,
    opened: Condvar,
    inside: AtomicUsize,
}

impl Gate {
    fn pass(&self) {
        self.inside.fetch_add(1, Ordering::SeqCst);
        let open = self.opened.wait_timeout_while(self.open.lock().unwrap(), PATIENCE, |open| !*open).unwrap();
        assert!(!open.1.timed_out(), "the gate was never opened");
        self.inside.fetch_sub(1, Ordering::SeqCst);
    }

    fn open(&self) {
        *self.open.lock().unwrap() = true;
        self.opened.notify_all();
    }
}

#[test]
fn more_blocking_connections_than_workers_leave_the_quick_ones_alone() {
    const WORKERS: usize = 4;
    const SLOW: usize = 6;
    let gate = Arc::new(Gate::default());
    let found_slow = Arc::new(AtomicUsize::new(0));
    let handler = {
        let gate = Arc::clone(&gate);
        function(move |request: &mut Stream<TcpStream>| {
            let line = line(request)?;
            match line.as_str() {
                // What is tested here is a handler that blocks, and this is one.
                "nap" => std::thread::sleep(Duration::from_millis(200)),
                "hold" => gate.pass(),
                _ => {}
            }
            writeln!(request, "{line}")?;
            Ok(Flow::Continue)
        })
    };
    let found = Arc::clone(&found_slow);
    let server = Builder::<Tcp, Pool, _>::new(handler)
        .dispatch(Pool::new(WORKERS).max_threads(WORKERS))
        .observed(move |event: &Event<'_>| {
            if let Event::Slow { .. } = event {
                found.fetch_add(1, Ordering::SeqCst);
            }
        })
        .start();
    let address = server.local_addr();

    let slow: Vec<_> = (0..SLOW).map(|_| connect(address)).collect();
    for client in &slow {
        assert_eq!(ask(client, "nap"), "nap");
    }
    // All six are known to be slow. Now they block for as long as they like.
    for mut client in &slow {
        client.write_all(b"hold\n").unwrap();
    }
    common::eventually("the slow ones are inside", || gate.inside.load(Ordering::SeqCst) > 0);
    let quick = connect(address);
    for number in 0..200 {
        let text = number.to_string();
        assert_eq!(ask(&quick, &text), text);
    }
    assert!(gate.inside.load(Ordering::SeqCst) < WORKERS, "slow connections have taken all workers");
    gate.open();
    for client in &slow {
        assert_eq!(read_line(client), "hold");
    }
    assert!(found_slow.load(Ordering::SeqCst) > 0, "no event has told of a slow handler");
    let report = server.stop();
    assert_eq!(report.forced, 0, "{report}");
}

#[test]
fn a_handler_that_computes_leaves_the_others_to_another_worker() {
    let done = Arc::new(AtomicBool::new(false));
    let handler = {
        let done = Arc::clone(&done);
        function(move |request: &mut Stream<TcpStream>| {
            let line = line(request)?;
            while line == "compute" && !done.load(Ordering::SeqCst) {
                std::hint::spin_loop();
            }
            writeln!(request, "{line}")?;
            Ok(Flow::Continue)
        })
    };
    let server = Builder::<Tcp, Pool, _>::new(handler).dispatch(Pool::new(4)).start();
    let computing = connect(server.local_addr());
    let quick = connect(server.local_addr());
    for _ in 0..3 {
        (&computing).write_all(b"compute\n").unwrap();
        for number in 0..100 {
            assert_eq!(ask(&quick, &number.to_string()), number.to_string());
        }
        done.store(true, Ordering::SeqCst);
        assert_eq!(read_line(&computing), "compute");
        done.store(false, Ordering::SeqCst);
    }
    server.stop();
}

#[test]
fn slow_work_that_waits_keeps_its_order() {
    let order = Arc::new(Mutex::new(Vec::new()));
    let gate = Arc::new(Gate::default());
    let handler = {
        let (order, gate) = (Arc::clone(&order), Arc::clone(&gate));
        function(move |request: &mut Stream<TcpStream>| {
            let line = line(request)?;
            if line == "nap" {
                std::thread::sleep(Duration::from_millis(200));
            } else if line == "hold" {
                gate.pass();
            } else {
                order.lock().unwrap().push(line.clone());
            }
            writeln!(request, "{line}")?;
            Ok(Flow::Continue)
        })
    };
    // One worker may be slow, the other not.
    let server = Builder::<Tcp, Pool, _>::new(handler).dispatch(Pool::new(2).max_threads(2)).start();
    let address = server.local_addr();
    let slow: Vec<_> = (0..4).map(|_| connect(address)).collect();
    let quick = connect(address);
    for client in &slow {
        assert_eq!(ask(client, "nap"), "nap");
    }
    (&slow[0]).write_all(b"hold\n").unwrap();
    common::eventually("the first is inside", || gate.inside.load(Ordering::SeqCst) == 1);
    for (number, mut client) in slow.iter().enumerate().skip(1) {
        client.write_all(format!("{number}\n").as_bytes()).unwrap();
        // An answer to a quick one means that the event of the slow one has been taken in: events come in order.
        assert_eq!(ask(&quick, "quick"), "quick");
    }
    gate.open();
    for (number, client) in slow.iter().enumerate().skip(1) {
        assert_eq!(read_line(client), number.to_string());
    }
    let order: Vec<_> = order.lock().unwrap().iter().filter(|line| *line != "quick").cloned().collect();
    assert_eq!(order, ["1", "2", "3"]);
    server.stop();
}

#[test]
fn rayon_in_handlers_ends_and_runs_no_other_handler_inside() {
    let lock = Arc::new(Mutex::new(()));
    let spawned = Arc::new(AtomicUsize::new(0));
    let own_pool = Arc::new(rayon::ThreadPoolBuilder::new().num_threads(2).build().unwrap());
    let handler = {
        let (lock, spawned, own_pool) = (Arc::clone(&lock), Arc::clone(&spawned), Arc::clone(&own_pool));
        function(move |request: &mut Stream<TcpStream>| {
            let text = line(request)?;
            // A handler that ran inside this one, on this thread, would wait for this lock for ever.
            let held = lock.lock().unwrap();
            let here = std::thread::current().id();
            let (left, right) = rayon::join(|| std::thread::current().id(), || std::thread::current().id());
            let elsewhere = own_pool.install(|| rayon::join(|| 20, || 22));
            let spawned = Arc::clone(&spawned);
            rayon::spawn(move || {
                spawned.fetch_add(1, Ordering::SeqCst);
            });
            drop(held);
            assert_eq!((left, right), (here, here), "documented: on the handler's own thread");
            writeln!(request, "{text} {}", elsewhere.0 + elsewhere.1)?;
            Ok(Flow::Continue)
        })
    };
    let server = Builder::<Tcp, Pool, _>::new(handler).dispatch(Pool::new(4)).start();
    let address = server.local_addr();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let client = connect(address);
                for _ in 0..20 {
                    assert_eq!(ask(&client, "sum"), "sum 42");
                }
            });
        }
    });
    common::eventually("what was spawned has run", || spawned.load(Ordering::SeqCst) == 160);
    server.stop();
}

#[test]
fn panics_never_shrink_the_pool() {
    const WORKERS: usize = 3;
    let names = Arc::new(Mutex::new(HashSet::new()));
    let meet = Arc::new(std::sync::Barrier::new(WORKERS));
    let handler = {
        let (names, meet) = (Arc::clone(&names), Arc::clone(&meet));
        function(move |request: &mut Stream<TcpStream>| {
            let line = line(request)?;
            match line.as_str() {
                "panic" => panic!("on purpose"),
                "meet" => {
                    let name = std::thread::current().name().unwrap_or_default().to_owned();
                    names.lock().unwrap().insert(name);
                    meet.wait();
                }
                _ => {}
            }
            writeln!(request, "{line}")?;
            Ok(Flow::Continue)
        })
    };
    let server = Builder::<Tcp, Pool, _>::new(handler).dispatch(Pool::new(WORKERS).max_threads(WORKERS)).start();
    let address = server.local_addr();
    for _ in 0..20 {
        let mut client = connect(address);
        client.write_all(b"panic\n").unwrap();
        assert_eq!(read_line(&client), "", "closed");
    }
    // Only as many workers as there were can meet.
    let clients: Vec<_> = (0..WORKERS).map(|_| connect(address)).collect();
    for mut client in &clients {
        client.write_all(b"meet\n").unwrap();
    }
    for client in &clients {
        assert_eq!(read_line(client), "meet");
    }
    assert_eq!(*names.lock().unwrap(), (0..WORKERS).map(|index| format!("worker-{index}")).collect());
    let report = server.stop();
    assert_eq!(report.failed, 20, "{report}");
}
