//! Clients at their worst, under every dispatch: the server answers the next one, and nothing is left over.
//!
//! In a harness without threads, because descriptors and threads of the whole process are counted.

mod common;

fn main() {
    #[cfg(target_os = "linux")]
    linux::main();
}

#[cfg(target_os = "linux")]
mod linux {
    use crate::common::Ended;
    use crate::common::Held;
    use crate::common::PATIENCE;
    use crate::common::Recorder;
    use crate::common::Running;
    use crate::common::Start;
    use crate::common::ask;
    use crate::common::becomes;
    use crate::common::cases;
    use crate::common::connect;
    use crate::common::descriptors;
    use crate::common::read_line;
    use crate::common::read_rest;
    use crate::common::reset;
    use crate::common::threads;
    use socketserver::Builder;
    use socketserver::End;
    use socketserver::Flow;
    use socketserver::HandlerResult;
    use socketserver::Pool;
    use socketserver::Stream;
    use socketserver::Sync;
    use socketserver::Tcp;
    use socketserver::ThreadPerRequest;
    use socketserver::handler::function;
    use std::io::BufRead;
    use std::io::Read;
    use std::io::Write;
    use std::net::Shutdown;
    use std::net::SocketAddr;
    use std::net::TcpStream;
    use std::time::Duration;

    /// `much` is answered with more than the kernel takes in at once, `panic` and `error` with what they say, the rest
    /// with itself.
    fn answer(request: &mut Stream<TcpStream>) -> HandlerResult {
        let mut line = Vec::new();
        request.read_until(b'\n', &mut line)?;
        match &*line {
            b"much\n" => request.write_all(&vec![b'x'; 16 << 20])?,
            b"panic\n" => panic!("on purpose"),
            b"error\n" => return Err("on purpose".into()),
            _ => request.write_all(&line)?,
        }
        Ok(Flow::Continue)
    }

    /// A server under test: the address, and what has been observed.
    struct Target<'a> {
        address: SocketAddr,
        seen: &'a Recorder,
    }

    impl Target<'_> {
        /// Another client is served as ever.
        fn still_serves(&self) {
            let client = connect(self.address);
            for line in ["one", "two"] {
                assert_eq!(ask(&client, line), line);
            }
        }

        /// Whoever was there has ended.
        fn rests(&self) {
            becomes("open connections", &0, || self.seen.open());
        }
    }

    type Fault = (&'static str, fn(&Target<'_>));
    type Serve = fn() -> Running<Tcp>;

    const FAULTS: [Fault; 9] = [
        ("reset_in_the_backlog", |target| {
            for _ in 0..50 {
                reset(connect(target.address));
            }
        }),
        ("reset_with_a_message_sent", |target| {
            for _ in 0..50 {
                let mut client = connect(target.address);
                client.write_all(b"hello\n").expect("send");
                reset(client);
            }
        }),
        ("reset_in_mid_message", |target| {
            for _ in 0..20 {
                let mut client = connect(target.address);
                assert_eq!(ask(&client, "hello"), "hello");
                client.write_all(b"half a li").expect("send");
                reset(client);
            }
        }),
        ("reset_in_mid_reply", |target| {
            for _ in 0..5 {
                let mut client = connect(target.address);
                client.write_all(b"much\n").expect("send");
                client.read_exact(&mut [0; 1000]).expect("receive");
                reset(client);
            }
        }),
        ("half_close_after_a_message", |target| {
            let mut client = connect(target.address);
            client.write_all(b"one\ntwo\n").expect("send");
            client.shutdown(Shutdown::Write).expect("shutdown");
            assert_eq!(read_rest(&client), b"one\ntwo\n");
        }),
        ("half_close_in_mid_message", |target| {
            let mut client = connect(target.address);
            client.write_all(b"one\nand the rest").expect("send");
            client.shutdown(Shutdown::Write).expect("shutdown");
            assert_eq!(read_rest(&client), b"one\nand the rest");
        }),
        ("half_close_before_a_long_reply", |target| {
            let mut client = connect(target.address);
            client.write_all(b"much\n").expect("send");
            client.shutdown(Shutdown::Write).expect("shutdown");
            assert_eq!(read_rest(&client).len(), 16 << 20);
        }),
        ("garbage", |target| {
            // A fixed sequence that is as good as random: x' = x * 6364136223846793005 + 1442695040888963407.
            let mut state = 42_u64;
            for length in [1, 7, 100, 5_000, 60_000] {
                let garbage: Vec<u8> = std::iter::repeat_with(|| {
                    state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                    state.to_be_bytes()[0]
                })
                .take(length)
                .collect();
                let client = connect(target.address);
                let mut sender = client.try_clone().expect("try_clone");
                let expected = garbage.clone();
                let sending = std::thread::spawn(move || {
                    sender.write_all(&garbage).expect("send");
                    sender.shutdown(Shutdown::Write).expect("shutdown");
                });
                assert!(read_rest(&client) == expected, "{length} bytes came back otherwise");
                sending.join().expect("joined");
            }
        }),
        ("unread_input_when_the_answer_is_an_error", |target| {
            let client = connect(target.address);
            let mut sender = client.try_clone().expect("try_clone");
            let sending = std::thread::spawn(move || {
                sender.write_all(b"first\nerror\n").expect("send");
                sender.write_all(&vec![b'x'; 1 << 20]).expect("send");
                sender.shutdown(Shutdown::Write).expect("shutdown");
            });
            assert_eq!(read_line(&client), "first");
            // A reset would be an error here.
            assert_eq!(read_rest(&client), b"");
            sending.join().expect("joined");
        }),
    ];

    /// A thread that has been joined may be seen for a moment longer.
    fn wait_for_quiet() {
        becomes("threads", &1, threads);
    }

    fn goes_on(serve: Serve, fault: fn(&Target<'_>)) {
        wait_for_quiet();
        let quiet = Held::now();
        let server = serve();
        let target = Target { address: server.local_addr(), seen: &server.seen };
        fault(&target);
        target.still_serves();
        target.rests();
        let report = server.stop();
        assert_eq!((report.forced, report.refused), (0, 0), "{report}");
        becomes("descriptors and threads", &quiet, Held::now);
    }

    /// Runs `visits`, after some that warm everything up, and compares what is open before and after.
    fn leaves_nothing(dispatch: &str, serve: Serve, count: usize, visit: fn(SocketAddr)) -> Ended {
        wait_for_quiet();
        let quiet = threads();
        let server = serve();
        let target = Target { address: server.local_addr(), seen: &server.seen };
        let warm_up = 50;
        for _ in 0..warm_up {
            visit(target.address);
        }
        target.rests();
        let descriptors_before = descriptors();
        // Threads that are made for requests end when there are none; what stays is the loop.
        let threads_before = if dispatch == "threads" { quiet + 1 } else { threads() };
        becomes("threads", &threads_before, threads);
        for _ in 0..count {
            visit(target.address);
        }
        target.still_serves();
        target.rests();
        becomes("descriptors", &descriptors_before, descriptors);
        becomes("threads", &threads_before, threads);
        let report = server.stop();
        assert_eq!(report.accepted as usize, warm_up + count + 1, "{report}");
        report
    }

    const PANICS: usize = 5_000;
    const VISITS: usize = 2_000;

    fn panics(dispatch: &str, serve: Serve) {
        let report = leaves_nothing(dispatch, serve, PANICS, |address| {
            let mut client = connect(address);
            client.write_all(b"panic\n").expect("send");
            assert_eq!(read_rest(&client), b"");
        });
        assert_eq!(report.seen.ended(End::Panicked) as usize, PANICS + 50);
    }

    fn visits(dispatch: &str, serve: Serve) {
        leaves_nothing(dispatch, serve, VISITS, |address| {
            assert_eq!(ask(&connect(address), "hello"), "hello");
        });
    }

    macro_rules! serve {
        ($dispatch:ty, $setting:expr) => {
            || {
                Builder::<Tcp, $dispatch, _>::new(function(answer))
                    .dispatch($setting)
                    .read_timeout(PATIENCE)
                    .linger(Duration::from_secs(10), 8 << 20)
                    .start()
            }
        };
    }

    pub(crate) fn main() {
        // A panic on purpose is no news.
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if info.payload().downcast_ref::<&str>() != Some(&"on purpose") {
                usual(info);
            }
        }));
        let dispatches: [(&str, Serve); 3] = [
            ("sync", serve!(Sync, Sync)),
            ("threads", serve!(ThreadPerRequest, ThreadPerRequest::default().idle_timeout(Duration::from_millis(50)))),
            ("pool", serve!(Pool, Pool::new(3))),
        ];
        let of_each = dispatches.into_iter().flat_map(|(dispatch, serve)| {
            let faults = FAULTS.into_iter();
            let faults = faults
                .map(move |(name, fault)| cases::case(format!("{name}::{dispatch}"), move || goes_on(serve, fault)));
            let visits = cases::case(format!("visits::{dispatch}"), move || visits(dispatch, serve));
            let panics = cases::case(format!("panics::{dispatch}"), move || panics(dispatch, serve));
            faults.chain([visits, panics])
        });
        cases::run(of_each.collect())
    }
}
