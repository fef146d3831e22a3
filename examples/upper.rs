//! The ancestor's first program: lines come back in upper case.
//!
//! ```text
//! cargo run --example upper
//! nc 127.0.0.1 9999
//! ```

mod common;

use std::io::BufRead;
use std::io::Write;
use std::process::ExitCode;

use socketserver::Flow;
use socketserver::Handler;
use socketserver::HandlerResult;
use socketserver::Socket;
use socketserver::Stream;
use socketserver::Tcp;
use socketserver::UnixStream;

const USAGE: &str =
    "usage: upper [--listen ADDR|PATH] [--transport tcp|unix] [--dispatch sync|threads|fork|pool] [--workers N]";

struct Upper;

impl<S: Socket> Handler<Stream<S>> for Upper {
    fn handle(&mut self, request: &mut Stream<S>) -> HandlerResult {
        let mut line = Vec::new();
        request.read_until(b'\n', &mut line)?;
        line.make_ascii_uppercase();
        request.write_all(&line)?;
        Ok(Flow::Continue)
    }
}

fn main() -> ExitCode {
    common::run(USAGE, serve)
}

fn serve() -> common::Outcome {
    let flags = common::Flags::parse(USAGE, |_, _| Ok(false))?;
    match flags.transport.as_deref().unwrap_or("tcp") {
        "tcp" => serve_with!(Tcp, flags, "pool", flags.listen_or("127.0.0.1:9999"), || Upper, write_buffer(4096)),
        "unix" => {
            serve_with!(UnixStream, flags, "pool", flags.listen_or("upper.sock"), || Upper, write_buffer(4096))
        }
        other => Err(common::wrong_usage(format!("--transport {other}: choose tcp or unix"))),
    }
}
