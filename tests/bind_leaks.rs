//! A bind that fails leaves no descriptor, however often. One test in a process of its own, because it counts them.
#![cfg(target_os = "linux")]

mod common;

use std::net::TcpListener;

use common::TempDir;
use common::descriptors;
use socketserver::Flow;
use socketserver::TcpServer;
use socketserver::UdpServer;
use socketserver::UnixDatagramServer;
use socketserver::UnixStreamServer;

const TIMES: usize = 1024;

#[test]
fn failed_binds_leak_no_descriptor() {
    let folder = TempDir::new();
    let file = folder.join("file");
    std::fs::write(&file, "").unwrap();
    let live_path = folder.join("live");
    let _live = std::os::unix::net::UnixListener::bind(&live_path).unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = (taken.local_addr().unwrap(), taken);
    let before = descriptors();
    for _ in 0..TIMES {
        TcpServer::bind_fn("127.0.0.1:-1", |_| Ok(Flow::Close)).unwrap_err();
        TcpServer::bind_fn("192.0.2.1:0", |_| Ok(Flow::Close)).unwrap_err();
        TcpServer::bind_fn(taken.0, |_| Ok(Flow::Close)).unwrap_err();
        UdpServer::bind_fn("127.0.0.1:-1", |_| Ok(Flow::Close)).unwrap_err();
        UdpServer::bind_fn("192.0.2.1:0", |_| Ok(Flow::Close)).unwrap_err();
        for path in [&file, &live_path] {
            UnixStreamServer::bind_fn(path, |_| Ok(Flow::Close)).unwrap_err();
            UnixDatagramServer::bind_fn(path, |_| Ok(Flow::Close)).unwrap_err();
        }
    }
    assert_eq!(descriptors(), before);

    // Nor does a server that is closed without having served.
    for _ in 0..TIMES {
        drop(TcpServer::bind_fn("127.0.0.1:0", |_| Ok(Flow::Close)).unwrap());
    }
    assert_eq!(descriptors(), before);
}
