//! A static file server over HTTP/1.1, like `python3 -m http.server`.
//!
//! ```text
//! cargo run --release --example http_files -- --directory .
//! curl -i http://127.0.0.1:8000/Cargo.toml -H 'Range: bytes=0-99'      # or with a browser
//!
//! cargo run --release --example http_files -- --hello
//! wrk -t1 -c64 http://127.0.0.1:8000/
//!
//! cargo run --release --example http_files -- --tls-cert cert.pem --tls-key key.pem
//! curl -i https://localhost:8000/Cargo.toml --cacert ca.pem
//! ```
//!
//! Keep-alive, pipelining, HEAD, single ranges, conditional requests, directory listings; nothing outside the directory
//! is served. Between requests, and while a request's head is incomplete, a connection holds no thread (under `sync`
//! and `pool`).
//!
//! Responses to requests that arrived together are sent in one write. A large file is sent by the kernel, and a large
//! directory listing is generated piece by piece, as the client reads it: a client that reads slowly, or not at all,
//! holds no thread, and no more than 256 KiB of memory. The names in a directory, of which a listing shows at most 4
//! MiB, are kept once for all clients that read it.
//!
//! `head` parses requests, and `target` their targets; `files` finds the file, and `beneath` makes sure that it is in
//! the directory; `conditions` decides whether the client needs it, and `part` how much of it; `listing` reads
//! directories, and `page` generates their pages; `reply` writes the heads of responses.

#![allow(unreachable_pub, reason = "the parts of a program need no finer distinction")]

#[path = "http_files/beneath.rs"]
mod beneath;
mod common;
#[path = "http_files/conditions.rs"]
mod conditions;
#[path = "http_files/dates.rs"]
mod dates;
#[path = "http_files/files.rs"]
mod files;
#[path = "http_files/head.rs"]
mod head;
#[path = "http_files/listing.rs"]
mod listing;
#[path = "http_files/page.rs"]
mod page;
#[path = "http_files/part.rs"]
mod part;
#[path = "http_files/reply.rs"]
mod reply;
#[path = "http_files/target.rs"]
mod target;

use std::io::BufRead;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use files::Answer;
use files::Site;
use head::Head;
use head::Parsed;
use lexopt::ValueExt;
use page::Page;
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
                  [--transport tcp|unix] [--dispatch sync|threads|fork|pool] [--workers N] [--processes N]
                  [--metrics ADDR|PORT] [--tls-cert FILE --tls-key FILE [--tls-client-ca FILE]]

--metrics: on a second port, / for a browser, /metrics for Prometheus, and /healthz. There is no authentication: PORT alone
           is on 127.0.0.1; to make it reachable by others, give the full address";

/// Answers are gathered up to here before they are sent.
const GATHERED: usize = 64 * 1024;

/// So much may wait in memory for a client that is slow to read: what is gathered, one more answer, and a piece of the
/// page of a folder. Nothing waits for such a client but this: files wait where they are, the rest of a page is not
/// drawn, and the next request is not answered.
const HELD: usize = 256 * 1024;

/// This many bytes of empty lines before a request are ignored: clients of old sent one behind the body of a POST.
const BLANK: usize = 16;

/// What is served.
enum Content {
    /// A fixed answer, for load tests.
    Hello,
    Site(Site),
}

/// Serves one connection.
struct Http {
    content: Arc<Content>,
    /// Bytes of a request's body that are still to come, and of no interest.
    skip: u64,
    /// Bytes of empty lines since the last request.
    blank: usize,
    /// An answer that is written piece by piece, and whether the connection is kept behind it.
    page: Option<Box<Page>>,
    keep_alive: bool,
}

impl Http {
    /// What has to leave before the next request is answered: the rest of a page, or more than is gathered.
    fn go_on<S: Socket>(&mut self, request: &mut Stream<S>) -> HandlerResult<Option<Flow>> {
        if let (Some(page), Content::Site(site)) = (&mut self.page, &*self.content) {
            if !page.write(site, request.split_buffered().1)? {
                return Ok(Some(Flow::Flush));
            }
            self.page = None;
            if request.is_stopping() || !self.keep_alive {
                return Ok(Some(Flow::Close));
            }
        }
        Ok((request.split_buffered().1.pending() >= GATHERED).then_some(Flow::Flush))
    }
}

impl<S: Socket> Handler<Stream<S>> for Http {
    /// Answers one request that has arrived whole, and is called again for the next; others have their turn in between.
    /// Never waits for the client: where there is more to send than it takes, the server does, and calls again.
    fn handle(&mut self, request: &mut Stream<S>) -> HandlerResult {
        if let Some(flow) = self.go_on(request)? {
            return Ok(flow);
        }
        if self.skip > 0 {
            let there = request.buffered().len();
            let count = there.min(usize::try_from(self.skip).unwrap_or(usize::MAX));
            request.consume(count);
            self.skip -= count as u64;
            if self.skip > 0 {
                request.message_goes_on();
                return Ok(Flow::Continue);
            }
        }
        let blank = head::empty_lines(request.buffered(), request.is_ended());
        request.consume(blank);
        self.blank += blank;
        let (is_ended, is_stopping) = (request.is_ended(), request.is_stopping());
        let (bytes, out) = request.split_buffered();
        if self.blank > BLANK {
            return reply::refuse(out, 400, bytes);
        }
        if bytes.is_empty() {
            return Ok(Flow::Continue);
        }
        let copy;
        let parsed = match Head::parse(bytes) {
            Parsed::Later => {
                copy = head::as_1_1(bytes);
                Head::parse(&copy)
            }
            parsed => parsed,
        };
        let mut head = match parsed {
            Parsed::Whole(head) => head,
            Parsed::Incomplete if !is_ended => return Ok(Flow::Continue),
            Parsed::Incomplete | Parsed::Later => return reply::refuse(out, 400, bytes),
            Parsed::Refused(status) => return reply::refuse(out, status, bytes),
        };
        head.keep_alive &= !is_stopping;
        let answer = match (head.refusal, &*self.content) {
            (Some(status), _) => Answer::Whole(reply::error(out, status, &head)?),
            (None, Content::Hello) => Answer::Whole(reply::hello(out, &head)?),
            (None, Content::Site(site)) => site.answer(&mut head, out)?,
        };
        let length = head.length;
        self.skip = head.body;
        self.blank = 0;
        self.keep_alive = head.keep_alive;
        request.consume(length);
        if self.skip > 0 {
            request.message_goes_on();
        }
        match answer {
            Answer::Page(page) => {
                self.page = Some(page);
                Ok(self.go_on(request)?.unwrap_or(Flow::Continue))
            }
            Answer::Whole(_) if !self.keep_alive => Ok(Flow::Close),
            Answer::Whole(flow) => Ok(flow),
        }
    }

    /// Tells a client that has not sent the rest of a head in time.
    fn finish(&mut self, request: &mut Stream<S>, end: End) -> HandlerResult<()> {
        let (unread, out) = request.split_buffered();
        let has_begun = !unread.trim_ascii().is_empty();
        if end == End::TimedOut && has_begun && out.pending() == 0 && self.page.is_none() {
            reply::refuse(out, 408, unread)?;
        }
        Ok(())
    }
}

/// Makes a handler for each connection.
struct Factory {
    content: Arc<Content>,
}

impl<S: Socket> HandlerFactory<Stream<S>> for Factory {
    type Handler = Http;

    fn make(&self, _: &Stream<S>) -> Http {
        Http { content: Arc::clone(&self.content), skip: 0, blank: 0, page: None, keep_alive: true }
    }
}

fn main() -> ExitCode {
    common::run(USAGE, serve)
}

fn serve() -> common::Outcome {
    let mut folder = PathBuf::from(".");
    let mut hello = false;
    let mut timeout = 30;
    let mut metrics = common::metrics::MetricsFlag::default();
    let flags = common::Flags::parse(USAGE, |name, parser| {
        match name {
            "directory" => folder = parser.value()?.into(),
            "hello" => hello = true,
            "timeout" => timeout = parser.value()?.parse()?,
            name => return metrics.take(name, parser),
        }
        Ok(true)
    })?;
    metrics.start("http_files", &flags)?;
    let content = if hello { Content::Hello } else { Content::Site(Site::open(&folder)?) };
    let factory = Factory { content: Arc::new(content) };
    let timeout = Duration::from_secs(timeout);
    match flags.transport.as_deref().unwrap_or("tcp") {
        "tcp" => serve_streams_with!(
            Tcp,
            flags,
            &["http/1.1"],
            "pool",
            flags.listen_or("127.0.0.1:8000"),
            factory,
            read_timeout(timeout),
            write_buffer(GATHERED),
            max_pending_output(HELD)
        ),
        "unix" => serve_streams_with!(
            UnixStream,
            flags,
            &["http/1.1"],
            "pool",
            flags.listen_or("http.sock"),
            factory,
            read_timeout(timeout),
            write_buffer(GATHERED),
            max_pending_output(HELD)
        ),
        other => Err(common::wrong_usage(format!("--transport {other}: choose tcp or unix"))),
    }
}
