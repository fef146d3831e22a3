//! A handler with an `Rc` moves between the threads of a pool as little as to a thread of its own.

use std::rc::Rc;

use socketserver::{Flow, Handler, HandlerResult, PoolTcpServer, Socket, Stream};

struct Counting {
    calls: Rc<u32>,
}

impl<S: Socket> Handler<Stream<S>> for Counting {
    fn handle(&mut self, _: &mut Stream<S>) -> HandlerResult {
        Ok(if *self.calls == 0 { Flow::Close } else { Flow::Continue })
    }
}

fn main() {
    let _ = PoolTcpServer::bind("127.0.0.1:0", || Counting { calls: Rc::new(0) });
}
