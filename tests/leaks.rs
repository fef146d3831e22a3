//! A server that has ended leaves no descriptor and no thread behind, in a process without other tests to disturb the
//! count.

#[macro_use]
mod common;

use std::io::Read;
use std::io::Write;
use std::net::Ipv4Addr;
use std::net::TcpListener;
use std::net::TcpStream;
use std::sync::atomic::AtomicU16;
use std::sync::atomic::Ordering;
use std::time::Duration;

use common::Held;
use common::Start;
use common::cases;
use common::cases::Trial;
use common::echo::Echo;
use common::echo::scenario;
use socketserver::Builder;
use socketserver::Flow;
use socketserver::Handler;
use socketserver::HandlerResult;
use socketserver::Pool;
use socketserver::Stream;
use socketserver::Sync;
use socketserver::Tcp;
use socketserver::TcpServer;
use socketserver::ThreadPerRequest;
use socketserver::ThreadingTcpServer;
use socketserver::Tls;
use socketserver::Udp;
use socketserver::UnixDatagram;
use socketserver::UnixStream;
use socketserver::dispatch::Dispatch;

/// A thread that has been joined is listed until the kernel has taken it down: what stays, stays.
fn leaves_nothing(name: &str, test: fn()) -> Trial {
    cases::case(name, move || {
        let before = Held::now();
        test();
        common::becomes("descriptors and threads", &before, Held::now);
    })
}

fn bound_and_dropped() {
    drop(TcpServer::bind("127.0.0.1:0", || Echo).unwrap());
    drop(ThreadingTcpServer::bind("127.0.0.1:0", || Echo).unwrap());
}

/// A port that is in use: nothing of the try is left.
fn a_thousand_binds_that_fail() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    for _ in 0..1024 {
        let error = TcpServer::bind(address, || Echo).unwrap_err();
        assert!(error.to_string().contains(&address.to_string()), "{error}");
    }
    for _ in 0..1024 {
        assert!(socketserver::UnixStreamServer::bind("/nowhere/at/all", || Echo).is_err());
    }
}

/// Dropping without a shutdown is one.
fn dropped_while_it_serves() {
    // Not the helper of the other servers: that one stops it.
    let server = ThreadingTcpServer::bind("127.0.0.1:0", || Echo).unwrap().serve_in_background().unwrap();
    let client = common::connect(server.local_addr());
    assert_eq!(common::ask(&client, "hello"), "hello");
    drop(server);
    assert_eq!(common::read_rest(&client), b"");
}

/// Connections that are open at the stop are closed with the rest.
fn stopped_with_open_connections() {
    let server = socketserver::PoolTcpServer::builder(|| Echo).start();
    let clients: Vec<_> = (0..50).map(|_| common::connect(server.local_addr())).collect();
    for client in &clients {
        assert_eq!(common::ask(client, "hello"), "hello");
    }
    let report = server.stop();
    assert_eq!((report.accepted, report.idle_closed), (50, 50), "{report}");
}

/// Ended by one side, by both, by the stop; the other side is closed with the connection.
fn relays<D>()
where
    Builder<Tcp, D, fn() -> To>: Start<Transport = Tcp>,
    D: Dispatch + Default,
{
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    UPSTREAM.store(address.port(), Ordering::SeqCst);
    let server = Builder::<Tcp, D, _>::new((|| To) as fn() -> To).drain_timeout(Duration::ZERO).start();
    let mut open = Vec::new();
    for round in 0..30 {
        let mut client = common::connect(server.local_addr());
        client.write_all(b"go").unwrap();
        let (mut other, _) = listener.accept().unwrap();
        other.read_exact(&mut [0; 2]).unwrap();
        match round % 3 {
            0 => common::reset(client),
            1 => drop(other),
            _ => open.push((client, other)),
        }
    }
    server.stop();
}

/// Where the relays go to; the handler is a plain function, so that its type has a name.
static UPSTREAM: AtomicU16 = AtomicU16::new(0);

struct To;

impl Handler<Stream<TcpStream>> for To {
    fn handle(&mut self, request: &mut Stream<TcpStream>) -> HandlerResult {
        // On a thread of its own it is called before there is anything.
        if request.buffered().is_empty() {
            return Ok(Flow::Continue);
        }
        request.relay_to(TcpStream::connect((Ipv4Addr::LOCALHOST, UPSTREAM.load(Ordering::SeqCst)))?)?;
        Ok(Flow::Relay)
    }
}

macro_rules! leave_nothing {
    ($($name:ident: $test:expr;)+) => {
        vec![$(leaves_nothing(stringify!($name), $test)),+]
    };
}

fn main() {
    // What the process makes once and keeps (standard output, the thread locals of the main thread) is made before the
    // first count.
    scenario::<Tcp, Pool, _>(Pool::default(), || Echo);
    common::eventually("one thread", || Held::now().threads == 1);
    cases::run(leave_nothing! {
        tcp_sync: || scenario::<Tcp, _, _>(Sync, || Echo);
        tcp_threads: || scenario::<Tcp, _, _>(ThreadPerRequest::default(), || Echo);
        tcp_pool: || scenario::<Tcp, _, _>(Pool::default(), || Echo);
        udp_sync: || scenario::<Udp, _, _>(Sync, || Echo);
        udp_threads: || scenario::<Udp, _, _>(ThreadPerRequest::default(), || Echo);
        udp_pool: || scenario::<Udp, _, _>(Pool::default(), || Echo);
        unix_stream_sync: || scenario::<UnixStream, _, _>(Sync, || Echo);
        unix_stream_threads: || scenario::<UnixStream, _, _>(ThreadPerRequest::default(), || Echo);
        unix_stream_pool: || scenario::<UnixStream, _, _>(Pool::default(), || Echo);
        unix_datagram_sync: || scenario::<UnixDatagram, _, _>(Sync, || Echo);
        unix_datagram_threads: || scenario::<UnixDatagram, _, _>(ThreadPerRequest::default(), || Echo);
        unix_datagram_pool: || scenario::<UnixDatagram, _, _>(Pool::default(), || Echo);
        tls_sync: || scenario::<Tls<Tcp>, _, _>(Sync, || Echo);
        tls_threads: || scenario::<Tls<Tcp>, _, _>(ThreadPerRequest::default(), || Echo);
        tls_pool: || scenario::<Tls<Tcp>, _, _>(Pool::default(), || Echo);
        tls_over_unix: || scenario::<Tls<UnixStream>, _, _>(Sync, || Echo);
        relays_sync: relays::<Sync>;
        relays_threads: relays::<ThreadPerRequest>;
        relays_pool: relays::<Pool>;
        bound_and_dropped: bound_and_dropped;
        a_thousand_binds_that_fail: a_thousand_binds_that_fail;
        dropped_while_it_serves: dropped_while_it_serves;
        stopped_with_open_connections: stopped_with_open_connections;
    })
}
