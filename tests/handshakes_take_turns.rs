//! Handshakes cost the server work, and under `Sync` that work and the messages of established connections take turns.
//!
//! What counts is the order of service. It is exact because the server itself says when the message arrives: in the
//! middle of a handshake it writes to the established connection's other end, and what is sent over a Unix-domain socket has
//! arrived when the call returns.

#![cfg(target_os = "linux")]

mod common;

use std::io;
use std::io::ErrorKind;
use std::io::Read;
use std::io::Write;
use std::os::fd::AsFd;
use std::os::unix::net;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::OnceLock;
use std::sync::mpsc::Receiver;
use std::sync::mpsc::channel;
use std::time::Duration;
use std::time::Instant;

use common::TempDir;
use common::ask;
use common::connect_unix;
use common::eventually;
use common::read_line;
use socketserver::BackgroundServer;
use socketserver::Flow;
use socketserver::HandlerResult;
use socketserver::Server;
use socketserver::Stream;
use socketserver::Sync;
use socketserver::Transport;
use socketserver::UnixAddress;
use socketserver::UnixStream;
use socketserver::handler::function;
use socketserver::transport::Advance;
use socketserver::transport::Bind;
use socketserver::transport::Descriptor;
use socketserver::transport::Establish;
use socketserver::transport::Immediate;
use socketserver::transport::Interest;

/// What the server has done, in order.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Step {
    Handshake,
    Message,
}

const CLIENTS: usize = 100;

/// The handshakes in which a message arrives.
const EVERY: usize = 10;

#[derive(Default)]
struct Seen {
    steps: Mutex<Vec<Step>>,
    /// The established connection's other end.
    client: OnceLock<net::UnixStream>,
}

impl Seen {
    fn steps(&self) -> Vec<Step> {
        self.steps.lock().unwrap().clone()
    }

    fn count(&self, step: Step) -> usize {
        self.steps().into_iter().filter(|seen| *seen == step).count()
    }

    fn handshake(&self) {
        let begun = Instant::now();
        self.steps.lock().unwrap().push(Step::Handshake);
        if self.count(Step::Handshake).is_multiple_of(EVERY)
            && let Some(mut client) = self.client.get()
        {
            client.write_all(b"message\n").unwrap();
        }
        // As long as that of some kinds of certificates takes.
        while begun.elapsed() < Duration::from_millis(2) {
            std::hint::spin_loop();
        }
    }
}

/// Unix-domain sockets whose clients send a byte, to which the server has much to compute.
struct Laborious(UnixStream, Arc<Seen>);

struct Labour(Stream<net::UnixStream>, Arc<Seen>);

impl Transport for Laborious {
    type Request = Stream<net::UnixStream>;
    type Pending = Labour;
    type Addr = UnixAddress;

    fn accept(&mut self) -> io::Result<Labour> {
        self.0.accept().map(|Immediate(stream)| Labour(stream, Arc::clone(&self.1)))
    }

    fn descriptor(&self) -> Descriptor<'_> {
        self.0.descriptor()
    }

    fn local_addr(&self) -> UnixAddress {
        self.0.local_addr()
    }
}

impl Establish for Labour {
    type Request = Stream<net::UnixStream>;

    fn client_address(&self) -> Option<&UnixAddress> {
        self.0.peer_addr()
    }

    fn descriptor(&self) -> Option<Descriptor<'_>> {
        Some(self.0.get_ref().as_fd())
    }

    fn advance(&mut self) -> io::Result<Advance> {
        let mut byte = [0];
        match self.0.get_mut().read(&mut byte) {
            Ok(0) => Ok(Advance::Closed),
            // That of the established one costs nothing.
            Ok(_) if byte == *b"!" => Ok(Advance::Done),
            Ok(_) => {
                self.1.handshake();
                Ok(Advance::Done)
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(Advance::Wait(Interest::Read)),
            Err(error) => Err(error),
        }
    }

    fn into_request(self) -> Stream<net::UnixStream> {
        self.0
    }
}

/// A server that is held up: nothing that its clients do is looked at before `release`.
struct Held {
    server: BackgroundServer<UnixAddress>,
    seen: Arc<Seen>,
    folder: TempDir,
    release: std::sync::mpsc::Sender<()>,
    holder: net::UnixStream,
}

impl Held {
    fn start() -> Self {
        let (folder, seen) = (TempDir::new(), Arc::new(Seen::default()));
        let unix = UnixStream::bind(&folder.join("socket").into(), &Default::default()).unwrap();
        let (release, released) = channel();
        let handle = {
            let (seen, released) = (Arc::clone(&seen), Mutex::new(released));
            move |request: &mut Stream<net::UnixStream>| handle(request, &seen, &released)
        };
        let server = Server::new(Laborious(unix, Arc::clone(&seen)), Sync, function(handle)).unwrap();
        let server = server.serve_in_background().unwrap();
        let [established, holder] = [(); 2].map(|()| {
            let mut client = connect_unix(&folder.join("socket"));
            client.write_all(b"!").unwrap();
            assert_eq!(ask(&client, "hello"), "hello");
            client
        });
        seen.client.set(established).unwrap();
        Self { server, seen, folder, release, holder }
    }

    fn hold(&mut self) {
        assert_eq!(ask(&self.holder, "hold"), "hold");
    }

    fn connect(&self) -> Vec<net::UnixStream> {
        (0..CLIENTS).map(|_| connect_unix(&self.folder.join("socket"))).collect()
    }

    /// Every message is served right behind the handshake in which it arrives.
    fn served_in_turns(self, clients: Vec<net::UnixStream>) {
        self.release.send(()).unwrap();
        let all = |step, count| self.seen.count(step) == count;
        eventually("all is done", || all(Step::Handshake, CLIENTS) && all(Step::Message, CLIENTS / EVERY));
        let mut handshakes = vec![Step::Handshake; EVERY];
        handshakes.push(Step::Message);
        assert_eq!(self.seen.steps(), handshakes.repeat(CLIENTS / EVERY));
        drop(clients);
        let report = self.server.shutdown().unwrap();
        assert_eq!(report.accepted, CLIENTS as u64 + 2, "{report}");
    }
}

fn handle(request: &mut Stream<net::UnixStream>, seen: &Seen, released: &Mutex<Receiver<()>>) -> HandlerResult {
    if request.buffered() == b"busy\n" {
        // Calls without end, until there is nothing else to do.
        return Ok(if seen.count(Step::Handshake) < CLIENTS { Flow::Flush } else { Flow::Close });
    }
    while let Some(line) = request.line()? {
        match line.trim_end() {
            "message" => seen.steps.lock().unwrap().push(Step::Message),
            "hold" => {
                request.write_all(b"hold\n")?;
                request.flush()?;
                released.lock().unwrap().recv().unwrap();
            }
            line => writeln!(request, "{line}")?,
        }
    }
    Ok(Flow::Continue)
}

#[test]
fn of_clients_that_have_just_been_accepted() {
    let mut held = Held::start();
    held.hold();
    let clients = held.connect();
    clients.iter().for_each(|mut client| client.write_all(b"?").unwrap());
    held.served_in_turns(clients);
}

#[test]
fn of_clients_that_have_been_waited_for() {
    let mut held = Held::start();
    let clients = held.connect();
    eventually("they are accepted", || held.server.stats().accepted == CLIENTS as u64 + 2);
    held.hold();
    clients.iter().for_each(|mut client| client.write_all(b"?").unwrap());
    held.served_in_turns(clients);
}

#[test]
fn one_that_is_always_busy_does_not_keep_the_new_ones_out() {
    let held = Held::start();
    let mut busy = connect_unix(&held.folder.join("socket"));
    busy.write_all(b"!busy\n").unwrap();
    let clients = held.connect();
    clients.iter().for_each(|mut client| client.write_all(b"?").unwrap());
    eventually("they are served", || held.seen.count(Step::Handshake) == CLIENTS);
    assert_eq!(read_line(&busy), "");
    drop((clients, held));
}
