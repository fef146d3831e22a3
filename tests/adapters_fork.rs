//! What the features `tracing` and `metrics` tell of a server that forks: the parent has the accounts, the child its
//! handler's words.
//!
//! In a harness without threads, because this process must have one.

#[cfg(unix)]
#[path = "common/collect.rs"]
mod collect;
#[cfg(unix)]
mod common;

fn main() {
    #[cfg(unix)]
    unix::main();
}

#[cfg(unix)]
mod unix {
    use crate::cases;
    use crate::collect::collect;
    use crate::collect::metrics_of;
    use crate::collect::said_of;
    use crate::collect::spans_of;
    use crate::common::Listen;
    use crate::common::cases;
    use crate::common::connect;
    use crate::common::connect_udp;
    use crate::common::echo::Echo;
    use crate::common::read_rest;
    use socketserver::Builder;
    use socketserver::Event;
    use socketserver::Flow;
    use socketserver::Fork;
    use socketserver::ForkingTcpServer;
    use socketserver::ForkingUdpServer;
    use socketserver::HandlerResult;
    use socketserver::StopHandle;
    use socketserver::Stream;
    use socketserver::Tcp;
    use socketserver::handler::function;
    use socketserver::testing::Faulty;
    use socketserver::testing::Script;
    use std::cell::Cell;
    use std::cell::OnceCell;
    use std::io::BufRead;
    use std::io::Write;
    use std::net::SocketAddr;
    use std::net::TcpStream;
    use std::rc::Rc;
    use std::time::Duration;

    pub(crate) fn main() {
        collect();
        cases::run(cases![
            the_parent_has_the_accounts_and_the_child_its_words,
            a_panic_is_an_end,
            phases_and_accept_errors_are_told_and_no_workers,
            a_message_is_a_span_too,
        ])
    }

    /// Stops the server when so many children have ended.
    fn stops_after(children: u32, stop: &Rc<OnceCell<StopHandle>>) -> impl Fn(&Event<'_>) + use<> {
        let (stop, exits) = (Rc::clone(stop), Cell::new(0));
        move |event: &Event<'_>| {
            exits.set(exits.get() + u32::from(matches!(event, Event::ChildExit { .. })));
            if exits.get() == children {
                stop.get().expect("set").shutdown();
            }
        }
    }

    /// A client that sends this and no more.
    fn client(server: SocketAddr, sends: &str) -> TcpStream {
        let mut client = connect(server);
        client.write_all(sends.as_bytes()).expect("send");
        client
    }

    fn the_parent_has_the_accounts_and_the_child_its_words() {
        let stop: Rc<OnceCell<StopHandle>> = Rc::default();
        let server = ForkingTcpServer::builder_fn(|request: &mut Stream<TcpStream>| {
            let mut line = String::new();
            request.read_line(&mut line)?;
            if line == "fail\n" {
                return Err("on purpose".into());
            }
            // The child's copy of what was collected, with this word in the span of the connection.
            tracing::info!("inside");
            let words: Vec<String> = spans_of("fork").iter().map(|span| span.messages().join(" ")).collect();
            request.write_all(words.concat().as_bytes())?;
            Ok(Flow::Close)
        })
        .observed(stops_after(2, &stop))
        .traced("fork")
        .measured("fork")
        .listen();
        stop.set(server.stop_handle()).expect("once");
        let (fine, fails) = (client(server.local_addr(), "fine\n"), client(server.local_addr(), "fail\n"));
        server.serve_forever();
        assert_eq!(read_rest(&fine), b"inside");
        assert_eq!(read_rest(&fails), b"");

        let mut ends: Vec<_> = spans_of("fork").iter().map(|span| span.fields.get("end").to_owned()).collect();
        ends.sort();
        assert_eq!(ends, ["failed", "handler_closed"]);
        assert!(spans_of("fork").iter().all(|span| span.is_closed()));
        let said = said_of("fork");
        let mut children: Vec<_> = said.iter().filter(|said| said.message().starts_with("a child")).collect();
        children.sort_by_key(|said| said.message().to_owned());
        assert_eq!(
            children.iter().map(|said| said.message()).collect::<Vec<_>>(),
            ["a child exited", "a child failed"]
        );
        assert_eq!(children.iter().map(|said| said.fields.get("code")).collect::<Vec<_>>(), ["0", "1"]);
        let metrics = metrics_of("fork");
        for (metric, value) in [
            ("socketserver_child_exits_total{outcome=success}", 1.0),
            ("socketserver_child_exits_total{outcome=failure}", 1.0),
            ("socketserver_started_total", 2.0),
            ("socketserver_duration_seconds", 2.0),
        ] {
            assert_eq!(metrics.get(metric), Some(&value), "{metric}");
        }
        assert_eq!(metrics.get("socketserver_open"), None);
    }

    fn say(request: &mut Stream<TcpStream>) -> HandlerResult {
        let mut line = String::new();
        request.read_line(&mut line)?;
        if line == "panic\n" {
            std::panic::resume_unwind(Box::new("on purpose"));
        }
        request.write_all(line.as_bytes())?;
        Ok(Flow::Close)
    }

    fn a_panic_is_an_end() {
        let (stop, name) = (Rc::<OnceCell<StopHandle>>::default(), "panics");
        let server = ForkingTcpServer::builder_fn(say)
            .observed(stops_after(2, &stop))
            .linger(Duration::from_millis(50), usize::MAX)
            .traced(name)
            .measured(name)
            .listen();
        stop.set(server.stop_handle()).expect("once");
        let _clients = ["panic\n", "hello\n"].map(|sends| client(server.local_addr(), sends));
        server.serve_forever();
        let ends: Vec<_> = spans_of(name).iter().map(|span| span.fields.get("end").to_owned()).collect();
        assert_eq!(ends, ["panicked", "handler_closed"]);
        let metrics = metrics_of(name);
        for (metric, value) in [
            ("socketserver_ended_total{end=panicked}", 1.0),
            ("socketserver_ended_total{end=handler_closed}", 1.0),
            ("socketserver_calls_total", 2.0),
            ("socketserver_received_bytes_total", 12.0),
            ("socketserver_sent_bytes_total", 6.0),
        ] {
            assert_eq!(metrics.get(metric), Some(&value), "{metric}");
        }
    }

    fn phases_and_accept_errors_are_told_and_no_workers() {
        let (stop, name) = (Rc::<OnceCell<StopHandle>>::default(), "phases");
        let script = Script::new();
        script.fail(&[libc::ECONNABORTED, libc::EMFILE, libc::EMFILE]);
        let server = Builder::<Faulty<Tcp>, Fork, _>::new(function(say))
            .transport_options(script.options())
            .observed(stops_after(1, &stop))
            .linger(Duration::from_millis(50), usize::MAX)
            .traced(name)
            .listen();
        stop.set(server.stop_handle()).expect("once");
        let _client = client(server.local_addr(), "hello\n");
        server.serve_forever();
        let said = said_of(name);
        let told: Vec<_> = said.iter().map(|said| said.message()).filter(|said| *said != "a step failed").collect();
        let expected = [
            "listening",
            "a connection was lost",
            "accepting fails",
            "accepting works again",
            "a child exited",
            "draining",
            "stopped listening",
        ];
        assert_eq!(told, expected);
        let errors: Vec<_> = said.iter().filter(|said| said.message() == "a step failed").collect();
        assert_eq!(errors.len(), 1);
        assert_eq!(errors[0].fields.get("stage"), "accept");
    }

    fn a_message_is_a_span_too() {
        let (stop, name) = (Rc::<OnceCell<StopHandle>>::default(), "messages");
        let server =
            ForkingUdpServer::builder(|| Echo).observed(stops_after(2, &stop)).traced(name).measured(name).listen();
        stop.set(server.stop_handle()).expect("once");
        let client = connect_udp("127.0.0.1:0", server.local_addr());
        for message in ["one", "two"] {
            client.send(message.as_bytes()).expect("send");
        }
        server.serve_forever();
        let spans = spans_of(name);
        let ends = spans.iter().map(|span| (span.is_closed(), span.fields.get("end"), span.fields.get("calls")));
        assert_eq!(ends.collect::<Vec<_>>(), [(true, "handler_closed", "1"); 2]);
        assert_eq!(metrics_of(name)["socketserver_ended_total{end=handler_closed}"], 2.0);
    }
}
