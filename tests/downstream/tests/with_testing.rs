//! The feature `testing` is enough to test a handler of one's own: in memory, and on a server that is watched.

use std::io::BufRead;
use std::io::BufReader;
use std::io::Write;
use std::sync::atomic::Ordering;
use std::time::Duration;

use downstream::Guarded;
use downstream::Memory;
use downstream::Shouting;
use socketserver::End;
use socketserver::HandlerFactoryExt;
use socketserver::Pool;
use socketserver::Server;
use socketserver::ServerOptions;
use socketserver::testing::CheckingObserver;
use socketserver::testing::Client;
use socketserver::testing::converse;
use socketserver::testing::converse_over;

/// A safety net, not a measure.
const PATIENCE: Duration = Duration::from_secs(30);

#[test]
fn a_handler_is_tested_without_a_server() {
    let factory = Shouting::default();
    let outcome = converse(factory.clone(), ["one\nt", "wo\n"]);
    assert_eq!((outcome.output.as_slice(), outcome.end), (b"ONE\nTWO\n".as_slice(), End::PeerClosed));
    assert_eq!(factory.lines.load(Ordering::Relaxed), 2);

    let outcome = converse(factory.clone(), [b"not text: \xff\n"]);
    assert_eq!((outcome.end, outcome.errors.len()), (End::Failed, 1));
    assert_eq!(factory.errors.load(Ordering::Relaxed), 1);
}

#[test]
fn a_wrapper_is_tested_without_a_server() {
    let serve = |client| converse_over(Guarded, Shouting::default(), client, ServerOptions::default());
    let outcome = serve(Client::new().sends("open ").sends("sesame\nhello\n"));
    assert_eq!((outcome.output.as_slice(), outcome.end), (b"HELLO\n".as_slice(), End::PeerClosed));

    let outcome = serve(Client::new().sends("open barley!\nhello\n"));
    assert_eq!((outcome.output.as_slice(), outcome.end), (b"".as_slice(), End::Refused));
}

#[test]
fn a_server_is_watched() {
    let (memory, connector) = Memory::listen("watched").unwrap();
    let observer = CheckingObserver::new();
    let server = Server::new(memory, Pool::new(2), Shouting::default().observed(observer.clone())).unwrap();
    let server = server.serve_in_background().unwrap();
    let client = connector.connect().unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    (&client).write_all(b"hello\n").unwrap();
    let mut answer = String::new();
    BufReader::new(&client).read_line(&mut answer).unwrap();
    assert_eq!(answer, "HELLO\n");
    drop(client);
    assert!(observer.wait_for_stops(1, PATIENCE));
    assert_eq!(observer.ended(End::PeerClosed), 1);
    observer.assert_adds_up(&server.shutdown().unwrap());
}
