//! Under systemd: sockets that it has opened, and what it is told.
//!
//! In a harness that can start itself anew, as the service.

mod common;

fn main() {
    #[cfg(target_os = "linux")]
    linux::main();
}

#[cfg(target_os = "linux")]
mod linux {
    use std::io::Write;
    use std::net::TcpListener;
    use std::net::UdpSocket;
    use std::os::fd::AsFd;
    use std::os::fd::OwnedFd;
    use std::os::unix::net::UnixDatagram;
    use std::os::unix::net::UnixListener;
    use std::process::Command;
    use std::process::Stdio;
    use std::time::Duration;

    use crate::cases;
    use crate::common::TempDir;
    use crate::common::activation::Manager;
    use crate::common::activation::activated;
    use crate::common::ask;
    use crate::common::cases;
    use crate::common::connect;
    use crate::common::connect_udp;
    use crate::common::connect_unix;
    use crate::common::connect_unix_datagram;
    use crate::common::example::Example;
    use crate::common::example::program;
    use crate::common::read_line;
    use crate::common::receive;
    use socketserver::Builder;
    use socketserver::Flow;
    use socketserver::Pool;
    use socketserver::Sync;
    use socketserver::Tcp;
    use socketserver::deploy::PassedSocketError;
    use socketserver::deploy::Sockets;
    use socketserver::handler::function;

    const SERVICE: &str = "--as-the-service";

    pub(crate) fn main() {
        if let Some(arguments) = cases::started_again(SERVICE) {
            return serve(&arguments[0]);
        }
        let mut trials = cases![
            each_kind_of_socket_is_served,
            who_connects_before_the_start_is_served,
            a_restart_by_the_manager_refuses_nobody,
            who_waits_at_a_stop_is_served_by_the_next,
            what_was_not_passed_is_an_error,
            the_wrong_kind_is_an_error,
            several_are_served_together,
            two_kinds_of_one_name_are_told_apart,
            what_is_left_is_an_error,
            sockets_are_taken_once,
            sockets_are_closed_in_other_programs,
            sockets_of_another_process_are_left_alone,
            the_manager_is_told_of_begin_and_end,
            a_loop_that_hangs_is_not_heard_of,
            a_pool_with_a_hanging_handler_is_heard_of,
        ];
        trials.push(cases::needs(
            "systemd-socket-activate",
            cases::case("systemd_socket_activate_starts_it", systemd_socket_activate_starts_it),
        ));
        cases::run(trials)
    }

    /// What this program is, started anew: a server whose handler hangs if it is told so.
    fn serve(dispatch: &str) {
        fn hang(request: &mut socketserver::Stream<std::net::TcpStream>) -> socketserver::HandlerResult {
            let line = read_line(&mut *request);
            request.write_all(b"so be it\n")?;
            if line == "hang" {
                loop {
                    std::thread::park();
                }
            }
            Ok(Flow::Continue)
        }
        macro_rules! serve_under {
            ($dispatch:ty) => {{
                let server = Builder::<Tcp, $dispatch, _>::new(function(hang)).bind("127.0.0.1:0").unwrap();
                println!("listening on {}", server.local_addr());
                let manager = socketserver::deploy::systemd::Manager::new();
                assert!(manager.is_there());
                manager.watch(&server);
                println!("{}", server.serve_forever().unwrap());
            }};
        }
        match dispatch {
            "sync" => serve_under!(Sync),
            "pool" => serve_under!(Pool),
            other => panic!("{other}"),
        }
    }

    fn listener() -> TcpListener {
        TcpListener::bind("127.0.0.1:0").unwrap()
    }

    fn copy(socket: &impl AsFd) -> OwnedFd {
        socket.as_fd().try_clone_to_owned().unwrap()
    }

    /// What the example says that does not start.
    fn refusal<const N: usize>(flags: &[&str], names: &str, sockets: [OwnedFd; N]) -> String {
        let output = activated(&program("echo"), flags, names, sockets).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        String::from_utf8(output.stderr).unwrap()
    }

    fn each_kind_of_socket_is_served() {
        let folder = TempDir::new();
        let echo = program("echo");
        let start = |transport, socket| {
            let flags = ["--transport", transport, "--listen", "systemd:it"];
            Example::spawn_with(&mut activated(&echo, &flags, "it", [socket]))
        };
        let tcp = start("tcp", listener().into());
        assert_eq!(ask(&connect(tcp.socket_address()), "hello"), "hello");
        assert!(tcp.stop().0.success());

        let udp = start("udp", UdpSocket::bind("127.0.0.1:0").unwrap().into());
        let client = connect_udp("127.0.0.1:0", udp.socket_address());
        client.send(b"hello").unwrap();
        assert_eq!(receive(|buffer| client.recv(buffer)), b"hello");
        assert!(udp.stop().0.success());

        let path = folder.join("stream");
        let stream = start("unix-stream", UnixListener::bind(&path).unwrap().into());
        assert_eq!(stream.address, path.display().to_string());
        assert_eq!(ask(&connect_unix(&path), "hello"), "hello");
        assert!(stream.stop().0.success());
        assert!(path.exists(), "the file is the manager's");

        let path = folder.join("datagram");
        let datagram = start("unix-datagram", UnixDatagram::bind(&path).unwrap().into());
        let client = connect_unix_datagram(&folder.join("client"), &path);
        client.send(b"hello").unwrap();
        assert_eq!(receive(|buffer| client.recv(buffer)), b"hello");
        assert!(datagram.stop().0.success());
        assert!(path.exists(), "the file is the manager's");
    }

    fn who_connects_before_the_start_is_served() {
        let listener = listener();
        let client = connect(listener.local_addr().unwrap());
        let server = activated(&program("echo"), &["--listen", "systemd"], "it", [listener.into()]);
        let server = Example::spawn_with(&mut { server });
        assert_eq!(ask(&client, "hello"), "hello");
        drop(client);
        assert!(server.stop().0.success());
    }

    fn a_restart_by_the_manager_refuses_nobody() {
        let listener = listener();
        let address = listener.local_addr().unwrap();
        let start =
            || Example::spawn_with(&mut activated(&program("echo"), &["--listen", "systemd"], "it", [copy(&listener)]));
        let first = start();
        assert_eq!(ask(&connect(address), "one"), "one");
        assert!(first.stop().0.success());
        let between = connect(address);
        let second = start();
        assert_eq!(ask(&between, "two"), "two");
        drop(between);
        assert!(second.stop().0.success());
    }

    fn who_waits_at_a_stop_is_served_by_the_next() {
        for flags in [
            &["--dispatch", "sync"][..],
            &["--dispatch", "threads"],
            &["--dispatch", "fork"],
            &["--dispatch", "pool"],
            &["--dispatch", "sync", "--processes", "1"],
        ] {
            let listener = listener();
            let address = listener.local_addr().unwrap();
            let flags = [&["--listen", "systemd", "--max-connections", "1"], flags].concat();
            let start = || Example::spawn_with(&mut activated(&program("echo"), &flags, "it", [copy(&listener)]));
            let first = start();
            let only = connect(address);
            assert_eq!(ask(&only, "one"), "one");
            let mut waiting = connect(address);
            waiting.write_all(b"two\n").unwrap();
            let (status, errors) = first.stop();
            assert!(status.success() && errors.starts_with("1 accepted: "), "{flags:?}: {errors}");
            let second = start();
            assert_eq!(read_line(&waiting), "two", "{flags:?}");
            drop((only, waiting));
            assert!(second.stop().0.success());
        }
    }

    fn what_was_not_passed_is_an_error() {
        let said = refusal(&["--listen", "systemd:web"], "it", [listener().into()]);
        assert_eq!(said, "echo: no socket named \"web\" was passed to this process: there are \"it\"\n");
        let by_hand = Command::new(program("echo")).args(["--listen", "systemd"]).output().unwrap();
        let said = String::from_utf8(by_hand.stderr).unwrap();
        let none = "echo: no socket was passed to this process: there are none; start it with";
        assert!(said.starts_with(none), "{said}");
    }

    fn the_wrong_kind_is_an_error() {
        let (udp, folder) = (UdpSocket::bind("127.0.0.1:0").unwrap(), TempDir::new());
        let wrong =
            |transport, socket: OwnedFd| refusal(&["--transport", transport, "--listen", "systemd:it"], "it", [socket]);
        for (transport, socket, found, wanted) in [
            ("tcp", copy(&udp), "a UDP socket", "a TCP socket that listens"),
            ("udp", listener().into(), "a TCP socket that listens", "a UDP socket"),
            (
                "tcp",
                UnixListener::bind(folder.join("a")).unwrap().into(),
                "a Unix-domain stream socket that listens",
                "a TCP socket that listens",
            ),
            (
                "unix-stream",
                UnixDatagram::bind(folder.join("b")).unwrap().into(),
                "a Unix-domain datagram socket",
                "a Unix-domain stream socket that listens",
            ),
            ("unix-datagram", listener().into(), "a TCP socket that listens", "a Unix-domain datagram socket"),
            ("tcp", std::fs::File::open("/dev/null").unwrap().into(), "not a socket", "a TCP socket that listens"),
        ] {
            let said = wrong(transport, socket);
            let text = format!("the socket that was passed as \"it\" is {found}, where {wanted} was requested;");
            assert!(said.contains(&text), "{said}");
        }
        let listener = listener();
        let client = connect(listener.local_addr().unwrap());
        let said = wrong("tcp", client.into());
        assert!(said.contains("is a TCP socket that does not listen, where"), "{said}");
    }

    fn several_are_served_together() {
        let (one, other) = (listener(), listener());
        for listen in ["systemd", "systemd:a"] {
            let mut server = Example::spawn_with(&mut activated(
                &program("echo"),
                &["--listen", listen],
                "a:a",
                [copy(&one), copy(&other)],
            ));
            let addresses = [&one, &other].map(|listener| listener.local_addr().unwrap());
            assert_eq!(server.socket_address(), addresses[0]);
            assert_eq!(server.line(), format!("listening on {}\n", addresses[1]));
            for address in addresses {
                assert_eq!(ask(connect(address), "hello"), "hello");
            }
            server.stop();
        }
        // Each by its name, in the order of the flags.
        let flags = ["--listen", "systemd:b", "--listen", "systemd:a"];
        let mut server =
            Example::spawn_with(&mut activated(&program("echo"), &flags, "a:b", [copy(&one), copy(&other)]));
        assert_eq!(server.socket_address(), other.local_addr().unwrap());
        assert_eq!(server.line(), format!("listening on {}\n", one.local_addr().unwrap()));
        server.stop();
    }

    fn two_kinds_of_one_name_are_told_apart() {
        let (tcp, udp) = (listener(), UdpSocket::bind("127.0.0.1:0").unwrap());
        let address = tcp.local_addr().unwrap();
        let mut dns = activated(&program("dns"), &["--listen", "systemd"], "dns:dns", [copy(&udp), copy(&tcp)]);
        let server = Example::spawn_with(&mut dns);
        assert_eq!(server.socket_address(), udp.local_addr().unwrap());
        let mut client = connect(address);
        // A query for the root, type A.
        let query = [0, 17, 0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 1];
        client.write_all(&query).unwrap();
        let answer = receive(|buffer| std::io::Read::read(&mut &client, buffer));
        assert_eq!(answer[2..4], [0, 1], "the answer to the query");
        drop(client);
        server.stop();
    }

    fn what_is_left_is_an_error() {
        let (one, other) = (listener(), listener());
        let flags = ["--listen", "systemd:a"];
        let mut command = activated(&program("echo"), &flags, "a:b", [copy(&one), copy(&other)]);
        assert_eq!(command.stdout(Stdio::null()).status().unwrap().code(), Some(1));
    }

    fn sockets_are_taken_once() {
        let mut sockets = Sockets::take().unwrap();
        assert_eq!(sockets.names().count(), 0);
        assert!(matches!(sockets.any::<TcpListener>(), Err(PassedSocketError::NotPassed { wanted: None, .. })));
        sockets.finish().unwrap();
        let again = Sockets::take().unwrap_err();
        assert!(matches!(again, PassedSocketError::TakenBefore), "{again}");
    }

    fn sockets_are_closed_in_other_programs() {
        let listener = listener();
        let flags = ["--listen", "systemd:it", "--run", "sh", "-c", "readlink /proc/self/fd/* | grep -c socket; echo"];
        let server = Example::spawn_with(&mut activated(&program("exec"), &flags, "it", [copy(&listener)]));
        // Its standard input; the output is a pipe.
        assert_eq!(read_line(&connect(listener.local_addr().unwrap())), "1");
        server.stop();
    }

    fn sockets_of_another_process_are_left_alone() {
        let said = {
            let mut command = Command::new(program("echo"));
            command.args(["--listen", "systemd"]).env("LISTEN_FDS", "1").env("LISTEN_PID", "1");
            String::from_utf8(command.output().unwrap().stderr).unwrap()
        };
        assert!(said.contains("no socket was passed to this process"), "{said}");
        let mut command = Command::new(program("echo"));
        command.args(["--listen", "systemd"]).env("LISTEN_FDS", "1").env("LISTEN_PID", "one");
        let said = String::from_utf8(command.output().unwrap().stderr).unwrap();
        assert!(said.contains("invalid LISTEN_PID"), "{said}");
    }

    fn the_manager_is_told_of_begin_and_end() {
        let mut manager = Manager::new();
        for (name, flags) in [
            ("echo", &["--listen", "127.0.0.1:0", "--dispatch", "sync"][..]),
            ("echo", &["--listen", "127.0.0.1:0", "--dispatch", "threads"]),
            ("echo", &["--listen", "127.0.0.1:0", "--dispatch", "fork"]),
            ("echo", &["--listen", "127.0.0.1:0", "--dispatch", "pool"]),
            ("dns", &["--listen", "127.0.0.1:0"]),
        ] {
            let server = Example::spawn(manager.of(Command::new(program(name)).args(flags)));
            assert_eq!(manager.next_within(crate::common::PATIENCE).unwrap(), "READY=1");
            assert_eq!(manager.wait_for("STATUS="), "STATUS=0 open, 0 accepted, 0 failed");
            let client = connect(server.socket_address());
            drop(client);
            assert!(server.stop().0.success());
            manager.wait_for("STOPPING=1");
            assert!(manager.wait_for("STATUS=").starts_with("STATUS=draining; "));
            assert_eq!(manager.next_within(Duration::ZERO), None);
        }
    }

    fn service(manager: &Manager, dispatch: &str) -> Example {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args([SERVICE, dispatch]).env("WATCHDOG_USEC", "600000");
        Example::spawn(manager.of(&mut command))
    }

    fn a_loop_that_hangs_is_not_heard_of() {
        let mut manager = Manager::new();
        let server = service(&manager, "sync");
        let client = connect(server.socket_address());
        assert_eq!(ask(&client, "go on"), "so be it");
        for _ in 0..3 {
            manager.wait_for("WATCHDOG=1");
        }
        assert_eq!(ask(&client, "hang"), "so be it");
        // What was told before it hung.
        while manager.next_within(Duration::ZERO).is_some() {}
        assert_eq!(manager.next_within(Duration::from_millis(1200)), None);
    }

    fn a_pool_with_a_hanging_handler_is_heard_of() {
        let mut manager = Manager::new();
        let server = service(&manager, "pool");
        assert_eq!(ask(&connect(server.socket_address()), "hang"), "so be it");
        while manager.next_within(Duration::ZERO).is_some() {}
        for _ in 0..3 {
            manager.wait_for("WATCHDOG=1");
        }
    }

    fn systemd_socket_activate_starts_it() {
        let free = listener();
        let address = free.local_addr().unwrap();
        drop(free);
        let mut command = Command::new("systemd-socket-activate");
        command.arg(format!("--listen={address}")).arg("--fdname=web").arg(program("echo"));
        command.args(["--listen", "systemd:web"]).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        let client = (0..)
            .find_map(|tries| match std::net::TcpStream::connect(address) {
                Err(_) if tries < 3000 => {
                    std::thread::sleep(Duration::from_millis(10));
                    None
                }
                outcome => Some(outcome.unwrap()),
            })
            .unwrap();
        client.set_read_timeout(Some(crate::common::PATIENCE)).unwrap();
        assert_eq!(ask(&client, "hello"), "hello");
        assert_eq!(read_line(child.stdout.as_mut().unwrap()), format!("listening on {address}"));
        drop(client);
        // It has become the server.
        rustix::process::kill_process(rustix::process::Pid::from_child(&child), rustix::process::Signal::TERM).unwrap();
        assert!(child.wait().unwrap().success());
    }
}
