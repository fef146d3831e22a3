//! What `--metrics` serves on its second port: the text is taken apart by a parser that knows nothing of its author.

#![cfg(unix)]

mod common;

#[path = "metrics_page/exposition.rs"]
mod exposition;

#[path = "../examples/common/metrics/book.rs"]
#[allow(dead_code, unreachable_pub, reason = "a part of the examples")]
mod book;
#[path = "../examples/common/metrics/text.rs"]
#[allow(dead_code, unreachable_pub, reason = "a part of the examples")]
mod text;

use std::collections::BTreeSet;
use std::io::Write;
use std::net::SocketAddr;
use std::net::TcpListener;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use common::TempDir;
use common::ask;
use common::connect;
use common::eventually;
use common::example::Example;
use common::example::finish;
use common::example::program;
use common::read_line;
use common::read_rest;
use common::site::Site;
use exposition::Exposition;
use socketserver::End;
use socketserver::Event;
use socketserver::Stats;
use socketserver::Traffic;

const KV: &[&str] = &["--listen", "127.0.0.1:0", "--metrics", "0"];

/// Where the second port is, from the line behind that of the first.
fn metrics_address(server: &mut Example) -> SocketAddr {
    let line = server.line();
    let address = line.trim_end().strip_prefix("metrics on http://").and_then(|url| url.strip_suffix('/'));
    address.unwrap_or_else(|| panic!("no second port: {line}")).parse().unwrap()
}

/// The head and the body of an answer, whose length has to be the one that it tells.
fn request(address: SocketAddr, text: &str) -> (String, String) {
    let mut client = connect(address);
    client.write_all(text.as_bytes()).unwrap();
    let answer = String::from_utf8(read_rest(&client)).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no head: {answer}"));
    if !text.starts_with("HEAD ") {
        assert!(head.contains(&format!("\r\nContent-Length: {}\r\n", body.len())), "{head}");
    }
    assert!(head.contains("\r\nCache-Control: no-store\r\n") && head.contains("\r\nConnection: close"), "{head}");
    (head.to_owned(), body.to_owned())
}

fn get(address: SocketAddr, target: &str) -> (String, String) {
    request(address, &format!("GET {target} HTTP/1.1\r\nHost: {address}\r\n\r\n"))
}

fn scrape(address: SocketAddr) -> Exposition {
    let (head, body) = get(address, "/metrics");
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    assert!(head.contains("\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n"), "{head}");
    Exposition::parse(&body)
}

/// The text as soon as this many connections have ended in this way.
fn scrape_after(address: SocketAddr, server: &str, end: &str, count: f64) -> Exposition {
    let labels = [("server", server), ("end", end)];
    eventually("they have ended", || scrape(address).value("socketserver_ended_total", &labels) == Some(count));
    scrape(address)
}

#[test]
fn the_counters_are_what_was_done() {
    for dispatch in ["sync", "threads", "pool"] {
        let mut server = Example::start("kv", &[KV, &["--dispatch", dispatch, "--workers", "2"]].concat());
        let address = metrics_address(&mut server);
        let of_server = [("server", "kv")];
        let fresh = scrape(address);
        assert_eq!(fresh.value("socketserver_started_total", &of_server), Some(0.0));
        for _ in 0..3 {
            let client = connect(server.socket_address());
            assert_eq!(ask(&client, "PING\r"), "+PONG\r");
        }
        let stays = connect(server.socket_address());
        assert_eq!(ask(&stays, "PING\r"), "+PONG\r");
        let done = scrape_after(address, "kv", "peer_closed", 3.0);
        let expected = [
            ("started_total", 4.0),
            ("open", 1.0),
            ("received_bytes_total", 3.0 * "PING\r\n".len() as f64),
            ("sent_bytes_total", 3.0 * "+PONG\r\n".len() as f64),
            ("duration_seconds_count", 3.0),
            ("errors_total", 0.0),
            ("listening", 1.0),
            ("draining", 0.0),
        ];
        for (name, value) in expected {
            let found = done.value(&format!("socketserver_{name}"), &of_server);
            assert_eq!(found.unwrap_or_default(), value, "{dispatch}: {name}");
        }
        assert!(done.value("socketserver_calls_total", &of_server) >= Some(3.0), "{dispatch}");
        let threads = done.value("socketserver_threads", &of_server);
        assert!(
            if dispatch == "pool" { threads >= Some(1.0) } else { threads == Some(0.0) },
            "{dispatch}: {threads:?}"
        );
        drop(stays);
        scrape_after(address, "kv", "peer_closed", 4.0);
        let (status, report) = server.stop();
        assert!(status.success() && report.contains("4 accepted: 4 finished"), "{dispatch}: {report}");
    }
}

#[test]
fn http_files_has_it_too() {
    let site = Site::new();
    for dispatch in ["sync", "threads", "pool"] {
        let mut server = site.serve(&["--dispatch", dispatch, "--metrics", "127.0.0.1:0"]);
        let address = metrics_address(&mut server);
        let mut client = connect(server.socket_address());
        client.write_all(b"GET /a.txt HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n").unwrap();
        let answer = read_rest(&client);
        drop(client);
        let done = scrape_after(address, "http_files", "handler_closed", 1.0);
        let sent = done.value("socketserver_sent_bytes_total", &[("server", "http_files")]);
        assert_eq!(sent, Some(answer.len() as f64), "{dispatch}");
        assert!(server.stop().0.success());
    }
}

#[test]
fn each_name_of_the_feature_is_there_with_its_kind_and_explanation() {
    // Without those of children, which there are none of where there is `--metrics`.
    let source = include_str!("../src/handler/adapters/metrics.rs");
    let names: BTreeSet<&str> =
        source.split('"').filter(|part| part.starts_with("socketserver_") && !part.contains("child")).collect();
    assert!(names.len() > 15, "{names:?}");
    let text = text::text("kv", &book::Book::new("kv").figures(), &Stats::default());
    let exposition = Exposition::parse(&text);
    for name in names {
        let kind = exposition.kinds.get(name).unwrap_or_else(|| panic!("no {name}"));
        assert_eq!(kind == "counter", name.ends_with("_total"), "{name} is a {kind}");
    }
}

#[test]
fn a_histogram_counts_each_duration_once() {
    let book = book::Book::new("kv");
    let mut id = None;
    socketserver_ids(|of_one| id = Some(of_one));
    let id = id.unwrap();
    let durations = [0, 1_000_000, 1_000_001, 100_000_000, 4_000_000_000_000].map(Duration::from_nanos);
    for duration in durations {
        book.count(&Event::Stop {
            id,
            end: End::PeerClosed,
            duration,
            traffic: Traffic { received: 1, sent: 2 },
            calls: 1,
        });
    }
    let exposition = Exposition::parse(&text::text("kv", &book.figures(), &Stats::default()));
    let below = |bound: &str| {
        exposition.value("socketserver_duration_seconds_bucket", &[("server", "kv"), ("le", bound)]).unwrap()
    };
    assert_eq!(["0.001", "0.0025", "0.1", "3600", "+Inf"].map(below), [2.0, 3.0, 4.0, 4.0, 5.0]);
    assert_eq!(exposition.value("socketserver_duration_seconds_count", &[("server", "kv")]), Some(5.0));
    let sum = exposition.value("socketserver_duration_seconds_sum", &[("server", "kv")]).unwrap();
    assert!((sum - 4_000.102_000_001).abs() < 1e-6, "{sum}");
}

/// The name of one connection, from a server that has served one.
fn socketserver_ids(mut tell: impl FnMut(socketserver::RequestId)) {
    let (sender, ids) = std::sync::mpsc::channel();
    let server = socketserver::ThreadingTcpServer::builder_fn(|_| Ok(socketserver::Flow::Close))
        .on_event(move |event: &Event<'_>| {
            if let Event::Start { id, .. } = event {
                let _ = sender.send(*id);
            }
        })
        .bind("127.0.0.1:0")
        .unwrap();
    let address = server.local_addr();
    let server = server.serve_in_background().unwrap();
    let client = connect(address);
    tell(ids.recv_timeout(common::PATIENCE).unwrap());
    drop(client);
    let _ = server.shutdown().unwrap();
}

#[test]
fn values_of_labels_are_escaped() {
    let word = "a \"quoted\" \\ back\\nslash,\nand a {line} = \u{e9}\r";
    let mut figures = book::Book::new("kv").figures();
    figures.errors.insert(word.to_owned(), 7);
    let exposition = Exposition::parse(&text::text(word, &figures, &Stats::default()));
    let labels = [("server", word), ("stage", word)];
    assert_eq!(exposition.value("socketserver_errors_total", &labels), Some(7.0));
}

#[test]
fn a_server_that_drains_is_not_healthy() {
    let book = book::Book::new("kv");
    assert!(!book.is_healthy());
    book.count(&Event::ListenStart { address: "here" });
    assert!(book.is_healthy());
    book.count(&Event::DrainStart { active: 0 });
    assert!(!book.is_healthy());
}

#[test]
fn routes() {
    let mut server = Example::start("kv", KV);
    let address = metrics_address(&mut server);
    // The port alone is one of this machine.
    assert!(address.ip().is_loopback());
    eventually("it accepts", || get(address, "/healthz").0.starts_with("HTTP/1.1 200 OK\r\n"));
    assert_eq!(get(address, "/healthz?verbose").1, "ok\n");
    let (head, body) = request(address, "HEAD /healthz HTTP/1.0\r\n\r\n");
    assert!(head.contains("\r\nContent-Length: 3\r\n") && body.is_empty(), "{head}{body}");
    let (head, page) = get(address, "/");
    assert!(head.contains("\r\nContent-Type: text/html; charset=utf-8\r\n"), "{head}");
    assert!(page.starts_with("<!doctype html>") && !page.contains("http://") && !page.contains("https://"), "{page}");
    let refused = [
        ("GET /metric HTTP/1.1\r\nHost: h\r\n\r\n", "404 Not Found"),
        ("GET /metrics/ HTTP/1.1\r\nHost: h\r\n\r\n", "404 Not Found"),
        ("GET /../healthz HTTP/1.1\r\nHost: h\r\n\r\n", "404 Not Found"),
        ("POST /metrics HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n", "405 Method Not Allowed"),
        ("metrics\r\n\r\n", "400 Bad Request"),
        ("GET /metrics HTTP/9.1\r\n\r\n", "400 Bad Request"),
    ];
    for (text, status) in refused {
        let (head, body) = request(address, text);
        assert!(head.starts_with(&format!("HTTP/1.1 {status}\r\n")), "{text}: {head}");
        assert_eq!(body, format!("{status}\n"));
    }
    let long = format!("GET /metrics HTTP/1.1\r\nX: {}\r\n", "x".repeat(16 * 1024));
    assert!(request(address, &long).0.starts_with("HTTP/1.1 431 "));
    // A request that comes byte by byte, one that ends in its middle, and one that never begins.
    let mut client = connect(address);
    for byte in b"GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n" {
        client.write_all(&[*byte]).unwrap();
    }
    assert_eq!(read_line(&client), "HTTP/1.1 200 OK\r");
    let mut client = connect(address);
    client.write_all(b"GET /healthz HT").unwrap();
    client.shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(read_line(&client), "HTTP/1.1 400 Bad Request\r");
    let client = connect(address);
    client.shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(read_rest(&client), b"");
    assert!(server.stop().0.success());
}

/// The places of the peers in a list of `/longest`, in order.
fn peers(longest: &serde_json::Value, list: &str) -> Vec<String> {
    let list = longest[list].as_array().unwrap();
    assert!(list.iter().all(|one| one["seconds"].as_f64().unwrap() >= 0.0), "{longest}");
    list.iter().map(|one| one["peer"].as_str().unwrap().to_owned()).collect()
}

fn longest(address: SocketAddr) -> serde_json::Value {
    let (head, body) = get(address, "/longest");
    assert!(head.contains("\r\nContent-Type: application/json\r\n"), "{head}");
    serde_json::from_str(&body).unwrap()
}

#[test]
fn the_ten_that_are_open_longest_are_listed() {
    let mut server = Example::start("kv", KV);
    let address = metrics_address(&mut server);
    assert_eq!(peers(&longest(address), "open"), [""; 0]);
    assert_eq!(peers(&longest(address), "running"), [""; 0]);
    let mut clients = Vec::new();
    for _ in 0..12 {
        let client = connect(server.socket_address());
        assert_eq!(ask(&client, "PING\r"), "+PONG\r");
        clients.push(client);
    }
    let expected: Vec<_> = clients.iter().map(|client| client.local_addr().unwrap().to_string()).collect();
    assert_eq!(peers(&longest(address), "open"), expected[..10]);
    drop(clients.remove(0));
    eventually("the next comes after it", || peers(&longest(address), "open") == expected[1..11]);
    assert!(server.stop().0.success());
}

#[test]
fn the_ten_longest_calls_are_listed() {
    let book = book::Book::new("kv");
    let mut id = None;
    socketserver_ids(|of_one| id = Some(of_one));
    let id = id.unwrap();
    book.count(&Event::Start { id, peer: Some(&"a peer") });
    for took in [3, 1, 12, 2, 11, 4, 10, 5, 9, 6, 8, 7, 3] {
        book.count(&Event::LongCall { id, took: Duration::from_secs(took) });
    }
    let [open, calls] = book.longest();
    assert_eq!(open.len(), 1);
    assert!(calls.iter().all(|call| call.peer == "\"a peer\""), "{calls:?}");
    let times: Vec<_> = calls.iter().map(|call| call.time.as_secs()).collect();
    assert_eq!(times, [12, 11, 10, 9, 8, 7, 6, 5, 4, 3]);
    let running = book.running((0..12).map(|place| (id, Duration::from_secs(12 - place))));
    assert!(running.iter().all(|call| call.peer == "\"a peer\""), "{running:?}");
    assert_eq!(running.iter().map(|call| call.time.as_secs()).collect::<Vec<_>>(), times);
}

/// A client of a Unix-domain socket that is bound to a path of its own, which is its address.
fn connect_from_path(path: &Path, server: &Path) -> UnixStream {
    let socket = socket2::Socket::new(socket2::Domain::UNIX, socket2::Type::STREAM, None).unwrap();
    socket.bind(&socket2::SockAddr::unix(path).unwrap()).unwrap();
    socket.connect(&socket2::SockAddr::unix(server).unwrap()).unwrap();
    UnixStream::from(std::os::fd::OwnedFd::from(socket))
}

#[test]
#[ignore = "needs chromium"]
fn a_browser_shows_what_comes_from_peers_as_text() {
    let folder = TempDir::new();
    let path = folder.join("socket");
    let listen = path.to_str().unwrap();
    let mut server = Example::start("kv", &["--listen", listen, "--transport", "unix", "--metrics", "0"]);
    let address = metrics_address(&mut server);
    let client = connect_from_path(&folder.join("<b onclick=\"x\">'&amp;\\\u{e9}"), &path);
    assert_eq!(ask(&client, "PING\r"), "+PONG\r");
    let mut chromium = Command::new("chromium");
    chromium.args(["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]);
    chromium.arg(format!("--user-data-dir={}", folder.join("profile").display()));
    // It asks once a second; what it has drawn after a few of these is looked at.
    let shown = finish(chromium.args(["--virtual-time-budget=3000", "--dump-dom", &format!("http://{address}/")]));
    assert_eq!(shown.code, Some(0), "{}", shown.errors);
    let page = shown.output;
    assert!(page.contains("<span id=\"name\">kv</span>") && page.contains(">accepting<"), "{page}");
    let rows = page.split_once("<table id=\"longest\">").unwrap().1.split_once("</table>").unwrap().0;
    assert!(rows.contains("&lt;b onclick=") && rows.contains("&gt;'&amp;amp;"), "{rows}");
    assert_eq!(rows.matches("<tr>").count(), 1, "{rows}");
    drop(client);
    assert!(server.stop().0.success());
}

#[test]
fn it_ends_with_the_server() {
    let mut server = Example::start("kv", KV);
    let address = metrics_address(&mut server);
    // It says nothing, and holds nothing up.
    let _silent = connect(address);
    assert!(server.stop().0.success());
}

#[test]
fn wrong_command_lines_are_told() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    let cases: &[(&str, &[&str], i32, &str)] = &[
        ("http_files", &["--metrics", "0", "--dispatch", "fork"], 2, "--metrics 0: --dispatch fork: "),
        ("http_files", &["--metrics", "0", "--processes", "2"], 2, "--metrics 0: --processes 2: "),
        ("kv", &["--metrics", "0", "--dispatch", "fork"], 2, "--metrics 0: --dispatch fork: "),
        ("kv", &["--metrics", "0", "--processes", "2"], 2, "--metrics 0: --processes 2: "),
        ("kv", &["--metrics", "127.0.0.1:65536"], 2, "127.0.0.1:65536"),
        ("kv", &["--metrics", "65536"], 2, "127.0.0.1:65536"),
        ("kv", &["--metrics", ""], 2, "127.0.0.1:"),
        ("kv", &["--metrics"], 2, "--metrics"),
        ("kv", &["--metrics", &taken], 1, &taken),
        ("echo", &["--metrics", "0"], 2, "unknown flag --metrics"),
    ];
    for (name, flags, code, expected) in cases {
        let listen = ["--listen", "127.0.0.1:0"];
        let ended = finish(Command::new(program(name)).args(listen).args(*flags));
        assert_eq!((ended.code, ended.output.as_str()), (Some(*code), ""), "{name} {flags:?}: {}", ended.errors);
        let line = ended.errors.lines().next().unwrap_or_default();
        assert!(line.starts_with(&format!("{name}: ")) && line.contains(expected), "{name} {flags:?}: {line}");
    }
    let ended = finish(Command::new(program("kv")).arg("--help"));
    assert!(ended.output.contains("--metrics ADDR|PORT") && ended.output.contains("127.0.0.1"), "{}", ended.output);
}

#[test]
fn clients_that_say_nothing_do_not_hide_the_health() {
    let mut server = Example::start("kv", KV);
    let address = metrics_address(&mut server);
    eventually("it accepts", || get(address, "/healthz").0.starts_with("HTTP/1.1 200 OK\r\n"));
    // As many as there may be at a time, and more.
    let silent: Vec<_> = (0..100).map(|_| connect(address)).collect();
    assert!(get(address, "/healthz").0.starts_with("HTTP/1.1 200 "));
    drop(silent);
    assert!(server.stop().0.success());
}

#[test]
fn a_request_has_one_host() {
    let mut server = Example::start("kv", KV);
    let address = metrics_address(&mut server);
    eventually("it accepts", || get(address, "/healthz").0.starts_with("HTTP/1.1 200 OK\r\n"));
    for (request, status) in [
        ("GET /healthz HTTP/1.1\r\nHost: here\r\n\r\n", "200"),
        ("GET /healthz HTTP/1.0\r\n\r\n", "200"),
        ("GET http://here/healthz HTTP/1.1\r\nHost: here\r\n\r\n", "200"),
        ("GET http://here HTTP/1.1\r\nHost: here\r\n\r\n", "200"),
        ("GET /healthz HTTP/1.1\r\n\r\n", "400"),
        ("GET /healthz HTTP/1.1\r\nHost: a b\r\n\r\n", "400"),
        ("GET /healthz HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", "400"),
    ] {
        let mut client = connect(address);
        client.write_all(request.as_bytes()).unwrap();
        let answer = String::from_utf8(read_rest(client)).unwrap();
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{request:?}: {answer}");
    }
    assert!(server.stop().0.success());
}
