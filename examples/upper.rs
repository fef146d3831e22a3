//! The first program of Python's `socketserver` documentation: sends each line back in upper case.
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
    "usage: upper [--listen ADDR|PATH] [--transport tcp|unix] [--dispatch sync|threads|fork|pool] [--workers N]
             [--processes N] [--loop]
             [--tls-cert FILE --tls-key FILE [--tls-client-ca FILE]]";

/// A line that has not arrived whole is waited for without a thread (under `sync` and `pool`).
struct Upper;

impl<S: Socket> Handler<Stream<S>> for Upper {
    fn handle(&mut self, request: &mut Stream<S>) -> HandlerResult {
        let Some(line) = request.line()? else { return Ok(Flow::Continue) };
        request.write_all(line.to_uppercase().as_bytes())?;
        Ok(Flow::Continue)
    }
}

/// The same in Python's style: one call for the whole conversation, which waits inside of it.
struct UpperInALoop;

impl<S: Socket> Handler<Stream<S>> for UpperInALoop {
    fn handle(&mut self, request: &mut Stream<S>) -> HandlerResult {
        let mut line = String::new();
        while request.read_line(&mut line)? > 0 {
            request.write_all(line.to_uppercase().as_bytes())?;
            line.clear();
        }
        Ok(Flow::Close)
    }
}

fn main() -> ExitCode {
    common::run(USAGE, serve)
}

fn serve() -> common::Outcome {
    let mut in_a_loop = false;
    let flags = common::Flags::parse(USAGE, |name, _| {
        in_a_loop |= name == "loop";
        Ok(name == "loop")
    })?;
    let (inet, path) = (|| flags.listen_or("127.0.0.1:9999"), || flags.listen_or("upper.sock"));
    match (flags.transport.as_deref().unwrap_or("tcp"), in_a_loop) {
        ("tcp", false) => serve_streams_with!(Tcp, flags, &[], "pool", inet(), || Upper, write_buffer(4096)),
        ("tcp", true) => serve_streams_with!(Tcp, flags, &[], "pool", inet(), || UpperInALoop),
        ("unix", false) => serve_streams_with!(UnixStream, flags, &[], "pool", path(), || Upper, write_buffer(4096)),
        ("unix", true) => serve_streams_with!(UnixStream, flags, &[], "pool", path(), || UpperInALoop),
        (other, _) => Err(common::wrong_usage(format!("--transport {other}: choose tcp or unix"))),
    }
}
