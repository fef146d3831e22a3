//! The example `http_files` serves files as RFC 9110 and 9112 say, and nothing outside of its folder.

mod common;

use std::fs;
use std::io::Read;
use std::io::Write;
use std::net::TcpStream;
use std::os::unix::fs::symlink;
use std::process::Command;

use common::connect;
use common::site::Site;
use common::site::assert_status;
use common::site::body;
use common::site::exchange;
use common::site::field;
use common::site::get;

const KEPT: &str = "GET /a.txt HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n";

/// More than the kernel takes in for a client that does not read.
const HUGE: usize = 16 << 20;

#[test]
fn a_file_whole_in_part_and_only_if_changed() {
    let site = Site::new();
    let server = site.serve(&[]);
    let whole = get(&server, "/a.txt", "");
    assert_status(&whole, 200);
    assert_eq!(body(&whole), "0123456789");
    assert!(field(&whole, "Content-Type").is_some_and(|kind| kind.starts_with("text/plain")), "{whole}");
    let part = get(&server, "/a.txt", "Range: bytes=2-4\r\n");
    assert_status(&part, 206);
    assert_eq!((body(&part), field(&part, "Content-Range")), ("234", Some("bytes 2-4/10")));
    assert_eq!(body(&get(&server, "/a.txt", "Range: bytes=-3\r\n")), "789");
    assert_status(&get(&server, "/a.txt", "Range: bytes=10-\r\n"), 416);
    let tag = field(&whole, "ETag").expect("an ETag");
    assert_status(&get(&server, "/a.txt", &format!("If-None-Match: {tag}\r\n")), 304);
    let date = field(&whole, "Last-Modified").expect("a date");
    assert_status(&get(&server, "/a.txt", &format!("If-Modified-Since: {date}\r\n")), 304);
    let head = exchange(&server, "HEAD /a.txt HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n");
    assert_eq!((body(&head), field(&head, "Content-Length")), ("", Some("10")));
    assert_eq!(body(&get(&server, "/large", "")).len(), 3 << 20);
    assert!(server.stop().0.success());
}

#[test]
fn names_and_folders_and_no_way_out() {
    let site = Site::new();
    let server = site.serve(&[]);
    assert_eq!(body(&get(&server, "/two%20words.txt", "")), "words");
    assert_status(&get(&server, "/folder", ""), 301);
    fs::create_dir(site.path("~test \u{e4}_")).unwrap();
    for path in ["/~test%20\u{e4}_", "/~test%20%c3%a4_"] {
        assert_eq!(field(&get(&server, path, ""), "Location"), Some("/~test%20%C3%A4_/"));
    }
    site.write("picture.JPG", "");
    assert_eq!(field(&get(&server, "/picture.JPG", ""), "Content-Type"), Some("image/jpeg"));
    let page = get(&server, "/", "");
    assert_status(&page, 200);
    assert!(page.contains("two%20words.txt") && page.contains("folder/"), "{page}");
    assert!(!page.contains("leak"), "{page}");
    assert_eq!(body(&get(&server, "/folder/link", "")), "0123456789");
    for path in [
        "/../secret",
        "/%2e%2e/secret",
        "/folder/../../secret",
        "/folder/%2e%2e%2f%2e%2e%2fsecret",
        "/leak",
        "/relative%20leak",
        "/a.txt%00",
    ] {
        let answer = get(&server, path, "");
        assert!(
            ["HTTP/1.1 400 ", "HTTP/1.1 403 ", "HTTP/1.1 404 "].iter().any(|status| answer.starts_with(status)),
            "{path}: {answer}"
        );
        assert!(!body(&answer).contains("secret\n") && body(&answer) != "secret", "{path}: {answer}");
    }
    assert!(server.stop().0.success());
}

#[test]
fn what_is_no_request_gets_the_right_answer() {
    let site = Site::new();
    let server = site.serve(&[]);
    assert_status(&get(&server, "/nothing", ""), 404);
    let post = exchange(&server, "POST /a.txt HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n");
    assert_status(&post, 405);
    assert_eq!(field(&post, "Allow"), Some("GET, HEAD"));
    assert_status(&exchange(&server, "GET /a.txt HTTP/1.1\r\n\r\n"), 400);
    assert_status(&get(&server, "/a.txt", "Content-Length: 9999999999\r\n"), 413);
    assert_status(&get(&server, "/a.txt", "Content-Length: 1\r\nContent-Length: 2\r\n"), 400);
    assert_status(&get(&server, "/a.txt", "Content-Length: 0\r\nContent-Length: 0\r\n"), 400);
    assert_status(&get(&server, "/a.txt", "Transfer-Encoding: chunked\r\n"), 411);
    assert_status(&get(&server, "/a.txt", "Transfer-Encoding: gzip\r\n"), 501);
    assert_status(&get(&server, "/a.txt", "Expect: a miracle\r\n"), 417);
    for (method, status) in [("POST", 405), ("OPTIONS", 405), ("BREW", 501)] {
        let fields = "Host: here\r\nContent-Length: 5\r\n\r\n12345";
        let answers = exchange(&server, format!("{method} /a.txt HTTP/1.1\r\n{fields}{KEPT}"));
        assert_status(&answers, status);
        assert!(answers.ends_with("0123456789"), "{method}: what is not served is a request all the same: {answers}");
    }
    assert_status(&exchange(&server, "GET /a.txt HTTP/3.0\r\nHost: here\r\n\r\n"), 505);
    assert_status(&exchange(&server, "BREW /a.txt HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n"), 501);
    assert_status(&exchange(&server, "\u{1}\u{2}garbage\r\n\r\n"), 400);
    assert_status(&get(&server, &format!("/{}", "a".repeat(100_000)), ""), 414);
    assert_status(&get(&server, "/a.txt", &format!("X-Long: {}\r\n", "a".repeat(100_000))), 431);
    assert!(server.stop().0.success());
}

#[test]
fn a_connection_is_kept_and_pipelined_requests_are_answered_in_order() {
    let site = Site::new();
    let server = site.serve(&[]);
    let one = "GET /a.txt HTTP/1.1\r\nHost: here\r\n\r\n";
    let last = "GET /two%20words.txt HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n";
    let answers = exchange(&server, format!("{}{last}", one.repeat(20)));
    assert_eq!(answers.matches("HTTP/1.1 200 ").count(), 21, "{answers:.600}");
    assert_eq!(answers.matches("0123456789").count(), 20);
    assert!(answers.ends_with("words"));
    assert!(server.stop().0.success());
}

#[test]
fn clients_that_drip_their_heads_hold_no_worker() {
    let site = Site::new();
    let server = site.serve(&[]);
    // Twenty-five for each worker, each in the middle of its head.
    let mut slow: Vec<TcpStream> = (0..50).map(|_| connect(server.socket_address())).collect();
    for client in &mut slow {
        client.write_all(b"GET /a.txt HTTP/1.1\r\nHost: he").unwrap();
    }
    for _ in 0..20 {
        assert_eq!(body(&get(&server, "/a.txt", "")), "0123456789");
    }
    for client in &mut slow {
        client.write_all(b"re\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).unwrap();
        assert_eq!(body(&answer), "0123456789");
    }
    assert!(server.stop().0.success());
}

/// Two threads, and sixty-four clients that have asked for a large file and do not read it.
#[test]
fn slow_downloads_hold_no_worker() {
    let site = Site::new();
    site.write("huge", vec![b'y'; HUGE]);
    let server = site.serve(&[]);
    let slow: Vec<TcpStream> = (0..64)
        .map(|_| {
            let mut client = connect(server.socket_address());
            client.write_all(b"GET /huge HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n").unwrap();
            client.read_exact(&mut [0]).unwrap();
            client
        })
        .collect();
    for _ in 0..20 {
        assert_eq!(body(&get(&server, "/a.txt", "")), "0123456789");
    }
    let mut rest = String::new();
    slow.into_iter().next_back().unwrap().read_to_string(&mut rest).unwrap();
    assert_eq!(body(&rest).len(), HUGE);
    assert!(server.stop().0.success());
}

#[test]
fn pipelined_large_files_come_one_after_the_other() {
    let site = Site::new();
    site.write("huge", vec![b'y'; HUGE]);
    for dispatch in ["sync", "threads", "fork", "pool"] {
        let server = site.serve(&["--dispatch", dispatch]);
        let ask = |path, more| format!("GET {path} HTTP/1.1\r\nHost: here\r\n{more}\r\n");
        let close = "Connection: close\r\n";
        let requests = [ask("/huge", ""), ask("/a.txt", ""), ask("/large", ""), ask("/huge", ""), ask("/a.txt", close)];
        let answers = exchange(&server, requests.concat());
        let mut rest = &answers[..];
        for length in [HUGE, 10, 3 << 20, HUGE, 10] {
            assert_status(rest, 200);
            assert_eq!(field(rest, "Content-Length"), Some(&*length.to_string()), "{dispatch}: {rest:.300}");
            let (content, next) = body(rest).split_at(length);
            let first = content.chars().next().unwrap();
            assert_eq!(
                first,
                if length == 10 {
                    '0'
                } else if length == HUGE {
                    'y'
                } else {
                    'x'
                },
                "{dispatch}"
            );
            rest = next;
        }
        assert_eq!(rest, "");
        assert!(server.stop().0.success());
    }
}

/// Where a name leads is not looked at before it is opened, but by the kernel while it opens it.
#[test]
#[cfg(target_os = "linux")]
fn a_folder_that_becomes_a_link_meanwhile_leads_nowhere_else() {
    use std::sync::atomic::AtomicBool;
    use std::sync::atomic::Ordering;

    /// Also where the test fails.
    struct RaiseAtEnd<'a>(&'a AtomicBool);

    impl Drop for RaiseAtEnd<'_> {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }

    // Without it the example keeps everything inside only while nobody else writes to the directory.
    let (cwd, here) = (rustix::fs::CWD, rustix::fs::ResolveFlags::BENEATH);
    rustix::fs::openat2(cwd, ".", rustix::fs::OFlags::RDONLY, rustix::fs::Mode::empty(), here)
        .expect("openat2, which Linux before 5.6 and some sandboxes do not have");
    let site = Site::new();
    fs::create_dir(site.path("changing")).unwrap();
    site.write("changing/secret", "public");
    symlink("..", site.path("outwards")).unwrap();
    let server = site.serve(&[]);
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let _end = RaiseAtEnd(&done);
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                let exchange = rustix::fs::RenameFlags::EXCHANGE;
                let (cwd, one, two) = (rustix::fs::CWD, site.path("changing"), site.path("outwards"));
                rustix::fs::renameat_with(cwd, one, cwd, two, exchange).unwrap();
            }
        });
        let mut client = connect(server.socket_address());
        let (mut served, mut refused) = (0, 0);
        while served < 2000 || refused < 2000 {
            client.write_all(b"GET /changing/secret HTTP/1.1\r\nHost: here\r\n\r\n").unwrap();
            let mut answer = [0; 4096];
            let count = client.read(&mut answer).unwrap();
            let answer = String::from_utf8_lossy(&answer[..count]).into_owned();
            if body(&answer) == "public" {
                served += 1;
            } else {
                assert_status(&answer, 404);
                refused += 1;
            }
        }
    });
    assert!(server.stop().0.success());
}

#[test]
fn a_head_that_does_not_come_in_time_is_answered() {
    let site = Site::new();
    let server = site.serve(&["--timeout", "1"]);
    assert_status(&exchange(&server, "GET /a.txt HTTP/1.1\r\nHost: he"), 408);
    assert!(server.stop().0.success());
}

#[test]
fn hello_is_the_same_for_every_path() {
    let site = Site::new();
    let server = site.serve(&["--hello"]);
    let answer = get(&server, "/whatever", "");
    assert_status(&answer, 200);
    assert_eq!(field(&answer, "Content-Length"), Some(body(&answer).len().to_string().as_str()));
    assert!(server.stop().0.success());
}

#[test]
#[ignore = "needs curl"]
fn curl_is_served() {
    let site = Site::new();
    let server = site.serve(&[]);
    let url = format!("http://{}/large", server.address);
    let output = Command::new("curl").args(["-sS", "--max-time", "30", &url, &url]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.stdout.len(), 2 * (3 << 20));
    assert!(server.stop().0.success());
}
