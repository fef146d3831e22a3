//! What signals do to a server, and after it: those that were ignored stay so, those that had their default have it
//! again, and one that is told to a server wakes its loop.
//!
//! The programs that get the signals are this very one, started again.

#[cfg(unix)]
mod common;

fn main() {
    #[cfg(unix)]
    unix::main();
}

#[cfg(unix)]
mod unix {
    use crate::cases;
    use crate::common::PATIENCE;
    use crate::common::ask;
    use crate::common::cases;
    use crate::common::connect;
    use crate::common::echo::echo_line;
    use crate::common::example::Example;
    use rustix::process::Pid;
    use rustix::process::Signal;
    use rustix::process::kill_process;
    use socketserver::Builder;
    use socketserver::Fork;
    use socketserver::Pool;
    use socketserver::Server;
    use socketserver::Sync;
    use socketserver::Tcp;
    use socketserver::TcpServer;
    use socketserver::ThreadPerRequest;
    use socketserver::dispatch::Job;
    use socketserver::dispatch::Process;
    use socketserver::handler::Function;
    use socketserver::handler::OnService;
    use socketserver::handler::function;
    use socketserver::signals::stop_all_on_signals;
    use socketserver::signals::stop_on_signals;
    use socketserver::signals::wake_on_signal;
    use std::os::unix::process::ExitStatusExt;
    use std::sync::Arc;
    use std::sync::atomic::AtomicBool;
    use std::sync::atomic::Ordering;

    type Seeing = dyn Fn() + Send + std::marker::Sync;
    type Answer = fn(&mut socketserver::Stream<std::net::TcpStream>) -> socketserver::HandlerResult;

    pub(crate) fn main() {
        if let Some([role]) = cases::started_again("--as").as_deref() {
            return be(role);
        }
        cases::run(cases![
            an_ignored_interrupt_stays_ignored,
            after_the_guard_signals_end_the_process,
            a_guard_leaves_the_signals_to_others,
            a_second_guard_is_as_good_as_the_first,
            one_signal_stops_several_servers,
            handlers_that_were_there_before_stay,
            a_signal_wakes_the_loop,
            signals_that_cannot_be_caught_are_named,
        ])
    }

    /// The programs.
    fn be(role: &str) {
        match role {
            "server" => serve(),
            "without a guard" => {
                let server = bind();
                drop(stop_on_signals(server.stop_handle()).expect("signals"));
                announce(&server);
                wait_for_the_end();
            }
            "one of two guards" => {
                let (server, other) = (bind(), bind());
                drop(stop_on_signals(other.stop_handle()).expect("signals"));
                serve_on(server);
            }
            "one of two living guards" => {
                let (server, other) = (bind(), bind());
                let guard = stop_on_signals(other.stop_handle()).expect("signals");
                let _signals = stop_on_signals(server.stop_handle()).expect("signals");
                drop(guard);
                announce(&server);
                eprintln!("{}", server.serve_forever().expect("serve"));
            }
            "several servers" => {
                let servers = [bind(), bind(), bind()];
                let _signals = stop_all_on_signals(servers.iter().map(Server::stop_handle)).expect("signals");
                announce(&servers[0]);
                std::thread::scope(|scope| {
                    for server in servers {
                        scope.spawn(|| server.serve_forever().expect("serve"));
                    }
                });
                eprintln!("1 accepted, and all have ended");
            }
            "woken sync" => serve_woken::<Sync>(),
            "woken threads" => serve_woken::<ThreadPerRequest>(),
            "woken pool" => serve_woken::<Pool>(),
            "woken fork" => serve_woken::<Fork>(),
            "own handler" => {
                let told = Arc::new(AtomicBool::new(false));
                signal_hook::flag::register(libc::SIGTERM, Arc::clone(&told)).expect("a handler");
                let server = bind();
                drop(stop_on_signals(server.stop_handle()).expect("signals"));
                announce(&server);
                while !told.load(Ordering::SeqCst) {
                    std::thread::yield_now();
                }
                eprintln!("told");
            }
            other => panic!("--as {other}"),
        }
    }

    fn bind() -> Server<Tcp, Sync, Function<Answer>> {
        TcpServer::bind_fn("127.0.0.1:0", echo_line as Answer).expect("bind")
    }

    fn announce(server: &Server<Tcp, Sync, Function<Answer>>) {
        println!("listening on {}", server.local_addr());
    }

    fn serve() {
        serve_on(bind());
    }

    fn serve_on(server: Server<Tcp, Sync, Function<Answer>>) {
        let _signals = stop_on_signals(server.stop_handle()).expect("signals");
        announce(&server);
        eprintln!("{}", server.serve_forever().expect("serve"));
    }

    /// Says when its loop sees what SIGUSR1 tells, and nothing else wakes it.
    fn serve_woken<D: Process<Job<Tcp, OnService<Function<Answer>, Box<Seeing>>>> + Default>() {
        let flag = Arc::new(AtomicBool::new(false));
        signal_hook::flag::register(libc::SIGUSR1, Arc::clone(&flag)).expect("a handler");
        let see: Box<Seeing> = Box::new(move || {
            if flag.swap(false, Ordering::SeqCst) {
                println!("seen");
            }
        });
        let server = Builder::<Tcp, D, _>::new(function(echo_line as Answer)).on_service(see).bind("127.0.0.1:0");
        let server = server.expect("bind");
        let _wake = wake_on_signal(libc::SIGUSR1, server.stop_handle()).expect("SIGUSR1");
        let _signals = stop_on_signals(server.stop_handle()).expect("signals");
        println!("listening on {}", server.local_addr());
        eprintln!("{}", server.serve_forever().expect("serve"));
    }

    /// A signal comes first.
    fn wait_for_the_end() {
        std::thread::sleep(PATIENCE);
        eprintln!("no signal has ended this process");
    }

    fn start(before: &str, role: &str) -> Example {
        let program = std::env::current_exe().expect("current_exe");
        Example::start_after(before, &program, &["--as", role])
    }

    fn send(program: &Example, signal: Signal) {
        kill_process(Pid::from_raw(program.pid().cast_signed()).expect("a process"), signal).expect("a signal");
    }

    fn an_ignored_interrupt_stays_ignored() {
        let server = start("trap '' INT", "server");
        send(&server, Signal::INT);
        assert_eq!(ask(connect(server.socket_address()), "hello"), "hello");
        send(&server, Signal::INT);
        assert_eq!(ask(connect(server.socket_address()), "hello"), "hello");
        let (status, said) = server.stop();
        assert_eq!(status.code(), Some(0), "{said}");
        assert!(said.starts_with("2 accepted"), "{said}");
    }

    fn after_the_guard_signals_end_the_process() {
        for signal in [Signal::INT, Signal::TERM] {
            let program = start(":", "without a guard");
            send(&program, signal);
            let (status, said) = program.wait();
            assert_eq!(status.signal(), Some(signal.as_raw()), "{status}: {said}");
        }
    }

    fn a_guard_leaves_the_signals_to_others() {
        stops(start(":", "one of two living guards"));
    }

    fn a_second_guard_is_as_good_as_the_first() {
        stops(start(":", "one of two guards"));
    }

    fn one_signal_stops_several_servers() {
        stops(start(":", "several servers"));
    }

    fn stops(server: Example) {
        assert_eq!(ask(connect(server.socket_address()), "hello"), "hello");
        let (status, said) = server.stop();
        assert_eq!(status.code(), Some(0), "{status}: {said}");
        assert!(said.starts_with("1 accepted"), "{said}");
    }

    fn a_signal_wakes_the_loop() {
        for dispatch in ["sync", "threads", "pool", "fork"] {
            let mut server = start(":", &format!("woken {dispatch}"));
            for _ in 0..10 {
                send(&server, Signal::USR1);
                assert_eq!(server.line(), "seen\n", "{dispatch}");
            }
            stops(server);
        }
    }

    fn signals_that_cannot_be_caught_are_named() {
        let server = bind();
        for signal in [libc::SIGKILL, libc::SIGSTOP, libc::SIGSEGV, libc::SIGFPE, libc::SIGILL, libc::SIGBUS, 0, 4000] {
            let error = wake_on_signal(signal, server.stop_handle()).map(drop).unwrap_err();
            assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput);
            assert!(error.to_string().starts_with(&format!("signal {signal} ")), "{error}");
        }
    }

    fn handlers_that_were_there_before_stay() {
        let (status, said) = start(":", "own handler").stop();
        assert_eq!((status.code(), said.as_str()), (Some(0), "told\n"), "{status}");
    }
}
