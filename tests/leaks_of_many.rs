//! Ten thousand connections and a hundred thousand panics (a fifth of them without optimization) leave descriptors,
//! threads and memory where they were.
//!
//! In a harness without threads, because descriptors, threads and memory of the whole process are counted.

#[cfg(target_os = "linux")]
mod common;

fn main() {
    #[cfg(target_os = "linux")]
    linux::main();
}

#[cfg(target_os = "linux")]
mod linux {
    use crate::cases;
    use crate::common::Held;
    use crate::common::TempDir;
    use crate::common::ask;
    use crate::common::becomes;
    use crate::common::cases;
    use crate::common::children;
    use crate::common::connect;
    use crate::common::connect_unix;
    use crate::common::eventually;
    use crate::common::example::Example;
    use crate::common::read_rest;
    use crate::common::resident;
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
        let dispatches: [(&str, Serve); 3] = [
            ("sync", |path| serve!(Sync, path)),
            ("threads", |path| serve!(ThreadPerRequest, path)),
            ("pool", |path| serve!(Pool, path)),
        ];
        let of_each = dispatches.into_iter().flat_map(|(dispatch, serve)| {
            [
                cases::case(format!("connections::{dispatch}"), move || connections(dispatch, serve)),
                cases::case(format!("panics::{dispatch}"), move || panics(dispatch, serve)),
            ]
        });
        cases::run(of_each.chain(cases![a_server_that_forks]).collect())
    }

    type Serve = fn(&Path) -> BackgroundServer<UnixAddress>;

    fn connections(dispatch: &str, serve: Serve) {
        leaves_nothing(dispatch, CONNECTIONS, serve, |path| {
            assert_eq!(ask(connect_unix(path), "hello"), "hello");
        });
    }

    fn panics(dispatch: &str, serve: Serve) {
        leaves_nothing(dispatch, PANICS, serve, |path| {
            let mut client = connect_unix(path);
            client.write_all(b"panic\n").expect("send");
            assert_eq!(read_rest(client), b"");
        });
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

    fn leaves_nothing(dispatch: &str, count: usize, serve: Serve, visit: impl Fn(&Path)) {
        let dir = TempDir::new();
        let path = dir.join("server.sock");
        let server = serve(&path);
        let visit = || visit(&path);
        let rests = || eventually("nobody there", || server.stats().active == 0);
        (0..WARM_UP).for_each(|_| visit());
        rests();
        let (held, memory) = (Held::now(), resident("self"));
        (0..count).for_each(|_| visit());
        rests();
        if dispatch == "threads" {
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
        assert!(grown < SLACK, "{grown} bytes more after {count} of them");
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
    }
}
