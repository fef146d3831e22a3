//! What the features `tracing` and `metrics` tell of a server, under each dispatch, by the names that are documented.

#[macro_use]
mod common;
#[path = "common/collect.rs"]
mod collect;

use std::collections::BTreeMap;
use std::io::BufRead;
use std::io::Write;
use std::net::TcpStream;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;

use collect::collect;
use collect::metrics_of;
use collect::said_of;
use collect::spans_of;
use common::Running;
use common::Start;
use common::ask;
use common::connect;
use common::connect_udp;
use common::echo::Echo;
use common::eventually;
use common::read_rest;
use common::receive;
use socketserver::Builder;
use socketserver::Flow;
use socketserver::HandlerResult;
use socketserver::Stream;
use socketserver::Tcp;
use socketserver::ThreadPerRequest;
use socketserver::Transport;
use socketserver::Udp;
use socketserver::dispatch::Dispatch;
use socketserver::handler::function;
use socketserver::testing::Faulty;
use socketserver::testing::Script;
use tracing::Level;

/// Says what it reads, and does what it is told to.
fn say(request: &mut Stream<TcpStream>) -> HandlerResult {
    let mut line = String::new();
    request.read_line(&mut line)?;
    tracing::info!("{}", line.trim_end());
    match line.as_str() {
        "fail\n" => Err("on purpose".into()),
        "panic\n" => std::panic::resume_unwind(Box::new("on purpose")),
        "close\n" => Ok(Flow::Close),
        _ => {
            request.write_all(line.as_bytes())?;
            Ok(Flow::Continue)
        }
    }
}

/// Stops the server; the metrics that are left, by name.
#[track_caller]
fn stop<T: Transport>(server: Running<T>, name: &str) -> BTreeMap<String, f64> {
    server.stop();
    let mut metrics = metrics_of(name);
    // Whatever happened: what is open at the end of a server is nothing.
    for gauge in ["socketserver_open", "socketserver_workers", "socketserver_listening"] {
        assert_eq!(metrics.remove(gauge), None, "{gauge}");
    }
    assert_eq!(metrics.remove("socketserver_draining"), Some(1.0));
    // On a busy machine any call may be found to take long.
    metrics.remove("socketserver_slow_total");
    metrics
}

fn figures(metrics: &BTreeMap<String, f64>) -> Vec<(&str, f64)> {
    metrics.iter().map(|(name, value)| (name.strip_prefix("socketserver_").unwrap(), *value)).collect()
}

under_each_dispatch! {
    but_fork("the parent has the accounts and the child its handler's words: they are tested by themselves"):

    fn a_connection_is_a_span_and_is_counted<D>() {
        collect();
        let name = format!("one {}", D::NAME);
        let server = Builder::<Tcp, D, _>::new(function(say)).traced(&name).measured(&name).start();
        let client = connect(server.local_addr());
        let peer = client.local_addr().unwrap();
        assert_eq!(ask(&client, "hello"), "hello");
        assert_eq!(metrics_of(&name)["socketserver_open"], 1.0);
        assert_eq!(metrics_of(&name)["socketserver_listening"], 1.0);
        assert_eq!(spans_of(&name)[0].fields.0.get("end"), None);
        assert_eq!(ask(&client, "again"), "again");
        drop(client);
        server.seen.wait_for_ends(1);
        let metrics = stop(server, &name);

        let spans = spans_of(&name);
        assert_eq!(spans.len(), 1);
        let span = &spans[0];
        assert!(span.is_closed());
        assert_eq!(span.name, "request");
        assert_eq!(span.messages(), ["hello", "again"]);
        for (field, value) in [
            ("id", "1"), ("peer", &*peer.to_string()), ("end", "peer_closed"), ("received", "12"), ("sent", "12"), ("calls", "2"),
        ] {
            assert_eq!(span.fields.get(field), value, "{field}");
        }
        assert!(span.fields.get("duration_ms").parse::<f64>().unwrap() > 0.0);

        assert_eq!(figures(&metrics), [
            ("calls_total", 2.0), ("duration_seconds", 1.0), ("ended_total{end=peer_closed}", 1.0),
            ("received_bytes_total", 12.0), ("sent_bytes_total", 12.0), ("started_total", 1.0),
        ]);
    }

    fn phases_and_workers_are_told<D>() {
        collect();
        let name = format!("phases {}", D::NAME);
        let server = Builder::<Tcp, D, _>::new(function(say)).traced(&name).start();
        let address = server.local_addr().to_string();
        assert_eq!(ask(&connect(server.local_addr()), "hello"), "hello");
        server.stop();
        // On a busy machine any call may be found to take long.
        let (workers, phases): (Vec<_>, Vec<_>) = said_of(&name)
            .into_iter()
            .filter(|said| said.message() != "a handler is slow")
            .partition(|said| said.message().contains("worker"));
        let phases: Vec<_> = phases.iter().map(|said| (said.level, said.message())).collect();
        assert_eq!(phases, [(Level::INFO, "listening"), (Level::INFO, "draining"), (Level::INFO, "stopped listening")]);
        assert_eq!(said_of(&name).iter().find(|said| said.message() == "listening").unwrap().fields.get("address"), address);
        let names = |message: &str| {
            let mut names: Vec<_> =
                workers.iter().filter(|said| said.message() == message).map(|said| said.fields.get("name")).collect();
            names.sort_unstable();
            names
        };
        assert_eq!(names("a worker started"), names("a worker stopped"));
        assert_eq!(workers.is_empty(), D::NAME == socketserver::Sync::NAME, "{workers:?}");
    }

    fn errors_and_refusals_are_told_where_they_belong<D>() {
        collect();
        let name = format!("errors {}", D::NAME);
        let refuses = std::sync::Arc::new(AtomicBool::new(false));
        let verify = std::sync::Arc::clone(&refuses);
        let server = Builder::<Tcp, D, _>::new(function(say))
            .verify(move |_| !verify.load(Ordering::SeqCst)).measured(&name).traced(&name).start();
        for word in ["fail", "panic", "close", "refused"] {
            refuses.store(word == "refused", Ordering::SeqCst);
            let mut client = connect(server.local_addr());
            client.write_all(format!("{word}\n").as_bytes()).unwrap();
            assert_eq!(read_rest(&client), b"");
        }
        server.seen.wait_for_ends(4);
        let metrics = stop(server, &name);

        let spans = spans_of(&name);
        let ends: Vec<_> = spans.iter().map(|span| span.fields.get("end")).collect();
        assert_eq!(ends, ["failed", "panicked", "handler_closed", "refused"]);
        assert_eq!(spans[0].messages(), ["fail", "a step failed"]);
        assert_eq!(spans[1].messages(), ["panic", "a step panicked"]);
        assert_eq!(spans[2].messages(), ["close"]);
        assert_eq!(spans[3].messages(), [""; 0]);
        let (failed, panicked) = (&spans[0].said[1], &spans[1].said[1]);
        assert_eq!((failed.level, panicked.level), (Level::WARN, Level::ERROR));
        assert_eq!((failed.fields.get("stage"), failed.fields.get("error")), ("handle", "handle: on purpose"));
        let refusals: Vec<_> = said_of(&name).into_iter().filter(|said| said.message() == "a connection was refused").collect();
        assert_eq!(refusals.len(), 1);
        assert_eq!(refusals[0].fields.get("reason"), "unverified");

        for (metric, value) in [
            ("socketserver_errors_total{stage=handle}", 2.0), ("socketserver_refused_total{reason=unverified}", 1.0),
            ("socketserver_ended_total{end=failed}", 1.0), ("socketserver_ended_total{end=panicked}", 1.0),
            ("socketserver_ended_total{end=handler_closed}", 1.0), ("socketserver_ended_total{end=refused}", 1.0),
        ] {
            assert_eq!(metrics[metric], value, "{metric}");
        }
    }

    fn an_episode_of_accept_errors_is_told_at_both_ends<D>() {
        collect();
        let name = format!("episode {}", D::NAME);
        let script = Script::new();
        script.fail(&[libc::ECONNABORTED, libc::EMFILE, libc::EMFILE, libc::EMFILE]);
        let server = Builder::<Faulty<Tcp>, D, _>::new(function(say))
            .transport_options(script.options()).traced(&name).measured(&name).start();
        assert_eq!(ask(&connect(server.local_addr()), "hello"), "hello");
        let metrics = stop(server, &name);
        let said = said_of(&name);
        let told: Vec<_> = said.iter().filter(|said| said.message().starts_with("a connection was lost") || said.message().starts_with("accepting")).collect();
        let messages: Vec<_> = told.iter().map(|said| (said.level, said.message())).collect();
        let expected = [
            (Level::DEBUG, "a connection was lost"), (Level::WARN, "accepting fails"), (Level::INFO, "accepting works again"),
        ];
        assert_eq!(messages, expected);
        assert_eq!(told[2].fields.get("failures"), "3");
        // The error as handle_error is told it: there is no connection that it could belong to.
        assert!(said.iter().any(|said| said.message() == "a step failed" && said.fields.get("stage") == "accept"));
        for (metric, value) in [
            ("socketserver_accept_episodes_total", 1.0), ("socketserver_accept_failures_total", 3.0),
            ("socketserver_accept_lost_total", 1.0), ("socketserver_errors_total{stage=accept}", 1.0),
        ] {
            assert_eq!(metrics[metric], value, "{metric}");
        }
    }

    fn a_message_is_a_span_too<D>() {
        collect();
        let name = format!("message {}", D::NAME);
        let server = Builder::<Udp, D, _>::new(|| Echo).traced(&name).measured(&name).start();
        let client = connect_udp("127.0.0.1:0", server.local_addr());
        for message in ["one", "two"] {
            client.send(message.as_bytes()).unwrap();
            assert_eq!(receive(|buffer| client.recv(buffer)), message.as_bytes());
        }
        server.seen.wait_for_ends(2);
        let metrics = stop(server, &name);
        let spans = spans_of(&name);
        let ends: Vec<_> = spans.iter().map(|span| (span.is_closed(), span.fields.get("end"), span.fields.get("calls"))).collect();
        assert_eq!(ends, [(true, "handler_closed", "1"); 2]);
        assert_eq!(metrics["socketserver_ended_total{end=handler_closed}"], 2.0);
    }
}

/// Both are added to what a factory has already, and leave its other hooks alone.
#[test]
fn the_hooks_of_the_factory_inside_are_its_own() {
    collect();
    let (told, errors) = std::sync::mpsc::channel();
    let told = std::sync::Mutex::new(told);
    let server = Builder::<Tcp, ThreadPerRequest, _>::new(function(say))
        .on_error(move |error, _| told.lock().unwrap().send(error.to_string()).unwrap())
        .speaking_first()
        .traced("hooks")
        .measured("hooks")
        .start();
    connect(server.local_addr()).write_all(b"fail\n").unwrap();
    assert_eq!(errors.recv_timeout(common::PATIENCE).unwrap(), "handle: on purpose");
    server.seen.wait_for_ends(1);
    stop(server, "hooks");
}

/// The connection is the handler's from then on; the span goes on while `detached` runs, and no longer.
#[test]
fn a_detached_connection_ends_its_span() {
    struct Detaches;
    impl socketserver::Handler<Stream<TcpStream>> for Detaches {
        fn handle(&mut self, _: &mut Stream<TcpStream>) -> HandlerResult {
            Ok(Flow::Detach)
        }

        fn detached(self, _: Stream<TcpStream>) {
            tracing::info!("mine now");
        }
    }
    collect();
    let server = Builder::<Tcp, ThreadPerRequest, _>::new(|| Detaches).traced("detached").start();
    let mut client = connect(server.local_addr());
    client.write_all(b"x").unwrap();
    assert_eq!(read_rest(&client), b"");
    eventually("the span is closed", || spans_of("detached").iter().all(|span| span.is_closed()));
    server.stop();
    let spans = spans_of("detached");
    assert_eq!((spans[0].fields.get("end"), spans[0].messages()), ("detached", vec!["mine now"]));
}
