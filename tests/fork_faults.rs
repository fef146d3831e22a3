//! What happens to children from outside, and to the server while they live: each end is told once, no place is lost,
//! nobody is left.
//!
//! The server is this very program, started again, because it must have one thread.

#[cfg(target_os = "linux")]
mod common;

fn main() {
    #[cfg(target_os = "linux")]
    linux::main();
}

#[cfg(target_os = "linux")]
mod linux {
    use crate::cases;
    use crate::common::PATIENCE;
    use crate::common::ask;
    use crate::common::becomes;
    use crate::common::cases;
    use crate::common::children;
    use crate::common::connect;
    use crate::common::eventually;
    use crate::common::example::Example;
    use crate::common::processor_time;
    use crate::common::read_line;
    use crate::common::read_rest;
    use rustix::process::Pid;
    use rustix::process::Resource;
    use rustix::process::Rlimit;
    use rustix::process::Signal;
    use rustix::process::getrlimit;
    use rustix::process::kill_process;
    use rustix::process::setrlimit;
    use socketserver::Builder;
    use socketserver::Event;
    use socketserver::Flow;
    use socketserver::Fork;
    use socketserver::HandlerResult;
    use socketserver::Stream;
    use socketserver::Tcp;
    use socketserver::handler::function;
    use std::cell::Cell;
    use std::collections::HashSet;
    use std::io::BufRead;
    use std::io::Write;
    use std::net::SocketAddr;
    use std::net::TcpListener;
    use std::net::TcpStream;
    use std::process::ExitStatus;
    use std::sync::Barrier;
    use std::sync::Mutex;
    use std::time::Duration;
    use std::time::Instant;

    /// How many children there may be in the server of these tests.
    const CHILDREN: usize = 7;

    const DRAIN: Duration = Duration::from_millis(300);

    pub(crate) fn main() {
        if let Some(how) = cases::started_again("--serve") {
            return match how[0].as_str() {
                "plain" => serve(Short::Nothing, DRAIN, None),
                "short-of-descriptors" => serve(Short::Descriptors, DRAIN, None),
                "short-of-processes" => serve(Short::Processes, DRAIN, None),
                "short-of-time" => serve(Short::Nothing, PATIENCE, Some(Duration::from_secs(2))),
                other => panic!("--serve {other}"),
            };
        }
        cases::run(cases![
            killed_from_outside,
            crashes,
            short_connections_leave_no_zombie,
            a_killed_server_holds_no_port,
            a_race_of_forty_has_exactly_so_many_children,
            a_fork_that_is_refused_costs_one_request,
            children_without_descriptors_are_collected,
            stop_with_a_stopped_child,
            stop_while_children_end,
            a_child_that_takes_too_long_is_killed_in_a_drain,
        ])
    }

    /// Answers with its process ID, and then with what comes, unless it says to end otherwise.
    fn answer(request: &mut Stream<TcpStream>) -> HandlerResult {
        writeln!(request, "{}", std::process::id())?;
        loop {
            let mut line = String::new();
            request.read_line(&mut line)?;
            match line.as_str() {
                "" => return Ok(Flow::Close),
                "abort\n" => std::process::abort(),
                "overflow\n" => {
                    let depth = overflow(0);
                    writeln!(request, "{depth}")?;
                }
                // The first one finds the handler of the standard library, which takes itself out.
                "segv\n" => loop {
                    kill_process(rustix::process::getpid(), Signal::SEGV)?;
                },
                _ => request.write_all(line.as_bytes())?,
            }
        }
    }

    /// The crash that needs no `unsafe`.
    #[allow(unconditional_recursion, reason = "on purpose")]
    fn overflow(depth: u64) -> u64 {
        std::hint::black_box(overflow(std::hint::black_box(depth + 1))) + 1
    }

    /// What the server has too little of.
    #[derive(Clone, Copy, Eq, PartialEq)]
    enum Short {
        Nothing,
        /// From each connection's start to its child's end.
        Descriptors,
        /// From its start until it has refused [`REFUSED`].
        Processes,
    }

    /// More than there are places.
    const REFUSED: usize = 2 * CHILDREN;

    fn limit(resource: Resource, most: Option<u64>) {
        setrlimit(resource, Rlimit { current: most, ..getrlimit(resource) }).expect("setrlimit");
    }

    /// The server: tells of each child that has ended on standard output.
    fn serve(short: Short, drain: Duration, child: Option<Duration>) {
        let refused = Cell::new(0);
        let processes = getrlimit(Resource::Nproc).current;
        let server = Builder::<Tcp, Fork, _>::new(function(answer))
            .dispatch(Fork::default().max_children(CHILDREN).child_timeout(child))
            .drain_timeout(drain)
            .speaking_first()
            .observed(move |event: &Event<'_>| match event {
                Event::Start { .. } if short == Short::Descriptors => limit(Resource::Nofile, Some(3)),
                Event::ChildExit { pid, code, signal } => {
                    if short == Short::Descriptors {
                        limit(Resource::Nofile, Some(256));
                    }
                    println!("exit {pid} {code:?} {signal:?}");
                }
                Event::Refused { reason } => {
                    refused.set(refused.get() + 1);
                    if refused.get() == REFUSED {
                        limit(Resource::Nproc, processes);
                    }
                    println!("refused {reason:?}");
                }
                _ => {}
            })
            .bind("127.0.0.1:0")
            .expect("bind");
        let _signals = socketserver::signals::stop_on_signals(server.stop_handle()).expect("signals");
        println!("listening on {}", server.local_addr());
        if short == Short::Processes {
            limit(Resource::Nproc, Some(1));
        }
        let report = server.serve_forever().expect("serve");
        eprintln!("{report}");
    }

    fn start(how: &str) -> Example {
        Example::start_after("ulimit -c 0", &std::env::current_exe().expect("current_exe"), &["--serve", how])
    }

    /// A client that is being served, and the process that serves it.
    fn served(address: SocketAddr) -> (TcpStream, u32) {
        let client = connect(address);
        let pid = read_line(&client).parse().expect("a process ID");
        (client, pid)
    }

    fn kill(pid: u32, signal: Signal) {
        kill_process(Pid::from_raw(pid.cast_signed()).expect("a process ID"), signal).expect("kill");
    }

    fn told(pid: u32, code: Option<i32>, signal: Option<i32>) -> String {
        format!("exit {pid} {code:?} {signal:?}\n")
    }

    fn stops_cleanly(server: Example, report: &str) {
        ended_cleanly(server.stop(), report);
    }

    fn ended_cleanly((status, said): (ExitStatus, String), report: &str) {
        assert_eq!(status.code(), Some(0), "{said}");
        // What crashing children have said comes before it.
        assert!(said.lines().last().is_some_and(|line| line.starts_with(report)), "{said}");
    }

    fn killed_from_outside() {
        let mut server = start("plain");
        let signals = [(Signal::KILL, libc::SIGKILL), (Signal::TERM, libc::SIGTERM), (Signal::USR1, libc::SIGUSR1)];
        // More than there are places: each is given back.
        for round in 0..10 {
            let (signal, number) = signals[round % 3];
            let (client, pid) = served(server.socket_address());
            let (other, its_child) = served(server.socket_address());
            kill(pid, signal);
            assert_eq!(server.line(), told(pid, None, Some(number)));
            assert_eq!(read_rest(client), b"");
            assert_eq!(ask(&other, "still there"), "still there");
            drop(other);
            assert_eq!(server.line(), told(its_child, Some(0), None));
        }
        stops_cleanly(server, "20 accepted: 10 finished, 0 idle closed, 0 forced (0 abandoned), 0 refused, 10 failed");
    }

    fn crashes() {
        let mut server = start("plain");
        let crashes = [("abort", libc::SIGABRT), ("overflow", libc::SIGABRT), ("segv", libc::SIGSEGV)];
        for (crash, signal) in crashes.iter().cycle().take(12) {
            let (client, pid) = served(server.socket_address());
            assert_eq!(ask(&client, crash), "");
            assert_eq!(server.line(), told(pid, None, Some(*signal)));
        }
        let (client, pid) = served(server.socket_address());
        assert_eq!(ask(&client, "still there"), "still there");
        drop(client);
        assert_eq!(server.line(), told(pid, Some(0), None));
        stops_cleanly(server, "13 accepted: 1 finished, 0 idle closed, 0 forced (0 abandoned), 0 refused, 12 failed");
    }

    fn short_connections_leave_no_zombie() {
        const CLIENTS: usize = 10;
        const EACH: usize = 50;
        let mut server = start("plain");
        let address = server.socket_address();
        std::thread::scope(|scope| {
            for _ in 0..CLIENTS {
                scope.spawn(move || {
                    for _ in 0..EACH {
                        let (client, _) = served(address);
                        assert_eq!(ask(&client, "hello"), "hello");
                    }
                });
            }
        });
        let mut pids = HashSet::new();
        for _ in 0..CLIENTS * EACH {
            let line = server.line();
            assert!(line.ends_with(" Some(0) None\n"), "{line}");
            assert!(pids.insert(line.clone()), "told twice: {line}");
        }
        // Nobody tells of another: what there is now, is left.
        assert_eq!(children(server.pid()), []);
        stops_cleanly(server, "500 accepted: 500 finished, 0 idle closed, 0 forced");
    }

    fn a_killed_server_holds_no_port() {
        let server = start("plain");
        let address = server.socket_address();
        let clients: Vec<_> = (0..5).map(|_| served(address)).collect();
        kill(server.pid(), Signal::KILL);
        drop(server);
        // Nobody listens there, and the port is to be had, although the children go on.
        TcpStream::connect(address).expect_err("nobody listens");
        let next = TcpListener::bind(address).expect("the port is free");
        for (client, pid) in &clients {
            assert_eq!(ask(client, "still there"), "still there");
            assert!(std::fs::exists(format!("/proc/{pid}")).expect("/proc"));
        }
        // Who connects from here on is the next server's.
        let client = connect(address);
        let (accepted, peer) = next.accept().expect("accept");
        assert_eq!(peer, client.local_addr().expect("local_addr"));
        drop(accepted);
        for (client, pid) in clients {
            drop(client);
            // Their parent is init now, or whoever takes its place.
            let stat = format!("/proc/{pid}/stat");
            eventually("the child ends with its client", || {
                std::fs::read_to_string(&stat).map_or(true, |stat| stat.contains(") Z "))
            });
        }
    }

    fn a_race_of_forty_has_exactly_so_many_children() {
        const RACERS: usize = 40;
        let server = start("plain");
        let (address, parent) = (server.socket_address(), server.pid());
        let start = Barrier::new(RACERS);
        let inside = Mutex::new(Vec::new());
        let most = || children(parent).iter().filter(|(_, state)| *state != 'Z').count();
        std::thread::scope(|scope| {
            for _ in 0..RACERS {
                let (start, inside) = (&start, &inside);
                scope.spawn(move || {
                    start.wait();
                    let client = connect(address);
                    let pid = read_line(&client);
                    inside.lock().expect("no panic").push((client, pid));
                });
            }
            // They come in as others leave: never more than allowed, and never fewer while some wait.
            let mut served = 0;
            while served < RACERS {
                let waiting = RACERS - served;
                eventually("as many as are allowed", || {
                    inside.lock().expect("no panic").len() == waiting.min(CHILDREN)
                });
                assert!(most() <= CHILDREN);
                becomes("children", &waiting.min(CHILDREN), most);
                let (client, _) = inside.lock().expect("no panic").swap_remove(0);
                served += 1;
                drop(client);
            }
        });
        becomes("children", &Vec::new(), || children(parent));
        stops_cleanly(server, "40 accepted: 40 finished, 0 idle closed, 0 forced");
    }

    fn a_fork_that_is_refused_costs_one_request() {
        let program = std::env::current_exe().expect("current_exe");
        let mut server = Example::start_unprivileged(&program, &["--serve", "short-of-processes"]);
        for _ in 0..REFUSED {
            assert_eq!(read_rest(connect(server.socket_address())), b"");
            assert_eq!(server.line(), "refused Rejected\n");
        }
        let (client, pid) = served(server.socket_address());
        assert_eq!(ask(&client, "hello"), "hello");
        drop(client);
        assert_eq!(server.line(), told(pid, Some(0), None));
        stops_cleanly(server, "15 accepted: 1 finished, 0 idle closed, 0 forced (0 abandoned), 14 refused, 0 failed");
    }

    fn children_without_descriptors_are_collected() {
        let mut server = start("short-of-descriptors");
        for _ in 0..2 * CHILDREN {
            let (client, pid) = served(server.socket_address());
            assert_eq!(ask(&client, "hello"), "hello");
            drop(client);
            assert_eq!(server.line(), told(pid, Some(0), None));
        }
        assert_eq!(children(server.pid()), []);
        stops_cleanly(server, "14 accepted: 14 finished, 0 idle closed, 0 forced");
    }

    fn stop_with_a_stopped_child() {
        let mut server = start("plain");
        let (client, pid) = served(server.socket_address());
        kill(pid, Signal::STOP);
        becomes("its state", &vec![(pid, 'T')], || children(server.pid()));
        kill(server.pid(), Signal::TERM);
        let begun = Instant::now();
        assert_eq!(server.line(), told(pid, None, Some(libc::SIGKILL)));
        println!("stopped {:?} after the deadline", begun.elapsed().saturating_sub(DRAIN));
        assert!(begun.elapsed() < DRAIN + Duration::from_secs(5), "{:?}", begun.elapsed());
        assert_eq!(read_rest(client), b"");
        ended_cleanly(server.wait(), "1 accepted: 0 finished, 0 idle closed, 1 forced");
    }

    /// The server does not spin until then, either.
    fn a_child_that_takes_too_long_is_killed_in_a_drain() {
        let mut server = start("short-of-time");
        let (client, pid) = served(server.socket_address());
        kill(pid, Signal::STOP);
        let (before, begun) = (processor_time(server.pid()), Instant::now());
        kill(server.pid(), Signal::TERM);
        assert_eq!(server.line(), told(pid, None, Some(libc::SIGKILL)));
        // It may be a zombie by now, whose figures can still be read.
        let used = processor_time(server.pid()) - before;
        assert!(begun.elapsed() < PATIENCE / 2, "only the end of the drain has killed it");
        assert!(used < begun.elapsed() / 4, "{used:?} of processor time in {:?}", begun.elapsed());
        assert_eq!(read_rest(client), b"");
        // It ends by itself; another signal might find it where signals are not waited for any more.
        ended_cleanly(
            server.wait(),
            "1 accepted: 0 finished, 0 idle closed, 0 forced (0 abandoned), 0 refused, 1 failed",
        );
    }

    /// Children end by themselves, by a signal, and at the stop, all at the same moment.
    fn stop_while_children_end() {
        for round in 0..10 {
            let server = start("plain");
            let clients: Vec<_> = (0..CHILDREN).map(|_| served(server.socket_address())).collect();
            for (number, (client, pid)) in clients.into_iter().enumerate() {
                match (number + round) % 3 {
                    0 => drop(client),
                    1 => kill(pid, Signal::KILL),
                    _ => {}
                }
            }
            let (status, said) = server.stop();
            assert_eq!(status.code(), Some(0), "{said}");
            assert!(said.starts_with("7 accepted: "), "{said}");
            let numbers: Vec<u64> = said.split(|c: char| !c.is_ascii_digit()).filter_map(|n| n.parse().ok()).collect();
            // accepted, finished, idle closed, forced, abandoned, refused, failed
            assert_eq!(numbers[0], numbers[1] + numbers[2] + numbers[3] + numbers[5] + numbers[6], "{said}");
        }
    }
}
