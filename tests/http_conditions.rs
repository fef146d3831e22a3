//! The example `http_files` looks at conditions and ranges as RFC 9110 says in 13 and 14.

mod common;

use std::fs::File;
use std::time::Duration;
use std::time::UNIX_EPOCH;

use common::example::Example;
use common::site::Site;
use common::site::body;
use common::site::exchange;
use common::site::field;

const DATE: &str = "Tue, 03 Feb 2026 04:05:06 GMT";
const BEFORE: &str = "Tue, 03 Feb 2026 04:05:05 GMT";
const AFTER: &str = "Tue, 03 Feb 2026 04:05:07 GMT";

/// A site whose `a.txt` has changed at a known date, in the middle of a second.
fn serve() -> (Site, Example) {
    let site = Site::new();
    let date = UNIX_EPOCH + Duration::from_secs(1_770_091_506) + Duration::from_millis(500);
    let file = File::options().write(true).open(site.path("a.txt")).expect("the file");
    file.set_modified(date).expect("a new date");
    let server = site.serve(&[]);
    (site, server)
}

/// `TAG`, `DATE`, `BEFORE` and `AFTER` in the fields stand for those of the file.
fn ask(server: &Example, method: &str, path: &str, fields: &[&str]) -> String {
    let whole = |fields: &str| {
        exchange(server, format!("{method} {path} HTTP/1.1\r\nHost: here\r\n{fields}Connection: close\r\n\r\n"))
    };
    let file = exchange(server, "HEAD /a.txt HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n");
    assert_eq!(field(&file, "Last-Modified"), Some(DATE));
    let tag = field(&file, "ETag").expect("a tag");
    let fields: String = fields.iter().map(|field| format!("{field}\r\n")).collect();
    let fields = fields.replace("TAG", tag).replace("DATE", DATE).replace("BEFORE", BEFORE).replace("AFTER", AFTER);
    whole(&fields)
}

#[track_caller]
fn check(server: &Example, path: &str, cases: &[(&[&str], u16)]) {
    for &(fields, status) in cases {
        for method in ["GET", "HEAD"] {
            // Ranges are for GET alone: 14.2.
            let status = if method == "HEAD" && matches!(status, 206 | 416) { 200 } else { status };
            let answer = ask(server, method, path, fields);
            assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{status}: {method} {fields:?}: {answer:.400}");
            if status == 304 || method == "HEAD" {
                assert_eq!(body(&answer), "", "{method} {fields:?}");
            }
            if status == 304 && path == "/a.txt" {
                assert!(field(&answer, "ETag").is_some() && field(&answer, "Date").is_some(), "15.4.5: {answer}");
                assert_eq!(field(&answer, "Content-Length"), None, "{answer}");
            }
        }
    }
}

#[test]
fn each_condition_by_itself() {
    let (_site, server) = serve();
    check(
        &server,
        "/a.txt",
        &[
            // 13.1.1: strong comparison.
            (&["If-Match: TAG"], 200),
            (&["If-Match: *"], 200),
            (&["If-Match: \"zz\""], 412),
            (&["If-Match: W/TAG"], 412),
            (&["If-Match: \"zz\", TAG"], 200),
            (&["If-Match: \"a,b\",TAG,"], 200),
            (&["If-Match: \"zz\"", "If-Match: TAG"], 200),
            (&["If-Match: TAG", "If-Match: \"zz\""], 200),
            (&["If-Match: \"a b\""], 412),
            (&["If-Match: zz"], 412),
            (&["If-Match: \"zz\", *"], 412),
            (&["If-Match: \"zz\"", "If-Match: *"], 412),
            (&["If-Match:"], 412),
            // 13.1.2: weak comparison.
            (&["If-None-Match: TAG"], 304),
            (&["If-None-Match: W/TAG"], 304),
            (&["If-None-Match: *"], 304),
            (&["If-None-Match: \"zz\""], 200),
            (&["If-None-Match: \"zz\" ,TAG"], 304),
            (&["If-None-Match: \"zz\"", "If-None-Match: TAG"], 304),
            (&["If-None-Match: TAG", "If-None-Match: \"zz\""], 304),
            (&["If-None-Match: w/TAG"], 200),
            (&["If-None-Match: \"a b\", \"\""], 200),
            (&["If-None-Match: zz"], 200),
            (&["If-None-Match: \"zz\", *"], 200),
            (&["If-None-Match: *, *"], 200),
            (&["If-None-Match:"], 200),
            // 13.1.3.
            (&["If-Modified-Since: DATE"], 304),
            (&["If-Modified-Since: AFTER"], 304),
            (&["If-Modified-Since: BEFORE"], 200),
            (&["If-Modified-Since: Tuesday, 03-Feb-26 04:05:06 GMT"], 304),
            (&["If-Modified-Since: Tue Feb  3 04:05:06 2026"], 304),
            (&["If-Modified-Since: yesterday"], 200),
            (&["If-Modified-Since: 2026-02-03T04:05:06Z"], 200),
            (&["If-Modified-Since: DATE", "If-Modified-Since: DATE"], 200),
            (&["If-Modified-Since:"], 200),
            // 13.1.4.
            (&["If-Unmodified-Since: DATE"], 200),
            (&["If-Unmodified-Since: AFTER"], 200),
            (&["If-Unmodified-Since: BEFORE"], 412),
            (&["If-Unmodified-Since: Tuesday, 03-Feb-26 04:05:05 GMT"], 412),
            (&["If-Unmodified-Since: yesterday"], 200),
            (&["If-Unmodified-Since: BEFORE", "If-Unmodified-Since: BEFORE"], 200),
        ],
    );
    assert!(server.stop().0.success());
}

/// 13.2.2: the order of the steps.
#[test]
fn conditions_together() {
    let (_site, server) = serve();
    check(
        &server,
        "/a.txt",
        &[
            // What has changed is told before what has not.
            (&["If-Match: \"zz\"", "If-None-Match: TAG"], 412),
            (&["If-None-Match: TAG", "If-Match: \"zz\""], 412),
            (&["If-Match: TAG", "If-None-Match: TAG"], 304),
            (&["If-Match: TAG", "If-None-Match: \"zz\""], 200),
            (&["If-Match: TAG", "If-Modified-Since: DATE"], 304),
            (&["If-Unmodified-Since: BEFORE", "If-None-Match: TAG"], 412),
            (&["If-Unmodified-Since: DATE", "If-None-Match: TAG"], 304),
            (&["If-Unmodified-Since: BEFORE", "If-Modified-Since: DATE"], 412),
            (&["If-Unmodified-Since: DATE", "If-Modified-Since: DATE"], 304),
            // A tag counts for more than a date.
            (&["If-Match: TAG", "If-Unmodified-Since: BEFORE"], 200),
            (&["If-Match: \"zz\"", "If-Unmodified-Since: DATE"], 412),
            (&["If-None-Match: \"zz\"", "If-Modified-Since: DATE"], 200),
            (&["If-None-Match: TAG", "If-Modified-Since: BEFORE"], 304),
            (&["If-None-Match: zz", "If-Modified-Since: DATE"], 200),
            // Ranges come last.
            (&["If-Match: \"zz\"", "Range: bytes=0-1"], 412),
            (&["If-Match: \"zz\"", "Range: bytes=100-"], 412),
            (&["If-Unmodified-Since: BEFORE", "Range: bytes=0-1"], 412),
            (&["If-None-Match: TAG", "Range: bytes=0-1"], 304),
            (&["If-Modified-Since: DATE", "Range: bytes=0-1"], 304),
            (&["If-Match: TAG", "Range: bytes=0-1"], 206),
            (&["If-None-Match: \"zz\"", "Range: bytes=0-1", "If-Range: TAG"], 206),
            (&["If-None-Match: TAG", "Range: bytes=0-1", "If-Range: TAG"], 304),
            (&["If-Match: TAG", "Range: bytes=0-1", "If-Range: \"zz\""], 200),
            (&["If-Match: \"zz\"", "Range: bytes=0-1", "If-Range: TAG"], 412),
        ],
    );
    assert!(server.stop().0.success());
}

/// 13.1.5: strong comparison, and dates that are the same.
#[test]
fn a_part_of_what_the_client_has() {
    let (_site, server) = serve();
    check(
        &server,
        "/a.txt",
        &[
            (&["Range: bytes=0-1", "If-Range: TAG"], 206),
            (&["Range: bytes=0-1", "If-Range: DATE"], 206),
            (&["Range: bytes=0-1", "If-Range: Tuesday, 03-Feb-26 04:05:06 GMT"], 206),
            (&["Range: bytes=0-1", "If-Range: W/TAG"], 200),
            (&["Range: bytes=0-1", "If-Range: \"zz\""], 200),
            (&["Range: bytes=0-1", "If-Range: BEFORE"], 200),
            (&["Range: bytes=0-1", "If-Range: AFTER"], 200),
            (&["Range: bytes=0-1", "If-Range: *"], 200),
            (&["Range: bytes=0-1", "If-Range: TAG, \"zz\""], 200),
            (&["Range: bytes=0-1", "If-Range:"], 200),
            (&["Range: bytes=0-1", "If-Range: TAG", "If-Range: TAG"], 200),
            (&["Range: bytes=100-", "If-Range: \"zz\""], 200),
            (&["Range: bytes=100-", "If-Range: TAG"], 416),
            (&["If-Range: TAG"], 200),
            (&["If-Range: \"zz\""], 200),
        ],
    );
    assert!(server.stop().0.success());
}

/// 13.1: what has no validators cannot have those that are named; 13.2.1: conditions are for what would be a success.
#[test]
fn conditions_on_what_is_no_file() {
    let (_site, server) = serve();
    check(
        &server,
        "/",
        &[
            (&["If-Match: *"], 200),
            (&["If-Match: \"zz\""], 412),
            (&["If-None-Match: *"], 304),
            (&["If-None-Match: \"zz\""], 200),
            (&["If-Modified-Since: AFTER"], 200),
            (&["If-Unmodified-Since: BEFORE"], 200),
            (&["Range: bytes=0-1"], 200),
        ],
    );
    let every: &[&str] = &["If-Match: \"zz\"", "If-None-Match: *", "Range: bytes=0-1"];
    check(&server, "/nothing", &[(every, 404)]);
    check(&server, "/folder", &[(every, 301)]);
    check(&server, "/a.txt%00", &[(every, 400)]);
    assert!(server.stop().0.success());
}

#[test]
fn ranges() {
    let (_site, server) = serve();
    let parts = [
        ("bytes=0-0", "0"),
        ("bytes=0-9", "0123456789"),
        ("bytes=0-", "0123456789"),
        ("bytes=9-", "9"),
        ("bytes=5-100", "56789"),
        ("bytes=5-99999999999999999999999", "56789"),
        ("bytes=-1", "9"),
        ("bytes=-10", "0123456789"),
        ("bytes=-100", "0123456789"),
        ("BYTES=2-3", "23"),
        ("bytes=002-003", "23"),
        ("bytes= 2-3", "23"),
        ("bytes=2-3,", "23"),
    ];
    for (range, part) in parts {
        let answer = ask(&server, "GET", "/a.txt", &[&format!("Range: {range}")]);
        assert_eq!((&answer[..12], body(&answer)), ("HTTP/1.1 206", part), "{range}: {answer}");
        let from = part.as_bytes()[0] - b'0';
        let told = format!("bytes {from}-{}/10", usize::from(from) + part.len() - 1);
        assert_eq!(field(&answer, "Content-Range"), Some(&*told), "{range}");
        assert_eq!(field(&answer, "Content-Length"), Some(&*part.len().to_string()), "{range}");
    }
    for range in ["bytes=10-", "bytes=10-20", "bytes=99999999999999999999999-", "bytes=-0", "bytes=20-,30-"] {
        let answer = ask(&server, "GET", "/a.txt", &[&format!("Range: {range}")]);
        assert!(answer.starts_with("HTTP/1.1 416 "), "{range}: {answer}");
        assert_eq!(field(&answer, "Content-Range"), Some("bytes */10"), "{range}");
    }
    // 14.2: what is no range of bytes is ignored, and several may be.
    for range in [
        "",
        "bytes",
        "bytes=",
        "bytes=-",
        "bytes=a-b",
        "bytes=3-2",
        "bytes=+1-2",
        "bytes=1",
        "bytes=1-2-3",
        "bytes=0x1-2",
        "lines=0-1",
        "bytes=0-1,3-4",
        "bytes=1 - 2",
        "bytes 1-2",
        "bytes=-+1",
        "bytes=--1",
    ] {
        let answer = ask(&server, "GET", "/a.txt", &[&format!("Range: {range}")]);
        assert_eq!((&answer[..12], body(&answer)), ("HTTP/1.1 200", "0123456789"), "{range}: {answer}");
    }
    let twice = ask(&server, "GET", "/a.txt", &["Range: bytes=0-1", "Range: bytes=0-1"]);
    assert_eq!((&twice[..12], body(&twice)), ("HTTP/1.1 200", "0123456789"), "{twice}");
    assert!(server.stop().0.success());
}

/// 14.1.2: its last bytes are all it has.
#[test]
fn ranges_of_an_empty_file() {
    let (_site, server) = serve();
    for (range, status) in [
        ("bytes=-5", 200),
        ("bytes=-1", 200),
        ("bytes=0-,-5", 200),
        ("bytes=-0", 416),
        ("bytes=0-", 416),
        ("bytes=0-0", 416),
        ("bytes=5-", 416),
    ] {
        let answer = ask(&server, "GET", "/empty", &[&format!("Range: {range}")]);
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{range}: {answer}");
        if status == 200 {
            assert_eq!(
                (field(&answer, "Content-Length"), field(&answer, "Content-Range")),
                (Some("0"), None),
                "{range}"
            );
        }
    }
    assert!(server.stop().0.success());
}
