//! The first type of a server is a transport, not the socket it is made of.

use socketserver::Transport;

fn serve<T: Transport>(_: T) {}

fn main() {
    serve(std::net::TcpListener::bind("127.0.0.1:0").unwrap());
}
