//! The heads of answers, with a date that is made once a second.

use std::cell::RefCell;
use std::io::Result;
use std::io::Write;
use std::time::Duration;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use socketserver::Flow;
use socketserver::HandlerResult;

use super::dates;
use super::head::Head;

/// The date, and the answer of `--hello` with it.
#[derive(Default)]
struct Dated {
    second: u64,
    /// The whole field; a clock that is far off has none.
    date: String,
    hello: Vec<u8>,
}

const HELLO: &str = "Hello, world!";

thread_local! {
    static DATED: RefCell<Dated> = RefCell::default();
}

fn dated<T>(take: impl FnOnce(&Dated) -> T) -> T {
    let second = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    DATED.with_borrow_mut(|dated| {
        if dated.second != second {
            dated.second = second;
            let date = dates::written(UNIX_EPOCH + Duration::from_secs(second));
            dated.date = date.map(|date| format!("Date: {date}\r\n")).unwrap_or_default();
            let (date, length) = (&dated.date, HELLO.len());
            dated.hello =
                format!("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {length}\r\n{date}\r\n{HELLO}")
                    .into_bytes();
        }
        take(dated)
    })
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        206 => "Partial Content",
        301 => "Moved Permanently",
        304 => "Not Modified",
        400 => "Bad Request",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        411 => "Length Required",
        412 => "Precondition Failed",
        413 => "Content Too Large",
        414 => "URI Too Long",
        416 => "Range Not Satisfiable",
        417 => "Expectation Failed",
        431 => "Request Header Fields Too Large",
        501 => "Not Implemented",
        505 => "HTTP Version Not Supported",
        _ => "Internal Server Error",
    }
}

/// The status line, and the fields that every answer has; the caller adds its own and the empty line.
pub fn begin(out: &mut impl Write, status: u16, head: &Head<'_>) -> Result<()> {
    let connection = match (head.keep_alive, head.is_http_10) {
        (false, _) => "Connection: close\r\n",
        (true, true) => "Connection: keep-alive\r\n",
        (true, false) => "",
    };
    let reason = reason(status);
    dated(|dated| write!(out, "HTTP/1.1 {status} {reason}\r\n{}{connection}", dated.date))
}

/// A whole answer whose body is text.
pub fn text(out: &mut impl Write, status: u16, head: &Head<'_>, fields: &str, kind: &str, body: &str) -> HandlerResult {
    begin(out, status, head)?;
    let length = body.len();
    write!(
        out,
        "{fields}Content-Type: {kind}; charset=utf-8\r\nContent-Length: {length}\r\nX-Content-Type-Options: nosniff\r\n\r\n"
    )?;
    if !head.is_head {
        out.write_all(body.as_bytes())?;
    }
    Ok(Flow::Continue)
}

/// Tells the client that it has what it asks for.
pub fn unmodified(out: &mut impl Write, head: &Head<'_>, fields: &str) -> HandlerResult {
    begin(out, 304, head)?;
    write!(out, "{fields}\r\n")?;
    Ok(Flow::Continue)
}

/// An answer that says what is wrong.
pub fn error(out: &mut impl Write, status: u16, head: &Head<'_>) -> HandlerResult {
    let fields = if status == 405 { "Allow: GET, HEAD\r\n" } else { "" };
    text(out, status, head, fields, "text/plain", &format!("{status} {}\n", reason(status)))
}

/// The last answer to bytes that are no request: where the next one begins is not known. What the client means as HEAD
/// gets no body all the same, or it would read the body as an answer.
pub fn refuse(out: &mut impl Write, status: u16, bytes: &[u8]) -> HandlerResult {
    error(out, status, &Head { is_head: bytes.starts_with(b"HEAD "), ..Head::default() })?;
    Ok(Flow::Close)
}

/// The answer of `--hello`: always the same.
pub fn hello(out: &mut impl Write, head: &Head<'_>) -> HandlerResult {
    if head.keep_alive && !head.is_http_10 && !head.is_head {
        dated(|dated| out.write_all(&dated.hello))?;
        Ok(Flow::Continue)
    } else {
        text(out, 200, head, "", "text/plain", HELLO)
    }
}
