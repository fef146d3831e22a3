//! Hooks that fail or panic end neither the loop nor leak the connection; `handle_error` is told what, where and who.

#[macro_use]
mod common;

use std::io;
use std::io::BufRead;
use std::io::Read;
use std::io::Write;
use std::net::SocketAddr;
use std::net::TcpStream;
use std::sync::Mutex;
use std::sync::mpsc;
use std::time::Duration;

use common::Count;
use common::Listen;
use common::Log;
use common::Running;
use common::Seen;
use common::Start;
use common::channel;
use common::echo::Echo;
use socketserver::Builder;
use socketserver::End;
use socketserver::Event;
use socketserver::Flow;
use socketserver::Handled;
use socketserver::Handler;
use socketserver::HandlerFactory;
use socketserver::HandlerResult;
use socketserver::Observer;
use socketserver::PanicPolicy;
use socketserver::RequestError;
use socketserver::ServeError;
use socketserver::Stage;
use socketserver::Stream;
use socketserver::Tcp;
use socketserver::TcpServer;
use socketserver::ThreadingTcpServer;

type Connection = Stream<TcpStream>;

/// Where it panics, once for each connection.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Place {
    Verify,
    SpeaksFirst,
    Make,
    Setup,
    Handle,
    Finish,
    Drop,
    HandleError,
    Observer,
    ServiceActions,
}

/// Echoes lines, and panics in the chosen hook while armed.
#[derive(Clone, Debug)]
struct Trap {
    place: Place,
    /// Not 0 once it is disarmed.
    disarmed: Count,
    errors: Log<(Stage, bool)>,
}

impl Trap {
    fn new(place: Place) -> Self {
        Self { place, disarmed: Count::default(), errors: Log::default() }
    }

    fn is_armed(&self) -> bool {
        self.disarmed.get() == 0
    }

    fn pass(&self, place: Place) {
        if self.place == place && self.is_armed() {
            std::panic::resume_unwind(Box::new("on purpose"));
        }
    }
}

impl HandlerFactory<Connection> for Trap {
    type Handler = Trapped;

    fn make(&self, _: &Connection) -> Trapped {
        self.pass(Place::Make);
        Trapped(self.clone())
    }

    fn verify_request(&self, _: &Connection) -> bool {
        self.pass(Place::Verify);
        true
    }

    fn speaks_first(&self) -> bool {
        self.pass(Place::SpeaksFirst);
        false
    }

    fn handle_error(&self, error: RequestError, _: Option<&SocketAddr>) {
        self.errors.push((error.stage(), error.is_panic()));
        self.pass(Place::HandleError);
    }

    fn service_actions(&self) {
        self.pass(Place::ServiceActions);
    }

    fn observer(&self) -> Option<&dyn Observer> {
        Some(self)
    }
}

impl Observer for Trap {
    fn observe(&self, _: &Event<'_>) {
        self.pass(Place::Observer);
    }
}

struct Trapped(Trap);

impl Handler<Connection> for Trapped {
    fn setup(&mut self, _: &mut Connection) -> HandlerResult<()> {
        self.0.pass(Place::Setup);
        Ok(())
    }

    fn handle(&mut self, request: &mut Connection) -> HandlerResult {
        let mut line = String::new();
        request.read_line(&mut line)?;
        self.0.pass(Place::Handle);
        if self.0.place == Place::HandleError && self.0.is_armed() {
            return Err("on purpose".into());
        }
        request.write_all(line.as_bytes())?;
        Ok(Flow::Close)
    }

    fn finish(&mut self, _: &mut Connection, _: End) -> HandlerResult<()> {
        self.0.pass(Place::Finish);
        Ok(())
    }
}

impl Drop for Trapped {
    fn drop(&mut self) {
        // A second panic while the first unwinds would abort: that is Rust's rule, and no server can catch it.
        if !std::thread::panicking() {
            self.0.pass(Place::Drop);
        }
    }
}

/// Three connections meet the trap, a fourth finds it disarmed and is served; `stage` is what `handle_error` hears.
macro_rules! survives {
    ($D:ident, $place:ident, $end:ident, $stage:expr) => {{
        let trap = Trap::new(Place::$place);
        check(Builder::<Tcp, $D, _>::new(trap.clone()).start(), &trap, End::$end, $stage);
    }};
}

fn check(server: Running<Tcp>, trap: &Trap, end: End, stage: Option<Stage>) {
    for _ in 0..3 {
        let mut client = common::connect(server.local_addr());
        client.write_all(b"hello\n").unwrap();
        let answered = matches!(end, End::HandlerClosed);
        let expected: &[u8] = if answered { b"hello\n" } else { b"" };
        assert_eq!(common::read_rest(client), expected);
    }
    assert_eq!(server.seen.wait_for_ends(3), [end; 3]);
    trap.disarmed.add_one();
    let client = common::connect(server.local_addr());
    assert_eq!(common::ask(&client, "still here"), "still here");
    drop(client);
    let report = server.stop();
    assert_eq!((report.accepted, report.forced, report.refused), (4, 0, 0), "{report}");
    if let Some(stage) = stage {
        let panics = trap.errors.entries();
        assert_eq!(panics, [(stage, true); 3]);
    }
}

under_each_dispatch! {
    fn verify_request_may_panic<D>() {
        survives!(D, Verify, Panicked, Some(Stage::Verify));
    }

    fn speaks_first_may_panic<D>() {
        survives!(D, SpeaksFirst, Panicked, Some(Stage::Verify));
    }

    fn making_the_handler_may_panic<D>() {
        survives!(D, Make, Panicked, Some(Stage::Setup));
    }

    fn setup_may_panic<D>() {
        survives!(D, Setup, Panicked, Some(Stage::Setup));
    }

    fn handle_may_panic<D>() {
        survives!(D, Handle, Panicked, Some(Stage::Handle));
    }

    fn finish_may_panic<D>() {
        survives!(D, Finish, HandlerClosed, Some(Stage::Finish));
    }

    fn the_handlers_destructor_may_panic<D>() {
        survives!(D, Drop, HandlerClosed, Some(Stage::Finish));
    }

    fn handle_error_may_panic<D>() {
        survives!(D, HandleError, Failed, None);
    }

    fn the_observer_may_panic<D>() {
        survives!(D, Observer, HandlerClosed, None);
    }

    fn service_actions_may_panic<D>() {
        let trap = Trap::new(Place::ServiceActions);
        check(Builder::<Tcp, D, _>::new(trap.clone()).start(), &trap, End::HandlerClosed, None);
        let errors = trap.errors.entries();
        assert!(!errors.is_empty());
        assert!(errors.iter().all(|error| *error == (Stage::ServiceActions, true)), "{errors:?}");
    }

    /// The ancestor's error matrix: an ordinary error, and one that would have ended the thread or the process.
    fn errors_and_panics_of_handlers_end_their_request_only<D>() {
        let log = Log::<String>::default();
        let server = Builder::<Tcp, D, _>::new(socketserver::handler::function({
            let log = log.clone();
            move |request: &mut Connection| {
                let mut line = String::new();
                request.read_line(&mut line)?;
                log.push(format!("{} called", line.trim_end()));
                if line == "panic\n" {
                    std::panic::resume_unwind(Box::new(String::from("on purpose")));
                }
                Err(line.into())
            }
        }))
        .on_error({
            let log = log.clone();
            move |error, _| log.push(format!("{} handled", if error.is_panic() { "panic" } else { "error" }))
        })
        .start();
        for line in ["error\n", "panic\n", "error\n"] {
            let mut client = common::connect(server.local_addr());
            client.write_all(line.as_bytes()).unwrap();
            assert_eq!(common::read_rest(client), b"");
        }
        let report = server.stop();
        let expected =
            ["error called", "error handled", "panic called", "panic handled", "error called", "error handled"];
        assert_eq!(log.entries(), expected);
        assert_eq!((report.accepted, report.failed), (3, 3), "{report}");
    }

    fn a_panic_stops_the_server_if_that_is_the_policy<D>() {
        let server = Builder::<Tcp, D, _>::new(socketserver::handler::function(|_: &mut Connection| -> HandlerResult {
            std::panic::resume_unwind(Box::new("the reason"))
        }))
        .panic_policy(PanicPolicy::Stop)
        .start();
        let mut client = common::connect(server.local_addr());
        client.write_all(b"x").unwrap();
        let error = server.try_join().unwrap_err();
        assert!(matches!(&error, ServeError::Panicked { message } if message.contains("the reason")), "{error}");
    }

    fn handle_error_learns_stage_peer_and_kind<D>() {
        let (told, errors) = channel();
        let server = Builder::<Tcp, D, _>::new(socketserver::handler::function(|request: &mut Connection| {
            let mut line = String::new();
            request.read_line(&mut line)?;
            match line.as_str() {
                "eof\n" => request.read_exact(&mut [0; 100])?,
                "own\n" => return Err("a message of its own".into()),
                "panic\n" => std::panic::resume_unwind(Box::new("a panic")),
                "pipe\n" => return Err(io::Error::from(io::ErrorKind::BrokenPipe).into()),
                "time\n" => {
                    request.read_line(&mut line)?;
                }
                _ => {}
            }
            Ok(Flow::Continue)
        }))
        .read_timeout(Duration::from_millis(50))
        .on_error(move |error, peer| {
            let kinds = (error.is_disconnect(), error.is_timeout(), error.is_panic(), error.is_stopping());
            let _ = told.send((error.stage(), peer.copied(), kinds, error.to_string()));
        })
        .start();
        let cases = [
            ("own\n", (false, false, false, false), "handle: a message of its own"),
            ("pipe\n", (true, false, false, false), "handle: broken pipe"),
            ("panic\n", (false, false, true, false), "handle: panicked: a panic"),
            ("eof\nhalf", (true, false, false, false), "handle: unexpected end of file"),
            ("time\nhalf", (false, true, false, false), "handle: reading took longer than 50ms"),
        ];
        for (says, expected, message) in cases {
            let mut client = common::connect(server.local_addr());
            let name = client.local_addr().unwrap();
            client.write_all(says.as_bytes()).unwrap();
            if says.starts_with("eof") {
                client.shutdown(std::net::Shutdown::Write).unwrap();
            }
            let (stage, peer, kinds, text) = errors.recv_timeout(common::PATIENCE).unwrap();
            assert_eq!((stage, peer, kinds, text.as_str()), (Stage::Handle, Some(name), expected, message));
        }
        let report = server.stop();
        assert_eq!((report.accepted, report.failed), (5, 5), "{report}");
    }

    fn a_refused_request_is_closed_once_and_counted<D>() {
        let allowed = Count::default();
        let server = Builder::<Tcp, D, _>::new(|| Echo)
            .verify({
                let allowed = allowed.clone();
                move |request| allowed.get() > 0 && request.peer_addr().is_some()
            })
            .start();
        for _ in 0..3 {
            let mut stranger = common::connect(server.local_addr());
            stranger.write_all(b"hello\n").unwrap();
            assert_eq!(common::read_rest(stranger), b"");
        }
        allowed.add_one();
        let friend = common::connect(server.local_addr());
        assert_eq!(common::ask(&friend, "hello"), "hello");
        let report = server.stop();
        assert_eq!((report.accepted, report.refused, report.idle_closed), (4, 3, 1), "{report}");
        let refusals = report.seen.entries().into_iter().filter(|seen| matches!(seen, Seen::Refused(_))).count();
        assert_eq!(refusals, 3);
    }

    fn service_actions_run_at_their_interval_and_one_at_a_time<D>() {
        let inside = Count::default();
        let before = Log::<usize>::default();
        let server = Builder::<Tcp, D, _>::new(|| Echo)
            .service_interval(Duration::from_millis(1))
            .on_service({
                let (inside, before) = (inside.clone(), before.clone());
                move || {
                    before.push(inside.add_one());
                    inside.take_one_back();
                }
            })
            .start();
        // Nothing else happens, and still it is called.
        common::eventually("some calls", || before.len() >= 5);
        let address = server.local_addr();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(move || {
                    let client = common::connect(address);
                    for _ in 0..50 {
                        assert_eq!(common::ask(&client, "hello"), "hello");
                    }
                });
            }
        });
        server.stop();
        assert_eq!(inside.get(), 0);
        assert!(before.entries().iter().all(|others| *others == 0));
    }

    fn service_actions_run_after_a_wake_up<D>() {
        let calls = Count::default();
        let server = Builder::<Tcp, D, _>::new(|| Echo)
            .on_service({
                let calls = calls.clone();
                move || _ = calls.add_one()
            })
            .start();
        for _ in 0..3 {
            // A new connection wakes the loop under every dispatch.
            let before = calls.get();
            let client = common::connect(server.local_addr());
            assert_eq!(common::ask(&client, "hello"), "hello");
            common::eventually("a call", || calls.get() > before);
        }
        server.stop();
    }
}

under_each_dispatch! {
    fn a_server_that_is_woken_runs_its_service_actions<D>() {
        let (flag, (tick, ticks)) = (Count::default(), channel());
        let told = flag.clone();
        let server = Builder::<Tcp, D, _>::new(|| Echo)
            .on_service(move || {
                if told.get() > 0 {
                    told.take_one_back();
                    tick.send(()).unwrap();
                }
            })
            .start();
        let stop = server.stop_handle();
        for _ in 0..10 {
            flag.add_one();
            stop.wake();
            ticks.recv_timeout(common::PATIENCE).unwrap();
        }
        server.stop();
        // One that has ended is woken by nothing.
        stop.wake();
    }
}

/// Each is told of everything, the outermost first, also through other wrappers; one that panics keeps nothing from the
/// others.
#[test]
fn observers_add_up() {
    let log = Log::<String>::default();
    let observer = |name: &'static str| {
        let log = log.clone();
        move |event: &Event<'_>| {
            if let Event::Start { id, .. } | Event::Stop { id, .. } = event {
                log.push(format!("{name} {id}"));
            }
        }
    };
    let server = TcpServer::builder(|| Echo)
        .observed(observer("inner"))
        .verify(|_| true)
        .on_event(|_| std::panic::resume_unwind(Box::new("on purpose")))
        .speaking_first()
        .observed(observer("outer"))
        .start();
    assert_eq!(common::ask(&common::connect(server.local_addr()), "hello"), "hello");
    server.stop();
    assert_eq!(log.entries(), ["outer 1", "inner 1", "outer 1", "inner 1"]);
}

#[test]
fn handle_timeout_may_panic() {
    let errors = Log::<(Stage, bool)>::default();
    let mut server = TcpServer::builder(|| Echo)
        .request_timeout(Duration::ZERO)
        .on_timeout(|| std::panic::resume_unwind(Box::new("on purpose")))
        .on_error({
            let errors = errors.clone();
            move |error, _| errors.push((error.stage(), error.is_panic()))
        })
        .listen();
    assert_eq!(server.handle_request().unwrap(), Handled::TimedOut);
    assert_eq!(server.handle_request().unwrap(), Handled::TimedOut);
    assert_eq!(errors.entries(), [(Stage::ServiceActions, true); 2]);
}

/// The peer resets the connection while the handler reads: an error that is a disconnect, not a panic, and not news.
#[test]
fn a_reset_is_a_disconnect() {
    let (told, errors) = mpsc::channel();
    let told = Mutex::new(told);
    let server = ThreadingTcpServer::builder_fn(|request| {
        request.write_all(b"unread")?;
        let mut line = String::new();
        while request.read_line(&mut line)? > 0 {}
        Ok(Flow::Close)
    })
    .on_error(move |error, _| {
        let _ = told.lock().unwrap().send((error.stage(), error.is_disconnect()));
    })
    .start();
    let mut client = common::connect(server.local_addr());
    client.write_all(b"x").unwrap();
    let length = client.peek(&mut [0; 6]).unwrap();
    assert!(length > 0);
    // Closing with unread input makes the kernel reset the connection.
    drop(client);
    assert_eq!(errors.recv_timeout(common::PATIENCE).unwrap(), (Stage::Handle, true));
    let report = server.stop();
    assert_eq!(report.failed, 1);
}

/// The child is this very test, called again with a variable set.
#[test]
fn a_panic_aborts_the_process_if_that_is_the_policy() {
    const CHILD: &str = "SOCKETSERVER_TEST_ABORT";
    if std::env::var_os(CHILD).is_some() {
        let server = TcpServer::builder_fn(|_| std::panic::resume_unwind(Box::new("on purpose")));
        // Not the helper of the other servers: this one ends with its process.
        let server = server.panic_policy(PanicPolicy::Abort).bind("127.0.0.1:0").unwrap();
        let address = server.local_addr();
        let client = std::thread::spawn(move || common::connect(address).write_all(b"x"));
        let _ = server.serve_forever();
        let _ = client.join();
        return;
    }
    let output = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "a_panic_aborts_the_process_if_that_is_the_policy"])
        .env(CHILD, "1")
        .output()
        .unwrap();
    let signal = std::os::unix::process::ExitStatusExt::signal(&output.status);
    assert_eq!(signal, Some(6), "SIGABRT: {output:?}");
}
