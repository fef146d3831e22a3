//! A process for each request: what a child has and has not, how its end is told, and that none is left behind.
//!
//! In a harness without threads, because this process must have one. Clients connect and send before the server looks:
//! the kernel keeps what they sent.

mod common;

fn main() {
    #[cfg(target_os = "linux")]
    linux::main();
}

#[cfg(target_os = "linux")]
mod linux {
    use crate::cases;
    use crate::common::Ended;
    use crate::common::Listen;
    use crate::common::TempDir;
    use crate::common::ask;
    use crate::common::becomes;
    use crate::common::cases;
    use crate::common::children;
    use crate::common::connect;
    use crate::common::connect_udp;
    use crate::common::connect_unix;
    use crate::common::connect_unix_datagram;
    use crate::common::echo::echo_line_and_close;
    use crate::common::echo::echo_message;
    use crate::common::read_line;
    use crate::common::read_rest;
    use crate::common::receive;
    use nix::sys::socket::sockopt::Ipv4RecvErr;
    use socketserver::Builder;
    use socketserver::End;
    use socketserver::Event;
    use socketserver::Flow;
    use socketserver::Fork;
    use socketserver::ForkingTcpServer;
    use socketserver::ForkingUdpServer;
    use socketserver::ForkingUnixDatagramServer;
    use socketserver::ForkingUnixStreamServer;
    use socketserver::Handler;
    use socketserver::HandlerResult;
    use socketserver::StatsHandle;
    use socketserver::StopHandle;
    use socketserver::Stream;
    use socketserver::Tcp;
    use socketserver::UnixAddress;
    use socketserver::handler::function;
    use std::cell::Cell;
    use std::cell::OnceCell;
    use std::collections::BTreeSet;
    use std::io::BufRead;
    use std::io::Write;
    use std::net::SocketAddr;
    use std::net::TcpStream;
    use std::net::UdpSocket;
    use std::os::fd::AsFd;
    use std::os::fd::AsRawFd;
    use std::process::Command;
    use std::process::Stdio;
    use std::rc::Rc;
    use std::time::Duration;

    pub(crate) fn main() {
        cases::run(cases![
            tcp,
            unix_stream,
            udp,
            unix_datagram,
            errors_that_an_adopted_socket_queues,
            ends_are_told,
            requests_are_accounted_for_as_without_forks,
            memory_is_the_childs_own,
            a_child_sees_the_counters_of_its_server,
            descriptors_of_a_child,
            children_are_limited,
            handle_request_waits_for_a_place,
            children_that_take_too_long_are_killed,
            senders_are_refused,
            a_detached_connection_stays_with_its_child,
        ])
    }

    /// Runs `case` while this process has two children of its own, one alive and one dead: their status stays theirs.
    fn beside_foreign_children(case: impl FnOnce()) {
        let mut dead = Command::new("sh").args(["-c", "exit 72"]).spawn().expect("sh");
        let mut alive =
            Command::new("sh").args(["-c", "read line; exit 72"]).stdin(Stdio::piped()).spawn().expect("sh");
        becomes("zombies", &true, || children(std::process::id()).contains(&(dead.id(), 'Z')));
        case();
        drop(alive.stdin.take());
        assert_eq!(dead.wait().expect("wait").code(), Some(72));
        assert_eq!(alive.wait().expect("wait").code(), Some(72));
    }

    fn tcp() {
        beside_foreign_children(|| {
            let mut server = ForkingTcpServer::builder_fn(echo_line_and_close).listen();
            for _ in 0..3 {
                let mut client = connect(server.local_addr());
                client.write_all(b"hello world\n").expect("send");
                server.handle_request().expect("handle_request");
                assert_eq!(read_line(&client), "hello world");
            }
        });
    }

    fn unix_stream() {
        let folder = TempDir::new();
        let path = folder.join("socket");
        beside_foreign_children(|| {
            let mut server = ForkingUnixStreamServer::builder_fn(echo_line_and_close).listen_at(&path);
            for _ in 0..3 {
                let mut client = connect_unix(&path);
                client.write_all(b"hello world\n").expect("send");
                server.handle_request().expect("handle_request");
                assert_eq!(read_line(&client), "hello world");
                // The file is the server's, whatever becomes of its children.
                assert_eq!(read_rest(&client), b"");
                assert!(path.exists());
            }
        });
        assert!(!path.exists());
    }

    fn udp() {
        beside_foreign_children(|| {
            let mut server = ForkingUdpServer::builder_fn(echo_message::<SocketAddr>).listen();
            let client = connect_udp("127.0.0.1:0", server.local_addr());
            for _ in 0..3 {
                client.send(b"hello world\n").expect("send");
                server.handle_request().expect("handle_request");
                assert_eq!(receive(|buffer| client.recv(buffer)), b"hello world\n");
            }
        });
    }

    fn unix_datagram() {
        let folder = TempDir::new();
        let path = folder.join("socket");
        beside_foreign_children(|| {
            let mut server = ForkingUnixDatagramServer::builder_fn(echo_message::<UnixAddress>).listen_at(&path);
            let client = connect_unix_datagram(&folder.join("client"), &path);
            for _ in 0..3 {
                client.send(b"hello world\n").expect("send");
                server.handle_request().expect("handle_request");
                assert_eq!(receive(|buffer| client.recv(buffer)), b"hello world\n");
            }
        });
        assert!(!path.exists());
    }

    /// For clients that do not close, because this process is also the server.
    const SHORT: Duration = Duration::from_millis(50);

    /// A child's reply to a peer that is gone comes back as an error, for the parent as well, which is not kept awake.
    fn errors_that_an_adopted_socket_queues() {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("bind");
        nix::sys::socket::setsockopt(&socket, Ipv4RecvErr, &true).expect("IP_RECVERR");
        let address = socket.local_addr().expect("an address");
        let (wakeups, exits) = (Rc::new(Cell::new(0)), Cell::new(0));
        let (count, stop) = (Rc::clone(&wakeups), Rc::new(OnceCell::<StopHandle>::new()));
        let stopper = Rc::clone(&stop);
        let server = ForkingUdpServer::builder_fn(echo_message::<SocketAddr>)
            .on_service(move || count.set(count.get() + 1))
            .on_event(move |event| {
                exits.set(exits.get() + usize::from(matches!(event, Event::ChildExit { .. })));
                if exits.get() == 6 {
                    stopper.get().expect("set").shutdown();
                }
            })
            .adopt(socket)
            .expect("adopt");
        stop.set(server.stop_handle()).expect("once");
        let alive = connect_udp("127.0.0.1:0", address);
        for _ in 0..3 {
            connect_udp("127.0.0.1:0", address).send(b"going").expect("send");
            alive.send(b"hello").expect("send");
        }
        let report = server.serve_forever().expect("serve");
        (0..3).for_each(|_| assert_eq!(receive(|buffer| alive.recv(buffer)), b"hello"));
        assert_eq!((report.accepted, report.finished), (6, 6), "{report}");
        // Accepted and collected, each with a look too many.
        assert!(wakeups.get() < 40, "{} wake-ups for 6 messages", wakeups.get());
    }

    /// Serves until so many children have ended.
    fn serve_children(
        dispatch: Fork,
        count: usize,
        handler: impl Fn(&mut Stream<TcpStream>) -> HandlerResult,
        clients: impl FnOnce(SocketAddr),
    ) -> Ended {
        let stop: Rc<OnceCell<StopHandle>> = Rc::default();
        let (stopper, exits) = (Rc::clone(&stop), Cell::new(0));
        let server = Builder::<Tcp, Fork, _>::new(function(handler))
            .dispatch(dispatch)
            .linger(SHORT, usize::MAX)
            .observed(move |event: &Event<'_>| {
                exits.set(exits.get() + usize::from(matches!(event, Event::ChildExit { .. })));
                if exits.get() == count {
                    stopper.get().expect("set").shutdown();
                }
            })
            .listen();
        stop.set(server.stop_handle()).expect("once");
        clients(server.local_addr());
        server.serve_forever()
    }

    fn ends_are_told() {
        let lines = ["fine", "seven", "error", "panic", "exit", "abort", "killed"];
        let handler = |request: &mut Stream<TcpStream>| {
            let mut line = String::new();
            request.read_line(&mut line)?;
            match line.trim() {
                "fine" => {}
                "seven" => Fork::set_exit_code(7),
                "error" => return Err("on purpose".into()),
                "panic" => {
                    // The message would look like a failure of this test.
                    std::panic::set_hook(Box::new(|_| {}));
                    panic!("on purpose")
                }
                "exit" => std::process::exit(9),
                "abort" => std::process::abort(),
                _ => rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL)?,
            }
            request.write_all(b"done\n")?;
            Ok(Flow::Close)
        };
        let mut clients = Vec::new();
        let report = serve_children(Fork::default(), lines.len(), handler, |address| {
            for line in lines {
                let mut client = connect(address);
                client.write_all(format!("{line}\n").as_bytes()).expect("send");
                clients.push(client);
            }
        });
        let mut ends: Vec<_> = report.seen.child_exits().iter().map(|(_, code, signal)| (*code, *signal)).collect();
        ends.sort_unstable();
        let signal = |signal| (None, Some(signal));
        let code = |code| (Some(code), None);
        assert_eq!(ends, [signal(libc::SIGABRT), signal(libc::SIGKILL), code(0), code(1), code(1), code(7), code(9)]);
        assert_eq!((report.accepted, report.finished, report.failed), (7, 1, 6), "{report}");
        // Exactly the children that were reported, each once.
        let pids: BTreeSet<u32> = report.seen.child_exits().iter().map(|exit| exit.0).collect();
        assert_eq!(pids.len(), lines.len());
        assert_eq!(read_line(&clients[0]), "done");
        assert_eq!(read_line(&clients[1]), "done");
    }

    /// Ends as its client's lines say.
    #[derive(Clone, Copy)]
    struct Obedient;

    impl Handler<Stream<TcpStream>> for Obedient {
        fn handle(&mut self, request: &mut Stream<TcpStream>) -> HandlerResult {
            let mut line = String::new();
            request.read_line(&mut line)?;
            match line.trim() {
                "close" => return Ok(Flow::Close),
                "detach" => return Ok(Flow::Detach),
                "error" => return Err("on purpose".into()),
                "panic" => std::panic::resume_unwind(Box::new("on purpose")),
                _ => request.write_all(line.as_bytes())?,
            }
            Ok(Flow::Continue)
        }
    }

    /// What is told of the end of a connection whose client sends this, and no more.
    macro_rules! account {
        ($dispatch:ty, $sent:expr) => {{
            let (stop, account) = (Rc::<OnceCell<StopHandle>>::default(), Rc::<OnceCell<_>>::default());
            let (stopper, told) = (Rc::clone(&stop), Rc::clone(&account));
            let server = Builder::<Tcp, $dispatch, _>::new(|| Obedient)
                .idle_timeout(SHORT)
                .read_timeout(SHORT)
                .linger(SHORT, usize::MAX)
                .observed(move |event: &Event<'_>| {
                    if let Event::Stop { end, calls, traffic, .. } = event {
                        told.set((*end, *calls, *traffic)).expect("one end");
                        stopper.get().expect("set").shutdown();
                    }
                })
                .listen();
            stop.set(server.stop_handle()).expect("once");
            let mut client = connect(server.local_addr());
            client.write_all($sent).expect("send");
            server.serve_forever();
            *account.get().expect("told")
        }};
    }

    fn requests_are_accounted_for_as_without_forks() {
        let lines = ["", "one\ntwo\n", "one\nclose\n", "error\n", "one\npanic\n", "one\nhalf a li", "one\ndetach\n"];
        let ends = lines.map(|sent| {
            let mut account = account!(Fork, sent.as_bytes());
            if sent.is_empty() {
                // In a process of its own the handler is called before there is anything.
                account.1 = 0;
            }
            assert_eq!(account, account!(socketserver::Sync, sent.as_bytes()), "{sent:?}");
            account.0
        });
        let expected = [
            End::IdleTimeout,
            End::IdleTimeout,
            End::HandlerClosed,
            End::Failed,
            End::Panicked,
            End::TimedOut,
            End::Detached,
        ];
        assert_eq!(ends, expected);
    }

    fn memory_is_the_childs_own() {
        let calls = Rc::new(Cell::new(0));
        let counted = Rc::clone(&calls);
        let handler = move |request: &mut Stream<TcpStream>| {
            counted.set(counted.get() + 1);
            request.write_all(format!("{}\n", counted.get()).as_bytes())?;
            Ok(Flow::Close)
        };
        let mut clients = Vec::new();
        let report = serve_children(Fork::default(), 3, handler, |address| {
            for _ in 0..3 {
                let mut client = connect(address);
                client.write_all(b"count\n").expect("send");
                clients.push(client);
            }
        });
        for client in &mut clients {
            assert_eq!(read_line(client), "1");
        }
        assert_eq!(calls.get(), 0);
        assert_eq!(report.finished, 3, "{report}");
    }

    fn a_child_sees_the_counters_of_its_server() {
        let stats: Rc<OnceCell<StatsHandle>> = Rc::default();
        let read = Rc::clone(&stats);
        let mut server = ForkingTcpServer::builder_fn(move |request| {
            let mut line = String::new();
            request.read_line(&mut line)?;
            let counts = read.get().expect("set").snapshot();
            let line =
                format!("{} accepted, {} finished, {} active\n", counts.accepted, counts.finished, counts.active);
            request.write_all(line.as_bytes())?;
            Ok(Flow::Close)
        })
        .listen();
        assert!(stats.set(server.stats_handle()).is_ok());
        let mut clients: Vec<_> = (0..3).map(|_| connect(server.local_addr())).collect();
        server.handle_request().expect("handle_request");
        server.handle_request().expect("handle_request");
        let mut second = clients.remove(1);
        assert_eq!(ask(&second, "?"), "2 accepted, 0 finished, 2 active");
        // The others have inherited its client's end.
        second.shutdown(std::net::Shutdown::Write).expect("the end");
        assert_eq!(read_rest(&mut second), b"");
        becomes("zombies", &1, || children(std::process::id()).iter().filter(|child| child.1 == 'Z').count());
        server.handle_request().expect("handle_request");
        // This child is from before all that.
        assert_eq!(ask(&clients[0], "?"), "3 accepted, 1 finished, 2 active");
    }

    /// Leaves its server, and says back what comes.
    struct Detaching;

    impl Handler<Stream<TcpStream>> for Detaching {
        fn handle(&mut self, request: &mut Stream<TcpStream>) -> HandlerResult {
            request.read_line(&mut String::new())?;
            Ok(Flow::Detach)
        }

        fn detached(self, mut request: Stream<TcpStream>) {
            let mut line = String::new();
            while request.read_line(&mut line).expect("a line") > 0 {
                request.write_all(line.as_bytes()).expect("send");
                line.clear();
            }
        }
    }

    fn a_detached_connection_stays_with_its_child() {
        let mut server = Builder::<Tcp, Fork, _>::new(|| Detaching).listen();
        let mut client = connect(server.local_addr());
        client.write_all(b"detach\n").expect("send");
        server.handle_request().expect("handle_request");
        for line in ["one", "two"] {
            client.write_all(format!("{line}\n").as_bytes()).expect("send");
            assert_eq!(read_line(&client), line);
        }
        assert_eq!(server.stats().active, 1, "the child is still there");
        client.shutdown(std::net::Shutdown::Write).expect("the end");
        assert_eq!(read_rest(&client), b"");
    }

    fn senders_are_refused() {
        let handler = |request: &mut Stream<TcpStream>| {
            let error = request.sender().expect_err("nobody could reach it");
            request.write_all(format!("{error}\n").as_bytes())?;
            Ok(Flow::Close)
        };
        let mut client = None;
        let report = serve_children(Fork::default(), 1, handler, |address| {
            let mut asking = connect(address);
            asking.write_all(b"sender\n").expect("send");
            client = Some(asking);
        });
        let said = read_line(client.as_mut().expect("a client"));
        assert!(said.starts_with("under Fork each connection is in its own process"), "{said}");
        assert_eq!(report.finished, 1, "{report}");
    }

    /// What the descriptors of this process stand for: sockets and pollers by number or kind.
    fn open() -> BTreeSet<String> {
        let links = std::fs::read_dir("/proc/self/fd").expect("/proc/self/fd").flatten();
        let targets = links.filter_map(|entry| std::fs::read_link(entry.path()).ok());
        targets
            .map(|target| target.display().to_string())
            .filter(|target| target.starts_with("socket:") || target.contains("eventpoll"))
            .collect()
    }

    fn descriptors_of_a_child() {
        let handler = |request: &mut Stream<TcpStream>| {
            let mut line = String::new();
            request.read_line(&mut line)?;
            let open: Vec<String> = open().into_iter().collect();
            request.write_all(format!("{}\n", open.join(" ")).as_bytes())?;
            // The child stays until its client has gone: the next one is its sibling.
            request.read_line(&mut line)?;
            Ok(Flow::Close)
        };
        let mut server = ForkingTcpServer::builder_fn(handler).listen();
        let listener =
            std::fs::read_link(format!("/proc/self/fd/{}", server.as_fd().as_raw_fd())).expect("the listener");
        let listener = listener.display().to_string();
        let mut clients: Vec<TcpStream> = (0..3).map(|_| connect(server.local_addr())).collect();
        let ours = open();
        assert!(ours.contains(&listener));
        let mut of_children = BTreeSet::new();
        for client in &mut clients {
            client.write_all(b"open?\n").expect("send");
            server.handle_request().expect("handle_request");
            let theirs = read_line(client);
            let theirs: BTreeSet<String> = theirs.split_whitespace().map(str::to_owned).collect();
            assert!(!theirs.contains(&listener), "the listener: {theirs:?}");
            // It has its connection, and, because this process is also the clients', their ends.
            let own: Vec<&String> = theirs.difference(&ours).collect();
            assert_eq!(own.len(), 1, "{own:?}");
            assert!(own[0].starts_with("socket:"), "{own:?}");
            assert!(of_children.insert(own[0].clone()), "a sibling's connection: {own:?}");
        }
        // The parent has kept none of the connections: with its child's end, the client sees the end.
        assert!(of_children.is_disjoint(&open()));
        for client in &mut clients {
            client.write_all(b"thanks\n").expect("send");
            assert_eq!(read_rest(client), b"");
        }
    }

    fn children_are_limited() {
        let parent = std::process::id();
        let handler = move |request: &mut Stream<TcpStream>| {
            request.write_all(format!("{}\n", children(parent).len()).as_bytes())?;
            Ok(Flow::Close)
        };
        let mut clients = Vec::new();
        let report = serve_children(Fork::default().max_children(2), 12, handler, |address| {
            for _ in 0..12 {
                let mut client = connect(address);
                client.write_all(b"how many?\n").expect("send");
                clients.push(client);
            }
        });
        for client in &mut clients {
            let count: usize = read_line(client).trim().parse().expect("a number");
            assert!((1..=2).contains(&count), "{count} children");
        }
        assert_eq!((report.accepted, report.finished, report.refused), (12, 12, 0), "{report}");
        assert_eq!(report.seen.child_exits().len(), 12);
    }

    fn handle_request_waits_for_a_place() {
        let mut server = Builder::<Tcp, Fork, _>::new(function(echo_line_and_close::<TcpStream>))
            .dispatch(Fork::default().max_children(1))
            .linger(SHORT, usize::MAX)
            .listen();
        let mut clients: Vec<TcpStream> = (0..5).map(|_| connect(server.local_addr())).collect();
        for client in &mut clients {
            client.write_all(b"hello\n").expect("send");
        }
        for client in &mut clients {
            assert_eq!(server.handle_request().expect("handle_request"), socketserver::Handled::Request);
            assert!(children(std::process::id()).len() <= 1);
            assert_eq!(read_line(client), "hello");
        }
    }

    fn children_that_take_too_long_are_killed() {
        let handler = |request: &mut Stream<TcpStream>| echo_line_and_close(request);
        let mut clients = Vec::new();
        let dispatch = Fork::default().child_timeout(Duration::from_millis(200));
        let report = serve_children(dispatch, 2, handler, |address| {
            let mut quick = connect(address);
            quick.write_all(b"quick\n").expect("send");
            // Its child need not wait for it to close.
            quick.shutdown(std::net::Shutdown::Write).expect("shutdown");
            let mut slow = connect(address);
            slow.write_all(b"half a li").expect("send");
            clients.extend([quick, slow]);
        });
        assert_eq!(read_line(&clients[0]), "quick");
        let mut ends: Vec<_> = report.seen.child_exits().iter().map(|(_, code, signal)| (*code, *signal)).collect();
        ends.sort_unstable();
        assert_eq!(ends, [(None, Some(libc::SIGKILL)), (Some(0), None)]);
        assert_eq!((report.finished, report.failed), (1, 1), "{report}");
    }
}
