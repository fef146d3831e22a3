//! HAProxy, configured as the guide says.

#![allow(unreachable_pub, reason = "a part of a test")]

use std::fs;
use std::net::SocketAddr;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;

use crate::common::TempDir;

const CONFIGURATION: &str = include_str!("../../docs/haproxy.cfg");

/// Ended when it is dropped.
pub struct Balancer {
    process: Child,
    pub address: SocketAddr,
    errors: PathBuf,
    _folder: TempDir,
}

impl Balancer {
    /// Starts it before the servers at these addresses, which take the places of those of the guide.
    pub fn start(servers: [&str; 4]) -> Self {
        let folder = TempDir::new();
        // It is given a socket that listens already, whose port nobody else can take meanwhile.
        let mut configuration = put_in_place(CONFIGURATION, "bind :80", "bind fd@3");
        for (number, server) in (1..).zip(servers) {
            configuration = put_in_place(&configuration, &format!("127.0.0.1:800{number}"), server);
        }
        let (file, errors) = (folder.join("haproxy.cfg"), folder.join("errors"));
        fs::write(&file, configuration).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let process = Command::new("sh")
            .args(["-c", "exec haproxy -db -f \"$0\" 3<&0 0</dev/null"])
            .arg(&file)
            .stdin(OwnedFd::from(listener))
            .stdout(Stdio::null())
            .stderr(fs::File::create(&errors).unwrap())
            .spawn()
            .unwrap();
        Self { process, address, errors, _folder: folder }
    }

    /// What it has complained of.
    pub fn errors(&self) -> String {
        fs::read_to_string(&self.errors).unwrap()
    }
}

impl Drop for Balancer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The text with `new` instead of `old`, which is there once.
fn put_in_place(text: &str, old: &str, new: &str) -> String {
    assert_eq!(text.matches(old).count(), 1, "{old} in {text}");
    text.replace(old, new)
}
