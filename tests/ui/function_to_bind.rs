//! A function that handles is no factory: `bind_fn` takes it.

use std::net::TcpStream;

use socketserver::Flow;
use socketserver::HandlerResult;
use socketserver::Stream;
use socketserver::TcpServer;

fn handle(_: &mut Stream<TcpStream>) -> HandlerResult {
    Ok(Flow::Close)
}

fn main() {
    let server = TcpServer::bind("127.0.0.1:0", handle).unwrap();
    server.serve_forever().unwrap();
}
