//! Under load, one of several processes on one listener is killed, again and again: what fails was at the one that was
//! killed, and nothing is left of it.
#![cfg(target_os = "linux")]

mod common;

use std::collections::HashSet;
use std::fs;
use std::io::Read;
use std::io::Write;
use std::net::SocketAddr;
use std::net::TcpStream;
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

use common::PATIENCE;
use common::becomes;
use common::eventually;
use common::example::Example;
use rustix::process::Pid;
use rustix::process::Signal;
use rustix::process::kill_process;

const PROCESSES: usize = 4;

/// Half of them keep their connections.
const CLIENTS: usize = 10;

/// What has become of the requests so far.
#[derive(Default)]
struct Load {
    stop: AtomicBool,
    answered: AtomicUsize,
    /// The longest that one of these has taken, with its connecting.
    longest: Mutex<Duration>,
    failures: Mutex<Vec<Failure>>,
    /// For each kill the ports of the clients whose connections were there.
    killed: Mutex<Vec<HashSet<u16>>>,
}

#[derive(Debug)]
struct Failure {
    error: String,
    /// `None` if it could not even connect.
    port: Option<u16>,
    /// How many had been killed when it began to connect.
    after: usize,
}

impl Failure {
    fn new(error: &std::io::Error, port: Option<u16>, after: usize) -> Self {
        Self { error: error.to_string(), port, after }
    }
}

struct Client<'a> {
    load: &'a Load,
    address: SocketAddr,
    keeps: bool,
    stream: Option<(TcpStream, u16, usize)>,
}

impl Client<'_> {
    fn run(&mut self) {
        while !self.load.stop.load(Ordering::SeqCst) {
            let begun = Instant::now();
            match self.request() {
                Ok(()) => {
                    let mut longest = self.load.longest.lock().unwrap();
                    *longest = begun.elapsed().max(*longest);
                    self.load.answered.fetch_add(1, Ordering::SeqCst);
                }
                Err(failure) => self.load.failures.lock().unwrap().push(failure),
            }
        }
    }

    fn request(&mut self) -> Result<(), Failure> {
        let (stream, port, after) = match self.stream.take() {
            Some(open) => open,
            None => {
                let after = self.load.killed.lock().unwrap().len();
                let connect = || {
                    let stream = TcpStream::connect(self.address)?;
                    stream.set_read_timeout(Some(PATIENCE))?;
                    let port = stream.local_addr()?.port();
                    Ok((stream, port))
                };
                let (stream, port) = connect().map_err(|error: std::io::Error| Failure::new(&error, None, after))?;
                (stream, port, after)
            }
        };
        let ask = || {
            (&stream).write_all(b"hello\n")?;
            let mut answer = [0; 6];
            (&stream).read_exact(&mut answer)?;
            assert_eq!(&answer, b"hello\n");
            Ok(())
        };
        ask().map_err(|error: std::io::Error| Failure::new(&error, Some(port), after))?;
        self.stream = self.keeps.then_some((stream, port, after));
        Ok(())
    }
}

/// Ends the load also when the test fails, which waits for its threads.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

fn signal(pid: u32, signal: Signal) {
    kill_process(Pid::from_raw(pid.cast_signed()).unwrap(), signal).unwrap();
}

fn members(server: &Example) -> Vec<u32> {
    let children = fs::read_to_string(format!("/proc/{0}/task/{0}/children", server.pid())).unwrap();
    children.split_whitespace().map(|pid| pid.parse().unwrap()).collect()
}

/// The ports of those whose connections a process has.
fn clients_of(pid: u32) -> HashSet<u16> {
    let links = fs::read_dir(format!("/proc/{pid}/fd")).unwrap().flatten();
    let sockets: HashSet<String> = links
        .filter_map(|link| {
            let target = fs::read_link(link.path()).ok()?.into_os_string().into_string().ok()?;
            Some(target.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned())
        })
        .collect();
    let table = fs::read_to_string("/proc/net/tcp").unwrap();
    let rows = table.lines().skip(1).map(|row| row.split_whitespace().collect::<Vec<_>>());
    rows.filter(|row| sockets.contains(row[9]))
        .map(|row| u16::from_str_radix(row[2].split_once(':').unwrap().1, 16).unwrap())
        .collect()
}

/// Stops one first, so that what it has at its end is known.
fn kill_one(server: &Example, load: &Load, turn: usize) {
    let members = members(server);
    let victim = members[turn % members.len()];
    signal(victim, Signal::STOP);
    eventually("it is stopped", || {
        let tasks = fs::read_dir(format!("/proc/{victim}/task")).unwrap().flatten();
        let mut stats = tasks.filter_map(|task| fs::read_to_string(task.path().join("stat")).ok());
        stats.all(|stat| stat.rsplit_once(") ").unwrap().1.starts_with('T'))
    });
    load.killed.lock().unwrap().push(clients_of(victim));
    signal(victim, Signal::KILL);
    eventually("it is replaced", || {
        let now = self::members(server);
        now.len() == PROCESSES && !now.contains(&victim)
    });
}

/// The descriptors of the supervisor, and the most that a member has: each has some of those whom it found there.
fn descriptors(server: &Example) -> (usize, usize) {
    let count = |pid| fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, Iterator::count);
    (count(server.pid()), members(server).into_iter().map(count).max().unwrap_or(0))
}

/// Kills as many, each when `pace` returns.
fn kills(dispatch: &str, count: usize, pace: impl Fn(&Load)) {
    let processes = PROCESSES.to_string();
    let flags = ["--listen", "127.0.0.1:0", "--processes", &processes, "--dispatch", dispatch, "--workers", "2"];
    let server = Example::start("echo", &flags);
    let untouched = Example::start("echo", &flags);
    let address = server.socket_address();
    let load = Load::default();
    becomes("processes", &PROCESSES, || members(&server).len());
    std::thread::scope(|scope| {
        let _stop = Stop(&load.stop);
        for number in 0..CLIENTS {
            let load = &load;
            scope.spawn(move || Client { load, address, keeps: number % 2 == 0, stream: None }.run());
        }
        for turn in 0..count {
            pace(&load);
            kill_one(&server, &load, turn);
        }
        pace(&load);
    });
    let Load { answered, longest, failures, killed, .. } = load;
    let (failures, killed) = (failures.into_inner().unwrap(), killed.into_inner().unwrap());
    let there: usize = killed.iter().map(HashSet::len).sum();
    eprintln!(
        "{dispatch}: {count} kills, {} requests answered, the longest in {:.3?}; {there} connections of those killed, \
         {} requests failed",
        answered.into_inner(),
        longest.into_inner().unwrap(),
        failures.len()
    );
    for failure in &failures {
        let was_there = |port| killed[failure.after..].iter().any(|ports| ports.contains(&port));
        let Failure { error, port, after } = failure;
        assert!(port.is_some_and(was_there), "{dispatch}: {error}, client {port:?} after {after} of {killed:?}");
    }
    eventually("both have the same descriptors", || descriptors(&server) == descriptors(&untouched));
    assert_eq!(members(&server).len(), PROCESSES, "{dispatch}");
    for server in [server, untouched] {
        let (status, errors) = server.stop();
        assert!(status.success(), "{errors}");
    }
}

#[test]
fn what_fails_was_at_the_one_that_was_killed() {
    for dispatch in ["sync", "threads", "pool"] {
        kills(dispatch, 5, |load| {
            let before = load.answered.load(Ordering::SeqCst);
            eventually("requests go on", || load.answered.load(Ordering::SeqCst) >= before + 100);
        });
    }
}

#[test]
#[ignore = "needs a minute"]
fn one_is_killed_twice_a_second() {
    for dispatch in ["sync", "threads", "pool"] {
        kills(dispatch, 20, |_| std::thread::sleep(Duration::from_millis(500)));
    }
}
