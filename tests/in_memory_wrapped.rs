//! Handlers behind wrappers, and wrappers, in memory: they take the same steps as on a real server.

mod common;

use std::io;
use std::io::Read;
use std::io::Write;
use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;

use common::tls;
use socketserver::End;
use socketserver::Flow;
use socketserver::Handler;
use socketserver::HandlerResult;
use socketserver::ServerOptions;
use socketserver::Socket;
use socketserver::Stage;
use socketserver::Stream;
use socketserver::Tls;
use socketserver::Transport;
use socketserver::handler::function;
use socketserver::testing::Client;
use socketserver::testing::Memory;
use socketserver::testing::MemorySocket;
use socketserver::testing::Outcome;
use socketserver::testing::converse_over;
use socketserver::transport::Descriptor;
use socketserver::transport::PerSource;
use socketserver::transport::PerSourceOptions;
use socketserver::transport::Proxied;
use socketserver::transport::ProxyOptions;
use socketserver::transport::ProxyProtocol;
use socketserver::transport::StartTls;
use socketserver::transport::StartTlsSocket;

const HEADER: &str = "PROXY TCP4 198.51.100.7 192.0.2.9 4711 80\r\n";

fn behind_a_proxy<T: Transport<Request = Stream<MemorySocket>>>(inner: T, trusted: &str) -> ProxyProtocol<T> {
    ProxyProtocol::over(inner, &ProxyOptions::<()>::new().trust(trusted.parse().unwrap())).unwrap()
}

/// Lines come back in upper case.
struct Upper;

impl<S: Socket> Handler<Stream<S>> for Upper {
    fn handle(&mut self, request: &mut Stream<S>) -> HandlerResult {
        let Some(line) = request.line()? else { return Ok(Flow::Continue) };
        request.write_all(line.to_uppercase().as_bytes())?;
        Ok(Flow::Continue)
    }
}

#[test]
fn behind_a_header_the_peer_is_the_announced_one() {
    let who = function(|request: &mut Stream<Proxied<MemorySocket>>| {
        let client = request.peer_addr().unwrap().to_string();
        let proxy = request.get_ref().proxy_addr().unwrap().to_string();
        writeln!(request, "{client} through {proxy}")?;
        Ok(Flow::Close)
    });
    let client = Client::new().sends(HEADER).sends("hello\n");
    let outcome = converse_over(|memory| behind_a_proxy(memory, "192.0.2.1"), who, client, ServerOptions::default());
    assert_eq!(String::from_utf8(outcome.output).unwrap(), "198.51.100.7:4711 through 192.0.2.1:1\n");
    assert_eq!((outcome.end, outcome.errors.len(), outcome.calls), (End::HandlerClosed, 0, 1));
}

#[test]
fn what_fails_in_the_second_phase_is_told() {
    let serve = |client: Client, trusted: &str| {
        let options = ServerOptions::new().establish_timeout(Duration::from_millis(20));
        converse_over(|memory| behind_a_proxy(memory, trusted), || Upper, client, options)
    };
    let half = || Client::new().sends(&HEADER[..9]);
    for (client, end) in [
        (Client::new().sends("hello\n"), End::Failed),
        (half(), End::Failed),
        (half().then_resets(), End::Failed),
        (half().then_is_silent(), End::TimedOut),
    ] {
        let what = format!("{client:?}");
        let outcome = serve(client, "192.0.2.1");
        assert_eq!((outcome.end, outcome.calls, outcome.output.len()), (end, 0, 0), "{what}");
        let [error] = &outcome.errors[..] else { panic!("{what}: {:?}", outcome.errors) };
        assert_eq!(error.stage, Stage::Establish, "{what}");
    }
    // Nothing is wrong with these: a check that says nothing, and a peer who may not send a header.
    let outcome = serve(Client::new(), "192.0.2.1");
    assert_eq!((outcome.end, outcome.calls, outcome.errors.len()), (End::PeerClosed, 0, 0));
    let outcome = serve(Client::new().sends(HEADER).sends("hello\n"), "203.0.113.0/24");
    assert_eq!((outcome.end, outcome.calls, outcome.errors.len()), (End::Refused, 0, 0));
}

#[test]
fn wrappers_go_over_each_other() {
    let wrap =
        |memory| PerSource::over(behind_a_proxy(memory, "192.0.2.1"), &PerSourceOptions::<()>::new().most(1)).unwrap();
    let client = Client::new().sends(HEADER.to_owned() + "one\nt").sends("wo\n");
    let outcome = converse_over(wrap, || Upper, client, ServerOptions::default());
    assert_eq!((outcome.output.as_slice(), outcome.end), (&b"ONE\nTWO\n"[..], End::PeerClosed));
}

/// Loses each connection when it accepts it.
struct Loses(Memory);

impl Transport for Loses {
    type Request = Stream<MemorySocket>;
    type Pending = <Memory as Transport>::Pending;
    type Addr = <Memory as Transport>::Addr;

    fn accept(&mut self) -> io::Result<Self::Pending> {
        self.0.accept().and(Err(io::ErrorKind::ConnectionAborted.into()))
    }

    fn descriptor(&self) -> Descriptor<'_> {
        self.0.descriptor()
    }

    fn local_addr(&self) -> Self::Addr {
        self.0.local_addr()
    }
}

#[test]
fn a_connection_that_is_lost_ends_the_conversation() {
    let outcome = converse_over(Loses, || Upper, Client::new().sends("one\n"), ServerOptions::default());
    assert_eq!((outcome.end, outcome.calls, outcome.errors.len()), (End::Refused, 0, 0));
}

/// What `client` does, who then speaks TLS; and the lines that come back. It closes when there are as many as it says.
fn speaking_tls(client: Client, says: &'static str) -> (Client, Arc<Mutex<String>>) {
    let heard = Arc::new(Mutex::new(String::new()));
    let (mut session, lines) = (tls::Client::default().session(), Arc::clone(&heard));
    session.writer().write_all(says.as_bytes()).unwrap();
    let client = client.answers(move |mut records| {
        while !records.is_empty() {
            session.read_tls(&mut records).unwrap();
            session.process_new_packets().unwrap();
        }
        let mut lines = lines.lock().unwrap();
        let mut bytes = [0; 1024];
        while let Ok(count @ 1..) = session.reader().read(&mut bytes) {
            lines.push_str(std::str::from_utf8(&bytes[..count]).unwrap());
        }
        if lines.len() == says.len() {
            session.send_close_notify();
        }
        let mut said = Vec::new();
        while session.wants_write() {
            session.write_tls(&mut said).unwrap();
        }
        said
    });
    (client, heard)
}

fn over_tls(client: Client) -> Outcome<Vec<u8>> {
    converse_over(|memory| Tls::over(memory, tls::server_config()), || Upper, client, ServerOptions::default())
}

#[test]
fn a_client_that_answers_makes_a_handshake() {
    let (client, heard) = speaking_tls(Client::new(), "one\ntwo\n");
    let outcome = over_tls(client);
    assert_eq!(*heard.lock().unwrap(), "ONE\nTWO\n");
    assert_eq!((outcome.end, outcome.calls, outcome.errors.len()), (End::PeerClosed, 2, 0));
    assert!(!outcome.output.windows(3).any(|bytes| bytes == b"ONE"), "it has come in the clear");
}

#[test]
fn a_handshake_that_is_none() {
    let outcome = over_tls(Client::new().sends("hello\n"));
    assert_eq!((outcome.end, outcome.calls), (End::Failed, 0));
    assert_eq!(outcome.errors[0].stage, Stage::Establish);
    // An alert.
    assert_eq!(outcome.output[0], 21);
}

#[test]
fn tls_behind_a_header() {
    let (client, heard) = speaking_tls(Client::new().sends(HEADER), "one\n");
    let wrap = |memory| Tls::over(behind_a_proxy(memory, "192.0.2.1"), tls::server_config());
    let outcome = converse_over(wrap, || Upper, client, ServerOptions::default());
    assert_eq!((heard.lock().unwrap().as_str(), outcome.end), ("ONE\n", End::PeerClosed));
}

#[test]
fn tls_that_is_begun_by_the_handler() {
    let handler = function(|request: &mut Stream<StartTlsSocket<MemorySocket>>| {
        if request.get_ref().is_secure() {
            return Upper.handle(request);
        }
        assert_eq!(request.line()?.as_deref(), Some("STARTTLS\n"));
        request.write_all(b"go ahead\n")?;
        request.start_tls()?;
        Ok(Flow::Continue)
    });
    let begins = Client::new().sends("STARTTLS\n").answers(|heard| {
        assert_eq!(heard, b"go ahead\n");
        Vec::new()
    });
    let (client, heard) = speaking_tls(begins, "one\n");
    let wrap = |memory| StartTls::over(memory, tls::server_config());
    let outcome = converse_over(wrap, handler, client, ServerOptions::default());
    assert_eq!((outcome.end, outcome.errors.len()), (End::PeerClosed, 0), "{:?}", outcome.errors);
    assert_eq!(heard.lock().unwrap().as_str(), "ONE\n");
}
