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
    use crate::common::read_rest;
    use socketserver::Event;
    use socketserver::Flow;
    use socketserver::ForkingTcpServer;
    use socketserver::StopHandle;
    use socketserver::Stream;
    use std::cell::OnceCell;
    use std::io::BufRead;
    use std::io::Write;
    use std::net::TcpStream;
    use std::rc::Rc;

    pub(crate) fn main() {
        cases::run(cases![the_parent_has_the_accounts_and_the_child_its_words])
    }

    fn the_parent_has_the_accounts_and_the_child_its_words() {
        collect();
        let stop: Rc<OnceCell<StopHandle>> = Rc::default();
        let exits = std::cell::Cell::new(0);
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
        .observed({
            let stop = Rc::clone(&stop);
            move |event: &Event<'_>| {
                exits.set(exits.get() + u32::from(matches!(event, Event::ChildExit { .. })));
                if exits.get() == 2 {
                    stop.get().expect("set").shutdown();
                }
            }
        })
        .traced("fork")
        .measured("fork")
        .listen();
        stop.set(server.stop_handle()).expect("once");
        let mut fine = connect(server.local_addr());
        fine.write_all(b"fine\n").unwrap();
        let mut fails = connect(server.local_addr());
        fails.write_all(b"fail\n").unwrap();
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
}
