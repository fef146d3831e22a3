//! The example `http_files` takes requests as RFC 9112 writes them, and answers everything else with the right refusal.

mod common;

use common::site::Site;
use common::site::assert_status;
use common::site::exchange;
use common::site::exchange_and_end;
use common::site::field;

const LAST: &str = "GET /two%20words.txt HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n";

/// RFC 9112, 3.2.
#[test]
fn a_host_is_a_host() {
    let site = Site::new();
    let server = site.serve(&[]);
    let ask =
        |version, fields: &str| exchange(&server, format!("GET /a.txt {version}\r\n{fields}Connection: close\r\n\r\n"));
    let right = [
        "here",
        "here:8000",
        "here:",
        "127.0.0.1:1",
        "[::1]",
        "[::1]:80",
        "a_b.c-d~e",
        "%41",
        "xn--bcher-kva.example",
        "",
    ];
    for host in right {
        assert_status(&ask("HTTP/1.1", &format!("Host: {host}\r\n")), 200);
        assert_status(&ask("HTTP/1.0", &format!("Host: {host}\r\n")), 200);
    }
    let wrong = [
        "a b",
        "h/x",
        "h/",
        "/",
        "h?x",
        "h#x",
        "user@h",
        "@h",
        "h:x",
        "h:-1",
        "h:80:80",
        "h:65536",
        "::1",
        "[::1",
        "[::1]x",
        "[::g]",
        "[]",
        "h\\x",
        "h<x>",
        "\"h\"",
        "%zz",
        "%4",
        "h\tx",
        "b\u{fc}cher",
        "http://h",
    ];
    for host in wrong {
        for version in ["HTTP/1.1", "HTTP/1.0"] {
            let answer = ask(version, &format!("Host: {host}\r\n"));
            assert!(answer.starts_with("HTTP/1.1 400 "), "{host:?}: {answer:.300}");
        }
    }
    assert_status(&ask("HTTP/1.1", ""), 400);
    assert_status(&ask("HTTP/1.0", ""), 200);
    for version in ["HTTP/1.1", "HTTP/1.0"] {
        assert_status(&ask(version, "Host: here\r\nHost: here\r\n"), 400);
    }
    assert!(server.stop().0.success());
}

/// RFC 9112, 9.3: one `close`, wherever it is, closes.
#[test]
fn a_connection_is_closed_if_either_side_says_so() {
    let site = Site::new();
    let server = site.serve(&[]);
    let cases = [
        ("1.1", "", true),
        ("1.1", "Connection: keep-alive\r\n", true),
        ("1.1", "Connection: upgrade\r\n", true),
        ("1.1", "Connection: closed, close-ish\r\n", true),
        ("1.1", "Connection: close\r\n", false),
        ("1.1", "Connection: CLOSE\r\n", false),
        ("1.1", "Connection: keep-alive, close\r\n", false),
        ("1.1", "Connection: close, keep-alive\r\n", false),
        ("1.1", "Connection: x,close ,y\r\n", false),
        ("1.1", "Connection: close\r\nConnection: keep-alive\r\n", false),
        ("1.1", "Connection: keep-alive\r\nConnection: close\r\n", false),
        ("1.0", "", false),
        ("1.0", "Connection: keep-alive\r\n", true),
        ("1.0", "Connection: Keep-Alive\r\n", true),
        ("1.0", "Connection: upgrade\r\n", false),
        ("1.0", "Connection: close, keep-alive\r\n", false),
        ("1.0", "Connection: keep-alive, close\r\n", false),
        ("1.0", "Connection: close\r\nConnection: keep-alive\r\n", false),
        ("1.0", "Connection: keep-alive\r\nConnection: x\r\nConnection: close\r\n", false),
    ];
    for (version, fields, stays) in cases {
        let answers = exchange(&server, format!("GET /a.txt HTTP/{version}\r\nHost: here\r\n{fields}\r\n{LAST}"));
        assert_status(&answers, 200);
        assert_eq!(answers.matches("HTTP/1.1 200 ").count(), 1 + usize::from(stays), "{version} {fields:?}: {answers}");
        let says = field(&answers, "Connection");
        let expected = if !stays {
            Some("close")
        } else if version == "1.0" {
            Some("keep-alive")
        } else {
            None
        };
        assert_eq!(says, expected, "{version} {fields:?}");
    }
    assert!(server.stop().0.success());
}

/// RFC 9112, 2.2.
#[test]
fn empty_lines_before_a_request_and_behind_the_last_are_nothing() {
    let site = Site::new();
    let server = site.serve(&["--timeout", "1"]);
    for stray in ["\r\n", "\n", "\r\n\r\n", "\r"] {
        let alone = exchange_and_end(&server, stray);
        assert_eq!(alone, "", "{stray:?}: nothing was asked");
        let behind = exchange_and_end(&server, format!("GET /a.txt HTTP/1.1\r\nHost: here\r\n\r\n{stray}"));
        assert_eq!(behind.matches("HTTP/1.1 ").count(), 1, "{stray:?}: {behind}");
    }
    for stray in ["\r\n", "\n", "\r\n\r\n"] {
        let between = exchange(&server, format!("{stray}GET /a.txt HTTP/1.1\r\nHost: here\r\n\r\n{stray}{LAST}"));
        assert_eq!(between.matches("HTTP/1.1 200 ").count(), 2, "{stray:?}: {between}");
    }
    // Half of an empty line is not the beginning of a request that could be late.
    let late = exchange(&server, "GET /a.txt HTTP/1.0\r\nConnection: keep-alive\r\n\r\n\r");
    assert_eq!(late.matches("HTTP/1.1 ").count(), 1, "{late}");
    // Not for ever.
    assert_status(&exchange(&server, "\r\n".repeat(1000)), 400);
    assert_status(&exchange(&server, format!("\r{LAST}")), 400);
    assert!(server.stop().0.success());
}
