//! Ports are shared where there are ports.

use socketserver::{Flow, UnixStreamServer};

fn main() {
    let _ = UnixStreamServer::builder_fn(|_| Ok(Flow::Close)).reuse_port(true).bind("a.sock");
}
