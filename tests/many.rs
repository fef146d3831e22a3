//! One server on several listeners: one limit, one drain, one report.
#![cfg(unix)]

#[macro_use]
mod common;

use std::io::Read;
use std::net::SocketAddr;
use std::net::TcpListener;
use std::net::TcpStream;
use std::net::UdpSocket;
use std::time::Duration;

use common::AdoptAndStart;
use common::Listen;
use common::Log;
use common::PATIENCE;
use common::Running;
use common::Start;
use common::TempDir;
use common::ask;
use common::becomes;
use common::connect;
use common::connect_udp;
use common::connect_unix;
use common::echo::Echo;
use common::echo::echo_line;
use common::eventually;
use common::read_rest;
use common::receive;
use socketserver::AtLimit;
use socketserver::BindError;
use socketserver::Builder;
use socketserver::End;
use socketserver::Event;
use socketserver::Handled;
use socketserver::HandlerResult;
use socketserver::Refusal;
use socketserver::Stream;
use socketserver::Sync;
use socketserver::Tcp;
use socketserver::Udp;
use socketserver::UnixStream;
use socketserver::handler::Function;
use socketserver::handler::function;
use socketserver::transport::Many;
use socketserver::transport::PerSource;
use socketserver::transport::PerSourceOptions;

const HERE: [&str; 3] = ["127.0.0.1:0", "127.0.0.2:0", "127.0.0.1:0"];

type Handle = fn(&mut Stream<TcpStream>) -> HandlerResult;

fn builder<D: Default>() -> Builder<Many<Tcp>, D, Function<Handle>> {
    Builder::new(function(echo_line as Handle))
}

fn addresses(server: &Running<Many<Tcp>>) -> Vec<SocketAddr> {
    server.local_addr().to_vec()
}

under_each_dispatch! {
    fn each_listener_is_served<D>() {
        let told = Log::<String>::default();
        let tell = told.clone();
        let server = builder::<D>()
            .on_event(move |event| match event {
                Event::ListenStart { address } => tell.push(format!("start {address}")),
                Event::ListenStop { address } => tell.push(format!("stop {address}")),
                _ => {}
            })
            .start_at(HERE);
        let addresses = addresses(&server);
        assert_eq!(addresses.len(), 3);
        let clients: Vec<_> = addresses.iter().chain(&addresses).map(|address| connect(*address)).collect();
        for client in &clients {
            assert_eq!(ask(client, "hello"), "hello");
        }
        let report = server.stop();
        assert_eq!((report.accepted, report.idle_closed), (6, 6), "{report}");
        let starts: Vec<_> = addresses.iter().map(|address| format!("start {address}")).collect();
        let stops: Vec<_> = addresses.iter().map(|address| format!("stop {address}")).collect();
        assert_eq!(told.entries(), [starts, stops].concat());
        for address in addresses {
            assert!(TcpStream::connect(address).is_err(), "{address} is closed");
        }
    }

    fn the_limit_is_one<D>() {
        let server = builder::<D>().max_connections(2).start_at(HERE);
        let addresses = addresses(&server);
        let first = connect(addresses[0]);
        let second = connect(addresses[1]);
        assert_eq!((ask(&first, "one"), ask(&second, "two")), ("one".into(), "two".into()));
        let third = connect(addresses[2]);
        assert_eq!(server.stats().active, 2);
        drop(first);
        assert_eq!(ask(&third, "three"), "three");
        assert!(server.stats().accepted == 3);
    }

    fn a_stop_turns_every_backlog_away<D>() {
        let server = builder::<D>().start_at(HERE);
        let addresses = addresses(&server);
        server.stop_handle().pause();
        let mut clients: Vec<_> = addresses.iter().map(|address| connect(*address)).collect();
        let report = server.stop();
        assert_eq!(report.seen.refused(Refusal::Stopping), 3);
        for client in &mut clients {
            assert_eq!(client.read(&mut [0; 1]).unwrap(), 0);
        }
    }

    fn a_hand_over_leaves_every_backlog<D>() {
        let sockets: Vec<_> = HERE.iter().map(|address| TcpListener::bind(address).unwrap()).collect();
        let copies = sockets.iter().map(|socket| socket.try_clone().unwrap()).collect();
        let old = builder::<D>().adopt_and_start(copies);
        let addresses = addresses(&old);
        let kept: Vec<_> = addresses.iter().map(|address| connect(*address)).collect();
        for client in &kept {
            assert_eq!(ask(client, "before"), "before");
        }
        old.stop_handle().hand_over();
        let late: Vec<_> = addresses.iter().map(|address| connect(*address)).collect();
        for client in &kept {
            assert_eq!(ask(client, "after"), "after");
            assert_eq!(read_rest(client), b"", "closed behind its answer");
        }
        drop(kept);
        let report = old.join();
        assert_eq!((report.accepted, report.forced, report.refused, report.failed), (3, 0, 0, 0), "{report}");
        let new = builder::<D>().adopt_and_start(sockets);
        for client in &late {
            assert_eq!(ask(client, "late"), "late");
        }
        drop(late);
        assert_eq!(new.stop().accepted, 3);
    }

    fn a_pause_holds_for_all<D>() {
        let server = builder::<D>().start_at(HERE);
        let addresses = addresses(&server);
        server.stop_handle().pause();
        let clients: Vec<_> = addresses.iter().map(|address| connect(*address)).collect();
        for client in &clients {
            client.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
            assert!((&mut &*client).read(&mut [0; 1]).is_err());
            client.set_read_timeout(Some(PATIENCE)).unwrap();
        }
        assert_eq!(server.stats().accepted, 0);
        server.stop_handle().resume();
        for client in &clients {
            assert_eq!(ask(client, "hello"), "hello");
        }
    }

    fn one_that_is_never_quiet_does_not_keep_the_others_waiting<D>() {
        let accepted = Log::<u16>::default();
        let tell = accepted.clone();
        let server = builder::<D>()
            .on_event(move |event| {
                if let Event::Start { peer: Some(peer), .. } = event {
                    tell.push(format!("{peer:?}").rsplit(':').next().unwrap().parse::<u16>().unwrap());
                }
            })
            .start_at(HERE);
        let addresses = addresses(&server);
        server.stop_handle().pause();
        // Not more than `Fork` has children.
        let crowd: Vec<_> = (0..37).map(|_| connect(addresses[0])).collect();
        let (second, third) = (connect(addresses[1]), connect(addresses[2]));
        server.stop_handle().resume();
        eventually("all are accepted", || accepted.len() == 39);
        let accepted = accepted.entries();
        for late in [&second, &third] {
            let port = late.local_addr().unwrap().port();
            let place = accepted.iter().position(|found| *found == port).unwrap();
            assert!(place < 20, "it is the {place}th");
        }
        drop(crowd);
    }

    fn what_is_inside_counts_for_itself<D>() {
        let options = || PerSourceOptions::new().most(1);
        let alone = Builder::<Many<PerSource<Tcp>>, D, _>::new(|| Echo).transport_options(options()).start_at(HERE);
        let clients: Vec<_> = alone.local_addr().iter().map(|address| connect(*address)).collect();
        for client in &clients {
            assert_eq!(ask(client, "hello"), "hello");
        }
        let together =
            Builder::<PerSource<Many<Tcp>>, D, _>::new(|| Echo).transport_options(options()).backlog(5).start_at(HERE);
        let first = connect(together.local_addr()[0]);
        assert_eq!(ask(&first, "hello"), "hello");
        let mut second = connect(together.local_addr()[1]);
        assert!(matches!(second.read(&mut [0; 1]), Ok(0) | Err(_)));
        let report = together.stop();
        assert_eq!(report.seen.refused(Refusal::PerSource), 1);
    }

    fn several_paths<D>() {
        let folder = TempDir::new();
        let paths = [folder.join("one"), folder.join("two")];
        let server = Builder::<Many<UnixStream>, D, _>::new(|| Echo).mode(0o600).start_at(paths.as_slice());
        for path in &paths {
            assert_eq!(ask(connect_unix(path), "hello"), "hello");
        }
        server.stop();
        assert!(paths.iter().all(|path| !path.exists()));
    }

    fn messages_of_several_sockets<D>() {
        let server = Builder::<Many<Udp>, D, _>::new(|| Echo).start_at(["127.0.0.1:0", "127.0.0.1:0"]);
        for address in server.local_addr().iter() {
            let client = connect_udp("127.0.0.1:0", *address);
            for count in 0..100_u32 {
                client.send(&count.to_le_bytes()).unwrap();
                assert_eq!(receive(|buffer| client.recv(buffer)), count.to_le_bytes());
            }
        }
        becomes("accepted", &200, || server.stats().accepted);
    }
}

/// Under the dispatches where connections are idle without a thread of their own.
macro_rules! sheds {
    ($($name:ident: $dispatch:ty,)*) => {$(
        #[test]
        fn $name() {
            let server = builder::<$dispatch>().max_connections(1).at_limit(AtLimit::ShedIdle).start_at(HERE);
            let mut before: Option<TcpStream> = None;
            for address in addresses(&server) {
                let client = connect(address);
                assert_eq!(ask(&client, "hello"), "hello");
                if let Some(before) = before.replace(client) {
                    assert_eq!(read_rest(before), b"");
                }
            }
            assert_eq!(server.seen.ended(End::Shed), 2);
        }
    )*};
}

sheds! {
    room_is_made_for_whichever_client_waits_under_sync: Sync,
    room_is_made_for_whichever_client_waits_under_pool: socketserver::Pool,
}

#[test]
fn handle_request_waits_for_each() {
    let mut server = builder::<Sync>().request_timeout(PATIENCE).listen_at(HERE);
    for address in server.local_addr().iter().rev().copied().collect::<Vec<_>>() {
        let client = std::thread::spawn(move || ask(connect(address), "hello"));
        assert_eq!(server.handle_request().unwrap(), Handled::Request);
        assert_eq!(client.join().unwrap(), "hello");
    }
    drop(server);
    let mut server = builder::<Sync>().request_timeout(Duration::from_millis(20)).listen_at(HERE);
    assert_eq!(server.handle_request().unwrap(), Handled::TimedOut);
}

#[test]
fn nothing_is_left_of_a_bind_that_fails_half_way() {
    let folder = TempDir::new();
    let (good, bad) = (folder.join("good"), folder.join("missing/bad"));
    let error = Builder::<Many<UnixStream>, Sync, _>::new(|| Echo).bind([&good, &bad]).unwrap_err();
    assert!(error.to_string().contains("missing/bad"), "{error}");
    assert!(!good.exists());

    let error = builder::<Sync>().bind(Vec::<&str>::new()).unwrap_err();
    assert!(matches!(error, BindError::Option { .. }));
    assert!(error.to_string().starts_with("option listeners = 0: "), "{error}");
}

#[test]
fn sockets_that_exist_already() {
    let sockets: Vec<_> = HERE.iter().map(|address| TcpListener::bind(address).unwrap()).collect();
    let addresses: Vec<_> = sockets.iter().map(|socket| socket.local_addr().unwrap()).collect();
    let server = builder::<Sync>().adopt(sockets).unwrap();
    assert_eq!(server.local_addr().to_vec(), addresses);
    assert_eq!(server.local_addr().to_string(), format!("{}, {}, {}", addresses[0], addresses[1], addresses[2]));
    let server = server.serve_in_background().unwrap();
    for address in addresses {
        assert_eq!(ask(connect(address), "hello"), "hello");
    }
    let sockets = vec![UdpSocket::bind("127.0.0.1:0").unwrap()];
    Builder::<Many<Udp>, Sync, _>::new(|| Echo).adopt(sockets).unwrap();
    assert_eq!(server.shutdown().unwrap().accepted, 3);
}

#[test]
fn one_that_fails_does_not_keep_the_others_waiting() {
    use socketserver::testing::Faulty;
    use socketserver::testing::Script;
    let (script, fine) = (Script::new(), Script::new());
    // Lost connections are tried again at once.
    script.fail(&[rustix::io::Errno::CONNABORTED.raw_os_error(); 5]);
    let listen = |script| Faulty::new(Many::of([tcp()]).unwrap(), script);
    let many = Many::of([listen(&script), listen(&fine)]).unwrap();
    let addresses: Vec<SocketAddr> =
        socketserver::Transport::local_addr(&many).iter().map(|address| address[0]).collect();
    let server = socketserver::Server::new(many, Sync, || Echo).unwrap().serve_in_background().unwrap();
    for address in addresses {
        assert_eq!(ask(connect(address), "hello"), "hello");
    }
    let report = server.shutdown().unwrap();
    assert_eq!((report.accepted, script.failures()), (2, 5), "{report}");
}

fn tcp() -> Tcp {
    use socketserver::transport::Bind;
    Tcp::bind(&"127.0.0.1:0".into(), &Default::default()).unwrap()
}

#[test]
fn ends_are_those_of_any_server() {
    let server = builder::<Sync>().start_at(HERE);
    let addresses = addresses(&server);
    addresses.iter().for_each(|address| drop(connect(*address)));
    assert_eq!(server.seen.wait_for_ends(3), [End::PeerClosed; 3]);
}
