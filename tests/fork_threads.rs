//! A process with a second thread forks no child, whenever that thread was started, and whether or not /proc is there to
//! count it.
//!
//! In a harness without threads, because this process must have one until a test starts another.

#[cfg(target_os = "linux")]
mod common;

fn main() {
    #[cfg(target_os = "linux")]
    linux::main();
}

#[cfg(target_os = "linux")]
mod linux {
    use crate::cases;
    use crate::common::Listen;
    use crate::common::Log;
    use crate::common::TempDir;
    use crate::common::ask;
    use crate::common::cases;
    use crate::common::connect;
    use crate::common::echo::echo_line_and_close;
    use crate::common::read_rest;
    use socketserver::Builder;
    use socketserver::Event;
    use socketserver::ForkingTcpServer;
    use socketserver::Handled;
    use socketserver::RequestError;
    use socketserver::ServeError;
    use socketserver::Stage;
    use socketserver::StopHandle;
    use socketserver::Tcp;
    use socketserver::handler::function;
    use std::cell::OnceCell;
    use std::cell::RefCell;
    use std::io::Write;
    use std::net::SocketAddr;
    use std::net::TcpStream;
    use std::process::Command;
    use std::rc::Rc;
    use std::sync::mpsc;
    use std::thread::JoinHandle;

    pub(crate) fn main() {
        if let Some(folder) = cases::started_again("--without-proc") {
            return without_proc_in(&folder[0]);
        }
        if cases::started_again("--serve").is_some() {
            return serve();
        }
        let mut cases = cases![from_the_beginning, between_two_requests, from_a_hook, without_proc];
        cases.push(cases::needs("strace", cases::case("in_a_sandbox", in_a_sandbox)));
        cases::run(cases)
    }

    /// A second thread, until it is dropped.
    struct Second {
        stop: Option<mpsc::Sender<()>>,
        thread: Option<JoinHandle<()>>,
    }

    impl Second {
        fn start() -> Self {
            let (stop, stopped) = mpsc::channel::<()>();
            let thread = std::thread::spawn(move || _ = stopped.recv().expect_err("told by the other end's drop"));
            Self { stop: Some(stop), thread: Some(thread) }
        }
    }

    impl Drop for Second {
        fn drop(&mut self) {
            drop(self.stop.take());
            if let Some(thread) = self.thread.take() {
                thread.join().expect("joined");
            }
        }
    }

    fn from_the_beginning() {
        let second = Second::start();
        let server = ForkingTcpServer::builder_fn(echo_line_and_close).listen();
        let error = server.try_serve_forever().expect_err("two threads");
        assert!(matches!(error, ServeError::NotSingleThreaded { threads: Some(2) }), "{error}");
        assert!(error.to_string().starts_with("cannot fork: this process has 2 threads"), "{error}");
        let mut server = ForkingTcpServer::builder_fn(echo_line_and_close).listen();
        let error = server.handle_request().expect_err("two threads");
        assert!(matches!(error, ServeError::NotSingleThreaded { threads: Some(2) }), "{error}");
        drop(second);
        let mut server = ForkingTcpServer::builder_fn(echo_line_and_close).listen();
        let client = connect(server.local_addr());
        server.handle_request().expect("one thread");
        assert_eq!(ask(client, "hello"), "hello");
    }

    /// What `handle_error` was told.
    type Told = Log<(Stage, String)>;

    fn builder(told: &Told) -> Builder<Tcp, socketserver::Fork, impl socketserver::HandlerFactory<Connection>> {
        let told = told.clone();
        Builder::<Tcp, socketserver::Fork, _>::new(function(echo_line_and_close::<TcpStream>))
            .on_error(move |error: &RequestError, _: Option<&SocketAddr>| told.push((error.stage(), error.to_string())))
    }

    type Connection = socketserver::Stream<TcpStream>;

    fn tells_of_two_threads(told: &Told) {
        let told = told.entries();
        assert_eq!(told.len(), 1, "{told:?}");
        assert_eq!(told[0].0, Stage::Dispatch);
        assert!(told[0].1.starts_with("dispatch: cannot fork: this process has 2 threads"), "{told:?}");
    }

    fn between_two_requests() {
        let told = Told::default();
        let mut server = builder(&told).listen();
        let first = connect(server.local_addr());
        assert_eq!(server.handle_request().expect("one thread"), Handled::Request);
        assert_eq!(ask(first, "hello"), "hello");
        let second = Second::start();
        let refused = connect(server.local_addr());
        assert_eq!(server.handle_request().expect("the server goes on"), Handled::Request);
        assert_eq!(read_rest(refused), b"");
        tells_of_two_threads(&told);
        drop(second);
        let last = connect(server.local_addr());
        assert_eq!(server.handle_request().expect("one thread"), Handled::Request);
        assert_eq!(ask(last, "hello"), "hello");
    }

    fn from_a_hook() {
        let told = Told::default();
        let second = Rc::new(RefCell::new(None));
        let stop: Rc<OnceCell<StopHandle>> = Rc::default();
        let (holder, stopper) = (Rc::clone(&second), Rc::clone(&stop));
        let server = builder(&told)
            .on_service(move || _ = holder.borrow_mut().get_or_insert_with(Second::start))
            .observed(move |event: &Event<'_>| {
                if let Event::Refused { .. } = event {
                    stopper.get().expect("set").shutdown();
                }
            })
            .listen();
        stop.set(server.stop_handle()).expect("once");
        let client = connect(server.local_addr());
        let report = server.serve_forever();
        assert_eq!(read_rest(client), b"");
        assert_eq!((report.accepted, report.refused), (1, 1), "{report}");
        tells_of_two_threads(&told);
        drop(second.take());
    }

    /// Says whether it can serve.
    fn serve() {
        let server = ForkingTcpServer::builder_fn(echo_line_and_close).bind("127.0.0.1:0").expect("bind");
        server.stop_handle().shutdown();
        match server.serve_forever() {
            Ok(_) => println!("served"),
            Err(error) => println!("{error}"),
        }
    }

    /// What it says where these system calls fail.
    fn serve_with(faults: &[&str]) -> String {
        let program = std::env::current_exe().expect("current_exe");
        let mut command = Command::new("strace");
        command.args(["-f", "-o", "/dev/null"]);
        for fault in faults {
            command.args(["-e", &format!("inject={fault}")]);
        }
        let outcome = command.arg(program).arg("--serve").output().expect("strace");
        assert!(outcome.status.success(), "{outcome:?}");
        String::from_utf8(outcome.stdout).expect("UTF-8")
    }

    fn in_a_sandbox() {
        assert_eq!(serve_with(&["unshare:error=EPERM"]), "served\n", "/proc tells");
        assert_eq!(serve_with(&["getdents64:error=EIO"]), "served\n", "nothing is read");
        let said = serve_with(&["unshare:error=EPERM", "getdents64:error=EIO"]);
        let expected = "cannot fork: cannot count the threads of this process (/proc/self/task: ";
        assert!(said.starts_with(expected) && said.contains("; mount /proc, or use"), "{said}");
    }

    fn without_proc() {
        if !rustix::process::getuid().is_root() {
            println!("fork_threads::without_proc: only root may change the root of its files");
            return;
        }
        let folder = TempDir::new();
        let program = std::env::current_exe().expect("current_exe");
        let outcome =
            Command::new(program).arg("--without-proc").arg(folder.path()).output().expect("this program, again");
        assert!(outcome.status.success(), "{}", String::from_utf8_lossy(&outcome.stderr));
    }

    /// In a process of its own, which sees nothing but an empty folder from here on.
    fn without_proc_in(folder: &str) {
        rustix::process::chroot(folder).expect("chroot");
        rustix::process::chdir("/").expect("chdir");
        std::fs::read_dir("/proc").expect_err("there is none");
        let mut server = ForkingTcpServer::builder_fn(echo_line_and_close).listen();
        let mut client = connect(server.local_addr());
        client.write_all(b"hello\n").expect("send");
        server.handle_request().expect("one thread");
        assert_eq!(read_rest(client), b"hello\n");
        let second = Second::start();
        let error = ForkingTcpServer::builder_fn(echo_line_and_close).listen().try_serve_forever().expect_err("two");
        assert!(matches!(error, ServeError::NotSingleThreaded { threads: None }), "{error}");
        assert!(error.to_string().starts_with("cannot fork: this process has several threads"), "{error}");
        drop(second);
    }
}
