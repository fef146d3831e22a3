//! Requests of all kinds, byte for byte: what the example `http_files` makes of each, and what nginx does.
//!
//! Where the two differ, the table says what nginx answers, and why we do not.

#![cfg(target_os = "linux")]
#![allow(unreachable_pub, reason = "modules of this test alone")]

mod common;

#[path = "http_oracle/conditions.rs"]
mod conditions;
#[path = "http_oracle/content.rs"]
mod content;
#[path = "http_oracle/fields.rs"]
mod fields;
#[path = "http_oracle/lighttpd.rs"]
mod lighttpd;
#[path = "http_oracle/lines.rs"]
mod lines;
#[path = "http_oracle/nginx.rs"]
mod nginx;
#[path = "http_oracle/ranges.rs"]
mod ranges;
#[path = "http_oracle/targets.rs"]
mod targets;
#[path = "http_oracle/wire.rs"]
mod wire;

use std::fs::File;
use std::path::Path;
use std::time::Duration;
use std::time::UNIX_EPOCH;

use common::TempDir;
use common::example::Example;
use common::site::Site;
use nginx::Nginx;
use wire::Answer;

/// What is sent, and what comes back.
#[derive(Debug)]
pub struct Case {
    what: String,
    send: Vec<u8>,
    /// Whether the client ends its side behind it, rather than asking for the probe.
    ends: bool,
    ours: &'static str,
    /// Where it is something else.
    nginx: Option<&'static str>,
}

impl Case {
    fn ended(mut self) -> Self {
        self.ends = true;
        self
    }

    /// What this server says to it.
    fn answers(&self, server: &Path) -> Vec<Answer> {
        // Wherever one can begin.
        let text = String::from_utf8_lossy(&self.send);
        let heads: Vec<bool> = text.trim_start().split("\r\n\r\n").map(|head| head.starts_with("HEAD ")).collect();
        Answer::all(&wire::converse(server, &self.send, !self.ends), &heads)
    }
}

/// What both answer in the same way.
fn same(what: impl Into<String>, send: impl Into<Vec<u8>>, both: &'static str) -> Case {
    Case { what: what.into(), send: send.into(), ends: false, ours: both, nginx: None }
}

/// What nginx answers in another way, and why.
fn differs(
    what: impl Into<String>,
    send: impl Into<Vec<u8>>,
    ours: &'static str,
    nginx: &'static str,
    _why: &'static str,
) -> Case {
    Case { nginx: Some(nginx), ..same(what, send, ours) }
}

/// A request with this first line.
fn line(line: &str) -> String {
    request(line, "")
}

/// For this.
fn target(target: &str) -> String {
    line(&format!("GET {target} HTTP/1.1"))
}

/// With these fields, one a line.
fn get(fields: &str) -> String {
    request("GET /a.txt HTTP/1.1", fields)
}

fn request(line: &str, fields: &str) -> String {
    bare(line, &["Host: h", fields].join("\n"))
}

/// Without a Host beside the fields.
fn bare(line: &str, fields: &str) -> String {
    let fields: String = fields.lines().map(|field| format!("{field}\r\n")).collect();
    format!("{line}\r\n{fields}\r\n")
}

fn with(request: impl Into<String>, content: &str) -> String {
    request.into() + content
}

fn cases() -> Vec<(&'static str, Case)> {
    let tables = [
        ("lines", lines::cases()),
        ("targets", targets::cases()),
        ("fields", fields::cases()),
        ("content", content::cases()),
        ("ranges", ranges::cases()),
        ("conditions", conditions::cases()),
    ];
    tables.into_iter().flat_map(|(table, cases)| cases.into_iter().map(move |case| (table, case))).collect()
}

/// What the cases ask for.
fn site() -> Site {
    let site = Site::new();
    site.write("probe", wire::PROBED);
    let date = UNIX_EPOCH + Duration::from_secs(1_770_091_506);
    File::options().write(true).open(site.path("a.txt")).expect("it is there").set_modified(date).expect("a new date");
    std::fs::create_dir(site.path("indexed")).expect("a folder");
    site.write("indexed/index.html", "the index");
    rustix::fs::mkfifoat(rustix::fs::CWD, site.path("fifo"), rustix::fs::Mode::RUSR).expect("a FIFO");
    site
}

fn ours(site: &Site, folder: &TempDir) -> Example {
    let socket = folder.join("socket");
    let served = site.path("");
    let [socket, served] = [&socket, &served].map(|path| path.to_str().expect("text"));
    let flags = ["--transport", "unix", "--listen", socket, "--directory", served, "--timeout", "1"];
    Example::start("http_files", &flags)
}

/// All of them are tried before the test fails.
#[track_caller]
fn check(server: &Path, expected: impl Fn(&Case) -> &'static str) {
    let wrong: Vec<String> = cases()
        .iter()
        .filter_map(|(table, case)| {
            let (answer, expected) = (wire::describe(&case.answers(server)), expected(case));
            (answer != expected).then(|| format!("{table}: {}: {answer}\n    expected: {expected}", case.what))
        })
        .collect();
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), cases().len(), wrong.join("\n"));
}

#[test]
fn we_answer_as_the_table_says() {
    let (site, folder) = (site(), TempDir::new());
    let server = ours(&site, &folder);
    check(&folder.join("socket"), |case| case.ours);
    assert!(server.stop().0.success());
}

/// The client ends its side behind each, as in lighttpd's own tests.
#[test]
fn we_answer_what_lighttpd_asks() {
    let (site, folder) = (site(), TempDir::new());
    let server = ours(&site, &folder);
    let known = lighttpd::known();
    let wrong: Vec<String> = known
        .iter()
        .filter_map(|known| {
            let answers = same("", known.send.as_str(), "").ended().answers(&folder.join("socket"));
            let found: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
            let expected = known.ours.unwrap_or(known.lighttpd);
            (found != expected).then(|| format!("{:?}: {found:?}\n    expected: {expected:?}", known.send))
        })
        .collect();
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), known.len(), wrong.join("\n"));
    assert!(server.stop().0.success());
}

#[test]
#[ignore = "needs nginx"]
fn nginx_answers_as_the_table_says() {
    let site = site();
    let nginx = Nginx::serve(&site.path(""));
    check(&nginx.socket(), |case| case.nginx.unwrap_or(case.ours));
}
