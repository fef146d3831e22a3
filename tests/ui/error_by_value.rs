//! `on_error` is shown the error.

use socketserver::Flow;
use socketserver::RequestError;
use socketserver::TcpServer;

fn main() {
    let server = TcpServer::builder_fn(|_| Ok(Flow::Close))
        .on_error(|error: RequestError, _| println!("{error}"))
        .bind("127.0.0.1:0")
        .unwrap();
    server.serve_forever().unwrap();
}
