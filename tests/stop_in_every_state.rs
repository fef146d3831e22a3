//! Told to stop in whatever state it is, a server ends in time, with a report that adds up, under every dispatch.
//!
//! The server is this very program, started again, because `Fork` must have one thread.

#[cfg(target_os = "linux")]
mod common;

fn main() {
    #[cfg(target_os = "linux")]
    linux::main();
}

#[cfg(target_os = "linux")]
mod linux {
    use crate::common::ask;
    use crate::common::cases;
    use crate::common::connect;
    use crate::common::example::Example;
    use socketserver::Builder;
    use socketserver::Event;
    use socketserver::Flow;
    use socketserver::Fork;
    use socketserver::HandlerResult;
    use socketserver::Pool;
    use socketserver::Stream;
    use socketserver::Sync;
    use socketserver::Tcp;
    use socketserver::ThreadPerRequest;
    use socketserver::dispatch::Job;
    use socketserver::dispatch::Process;
    use socketserver::handler::Function;
    use socketserver::handler::Observed;
    use socketserver::handler::function;
    use std::io::BufRead;
    use std::io::Write;
    use std::net::TcpStream;
    use std::time::Duration;
    use std::time::Instant;

    /// What busy connections have after the stop.
    const DRAIN: Duration = Duration::from_millis(300);

    /// The default, which nothing that waits for its peer uses up.
    const PATIENT: Duration = Duration::from_secs(15);

    /// Promised are 100 ms after the deadline; the rest is for a machine that does other things.
    const MARGIN: Duration = Duration::from_secs(5);

    const DISPATCHES: [&str; 4] = ["sync", "threads", "pool", "fork"];

    pub(crate) fn main() {
        if let Some([dispatch, drain, limit]) = cases::started_again("--serve").as_deref() {
            let drain = Duration::from_millis(drain.parse().expect("milliseconds"));
            let limit = limit.parse().expect("a number");
            return match dispatch.as_str() {
                "sync" => serve(Sync, drain, limit),
                "threads" => serve(ThreadPerRequest::default(), drain, limit),
                "pool" => serve(Pool::new(4), drain, limit),
                "fork" => serve(Fork::default(), drain, limit),
                other => panic!("--serve {other}"),
            };
        }
        let in_each = STATES.iter().flat_map(|state| DISPATCHES.map(|dispatch| (state, dispatch)));
        let cases = in_each
            .filter(|(state, dispatch)| !state.not_under.contains(dispatch))
            .map(|(state, dispatch)| cases::case(format!("{}::{dispatch}", state.name), || stop_in(state, dispatch)));
        cases::run(cases.collect())
    }

    type Answer = fn(&mut Stream<TcpStream>) -> HandlerResult;
    type Observer = fn(&Event<'_>);

    fn answer(request: &mut Stream<TcpStream>) -> HandlerResult {
        if !request.buffered().contains(&b'\n') {
            // Half a line waits for its other half.
            return Ok(Flow::Continue);
        }
        let mut line = String::new();
        request.read_line(&mut line)?;
        request.write_all(line.as_bytes())?;
        match line.as_str() {
            "read\n" => {
                request.read_line(&mut line)?;
            }
            "write\n" => loop {
                request.write_all(&[b'x'; 64 << 10])?;
            },
            "compute\n" => loop {
                std::hint::spin_loop();
            },
            "sleep\n" => std::thread::sleep(Duration::from_secs(3600)),
            "close\n" => return Ok(Flow::Close),
            _ => {}
        }
        Ok(Flow::Continue)
    }

    /// Tells on standard output whom it has accepted, and when it can accept no more.
    fn tell(event: &Event<'_>) {
        match event {
            Event::Start { .. } => println!("start"),
            Event::AcceptFailing { .. } => println!("failing"),
            _ => {}
        }
    }

    fn serve<D: Process<Job<Tcp, Observed<Function<Answer>, Observer>>> + Default>(
        dispatch: D,
        drain: Duration,
        limit: usize,
    ) {
        let server = Builder::<Tcp, D, _>::new(function(answer as Answer))
            .dispatch(dispatch)
            .drain_timeout(drain)
            .max_connections(limit)
            .linger(Duration::from_secs(60), usize::MAX)
            .observed(tell as Observer)
            .bind("127.0.0.1:0")
            .expect("bind");
        let _signals = socketserver::signals::stop_on_signals(server.stop_handle()).expect("signals");
        println!("listening on {}", server.local_addr());
        let report = server.serve_forever().expect("serve");
        let ended = report.finished + report.idle_closed + report.forced + report.refused + report.failed;
        assert_eq!(report.accepted, ended, "{report}");
        eprintln!("{} forced of {report}", report.forced);
    }

    /// A state to be stopped in.
    struct State {
        name: &'static str,
        /// What a shell does before the server starts.
        before: &'static str,
        drain: Duration,
        limit: usize,
        /// How many of the clients are cut off.
        forced: u64,
        not_under: &'static [&'static str],
        /// Brings the server there.
        reach: fn(&mut Example) -> Vec<TcpStream>,
    }

    /// Nobody there, and nothing that needs the deadline.
    const QUIET: State = State {
        name: "idle",
        before: ":",
        drain: PATIENT,
        limit: 1000,
        forced: 0,
        not_under: &[],
        reach: |_| Vec::new(),
    };

    /// One client whose handler does not return.
    const BUSY: State = State { drain: DRAIN, forced: 1, ..QUIET };

    const STATES: &[State] = &[
        QUIET,
        State { name: "silent", reach: |server| silent(server, 5), ..QUIET },
        State { name: "parked", reach: |server| parked(server, 5), ..QUIET },
        State {
            name: "half_a_message",
            reach: |server| {
                let clients = parked(server, 3);
                clients.iter().for_each(|mut client| client.write_all(b"half a li").expect("send"));
                clients
            },
            ..QUIET
        },
        State {
            name: "lingering",
            reach: |server| {
                let clients = parked(server, 3);
                clients.iter().for_each(|client| assert_eq!(ask(client, "close"), "close"));
                clients
            },
            ..QUIET
        },
        State { name: "reading", reach: |server| busy(server, "read"), ..BUSY },
        State { name: "writing", reach: |server| busy(server, "write"), ..BUSY },
        // The thread that computes is the one that would have to stop.
        State { name: "computing", reach: |server| busy(server, "compute"), not_under: &["sync"], ..BUSY },
        State { name: "sleeping", reach: |server| busy(server, "sleep"), not_under: &["sync"], ..BUSY },
        State {
            name: "at_the_limit",
            limit: 3,
            reach: |server| {
                let mut clients = parked(server, 3);
                clients.extend((0..5).map(|_| connect(server.socket_address())));
                clients
            },
            ..QUIET
        },
        State {
            name: "busy_at_the_limit",
            limit: 3,
            reach: |server| {
                let mut clients = parked(server, 2);
                clients.extend(busy(server, "read").into_iter().take(1));
                clients.extend((0..5).map(|_| connect(server.socket_address())));
                clients
            },
            // Its only thread comes to the idle ones when the deadline is over: they are forced, too.
            not_under: &["sync"],
            ..BUSY
        },
        State {
            name: "out_of_descriptors",
            before: "ulimit -n 40",
            reach: |server| {
                let clients = (0..60).map(|_| connect(server.socket_address())).collect();
                while server.line() != "failing\n" {}
                clients
            },
            // Children have their connections to themselves: the server does not run out.
            not_under: &["fork"],
            ..QUIET
        },
        State {
            name: "busy_and_out_of_descriptors",
            before: "ulimit -n 40",
            reach: |server| {
                let mut clients = parked(server, 1);
                clients.extend((0..60).map(|_| connect(server.socket_address())));
                while server.line() != "failing\n" {}
                assert_eq!(ask(&clients[0], "read"), "read");
                clients
            },
            not_under: &["fork", "sync"],
            ..BUSY
        },
    ];

    /// Accepted, and never heard of.
    fn silent(server: &mut Example, count: usize) -> Vec<TcpStream> {
        let clients = (0..count).map(|_| connect(server.socket_address())).collect();
        (0..count).for_each(|_| assert_eq!(server.line(), "start\n"));
        clients
    }

    /// Served once, and silent since.
    fn parked(server: &mut Example, count: usize) -> Vec<TcpStream> {
        let clients = silent(server, count);
        clients.iter().for_each(|client| assert_eq!(ask(client, "hello"), "hello"));
        clients
    }

    /// Some that are parked, and one whose handler does this and does not return.
    fn busy(server: &mut Example, what: &str) -> Vec<TcpStream> {
        let mut clients = silent(server, 1);
        assert_eq!(ask(&clients[0], what), what);
        // Under `Sync` nobody else is heard of from here on.
        clients.extend((0..3).map(|_| connect(server.socket_address())));
        clients
    }

    fn stop_in(state: &State, dispatch: &str) {
        let program = std::env::current_exe().expect("current_exe");
        let (drain, limit) = (state.drain.as_millis().to_string(), state.limit.to_string());
        let mut server = Example::start_after(state.before, &program, &["--serve", dispatch, &drain, &limit]);
        let clients = (state.reach)(&mut server);
        let begun = Instant::now();
        let (status, said) = server.stop();
        let took = begun.elapsed();
        assert_eq!(status.code(), Some(0), "{} under {dispatch}: {said}", state.name);
        let deadline = if state.forced > 0 { state.drain } else { Duration::ZERO };
        assert!(took < deadline + MARGIN, "{} under {dispatch}: {took:?}: {said}", state.name);
        assert!(said.starts_with(&format!("{} forced of ", state.forced)), "{} under {dispatch}: {said}", state.name);
        drop(clients);
    }
}
