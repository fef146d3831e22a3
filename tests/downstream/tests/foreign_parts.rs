//! Parts of one's own serve with each other and with the library's.

use std::io::BufRead;
use std::io::BufReader;
use std::io::Read;
use std::io::Write;
use std::sync::atomic::Ordering;
use std::sync::mpsc;
use std::time::Duration;

use downstream::Caller;
use downstream::Crew;
use downstream::Memory;
use downstream::Shouting;
use socketserver::Builder;
use socketserver::HandlerFactoryExt;
use socketserver::Pool;
use socketserver::ServeError;
use socketserver::Server;
use socketserver::Stage;
use socketserver::Sync;
use socketserver::Tcp;
use socketserver::ThreadPerRequest;
use socketserver::dispatch::Dispatch;
use socketserver::dispatch::Process;
use socketserver::dispatch::Rejected;
use socketserver::dispatch::ServeLoop;
use socketserver::dispatch::ServesInBackground;
use socketserver::dispatch::Task;

/// A safety net, not a measure.
const PATIENCE: Duration = Duration::from_secs(30);

fn ask(client: &(impl Read + Write + Copy), line: &str) -> String {
    let mut client = *client;
    client.write_all(line.as_bytes()).unwrap();
    let mut answer = String::new();
    BufReader::with_capacity(1, client).read_line(&mut answer).unwrap();
    answer
}

macro_rules! memory_under {
    ($($name:ident: $dispatch:expr;)+) => {$(
        #[test]
        fn $name() {
            let (memory, connector) = Memory::listen("here").unwrap();
            let factory = Shouting::default();
            let server = Server::new(memory, $dispatch, factory.clone()).unwrap();
            assert_eq!(server.local_addr().to_string(), "memory:here");
            let server = server.serve_in_background().unwrap();
            let clients = [connector.connect().unwrap(), connector.connect().unwrap()];
            for round in ["one\n", "two\n"] {
                for client in &clients {
                    client.set_read_timeout(Some(PATIENCE)).unwrap();
                    assert_eq!(ask(&client, round), round.to_uppercase());
                }
            }
            let report = server.shutdown().unwrap();
            assert_eq!((report.accepted, report.idle_closed, report.is_clean()), (2, 2, true), "{report}");
            assert_eq!((factory.lines.load(Ordering::Relaxed), factory.errors.load(Ordering::Relaxed)), (4, 0));
            for mut client in clients {
                assert_eq!(client.read(&mut [0; 1]).unwrap(), 0);
            }
        }
    )+};
}

memory_under! {
    memory_under_sync: Sync;
    memory_under_threads: ThreadPerRequest::default();
    memory_under_pool: Pool::default();
    memory_under_a_crew: Crew(2);
}

#[test]
fn a_crew_serves_tcp() {
    let server = Builder::<Tcp, Crew, _>::new(Shouting::default()).bind("127.0.0.1:0").unwrap();
    let server = server.serve_in_background().unwrap();
    for _ in 0..3 {
        let client = std::net::TcpStream::connect(server.local_addr()).unwrap();
        client.set_read_timeout(Some(PATIENCE)).unwrap();
        assert_eq!(ask(&&client, "hello\n"), "HELLO\n");
    }
    assert_eq!(server.shutdown().unwrap().accepted, 3);
}

#[test]
fn a_setting_that_cannot_work_is_refused_by_name() {
    let error = Builder::<Tcp, Crew, _>::new(Shouting::default()).dispatch(Crew(0)).bind("127.0.0.1:0").unwrap_err();
    assert_eq!(error.to_string(), "option Crew = 0: a crew without members serves no request");
}

#[test]
fn hooks_see_the_transports_own_addresses() {
    let (memory, connector) = Memory::listen("door").unwrap();
    let factory =
        Shouting::default().verify(|request: &socketserver::Stream<_>| request.peer_addr() == Some(&Caller(2)));
    let server = Server::new(memory, Crew::default(), factory).unwrap().serve_in_background().unwrap();
    let mut first = connector.connect().unwrap();
    first.set_read_timeout(Some(PATIENCE)).unwrap();
    first.write_all(b"hello\n").unwrap();
    assert_eq!(first.read(&mut [0; 1]).unwrap(), 0);
    drop(first);
    let second = connector.connect().unwrap();
    second.set_read_timeout(Some(PATIENCE)).unwrap();
    assert_eq!(ask(&&second, "hello\n"), "HELLO\n");
    assert_eq!(server.shutdown().unwrap().refused, 1);
}

/// Takes nothing.
#[derive(Debug)]
struct Full;

impl Dispatch for Full {
    const NAME: &'static str = "Full";
}

impl ServesInBackground for Full {}

impl<J: Task> Process<J> for Full {
    type Running = ();

    fn start(&self, _: &mut ServeLoop<J>) -> Result<(), ServeError> {
        Ok(())
    }

    fn process_request(&self, (): &mut (), _: &mut ServeLoop<J>, task: J) -> Result<(), Rejected<J>> {
        Err(Rejected::new(task, std::io::Error::other("no room")))
    }
}

#[test]
fn what_a_dispatch_rejects_is_closed_and_told() {
    let (memory, connector) = Memory::listen("full").unwrap();
    let (told, errors) = mpsc::channel();
    let told = std::sync::Mutex::new(told);
    let factory = Shouting::default().on_error(move |error: &socketserver::RequestError, peer: Option<&Caller>| {
        told.lock().unwrap().send((error.stage(), error.to_string(), peer.copied())).unwrap();
    });
    let server = Server::new(memory, Full, factory).unwrap().serve_in_background().unwrap();
    let mut client = connector.connect().unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    assert_eq!(client.read(&mut [0; 1]).unwrap(), 0);
    let (stage, message, peer) = errors.recv_timeout(PATIENCE).unwrap();
    assert_eq!((stage, message.as_str(), peer), (Stage::Dispatch, "dispatch: no room", Some(Caller(1))));
    let report = server.shutdown().unwrap();
    assert_eq!((report.accepted, report.refused), (1, 1), "{report}");
}
