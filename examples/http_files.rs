//! A static file server over HTTP/1.1, like `python3 -m http.server`.
//!
//! ```text
//! cargo run --release --example http_files -- --directory .
//! curl -i http://127.0.0.1:8000/Cargo.toml -H 'Range: bytes=0-99'      # or with a browser
//!
//! cargo run --release --example http_files -- --hello
//! wrk -t1 -c64 http://127.0.0.1:8000/
//! ```
//!
//! Keep-alive, pipelining, HEAD, single ranges, conditional requests, directory pages; nothing outside the directory is served. Between
//! requests, and while a head is incomplete, a connection waits without a thread (under `sync` and `pool`).
//!
//! `head` takes requests apart, `files` finds what they ask for, `page` draws directories, `reply` writes the answers' heads, `body` sends
//! large files. Answers to requests that arrived together leave in one write.

#![allow(unreachable_pub, reason = "the parts of a program need no finer distinction")]

#[path = "http_files/body.rs"]
mod body;
mod common;
#[path = "http_files/files.rs"]
mod files;
#[path = "http_files/head.rs"]
mod head;
#[path = "http_files/page.rs"]
mod page;
#[path = "http_files/reply.rs"]
mod reply;

use std::cell::Cell;
use std::io::BufRead;
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use files::Directory;
use head::Head;
use head::Parsed;
use lexopt::ValueExt;
use reply::Reply;
use socketserver::End;
use socketserver::Flow;
use socketserver::Handler;
use socketserver::HandlerFactory;
use socketserver::HandlerResult;
use socketserver::Socket;
use socketserver::Stream;
use socketserver::Tcp;
use socketserver::UnixStream;

const USAGE: &str = "usage: http_files [--listen ADDR|PATH] [--directory DIR] [--hello] [--timeout SECONDS]
                  [--transport tcp|unix] [--dispatch sync|threads|fork|pool] [--workers N]";

/// Answers gathered up to here are sent; files up to here are gathered, larger ones are sent by themselves.
const GATHERED: usize = 64 * 1024;

/// So much of an answer waits in memory for a client that is slow to read; what is longer holds the worker.
const HELD: usize = 512 * 1024;

thread_local! {
    /// Where the answers of a batch are gathered, so that no request allocates.
    static GATHER: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// What is served.
enum Site {
    /// A fixed answer, for load tests.
    Hello,
    Files(Directory),
}

/// Serves one connection.
struct Http {
    site: Arc<Site>,
    /// Bytes of a request's body that are still to come, and of no interest.
    skip: u64,
}

impl Http {
    /// Answers every request that has arrived whole.
    fn answer<S: Socket>(&mut self, request: &mut Stream<S>, out: &mut Vec<u8>) -> HandlerResult {
        loop {
            if self.skip > 0 {
                let there = request.buffered().len();
                let count = there.min(usize::try_from(self.skip).unwrap_or(usize::MAX));
                request.consume(count);
                self.skip -= count as u64;
            }
            let bytes = request.buffered();
            if bytes.is_empty() {
                return Ok(Flow::Continue);
            }
            let mut head = match Head::parse(bytes) {
                Parsed::Whole(head) => head,
                Parsed::Incomplete if !request.is_ended() => return Ok(Flow::Continue),
                Parsed::Incomplete => {
                    reply::error(out, 400, &Head::default());
                    return Ok(Flow::Close);
                }
                Parsed::Refused(status) => {
                    reply::error(out, status, &Head::default());
                    return Ok(Flow::Close);
                }
            };
            head.keep_alive &= !request.is_stopping();
            let keep_alive = head.keep_alive;
            let (length, skip) = (head.length, head.body);
            let reply = match &*self.site {
                Site::Hello => {
                    reply::hello(out, &head);
                    Reply::Gathered
                }
                Site::Files(directory) => directory.answer(&head, out),
            };
            request.consume(length);
            self.skip = skip;
            let sent = match reply {
                Reply::Gathered if out.len() < GATHERED => None,
                Reply::Gathered => Some(None),
                Reply::File(file) => Some(Some(file)),
            };
            if let Some(file) = sent {
                request.write_all(out)?;
                out.clear();
                if let Some(file) = file
                    && !file.send(request)?
                {
                    return Ok(Flow::Close);
                }
            }
            if !keep_alive {
                return Ok(Flow::Close);
            }
        }
    }
}

impl<S: Socket> Handler<Stream<S>> for Http {
    fn handle(&mut self, request: &mut Stream<S>) -> HandlerResult {
        let mut out = GATHER.take();
        let flow = self.answer(request, &mut out).and_then(|flow| {
            if !out.is_empty() {
                request.write_all(&out)?;
            }
            Ok(flow)
        });
        out.clear();
        GATHER.set(out);
        flow
    }

    /// Tells a client that has not sent the rest of a head in time.
    fn finish(&mut self, request: &mut Stream<S>, end: End) -> HandlerResult<()> {
        let (unread, writer) = request.split_buffered();
        if end == End::TimedOut && !unread.is_empty() && writer.pending() == 0 {
            let mut out = Vec::new();
            reply::error(&mut out, 408, &Head::default());
            writer.write_all(&out)?;
        }
        Ok(())
    }
}

/// Makes a handler for each connection.
struct Factory {
    site: Arc<Site>,
}

impl<S: Socket> HandlerFactory<Stream<S>> for Factory {
    type Handler = Http;

    fn make(&self, _: &Stream<S>) -> Http {
        Http { site: Arc::clone(&self.site), skip: 0 }
    }
}

fn main() -> common::Outcome {
    let mut folder = PathBuf::from(".");
    let mut hello = false;
    let mut timeout = 30;
    let flags = common::Flags::parse(USAGE, |name, parser| {
        match name {
            "directory" => folder = parser.value()?.into(),
            "hello" => hello = true,
            "timeout" => timeout = parser.value()?.parse()?,
            _ => return Ok(false),
        }
        Ok(true)
    })?;
    let site = if hello { Site::Hello } else { Site::Files(Directory::open(&folder)?) };
    let site = Arc::new(site);
    let timeout = Duration::from_secs(timeout);
    let factory = Factory { site };
    match flags.transport.as_deref().unwrap_or("tcp") {
        "tcp" => serve_with!(
            Tcp,
            flags,
            "pool",
            flags.listen_or("127.0.0.1:8000"),
            factory,
            read_timeout(timeout),
            max_pending_output(HELD)
        ),
        "unix" => serve_with!(
            UnixStream,
            flags,
            "pool",
            flags.listen_or("http.sock"),
            factory,
            read_timeout(timeout),
            max_pending_output(HELD)
        ),
        other => Err(format!("--transport {other}: choose tcp or unix\n{USAGE}").into()),
    }
}
