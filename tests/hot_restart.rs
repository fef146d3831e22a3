//! Hot restarts of the examples: SIGUSR2 replaces the program, and no client notices.
#![cfg(target_os = "linux")]

mod common;

use std::fs;
use std::io::Read;
use std::io::Write;
use std::net::SocketAddr;
use std::net::TcpListener;
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::process::Command;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

use common::PATIENCE;
use common::TempDir;
use common::activation::Manager;
use common::activation::activated;
use common::ask;
use common::connect;
use common::connect_udp;
use common::connect_unix;
use common::connect_unix_datagram;
use common::eventually;
use common::example::Example;
use common::example::program;
use common::read_line;
use common::read_rest;
use common::receive;
use common::restarted::Restarted;
use common::restarted::copy_program;
use common::restarted::is_there;
use rustix::process::Signal;

#[test]
fn each_dispatch_is_replaced_and_what_is_open_is_served() {
    for dispatch in ["sync", "threads", "pool", "fork"] {
        what_is_open_is_served(&["--dispatch", dispatch]);
        what_is_open_is_served(&["--dispatch", dispatch, "--processes", "2"]);
    }
}

fn what_is_open_is_served(flags: &[&str]) {
    let mut server = Restarted::start("echo", &[&["--listen", "127.0.0.1:0"], flags].concat());
    let kept_alive = connect(server.address());
    assert_eq!(ask(&kept_alive, "before"), "before");
    let silent = connect(server.address());
    // Accepted behind it, so that it has been, too.
    assert_eq!(ask(&connect(server.address()), "next"), "next");
    let old = server.restart();
    assert_eq!(ask(&connect(server.address()), "new"), "new");
    assert!(is_there(old), "it has clients");
    assert_eq!(ask(&kept_alive, "once more"), "once more", "{flags:?}: {}", server.errors());
    assert_eq!(read_rest(&kept_alive), b"");
    assert_eq!(ask(&silent, "first"), "first");
    drop((kept_alive, silent));
    eventually("the old process has gone", || !is_there(old));
    let errors = server.stop();
    let old_report = errors.lines().find(|line| line.contains(" accepted: ")).unwrap();
    // Processes that share a listener may also serve the one that came while they left.
    let late = flags.contains(&"--processes") && old_report.starts_with("4 accepted: ");
    assert!(late || old_report.starts_with("3 accepted: "), "{flags:?}: {errors}");
    assert!(old_report.contains(" 0 forced (0 abandoned), 0 refused, 0 failed;"), "{flags:?}: {errors}");
}

#[test]
fn the_file_of_a_unix_socket_is_the_new_ones() {
    let folder = TempDir::new();
    let path = folder.join("socket");
    let listen = path.display().to_string();
    let mut server = Restarted::start("echo", &["--listen", &listen, "--transport", "unix-stream"]);
    for round in ["one", "two"] {
        let old = server.restart();
        eventually("the old process has gone", || !is_there(old));
        assert_eq!(ask(connect_unix(&path), round), round);
    }
    server.stop();
    assert!(!path.exists(), "the last one removes it");
}

#[test]
fn each_listener_is_passed_on() {
    let folder = TempDir::new();
    let paths = ["one", "two"].map(|name| folder.join(name));
    for dispatch in ["sync", "threads", "pool", "fork"] {
        let [one, two] = paths.each_ref().map(|path| path.to_str().unwrap());
        let flags = ["--transport", "unix-stream", "--dispatch", dispatch, "--listen", one, "--listen", two];
        let mut server = Restarted::start("echo", &flags);
        for round in ["one", "two"] {
            let kept: Vec<_> = paths.iter().map(|path| connect_unix(path)).collect();
            for client in &kept {
                assert_eq!(ask(client, "before"), "before");
            }
            let old = server.restart();
            for (client, path) in kept.iter().zip(&paths) {
                assert_eq!(ask(client, "once more"), "once more");
                assert_eq!(ask(connect_unix(path), round), round, "{dispatch}: {}", server.errors());
            }
            drop(kept);
            eventually("the old process has gone", || !is_there(old));
        }
        server.stop();
        assert!(!paths.iter().any(|path| path.exists()), "{dispatch}: the last one removes them");
    }
}

#[test]
fn messages_are_answered_by_one_of_the_two() {
    messages_are_answered(&[]);
}

#[test]
fn messages_are_answered_by_one_of_several_processes() {
    messages_are_answered(&["--processes", "2"]);
    messages_are_answered(&["--processes", "3", "--dispatch", "pool"]);
}

fn messages_are_answered(flags: &[&str]) {
    let folder = TempDir::new();
    let path = folder.join("socket");
    let listen = path.display().to_string();
    let mut server =
        Restarted::start("echo", &[&["--listen", &listen, "--transport", "unix-datagram"], flags].concat());
    let client = connect_unix_datagram(&folder.join("client"), &path);
    let mut udp = Restarted::start("echo", &[&["--listen", "127.0.0.1:0", "--transport", "udp"], flags].concat());
    let udp_client = connect_udp("127.0.0.1:0", udp.address());
    for round in 0..3_u8 {
        for number in 0..5 {
            client.send(&[round, number]).unwrap();
            udp_client.send(&[round, number]).unwrap();
        }
        server.restart();
        udp.restart();
        let mut answers: Vec<_> = (0..5).map(|_| receive(|buffer| client.recv(buffer))).collect();
        answers.sort_unstable();
        assert_eq!(answers, (0..5).map(|number| [round, number]).collect::<Vec<_>>());
        let mut answers: Vec<_> = (0..5).map(|_| receive(|buffer| udp_client.recv(buffer))).collect();
        answers.sort_unstable();
        assert_eq!(answers, (0..5).map(|number| [round, number]).collect::<Vec<_>>());
    }
    udp.stop();
    server.stop();
    assert!(!path.exists());
}

#[test]
fn two_servers_of_one_process_go_together() {
    let mut server = Restarted::start("dns", &["--listen", "127.0.0.1:0"]);
    let old = server.restart();
    eventually("the old process has gone", || !is_there(old));
    let query = [0, 17, 0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 1];
    let tcp = connect(server.address());
    (&tcp).write_all(&query).unwrap();
    assert_eq!(receive(|buffer| (&tcp).read(buffer))[2..4], [0, 1]);
    drop(tcp);
    let udp = connect_udp("127.0.0.1:0", server.address());
    udp.send(&query[2..]).unwrap();
    assert_eq!(receive(|buffer| udp.recv(buffer))[..2], [0, 1]);
    server.stop();
}

#[test]
fn metrics_are_found_where_they_were() {
    for dispatch in ["sync", "threads", "pool"] {
        let flags = ["--listen", "127.0.0.1:0", "--metrics", "127.0.0.1:0", "--dispatch", dispatch];
        let mut server = Restarted::start("kv", &flags);
        let mut url = None;
        eventually("the second address", || {
            url = server.said(&server.output).lines().nth(1).map(str::to_owned);
            url.is_some()
        });
        let url = url.unwrap();
        let address = url.strip_prefix("metrics on http://").unwrap().strip_suffix('/').unwrap().parse().unwrap();
        let started = || {
            let mut client = connect(address);
            client.write_all(b"GET /metrics HTTP/1.1\r\nHost: here\r\n\r\n").unwrap();
            let answer = String::from_utf8(read_rest(&client)).unwrap();
            let sample = answer.lines().find(|line| line.starts_with("socketserver_started_total{"));
            sample.unwrap_or_else(|| panic!("{answer}")).rsplit(' ').next().unwrap().to_owned()
        };
        assert_eq!(ask(&connect(server.address()), "PING\r"), "+PONG\r");
        assert_eq!(started(), "1");
        let old = server.restart();
        eventually("the old process has gone", || !is_there(old));
        assert_eq!(started(), "0", "{dispatch}: it counts its own");
        assert_eq!(ask(&connect(server.address()), "PING\r"), "+PONG\r");
        assert_eq!(started(), "1");
        server.stop();
    }
}

/// Puts something else into the place of the program. A file that runs cannot be written to, but replaced.
fn replace(server: &Restarted, name: &str, content: &[u8], mode: u32) {
    let (written, new) = (server.folder.join("written"), server.folder.join("new"));
    fs::write(&written, content).unwrap();
    fs::set_permissions(&written, fs::Permissions::from_mode(mode)).unwrap();
    copy_program(&written, &new);
    fs::rename(&new, server.folder.join(name)).unwrap();
}

#[test]
fn a_program_that_does_not_come_to_serve_costs_nothing() {
    let folder = TempDir::new();
    let path = folder.join("socket");
    let listen = path.display().to_string();
    let mut server = Restarted::start("echo", &["--listen", &listen, "--transport", "unix-stream"]);
    let client = connect_unix(&path);
    for (content, mode, expected) in [
        (&b"#!/bin/sh\nexit 3\n"[..], 0o755, "has exited with 3 before it served"),
        (b"#!/bin/sh\nkill -9 $$\n", 0o755, "was ended by signal 9 before it served"),
        (b"#!/bin/sh\n", 0o644, "the program cannot be executed: Permission denied (os error 13)"),
        (b"no program\n", 0o755, "the program cannot be executed: Exec format error (os error 8)"),
    ] {
        replace(&server, "echo", content, mode);
        let said = server.ask_for_restart();
        assert!(said.starts_with("no restart: ") && said.contains(expected), "{said}");
        assert_eq!(ask(&client, "still here"), "still here");
        assert_eq!(ask(connect_unix(&path), "and for others"), "and for others");
    }
    replace(&server, "echo", &fs::read(program("echo")).unwrap(), 0o755);
    server.restart();
    server.stop();
}

#[test]
fn two_at_once_are_refused_and_a_stop_ends_what_waits() {
    let server = Restarted::start("echo", &["--listen", "127.0.0.1:0"]);
    let pid = server.folder.join("pid");
    let hanging = format!("#!/bin/sh\necho $$ > {}\nexec sleep 1000\n", pid.display());
    replace(&server, "echo", hanging.as_bytes(), 0o755);
    server.signal(Signal::USR2);
    eventually("it hangs", || fs::read_to_string(&pid).is_ok_and(|pid| pid.ends_with('\n')));
    let hanging: u32 = fs::read_to_string(&pid).unwrap().trim().parse().unwrap();
    let said = server.ask_for_restart();
    assert_eq!(said, format!("no restart: another restart is under way: process {hanging} does not serve yet"));
    assert!(is_there(hanging));
    assert_eq!(ask(&connect(server.address()), "still here"), "still here");
    let errors = server.stop();
    let given_up = format!("no restart: process {hanging} has failed: this process was told to stop");
    assert!(errors.contains(&given_up), "{errors}");
    eventually("it has been ended", || !is_there(hanging));
}

/// A client that has the only place of the server, and one that waits behind it.
fn one_and_one_behind_it(address: SocketAddr) -> [TcpStream; 2] {
    let only = connect(address);
    assert_eq!(ask(&only, "first"), "first");
    [only, connect(address)]
}

#[test]
fn who_waits_at_the_stop_of_the_last_one_is_left_to_the_manager() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let flags = ["--listen", "systemd", "--max-connections", "1"];
    let activated = || activated(&program("echo"), &flags, "it", [listener.try_clone().unwrap().into()]);
    let mut server = Restarted::start_in(TempDir::new(), &mut activated());
    server.restart();
    let [_only, mut waiting] = one_and_one_behind_it(server.address());
    waiting.write_all(b"second\n").unwrap();
    server.stop();
    let next = Example::spawn_with(&mut activated());
    assert_eq!(read_line(&waiting), "second");
    drop(waiting);
    assert!(next.stop().0.success());
}

#[test]
fn who_waits_at_the_stop_of_the_last_one_sees_a_close_where_there_is_no_manager() {
    let mut server = Restarted::start("echo", &["--listen", "127.0.0.1:0", "--max-connections", "1"]);
    server.restart();
    let [_only, waiting] = one_and_one_behind_it(server.address());
    let errors = server.stop();
    assert_eq!(read_rest(&waiting), b"", "no reset");
    assert!(errors.contains(" 1 refused, "), "{errors}");
}

#[test]
fn systemd_hears_of_the_new_main_process() {
    let mut manager = Manager::new();
    let folder = TempDir::new();
    let mut command = Command::new(program("echo"));
    command.args(["--listen", "127.0.0.1:0"]).env("WATCHDOG_USEC", "30000000").env("WATCHDOG_PID", "1");
    let mut server = Restarted::start_in(folder, manager.of(&mut command));
    manager.wait_for("READY=1");
    let old = server.restart();
    assert_eq!(manager.wait_for("MAINPID="), format!("MAINPID={}", server.pid));
    eventually("the old process has gone", || !is_there(old));
    server.stop();
    manager.wait_for("STOPPING=1");
}

/// Needs a process ID 1 of its own, as containers give.
#[test]
#[ignore = "needs unshare"]
fn the_first_process_of_a_container_refuses() {
    let folder = TempDir::new();
    let mut command = Command::new("unshare");
    command.args(["--pid", "--fork", "--kill-child"]).arg(program("echo")).args(["--listen", "127.0.0.1:0"]);
    let mut server = Restarted::start_in(folder, &mut command);
    let children = fs::read_to_string(format!("/proc/{0}/task/{0}/children", server.pid)).unwrap();
    server.pid = children.trim().parse().unwrap();
    let said = server.ask_for_restart();
    assert!(said.starts_with("no restart: this process has the process ID 1"), "{said}");
    server.stop();
}

/// What clients make of it, one after the other, until told to stop: how many requests, and what went wrong.
fn load(restarts: usize, requests: usize, flags: &[&str], client: impl Fn() -> Box<dyn Client> + Sync) {
    load_of(10, restarts, requests, flags, client);
}

fn load_of(
    clients: usize,
    restarts: usize,
    requests: usize,
    flags: &[&str],
    client: impl Fn() -> Box<dyn Client> + Sync,
) {
    let mut server = Restarted::start("echo", flags);
    let address = server.address.clone();
    let (done, stop) = (AtomicUsize::new(0), AtomicBool::new(false));
    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..clients)
            .map(|number| {
                let (done, stop, address, client) = (&done, &stop, &address, &client);
                scope.spawn(move || {
                    let mut client = client();
                    while !stop.load(Ordering::SeqCst) {
                        let line = number.to_string().repeat(1000);
                        client.request(address, &line);
                        done.fetch_add(1, Ordering::SeqCst);
                    }
                })
            })
            .collect();
        for restart in 1..=restarts {
            // Spread over the load.
            eventually("requests go on", || {
                done.load(Ordering::SeqCst) >= requests * restart / (restarts + 1)
                    || clients.iter().any(std::thread::ScopedJoinHandle::is_finished)
            });
            server.restart();
        }
        eventually("all requests are made", || {
            done.load(Ordering::SeqCst) >= requests || clients.iter().any(std::thread::ScopedJoinHandle::is_finished)
        });
        stop.store(true, Ordering::SeqCst);
        for client in clients {
            client.join().expect("no request failed");
        }
    });
    assert!(done.load(Ordering::SeqCst) >= requests);
    let errors = server.stop();
    assert_eq!(errors.matches("restarted: ").count(), restarts);
    let mut reports = errors.lines().filter(|line| line.contains(" accepted: "));
    assert!(
        reports.all(|report| report.contains(" 0 forced ") && report.contains(" 0 refused, 0 failed;")),
        "{errors}"
    );
}

trait Client {
    fn request(&mut self, address: &str, line: &str);
}

trait Connection: Read + Write + Sized {
    fn open(address: &str) -> std::io::Result<Self>;
}

impl Connection for TcpStream {
    fn open(address: &str) -> std::io::Result<Self> {
        let stream = Self::connect(address)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(stream)
    }
}

impl Connection for UnixStream {
    fn open(address: &str) -> std::io::Result<Self> {
        let stream = Self::connect(address)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(stream)
    }
}

/// Connects, asks, reads, closes.
struct Short<S>(std::marker::PhantomData<S>);

impl<S: Connection> Client for Short<S> {
    fn request(&mut self, address: &str, line: &str) {
        let mut stream = S::open(address).expect("not refused");
        stream.write_all(line.as_bytes()).expect("not reset");
        let mut answer = vec![0; line.len()];
        stream.read_exact(&mut answer).expect("not cut");
        assert_eq!(answer, line.as_bytes());
    }
}

/// Asks again and again on one connection. One that the server has closed behind an answer is made anew: an idle
/// connection that is closed before the next request has gone out costs no client anything.
struct KeepAlive<S> {
    stream: Option<S>,
}

impl<S: Connection> Client for KeepAlive<S> {
    fn request(&mut self, address: &str, line: &str) {
        let mut stream = self.stream.take().unwrap_or_else(|| S::open(address).expect("not refused"));
        let mut answer = vec![0; line.len()];
        stream.write_all(line.as_bytes()).expect("not reset");
        let mut count = stream.read(&mut answer).expect("not reset");
        if count == 0 {
            // Closed behind the answer before, while this request was on its way.
            stream = S::open(address).expect("not refused");
            stream.write_all(line.as_bytes()).expect("not reset");
            count = stream.read(&mut answer).expect("not reset");
        }
        stream.read_exact(&mut answer[count..]).expect("not cut");
        assert_eq!(answer, line.as_bytes());
        self.stream = Some(stream);
    }
}

fn all_kinds_of_load(restarts: usize, requests: usize) {
    for dispatch in ["sync", "pool"] {
        let tcp = ["--listen", "127.0.0.1:0", "--dispatch", dispatch];
        load(restarts, requests, &tcp, || Box::new(Short::<TcpStream>(std::marker::PhantomData)));
        load(restarts, requests, &tcp, || Box::new(KeepAlive::<TcpStream> { stream: None }));
        let folder = TempDir::new();
        let path = folder.join("socket").display().to_string();
        let unix = ["--listen", &path, "--dispatch", dispatch, "--transport", "unix-stream"];
        load(restarts, requests, &unix, || Box::new(Short::<UnixStream>(std::marker::PhantomData)));
        load(restarts, requests, &unix, || Box::new(KeepAlive::<UnixStream> { stream: None }));
    }
}

#[test]
fn under_load_no_request_is_lost() {
    all_kinds_of_load(2, 300);
}

/// Each request is the only one: there is no other whose connection would have a process look at the listener.
#[test]
fn who_is_alone_does_not_wait_for_a_process_that_goes() {
    for dispatch in ["sync", "pool", "fork"] {
        let flags = ["--listen", "127.0.0.1:0", "--dispatch", dispatch, "--processes", "2"];
        load_of(1, 8, 400, &flags, || Box::new(Short::<TcpStream>(std::marker::PhantomData)));
    }
}

#[test]
#[ignore = "needs a minute"]
fn ten_restarts_under_load_lose_no_request_of_three_thousand() {
    all_kinds_of_load(10, 3000);
}
