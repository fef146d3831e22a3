//! Clients at their worst, under every dispatch, over TLS as over TCP: the server answers the next one, and nothing is left
//! over.
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
    use crate::common::cases::Trial;
    use crate::common::descriptors;
    use crate::common::read_rest;
    use crate::common::streams::Streams;
    use crate::common::threads;
    use socketserver::Builder;
    use socketserver::End;
    use socketserver::Flow;
    use socketserver::HandlerResult;
    use socketserver::Pool;
    use socketserver::Socket;
    use socketserver::Stream;
    use socketserver::Sync;
    use socketserver::Tcp;
    use socketserver::ThreadPerRequest;
    use socketserver::Tls;
    use socketserver::UnixStream;
    use socketserver::handler::function;
    use std::io::BufRead;
    use std::io::Read;
    use std::io::Write;
    use std::time::Duration;

    /// `much` is answered with more than the kernel takes in at once, `panic` and `error` with what they say, the rest
    /// with itself.
    fn answer<S: Socket>(request: &mut Stream<S>) -> HandlerResult {
        let mut line = Vec::new();
        request.read_until(b'\n', &mut line)?;
        match &*line {
            b"much\n" => request.write_all(&vec![b'x'; MUCH])?,
            b"panic\n" => panic!("on purpose"),
            b"error\n" => return Err("on purpose".into()),
            _ => request.write_all(&line)?,
        }
        Ok(Flow::Continue)
    }

    const MUCH: usize = 16 << 20;

    /// A server under test: the address, and what has been observed.
    struct Target<'a, T: Streams> {
        address: T::Addr,
        seen: &'a Recorder,
    }

    impl<T: Streams> Target<'_, T> {
        fn connect(&self) -> T::Client {
            T::connect(&self.address)
        }

        /// Another client is served as ever.
        fn still_serves(&self) {
            let mut client = self.connect();
            for line in ["one", "two"] {
                assert_eq!(ask(&mut client, line), line);
            }
        }

        /// Whoever was there has ended.
        fn rests(&self) {
            becomes("open connections", &0, || self.seen.open());
        }

        /// What comes back of what is said, by a client that says it all before it listens.
        fn after(&self, says: &[u8]) -> Vec<u8> {
            let mut client = self.connect();
            client.write_all(says).expect("send");
            T::half_close(&mut client);
            read_rest(&mut client)
        }

        fn reset_in_the_backlog(&self) {
            for _ in 0..50 {
                T::reset(T::knock(&self.address));
            }
        }

        fn reset_before_the_first_message(&self) {
            for _ in 0..50 {
                T::reset(T::stammer(T::knock(&self.address)));
                T::reset(T::under(self.connect()));
            }
        }

        fn reset_with_a_message_sent(&self) {
            for _ in 0..50 {
                let mut client = self.connect();
                client.write_all(b"hello\n").expect("send");
                T::reset(T::under(client));
            }
        }

        fn reset_in_mid_message(&self) {
            for _ in 0..20 {
                let mut client = self.connect();
                assert_eq!(ask(&mut client, "hello"), "hello");
                client.write_all(b"half a li").expect("send");
                T::reset(T::under(client));
            }
        }

        fn reset_in_mid_reply(&self) {
            for _ in 0..5 {
                let mut client = self.connect();
                client.write_all(b"much\n").expect("send");
                client.read_exact(&mut [0; 1000]).expect("receive");
                T::reset(T::under(client));
            }
        }

        fn half_close_after_a_message(&self) {
            assert_eq!(self.after(b"one\ntwo\n"), b"one\ntwo\n");
        }

        fn half_close_in_mid_message(&self) {
            assert_eq!(self.after(b"one\nand the rest"), b"one\nand the rest");
        }

        fn half_close_before_a_long_reply(&self) {
            assert_eq!(self.after(b"much\n").len(), MUCH);
        }

        fn garbage(&self) {
            // A fixed sequence that is as good as random: x' = x * 6364136223846793005 + 1442695040888963407.
            let mut state = 42_u64;
            for length in [1, 7, 100, 5_000, 60_000] {
                let garbage: Vec<u8> = std::iter::repeat_with(|| {
                    state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                    state.to_be_bytes()[0]
                })
                .take(length)
                .collect();
                assert!(self.after(&garbage) == garbage, "{length} bytes came back otherwise");
            }
        }

        fn unread_input_when_the_answer_is_an_error(&self) {
            // A reset would be an error here.
            let says = [b"first\nerror\n".as_slice(), &vec![b'x'; 1 << 20]].concat();
            assert_eq!(self.after(&says), b"first\n");
        }
    }

    type Fault<T> = fn(&Target<'_, T>);
    type Serve<T> = fn() -> Running<T>;

    fn faults<T: Streams>() -> Vec<(&'static str, Fault<T>)> {
        macro_rules! faults {
            ($($name:ident),+ $(,)?) => { vec![$((stringify!($name), |target: &Target<'_, T>| target.$name())),+] };
        }
        faults![
            reset_in_the_backlog,
            reset_before_the_first_message,
            reset_with_a_message_sent,
            reset_in_mid_message,
            reset_in_mid_reply,
            half_close_after_a_message,
            half_close_in_mid_message,
            half_close_before_a_long_reply,
            garbage,
            unread_input_when_the_answer_is_an_error,
        ]
    }

    /// A thread that has been joined may be seen for a moment longer.
    fn wait_for_quiet() {
        becomes("threads", &1, threads);
    }

    fn goes_on<T: Streams>(serve: Serve<T>, fault: Fault<T>) {
        wait_for_quiet();
        let quiet = Held::now();
        let server = serve();
        let target = Target::<T> { address: server.local_addr(), seen: &server.seen };
        fault(&target);
        target.still_serves();
        target.rests();
        let report = server.stop();
        assert_eq!((report.forced, report.refused), (0, 0), "{report}");
        becomes("descriptors and threads", &quiet, Held::now);
    }

    /// Runs `visits`, after some that warm everything up, and compares what is open before and after.
    fn leaves_nothing<T: Streams>(dispatch: &str, serve: Serve<T>, count: usize, visit: fn(&T::Addr)) -> Ended {
        wait_for_quiet();
        let quiet = threads();
        let server = serve();
        let target = Target::<T> { address: server.local_addr(), seen: &server.seen };
        let warm_up = 50;
        for _ in 0..warm_up {
            visit(&target.address);
        }
        target.rests();
        let descriptors_before = descriptors();
        // Threads that are made for requests end when there are none; what stays is the loop.
        let threads_before = if dispatch == "threads" { quiet + 1 } else { threads() };
        becomes("threads", &threads_before, threads);
        for _ in 0..count {
            visit(&target.address);
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

    /// A handshake takes its time.
    const VISITS_OVER_TLS: usize = 200;

    fn panics<T: Streams>(dispatch: &str, serve: Serve<T>, count: usize) {
        let report = leaves_nothing(dispatch, serve, count, |address| {
            let mut client = T::connect(address);
            client.write_all(b"panic\n").expect("send");
            assert_eq!(read_rest(&mut client), b"");
        });
        assert_eq!(report.seen.ended(End::Panicked) as usize, count + 50);
    }

    fn visits<T: Streams>(dispatch: &str, serve: Serve<T>, count: usize) {
        leaves_nothing(dispatch, serve, count, |address| {
            assert_eq!(ask(&mut T::connect(address), "hello"), "hello");
        });
    }

    /// The servers of a transport, each under a dispatch.
    macro_rules! serve {
        ($transport:ty) => {{
            macro_rules! under {
                ($dispatch:ty, $setting:expr) => {
                    || {
                        Builder::<$transport, $dispatch, _>::new(function(answer))
                            .dispatch($setting)
                            .transport_options(<$transport>::options())
                            .establish_timeout(PATIENCE)
                            .read_timeout(PATIENCE)
                            .linger(Duration::from_secs(10), 8 << 20)
                            .start_at(<$transport>::place())
                    }
                };
            }
            [
                ("sync", under!(Sync, Sync) as Serve<$transport>),
                ("threads", under!(ThreadPerRequest, ThreadPerRequest::default().idle_timeout(SHORT))),
                ("pool", under!(Pool, Pool::new(3))),
            ]
        }};
    }

    /// Threads that have nothing to do end as soon as that.
    const SHORT: Duration = Duration::from_millis(50);

    fn over<T: Streams>(
        transport: &'static str,
        servers: [(&'static str, Serve<T>); 3],
        counts: [usize; 2],
    ) -> Vec<Trial> {
        let of_each = servers.into_iter().flat_map(|(dispatch, serve)| {
            let name = move |what: &str| format!("{what}::{transport}::{dispatch}");
            let faults = faults::<T>().into_iter();
            let faults = faults.map(move |(what, fault)| cases::case(name(what), move || goes_on(serve, fault)));
            let [most_visits, most_panics] = counts;
            let visits = cases::case(name("visits"), move || visits(dispatch, serve, most_visits));
            let panics = cases::case(name("panics"), move || panics(dispatch, serve, most_panics));
            faults.chain([visits, panics])
        });
        of_each.collect()
    }

    pub(crate) fn main() {
        // A panic on purpose is no news.
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if info.payload().downcast_ref::<&str>() != Some(&"on purpose") {
                usual(info);
            }
        }));
        let of_tls = [VISITS_OVER_TLS; 2];
        let mut all = over("tcp", serve!(Tcp), [VISITS, PANICS]);
        all.extend(over("tls", serve!(Tls<Tcp>), of_tls));
        all.extend(over("tls_over_unix", serve!(Tls<UnixStream>), of_tls));
        cases::run(all)
    }
}
