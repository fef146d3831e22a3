//! The system refuses threads: a request that gets none is turned away by value, and a server that gets none says so.
//!
//! The server is this very program, started again as a user whom the limits on processes hold.

#[cfg(target_os = "linux")]
mod common;

fn main() {
    #[cfg(target_os = "linux")]
    linux::main();
}

#[cfg(target_os = "linux")]
mod linux {
    use crate::cases;
    use crate::common::Held;
    use crate::common::Listen;
    use crate::common::ask;
    use crate::common::becomes;
    use crate::common::cases;
    use crate::common::connect;
    use crate::common::example::Example;
    use crate::common::read_rest;
    use rustix::process::Resource;
    use rustix::process::Rlimit;
    use rustix::process::getrlimit;
    use rustix::process::setrlimit;
    use socketserver::Builder;
    use socketserver::Event;
    use socketserver::Flow;
    use socketserver::HandlerResult;
    use socketserver::Pool;
    use socketserver::ServeError;
    use socketserver::Stream;
    use socketserver::Sync;
    use socketserver::Tcp;
    use socketserver::ThreadPerRequest;
    use socketserver::handler::function;
    use std::io::BufRead;
    use std::io::Write;
    use std::net::TcpListener;
    use std::net::TcpStream;
    use std::sync::atomic::AtomicUsize;
    use std::sync::atomic::Ordering;
    use std::time::Duration;

    /// The places of the server whose threads are refused.
    const PLACES: usize = 3;

    /// So many requests are refused before threads are to be had again.
    const REFUSED: usize = 4 * PLACES;

    pub(crate) fn main() {
        if let Some(role) = cases::started_again("--as") {
            return match role[0].as_str() {
                "server" => serve_without_threads(),
                "starter" => start_without_threads(),
                other => panic!("--as {other}"),
            };
        }
        cases::run(cases![a_request_without_a_thread_is_turned_away, a_server_without_threads_says_so])
    }

    fn limit_processes(most: Option<u64>) {
        setrlimit(Resource::Nproc, Rlimit { current: most, ..getrlimit(Resource::Nproc) }).expect("setrlimit");
    }

    fn echo_line(request: &mut Stream<TcpStream>) -> HandlerResult {
        let mut line = String::new();
        request.read_line(&mut line)?;
        request.write_all(line.as_bytes())?;
        Ok(Flow::Continue)
    }

    fn unprivileged(role: &str) -> Example {
        Example::start_unprivileged(&std::env::current_exe().expect("current_exe"), &["--as", role])
    }

    /// Serves on its only thread, and tells what it refuses and what `handle_error` is told.
    fn serve_without_threads() {
        let refused = AtomicUsize::new(0);
        let before = getrlimit(Resource::Nproc).current;
        let server = Builder::<Tcp, ThreadPerRequest, _>::new(function(echo_line))
            .dispatch(ThreadPerRequest::default().idle_timeout(Duration::from_millis(50)))
            .max_connections(PLACES)
            .on_error(|error, peer| println!("error {:?} {}", error.stage(), peer.is_some()))
            .observed(move |event: &Event<'_>| {
                if let Event::Refused { reason } = event {
                    if refused.fetch_add(1, Ordering::SeqCst) + 1 == REFUSED {
                        limit_processes(before);
                    }
                    println!("refused {reason:?}");
                }
            })
            .listen();
        let _signals = socketserver::signals::stop_on_signals(server.stop_handle()).expect("signals");
        println!("listening on {}", server.local_addr());
        limit_processes(Some(1));
        let report = server.serve_forever();
        eprintln!("{report}");
    }

    fn a_request_without_a_thread_is_turned_away() {
        let mut server = unprivileged("server");
        for _ in 0..REFUSED {
            assert_eq!(read_rest(connect(server.socket_address())), b"");
            assert_eq!(server.line(), "error Dispatch true\n");
            assert_eq!(server.line(), "refused Rejected\n");
        }
        // The loop goes on, and all places are free.
        let clients: Vec<TcpStream> = (0..PLACES).map(|_| connect(server.socket_address())).collect();
        for client in &clients {
            assert_eq!(ask(client, "hello"), "hello");
        }
        drop(clients);
        let (status, said) = server.stop();
        assert_eq!(status.code(), Some(0), "{said}");
        assert!(said.starts_with("15 accepted: ") && said.contains(" 12 refused, 0 failed"), "{said}");
    }

    /// Tries to start servers with too few threads, and then with enough.
    fn start_without_threads() {
        let before = getrlimit(Resource::Nproc).current;
        // For the parent's sake, which waits for this line.
        println!("listening on nothing");
        let held = Held::now();
        let names = |error: &ServeError, dispatch| {
            let message = error.to_string();
            assert!(message.starts_with(&format!("cannot start the dispatch {dispatch}: ")), "{message}");
        };
        // None for the monitor; one for it, but none for workers; some for workers, but not enough.
        for most in 1..12 {
            let server = Builder::<Tcp, Pool, _>::new(function(echo_line)).bind("127.0.0.1:0").expect("bind");
            let address = server.local_addr();
            limit_processes(Some(most));
            let outcome = server.serve_forever();
            limit_processes(before);
            names(&outcome.expect_err("too few threads"), "Pool");
            TcpListener::bind(address).expect("the port is free");
            becomes("descriptors and threads", &held, Held::now);
        }
        let server = Builder::<Tcp, Sync, _>::new(function(echo_line)).bind("127.0.0.1:0").expect("bind");
        let address = server.local_addr();
        limit_processes(Some(1));
        let outcome = server.serve_in_background();
        limit_processes(before);
        names(&outcome.expect_err("no thread"), "Sync");
        TcpListener::bind(address).expect("the port is free");
        becomes("descriptors and threads", &held, Held::now);
        // Stacks that no machine has room for.
        for bytes in [1 << 46, usize::MAX] {
            let server = Builder::<Tcp, Pool, _>::new(function(echo_line))
                .dispatch(Pool::new(2).stack_size(bytes))
                .bind("127.0.0.1:0")
                .expect("bind");
            names(&server.serve_forever().expect_err("no stack"), "Pool");
            becomes("descriptors and threads", &held, Held::now);
        }
        let server = Builder::<Tcp, Pool, _>::new(function(echo_line)).bind("127.0.0.1:0").expect("bind");
        let server = server.serve_in_background().expect("enough threads");
        assert_eq!(ask(connect(server.local_addr()), "hello"), "hello");
        let report = server.shutdown().expect("shutdown");
        becomes("descriptors and threads", &held, Held::now);
        eprintln!("{report}");
    }

    fn a_server_without_threads_says_so() {
        let (status, said) = unprivileged("starter").wait();
        assert_eq!(status.code(), Some(0), "{said}");
        assert!(said.starts_with("1 accepted: "), "{said}");
    }
}
