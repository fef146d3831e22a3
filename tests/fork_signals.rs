//! Signals that reach a server that forks with its whole process group, as those of a terminal do: the server decides
//! what they mean, and its children do not die of them.
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
    use crate::common::ask;
    use crate::common::becomes;
    use crate::common::cases;
    use crate::common::children;
    use crate::common::connect;
    use crate::common::eventually;
    use crate::common::example::Example;
    use crate::common::example::with_default_signals;
    use crate::common::read_rest;
    use rustix::process::Pid;
    use rustix::process::Signal;
    use rustix::process::kill_process;
    use rustix::process::kill_process_group;
    use signal_hook::consts::SIGHUP;
    use signal_hook::consts::SIGQUIT;
    use signal_hook::consts::SIGTSTP;
    use signal_hook::consts::SIGUSR1;
    use socketserver::ForkingTcpServer;
    use std::io::BufRead;
    use std::io::Write;
    use std::net::TcpStream;
    use std::os::unix::process::CommandExt;
    use std::sync::Arc;
    use std::sync::atomic::AtomicBool;

    pub(crate) fn main() {
        if let Some(how) = cases::started_again("--serve") {
            return serve(how == ["with-handlers"]);
        }
        cases::run(cases![
            an_interrupt_drains,
            an_interrupt_without_a_handler_ends_all,
            what_the_server_handles_is_none_of_its_childrens,
            what_the_server_ignores_its_children_ignore,
            exits_are_known_where_they_were_ignored,
            a_termination_ends_children,
            a_handler_of_the_server_does_not_run_in_a_child,
        ])
    }

    /// The server: each child answers line by line inside one call, with `handled` where a handler of the server's has
    /// run in the child.
    fn serve(handles: bool) {
        let handled = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&handled);
        let server = ForkingTcpServer::builder_fn(move |request| {
            let mut line = String::new();
            while request.read_line(&mut line)? > 0 {
                if seen.load(std::sync::atomic::Ordering::SeqCst) {
                    request.write_all(b"handled\n")?;
                }
                request.write_all(line.as_bytes())?;
                line.clear();
            }
            Ok(socketserver::Flow::Close)
        })
        .bind("127.0.0.1:0")
        .expect("bind");
        let _signals = handles.then(|| {
            for signal in [SIGHUP, SIGQUIT, SIGTSTP, SIGUSR1] {
                signal_hook::flag::register(signal, Arc::clone(&handled)).expect("a handler");
            }
            socketserver::signals::stop_on_signals(server.stop_handle()).expect("signals")
        });
        println!("listening on {}", server.local_addr());
        let report = server.serve_forever().expect("serve");
        eprintln!("{report}");
    }

    /// A server in a process group of its own, and a client in the middle of its conversation.
    struct Group {
        server: Example,
        client: TcpStream,
    }

    impl Group {
        fn start(how: &str, ignored: Option<&str>) -> Self {
            let program = std::env::current_exe().expect("current_exe");
            let mut command = with_default_signals("env");
            command.args(ignored.map(|signals| format!("--ignore-signal={signals}")));
            let server = Example::spawn(command.arg(program).args(["--serve", how]).process_group(0));
            let client = connect(server.socket_address());
            assert_eq!(ask(&client, "hello"), "hello");
            Self { server, client }
        }

        /// As the terminal does.
        fn send(&self, signal: Signal) {
            let group = Pid::from_raw(self.server.pid().cast_signed()).expect("a process ID");
            kill_process_group(group, signal).expect("a signal");
        }

        fn still_serves(&self) {
            assert_eq!(ask(&self.client, "still there"), "still there");
        }

        fn child(&self) -> u32 {
            children(self.server.pid())[0].0
        }
    }

    /// The state of a process (`T` for a stopped one), while it is there.
    fn state(pid: u32) -> Option<char> {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        stat.rsplit(") ").next()?.chars().next()
    }

    fn an_interrupt_drains() {
        let group = Group::start("with-handlers", None);
        group.send(Signal::INT);
        eventually("the server drains", || TcpStream::connect(group.server.socket_address()).is_err());
        group.still_serves();
        let Group { server, client } = group;
        drop(client);
        let (status, said) = server.wait();
        assert_eq!(status.code(), Some(0), "{said}");
        // Who knocked meanwhile may have been refused.
        assert!(said.contains(" 1 finished, 0 idle closed, 0 forced") && said.contains(" 0 failed"), "{said}");
    }

    fn an_interrupt_without_a_handler_ends_all() {
        let group = Group::start("without-handlers", None);
        let child = group.child();
        group.send(Signal::INT);
        assert_eq!(read_rest(&group.client), b"");
        group.server.wait();
        eventually("the child has ended", || state(child).is_none_or(|state| state == 'Z'));
    }

    fn what_the_server_handles_is_none_of_its_childrens() {
        let group = Group::start("with-handlers", None);
        for signal in [Signal::HUP, Signal::QUIT, Signal::TSTP] {
            group.send(signal);
            group.still_serves();
            assert_ne!(state(group.child()), Some('T'));
        }
        // The handler has run in the server, and nothing of that is its end: a later child has what the server knows.
        assert_eq!(ask(connect(group.server.socket_address()), "hello"), "handled");
        let Group { server, client } = group;
        drop(client);
        becomes("children", &Vec::new(), || children(server.pid()));
        let (status, said) = server.stop();
        assert_eq!(status.code(), Some(0), "{said}");
        assert!(said.starts_with("2 accepted: ") && said.contains(" 0 forced (0 abandoned), 0 refused"), "{said}");
    }

    fn what_the_server_ignores_its_children_ignore() {
        let group = Group::start("without-handlers", Some("HUP,INT,QUIT,TSTP,USR1,USR2"));
        for signal in [Signal::HUP, Signal::INT, Signal::QUIT, Signal::TSTP, Signal::USR1, Signal::USR2] {
            group.send(signal);
            group.still_serves();
        }
        kill_process(Pid::from_raw(group.server.pid().cast_signed()).expect("a process ID"), Signal::TERM)
            .expect("kill");
        becomes("the state of the server", &Some('Z'), || state(group.server.pid()));
        assert_eq!(ask(&group.client, "the child goes on"), "the child goes on");
    }

    /// A program inherits that, and the system then keeps no exit code for it.
    fn exits_are_known_where_they_were_ignored() {
        let Group { server, client } = Group::start("with-handlers", Some("CHLD"));
        drop(client);
        becomes("children", &Vec::new(), || children(server.pid()));
        let (status, said) = server.stop();
        assert_eq!(status.code(), Some(0), "{said}");
        assert!(said.starts_with("1 accepted: 1 finished, 0 idle closed, 0 forced"), "{said}");
    }

    fn a_termination_ends_children() {
        let group = Group::start("with-handlers", None);
        group.send(Signal::TERM);
        assert_eq!(read_rest(&group.client), b"");
        let (status, said) = group.server.wait();
        assert_eq!(status.code(), Some(0), "{said}");
        assert!(said.starts_with("1 accepted: 0 finished, 0 idle closed, 0 forced (0 abandoned), 0 refused, 1 failed"));
    }

    fn a_handler_of_the_server_does_not_run_in_a_child() {
        let group = Group::start("with-handlers", None);
        group.send(Signal::HUP);
        // A child that has run the handler says so.
        group.still_serves();
        let child = Pid::from_raw(group.child().cast_signed()).expect("a process ID");
        kill_process(child, Signal::USR1).expect("a signal");
        assert_eq!(read_rest(&group.client), b"", "by default it ends a process");
        let (status, said) = group.server.stop();
        assert_eq!(status.code(), Some(0), "{said}");
    }
}
