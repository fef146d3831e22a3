//! Ten thousand connections and a hundred thousand panics (a fifth of them without optimization) leave descriptors,
//! threads and memory where they were.
//!
//! Without a test harness, because descriptors, threads and memory of the whole process are counted.

#[cfg(target_os = "linux")]
mod common;

#[cfg(not(target_os = "linux"))]
fn main() {
    println!("test result: ok. 0 passed; 0 failed; 1 ignored; the figures are read from /proc, which only Linux has");
}

#[cfg(target_os = "linux")]
fn main() {
    linux::main();
}

#[cfg(target_os = "linux")]
mod linux {
    use crate::common::Held;
    use crate::common::TempDir;
    use crate::common::ask;
    use crate::common::becomes;
    use crate::common::children;
    use crate::common::connect;
    use crate::common::connect_unix;
    use crate::common::eventually;
    use crate::common::example::Example;
    use crate::common::read_rest;
    use socketserver::BackgroundServer;
    use socketserver::Builder;
    use socketserver::Flow;
    use socketserver::HandlerResult;
    use socketserver::Pool;
    use socketserver::Stream;
    use socketserver::Sync;
    use socketserver::ThreadPerRequest;
    use socketserver::UnixAddress;
    use socketserver::UnixStream;
    use socketserver::handler::function;
    use std::io::BufRead;
    use std::io::Write;
    use std::os::unix::net;
    use std::path::Path;
    use std::time::Instant;

    const CONNECTIONS: usize = 10_000;
    const PANICS: usize = if cfg!(debug_assertions) { 20_000 } else { 100_000 };

    /// What is made once and kept is made in so many.
    const WARM_UP: usize = 2_000;

    /// Less than 50 bytes for each panic, and what an allocator has left over.
    const SLACK: u64 = 4 << 20;

    pub(crate) fn main() {
        // A panic on purpose is no news.
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if info.payload().downcast_ref::<&str>() != Some(&"on purpose") {
                usual(info);
            }
        }));
        let dir = TempDir::new();
        let path = dir.join("server.sock");
        type Serve = fn(&Path) -> BackgroundServer<UnixAddress>;
        let dispatches: [(&str, Serve); 3] = [
            ("sync", |path| serve!(Sync, path)),
            ("thread_per_request", |path| serve!(ThreadPerRequest, path)),
            ("pool", |path| serve!(Pool, path)),
        ];
        let mut passed = 0;
        for (name, serve) in dispatches {
            leaves_nothing(name, "connections", CONNECTIONS, serve(&path), || {
                assert_eq!(ask(connect_unix(&path), "hello"), "hello");
            });
            leaves_nothing(name, "panics", PANICS, serve(&path), || {
                let mut client = connect_unix(&path);
                client.write_all(b"panic\n").expect("send");
                assert_eq!(read_rest(client), b"");
            });
            passed += 2;
        }
        a_server_that_forks();
        println!("test result: ok. {} passed; 0 failed; 0 ignored; 0 measured; 0 filtered out", passed + 1);
    }

    fn answer(request: &mut Stream<net::UnixStream>) -> HandlerResult {
        let mut line = String::new();
        request.read_line(&mut line)?;
        if line == "panic\n" {
            panic!("on purpose");
        }
        request.write_all(line.as_bytes())?;
        Ok(Flow::Continue)
    }

    macro_rules! serve {
        ($dispatch:ty, $path:expr) => {
            Builder::<UnixStream, $dispatch, _>::new(function(answer))
                .bind($path)
                .expect("bind")
                .serve_in_background()
                .expect("serve")
        };
    }
    use serve;

    /// The memory of a process that is in memory, in bytes.
    fn resident(process: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{process}/status")).expect("status");
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("VmRSS");
        line.split_whitespace().nth(1).and_then(|kibibytes| kibibytes.parse::<u64>().ok()).expect("a number") << 10
    }

    fn leaves_nothing(
        dispatch: &str,
        what: &str,
        count: usize,
        server: BackgroundServer<UnixAddress>,
        visit: impl Fn(),
    ) {
        let rests = || eventually("nobody there", || server.stats().active == 0);
        (0..WARM_UP).for_each(|_| visit());
        rests();
        let (held, memory, begun) = (Held::now(), resident("self"), Instant::now());
        (0..count).for_each(|_| visit());
        rests();
        let took = begun.elapsed();
        if dispatch == "thread_per_request" {
            // Threads that wait for another request may have ended, or come; never more than a few for one client at a
            // time.
            assert!(Held::now().threads <= held.threads + 4, "{:?}, before {held:?}", Held::now());
            becomes("descriptors", &held.descriptors, || Held::now().descriptors);
        } else {
            becomes("descriptors and threads", &held, Held::now);
        }
        let grown = resident("self").saturating_sub(memory);
        let report = server.shutdown().expect("shutdown");
        let (accepted, ended) = (WARM_UP + count, report.finished + report.failed);
        assert_eq!((report.accepted, ended), (accepted as u64, accepted as u64), "{report}");
        println!("test {dispatch}::{count}_{what} ... ok, {} KiB more, {took:.1?}", grown >> 10);
        assert!(grown < SLACK, "{grown} bytes more after {count} {what} under {dispatch}");
    }

    /// The server's own figures; its children come and go.
    fn a_server_that_forks() {
        const FORKS: usize = 1_000;
        let server = Example::start("echo", &["--listen", "127.0.0.1:0", "--dispatch", "fork"]);
        let process = server.pid().to_string();
        let visit = || assert_eq!(ask(connect(server.socket_address()), "hello"), "hello");
        let descriptors = || std::fs::read_dir(format!("/proc/{process}/fd")).expect("its descriptors").count();
        let rests = || becomes("children", &Vec::new(), || children(server.pid()));
        (0..FORKS / 5).for_each(|_| visit());
        rests();
        let (before, memory) = (descriptors(), resident(&process));
        (0..FORKS).for_each(|_| visit());
        rests();
        becomes("descriptors", &before, descriptors);
        let grown = resident(&process).saturating_sub(memory);
        assert!(grown < SLACK, "{grown} bytes more after {FORKS} children");
        let (status, said) = server.stop();
        assert_eq!(status.code(), Some(0), "{said}");
        println!("test fork::{FORKS}_connections ... ok, {} KiB more", grown >> 10);
    }
}
