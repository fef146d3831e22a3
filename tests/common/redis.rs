//! What speaks to the example `kv`, and to Redis itself beside it.

#![allow(dead_code, unreachable_pub, reason = "each test target uses what it needs")]

use std::io::Read;
use std::io::Write;
use std::net::Shutdown;
use std::net::TcpListener;
use std::net::TcpStream;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::time::Duration;
use std::time::Instant;

use crate::example::Example;

/// A safety net: no test waits this long unless it fails.
pub const PATIENCE: Duration = Duration::from_secs(30);

pub fn kv(dispatch: &str) -> Example {
    // Under `threads` they would be the most clients at a time.
    let workers: &[&str] = if dispatch == "pool" { &["--workers", "2"] } else { &[] };
    Example::start("kv", &[&["--listen", "127.0.0.1:0", "--dispatch", dispatch], workers].concat())
}

pub fn connect(address: &str) -> TcpStream {
    let client = TcpStream::connect(address).expect("connect");
    client.set_read_timeout(Some(PATIENCE)).expect("read timeout");
    client.set_write_timeout(Some(PATIENCE)).expect("write timeout");
    client
}

/// A command as clients send it.
pub fn command(words: &str) -> Vec<u8> {
    let words: Vec<_> = words.split(' ').collect();
    let mut bytes = format!("*{}\r\n", words.len());
    for word in words {
        bytes += &format!("${}\r\n{word}\r\n", word.len());
    }
    bytes.into_bytes()
}

/// Sends all of `bytes` and ends; everything that comes back.
pub fn said(address: &str, bytes: &[u8]) -> Vec<u8> {
    let mut client = connect(address);
    client.write_all(bytes).expect("send");
    // A server that has closed already has nothing against it.
    let _ = client.shutdown(Shutdown::Write);
    let mut answer = Vec::new();
    client.read_to_end(&mut answer).expect("the answer");
    answer
}

/// As [`said`], to be read by people: `|` at the ends of lines.
pub fn conversation(address: &str, bytes: &[u8]) -> String {
    said(address, bytes).escape_ascii().to_string().replace("\\r\\n", "|")
}

/// A Redis that runs, with nothing in it; it ends with the test.
pub struct Redis {
    child: Child,
    pub address: String,
}

impl Redis {
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// One that has the commands of the other server, and no more.
    pub fn start_like(address: &str) -> Self {
        let names = |address: &str| {
            let said = said(address, b"COMMAND LIST\r\n");
            let is_name = |line: &&str| line.starts_with(char::is_alphabetic) && !line.contains('|');
            String::from_utf8_lossy(&said).lines().filter(is_name).map(str::to_owned).collect::<Vec<_>>()
        };
        let (here, all) = (names(address), names(&Self::start().address));
        let gone = all.iter().filter(|name| !here.contains(name));
        // To no name at all.
        Self::start_with(&gone.flat_map(|name| ["--rename-command", name, ""]).collect::<Vec<_>>())
    }

    fn start_with(flags: &[&str]) -> Self {
        // A port that is free now; another process would have to take it within a moment.
        let port = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a port").port();
        let child = Command::new("redis-server")
            .args(["--port", &port.to_string(), "--save", "", "--appendonly", "no", "--databases", "1"])
            .args(flags)
            .stdout(Stdio::null())
            .spawn()
            .expect("redis-server: install redis-server");
        let redis = Self { child, address: format!("127.0.0.1:{port}") };
        let deadline = Instant::now() + PATIENCE;
        while TcpStream::connect(&redis.address).is_err() {
            assert!(Instant::now() < deadline, "redis-server does not listen");
            std::thread::sleep(Duration::from_millis(1));
        }
        redis
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
