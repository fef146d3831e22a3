//! Factories take no argument: what they know of the request, `make` of a `HandlerFactory` gets.

use socketserver::Flow;
use socketserver::Handler;
use socketserver::HandlerResult;
use socketserver::Socket;
use socketserver::Stream;
use socketserver::TcpServer;

struct Upper;

impl<S: Socket> Handler<Stream<S>> for Upper {
    fn handle(&mut self, _: &mut Stream<S>) -> HandlerResult {
        Ok(Flow::Close)
    }
}

fn main() {
    let server = TcpServer::bind("127.0.0.1:0", |_| Upper).unwrap();
    server.serve_forever().unwrap();
}
