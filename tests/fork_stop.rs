//! A server that forks, stopped: whatever its child is doing, it returns in time, reports it, and leaves no process.
//!
//! In a harness without threads, because this process must have one.

mod common;

fn main() {
    #[cfg(target_os = "linux")]
    linux::main();
}

#[cfg(target_os = "linux")]
mod linux {
    use crate::cases;
    use crate::common::Ended;
    use crate::common::Listen;
    use crate::common::ask;
    use crate::common::becomes;
    use crate::common::cases;
    use crate::common::children;
    use crate::common::connect;
    use crate::common::echo::echo_line;
    use crate::common::example::Example;
    use crate::common::read_rest;
    use socketserver::Builder;
    use socketserver::Flow;
    use socketserver::Fork;
    use socketserver::HandlerResult;
    use socketserver::Stream;
    use socketserver::Tcp;
    use socketserver::handler::function;
    use std::io::Write;
    use std::net::TcpStream;
    use std::os::unix::process::CommandExt;
    use std::process::Command;
    use std::time::Duration;
    use std::time::Instant;

    pub(crate) fn main() {
        cases::run(cases![
            stop_with_an_idle_child,
            stop_with_a_reading_child,
            stop_with_a_computing_child,
            stop_with_a_stubborn_child,
            many_short_connections,
            an_idle_child_of_an_example,
        ])
    }

    /// How a child has ended.
    type CodeAndSignal = (Option<i32>, Option<i32>);

    const DRAIN: Duration = Duration::from_millis(300);

    /// Serves one client whose child tells its parent to stop; the ends of the children.
    fn stop_with(
        drain: Duration,
        line: &[u8],
        handler: impl Fn(&mut Stream<TcpStream>) -> HandlerResult,
    ) -> (Vec<CodeAndSignal>, Ended) {
        let server = Builder::<Tcp, Fork, _>::new(function(handler)).drain_timeout(drain).listen();
        let _signals = socketserver::signals::stop_on_signals(server.stop_handle()).expect("signals");
        let mut client = connect(server.local_addr());
        client.write_all(line).expect("send");
        let begun = Instant::now();
        let report = server.serve_forever();
        // 100 ms are promised; the rest is for a machine that does other things.
        let most = drain + Duration::from_secs(3);
        assert!(begun.elapsed() < most && report.drained_in < most, "{report}");
        (report.seen.child_exits().iter().map(|(_, code, signal)| (*code, *signal)).collect(), report)
    }

    fn stop_parent() -> HandlerResult<()> {
        let parent = rustix::process::getppid().ok_or("no parent")?;
        rustix::process::kill_process(parent, rustix::process::Signal::TERM)?;
        Ok(())
    }

    fn stop_with_an_idle_child() {
        let (ends, report) = stop_with(Duration::from_secs(60), b"hello\n", |request| {
            echo_line(request)?;
            stop_parent()?;
            Ok(Flow::Continue)
        });
        assert_eq!(ends, [(Some(0), None)]);
        assert!(report.is_clean(), "{report}");
    }

    fn stop_with_a_reading_child() {
        let (ends, report) = stop_with(DRAIN, b"hello\nand half a li", |request| {
            echo_line(request)?;
            stop_parent()?;
            echo_line(request)
        });
        assert_eq!(ends, [(Some(1), None)]);
        assert_eq!((report.accepted, report.forced), (1, 1), "{report}");
    }

    fn stop_with_a_computing_child() {
        let (ends, report) = stop_with(DRAIN, b"hello\n", |request| {
            echo_line(request)?;
            stop_parent()?;
            loop {
                std::hint::spin_loop();
            }
        });
        assert_eq!(ends, [(None, Some(libc::SIGTERM))]);
        assert_eq!((report.accepted, report.forced), (1, 1), "{report}");
    }

    fn stop_with_a_stubborn_child() {
        let (ends, report) = stop_with(DRAIN, b"hello\n", |request| {
            echo_line(request)?;
            let script = "trap '' TERM; kill -TERM $PPID; while :; do :; done";
            Err(Command::new("sh").args(["-c", script]).exec().into())
        });
        assert_eq!(ends, [(None, Some(libc::SIGKILL))]);
        assert_eq!((report.accepted, report.forced), (1, 1), "{report}");
    }

    fn many_short_connections() {
        let server = Example::start("echo", &["--listen", "127.0.0.1:0", "--dispatch", "fork"]);
        for _ in 0..300 {
            let client = connect(server.socket_address());
            assert_eq!(ask(&client, "hello"), "hello");
        }
        becomes("children", &Vec::new(), || children(server.pid()));
        let (status, said) = server.stop();
        assert!(status.success(), "{status}: {said}");
        assert!(said.starts_with("300 accepted: 300 finished, 0 idle closed, 0 forced"), "{said}");
    }

    fn an_idle_child_of_an_example() {
        let server = Example::start("echo", &["--listen", "127.0.0.1:0", "--dispatch", "fork"]);
        let mut clients: Vec<TcpStream> = (0..3).map(|_| connect(server.socket_address())).collect();
        for client in &mut clients {
            assert_eq!(ask(client, "hello"), "hello");
        }
        let its_children: Vec<u32> = children(server.pid()).into_iter().map(|child| child.0).collect();
        assert_eq!(its_children.len(), 3);
        let (status, said) = server.stop();
        assert!(status.success(), "{status}: {said}");
        for client in &mut clients {
            assert_eq!(read_rest(client), b"");
        }
        for child in its_children {
            let stat = std::fs::read_to_string(format!("/proc/{child}/stat"));
            assert!(stat.is_err(), "child {child} is left: {stat:?}");
        }
        assert!(said.starts_with("3 accepted: ") && said.contains(" 0 forced"), "{said}");
    }
}
