//! Told to stop in whatever state it is, a server ends in time, with a report that adds up, under every dispatch, over TLS
//! as over TCP.
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
    use crate::common::cases::Trial;
    use crate::common::example::Example;
    use crate::common::streams::Streams;
    use socketserver::Builder;
    use socketserver::Event;
    use socketserver::Flow;
    use socketserver::Fork;
    use socketserver::HandlerResult;
    use socketserver::Pool;
    use socketserver::Socket;
    use socketserver::Stream;
    use socketserver::Sync;
    use socketserver::Tcp;
    use socketserver::ThreadPerRequest;
    use socketserver::Tls;
    use socketserver::Transport;
    use socketserver::UnixStream;
    use socketserver::dispatch::Job;
    use socketserver::dispatch::Process;
    use socketserver::handler::Function;
    use socketserver::handler::Observed;
    use socketserver::handler::function;
    use std::io::BufRead;
    use std::io::Write;
    use std::time::Duration;
    use std::time::Instant;

    /// What busy connections have after the stop.
    const DRAIN: Duration = Duration::from_millis(300);

    /// Which nothing that waits for its peer uses up, and no other wait either.
    const PATIENT: Duration = Duration::from_secs(600);

    /// Promised are 100 ms after the deadline; the rest is for a machine that does other things.
    const MARGIN: Duration = Duration::from_secs(60);

    const DISPATCHES: [&str; 4] = ["sync", "threads", "pool", "fork"];

    pub(crate) fn main() {
        if let Some([transport, dispatch, drain, limit]) = cases::started_again("--serve").as_deref() {
            let drain = Duration::from_millis(drain.parse().expect("milliseconds"));
            let limit = limit.parse().expect("a number");
            return match transport.as_str() {
                "tcp" => serve_under::<Tcp>(dispatch, drain, limit),
                "tls" => serve_under::<Tls<Tcp>>(dispatch, drain, limit),
                "tls_over_unix" => serve_under::<Tls<UnixStream>>(dispatch, drain, limit),
                other => panic!("--serve {other}"),
            };
        }
        let mut cases = in_each_state::<Tcp>("tcp");
        cases.extend(in_each_state::<Tls<Tcp>>("tls"));
        cases.extend(in_each_state::<Tls<UnixStream>>("tls_over_unix"));
        cases::run(cases)
    }

    fn in_each_state<T: Streams>(transport: &'static str) -> Vec<Trial> {
        let in_each = states::<T>().into_iter().flat_map(|state| DISPATCHES.map(|dispatch| (state.clone(), dispatch)));
        let cases = in_each.filter(|(state, dispatch)| !state.not_under.contains(dispatch)).map(|(state, dispatch)| {
            let name = format!("{}::{transport}::{dispatch}", state.name);
            cases::case(name, move || stop_in(&state, transport, dispatch))
        });
        cases.collect()
    }

    type Answer<T> = fn(&mut <T as Transport>::Request) -> HandlerResult;
    type Observer = fn(&Event<'_>);

    fn answer<S: Socket>(request: &mut Stream<S>) -> HandlerResult {
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
            "relay\n" => {
                let (other, far) = std::os::unix::net::UnixStream::pair()?;
                request.relay_to(other)?;
                // Neither says anything, nor ends.
                std::mem::forget(far);
                return Ok(Flow::Relay);
            }
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

    fn serve_under<T: Streams>(dispatch: &str, drain: Duration, limit: usize) {
        match dispatch {
            "sync" => serve::<T, _>(Sync, drain, limit),
            "threads" => serve::<T, _>(ThreadPerRequest::default(), drain, limit),
            "pool" => serve::<T, _>(Pool::new(4), drain, limit),
            "fork" => serve::<T, _>(Fork::default(), drain, limit),
            other => panic!("--serve {other}"),
        }
    }

    fn serve<T: Streams, D>(dispatch: D, drain: Duration, limit: usize)
    where
        D: Process<Job<T, Observed<Function<Answer<T>>, Observer>>> + Default,
    {
        let server = Builder::<T, D, _>::new(function(answer::<T::Socket> as Answer<T>))
            .dispatch(dispatch)
            .transport_options(T::options())
            .drain_timeout(drain)
            .max_connections(limit)
            .establish_timeout(PATIENT)
            .linger(PATIENT, usize::MAX)
            .observed(tell as Observer)
            .bind(T::place())
            .expect("bind");
        let _signals = socketserver::signals::stop_on_signals(server.stop_handle()).expect("signals");
        println!("listening on {}", server.local_addr());
        let report = server.serve_forever().expect("serve");
        let ended = report.finished + report.idle_closed + report.forced + report.refused + report.failed;
        assert_eq!(report.accepted, ended, "{report}");
        eprintln!("{} forced of {report}", report.forced);
    }

    /// A client, and whether it has said anything.
    enum Guest<T: Streams> {
        Silent(#[allow(dead_code, reason = "held")] T::Silent),
        Speaking(T::Client),
    }

    impl<T: Streams> Guest<T> {
        fn ask(&mut self, line: &str) -> String {
            let Self::Speaking(client) = self else { panic!("it does not speak") };
            ask(client, line)
        }
    }

    type Guests<T> = Vec<Guest<T>>;

    /// A state to be stopped in.
    struct State<T: Streams> {
        name: &'static str,
        /// What a shell does before the server starts.
        before: &'static str,
        drain: Duration,
        limit: usize,
        /// How many of the clients are cut off.
        forced: u64,
        not_under: &'static [&'static str],
        /// Brings the server there.
        reach: fn(&mut Example) -> Guests<T>,
    }

    impl<T: Streams> Clone for State<T> {
        fn clone(&self) -> Self {
            Self { ..*self }
        }
    }

    impl<T: Streams> State<T> {
        /// Nobody there, and nothing that needs the deadline.
        const QUIET: Self = Self {
            name: "idle",
            before: ":",
            drain: PATIENT,
            limit: 1000,
            forced: 0,
            not_under: &[],
            reach: |_| Vec::new(),
        };

        /// One client whose handler does not return.
        const BUSY: Self = Self { drain: DRAIN, forced: 1, ..Self::QUIET };
    }

    fn states<T: Streams>() -> Vec<State<T>> {
        let quiet = || State::<T>::QUIET;
        let busy = || State::<T>::BUSY;
        vec![
            quiet(),
            State { name: "silent", reach: |server| silent(server, 5), ..quiet() },
            State { name: "parked", reach: |server| parked(server, 5), ..quiet() },
            // Where there is a greeting, it is what its handler waits for; else they are merely silent.
            State {
                name: "half_a_greeting",
                reach: |server| {
                    let stammer = |guest| match guest {
                        Guest::Silent(silent) => Guest::Silent(T::stammer(silent)),
                        speaking => speaking,
                    };
                    silent(server, 3).into_iter().map(stammer).collect()
                },
                drain: DRAIN,
                forced: if T::GREETS { 3 } else { 0 },
                ..quiet()
            },
            State {
                name: "half_a_message",
                reach: |server| {
                    let mut guests: Guests<T> = parked(server, 3);
                    for guest in &mut guests {
                        let Guest::Speaking(client) = guest else { panic!("it does not speak") };
                        client.write_all(b"half a li").expect("send");
                    }
                    guests
                },
                ..quiet()
            },
            State {
                name: "lingering",
                reach: |server| {
                    let mut guests = parked(server, 3);
                    guests.iter_mut().for_each(|guest| assert_eq!(guest.ask("close"), "close"));
                    guests
                },
                ..quiet()
            },
            State { name: "reading", reach: |server| occupied(server, "read"), ..busy() },
            State { name: "writing", reach: |server| occupied(server, "write"), ..busy() },
            State { name: "relaying", reach: |server| occupied(server, "relay"), ..busy() },
            // The thread that computes is the one that would have to stop.
            State { name: "computing", reach: |server| occupied(server, "compute"), not_under: &["sync"], ..busy() },
            State { name: "sleeping", reach: |server| occupied(server, "sleep"), not_under: &["sync"], ..busy() },
            State {
                name: "at_the_limit",
                limit: 3,
                reach: |server| {
                    let mut guests = parked(server, 3);
                    guests.extend((0..5).map(|_| knock(server)));
                    guests
                },
                ..quiet()
            },
            State {
                name: "busy_at_the_limit",
                limit: 3,
                reach: |server| {
                    let mut guests = parked(server, 2);
                    guests.extend(occupied(server, "read").into_iter().take(1));
                    guests.extend((0..5).map(|_| knock(server)));
                    guests
                },
                // Its only thread comes to the idle ones when the deadline is over: they are forced, too.
                not_under: &["sync"],
                ..busy()
            },
            State {
                name: "out_of_descriptors",
                before: "ulimit -n 40",
                reach: |server| {
                    let guests = (0..60).map(|_| knock(server)).collect();
                    while server.line() != "failing\n" {}
                    guests
                },
                // Children have their connections to themselves: the server does not run out.
                not_under: &["fork"],
                ..quiet()
            },
            State {
                name: "busy_and_out_of_descriptors",
                before: "ulimit -n 40",
                reach: |server| {
                    let mut guests = parked(server, 1);
                    guests.extend((0..60).map(|_| knock(server)));
                    while server.line() != "failing\n" {}
                    assert_eq!(guests[0].ask("read"), "read");
                    guests
                },
                not_under: &["fork", "sync"],
                ..busy()
            },
        ]
    }

    fn knock<T: Streams>(server: &Example) -> Guest<T> {
        Guest::Silent(T::knock(&T::address(&server.address)))
    }

    /// Accepted, and never heard of.
    fn silent<T: Streams>(server: &mut Example, count: usize) -> Guests<T> {
        let guests = (0..count).map(|_| knock(server)).collect();
        (0..count).for_each(|_| assert_eq!(server.line(), "start\n"));
        guests
    }

    /// Served once, and silent since.
    fn parked<T: Streams>(server: &mut Example, count: usize) -> Guests<T> {
        let greet = |guest| match guest {
            Guest::Silent(silent) => Guest::Speaking(T::greet(silent)),
            speaking => speaking,
        };
        let mut guests: Guests<T> = silent(server, count).into_iter().map(greet).collect();
        guests.iter_mut().for_each(|guest| assert_eq!(guest.ask("hello"), "hello"));
        guests
    }

    /// One whose handler does this and does not return, and some that are silent.
    fn occupied<T: Streams>(server: &mut Example, what: &str) -> Guests<T> {
        let mut guests = parked(server, 1);
        assert_eq!(guests[0].ask(what), what);
        // Under `Sync` nobody else is heard of from here on.
        guests.extend((0..3).map(|_| knock(server)));
        guests
    }

    fn stop_in<T: Streams>(state: &State<T>, transport: &str, dispatch: &str) {
        let program = std::env::current_exe().expect("current_exe");
        let (drain, limit) = (state.drain.as_millis().to_string(), state.limit.to_string());
        let mut server =
            Example::start_after(state.before, &program, &["--serve", transport, dispatch, &drain, &limit]);
        let guests = (state.reach)(&mut server);
        let begun = Instant::now();
        let (status, said) = server.stop();
        let took = begun.elapsed();
        assert_eq!(status.code(), Some(0), "{said}");
        let deadline = if state.forced > 0 { state.drain } else { Duration::ZERO };
        assert!(took < deadline + MARGIN, "{took:?}: {said}");
        assert!(said.starts_with(&format!("{} forced of ", state.forced)), "{said}");
        drop(guests);
    }
}
