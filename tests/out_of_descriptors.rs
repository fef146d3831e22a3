//! A server that is really out of descriptors: it uses no processor time, answers whom it has, and is back when one is
//! given up.
//!
//! The server is this very program, started again under `ulimit -n`, so that the limit is not that of the clients.

mod common;

fn main() {
    #[cfg(target_os = "linux")]
    linux::main();
}

#[cfg(target_os = "linux")]
mod linux {
    use crate::common::Listen;
    use crate::common::Recorder;
    use crate::common::ask;
    use crate::common::cases;
    use crate::common::connect;
    use crate::common::echo::echo_line;
    use crate::common::example::Example;
    use crate::common::example::program;
    use crate::common::processor_time;
    use crate::common::read_line;
    use socketserver::Builder;
    use socketserver::Pool;
    use socketserver::Stream;
    use socketserver::Sync;
    use socketserver::Tcp;
    use socketserver::ThreadPerRequest;
    use socketserver::dispatch::Job;
    use socketserver::dispatch::Process;
    use socketserver::handler::Function;
    use socketserver::handler::Observed;
    use socketserver::handler::function;
    use std::io::Write;
    use std::net::TcpStream;
    use std::time::Duration;
    use std::time::Instant;

    type Answer = fn(&mut Stream<TcpStream>) -> socketserver::HandlerResult;
    type Factory = Observed<Function<Answer>, Recorder>;

    pub(crate) fn main() {
        if let Some(dispatch) = cases::started_again("--serve") {
            return match dispatch[0].as_str() {
                "sync" => serve::<Sync>(),
                "threads" => serve::<ThreadPerRequest>(),
                "pool" => serve::<Pool>(),
                other => panic!("--serve {other}"),
            };
        }
        let of_each = ["sync", "threads", "pool"].into_iter().flat_map(|dispatch| {
            [
                cases::case(format!("starve::{dispatch}"), || starve(dispatch)),
                cases::case(format!("stays_below_the_limit::{dispatch}"), || stays_below_the_limit(dispatch)),
            ]
        });
        cases::run(of_each.collect())
    }

    /// The server: more connections are allowed than there are descriptors.
    fn serve<D: Process<Job<Tcp, Factory>> + Default>() {
        let server = Builder::<Tcp, D, _>::new(function(echo_line as Answer)).max_connections(10_000).listen();
        let _signals = socketserver::signals::stop_on_signals(server.stop_handle()).expect("signals");
        println!("listening on {}", server.local_addr());
        let report = server.serve_forever();
        eprintln!("failing {}", report.seen.accept_failing().min(1));
    }

    const CLIENTS: usize = 200;

    fn crowd(server: &Example) -> Vec<TcpStream> {
        let clients: Vec<TcpStream> = (0..CLIENTS).map(|_| connect(server.socket_address())).collect();
        for (number, mut client) in clients.iter().enumerate() {
            client.write_all(format!("{number}\n").as_bytes()).expect("send");
        }
        clients
    }

    /// Everybody gets an answer, in the order of the backlog, as those before them leave.
    fn all_are_answered(clients: Vec<TcpStream>) {
        let begun = Instant::now();
        let mut longest = Duration::ZERO;
        for (number, client) in clients.into_iter().enumerate() {
            // Whoever was before this one has left just now.
            let released = Instant::now();
            assert_eq!(read_line(&client), number.to_string());
            longest = longest.max(released.elapsed());
        }
        println!("back within {longest:?} of a release");
        assert!(longest < Duration::from_secs(5), "{longest:?} until the next one was answered");
        // Were each place found at the end of a back-off only, this would take minutes.
        let took = begun.elapsed();
        assert!(took < Duration::from_secs(30), "{took:?} until all {CLIENTS} were answered");
    }

    /// The share of a processor that the server uses while nobody sends anything.
    fn rests(server: &Example) {
        let (before, begun) = (processor_time(server.pid()), Instant::now());
        std::thread::sleep(Duration::from_millis(1500));
        let (used, elapsed) = (processor_time(server.pid()) - before, begun.elapsed());
        println!("{used:?} of processor time in {elapsed:?}");
        assert!(used * 20 < elapsed, "{used:?} of processor time in {elapsed:?}");
    }

    fn starve(dispatch: &str) {
        let this = std::env::current_exe().expect("current_exe");
        let server = Example::start_after("ulimit -n 64", &this, &["--serve", dispatch]);
        let inside = connect(server.socket_address());
        assert_eq!(ask(&inside, "inside"), "inside");
        let clients = crowd(&server);
        // 64 descriptors do not do for 200: more than a hundred of them wait.
        rests(&server);
        assert_eq!(ask(&inside, "still here"), "still here");
        all_are_answered(clients);
        drop(inside);
        let (status, said) = server.stop();
        assert_eq!((status.code(), said.as_str()), (Some(0), "failing 1\n"));
    }

    /// With the default options the limit on connections leaves descriptors for everything else.
    fn stays_below_the_limit(dispatch: &str) {
        let server = Example::start_after(
            "ulimit -n 64",
            &program("echo"),
            &["--listen", "127.0.0.1:0", "--dispatch", dispatch],
        );
        let clients = crowd(&server);
        rests(&server);
        all_are_answered(clients);
        let (status, said) = server.stop();
        assert!(status.success(), "{status}: {said}");
        assert!(said.starts_with(&format!("{CLIENTS} accepted: ")), "{said}");
    }
}
