//! A handler of connections cannot serve messages.

use socketserver::{Flow, Handler, HandlerResult, Socket, Stream, UdpServer};

struct Echo;

impl<S: Socket> Handler<Stream<S>> for Echo {
    fn handle(&mut self, _: &mut Stream<S>) -> HandlerResult {
        Ok(Flow::Close)
    }
}

fn main() {
    let _ = UdpServer::bind("127.0.0.1:0", || Echo);
}
