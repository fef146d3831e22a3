//! Peers that do not read their replies take nothing from the others: the server does not wait for them, uses no
//! processor time for them, and stops when it is told to, under every dispatch.
//!
//! The server is this very program, started again, because `Fork` must have one thread.

#[cfg(target_os = "linux")]
mod common;

fn main() {
    #[cfg(target_os = "linux")]
    linux::main();
}

#[cfg(target_os = "linux")]
mod linux {
    use crate::common::PATIENCE;
    use crate::common::TempDir;
    use crate::common::cases;
    use crate::common::connect_unix_datagram;
    use crate::common::example::Example;
    use crate::common::processor_time_with_children;
    use crate::common::receive;
    use rustix::process::Pid;
    use rustix::process::Signal;
    use rustix::process::kill_process;
    use socketserver::Builder;
    use socketserver::Datagram;
    use socketserver::Flow;
    use socketserver::Fork;
    use socketserver::HandlerResult;
    use socketserver::Pool;
    use socketserver::RequestError;
    use socketserver::Sync;
    use socketserver::ThreadPerRequest;
    use socketserver::UnixAddress;
    use socketserver::UnixDatagram;
    use socketserver::dispatch::Job;
    use socketserver::dispatch::Process;
    use socketserver::handler::Function;
    use socketserver::handler::OnError;
    use socketserver::handler::function;
    use std::io::Write;
    use std::os::unix::net;
    use std::path::Path;
    use std::sync::mpsc;
    use std::time::Duration;
    use std::time::Instant;

    const DISPATCHES: [&str; 4] = ["sync", "threads", "pool", "fork"];

    /// What busy requests have after the stop.
    const DRAIN: Duration = Duration::from_millis(300);

    /// Promised are 100 ms after the deadline; the rest is for a machine that does other things.
    const MARGIN: Duration = Duration::from_secs(5);

    /// How long the server is looked at after an attack.
    const LOOK: Duration = Duration::from_millis(500);

    pub(crate) fn main() {
        if let Some([dispatch, path]) = cases::started_again("--serve").as_deref() {
            return match dispatch.as_str() {
                "sync" => serve::<Sync>(path),
                "threads" => serve::<ThreadPerRequest>(path),
                "pool" => serve::<Pool>(path),
                "fork" => serve::<Fork>(path),
                other => panic!("--serve {other}"),
            };
        }
        let of_each = DISPATCHES.into_iter().flat_map(|dispatch| {
            let attacks = ATTACKS.iter();
            let attacks = attacks.map(move |attack| {
                cases::case(format!("{}::{dispatch}", attack.name), || withstands(attack, dispatch))
            });
            let name = format!("a_full_send_buffer_concerns_replies_alone::{dispatch}");
            attacks.chain([cases::case(name, || a_full_send_buffer_concerns_replies_alone(dispatch))])
        });
        cases::run(of_each.collect())
    }

    type Answer = fn(&mut Datagram<UnixAddress>) -> HandlerResult;
    type Tell = fn(&RequestError, Option<&UnixAddress>);

    /// Sends every message back, in one of the ways there are to do that, or says that it is here.
    fn answer(request: &mut Datagram<UnixAddress>) -> HandlerResult {
        let payload = request.take_payload();
        match payload.first() {
            Some(b'h') => println!("here"),
            Some(b'n') => request.reply_now(&payload)?,
            Some(b't') => {
                let peer = request.peer_addr().cloned().ok_or("nobody to answer")?;
                request.send_to(&payload, &peer)?;
            }
            _ => request.reply_owned(payload)?,
        }
        Ok(Flow::Close)
    }

    fn tell(error: &RequestError, peer: Option<&UnixAddress>) {
        let peer = peer.map(ToString::to_string).unwrap_or_default();
        let line = format!("undelivered to {peer}: {}: {error}\n", error.stage());
        // With one call: children share this with each other.
        std::io::stderr().write_all(line.as_bytes()).expect("standard error");
    }

    fn serve<D: Process<Job<UnixDatagram, OnError<Function<Answer>, Tell>>> + Default>(path: &str) {
        let server = Builder::<UnixDatagram, D, _>::new(function(answer as Answer))
            .drain_timeout(DRAIN)
            .on_error(tell as Tell)
            .bind(path)
            .expect("bind");
        let _signals = socketserver::signals::stop_on_signals(server.stop_handle()).expect("signals");
        println!("listening on {}", server.local_addr());
        let report = server.serve_forever().expect("serve");
        let ended = report.finished + report.idle_closed + report.forced + report.refused + report.failed;
        assert_eq!(report.accepted, ended, "{report}");
        eprintln!("{report}");
    }

    /// What peers do that do not read.
    struct Attack {
        name: &'static str,
        peers: usize,
        /// Of each peer.
        messages: usize,
        size: usize,
        /// How the server answers.
        how: u8,
    }

    const ONE: Attack = Attack { name: "one", peers: 1, messages: 60, size: 10, how: b'r' };

    const ATTACKS: [Attack; 5] = [
        ONE,
        Attack { name: "one_answered_now", how: b'n', ..ONE },
        Attack { name: "one_sent_to", how: b't', ..ONE },
        // As many as fill the send buffer that a socket has by default.
        Attack { name: "many", peers: 27, messages: 12, ..ONE },
        Attack { name: "large", messages: 15, size: 60_000, ..ONE },
    ];

    /// How many messages the queue of a peer takes that is not connected to the server.
    fn queue() -> usize {
        let most = std::fs::read_to_string("/proc/sys/net/unix/max_dgram_qlen").expect("max_dgram_qlen");
        most.trim().parse::<usize>().expect("a number") + 1
    }

    fn withstands(attack: &Attack, dispatch: &str) {
        let Attack { name, peers, messages, size, how } = *attack;
        let folder = TempDir::new();
        let path = folder.join("server");
        let server = start(dispatch, &path);
        let deaf: Vec<_> = (0..peers).map(|number| bind(&folder.join(&format!("deaf-{number}")))).collect();
        for _ in 0..messages {
            for peer in &deaf {
                peer.send_to(&vec![how; size], &path).expect("send");
            }
        }

        let client = connect_unix_datagram(&folder.join("client"), &path);
        let mut asked = 0;
        let used = look_at(&server, || {
            let message = format!("r {asked}");
            client.send(message.as_bytes()).expect("send");
            assert_eq!(receive(|buffer| client.recv(buffer)), message.as_bytes(), "{name} under {dispatch}");
            asked += 1;
        });
        let (took, said) = stop(server);
        let lost = peers * messages.saturating_sub(queue());
        let stage = if how == b'r' { "close" } else { "handle" };
        for (number, _) in deaf.iter().enumerate() {
            let start = format!("undelivered to {}: {stage}: ", folder.join(&format!("deaf-{number}")).display());
            let told = said.lines().filter(|line| line.starts_with(&start)).count();
            assert_eq!(told, lost / peers, "{name} under {dispatch}: {said}");
        }
        let (accepted, finished) = (peers * messages + asked, peers * messages + asked - lost);
        let report = said.lines().last().unwrap_or_default();
        assert!(report.starts_with(&format!("{accepted} accepted: {finished} finished, ")), "{said}");
        assert!(report.contains(&format!(", 0 refused, {lost} failed; ")), "{said}");
        println!("{used:?} used, stopped in {took:?}");
    }

    /// The queue of a peer that is connected to the server has no end but the server's send buffer, which is full then
    /// for everybody. What needs no reply is served all the while, and replies leave again when the peer is gone.
    fn a_full_send_buffer_concerns_replies_alone(dispatch: &str) {
        let folder = TempDir::new();
        let path = folder.join("server");
        let mut server = start(dispatch, &path);
        let deaf = bind(&folder.join("deaf"));
        deaf.connect(&path).expect("connect");
        // More than eight MiB, which the send buffer has.
        let messages = 160;
        (0..messages).for_each(|_| _ = deaf.send(&[b'r'; 60_000]).expect("send"));

        let client = connect_unix_datagram(&folder.join("client"), &path);
        let mut sent = 0;
        let used = look_at(&server, || {
            client.send(b"here?").expect("send");
            sent += 1;
        });
        (0..sent).for_each(|_| assert_eq!(server.line(), "here\n", "under {dispatch}"));
        drop(deaf);
        client.send(b"r").expect("send");
        assert_eq!(receive(|buffer| client.recv(buffer)), b"r", "under {dispatch}");

        let (took, said) = stop(server);
        let lost = said.lines().filter(|line| line.starts_with("undelivered to ")).count();
        assert!(lost > 0 && lost < messages, "under {dispatch}: {said}");
        let report = said.lines().last().unwrap_or_default();
        assert!(report.starts_with(&format!("{} accepted: ", messages + sent + 1)), "under {dispatch}: {said}");
        assert!(report.contains(&format!(", 0 refused, {lost} failed; ")), "under {dispatch}: {said}");
        println!("{lost} lost, {used:?} used, stopped in {took:?}");
    }

    fn start(dispatch: &str, path: &Path) -> Example {
        let program = std::env::current_exe().expect("current_exe");
        Example::start_after(":", &program, &["--serve", dispatch, path.to_str().expect("UTF-8")])
    }

    /// Does something again and again; the time on a processor that the server uses meanwhile, which is little.
    fn look_at(server: &Example, mut act: impl FnMut()) -> Duration {
        let (before, begun) = (processor_time_with_children(server.pid()), Instant::now());
        while begun.elapsed() < LOOK {
            act();
            std::thread::sleep(Duration::from_millis(50));
        }
        let (used, elapsed) = (processor_time_with_children(server.pid()).saturating_sub(before), begun.elapsed());
        assert!(used < elapsed * 3 / 10, "{used:?} of {elapsed:?}");
        used
    }

    fn bind(path: &Path) -> net::UnixDatagram {
        let socket = net::UnixDatagram::bind(path).expect("bind");
        socket.set_write_timeout(Some(PATIENCE)).expect("a timeout");
        socket
    }

    /// As [`Example::stop`], for a server that may not stop: it is killed after a while. How long it took, and what the
    /// server said.
    fn stop(server: Example) -> (Duration, String) {
        let pid = Pid::from_raw(server.pid().cast_signed()).expect("a process");
        let (stopped, has_stopped) = mpsc::channel::<()>();
        let watchdog = std::thread::spawn(move || {
            if has_stopped.recv_timeout(PATIENCE) == Err(mpsc::RecvTimeoutError::Timeout) {
                let _ = kill_process(pid, Signal::KILL);
            }
        });
        let begun = Instant::now();
        let (status, said) = server.stop();
        let took = begun.elapsed();
        drop(stopped);
        watchdog.join().expect("no panic");
        assert_eq!(status.code(), Some(0), "{said}");
        assert!(took < DRAIN + MARGIN, "{took:?}: {said}");
        (took, said)
    }
}
