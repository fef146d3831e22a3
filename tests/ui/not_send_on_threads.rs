//! A handler with an `Rc` cannot go to another thread.

use std::rc::Rc;

use socketserver::{Flow, ThreadingTcpServer};

fn main() {
    let shared = Rc::new(());
    let _ = ThreadingTcpServer::bind_fn("127.0.0.1:0", move |_| {
        let _ = &shared;
        Ok(Flow::Close)
    });
}
