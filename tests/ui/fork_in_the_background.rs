//! Forking needs a process with one thread; a server in the background is a second.

use socketserver::{Flow, ForkingTcpServer};

fn main() {
    let server = ForkingTcpServer::bind_fn("127.0.0.1:0", |_| Ok(Flow::Close)).unwrap();
    let _ = server.serve_in_background();
}
