//! A source has its share of the connections, and no more.
#![cfg(unix)]

#[macro_use]
mod common;

use std::io::Read;
use std::io::Write;
use std::net::SocketAddr;
use std::net::TcpStream;
use std::time::Duration;

use common::Knocking;
use common::Log;
use common::Running;
use common::Start;
use common::TempDir;
use common::ask;
use common::becomes;
use common::connect;
use common::connect_from;
use common::connect_unix;
use common::echo::echo_line;
use common::eventually;
use common::read_line;
use common::read_rest;
use socketserver::AtLimit;
use socketserver::BindError;
use socketserver::Builder;
use socketserver::End;
use socketserver::Flow;
use socketserver::Handler;
use socketserver::HandlerResult;
use socketserver::Refusal;
use socketserver::Stream;
use socketserver::Sync;
use socketserver::Tcp;
use socketserver::UnixStream;
use socketserver::handler::Function;
use socketserver::handler::function;
use socketserver::transport::Bind;
use socketserver::transport::PerSource;
use socketserver::transport::PerSourceOptions;

/// No test lasts so long.
const HOUR: Duration = Duration::from_secs(3600);

type Echo<R> = Function<fn(&mut R) -> HandlerResult>;

fn echo<S: socketserver::Socket>() -> Echo<Stream<S>> {
    function(echo_line as fn(&mut Stream<S>) -> HandlerResult)
}

/// At most so many connections of a source.
fn at_most<D: Default>(most: usize) -> Builder<PerSource<Tcp>, D, Echo<Stream<TcpStream>>> {
    Builder::new(echo()).transport_options(PerSourceOptions::new().most(most))
}

/// A client that is served.
fn served(address: SocketAddr) -> TcpStream {
    let client = connect(address);
    assert_eq!(ask(&client, "hello"), "hello");
    client
}

/// It hears nothing; as what it has sent is not read, it may be reset.
fn is_turned_away(mut client: impl Read) {
    let mut bytes = [0; 1];
    match client.read(&mut bytes) {
        Ok(count) => assert_eq!(count, 0, "it is served"),
        Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset),
    }
}

/// A client that is served, once there is a place.
fn served_eventually(address: SocketAddr) -> TcpStream {
    let mut found = None;
    eventually("there is a place", || {
        let mut client = connect(address);
        let served = client.write_all(b"hello\n").is_ok() && matches!(client.read(&mut [0; 6]), Ok(6));
        found = served.then_some(client);
        served
    });
    found.unwrap()
}

/// One is refused, for this reason and no other.
fn assert_refused<T: socketserver::Transport>(server: Running<T>, reason: Refusal) {
    let report = server.stop();
    assert_eq!((report.seen.refused(reason), report.refused), (1, 1), "{report}");
    assert_eq!(report.seen.errors(), Vec::<String>::new());
}

under_each_dispatch! {
    fn one_too_many_is_turned_away<D>() {
        let server = at_most::<D>(2).start();
        let _clients = [served(server.local_addr()), served(server.local_addr())];
        is_turned_away(connect(server.local_addr()));
        // From elsewhere there is place.
        let other = connect_from("127.0.0.2", server.local_addr());
        assert_eq!(ask(&other, "hello"), "hello");
        assert_refused(server, Refusal::PerSource);
    }

    fn a_place_is_given_back_with_the_connection<D>() {
        let server = at_most::<D>(1).start();
        let first = served(server.local_addr());
        drop(first);
        server.seen.wait_for_ends(1);
        // Nothing but the end of the first was waited for.
        let second = served(server.local_addr());
        is_turned_away(connect(server.local_addr()));
        drop(second);
        let third = served_eventually(server.local_addr());
        drop(third);
    }

    fn a_refused_connection_takes_no_place<D>() {
        let server = at_most::<D>(1).max_connections(2).at_limit(AtLimit::Refuse(b"full\n".to_vec())).start();
        let first = served(server.local_addr());
        for _ in 0..50 {
            is_turned_away(connect(server.local_addr()));
        }
        becomes("open connections", &1, || server.stats().active);
        let other = connect_from("127.0.0.2", server.local_addr());
        assert_eq!(ask(&other, "hello"), "hello");
        assert_eq!(ask(&first, "still here"), "still here");
        assert_eq!((server.seen.refused(Refusal::PerSource), server.seen.refused(Refusal::AtLimit)), (50, 0));
    }

    fn whatever_ends_a_connection_gives_its_place_back<D>() {
        let server = Builder::<PerSource<Tcp>, D, _>::new(|| Ending)
            .transport_options(PerSourceOptions::new().most(1))
            .verify(|request: &Stream<TcpStream>| request.peer_addr().is_some())
            .start();
        for how in ["panic", "fail", "close", "detach"] {
            let mut client = served_eventually(server.local_addr());
            client.write_all(format!("{how}\n").as_bytes()).unwrap();
            let heard = read_rest(&client);
            assert_eq!(heard, if how == "detach" { b"mine\n".as_slice() } else { b"" }, "{how}");
        }
    }

    fn a_place_is_taken_before_the_handshake<D>() {
        let server = Builder::<PerSource<Knocking>, D, _>::new(echo())
            .transport_options(PerSourceOptions::new().most(1))
            .start();
        let mut silent = connect(server.local_addr());
        eventually("it is accepted", || server.stats().accepted == 1);
        is_turned_away(connect(server.local_addr()));
        silent.write_all(b"knock\nhello\n").unwrap();
        assert_eq!(read_line(&silent), "hello");
        assert_refused(server, Refusal::PerSource);
    }

    fn a_full_table_turns_new_sources_away<D>() {
        let options = PerSourceOptions::new().most(2).max_sources(1);
        let server = Builder::<PerSource<Tcp>, D, _>::new(echo()).transport_options(options).start();
        let first = served(server.local_addr());
        is_turned_away(connect_from("127.0.0.2", server.local_addr()));
        let second = served(server.local_addr());
        drop((first, second));
        server.seen.wait_for_ends(3);
        let other = connect_from("127.0.0.2", server.local_addr());
        assert_eq!(ask(&other, "hello"), "hello");
        assert_refused(server, Refusal::SourcesFull);
    }

    fn new_connections_have_a_rate<D>() {
        let options = PerSourceOptions::new().new_connections(2, HOUR);
        let server = Builder::<PerSource<Tcp>, D, _>::new(echo()).transport_options(options).start();
        // It does not matter whether they are over.
        drop(served(server.local_addr()));
        server.seen.wait_for_ends(1);
        let open = served(server.local_addr());
        for _ in 0..20 {
            is_turned_away(connect(server.local_addr()));
        }
        let other = connect_from("127.0.0.2", server.local_addr());
        assert_eq!(ask(&other, "hello"), "hello");
        assert_eq!(ask(&open, "still here"), "still here");
        let report = server.stop();
        assert_eq!((report.seen.refused(Refusal::SourceRate), report.refused), (20, 20), "{report}");
    }

    fn a_rate_is_earned_again<D>() {
        let options = PerSourceOptions::new().new_connections(1, Duration::from_millis(50));
        let server = Builder::<PerSource<Tcp>, D, _>::new(echo()).transport_options(options).start();
        for _ in 0..3 {
            drop(served_eventually(server.local_addr()));
        }
    }

    fn addresses_of_one_network_count_together<D>() {
        let options = PerSourceOptions::new().most(1).prefix_v4(24);
        let server = Builder::<PerSource<Tcp>, D, _>::new(echo()).transport_options(options).start();
        let _first = served(server.local_addr());
        is_turned_away(connect_from("127.0.0.99", server.local_addr()));
        let other = connect_from("127.0.1.1", server.local_addr());
        assert_eq!(ask(&other, "hello"), "hello");
        assert_refused(server, Refusal::PerSource);
    }

    fn a_user_of_this_machine_is_a_source<D>() {
        let folder = TempDir::new();
        let path = folder.join("socket");
        let server = Builder::<PerSource<UnixStream>, D, _>::new(echo())
            .transport_options(PerSourceOptions::new().most(1))
            .mode(0o600)
            .start_at(path.as_path());
        let first = connect_unix(&path);
        assert_eq!(ask(&first, "hello"), "hello");
        is_turned_away(connect_unix(&path));
        assert_refused(server, Refusal::PerSource);
    }
}

/// Ends as it is told to.
struct Ending;

impl Handler<Stream<TcpStream>> for Ending {
    fn handle(&mut self, request: &mut Stream<TcpStream>) -> HandlerResult {
        match read_line(&mut *request).as_str() {
            "panic" => std::panic::resume_unwind(Box::new("on purpose")),
            "fail" => Err("on purpose".into()),
            "close" => Ok(Flow::Close),
            "detach" => Ok(Flow::Detach),
            line => {
                writeln!(request, "{line}")?;
                Ok(Flow::Continue)
            }
        }
    }

    fn detached(self, mut request: Stream<TcpStream>) {
        request.write_all(b"mine\n").unwrap();
    }
}

/// Both stages in either order: what is counted is what the stage inside tells.
#[test]
fn limits_nest() {
    let options = PerSourceOptions::new().most(3).inner(PerSourceOptions::new().most(2).prefix_v4(8));
    let server = Builder::<PerSource<PerSource<Tcp>>, Sync, _>::new(echo()).transport_options(options).start();
    let first = served(server.local_addr());
    let second = connect_from("127.0.0.2", server.local_addr());
    assert_eq!(ask(&second, "hello"), "hello");
    is_turned_away(connect_from("127.0.0.3", server.local_addr()));
    drop((first, second));
    server.seen.wait_for_ends(3);
    let _clients = [served(server.local_addr()), served(server.local_addr())];
    assert_refused(server, Refusal::PerSource);
}

#[test]
fn the_event_of_a_refused_connection_has_a_start_and_a_stop() {
    let told = Log::<String>::default();
    let tell = told.clone();
    let server = at_most::<Sync>(1)
        .on_event(move |event| {
            use socketserver::Event;
            match event {
                Event::Start { .. } => tell.push("start"),
                Event::Refused { reason } => tell.push(format!("refused {reason}")),
                Event::Stop { end, .. } => tell.push(format!("stop {end}")),
                _ => {}
            }
        })
        .start();
    let client = served(server.local_addr());
    is_turned_away(connect(server.local_addr()));
    drop(client);
    assert_eq!(server.seen.wait_for_ends(2), [End::Refused, End::PeerClosed]);
    server.stop();
    assert_eq!(told.entries(), ["start", "start", "refused per_source", "stop refused", "stop peer_closed"]);
}

#[test]
fn a_limit_that_lets_nobody_in_is_refused() {
    let bind = |options| PerSource::<Tcp>::bind(&"127.0.0.1:0".into(), &options).unwrap_err();
    let new = PerSourceOptions::new;
    for (error, expected) in [
        (bind(new().most(0)), "option most = 0: "),
        (bind(new().new_connections(0, HOUR)), "option new_connections = 0: "),
        (bind(new().new_connections(9, Duration::ZERO)), "option new_connections = 9 in 0ns: "),
        (bind(new().new_connections(9, HOUR * 25)), "option new_connections = 9 in 90000s: "),
        (bind(new().max_sources(0)), "option max_sources = 0: "),
        (bind(new().prefix_v4(33)), "option prefix_v4 = 33: "),
        (bind(new().prefix_v6(129)), "option prefix_v6 = 129: "),
    ] {
        assert!(matches!(error, BindError::Option { .. }));
        assert!(error.to_string().starts_with(expected), "{error}");
    }
}
