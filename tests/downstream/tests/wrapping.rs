//! A wrapper over other transports, of this crate and of `socketserver`, around and inside of its own.

use std::io::BufRead;
use std::io::BufReader;
use std::io::Read;
use std::io::Write;
use std::net::TcpStream;
use std::os::unix;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;

use downstream::Guarded;
use downstream::Memory;
use downstream::Shouting;
use socketserver::Builder;
use socketserver::Pool;
use socketserver::Server;
use socketserver::Sync;
use socketserver::Tcp;
use socketserver::ThreadPerRequest;
use socketserver::UnixStream;
use socketserver::transport::Many;
use socketserver::transport::PerSource;
use socketserver::transport::PerSourceOptions;
use socketserver::transport::ProxyOptions;
use socketserver::transport::ProxyProtocol;

/// A safety net, not a measure.
const PATIENCE: Duration = Duration::from_secs(30);

/// Users write such types in fields.
struct Service {
    server: Server<Guarded<Tcp>, Pool, Shouting>,
}

fn tell(mut client: impl Read + Write, words: &str) -> String {
    client.write_all(words.as_bytes()).unwrap();
    let mut answer = String::new();
    // What it has not said is not read: one that is turned away may be reset.
    let _ = BufReader::new(client).read_line(&mut answer);
    answer
}

fn tcp(address: std::net::SocketAddr) -> TcpStream {
    let client = TcpStream::connect(address).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    client
}

#[test]
fn over_tcp() {
    let server = Builder::<Guarded<Tcp>, Pool, _>::new(Shouting::default()).backlog(5).nodelay(true);
    let service = Service { server: server.bind("127.0.0.1:0").unwrap() };
    let server = service.server.serve_in_background().unwrap();
    let silent = tcp(server.local_addr());
    assert_eq!(tell(tcp(server.local_addr()), "open sesame\nhello\n"), "HELLO\n");
    assert_eq!(tell(tcp(server.local_addr()), "open barley!\nhello\n"), "");
    // In two pieces.
    let mut slow = tcp(server.local_addr());
    slow.write_all(b"open ").unwrap();
    assert_eq!(tell(&slow, "sesame\nhello\n"), "HELLO\n");
    drop((silent, slow));
    assert_eq!(server.shutdown().unwrap().refused, 1);
}

#[test]
fn over_a_unix_domain_socket() {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    let path = std::env::temp_dir().join(format!("downstream-{}-{number}", std::process::id()));
    let server = Builder::<Guarded<UnixStream>, ThreadPerRequest, _>::new(Shouting::default()).mode(0o600);
    let server = server.bind(path.as_path()).unwrap().serve_in_background().unwrap();
    let client = unix::net::UnixStream::connect(&path).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    assert_eq!(tell(&client, "open sesame\nhello\n"), "HELLO\n");
    drop(client);
    assert_eq!(server.shutdown().unwrap().accepted, 1);
}

#[test]
fn over_a_transport_that_cannot_be_bound() {
    let (memory, connector) = Memory::listen("guarded").unwrap();
    let server = Server::new(Guarded(memory), Sync, Shouting::default()).unwrap().serve_in_background().unwrap();
    let client = connector.connect().unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    assert_eq!(tell(&client, "open sesame\nhello\n"), "HELLO\n");
    drop(client);
    assert_eq!(server.shutdown().unwrap().accepted, 1);
}

#[test]
fn in_the_middle_of_others() {
    let options = PerSourceOptions::new().most(1).inner(ProxyOptions::new().trust("127.0.0.1".parse().unwrap()));
    let server = Builder::<PerSource<Guarded<ProxyProtocol<Many<Tcp>>>>, Pool, _>::new(Shouting::default());
    let server = server.transport_options(options).backlog(5).bind(["127.0.0.1:0", "127.0.0.1:0"]).unwrap();
    let addresses = server.local_addr();
    let server = server.serve_in_background().unwrap();
    let header = |source: &str| format!("PROXY TCP4 192.0.2.{source} 192.0.2.9 1 2\r\n");
    let first = tcp(addresses[0]);
    assert_eq!(tell(&first, &format!("{}open sesame\nhello\n", header("1"))), "HELLO\n");
    assert_eq!(tell(tcp(addresses[1]), &format!("{}open sesame\nhello\n", header("1"))), "");
    assert_eq!(tell(tcp(addresses[1]), &format!("{}open sesame\nhello\n", header("2"))), "HELLO\n");
    drop(first);
    assert_eq!(server.shutdown().unwrap().refused, 1);
}
