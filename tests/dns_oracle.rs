//! Knot, another name server, has the same zone as the example `dns` in `tests/dns.rs`, and is asked the same: it
//! answers the same, but for what the table says.

#[path = "common/dns/mod.rs"]
mod dns;

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::time::Instant;

/// A server that runs, and its folder.
struct Knot {
    child: Child,
    folder: PathBuf,
    address: SocketAddr,
}

impl Knot {
    fn start() -> Self {
        let folder = std::env::temp_dir().join(format!("knot-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder");
        // Free for both; another process may take it before the server does, which then says so and ends.
        let address = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port");
        std::fs::write(folder.join("zone"), dns::zone_file()).expect("a zone");
        let path = folder.display();
        let configuration = format!(
            "server:\n    rundir: {path}\n    listen: {}@{}\n    identity: \"\"\n    nsid: \"\"\n    udp-workers: 1\n\
             database:\n    storage: {path}/db\n\
             log:\n  - target: stderr\n    any: warning\n\
             zone:\n  - domain: example.test\n    file: {path}/zone\n    zonefile-sync: -1\n",
            address.ip(),
            address.port()
        );
        let file = folder.join("knot.conf");
        std::fs::write(&file, configuration).expect("a configuration");
        let child =
            Command::new("knotd").arg("--config").arg(&file).stdin(Stdio::null()).spawn().expect("knotd: install knot");
        let mut knot = Self { child, folder, address };
        let until = Instant::now() + dns::PATIENCE;
        while std::net::TcpStream::connect(address).is_err() {
            assert!(knot.child.try_wait().expect("its status").is_none() && Instant::now() < until, "no server");
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        knot
    }
}

impl Drop for Knot {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

#[test]
#[ignore = "needs knot"]
fn knot_answers_the_same() {
    let knot = Knot::start();
    let cases = dns::cases::cases();
    assert!(cases.len() >= 60);
    let mut report = String::new();
    for case in &cases {
        let answer = dns::answer(knot.address, case, true);
        let expected = case.knot.map_or(case.answer, |(answer, _)| answer);
        if answer != expected {
            writeln!(report, "{}: {answer}; expected {expected}", case.what).expect("text");
        }
    }
    assert!(report.is_empty(), "of {} cases:\n{report}", cases.len());
    // Every difference is one.
    for case in &cases {
        assert!(case.knot.is_none_or(|(answer, _)| answer != case.answer), "{}", case.what);
    }
}
