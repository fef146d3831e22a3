//! Several processes on one listener, supervised.
//!
//! In a harness that can start itself anew, as the server.

mod common;

fn main() {
    #[cfg(target_os = "linux")]
    linux::main();
}

#[cfg(target_os = "linux")]
mod linux {
    use socketserver::signals::wake_on_signal;
    use std::collections::HashSet;
    use std::io::Write;
    use std::net::SocketAddr;
    use std::net::TcpStream;
    use std::os::unix::process::CommandExt;
    use std::process::Command;
    use std::sync::Arc;
    use std::sync::OnceLock;
    use std::sync::atomic::AtomicBool;
    use std::sync::atomic::AtomicUsize;
    use std::sync::atomic::Ordering;
    use std::time::Duration;

    use crate::cases;
    use crate::common::ask;
    use crate::common::becomes;
    use crate::common::cases;
    use crate::common::children;
    use crate::common::connect;
    use crate::common::eventually;
    use crate::common::example::Example;
    use crate::common::read_line;
    use crate::common::read_rest;
    use rustix::process::Pid;
    use rustix::process::Signal;
    use rustix::process::kill_process;
    use socketserver::Builder;
    use socketserver::Event;
    use socketserver::Flow;
    use socketserver::Fork;
    use socketserver::HandlerResult;
    use socketserver::Pool;
    use socketserver::PreFork;
    use socketserver::ServeError;
    use socketserver::StatsHandle;
    use socketserver::Stream;
    use socketserver::Sync;
    use socketserver::Tcp;
    use socketserver::ThreadPerRequest;
    use socketserver::dispatch::Dispatch;
    use socketserver::dispatch::Process;
    use socketserver::dispatch::Rejected;
    use socketserver::dispatch::ServeLoop;
    use socketserver::dispatch::Task;
    use socketserver::handler::function;
    use socketserver::transport::Many;

    const SERVER: &str = "--as-the-server";

    const DISPATCHES: [&str; 4] = ["sync", "threads", "pool", "fork"];

    pub(crate) fn main() {
        if let Some(arguments) = cases::started_again(SERVER) {
            return serve(&arguments);
        }
        cases::run(cases![
            all_serve_and_report_as_one,
            several_listeners_are_shared,
            a_child_that_is_killed_is_replaced_and_its_connections_have_failed,
            a_stop_from_a_handler_stops_all,
            a_pause_from_a_handler_pauses_all,
            signals_to_all_processes_drain_in_order,
            a_signal_that_wakes_the_server_wakes_each_process,
            limits_are_shared_out,
            who_comes_to_a_full_process_is_served_by_another,
            children_without_their_supervisor_drain,
            children_that_never_serve_are_an_error,
            a_child_that_hangs_is_replaced,
            stubborn_children_are_killed,
            names_of_requests_are_not_given_twice,
            settings_are_checked,
            a_process_with_threads_does_not_fork,
        ])
    }

    static STATS: OnceLock<StatsHandle> = OnceLock::new();

    /// How often SIGHUP has been answered in this process.
    static RELOADS: AtomicUsize = AtomicUsize::new(0);

    /// Does what it is told, line by line.
    fn obey(request: &mut Stream<TcpStream>) -> HandlerResult {
        let line = read_line(&mut *request);
        let stop = request.stop_handle().unwrap();
        let answer = match &*line {
            "" => return Ok(Flow::Close),
            "pid" => std::process::id().to_string(),
            "parent" => std::os::unix::process::parent_id().to_string(),
            "counts" => STATS.get().map(|stats| stats.snapshot().accepted.to_string()).unwrap_or_default(),
            "reloads" => RELOADS.load(Ordering::SeqCst).to_string(),
            "stop" => {
                stop.shutdown();
                "stopping".to_owned()
            }
            "pause" => {
                stop.pause();
                "paused".to_owned()
            }
            "resume" => {
                stop.resume();
                "resumed".to_owned()
            }
            "hang" => {
                writeln!(request, "hanging")?;
                loop {
                    std::thread::sleep(Duration::from_secs(1));
                }
            }
            other => other.to_owned(),
        };
        writeln!(request, "{answer}")?;
        Ok(Flow::Continue)
    }

    fn tell(event: &Event<'_>) {
        match event {
            Event::ChildExit { code, signal, .. } => eprintln!("child: {code:?} {signal:?}"),
            Event::Error { error, .. } if !error.is_disconnect() => eprintln!("error: {error:?}"),
            Event::Start { id, .. } => eprintln!("request {id}"),
            _ => {}
        }
    }

    /// Serves as the arguments say: the dispatch, how many processes, and `name=value`.
    fn serve(arguments: &[String]) {
        let [dispatch, processes, options @ ..] = arguments else { panic!("{arguments:?}") };
        let processes = processes.parse().unwrap();
        let option = |name: &str| {
            let value = options.iter().find_map(|option| option.split_once('=').filter(|(found, _)| *found == name));
            value.map(|(_, value)| value.parse::<u64>().unwrap())
        };
        macro_rules! serve_under {
            ($dispatch:ty, $value:expr) => {
                serve_under!($dispatch, $value, Tcp, "127.0.0.1:0")
            };
            ($dispatch:ty, $value:expr, $transport:ty, $listen:expr) => {{
                let hang = option("hang").map(Duration::from_millis);
                let prefork = PreFork::new(processes, $value).hang_timeout(hang);
                let mut builder = Builder::<$transport, PreFork<$dispatch>, _>::new(function(obey)).dispatch(prefork);
                if let Some(most) = option("most") {
                    builder = builder.max_connections(most as usize);
                }
                if let Some(drain) = option("drain") {
                    builder = builder.drain_timeout(Duration::from_millis(drain));
                }
                let reload = Arc::new(AtomicBool::new(false));
                signal_hook::flag::register(signal_hook::consts::SIGHUP, Arc::clone(&reload)).unwrap();
                let service = move || {
                    if reload.swap(false, Ordering::SeqCst) {
                        RELOADS.fetch_add(1, Ordering::SeqCst);
                    }
                };
                let server = builder.on_event(tell).on_service(service).bind($listen).unwrap();
                let _wake = wake_on_signal(signal_hook::consts::SIGHUP, server.stop_handle()).unwrap();
                STATS.set(server.stats_handle()).unwrap();
                let _signals = socketserver::signals::stop_on_signals(server.stop_handle()).unwrap();
                println!("listening on {}", server.local_addr());
                match server.serve_forever() {
                    Ok(report) => eprintln!("{report}"),
                    Err(error) => eprintln!("failed: {error}"),
                }
            }};
        }
        match &**dispatch {
            "sync" => serve_under!(Sync, Sync),
            "threads" => serve_under!(ThreadPerRequest, ThreadPerRequest::default()),
            "pool" => serve_under!(Pool, Pool::new(2)),
            "fork" => serve_under!(Fork, Fork::default()),
            "many" => serve_under!(Sync, Sync, Many<Tcp>, ["127.0.0.1:0", "127.0.0.1:0"]),
            "broken" => serve_under!(Broken, Broken),
            other => panic!("{other}"),
        }
    }

    /// Cannot be started.
    #[derive(Debug, Default)]
    struct Broken;

    impl Dispatch for Broken {
        const NAME: &'static str = "Broken";
    }

    impl<J: Task> Process<J> for Broken {
        type Running = ();

        fn start(&self, _: &mut ServeLoop<J>) -> Result<(), ServeError> {
            Err(ServeError::Start { dispatch: Self::NAME, source: std::io::Error::other("it is broken") })
        }

        fn process_request(&self, (): &mut (), _: &mut ServeLoop<J>, job: J) -> Result<(), Rejected<J>> {
            job.run();
            Ok(())
        }
    }

    /// In a group of processes of its own.
    fn start(arguments: &[&str]) -> Example {
        let mut command = Command::new(std::env::current_exe().unwrap());
        Example::spawn(command.arg(SERVER).args(arguments).process_group(0))
    }

    fn processes_of(server: &Example) -> Vec<u32> {
        children(server.pid()).into_iter().map(|(pid, _)| pid).collect()
    }

    /// The processes that serve, when this many do.
    fn members(server: &Example, count: usize) -> HashSet<u32> {
        let mut found = HashSet::new();
        eventually("all have been forked", || {
            found = processes_of(server).into_iter().collect();
            found.len() == count
        });
        found
    }

    /// One connection to each process. Left to themselves, those that have slept last would take most of them.
    fn one_each(address: SocketAddr, count: usize, question: &str) -> Vec<(u32, TcpStream)> {
        let mut clients = Vec::new();
        for _ in 0..count {
            let client = connect(address);
            let pid = ask(&client, question).parse().unwrap();
            kill(pid, Signal::STOP);
            eventually("none of its threads waits for clients", || threads(pid).iter().all(|state| *state == 'T'));
            clients.push((pid, client));
        }
        for (pid, _) in &clients {
            kill(*pid, Signal::CONT);
        }
        clients
    }

    /// What the threads of a process are doing.
    fn threads(pid: u32) -> Vec<char> {
        let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap();
        let state = |task: std::fs::DirEntry| {
            let stat = std::fs::read_to_string(task.path().join("stat")).unwrap();
            stat.rsplit_once(") ").unwrap().1.chars().next().unwrap()
        };
        tasks.map(|task| state(task.unwrap())).collect()
    }

    fn kill(pid: u32, signal: Signal) {
        kill_process(Pid::from_raw(pid.cast_signed()).unwrap(), signal).unwrap();
    }

    fn report(errors: &str) -> &str {
        errors.lines().find(|line| line.contains(" accepted: ")).unwrap_or_else(|| panic!("no report: {errors}"))
    }

    fn all_serve_and_report_as_one() {
        for dispatch in DISPATCHES {
            let server = start(&[dispatch, "3"]);
            let members = members(&server, 3);
            let parent = if dispatch == "fork" { "parent" } else { "pid" };
            let clients = one_each(server.socket_address(), 3, parent);
            let seen: HashSet<_> = clients.iter().map(|(pid, _)| *pid).collect();
            assert_eq!(seen, members, "{dispatch}");
            let client = connect(server.socket_address());
            assert_eq!(ask(&client, "counts"), "4", "{dispatch}: one page for all");
            drop((client, clients));
            let (status, errors) = server.stop();
            assert!(status.success());
            assert!(report(&errors).starts_with("4 accepted: "), "{dispatch}: {errors}");
            assert!(report(&errors).contains(" 0 forced (0 abandoned), 0 refused, 0 failed;"), "{dispatch}: {errors}");
            assert!(errors.matches("child: Some(0) None").count() >= 3, "{dispatch}: {errors}");
        }
    }

    fn several_listeners_are_shared() {
        let server = start(&["many", "2"]);
        let members = members(&server, 2);
        let addresses: Vec<SocketAddr> = server.address.split(", ").map(|text| text.parse().unwrap()).collect();
        let clients: Vec<_> = addresses.iter().map(|address| one_each(*address, 2, "pid")).collect();
        for clients in &clients {
            assert_eq!(clients.iter().map(|(pid, _)| *pid).collect::<HashSet<_>>(), members);
        }
        // Out of the wait sets, and in again.
        assert_eq!(ask(&clients[0][0].1, "pause"), "paused");
        assert_eq!(ask(&clients[0][0].1, "resume"), "resumed");
        for address in &addresses {
            assert_eq!(ask(connect(*address), "hello"), "hello");
        }
        drop(clients);
        let (status, errors) = server.stop();
        assert!(status.success());
        assert!(report(&errors).starts_with("6 accepted: "), "{errors}");
        for address in addresses {
            assert!(TcpStream::connect(address).is_err(), "{address} is closed");
        }
    }

    fn a_child_that_is_killed_is_replaced_and_its_connections_have_failed() {
        for dispatch in ["sync", "threads", "pool"] {
            let server = start(&[dispatch, "2"]);
            let mut clients = one_each(server.socket_address(), 2, "pid");
            let (pid, client) = clients.pop().unwrap();
            kill(pid, Signal::KILL);
            // Reset, or at its end.
            let _ = std::io::Read::read(&mut &client, &mut [0; 1]);
            eventually("it is replaced", || {
                let now = processes_of(&server);
                now.len() == 2 && !now.contains(&pid)
            });
            // The other has lost nothing.
            assert_eq!(ask(&clients[0].1, "still here"), "still here");
            drop(one_each(server.socket_address(), 2, "pid"));
            drop(clients);
            let (status, errors) = server.stop();
            assert!(status.success());
            assert!(errors.contains("child: None Some(9)"), "{errors}");
            let failed = report(&errors).split(" refused, ").nth(1).unwrap();
            assert!(!failed.starts_with("0 failed"), "{dispatch}: {errors}");
        }
    }

    fn a_stop_from_a_handler_stops_all() {
        for dispatch in DISPATCHES {
            let server = start(&[dispatch, "2"]);
            let idle = connect(server.socket_address());
            assert_eq!(ask(&idle, "hello"), "hello");
            assert_eq!(ask(&connect(server.socket_address()), "stop"), "stopping");
            assert_eq!(read_rest(&idle), b"");
            let (status, errors) = server.wait();
            assert!(status.success());
            assert!(report(&errors).starts_with("2 accepted: "), "{dispatch}: {errors}");
            assert!(report(&errors).contains(" 0 forced (0 abandoned), "), "{dispatch}: {errors}");
        }
    }

    fn a_pause_from_a_handler_pauses_all() {
        let server = start(&["sync", "2"]);
        let clients = one_each(server.socket_address(), 2, "pid");
        assert_eq!(ask(&clients[0].1, "pause"), "paused");
        // Each has been woken by it before it reads this.
        for (pid, client) in &clients {
            becomes("a quiet process", &pid.to_string(), || ask(client, "pid"));
        }
        let mut waiting = connect(server.socket_address());
        waiting.write_all(b"pid\n").unwrap();
        waiting.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
        assert!(std::io::Read::read(&mut &waiting, &mut [0; 1]).is_err(), "nobody accepts");
        waiting.set_read_timeout(Some(crate::common::PATIENCE)).unwrap();
        assert_eq!(ask(&clients[1].1, "resume"), "resumed");
        assert_ne!(read_line(&waiting), "");
        drop((clients, waiting));
        server.stop();
    }

    fn a_signal_that_wakes_the_server_wakes_each_process() {
        for dispatch in ["sync", "threads", "pool"] {
            let server = start(&[dispatch, "2"]);
            let clients = one_each(server.socket_address(), 2, "pid");
            for times in ["1", "2"] {
                kill(server.pid(), Signal::HUP);
                for (_, client) in &clients {
                    becomes(dispatch, &times.to_owned(), || ask(client, "reloads"));
                }
            }
            drop(clients);
            let (status, errors) = server.stop();
            assert!(status.success(), "{errors}");
        }
    }

    fn signals_to_all_processes_drain_in_order() {
        for dispatch in DISPATCHES {
            let server = start(&[dispatch, "2"]);
            members(&server, 2);
            let client = connect(server.socket_address());
            assert_eq!(ask(&client, "hello"), "hello");
            // As a terminal, and a process manager without care.
            let group = Pid::from_raw(server.pid().cast_signed()).unwrap();
            rustix::process::kill_process_group(group, Signal::TERM).unwrap();
            assert_eq!(read_rest(&client), b"");
            let (status, errors) = server.wait();
            assert!(status.success(), "{errors}");
            if dispatch != "fork" {
                assert!(report(&errors).contains(" 0 forced (0 abandoned), 0 refused, 0 failed;"), "{errors}");
            }
        }
    }

    fn limits_are_shared_out() {
        let server = start(&["sync", "2", "most=3"]);
        members(&server, 2);
        let address = server.socket_address();
        let clients: Vec<_> = (0..3).map(|_| connect(address)).collect();
        let mut pids: Vec<_> = clients.iter().map(|client| ask(client, "pid")).collect();
        pids.sort_unstable();
        pids.dedup();
        assert_eq!(pids.len(), 2, "two places in one process, and one in the other");
        let mut fourth = connect(address);
        fourth.write_all(b"pid\n").unwrap();
        fourth.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
        assert!(std::io::Read::read(&mut &fourth, &mut [0; 1]).is_err(), "it waits in the backlog");
        fourth.set_read_timeout(Some(crate::common::PATIENCE)).unwrap();
        drop(clients);
        assert_ne!(read_line(&fourth), "");
        drop(fourth);
        server.stop();
    }

    fn who_comes_to_a_full_process_is_served_by_another() {
        // The one that is woken first is either of them.
        for full in 0..2 {
            let server = start(&["sync", "2", "most=8"]);
            let mut pids: Vec<_> = members(&server, 2).into_iter().collect();
            pids.sort_unstable();
            for pid in &pids {
                kill(*pid, Signal::STOP);
                eventually("it is stopped", || threads(*pid).iter().all(|state| *state == 'T'));
            }
            // All that it may have, at once.
            let clients: Vec<_> = (0..4).map(|_| connect(server.socket_address())).collect();
            kill(pids[full], Signal::CONT);
            for client in &clients {
                assert_eq!(ask(client, "pid"), pids[full].to_string());
            }
            kill(pids[1 - full], Signal::CONT);
            for pid in &pids {
                eventually("it waits", || threads(*pid).iter().all(|state| *state == 'S'));
            }
            assert_eq!(ask(&connect(server.socket_address()), "pid"), pids[1 - full].to_string());
            drop(clients);
            server.stop();
        }
    }

    fn children_without_their_supervisor_drain() {
        for dispatch in DISPATCHES {
            let server = start(&[dispatch, "2"]);
            let members = members(&server, 2);
            let client = connect(server.socket_address());
            assert_eq!(ask(&client, "hello"), "hello");
            kill(server.pid(), Signal::KILL);
            assert_eq!(read_rest(&client), b"");
            let gone = |pid: &u32| {
                !std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z"))
            };
            eventually("they have gone", || members.iter().all(gone));
        }
    }

    fn children_that_never_serve_are_an_error() {
        let (status, errors) = start(&["broken", "2"]).wait();
        assert!(status.success());
        let expected =
            "failed: cannot start the dispatch PreFork: none of 2 processes came to serve; the last one exited with 1";
        assert!(errors.contains(expected), "{errors}");
        assert!(errors.contains("it is broken"), "{errors}");
    }

    fn a_child_that_hangs_is_replaced() {
        let server = start(&["sync", "2", "hang=500"]);
        let clients = one_each(server.socket_address(), 2, "pid");
        let hanging = clients[0].0;
        assert_eq!(ask(&clients[0].1, "hang"), "hanging");
        eventually("it is replaced", || {
            let now = processes_of(&server);
            now.len() == 2 && !now.contains(&hanging)
        });
        assert_eq!(ask(&clients[1].1, "still here"), "still here", "who does not hang stays");
        drop(clients);
        server.stop();
    }

    fn stubborn_children_are_killed() {
        let server = start(&["sync", "2", "drain=100"]);
        let client = connect(server.socket_address());
        assert_eq!(ask(&client, "hang"), "hanging");
        let (status, errors) = server.stop();
        assert!(status.success());
        assert!(
            report(&errors).contains("1 accepted: 0 finished, 0 idle closed, 1 forced (0 abandoned), "),
            "{errors}"
        );
        assert!(errors.contains("child: None Some(9)"), "{errors}");
    }

    fn names_of_requests_are_not_given_twice() {
        let server = start(&["sync", "2"]);
        drop(one_each(server.socket_address(), 2, "pid"));
        let (_, errors) = server.stop();
        let names: Vec<_> = errors.lines().filter_map(|line| line.strip_prefix("request ")).collect();
        let different: HashSet<_> = names.iter().collect();
        assert!(names.len() >= 2);
        assert_eq!(names.len(), different.len(), "{names:?}");
    }

    fn settings_are_checked() {
        fn refusal(dispatch: &impl Dispatch) -> String {
            dispatch.check().unwrap_err().to_string()
        }
        assert_eq!(
            refusal(&PreFork::new(0, Sync)),
            "option processes = 0: a server without processes serves no request; it must be at least 1"
        );
        assert!(refusal(&PreFork::new(1, Sync).hang_timeout(Duration::ZERO)).starts_with("option hang_timeout = 0: "));
        assert!(
            refusal(&PreFork::new(1, PreFork::new(1, Sync))).starts_with("option dispatch = PreFork<PreFork<_>>: ")
        );
        assert!(refusal(&PreFork::new(1, Fork::default().max_children(0))).starts_with("option max_children = 0: "));
    }

    fn a_process_with_threads_does_not_fork() {
        let server = Builder::<Tcp, PreFork<Sync>, _>::new(function(obey)).bind("127.0.0.1:0").unwrap();
        let (send, wait) = std::sync::mpsc::channel::<()>();
        let other = std::thread::spawn(move || wait.recv());
        let error = server.serve_forever().unwrap_err().to_string();
        drop(send);
        other.join().unwrap().unwrap_err();
        assert!(error.starts_with("cannot fork: this process has 2 threads"), "{error}");
    }
}
