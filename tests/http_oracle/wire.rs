//! A conversation with an HTTP server, byte for byte, and what there is to say about its answers in a line.

use std::io::Read;
use std::io::Write;
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use httparse::Status;

/// Asked for behind the request of a case: who answers it has kept the connection, and has found the end of what came
/// before.
pub const PROBE: &str = "GET /probe HTTP/1.1\r\nHost: probe\r\nConnection: close\r\n\r\n";

/// What `/probe` is.
pub const PROBED: &str = "the end";

/// What `/a.txt` is.
pub const WHOLE: &str = "0123456789";

/// No answer takes so long: the servers are told to wait for a second.
const PATIENCE: Duration = Duration::from_secs(20);

/// Sends `request`, with the probe behind it or with the end of input; all that comes back.
pub fn converse(server: &Path, request: &[u8], with_probe: bool) -> Vec<u8> {
    let mut client = UnixStream::connect(server).expect("the server");
    client.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    client.set_write_timeout(Some(PATIENCE)).expect("a timeout");
    let probe = if with_probe { PROBE.as_bytes() } else { &[] };
    // A server that refuses a long request may close before it has all of it.
    let _ = client.write_all(&[request, probe].concat());
    if !with_probe {
        let _ = client.shutdown(Shutdown::Write);
    }
    let mut answers = Vec::new();
    if let Err(error) = client.read_to_end(&mut answers) {
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset, "{:?}", String::from_utf8_lossy(request));
    }
    answers
}

/// What the answers say that another server can be expected to say as well: `200 whole; probe`.
pub fn describe(answers: &[Answer]) -> String {
    if answers.is_empty() {
        return "nothing".to_owned();
    }
    let told: Vec<String> = answers.iter().map(Answer::told).collect();
    let runs = told.chunk_by(|one, next| one == next).map(|run| match run.len() {
        1 => run[0].clone(),
        count => format!("{count} times {}", run[0]),
    });
    runs.collect::<Vec<_>>().join("; ")
}

#[derive(Debug)]
pub struct Answer {
    /// 0 for what is none.
    pub status: u16,
    fields: Vec<(String, String)>,
    body: Vec<u8>,
    is_head: bool,
}

impl Answer {
    /// All of them; `heads` tells which of the requests are HEAD, whose answers have no body.
    pub fn all(mut bytes: &[u8], heads: &[bool]) -> Vec<Self> {
        let mut answers = Vec::new();
        while !bytes.is_empty() {
            let is_head = heads.get(answers.len()).copied().unwrap_or_default();
            let (answer, behind) = Self::read(bytes, is_head)
                .unwrap_or_else(|| (Self { status: 0, fields: Vec::new(), body: bytes.to_vec(), is_head: false }, &[]));
            answers.push(answer);
            bytes = behind;
        }
        answers
    }

    fn read(bytes: &[u8], is_head: bool) -> Option<(Self, &[u8])> {
        let mut fields = [httparse::EMPTY_HEADER; 32];
        let mut head = httparse::Response::new(&mut fields);
        let Ok(Status::Complete(length)) = head.parse(bytes) else { return None };
        let status = head.code?;
        let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
        let fields = head.headers.iter().map(|field| (field.name.to_lowercase(), text(field.value))).collect();
        let mut answer = Self { status, fields, body: Vec::new(), is_head };
        let rest = &bytes[length..];
        let rest = if is_head || matches!(status, 100..200 | 204 | 304) {
            rest
        } else if let Some(length) = answer.field("content-length") {
            let (body, behind) = rest.split_at_checked(length.parse().ok()?)?;
            answer.body = body.to_vec();
            behind
        } else if answer.field("transfer-encoding") == Some("chunked") {
            answer.read_pieces(rest)?
        } else {
            answer.body = rest.to_vec();
            &[]
        };
        Some((answer, rest))
    }

    fn read_pieces<'a>(&mut self, mut rest: &'a [u8]) -> Option<&'a [u8]> {
        loop {
            let Ok(Status::Complete((at, length))) = httparse::parse_chunk_size(rest) else { return None };
            let (piece, behind) = rest[at..].split_at_checked(usize::try_from(length).ok()?)?;
            self.body.extend_from_slice(piece);
            rest = behind.strip_prefix(b"\r\n")?;
            if length == 0 {
                return Some(rest);
            }
        }
    }

    fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|field| field.0 == name).map(|field| &*field.1)
    }

    /// Texts of errors and pages are everybody's own, and so are tags: that there are some is all that is told.
    fn told(&self) -> String {
        if self.body == PROBED.as_bytes() {
            return "probe".to_owned();
        }
        if self.status == 0 {
            return format!("{:?}", String::from_utf8_lossy(&self.body));
        }
        let mut told = self.status.to_string();
        let is_multipart = self.field("content-type").is_some_and(|kind| kind.starts_with("multipart/"));
        let is_page = self.field("content-type").is_some_and(|kind| kind.starts_with("text/html"));
        match (&self.body[..], self.field("content-length")) {
            ([], Some(length)) if self.is_head && self.status == 200 => told += &format!(" ({length})"),
            ([], _) if self.is_head => {}
            ([], _) if !matches!(self.status, 200 | 206) => told += " without a body",
            ([], _) => told += " empty",
            (body, _) if body == WHOLE.as_bytes() => told += " whole",
            _ if is_multipart => told += " in several parts",
            (body, _) if matches!(self.status, 200 | 206) && !is_page => {
                told += &format!(" {}", String::from_utf8_lossy(body));
            }
            _ if is_page && self.status == 200 => told += " page",
            _ => {}
        }
        if let Some(range) = self.field("content-range") {
            told += &format!(" [{range}]");
        }
        if let Some(target) = self.field("location") {
            told += &format!(" to {target}");
        }
        if matches!(self.status, 200 | 206 | 304) && !is_page && self.field("etag").is_none() {
            told += " without a tag";
        }
        if self.field("connection").is_some_and(|value| value.eq_ignore_ascii_case("close")) {
            told += " close";
        }
        told
    }
}
