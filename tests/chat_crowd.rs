//! The example `chat` with many guests that do not read: they take nothing from others, none costs more than it may, and
//! each is sent away.

#![cfg(target_os = "linux")]

mod common;

use std::io::BufRead;
use std::io::BufReader;
use std::io::Read;
use std::io::Write;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::mpsc;
use std::time::Instant;

use rustix::process::Pid;
use rustix::process::Signal;
use rustix::process::kill_process;

use common::PATIENCE;
use common::TempDir;
use common::allow_descriptors;
use common::connect_unix;
use common::example::Example;
use common::example::program;

const DEAF: usize = 1_500;

/// So many come at a time: what there is to hear of them is less than the kernel takes for one that is slow.
const BATCH: usize = 100;

/// What the room may take for all of them: what the example promises for each, and what it takes for itself.
const MEMORY: usize = DEAF * 128 * 1024 + (64 << 20);

/// The most memory that a process has had at a time, in bytes.
fn most_memory(pid: u32) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("status");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("VmHWM");
    line.trim().strip_suffix(" kB").and_then(|figure| figure.parse::<usize>().ok()).expect("a figure") * 1024
}

/// Listens only when it is told to.
struct Guest {
    client: UnixStream,
    /// The end of what it has heard.
    heard: Vec<u8>,
}

impl Guest {
    fn new(mut client: UnixStream, number: usize) -> Self {
        client.write_all(format!("guest{number}\n").as_bytes()).expect("a name");
        Self { client, heard: Vec::new() }
    }

    fn hear_up_to(&mut self, line: &str) {
        let mut buffer = [0; 64 * 1024];
        while !self.heard.ends_with(line.as_bytes()) {
            let count = self.client.read(&mut buffer).expect("more");
            assert!(count > 0, "sent away: {}", String::from_utf8_lossy(&self.heard));
            self.heard.extend_from_slice(&buffer[..count]);
            self.heard.drain(..self.heard.len().saturating_sub(100));
        }
    }
}

/// Reads up to `line`.
fn hear(reader: &mut impl BufRead, line: &str) {
    let mut heard = String::new();
    while heard != line {
        heard.clear();
        assert_ne!(reader.read_line(&mut heard).expect("more"), 0, "sent away");
    }
}

/// The one who talks: who has come so far, and the answers to `/who`.
struct Talker {
    says: UnixStream,
    came: mpsc::Receiver<()>,
    here: mpsc::Receiver<String>,
}

impl Talker {
    fn new(mut says: UnixStream) -> Self {
        // However long it is quiet.
        says.set_read_timeout(None).expect("no timeout");
        says.write_all(b"talker\n").expect("a name");
        let mut hears = BufReader::new(says.try_clone().expect("the same client"));
        let mut line = String::new();
        while line != "* you are talker\n" {
            line.clear();
            assert_ne!(hears.read_line(&mut line).expect("a line"), 0);
        }
        let (comes, came) = mpsc::channel();
        let (is_here, here) = mpsc::channel();
        // Until the room closes, or the test drops its ends.
        std::thread::spawn(move || {
            for line in hears.lines().map_while(Result::ok) {
                if line.ends_with(" is here") {
                    let _ = comes.send(());
                } else if let Some(names) = line.strip_prefix("* here: ") {
                    let _ = is_here.send(names.to_owned());
                }
            }
        });
        Self { says, came, here }
    }
}

/// A room for so many, of whom those who take nothing for this many seconds have to leave.
fn open(dispatch: &str, path: &Path, timeout: &str) -> Example {
    allow_descriptors(DEAF as u64 + 500);
    let path = path.to_str().expect("text");
    let flags = ["--transport", "unix", "--listen", path, "--dispatch", dispatch, "--timeout", timeout];
    // A server uses three quarters of its descriptors for connections, and a thread may have one of its own; on no stack is
    // there room for a call for each guest.
    let limits = format!("ulimit -n {}; ulimit -s 256; export RUST_MIN_STACK=262144", DEAF * 3);
    Example::start_after(&limits, &program("chat"), &flags)
}

fn under(dispatch: &str) {
    let folder = TempDir::new();
    let path = folder.join("chat.sock");
    let room = open(dispatch, &path, "1");
    let pid = Pid::from_raw(room.pid().cast_signed()).expect("its number");
    let mut talker = Talker::new(connect_unix(&path));

    // They hear all the others come, so that from then on each has as much waiting as the next. The room sleeps while
    // they come, or it would write to each for each.
    let mut deaf: Vec<Guest> = Vec::new();
    while deaf.len() < DEAF {
        kill_process(pid, Signal::STOP).expect("a signal");
        for _ in 0..BATCH {
            deaf.push(Guest::new(connect_unix(&path), deaf.len()));
        }
        kill_process(pid, Signal::CONT).expect("a signal");
        for _ in 0..BATCH {
            talker.came.recv_timeout(4 * PATIENCE).expect("all come");
        }
        talker.says.write_all(format!("{} are here\n", deaf.len()).as_bytes()).expect("say");
        let line = format!("talker: {} are here\n", deaf.len());
        deaf.iter_mut().for_each(|guest| guest.hear_up_to(&line));
    }

    let mut lines = format!("{}\n", "x".repeat(900)).repeat(20);
    lines += "/who\n";
    let until = Instant::now() + 8 * PATIENCE;
    loop {
        talker.says.write_all(lines.as_bytes()).expect("say");
        let Ok(here) = talker.here.recv_timeout(4 * PATIENCE) else { panic!("no answer: {:?}", room.stop()) };
        if here == "talker" {
            break;
        }
        assert!(Instant::now() < until, "these are still here: {here}");
    }
    let memory = most_memory(room.pid());
    println!("{dispatch}: {} MiB", memory >> 20);
    assert!(memory < MEMORY, "{} MiB", memory >> 20);
    drop(deaf);
    let (status, report) = room.stop();
    assert!(status.success() && report.contains(&format!("{} accepted", DEAF + 1)), "{status}: {report}");
}

/// They come all at once and read nothing, while one talks as fast as it can.
fn others_are_served_under(dispatch: &str) {
    let folder = TempDir::new();
    let path = folder.join("chat.sock");
    let room = open(dispatch, &path, "600");
    let talker = Talker::new(connect_unix(&path));
    let slow = connect_unix(&path);
    let reads = slow.try_clone().expect("the same client");
    let slow = Guest::new(slow, DEAF);
    std::thread::spawn(move || std::io::copy(&mut &reads, &mut std::io::sink()));
    let deaf: Vec<Guest> = (0..DEAF).map(|number| Guest::new(connect_unix(&path), number)).collect();
    let talking = std::thread::spawn(move || {
        let lines = format!("{}\n", "x".repeat(500)).repeat(10);
        while (&talker.says).write_all(lines.as_bytes()).is_ok() {}
    });
    for number in DEAF + 1..DEAF + 5 {
        let newcomer = Guest::new(connect_unix(&path), number);
        let mut hears = BufReader::new(&newcomer.client);
        hear(&mut hears, &format!("* you are guest{number}\n"));
        (&slow.client).write_all(format!("word {number}\n").as_bytes()).expect("say");
        hear(&mut hears, &format!("guest{DEAF}: word {number}\n"));
    }
    drop(room);
    talking.join().expect("it ends with the room");
    drop(deaf);
}

#[test]
fn guests_that_do_not_read_take_nothing_from_others_under_sync() {
    others_are_served_under("sync");
}

#[test]
fn guests_that_do_not_read_take_nothing_from_others_under_threads() {
    others_are_served_under("threads");
}

#[test]
fn guests_that_do_not_read_take_nothing_from_others_under_pool() {
    others_are_served_under("pool");
}

#[test]
fn guests_that_stop_reading_are_sent_away_under_sync() {
    under("sync");
}

#[test]
fn guests_that_stop_reading_are_sent_away_under_pool() {
    under("pool");
}
