//! What the crate promises for Windows, tried there: TCP under three dispatches, and UDP.

use std::io::BufRead;
use std::io::BufReader;
use std::io::Read;
use std::io::Write;
use std::net::SocketAddr;
use std::net::TcpStream;
use std::net::UdpSocket;
use std::sync::mpsc;
use std::sync::mpsc::Sender;
use std::time::Duration;

use socketserver::Builder;
use socketserver::Flow;
use socketserver::Handler;
use socketserver::HandlerResult;
use socketserver::Pool;
use socketserver::Socket;
use socketserver::Stream;
use socketserver::Sync;
use socketserver::Tcp;
use socketserver::ThreadPerRequest;
use socketserver::UdpServer;

/// Answers lines in upper case; says of a line `slow` that it has begun, and takes its time.
struct Upper(Sender<()>);

impl<S: Socket> Handler<Stream<S>> for Upper {
    fn handle(&mut self, request: &mut Stream<S>) -> HandlerResult {
        let Some(line) = request.line()? else { return Ok(Flow::Continue) };
        if line == "slow\n" {
            self.0.send(())?;
            std::thread::sleep(Duration::from_millis(300));
        }
        request.write_all(line.to_uppercase().as_bytes())?;
        Ok(Flow::Continue)
    }
}

fn ask(client: &TcpStream, line: &str) -> String {
    let mut client = client;
    client.write_all(line.as_bytes()).expect("send");
    let mut answer = String::new();
    BufReader::new(client).read_line(&mut answer).expect("an answer");
    answer
}

fn rest(mut client: TcpStream) -> String {
    let mut rest = String::new();
    client.read_to_string(&mut rest).expect("the end, and no reset");
    rest
}

fn check(address: SocketAddr) {
    let silent = TcpStream::connect(address).expect("connect");
    let clients: Vec<TcpStream> = (0..20).map(|_| TcpStream::connect(address).expect("connect")).collect();
    for mut client in &clients {
        client.write_all(b"hal").expect("send");
    }
    // Those with half a line hold no thread.
    assert_eq!(ask(&silent, "new\n"), "NEW\n");
    for client in &clients {
        assert_eq!(ask(client, "f\n"), "HALF\n");
        assert_eq!(ask(client, "whole\n"), "WHOLE\n");
    }
    // Half a line has the time of a message, 2 s.
    (&silent).write_all(b"hal").expect("send");
    assert_eq!(rest(silent), "");
}

macro_rules! serve {
    ($dispatch:ty) => {{
        let (begun, begins) = mpsc::channel();
        let server = Builder::<Tcp, $dispatch, _>::new(move || Upper(begun.clone()))
            .read_timeout(Duration::from_secs(2))
            .bind("127.0.0.1:0")
            .expect("bind")
            .serve_in_background()
            .expect("serve");
        check(server.local_addr());
        // A stop lets busy connections finish.
        let mut busy = TcpStream::connect(server.local_addr()).expect("connect");
        busy.write_all(b"slow\n").expect("send");
        begins.recv().expect("it has begun");
        server.stop_handle().shutdown();
        assert_eq!(rest(busy), "SLOW\n");
        let report = server.join().expect("a report");
        println!("{}: {report}", stringify!($dispatch));
    }};
}

fn main() {
    serve!(Sync);
    serve!(ThreadPerRequest);
    serve!(Pool);
    let server = UdpServer::builder_fn(|request| {
        let answer = request.payload().to_ascii_uppercase();
        request.reply(&answer)?;
        Ok(Flow::Close)
    })
    .bind("127.0.0.1:0")
    .expect("bind")
    .serve_in_background()
    .expect("serve");
    let client = UdpSocket::bind("127.0.0.1:0").expect("bind");
    client.connect(server.local_addr()).expect("connect");
    for message in ["one", "two"] {
        client.send(message.as_bytes()).expect("send");
        let mut answer = [0; 16];
        let length = client.recv(&mut answer).expect("an answer");
        assert_eq!(answer[..length], *message.to_uppercase().as_bytes());
    }
    server.stop_handle().shutdown();
    println!("UDP: {}", server.join().expect("a report"));
}
