//! Transports that wrap others, under a server that forks: what the parent has to know of a connection it hears before
//! it forks, and nobody keeps it from the others meanwhile.
//!
//! In a harness without threads, because a process that forks must have one. The server is this very program, started
//! again.

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
    use crate::common::connect_from;
    use crate::common::example::Example;
    use crate::common::proxy_headers::v1;
    use crate::common::read_line;
    use crate::common::read_rest;
    use socketserver::Builder;
    use socketserver::Event;
    use socketserver::Flow;
    use socketserver::Fork;
    use socketserver::HandlerResult;
    use socketserver::Socket;
    use socketserver::Stream;
    use socketserver::Tcp;
    use socketserver::handler::function;
    use socketserver::transport::Bind;
    use socketserver::transport::InetAddress;
    use socketserver::transport::Many;
    use socketserver::transport::PerSource;
    use socketserver::transport::PerSourceOptions;
    use socketserver::transport::ProxyOptions;
    use socketserver::transport::ProxyProtocol;
    use std::fmt::Debug;
    use std::io::Read;
    use std::io::Write;
    use std::net::SocketAddr;
    use std::net::TcpStream;
    use std::process::Command;
    use std::time::Duration;
    use std::time::Instant;

    /// How long a header may take.
    const SHORT: Duration = Duration::from_millis(300);

    const LONG: Duration = Duration::from_secs(600);

    pub(crate) fn main() {
        if let Some(arguments) = cases::started_again("--serve") {
            let short = arguments.iter().any(|argument| argument == "short");
            let once = arguments.iter().any(|argument| argument == "once");
            return match arguments[0].as_str() {
                "proxied" => serve::<ProxyProtocol<Tcp>, _>(trusting(), short, once),
                "counted" => serve::<PerSource<Tcp>, _>(PerSourceOptions::new().most(1), short, once),
                "both" => {
                    serve::<PerSource<ProxyProtocol<Tcp>>, _>(
                        PerSourceOptions::new().most(1).inner(trusting()),
                        short,
                        once,
                    );
                }
                "many" => serve_many(),
                other => panic!("--serve {other}"),
            };
        }
        cases::run(cases![
            an_announced_client,
            one_that_is_not_trusted_costs_no_process,
            a_place_is_held_until_the_child_has_ended,
            the_announced_source_is_counted,
            silent_ones_cost_no_process_and_hold_no_one_up,
            a_child_has_nothing_of_those_that_wait,
            one_that_waits_is_ended_by_its_timeout,
            stopped_while_one_waits,
            one_request_at_a_time,
            several_listeners_are_one_server,
            a_child_has_none_of_the_listeners,
        ])
    }

    fn trusting<O: Default>() -> ProxyOptions<O> {
        ProxyOptions::new().trust("127.0.0.1".parse().expect("a network"))
    }

    fn answer<S: Socket<Addr: Debug>>(request: &mut Stream<S>) -> HandlerResult {
        match read_line(&mut *request).as_str() {
            "who" => {
                let client = request.peer_addr().cloned();
                writeln!(request, "{client:?}")?;
            }
            "pause" => {
                request.stop_handle().expect("it is served").pause();
                writeln!(request, "paused")?;
            }
            "resume" => {
                request.stop_handle().expect("it is served").resume();
                writeln!(request, "resumed")?;
            }
            line => writeln!(request, "{line}")?,
        }
        Ok(Flow::Continue)
    }

    /// Tells of accepts, refusals and ends of children on standard output.
    fn tell(event: &Event<'_>) {
        match event {
            Event::Start { .. } => println!("start"),
            Event::Refused { reason } => println!("refused {reason}"),
            Event::ChildExit { .. } => println!("exit"),
            _ => {}
        }
    }

    fn serve<T, S>(options: T::Options, short: bool, once: bool)
    where
        T: Bind<Request = Stream<S>, Address = InetAddress, Addr = SocketAddr>,
        S: Socket<Addr: Debug> + 'static,
    {
        let mut server = Builder::<T, Fork, _>::new(function(answer::<S>))
            .transport_options(options)
            .establish_timeout(if short { SHORT } else { LONG })
            .drain_timeout(SHORT)
            .on_event(tell)
            .bind("127.0.0.1:0")
            .expect("bind");
        let _signals = socketserver::signals::stop_on_signals(server.stop_handle()).expect("signals");
        println!("listening on {}", server.local_addr());
        if once {
            println!("{:?}", server.handle_request().expect("handle_request"));
        }
        eprintln!("{}", server.serve_forever().expect("serve"));
    }

    fn serve_many() {
        let server = Builder::<Many<Tcp>, Fork, _>::new(function(answer::<TcpStream>))
            .max_connections(3)
            .bind(["127.0.0.1:0", "127.0.0.1:0"])
            .expect("bind");
        let _signals = socketserver::signals::stop_on_signals(server.stop_handle()).expect("signals");
        println!("listening on {}", server.local_addr());
        eprintln!("{}", server.serve_forever().expect("serve"));
    }

    fn start(arguments: &[&str]) -> Example {
        let program = std::env::current_exe().expect("this program");
        Example::spawn(Command::new(program).arg("--serve").args(arguments))
    }

    fn relay(server: &Example, bytes: &[u8]) -> TcpStream {
        let mut client = connect(server.socket_address());
        // One that is refused may be closed already.
        let _ = client.write_all(bytes);
        client
    }

    fn is_closed(mut client: impl Read) {
        match client.read(&mut [0; 1]) {
            Ok(count) => assert_eq!(count, 0, "it is served"),
            Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset),
        }
    }

    fn processes(server: &Example) -> usize {
        children(server.pid()).len()
    }

    fn an_announced_client() {
        let server = start(&["proxied"]);
        let client = relay(&server, &v1("192.0.2.1", 7));
        assert_eq!(ask(&client, "who"), "Some(Inet(192.0.2.1:7))");
        // The child reads the header: one that is silent has a process.
        let silent = connect(server.socket_address());
        becomes("children", &2, || processes(&server));
        drop((client, silent));
        let (status, report) = server.stop();
        assert!(status.success() && report.starts_with("2 accepted: 2 finished"), "{report}");
    }

    fn one_that_is_not_trusted_costs_no_process() {
        let mut server = start(&["proxied"]);
        is_closed(connect_from("127.0.0.2", server.socket_address()));
        assert_eq!((server.line(), server.line()), ("start\n".into(), "refused untrusted\n".into()));
        let (_, report) = server.stop();
        assert!(report.starts_with("1 accepted: ") && report.contains("1 refused"), "{report}");
    }

    fn a_place_is_held_until_the_child_has_ended() {
        let mut server = start(&["counted"]);
        let first = connect(server.socket_address());
        assert_eq!(ask(&first, "hello"), "hello");
        is_closed(connect(server.socket_address()));
        assert_eq!(processes(&server), 1);
        drop(first);
        while server.line() != "exit\n" {}
        let second = connect(server.socket_address());
        assert_eq!(ask(&second, "hello"), "hello");
        drop(second);
        let (_, report) = server.stop();
        assert!(report.starts_with("3 accepted: 2 finished") && report.contains("1 refused"), "{report}");
    }

    fn the_announced_source_is_counted() {
        let mut server = start(&["both"]);
        let first = relay(&server, &v1("192.0.2.1", 7));
        assert_eq!(ask(&first, "who"), "Some(Inet(192.0.2.1:7))");
        is_closed(relay(&server, &v1("192.0.2.1", 8)));
        let other = relay(&server, &v1("192.0.2.2", 8));
        assert_eq!(ask(&other, "hello"), "hello");
        assert_eq!(processes(&server), 2);
        drop(first);
        while server.line() != "exit\n" {}
        let again = relay(&server, &[&v1("192.0.2.1", 9)[..], b"hello\n"].concat());
        assert_eq!(read_line(&again), "hello");
        drop((other, again));
        let (_, report) = server.stop();
        assert!(report.starts_with("4 accepted: 3 finished") && report.contains("1 refused"), "{report}");
    }

    fn silent_ones_cost_no_process_and_hold_no_one_up() {
        let mut server = start(&["both"]);
        let silent: Vec<_> = (0..20).map(|count| relay(&server, &v1("192.0.2.1", 7)[..count])).collect();
        let client = relay(&server, &v1("192.0.2.1", 7));
        assert_eq!(ask(&client, "hello"), "hello");
        assert_eq!(processes(&server), 1);
        drop(silent);
        drop(client);
        while server.line() != "exit\n" {}
        let (_, report) = server.stop();
        // Those that have begun with a header have failed.
        assert!(report.starts_with("21 accepted: 2 finished") && report.contains("19 failed"), "{report}");
    }

    fn a_child_has_nothing_of_those_that_wait() {
        let mut server = start(&["both", "short"]);
        let silent = connect(server.socket_address());
        assert_eq!(server.line(), "start\n");
        let client = relay(&server, &v1("192.0.2.1", 7));
        assert_eq!(ask(&client, "hello"), "hello");
        // Its parent gives it up, and the child does not keep it open.
        assert_eq!(read_rest(&silent), b"");
        assert_eq!(ask(&client, "still here"), "still here");
        drop(client);
        while server.line() != "exit\n" {}
        let (_, report) = server.stop();
        assert!(report.starts_with("2 accepted: 1 finished") && report.contains("1 failed"), "{report}");
    }

    fn one_that_waits_is_ended_by_its_timeout() {
        let server = start(&["both", "short"]);
        let begun = Instant::now();
        let client = relay(&server, b"PROXY TCP4 ");
        assert_eq!(read_rest(&client), b"");
        assert!(begun.elapsed() >= SHORT, "after {:?}", begun.elapsed());
        let (_, report) = server.stop();
        assert!(report.starts_with("1 accepted: ") && report.contains("1 failed"), "{report}");
    }

    fn stopped_while_one_waits() {
        let mut server = start(&["both"]);
        let silent = connect(server.socket_address());
        assert_eq!(server.line(), "start\n");
        let (status, report) = server.stop();
        assert!(status.success() && report.starts_with("1 accepted: ") && report.contains("1 idle"), "{report}");
        assert_eq!(read_rest(&silent), b"");
        // One that has begun has until the deadline.
        let mut server = start(&["both"]);
        let slow = relay(&server, b"PROXY TCP4 ");
        assert_eq!(server.line(), "start\n");
        let (status, report) = server.stop();
        assert!(status.success() && report.contains("1 forced"), "{report}");
        is_closed(&slow);
        // One that goes on is served to its end.
        let mut server = start(&["both"]);
        let mut late = relay(&server, b"PROXY TCP4 ");
        assert_eq!(server.line(), "start\n");
        rustix::process::kill_process(
            rustix::process::Pid::from_raw(server.pid().cast_signed()).expect("a process"),
            rustix::process::Signal::TERM,
        )
        .expect("a signal");
        late.write_all(&[&v1("192.0.2.1", 7)[11..], b"hello\n"].concat()).expect("send");
        let heard = read_rest(&late);
        let (status, report) = server.wait();
        assert!(status.success() && report.starts_with("1 accepted: "), "{report}");
        // On a machine that does other things the deadline may come first.
        assert!(heard == b"hello\n" || report.contains("1 forced"), "{report}");
    }

    fn one_request_at_a_time() {
        let mut server = start(&["both", "once"]);
        let mut client = relay(&server, b"PROXY TCP4 ");
        assert_eq!(server.line(), "start\n");
        client.write_all(&v1("192.0.2.1", 7)[11..]).expect("send");
        assert_eq!(server.line(), "Request\n");
        assert_eq!(ask(&client, "hello"), "hello");
        // From here on it serves as ever.
        is_closed(relay(&server, &v1("192.0.2.1", 8)));
        drop(client);
        while server.line() != "exit\n" {}
        let (_, report) = server.stop();
        assert!(report.starts_with("2 accepted: 1 finished"), "{report}");
    }

    fn addresses(server: &Example) -> Vec<SocketAddr> {
        server.address.split(", ").map(|text| text.parse().expect("an address")).collect()
    }

    fn several_listeners_are_one_server() {
        let server = start(&["many"]);
        let addresses = addresses(&server);
        let clients: Vec<_> = addresses.iter().map(|address| connect(*address)).collect();
        for client in &clients {
            assert_eq!(ask(client, "hello"), "hello");
        }
        assert_eq!(ask(&clients[0], "pause"), "paused");
        // The parent has been told before it forks again, which it does for neither of these.
        let waiting: Vec<_> = addresses.iter().map(|address| connect(*address)).collect();
        assert_eq!(children(server.pid()).len(), 2);
        assert_eq!(ask(&clients[0], "resume"), "resumed");
        // The limit is one for both: two wait for one place.
        becomes("a third child", &3, || children(server.pid()).len());
        drop(clients);
        for client in &waiting {
            assert_eq!(ask(client, "hello"), "hello");
        }
        let (status, report) = server.stop();
        assert!(status.success() && report.starts_with("4 accepted: "), "{report}");
        for address in addresses {
            assert!(TcpStream::connect(address).is_err(), "{address} is closed");
        }
    }

    /// Whose server is killed goes on with its client, and keeps no other waiting in a backlog that nobody looks at.
    fn a_child_has_none_of_the_listeners() {
        let server = start(&["many"]);
        let addresses = addresses(&server);
        let clients: Vec<_> = addresses.iter().map(|address| connect(*address)).collect();
        for client in &clients {
            assert_eq!(ask(client, "hello"), "hello");
        }
        // Dropping kills it.
        drop(server);
        for address in addresses {
            becomes("refused", &true, || TcpStream::connect(address).is_err());
        }
        for client in &clients {
            assert_eq!(ask(client, "still here"), "still here");
        }
    }
}
