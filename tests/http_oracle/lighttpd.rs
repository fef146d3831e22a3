//! What lighttpd's own tests of requests expect (tests/request.t and src/t/test_request.c of 1.4.69), in our words, as
//! far as it concerns a server of files; and where we answer in another way.

use crate::bare;
use crate::get;
use crate::line;
use crate::request;
use crate::with;

/// A request, and the status of each answer.
#[derive(Debug)]
pub struct Known {
    pub send: String,
    pub lighttpd: &'static [u16],
    /// Where it is something else.
    pub ours: Option<&'static [u16]>,
}

fn same(send: impl Into<String>, both: &'static [u16]) -> Known {
    Known { send: send.into(), lighttpd: both, ours: None }
}

fn differs(send: impl Into<String>, lighttpd: &'static [u16], ours: &'static [u16], _why: &'static str) -> Known {
    Known { ours: Some(ours), ..same(send, lighttpd) }
}

/// Of HTTP/1.0, without a Host.
fn old(fields: &str) -> String {
    bare("GET /a.txt HTTP/1.0", fields)
}

fn range(value: &str) -> String {
    get(&format!("Range: {value}"))
}

const FOLDED: &str = "RFC 9112 5.2: a server may refuse it, and whoever joins the lines may join them in another way";
const LABELS: &str = "RFC 3986 3.2.2: a registered name; it asks for one of the DNS";
const VERSION: &str = "a line whose last word is no version is none; it takes what it does not know for another one";
const IGNORED: &str = "RFC 9110 14.2: what is no range is ignored";
const SEVERAL: &str = "RFC 9110 14.2: several ranges may be ignored";
const CONTENT: &str = "RFC 9110 9.3.1: content of GET means nothing, and is skipped";
const METHODS: &str = "RFC 9110 9.1: GET and HEAD are enough";
const NO_HOST: &str = "RFC 9112 3.2: HTTP/1.1 has a Host, whatever the target";

pub fn known() -> Vec<Known> {
    [lines(), hosts(), fields(), ranges(), connections()].into_iter().flatten().collect()
}

fn lines() -> Vec<Known> {
    vec![
        same(line("."), &[400]),
        same(line(" a"), &[400]),
        same(line("."), &[400]),
        same(line("a"), &[400]),
        same(line("a "), &[400]),
        same(line("GET"), &[400]),
        same(line("GET "), &[400]),
        same(line("GET  "), &[400]),
        same(line("GET HTTP/1.0"), &[400]),
        same(line("GET  HTTP/1.0"), &[400]),
        same(line("GET   HTTP/1.0"), &[400]),
        same(line("GET/HTTP/1.0"), &[400]),
        same(line("GET /HTTP/1.0"), &[400]),
        same(line("GET  /HTTP/1.0"), &[400]),
        differs(line("GET/ HTTP/1.0"), &[501], &[400], "RFC 9110 9.1: no token, and so no method"),
        differs(line("GET/  HTTP/1.0"), &[501], &[400], "RFC 9110 9.1: no token, and so no method"),
        same(bare("GET /", ""), &[400]),
        same(bare("BC /", ""), &[400]),
        same(bare("ABC", ""), &[400]),
        same(bare("ABC / HTTP/1.0", ""), &[501]),
        differs(line("GET / HTTP/01.01"), &[505], &[400], VERSION),
        differs(bare("GET / HTTP/.01", ""), &[505], &[400], VERSION),
        differs(bare("GET / HTTP/01.", ""), &[505], &[400], VERSION),
        differs(bare("GET / HTTP/a.b", ""), &[505], &[400], VERSION),
        differs(bare("GET / HTTP/1.3", ""), &[505], &[400], "RFC 9110 2.5: read as HTTP/1.1, which has a Host"),
        same(bare("OPTIONS rtsp://h:80 RTSP/1.1", "Host: h:80"), &[400]),
        same(bare("GET /a%2etxt HTTP/1.0", ""), &[200]),
        same(bare("GET /a.txt%00 HTTP/1.0", ""), &[400]),
        same(bare("GET http://h/a.txt HTTP/1.0", ""), &[200]),
        differs(bare("GET http://h/a.txt HTTP/1.1", "Connection: close"), &[200], &[400], NO_HOST),
        differs(bare("HEAD http://h/a.txt HTTP/1.1", "Connection: close"), &[200], &[400], NO_HOST),
        same(line("GET http://h/a.txt HTTP/1.1"), &[200]),
        differs(line("GET http://x/a.txt HTTP/1.1"), &[400], &[200], "RFC 9112 3.2.2: Host is ignored then"),
        differs(bare("HEAD https://h/a.txt HTTP/1.0", ""), &[200], &[400], "this connection is none of https"),
        same(bare("GET /missing?x HTTP/1.0", ""), &[404]),
        same(bare("HEAD /missing?x HTTP/1.0", ""), &[404]),
        same(bare("GET /a.txt/more HTTP/1.0", ""), &[404]),
        same(bare("GET /folder HTTP/1.0", ""), &[301]),
        same(bare("GET /folder?x HTTP/1.0", ""), &[301]),
        same(bare("GET / HTTP/1.0", ""), &[200]),
        same(bare("HEAD / HTTP/1.0", ""), &[200]),
        differs(bare("OPTIONS * HTTP/1.0", ""), &[200], &[405], METHODS),
        differs(line("OPTIONS / HTTP/1.1"), &[200], &[405], METHODS),
        differs(with(bare("OPTIONS / HTTP/1.0", "Content-Length: 4"), "1234"), &[200], &[405], METHODS),
    ]
}

fn hosts() -> Vec<Known> {
    let host = |value: &str| old(&format!("Host: {value}"));
    let mut known = Vec::new();
    for value in ["www.example.org", "127.0.0.1", "[::1]", "a.b-c.d123", "www.example.org."] {
        known.push(same(host(value), &[200]));
    }
    for value in ["www.example.org:80", "127.0.0.1:80", "[::1]:80"] {
        known.push(same(host(value), &[200]));
    }
    let wrong = ["../a.org", "a.b:asd", "a.b:-1", ":80", ".a.:b.", "[::1]' UNION SELECT '/", "[::1]/../../../"];
    for value in wrong {
        known.push(same(host(value), &[400]));
    }
    for value in [".a.b.", ".a.b", "a..b", "-a.c", ".", "a192.168.2.10:1234", "192.168.2:1234"] {
        known.push(differs(host(value), &[400], &[200], LABELS));
    }
    known.push(same(bare("GET /a.txt HTTP/1.1", ""), &[400]));
    known.push(same(old("Host: a\nHost: b"), &[400]));
    known
}

fn fields() -> Vec<Known> {
    let date = "Tue, 03 Feb 2026 04:05:06 GMT";
    let later = "Tue, 03 Feb 2026 04:05:07 GMT";
    vec![
        same(old("ABC : foo"), &[400]),
        same(old("ABC a: foo"), &[400]),
        same(old("ABC:foo"), &[200]),
        differs(old("ABC:foo\n  bc"), &[200], &[400], FOLDED),
        differs(old("Location: foo\nLocation: foobar\n  baz"), &[200], &[400], FOLDED),
        differs(old("Location: \nLocation: foobar\n  baz"), &[200], &[400], FOLDED),
        differs(old("A: \nLocation: foobar\n  baz"), &[200], &[400], FOLDED),
        same(old("If-Modified-Since: \0"), &[400]),
        same(old(&(0..9).map(|number| format!("field{number}: {number}\n")).collect::<String>()), &[200]),
        same(bare("POST /a.txt HTTP/1.0", "Content-Length: -2"), &[400]),
        same(bare("POST /a.txt HTTP/1.0", "Content-Length: 2147483648"), &[413]),
        differs(
            bare("POST /a.txt HTTP/1.0", "Content-Length:"),
            &[411],
            &[400],
            "RFC 9112 6.3: a length that is none, rather than no length",
        ),
        differs(bare("POST / HTTP/1.0", ""), &[411], &[405], "RFC 9112 6.3: without a length there is no content"),
        differs(bare("POST / HTTP/1.0", "Content-Length: 0"), &[200], &[405], METHODS),
        same(old("Content-Length: 5\nContent-Length: 4"), &[400]),
        differs(old("Content-Type: 5\nContent-Type: 4"), &[400], &[200], "it is not looked at"),
        differs(with(old("Content-Length: 4"), "1234"), &[400], &[200], CONTENT),
        differs(with(bare("HEAD / HTTP/1.0", "Content-Length: 4"), "1234"), &[400], &[200], CONTENT),
        same(old("If-None-Match: 5\nIf-None-Match: 4"), &[200]),
        differs(old("If-Modified-Since: 5\nIf-Modified-Since: 4"), &[400], &[200], "RFC 9110 13.1.3: ignored"),
        differs(
            get(&format!("If-Modified-Since: {date}\nIf-Modified-Since: {later}")),
            &[400],
            &[200],
            "RFC 9110 13.1.3: ignored",
        ),
        differs(
            get(&format!("If-Modified-Since: {date}\nIf-Modified-Since: {date}")),
            &[304],
            &[200],
            "RFC 9110 13.1.3: ignored, also where they agree",
        ),
        same(old(&format!("If-Modified-Since2: {later}\nIf-Modified-Since: {later}")), &[304]),
        same(old(&format!("If-Modified-Since: {later}")), &[304]),
    ]
}

fn ranges() -> Vec<Known> {
    let first_is_ignored = "RFC 9110 5.3: a field that may come once, and is ignored if it comes twice";
    vec![
        same(range("bytes=0-3"), &[206]),
        same(range("bytes=-3"), &[206]),
        same(range("bytes=3-"), &[206]),
        same(range("bytes=0-"), &[206]),
        same(range("bytes=-0"), &[416]),
        same(range("bytes=25-"), &[416]),
        differs(range("bytes=0-1,3-4"), &[206], &[200], SEVERAL),
        differs(range("bytes=0-1,7-8"), &[206], &[200], SEVERAL),
        differs(range("bytes=0--"), &[416], &[200], IGNORED),
        differs(range("bytes=-2-3"), &[416], &[200], IGNORED),
        same(get("Range: 0\nRange: bytes=0-3"), &[200]),
        differs(get("Range: bytes=0-3\nRange: 0"), &[206], &[200], first_is_ignored),
    ]
}

fn connections() -> Vec<Known> {
    let mut known = Vec::new();
    for value in [",close", "close,,TE", "close, ,TE", "close,", "close, "] {
        // What comes behind is not answered.
        known.push(same(get(&format!("Connection: {value}")).repeat(2), &[200]));
    }
    let keep = request("GET /a.txt HTTP/1.0", "Connection: keep-alive");
    for last in [line("GET /a.txt HTTP/1.0"), request("GET /a.txt HTTP/1.0", "Connection: close")] {
        known.push(same(keep.clone() + &last, &[200, 200]));
    }
    let last = get("Connection: close");
    for first in [get("Connection: keep-alive"), get(""), get("") + "\r\n"] {
        known.push(same(first + &last, &[200, 200]));
    }
    known.push(differs(
        get("") + "\r\n\r\n" + &last,
        &[200, 400],
        &[200, 200],
        "RFC 9112 2.2: at least one empty line is nothing, and a few more are none either",
    ));
    known
}
