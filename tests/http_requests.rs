//! The example `http_files` takes requests as RFC 9112 writes them, and answers everything else with the right refusal.

mod common;

use std::io::BufRead;
use std::io::BufReader;
use std::io::Read;
use std::io::Write;

use common::connect;
use common::drip;
use common::site::Site;
use common::site::assert_status;
use common::site::body;
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
        ":80",
        ":",
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

/// RFC 9112, 2.3 and 3.
#[test]
fn a_request_line_is_three_words_of_which_the_last_is_a_version() {
    let site = Site::new();
    let server = site.serve(&[]);
    let wrong = [
        "GET /f .txt HTTP/1.1",
        "GET /a.txt  HTTP/1.1",
        "GET  /a.txt HTTP/1.1",
        " GET /a.txt HTTP/1.1",
        "GET /a.txt HTTP/1.1 ",
        "GET /a.txt HTTP/1.1 x",
        "GET\t/a.txt HTTP/1.1",
        "GET /a.txt\tHTTP/1.1",
        "GET /a.txt",
        "GET /a.txt ",
        "GET",
        "GET ",
        "/a.txt HTTP/1.1",
        "GET HTTP/1.1",
        "GET  HTTP/1.1",
        "GET /a.txt http/1.1",
        "GET /a.txt HTTP",
        "GET /a.txt HTTP/",
        "GET /a.txt HTTP/1",
        "GET /a.txt HTTP/1.",
        "GET /a.txt HTTP/.1",
        "GET /a.txt HTTP/1.10",
        "GET /a.txt HTTP/01.1",
        "GET /a.txt HTTP/1,1",
        "GET /a.txt HTTP/a.1",
        "GET /a.txt HTTP/-1.1",
        "GET /a.txt HTTPS/1.1",
        "GET /a.txt HTCPCP/1.0",
        "G\u{e9}T /a.txt HTTP/1.1",
        "GET, /a.txt HTTP/1.1",
        "GET: /a.txt HTTP/1.1",
    ];
    for line in wrong {
        let answer = exchange(&server, format!("{line}\r\nHost: here\r\nConnection: close\r\n\r\n"));
        assert!(answer.starts_with("HTTP/1.1 400 "), "{line:?}: {answer:.300}");
    }
    for version in ["HTTP/0.9", "HTTP/2.0", "HTTP/3.0", "HTTP/9.9"] {
        let answer = exchange(&server, format!("GET /a.txt {version}\r\nHost: here\r\nConnection: close\r\n\r\n"));
        assert!(answer.starts_with("HTTP/1.1 505 "), "{version:?}: {answer:.300}");
    }
    // RFC 9110, 2.5: what is said in a later version of HTTP/1 can be read as HTTP/1.1.
    for version in ["HTTP/1.0", "HTTP/1.1", "HTTP/1.2", "HTTP/1.9"] {
        let answer = exchange(&server, format!("GET /a.txt {version}\r\nHost: here\r\nConnection: close\r\n\r\n"));
        assert_eq!((&answer[..12], body(&answer)), ("HTTP/1.1 200", "0123456789"), "{version}: {answer}");
    }
    let both = exchange(&server, format!("GET /a.txt HTTP/1.9\r\nHost: here\r\n\r\n{LAST}"));
    assert_eq!(both.matches("HTTP/1.1 200 ").count(), 2, "{both}");
    assert_status(&exchange(&server, "GET /a.txt HTTP/1.9\r\n\r\n"), 400);
    assert!(server.stop().0.success());
}

/// RFC 9112, 3.2, and RFC 9110, 4.2.
#[test]
fn a_target_is_a_path_or_a_whole_address() {
    let site = Site::new();
    let server = site.serve(&[]);
    let ask =
        |target: &str| exchange(&server, format!("GET {target} HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n"));
    let right = [
        "/a.txt",
        "/a.txt?",
        "/a.txt?x=/../y?z",
        "//a.txt",
        "/./a.txt",
        "/%61.txt",
        "http://here/a.txt",
        "HTTP://elsewhere:8000/a.txt?x",
        "http://[::1]/a.txt",
    ];
    for target in right {
        let answer = ask(target);
        assert_eq!((&answer[..12], body(&answer)), ("HTTP/1.1 200", "0123456789"), "{target}: {answer}");
    }
    for target in ["http://here", "http://here?x", "http://here/"] {
        assert!(ask(target).starts_with("HTTP/1.1 200 "), "{target}");
    }
    let wrong = [
        "http:///a.txt",
        "http://",
        "http://?x",
        "http:/a.txt",
        "http:a.txt",
        "http://:80/a.txt",
        "http://user@here/a.txt",
        "http://user:word@here/a.txt",
        "http://here:x/a.txt",
        "http://[::g]/a.txt",
        "http://h<x>/a.txt",
        "ftp://here/a.txt",
        "https://here/a.txt",
        "://here/a.txt",
        "a.txt",
        "*",
        "here:80",
        "?",
        "/a.txt#x",
        "/#",
        "http://here/a.txt#x",
        "/%",
        "/%4",
        "/%g0",
        "/a.txt%00",
    ];
    for target in wrong {
        let answer = ask(target);
        assert!(answer.starts_with("HTTP/1.1 400 "), "{target:?}: {answer:.300}");
    }
    assert!(server.stop().0.success());
}

/// RFC 9110, 9.3.2: whatever it is that is wrong with the request.
#[test]
fn no_answer_to_head_has_a_body() {
    let site = Site::new();
    let server = site.serve(&["--timeout", "1"]);
    let long = "x".repeat(100_000);
    let cases = [
        ("HEAD /a.txt HTTP/1.1\r\n\r\n".to_owned(), 400),
        ("HEAD /a.txt HTTP/1.1\r\nHost: a b\r\n\r\n".to_owned(), 400),
        ("HEAD /a.txt HTTP/1.1\r\nHost: here\r\nno field\r\n\r\n".to_owned(), 400),
        ("\r\nHEAD /a.txt HTTP/1.1\r\n\r\n".to_owned(), 400),
        ("HEAD /a.txt b HTTP/1.1\r\nHost: here\r\n\r\n".to_owned(), 400),
        ("HEAD /a.txt HTTP/7.1\r\nHost: here\r\n\r\n".to_owned(), 505),
        ("HEAD /nothing HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n".to_owned(), 404),
        ("HEAD /folder HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n".to_owned(), 301),
        ("HEAD http:///a.txt HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n".to_owned(), 400),
        ("HEAD /a.txt HTTP/1.1\r\nHost: here\r\nExpect: more\r\n\r\n".to_owned(), 417),
        ("HEAD /a.txt HTTP/1.1\r\nHost: here\r\nContent-Length: x\r\n\r\n".to_owned(), 400),
        ("HEAD /a.txt HTTP/1.1\r\nHost: here\r\nContent-Length: 99999999\r\n\r\n".to_owned(), 413),
        ("HEAD /a.txt HTTP/1.1\r\nHost: here\r\nTransfer-Encoding: chunked\r\n\r\n".to_owned(), 411),
        (format!("HEAD /{long} HTTP/1.1\r\nHost: here\r\n\r\n"), 414),
        (format!("HEAD /a.txt HTTP/1.1\r\nHost: here\r\nX: {long}\r\n\r\n"), 431),
        // It does not come in time, and does not come whole.
        ("HEAD /a.txt HTTP/1.1\r\nHos".to_owned(), 408),
        ("HEAD ".to_owned(), 408),
    ];
    for (request, status) in cases {
        let answer = exchange(&server, &request);
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{request:.60}: {answer:.300}");
        assert_eq!(body(&answer), "", "{request:.60}");
        assert!(field(&answer, "Content-Length").is_some_and(|length| length != "0"), "{request:.60}: {answer}");
    }
    let cut = exchange_and_end(&server, "HEAD /a.txt HTTP/1.1\r\nHost");
    assert_status(&cut, 400);
    assert_eq!(body(&cut), "");
    // Where it is not HEAD there is one.
    for method in ["HEADS", "head", "GET"] {
        let answer = exchange(&server, format!("{method} /a.txt HTTP/1.1\r\n\r\n"));
        assert_ne!(body(&answer), "", "{method}");
    }
    assert!(server.stop().0.success());
}

/// It is answered before its body has come, which has the time of a message for all that.
#[test]
fn a_body_that_drips_in_has_its_time() {
    let site = Site::new();
    for dispatch in ["sync", "threads", "fork", "pool"] {
        let server = site.serve(&["--dispatch", dispatch, "--timeout", "1"]);
        let client = connect(server.socket_address());
        (&client).write_all(b"POST /a.txt HTTP/1.1\r\nHost: here\r\nContent-Length: 100000\r\n\r\nx").unwrap();
        let mut reader = BufReader::new(&client);
        let (mut line, mut length) = (String::new(), 0);
        while reader.read_line(&mut line).unwrap() > 2 {
            if let Some(value) = line.strip_prefix("Content-Length: ") {
                length = value.trim().parse().unwrap();
            }
            line.clear();
        }
        reader.read_exact(&mut vec![0; length]).unwrap();
        assert_eq!(reader.buffer(), b"");
        let sent = drip(&client);
        assert!((1..1000).contains(&sent), "{dispatch}: {sent} bytes");
        assert!(server.stop().0.success());
    }
}
