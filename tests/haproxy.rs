//! Servers behind HAProxy, which is configured as the guide says: under load, one is restarted hot, one is stopped and
//! started anew, and one is killed. What fails at the clients is counted.
#![cfg(target_os = "linux")]

mod common;

#[path = "haproxy/balancer.rs"]
mod balancer;
#[path = "haproxy/requests.rs"]
mod requests;

use std::fs;
use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

use balancer::Balancer;
use common::TempDir;
use common::eventually;
use common::restarted::Restarted;
use common::restarted::is_there;
use requests::Client;
use requests::Download;
use rustix::process::Signal;

const LETTERS: [&str; 4] = ["a", "b", "c", "d"];

/// Each serves files of its own, so that it is seen whose answer it is: `name` is the letter, and `large` begins with it.
const RESTARTED: usize = 0;
const STOPPED: usize = 1;
const KILLED: usize = 2;
const LEFT_ALONE: usize = 3;

/// More than all buffers on the way hold: when a client has begun to read it, the server has not sent it yet.
const LARGE: u64 = 32 << 20;

/// So many of them at the server that something is done to, at the least.
const DOWNLOADS: usize = 2;

fn folder(letter: &str) -> TempDir {
    let folder = TempDir::new();
    fs::write(folder.join("name"), letter).unwrap();
    fs::write(folder.join("large"), letter).unwrap();
    fs::OpenOptions::new().write(true).open(folder.join("large")).unwrap().set_len(LARGE).unwrap();
    folder
}

/// Of an address that nothing else has ports of: where one has stopped, another can start.
fn start(folder: &TempDir, dispatch: &str, listen: &str) -> Restarted {
    let directory = folder.path().to_str().unwrap();
    let flags = ["--listen", listen, "--proxy-from", "127.0.0.1", "--directory", directory, "--dispatch", dispatch];
    Restarted::start("http_files", &flags)
}

/// Clients that ask all the time, four with a connection for each request and four that keep theirs.
struct Load {
    address: SocketAddr,
    stop: AtomicBool,
    /// How many answers each of the servers has given.
    answers: [AtomicUsize; 4],
    /// What has been done last, and what has failed.
    failures: Mutex<Vec<(&'static str, std::io::Error)>>,
    doing: Mutex<&'static str>,
}

impl Load {
    fn client(&self, keeps: bool) {
        let mut client = Client::new(self.address, keeps);
        while !self.stop.load(Ordering::SeqCst) {
            let doing = *self.doing.lock().unwrap();
            let answer = client.get("/name").and_then(|name| {
                LETTERS.iter().position(|letter| *letter == name).ok_or_else(|| std::io::Error::other(name))
            });
            match answer {
                Ok(server) => drop(self.answers[server].fetch_add(1, Ordering::SeqCst)),
                Err(error) => self.failures.lock().unwrap().push((doing, error)),
            }
        }
    }

    fn doing(&self, what: &'static str) {
        *self.doing.lock().unwrap() = what;
    }

    /// Waits until these servers have given more answers.
    fn more_of(&self, servers: &[usize]) {
        for server in servers {
            let count = || self.answers[*server].load(Ordering::SeqCst);
            let before = count();
            eventually(&format!("answers of {server}"), || count() >= before + 100);
        }
    }

    /// Large files, some of them of this server.
    fn downloads(&self, server: usize) -> Vec<Download> {
        let mut downloads = Vec::new();
        eventually("downloads of the server", || {
            downloads.push(Download::begin(self.address, "/large"));
            of(&downloads, server) >= DOWNLOADS
        });
        downloads
    }
}

/// How many of the files are of this server.
fn of(downloads: &[Download], server: usize) -> usize {
    downloads.iter().filter(|download| [download.letter] == LETTERS[server].as_bytes()).count()
}

/// Of which servers those are that do not come whole.
fn cut(downloads: Vec<Download>) -> Vec<usize> {
    let server = |letter: u8| LETTERS.iter().position(|name| name.as_bytes() == [letter]).unwrap();
    let mut cut = Vec::new();
    for download in downloads {
        let server = server(download.letter);
        if !download.comes_whole() {
            cut.push(server);
        }
    }
    cut
}

/// From what the server said at its end, and the one that it has replaced. The balancer resets the connections that it
/// needs no more, which count as failed, and who waits in the backlog at a stop is refused, and tries another.
fn assert_in_order(said: &str) {
    let reports: Vec<_> = said.lines().filter(|line| line.contains(" accepted: ")).collect();
    assert!(!reports.is_empty() && reports.iter().all(|report| report.contains(" 0 forced (0 abandoned), ")), "{said}");
}

/// Ends the load also when the test fails, which waits for its threads.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

#[test]
#[ignore = "needs haproxy"]
fn what_fails_at_clients_was_on_its_way_from_the_one_that_was_killed() {
    for dispatch in ["sync", "threads", "pool"] {
        under_load(dispatch);
    }
}

fn under_load(dispatch: &str) {
    let folders = LETTERS.map(folder);
    let mut servers = folders.each_ref().map(|folder| Some(start(folder, dispatch, "127.0.0.2:0")));
    let addresses = servers.each_ref().map(|server| server.as_ref().unwrap().address.clone());
    let balancer = Balancer::start(addresses.each_ref().map(String::as_str));
    let address = balancer.address;
    eventually("the balancer passes requests on", || Client::new(address, false).get("/name").is_ok());
    let load = Load {
        address,
        stop: AtomicBool::new(false),
        answers: Default::default(),
        failures: Mutex::default(),
        doing: Mutex::new("at first"),
    };
    let (mut old, mut lost) = (0, 0);
    std::thread::scope(|scope| {
        let _stop = Stop(&load.stop);
        for number in 0..8 {
            let load = &load;
            scope.spawn(move || load.client(number % 2 == 0));
        }
        load.more_of(&[RESTARTED, STOPPED, KILLED, LEFT_ALONE]);

        load.doing("hot restart");
        let downloads = load.downloads(RESTARTED);
        old = servers[RESTARTED].as_mut().unwrap().restart();
        load.more_of(&[RESTARTED, STOPPED]);
        assert_eq!(cut(downloads), [], "{dispatch}");

        load.doing("stop");
        let downloads = load.downloads(STOPPED);
        let stopped = servers[STOPPED].take().unwrap();
        stopped.signal(Signal::TERM);
        assert_eq!(cut(downloads), [], "{dispatch}");
        assert_in_order(&stopped.wait());
        load.more_of(&[RESTARTED, KILLED, LEFT_ALONE]);
        load.doing("start");
        servers[STOPPED] = Some(start(&folders[STOPPED], dispatch, &addresses[STOPPED]));
        load.more_of(&[STOPPED]);

        load.doing("kill");
        let downloads = load.downloads(KILLED);
        let on_their_way = of(&downloads, KILLED);
        servers[KILLED].take().unwrap().end(Signal::KILL);
        load.more_of(&[RESTARTED, STOPPED, LEFT_ALONE]);
        assert_eq!(cut(downloads), vec![KILLED; on_their_way], "{dispatch}");
        load.more_of(&[RESTARTED, STOPPED, LEFT_ALONE]);
        lost = on_their_way;
    });
    let failures = load.failures.into_inner().unwrap();
    let answers = load.answers.map(AtomicUsize::into_inner);
    eprintln!("{dispatch}: {answers:?} answers, {} requests failed, {lost} files cut", failures.len());
    assert!(failures.is_empty(), "{dispatch}: {failures:?}; {}", balancer.errors());
    // With the connections that it keeps.
    drop(balancer);
    eventually("the old process has gone", || !is_there(old));
    for server in servers.into_iter().flatten() {
        assert_in_order(&server.stop());
    }
}
