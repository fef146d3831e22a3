//! What a handler does with its server's stop handle reaches the whole server, also where the handler runs in a child.
//!
//! In a harness without threads, because this process must have one.

#[cfg(target_os = "linux")]
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
    use crate::common::PATIENCE;
    use crate::common::ask;
    use crate::common::cases;
    use crate::common::connect;
    use crate::common::read_line;
    use crate::common::read_rest;
    use socketserver::Builder;
    use socketserver::Event;
    use socketserver::Flow;
    use socketserver::Fork;
    use socketserver::Handled;
    use socketserver::HandlerResult;
    use socketserver::PanicPolicy;
    use socketserver::ServeError;
    use socketserver::StopHandle;
    use socketserver::Stream;
    use socketserver::Tcp;
    use socketserver::handler::Function;
    use socketserver::handler::function;
    use std::cell::OnceCell;
    use std::io::BufRead;
    use std::io::Read;
    use std::io::Write;
    use std::net::SocketAddr;
    use std::net::TcpStream;
    use std::rc::Rc;
    use std::time::Duration;

    pub(crate) fn main() {
        cases::run(cases![
            shutdown_ends_the_server,
            shutdown_ends_idle_siblings,
            shutdown_within_brings_its_deadline,
            shutdown_now_waits_for_no_sibling,
            a_second_stop_shortens_the_first,
            pause_and_resume,
            handle_request_says_so,
            a_stop_of_the_parent_reaches_the_child,
            a_panic_stops_the_server_and_is_its_error,
        ])
    }

    type Connection = Stream<TcpStream>;
    type Handle = fn(&mut Connection) -> HandlerResult;

    /// Does what its client's lines say, and answers with the line.
    fn obey(request: &mut Connection) -> HandlerResult {
        let mut line = String::new();
        request.read_line(&mut line)?;
        let stop = request.stop_handle().expect("it is served");
        match line.trim() {
            "stop" => stop.shutdown(),
            "stop within 20 ms" => stop.shutdown_within(Duration::from_millis(20)),
            "stop now" => stop.shutdown_now(),
            "panic" => panic!("on purpose"),
            "block" => {
                request.read_line(&mut line)?;
            }
            _ => {}
        }
        request.write_all(line.as_bytes())?;
        Ok(Flow::Continue)
    }

    fn builder() -> Builder<Tcp, Fork, Function<Handle>> {
        Builder::new(function(obey as Handle)).read_timeout(None).drain_timeout(PATIENCE)
    }

    /// Serves clients that have sent these lines until the server ends. It has to be stopped by the time the child of the
    /// last line exits.
    fn serve(lines: &[&str]) -> (Vec<TcpStream>, Ended) {
        let stop: Rc<OnceCell<StopHandle>> = Rc::default();
        let (stopper, count) = (Rc::clone(&stop), lines.len());
        let exits = std::cell::Cell::new(0);
        let server = builder()
            .observed(move |event: &Event<'_>| {
                let stop = stopper.get().expect("set");
                exits.set(exits.get() + usize::from(matches!(event, Event::ChildExit { .. })));
                if exits.get() == count && !stop.is_stopping() {
                    // It would serve for ever.
                    eprintln!("all {count} children have exited, and the server has not been stopped");
                    std::process::exit(101);
                }
            })
            .listen();
        stop.set(server.stop_handle()).expect("once");
        let clients = lines.iter().map(|line| {
            let mut client = connect(server.local_addr());
            writeln!(client, "{line}").expect("send");
            client
        });
        let clients: Vec<_> = clients.collect();
        (clients, server.serve_forever())
    }

    fn shutdown_ends_the_server() {
        let (clients, report) = serve(&["stop"]);
        // The handler that asked for it has finished.
        assert_eq!(read_rest(&clients[0]), b"stop\n");
        assert_eq!((report.accepted, report.idle_closed, report.is_clean()), (1, 1, true), "{report}");
    }

    fn shutdown_ends_idle_siblings() {
        let (clients, report) = serve(&["hello", "hello", "stop"]);
        assert_eq!(read_rest(&clients[0]), b"hello\n");
        assert_eq!((report.accepted, report.failed, report.is_clean()), (3, 0, true), "{report}");
    }

    fn shutdown_within_brings_its_deadline() {
        let (clients, report) = serve(&["block", "stop within 20 ms"]);
        assert_eq!(read_rest(&clients[1]), b"stop within 20 ms\n");
        assert_eq!((report.accepted, report.forced), (2, 1), "{report}");
        assert!(report.drained_in < PATIENCE, "the deadline of the builder: {report}");
    }

    fn shutdown_now_waits_for_no_sibling() {
        let (_clients, report) = serve(&["block", "stop now"]);
        // The one that asked for it may be done in time.
        assert_eq!(report.accepted, 2, "{report}");
        assert!(report.forced >= 1, "{report}");
        assert!(report.drained_in < PATIENCE, "the deadline of the builder: {report}");
    }

    fn a_second_stop_shortens_the_first() {
        let handler = |request: &mut Connection| {
            request.read_line(&mut String::new())?;
            let stop = request.stop_handle().expect("it is served");
            stop.shutdown_within(Duration::MAX);
            stop.shutdown();
            stop.shutdown_within(Duration::from_millis(20));
            stop.shutdown();
            request.read_line(&mut String::new())?;
            Ok(Flow::Close)
        };
        let server =
            Builder::<Tcp, Fork, _>::new(function(handler)).read_timeout(None).drain_timeout(Duration::MAX).listen();
        let mut client = connect(server.local_addr());
        client.write_all(b"stop\n").expect("send");
        let report = server.serve_forever();
        assert_eq!((report.accepted, report.forced), (1, 1), "{report}");
        assert_eq!(read_rest(&client), b"");
    }

    /// The child of the first connection is the second one's client.
    fn pause_and_resume() {
        let address: Rc<OnceCell<SocketAddr>> = Rc::default();
        let known = Rc::clone(&address);
        let handler = move |request: &mut Connection| {
            let mut line = String::new();
            request.read_line(&mut line)?;
            let stop = request.stop_handle().expect("it is served");
            if line == "first\n" {
                stop.pause();
                let mut second = connect(*known.get().expect("set"));
                second.write_all(b"second\n")?;
                second.set_read_timeout(Some(Duration::from_millis(200)))?;
                let silence = second.read(&mut [0]).expect_err("the server is paused");
                assert!(matches!(silence.kind(), std::io::ErrorKind::WouldBlock), "{silence}");
                stop.resume();
                second.set_read_timeout(Some(PATIENCE))?;
                line = read_line(&second) + " is served\n";
                stop.shutdown();
            }
            request.write_all(line.as_bytes())?;
            Ok(Flow::Close)
        };
        let server = Builder::<Tcp, Fork, _>::new(function(handler)).listen();
        address.set(server.local_addr()).expect("once");
        let mut client = connect(server.local_addr());
        client.write_all(b"first\n").expect("send");
        let report = server.serve_forever();
        assert_eq!(read_line(&client), "second is served");
        assert_eq!((report.accepted, report.finished), (2, 2), "{report}");
    }

    fn handle_request_says_so() {
        let mut server = builder().listen();
        let stop = server.stop_handle();
        let client = connect(server.local_addr());
        assert_eq!(server.handle_request().expect("handle_request"), Handled::Request);
        assert!(!stop.is_stopping());
        assert_eq!(ask(&client, "stop"), "stop");
        assert!(stop.is_stopping());
        assert_eq!(server.handle_request().expect("handle_request"), Handled::Stopping);
        assert_eq!(read_rest(&client), b"");
    }

    fn a_stop_of_the_parent_reaches_the_child() {
        let mut server = builder().listen();
        let stop = server.stop_handle();
        let waiting = connect(server.local_addr());
        assert_eq!(server.handle_request().expect("handle_request"), Handled::Request);
        assert_eq!(ask(&waiting, "hello"), "hello");
        stop.shutdown();
        // It waited for its next message.
        assert_eq!(read_rest(&waiting), b"");
    }

    fn a_panic_stops_the_server_and_is_its_error() {
        let long = "and what it says is long enough, ".repeat(100);
        let handler = move |request: &mut Connection| -> HandlerResult {
            request.read_line(&mut String::new())?;
            // The message would look like a failure of this test.
            std::panic::set_hook(Box::new(|_| {}));
            panic!("on purpose, {long}")
        };
        let server = Builder::<Tcp, Fork, _>::new(function(handler)).panic_policy(PanicPolicy::Stop).listen();
        let mut client = connect(server.local_addr());
        client.write_all(b"panic\n").expect("send");
        let error = server.try_serve_forever().expect_err("the policy is to stop");
        let ServeError::Panicked { message } = &error else { panic!("{error}") };
        assert!(message.starts_with("handle: panicked: on purpose, and what it says is long enough, and"), "{message}");
        assert_eq!(read_rest(&client), b"");
    }
}
