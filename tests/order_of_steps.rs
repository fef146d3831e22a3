//! The steps of a request come in one order under every dispatch, over TLS as over TCP, and `finish` learns how it ended.

#[macro_use]
mod common;

use std::io::BufRead;
use std::io::Write;
use std::net::SocketAddr;
use std::net::TcpStream;
use std::sync::Mutex;
use std::sync::mpsc;
use std::time::Duration;

use common::Log;
use common::Running;
use common::Start;
use common::streams::Streams;
use socketserver::Builder;
use socketserver::End;
use socketserver::Event;
use socketserver::Flow;
use socketserver::Handler;
use socketserver::HandlerFactory;
use socketserver::HandlerFactoryExt;
use socketserver::HandlerResult;
use socketserver::Observer;
use socketserver::RequestError;
use socketserver::Socket;
use socketserver::Stage;
use socketserver::Stream;
use socketserver::TcpServer;
use socketserver::dispatch::Dispatch;

/// Where the steps go wrong on purpose; what `handle` does, the client says.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
enum Mishap {
    #[default]
    None,
    NotVerified,
    MakePanics,
    SetupFails,
    SetupPanics,
    FinishFails,
    FinishPanics,
}

fn panic_quietly() -> ! {
    std::panic::resume_unwind(Box::new("on purpose"))
}

/// Writes each step down.
#[derive(Clone, Debug, Default)]
struct Steps {
    log: Log,
    errors: Log<Stage>,
    mishap: Mishap,
    greets: bool,
}

impl<S: Socket> HandlerFactory<Stream<S>> for Steps {
    type Handler = Conversation;

    fn make(&self, _: &Stream<S>) -> Conversation {
        self.log.push("make");
        if self.mishap == Mishap::MakePanics {
            panic_quietly();
        }
        Conversation(self.clone())
    }

    fn verify_request(&self, _: &Stream<S>) -> bool {
        self.log.push("verify");
        self.mishap != Mishap::NotVerified
    }

    fn handle_error(&self, error: RequestError, _: Option<&S::Addr>) {
        self.errors.push(error.stage());
    }

    fn speaks_first(&self) -> bool {
        self.greets
    }

    fn observer(&self) -> Option<&dyn Observer> {
        Some(self)
    }
}

impl Observer for Steps {
    fn observe(&self, event: &Event<'_>) {
        match event {
            Event::Start { .. } => self.log.push("start"),
            Event::Stop { end, .. } => self.log.push(format!("stop {end:?}")),
            _ => {}
        }
    }
}

struct Conversation(Steps);

impl<S: Socket> Handler<Stream<S>> for Conversation {
    fn setup(&mut self, request: &mut Stream<S>) -> HandlerResult<()> {
        self.0.log.push("setup");
        match self.0.mishap {
            Mishap::SetupFails => return Err("on purpose".into()),
            Mishap::SetupPanics => panic_quietly(),
            _ => {}
        }
        if self.0.greets {
            request.write_all(b"welcome\n")?;
        }
        Ok(())
    }

    fn handle(&mut self, request: &mut Stream<S>) -> HandlerResult {
        // On a thread of its own it is called before there is anything.
        if request.fill_buf()?.is_empty() {
            return Ok(Flow::Continue);
        }
        self.0.log.push("handle");
        if !request.buffered().contains(&b'\n') {
            return Ok(Flow::Continue);
        }
        let mut line = String::new();
        request.read_line(&mut line)?;
        match line.trim_end() {
            "block" => {
                request.write_all(b"blocked\n")?;
                request.read_line(&mut line)?;
            }
            "close" => return Ok(Flow::Close),
            "detach" => return Ok(Flow::Detach),
            "fail" => return Err("on purpose".into()),
            "panic" => panic_quietly(),
            // From here on, and not before: however long a client took to say so.
            "hurry" => {
                request.set_idle_timeout(Duration::from_millis(50));
                request.write_all(line.as_bytes())?;
            }
            _ => request.write_all(line.as_bytes())?,
        }
        Ok(Flow::Continue)
    }

    fn finish(&mut self, request: &mut Stream<S>, end: End) -> HandlerResult<()> {
        self.0.log.push(format!("finish {end:?}"));
        match self.0.mishap {
            Mishap::FinishFails => return Err("on purpose".into()),
            Mishap::FinishPanics => panic_quietly(),
            _ => {}
        }
        if end == End::HandlerClosed {
            request.write_all(b"farewell\n")?;
        }
        Ok(())
    }

    fn detached(self, request: Stream<S>) {
        self.0.log.push("detached");
        let (mut socket, rest) = request.into_parts();
        assert_eq!(rest, b"");
        socket.write_all(b"mine now\n").unwrap();
        socket.shutdown_write().unwrap();
    }
}

impl Drop for Conversation {
    fn drop(&mut self) {
        self.0.log.push("drop");
    }
}

/// A server whose deadlines are short enough to wait for.
fn serve<T: Streams, D: Default>(steps: &Steps) -> Running<T>
where
    Builder<T, D, Steps>: Start<Transport = T>,
{
    builder::<T, D>(steps).start_at(T::place())
}

fn builder<T: Streams, D: Default>(steps: &Steps) -> Builder<T, D, Steps> {
    Builder::new(steps.clone()).transport_options(T::options()).establish_timeout(common::PATIENCE)
}

/// Talks to a server until it closes; the steps, which must come in this order and no others.
fn expect<T: Streams, D: Default>(mishap: Mishap, says: &str, hears: &str, steps: &[&str], errors: &[Stage])
where
    Builder<T, D, Steps>: Start<Transport = T>,
{
    let wrote = Steps { mishap, ..Steps::default() };
    let server = serve::<T, D>(&wrote);
    let mut client = T::connect(&server.local_addr());
    client.write_all(says.as_bytes()).unwrap();
    let heard = common::read_rest(&mut client);
    assert_eq!(String::from_utf8(heard).unwrap(), hears);
    server.stop();
    assert_eq!(wrote.log.entries(), steps);
    assert_eq!(wrote.errors.entries(), errors);
}

over_each_stream! {
    fn a_conversation_from_start_to_stop<T, D>() {
        let steps = Steps::default();
        let server = serve::<T, D>(&steps);
        let mut client = T::connect(&server.local_addr());
        assert_eq!(common::ask(&mut client, "one"), "one");
        assert_eq!(common::ask(&mut client, "two"), "two");
        assert_eq!(common::ask(&mut client, "close"), "farewell");
        assert_eq!(common::read_rest(&mut client), b"");
        let report = server.stop();
        let expected = [
            "start", "verify", "make", "setup", "handle", "handle", "handle", "finish HandlerClosed", "drop",
            "stop HandlerClosed",
        ];
        assert_eq!(steps.log.entries(), expected);
        assert_eq!((report.accepted, report.finished), (1, 1));
    }

    fn nothing_but_the_end_comes_after_a_refusal<T, D>() {
        expect::<T, D>(Mishap::NotVerified, "hello\n", "", &["start", "verify", "stop Refused"], &[]);
    }

    fn a_factory_that_panics_has_nothing_to_finish<T, D>() {
        let steps = ["start", "verify", "make", "stop Panicked"];
        expect::<T, D>(Mishap::MakePanics, "hello\n", "", &steps, &[Stage::Setup]);
    }

    fn a_setup_that_fails_is_not_finished<T, D>() {
        let steps = ["start", "verify", "make", "setup", "drop", "stop Failed"];
        expect::<T, D>(Mishap::SetupFails, "hello\n", "", &steps, &[Stage::Setup]);
    }

    fn a_setup_that_panics_is_not_finished<T, D>() {
        let steps = ["start", "verify", "make", "setup", "drop", "stop Panicked"];
        expect::<T, D>(Mishap::SetupPanics, "hello\n", "", &steps, &[Stage::Setup]);
    }

    fn a_handle_that_fails_is_finished<T, D>() {
        let steps = ["start", "verify", "make", "setup", "handle", "finish Failed", "drop", "stop Failed"];
        expect::<T, D>(Mishap::None, "fail\n", "", &steps, &[Stage::Handle]);
    }

    fn a_handle_that_panics_is_finished<T, D>() {
        let steps = ["start", "verify", "make", "setup", "handle", "finish Panicked", "drop", "stop Panicked"];
        expect::<T, D>(Mishap::None, "panic\n", "", &steps, &[Stage::Handle]);
    }

    fn an_error_keeps_its_own_finish_error_apart<T, D>() {
        let steps = ["start", "verify", "make", "setup", "handle", "finish Failed", "drop", "stop Failed"];
        expect::<T, D>(Mishap::FinishFails, "fail\n", "", &steps, &[Stage::Handle, Stage::Finish]);
    }

    fn a_finish_that_fails_does_not_change_the_end<T, D>() {
        let steps = ["start", "verify", "make", "setup", "handle", "finish HandlerClosed", "drop", "stop HandlerClosed"];
        expect::<T, D>(Mishap::FinishFails, "close\n", "", &steps, &[Stage::Finish]);
        expect::<T, D>(Mishap::FinishPanics, "close\n", "", &steps, &[Stage::Finish]);
    }

    fn a_detached_connection_is_stopped_and_not_finished<T, D>() {
        let mut steps = ["start", "verify", "make", "setup", "handle", "stop Detached", "detached", "drop"];
        if D::NAME == "Fork" {
            // It stays with its child, whose end is the connection's.
            steps[5..].rotate_left(1);
        }
        expect::<T, D>(Mishap::None, "detach\n", "mine now\n", &steps, &[]);
    }

    fn a_client_that_leaves_is_finished<T, D>() {
        let steps = Steps::default();
        let server = serve::<T, D>(&steps);
        let mut client = T::connect(&server.local_addr());
        assert_eq!(common::ask(&mut client, "one"), "one");
        drop(client);
        assert_eq!(server.seen.wait_for_ends(1), [End::PeerClosed]);
        let report = server.stop();
        let expected = ["start", "verify", "make", "setup", "handle", "finish PeerClosed", "drop", "stop PeerClosed"];
        assert_eq!(steps.log.entries(), expected);
        assert_eq!(report.finished, 1);
    }

    fn a_client_that_says_nothing_is_never_handled<T, D>() {
        let steps = Steps::default();
        let server = serve::<T, D>(&steps);
        // In order: what the server has said in its handshake and nobody has read would make the end a reset.
        let mut client = T::connect(&server.local_addr());
        T::half_close(&mut client);
        assert_eq!(common::read_rest(&mut client), b"");
        assert_eq!(server.seen.wait_for_ends(1), [End::PeerClosed]);
        server.stop();
        let mut entries = steps.log.entries();
        // Where its thread has waited for it inside of the handler.
        entries.retain(|step| !["make", "setup", "finish PeerClosed", "drop"].contains(&&**step));
        assert_eq!(entries, ["start", "verify", "stop PeerClosed"]);
    }

    fn a_handler_that_speaks_first_is_set_up_before_any_input<T, D>() {
        let steps = Steps { greets: true, ..Steps::default() };
        let server = serve::<T, D>(&steps);
        let mut client = T::connect(&server.local_addr());
        assert_eq!(common::read_line(&mut client), "welcome");
        assert_eq!(&steps.log.entries()[..4], ["start", "verify", "make", "setup"]);
        assert_eq!(common::ask(&mut client, "one"), "one");
        server.stop();
    }

    fn finish_learns_of_an_idle_timeout<T, D>() {
        let steps = Steps::default();
        let server = serve::<T, D>(&steps);
        let mut client = T::connect(&server.local_addr());
        assert_eq!(common::ask(&mut client, "hurry"), "hurry");
        assert_eq!(common::read_rest(&mut client), b"");
        let report = server.stop();
        let expected = ["start", "verify", "make", "setup", "handle", "finish IdleTimeout", "drop", "stop IdleTimeout"];
        assert_eq!(steps.log.entries(), expected);
        assert_eq!((report.idle_closed, steps.errors.entries()), (1, vec![]));
    }

    fn finish_learns_of_a_message_that_never_ends<T, D>() {
        let steps = Steps::default();
        let server = builder::<T, D>(&steps).read_timeout(Duration::from_millis(50)).start_at(T::place());
        let mut client = T::connect(&server.local_addr());
        client.write_all(b"half a li").unwrap();
        assert_eq!(common::read_rest(&mut client), b"");
        let report = server.stop();
        let expected = ["start", "verify", "make", "setup", "handle", "finish TimedOut", "drop", "stop TimedOut"];
        assert_eq!(steps.log.entries(), expected);
        assert_eq!((report.failed, steps.errors.entries()), (1, vec![Stage::Handle]));
    }

    fn finish_learns_of_a_drain<T, D>() {
        let steps = Steps::default();
        let server = serve::<T, D>(&steps);
        let mut client = T::connect(&server.local_addr());
        assert_eq!(common::ask(&mut client, "one"), "one");
        let report = server.stop();
        assert_eq!(common::read_rest(&mut client), b"");
        let expected = ["start", "verify", "make", "setup", "handle", "finish Drained", "drop", "stop Drained"];
        assert_eq!(steps.log.entries(), expected);
        assert_eq!(report.idle_closed, 1);
    }

    fn finish_learns_of_a_forced_end<T, D>() but_fork("a signal ends a child that a busy machine has kept from running") {
        let steps = Steps::default();
        let server = serve::<T, D>(&steps);
        let mut client = T::connect(&server.local_addr());
        assert_eq!(common::ask(&mut client, "block"), "blocked");
        server.stop_handle().shutdown_now();
        let report = server.join();
        let expected = ["start", "verify", "make", "setup", "handle", "finish Forced", "drop", "stop Forced"];
        assert_eq!(steps.log.entries(), expected);
        assert_eq!((report.forced, report.abandoned), (1, 0));
    }

    fn many_at_once_each_start_once_and_stop_once<T, D>() {
        let steps = Steps::default();
        let server = serve::<T, D>(&steps);
        let address = &server.local_addr();
        std::thread::scope(|scope| {
            for words in [["close", "one"], ["fail", "two"], ["panic", "three"], ["four", "five"]] {
                scope.spawn(move || {
                    for word in words.iter().cycle().take(50) {
                        let mut client = T::connect(address);
                        client.write_all(format!("{word}\n").as_bytes()).unwrap();
                        common::read_line(&mut client);
                    }
                });
            }
        });
        let report = server.stop();
        assert_eq!((report.accepted, report.failed, report.refused, report.forced), (200, 50, 0, 0), "{report}");
        let count = |step: &str| steps.log.entries().iter().filter(|entry| entry.split(' ').next() == Some(step)).count();
        for step in ["start", "verify", "make", "setup", "finish", "drop", "stop"] {
            assert_eq!(count(step), 200, "{step}");
        }
    }
}

/// The outermost wrapper is asked first, and one `false` is enough.
#[test]
fn wrappers_are_asked_from_the_outside_in() {
    let log = Log::<String>::default();
    let hook = |name: &'static str, answer: bool| {
        let log = log.clone();
        move |_: &Stream<TcpStream>| {
            log.push(name);
            answer
        }
    };
    let error_hook = |name: &'static str| {
        let log = log.clone();
        move |_: &RequestError, _: Option<&SocketAddr>| log.push(name)
    };
    let (ended, on_end) = mpsc::channel();
    let ended = Mutex::new(ended);
    let factory = socketserver::handler::function(|_: &mut Stream<TcpStream>| Err("on purpose".into()))
        .verify(hook("verify inside", true))
        .on_error(error_hook("error inside"))
        .verify(hook("verify outside", true))
        .on_error(error_hook("error outside"));
    let server = TcpServer::builder(factory).observed(move |event: &Event<'_>| {
        if let Event::Stop { .. } = event {
            let _ = ended.lock().unwrap().send(());
        }
    });
    let server = server.start();
    let mut client = common::connect(server.local_addr());
    client.write_all(b"x").unwrap();
    drop(client);
    on_end.recv_timeout(common::PATIENCE).unwrap();
    assert_eq!(log.entries(), ["verify outside", "verify inside", "error outside", "error inside"]);
    server.stop();
}
