//! A storm of signals, whose handlers interrupt every system call, loses no request and changes no byte, under every
//! dispatch and on every transport.
//!
//! The server is this very program, started again, so that the signals meet the server alone.

#[cfg(target_os = "linux")]
mod common;

fn main() {
    #[cfg(target_os = "linux")]
    linux::main();
}

#[cfg(target_os = "linux")]
mod linux {
    use crate::common::TempDir;
    use crate::common::cases;
    use crate::common::connect;
    use crate::common::connect_udp;
    use crate::common::connect_unix;
    use crate::common::connect_unix_datagram;
    use crate::common::echo::echo_line;
    use crate::common::eventually;
    use crate::common::example::Example;
    use crate::common::receive;
    use rustix::process::Pid;
    use rustix::process::Signal;
    use rustix::process::kill_process;
    use socketserver::Builder;
    use socketserver::Datagram;
    use socketserver::Flow;
    use socketserver::Fork;
    use socketserver::HandlerFactory;
    use socketserver::HandlerResult;
    use socketserver::Pool;
    use socketserver::Sync;
    use socketserver::Tcp;
    use socketserver::ThreadPerRequest;
    use socketserver::Udp;
    use socketserver::UnixDatagram;
    use socketserver::UnixStream;
    use socketserver::dispatch::Job;
    use socketserver::dispatch::Process;
    use socketserver::handler::function;
    use socketserver::testing::interrupt_by;
    use socketserver::transport::Bind;
    use std::io::Read;
    use std::io::Write;
    use std::path::Path;
    use std::sync::atomic::AtomicBool;
    use std::sync::atomic::AtomicU64;
    use std::sync::atomic::Ordering;

    const DISPATCHES: [&str; 4] = ["sync", "threads", "pool", "fork"];
    const TRANSPORTS: [&str; 4] = ["tcp", "unix-stream", "udp", "unix-datagram"];

    /// At least so many signals each, however soon the clients are done.
    const SIGNALS: u64 = 5_000;

    const CLIENTS: usize = 4;
    const VISITS: usize = 10;
    const MESSAGES: usize = 8;

    pub(crate) fn main() {
        if let Some([dispatch, transport, path]) = cases::started_again("--serve").as_deref() {
            return serve(dispatch, transport, Path::new(path));
        }
        let on_each = TRANSPORTS.iter().flat_map(|transport| DISPATCHES.map(|dispatch| (transport, dispatch)));
        let cases = on_each.map(|(transport, dispatch)| {
            cases::case(format!("{transport}::{dispatch}"), || weather(dispatch, transport))
        });
        cases::run(cases.collect())
    }

    fn echo_message<A>(request: &mut Datagram<A>) -> HandlerResult {
        let payload = request.take_payload();
        request.reply_owned(payload)?;
        Ok(Flow::Close)
    }

    fn serve(dispatch: &str, transport: &str, path: &Path) {
        macro_rules! under {
            ($dispatch:ty) => {
                match transport {
                    "tcp" => run(Builder::<Tcp, $dispatch, _>::new(function(echo_line)), "127.0.0.1:0"),
                    "unix-stream" => run(Builder::<UnixStream, $dispatch, _>::new(function(echo_line)), path),
                    "udp" => run(Builder::<Udp, $dispatch, _>::new(function(echo_message)), "127.0.0.1:0"),
                    "unix-datagram" => run(Builder::<UnixDatagram, $dispatch, _>::new(function(echo_message)), path),
                    other => panic!("a transport {other}"),
                }
            };
        }
        match dispatch {
            "sync" => under!(Sync),
            "threads" => under!(ThreadPerRequest),
            "pool" => under!(Pool),
            "fork" => under!(Fork),
            other => panic!("a dispatch {other}"),
        }
    }

    fn run<T, D, H>(builder: Builder<T, D, H>, address: impl Into<T::Address>)
    where
        T: Bind,
        D: Process<Job<T, H>>,
        H: HandlerFactory<T::Request>,
    {
        for signal in [libc::SIGUSR1, libc::SIGCHLD] {
            interrupt_by(signal).expect("a handler");
        }
        let server = builder.bind(address).expect("bind");
        let _signals = socketserver::signals::stop_on_signals(server.stop_handle()).expect("signals");
        println!("listening on {}", server.local_addr());
        let report = server.serve_forever().expect("serve");
        let ended = report.finished + report.idle_closed + report.forced + report.refused + report.failed;
        assert_eq!(report.accepted, ended, "{report}");
        eprintln!("{report}");
    }

    /// Sends signals to all threads of the server, until told; how many there have been.
    fn storm(server: u32, over: &AtomicBool, count: &AtomicU64) {
        while !over.load(Ordering::Relaxed) {
            let tasks = std::fs::read_dir(format!("/proc/{server}/task")).expect("/proc").flatten();
            let threads = tasks.filter_map(|task| task.file_name().to_str().and_then(|name| name.parse().ok()));
            for thread in threads.filter_map(Pid::from_raw) {
                for signal in [Signal::USR1, Signal::CHILD] {
                    // A thread that has ended meanwhile gets none.
                    if kill_process(thread, signal).is_ok() {
                        count.fetch_add(1, Ordering::Relaxed);
                    }
                }
            }
            std::thread::yield_now();
        }
    }

    /// Of all lengths, and different for each client, visit and message.
    fn message(client: usize, visit: usize, number: usize) -> Vec<u8> {
        let length = 1 + (client * 7919 + visit * 104_729 + number * 1_299_709) % 30_000;
        let mut message: Vec<u8> =
            (0..length).map(|at| b'a' + ((at * 31 + client + visit + number) % 26) as u8).collect();
        message.push(b'\n');
        message
    }

    fn stream_client(number: usize, connect: impl Fn() -> Box<dyn Stream>) {
        for visit in 0..VISITS {
            let mut client = connect();
            for count in 0..MESSAGES {
                let sent = message(number, visit, count);
                client.write_all(&sent).expect("send");
                let mut received = vec![0; sent.len()];
                client.read_exact(&mut received).expect("an answer");
                assert!(sent == received, "wrong bytes: client {number}, visit {visit}, message {count}");
            }
        }
    }

    trait Stream: Read + Write {}
    impl<S: Read + Write> Stream for S {}

    fn datagram_client(number: usize, send: impl Fn(&[u8]), receive: impl Fn() -> Vec<u8>) {
        for visit in 0..VISITS {
            for count in 0..MESSAGES {
                let sent = message(number, visit, count);
                send(&sent);
                assert!(sent == receive(), "wrong bytes: client {number}, visit {visit}, message {count}");
            }
        }
    }

    fn weather(dispatch: &str, transport: &str) {
        let dir = TempDir::new();
        let path = dir.join("server.sock");
        let program = std::env::current_exe().expect("current_exe");
        let text = path.to_str().expect("UTF-8");
        let server = Example::start_after(":", &program, &["--serve", dispatch, transport, text]);
        let (over, count) = (AtomicBool::new(false), AtomicU64::new(0));
        std::thread::scope(|scope| {
            let storm = scope.spawn(|| storm(server.pid(), &over, &count));
            let clients: Vec<_> = (0..CLIENTS)
                .map(|number| {
                    let (server, path, dir) = (&server, &path, &dir);
                    scope.spawn(move || match transport {
                        "tcp" => stream_client(number, || Box::new(connect(server.socket_address()))),
                        "unix-stream" => stream_client(number, || Box::new(connect_unix(path))),
                        "udp" => {
                            let client = connect_udp("127.0.0.1:0", server.socket_address());
                            let send = |sent: &[u8]| assert_eq!(client.send(sent).expect("send"), sent.len());
                            datagram_client(number, send, || receive(|buffer| client.recv(buffer)));
                        }
                        _ => {
                            let client = connect_unix_datagram(&dir.join(&format!("client-{number}")), path);
                            let send = |sent: &[u8]| assert_eq!(client.send(sent).expect("send"), sent.len());
                            datagram_client(number, send, || receive(|buffer| client.recv(buffer)));
                        }
                    })
                })
                .collect();
            for client in clients {
                // A panic of a client is told here, when the storm is over.
                if client.join().is_err() {
                    over.store(true, Ordering::Relaxed);
                    panic!("a client of {dispatch} on {transport} has failed");
                }
            }
            eventually("enough signals", || count.load(Ordering::Relaxed) >= SIGNALS);
            over.store(true, Ordering::Relaxed);
            storm.join().expect("no panic");
        });
        let (status, said) = server.stop();
        assert_eq!(status.code(), Some(0), "{dispatch} on {transport}: {said}");
        let accepted = if transport.contains("stream") || transport == "tcp" { VISITS } else { VISITS * MESSAGES };
        assert!(said.starts_with(&format!("{} accepted: ", accepted * CLIENTS)), "{dispatch} on {transport}: {said}");
        assert!(said.contains(" 0 refused, 0 failed"), "{dispatch} on {transport}: {said}");
    }
}
