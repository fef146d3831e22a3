//! Memory that connections have held is free again when they are closed, however often that happens.

mod common;

fn main() {
    #[cfg(target_os = "linux")]
    linux::main();
}

#[cfg(target_os = "linux")]
mod linux {
    use crate::common::TempDir;
    use crate::common::allow_descriptors;
    use crate::common::ask;
    use crate::common::becomes;
    use crate::common::cases;
    use crate::common::connect_unix;
    use crate::common::example::Example;
    use crate::common::resident;
    use socketserver::Builder;
    use socketserver::Flow;
    use socketserver::HandlerResult;
    use socketserver::Pool;
    use socketserver::StatsHandle;
    use socketserver::Stream;
    use socketserver::Sync;
    use socketserver::UnixStream;
    use socketserver::dispatch::Job;
    use socketserver::dispatch::Process;
    use socketserver::handler::Function;
    use socketserver::handler::function;
    use std::io::BufRead;
    use std::io::Read;
    use std::io::Write;
    use std::os::unix::net;
    use std::path::Path;
    use std::sync::OnceLock;

    const CONNECTIONS: usize = 1_000;

    /// What the server holds for each.
    const HELD: usize = 60_000;

    /// An allocator with a heap for each worker would have kept this many times as much.
    const ROUNDS: usize = 4;

    /// What may stay when all have left: tables, and less than a kilobyte for each that was there.
    const KEPT: u64 = 16 << 20;

    pub(crate) fn main() {
        if let Some([dispatch, path]) = cases::started_again("--serve").as_deref() {
            return match dispatch.as_str() {
                "sync" => serve::<Sync>(path),
                "pool" => serve::<Pool>(path),
                other => panic!("--serve {other}"),
            };
        }
        let of_each = [("in", "unread_input"), ("out", "unsent_output"), ("mail", "unsent_messages")];
        let of_each = of_each.into_iter().flat_map(|(what, name)| {
            ["sync", "pool"]
                .map(|dispatch| cases::case(format!("{name}::{dispatch}"), move || goes_back(what, dispatch)))
        });
        cases::run(of_each.collect())
    }

    type Answer = fn(&mut Stream<net::UnixStream>) -> HandlerResult;

    static STATS: OnceLock<StatsHandle> = OnceLock::new();

    /// `in`, and as much as is to be held: says that it is here, and leaves it unread. `out`, `mail`: holds as much for a
    /// client that does not read, as output or as messages to it. `active`: how many connections there are.
    fn answer(request: &mut Stream<net::UnixStream>) -> HandlerResult {
        if request.buffered().len() == HELD {
            request.write_all(b"k")?;
        } else if request.buffered() == b"out\n" {
            request.consume(4);
            let (_, writer) = request.split_buffered();
            while writer.pending() < HELD {
                writer.write_all(&[b'x'; 4_000])?;
            }
        } else if request.buffered() == b"mail\n" {
            request.consume(5);
            let sender = request.sender()?;
            let (_, writer) = request.split_buffered();
            while writer.pending() == 0 {
                writer.write_all(&[b'x'; 100])?;
            }
            while sender.send([b'x'; 1_000]).is_ok() {}
        } else if request.buffered() == b"active\n" {
            request.consume(7);
            let active = STATS.get().ok_or("not set")?.snapshot().active;
            writeln!(request, "{active}")?;
        }
        Ok(Flow::Continue)
    }

    fn serve<D: Process<Job<UnixStream, Function<Answer>>> + Default>(path: &str) {
        let server = Builder::<UnixStream, D, _>::new(function(answer as Answer)).bind(path).expect("bind");
        STATS.set(server.stats_handle()).expect("once");
        let _signals = socketserver::signals::stop_on_signals(server.stop_handle()).expect("signals");
        println!("listening on {}", server.local_addr());
        eprintln!("{}", server.serve_forever().expect("serve"));
    }

    /// Clients make the server hold something, again and again, and leave.
    fn goes_back(what: &str, dispatch: &str) {
        allow_descriptors(CONNECTIONS as u64 + 100);
        let folder = TempDir::new();
        let path = folder.join("server");
        let program = std::env::current_exe().expect("current_exe");
        let server = Example::start_after(":", &program, &["--serve", dispatch, path.to_str().expect("UTF-8")]);
        let memory = || resident(&server.pid().to_string());
        let control = connect_unix(&path);
        let rests = || becomes("connections", &"1".to_owned(), || ask(&control, "active"));
        rests();
        let before = memory();
        let mut most = 0;
        for round in 0..ROUNDS {
            let clients: Vec<_> = (0..CONNECTIONS).map(|_| hold(what, &path)).collect();
            let held = memory() - before;
            assert!(held > (CONNECTIONS * HELD) as u64 * 9 / 10, "round {round}: {} KiB held", held >> 10);
            most = most.max(held);
            drop(clients);
            rests();
            let kept = memory().saturating_sub(before);
            assert!(kept < KEPT, "round {round}: {} KiB kept of {}", kept >> 10, held >> 10);
        }
        let allowed = (CONNECTIONS * HELD) as u64 * 5 / 4 + KEPT;
        assert!(most < allowed, "{} KiB held, at most {}", most >> 10, allowed >> 10);
        let (status, said) = server.stop();
        assert_eq!(status.code(), Some(0), "{said}");
    }

    fn hold(what: &str, path: &Path) -> net::UnixStream {
        let mut client = connect_unix(path);
        let message = if what == "in" { format!("{what:x<HELD$}") } else { format!("{what}\n") };
        client.write_all(message.as_bytes()).expect("send");
        client.read_exact(&mut [0]).expect("a word");
        client
    }
}
