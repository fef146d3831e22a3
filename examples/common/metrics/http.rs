//! The second server: one answer for each connection, which is closed then.

use std::io::BufRead;
use std::io::Write;
use std::sync::Arc;

use httparse::Status;
use serde_json::Value;
use serde_json::json;
use socketserver::Flow;
use socketserver::Handler;
use socketserver::HandlerFactory;
use socketserver::HandlerResult;
use socketserver::Socket;
use socketserver::StatsHandle;
use socketserver::Stream;

use super::book::Book;
use super::book::Lasting;
use super::text;

/// The longest head of a request, and the most fields of it.
const MAX_HEAD: usize = 16 * 1024;
const MAX_HEADERS: usize = 64;

/// What is to be seen.
#[derive(Clone, Debug)]
pub struct Pages {
    book: Arc<Book>,
    stats: StatsHandle,
}

/// What a request is answered with.
struct Answer {
    status: &'static str,
    /// Of the body.
    kind: &'static str,
    body: String,
    /// Whether it is an answer to HEAD, without its body.
    is_head: bool,
}

impl Pages {
    pub fn new(book: Arc<Book>, stats: StatsHandle) -> Self {
        Self { book, stats }
    }

    fn answer(&self, method: &str, target: &str) -> Answer {
        let is_head = method == "HEAD";
        if !is_head && method != "GET" {
            return Answer::told("405 Method Not Allowed");
        }
        // RFC 9112, 3.2.2: a target may name the server, too.
        let behind = target.strip_prefix("http://").map(|rest| rest.find('/').map_or("/", |at| &rest[at..]));
        let path = behind.unwrap_or(target).split('?').next().unwrap_or_default();
        let mut answer = match path {
            // It asks for the metrics again and again, and draws them.
            "/" => Answer {
                kind: "text/html; charset=utf-8",
                body: include_str!("page.html").to_owned(),
                ..Answer::told("200 OK")
            },
            "/metrics" => {
                let (figures, stats) = (self.book.figures(), self.stats.snapshot());
                Answer {
                    kind: text::KIND,
                    body: text::text(self.book.server, &figures, &stats),
                    ..Answer::told("200 OK")
                }
            }
            "/longest" => {
                let [open, calls] = self.book.longest().map(list);
                let running = list(
                    self.book.running(self.stats.running_calls().into_iter().map(|call| (call.id, call.duration))),
                );
                Answer {
                    kind: "application/json",
                    body: json!({ "open": open, "running": running, "calls": calls }).to_string(),
                    ..Answer::told("200 OK")
                }
            }
            "/healthz" if self.book.is_healthy() => Answer { body: "ok\n".to_owned(), ..Answer::told("200 OK") },
            "/healthz" => Answer { body: "draining\n".to_owned(), ..Answer::told("503 Service Unavailable") },
            _ => Answer::told("404 Not Found"),
        };
        answer.is_head = is_head;
        answer
    }
}

fn list(lasting: Vec<Lasting>) -> Vec<Value> {
    lasting.into_iter().map(|one| json!({ "peer": one.peer, "seconds": one.time.as_secs_f64() })).collect()
}

impl Answer {
    /// One that says what its status is.
    fn told(status: &'static str) -> Self {
        Self { status, kind: "text/plain; charset=utf-8", body: format!("{status}\n"), is_head: false }
    }

    fn write(&self, out: &mut impl Write) -> HandlerResult {
        let Self { status, kind, body, is_head } = self;
        let allow = if status.starts_with("405") { "Allow: GET, HEAD\r\n" } else { "" };
        write!(
            out,
            "HTTP/1.1 {status}\r\n{allow}Content-Type: {kind}\r\nContent-Length: {}\r\nCache-Control: no-store\r\n\
             X-Content-Type-Options: nosniff\r\nConnection: close\r\n\r\n",
            body.len()
        )?;
        if !is_head {
            out.write_all(body.as_bytes())?;
        }
        Ok(Flow::Close)
    }
}

/// RFC 9112, 3.2: a request of HTTP/1.1 has one `Host`.
fn has_one_host(head: &httparse::Request<'_, '_>) -> bool {
    let mut hosts = head.headers.iter().filter(|header| header.name.eq_ignore_ascii_case("Host"));
    let first = hosts.next();
    let is_host = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~:[]%!$&'()*+,;=".contains(byte);
    hosts.next().is_none()
        && first.map_or_else(|| head.version == Some(0), |host| host.value.trim_ascii().iter().all(is_host))
}

impl<S: Socket> Handler<Stream<S>> for Pages {
    fn handle(&mut self, request: &mut Stream<S>) -> HandlerResult {
        let is_ended = request.is_ended();
        let (bytes, out) = request.split_buffered();
        let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
        let mut head = httparse::Request::new(&mut headers);
        match head.parse(bytes) {
            Ok(Status::Complete(length)) => {
                let answer = if has_one_host(&head) {
                    self.answer(head.method.unwrap_or_default(), head.path.unwrap_or_default())
                } else {
                    Answer::told("400 Bad Request")
                };
                answer.write(out)?;
                request.consume(length);
                Ok(Flow::Close)
            }
            Ok(Status::Partial) if bytes.len() > MAX_HEAD => {
                Answer::told("431 Request Header Fields Too Large").write(out)
            }
            Ok(Status::Partial) if !is_ended => Ok(Flow::Continue),
            // It has come to see whether there is a server.
            Ok(Status::Partial) if bytes.is_empty() => Ok(Flow::Close),
            Err(httparse::Error::TooManyHeaders) => Answer::told("431 Request Header Fields Too Large").write(out),
            Ok(Status::Partial) | Err(_) => Answer::told("400 Bad Request").write(out),
        }
    }
}

impl<S: Socket> HandlerFactory<Stream<S>> for Pages {
    type Handler = Self;

    fn make(&self, _: &Stream<S>) -> Self {
        self.clone()
    }
}
