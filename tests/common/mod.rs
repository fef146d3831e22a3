//! What the tests have in common: clients with a safety net, a checking observer, a folder of their own.

#![allow(dead_code, unreachable_pub, reason = "each test target uses what it needs")]

pub mod echo;

use std::io::BufRead;
use std::io::BufReader;
use std::io::Read;
use std::io::Write;
use std::net::SocketAddr;
use std::net::TcpStream;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

use socketserver::End;
use socketserver::Event;
use socketserver::Observer;
use socketserver::Refusal;
use socketserver::Report;
use socketserver::RequestId;
use socketserver::Stage;

/// A test that waits longer than this has failed. No test waits so long to succeed.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A client whose reads and writes fail after [`PATIENCE`] instead of hanging.
pub fn connect(address: SocketAddr) -> TcpStream {
    let client = TcpStream::connect(address).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    client.set_write_timeout(Some(PATIENCE)).unwrap();
    client
}

/// Sends `line` and a newline; the line that comes back, without its newline.
pub fn ask(mut client: &TcpStream, line: &str) -> String {
    client.write_all(format!("{line}\n").as_bytes()).unwrap();
    read_line(client)
}

/// The next line, without its newline; empty at the end of input. Takes not a byte more.
pub fn read_line(client: impl Read) -> String {
    let mut line = String::new();
    BufReader::with_capacity(1, client).read_line(&mut line).unwrap();
    line.trim_end_matches('\n').to_owned()
}

/// Everything up to the end of input.
pub fn read_rest(mut client: impl Read) -> Vec<u8> {
    let mut rest = Vec::new();
    client.read_to_end(&mut rest).unwrap();
    rest
}

/// Looks again and again until `condition` holds, for what no descriptor and no channel tells of.
pub fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < until, "in vain: {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// `accepted = finished + idle_closed + forced + refused + failed`.
#[track_caller]
pub fn assert_adds_up(report: &Report) {
    let sum = report.finished + report.idle_closed + report.forced + report.refused + report.failed;
    assert_eq!(report.accepted, sum, "{report}");
}

/// A list that handlers and hooks on any thread write to.
#[derive(Debug)]
pub struct Log<T = String>(Arc<Mutex<Vec<T>>>);

impl<T> Default for Log<T> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<T> Clone for Log<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T: Clone> Log<T> {
    pub fn push(&self, entry: impl Into<T>) {
        self.lock().push(entry.into());
    }

    pub fn entries(&self) -> Vec<T> {
        self.lock().clone()
    }

    pub fn len(&self) -> usize {
        self.lock().len()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<T>> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// An event, as far as the tests look at it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Seen {
    DrainForce,
    DrainStart,
    Error(Stage),
    ListenStart,
    ListenStop,
    Refused(Refusal),
    Start(RequestId),
    Stop(RequestId, End),
}

/// An observer that remembers, and checks that each connection starts once and stops once.
#[derive(Clone, Debug, Default)]
pub struct Recorder(Log<Seen>);

impl Observer for Recorder {
    fn observe(&self, event: &Event<'_>) {
        let seen = match event {
            Event::DrainForce { .. } => Seen::DrainForce,
            Event::DrainStart { .. } => Seen::DrainStart,
            Event::Error { error, .. } => Seen::Error(error.stage()),
            Event::ListenStart { .. } => Seen::ListenStart,
            Event::ListenStop { .. } => Seen::ListenStop,
            Event::Refused { reason } => Seen::Refused(*reason),
            Event::Start { id, .. } => Seen::Start(*id),
            Event::Stop { id, end, .. } => Seen::Stop(*id, *end),
            _ => return,
        };
        self.0.push(seen);
    }
}

impl Recorder {
    pub fn entries(&self) -> Vec<Seen> {
        self.0.entries()
    }

    /// Why connections ended, in the order in which they did.
    pub fn ends(&self) -> Vec<End> {
        let ends = self.entries().into_iter();
        ends.filter_map(|seen| if let Seen::Stop(_, end) = seen { Some(end) } else { None }).collect()
    }

    /// Waits until so many connections have ended.
    pub fn wait_for_ends(&self, count: usize) -> Vec<End> {
        eventually(&format!("the end of {count} connections"), || self.ends().len() >= count);
        self.ends()
    }

    /// Exactly one start and one stop for each connection, in this order, and `accepted` of them.
    #[track_caller]
    pub fn assert_balanced(&self, report: &Report) {
        let mut open = Vec::new();
        let mut started = Vec::new();
        for seen in self.entries() {
            match seen {
                Seen::Start(id) => {
                    assert!(!started.contains(&id), "{id} started twice");
                    started.push(id);
                    open.push(id);
                }
                Seen::Stop(id, end) => {
                    let place = open.iter().position(|other| *other == id);
                    let place = place.unwrap_or_else(|| panic!("{id} stopped ({end:?}) without being open"));
                    open.swap_remove(place);
                }
                _ => {}
            }
        }
        assert_eq!(open, [], "started, but never stopped");
        assert_eq!(started.len() as u64, report.accepted, "{report}");
        assert_adds_up(report);
    }
}

/// A folder of one test's own, removed with all that is in it.
#[derive(Debug)]
pub struct TempDir(PathBuf);

impl TempDir {
    pub fn new() -> Self {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("socketserver-{}-{number}", std::process::id()));
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    pub fn join(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Writes each test three times: under `Sync`, `ThreadPerRequest` and `Pool`, which its body calls by the name in angle brackets.
#[macro_export]
macro_rules! under_each_dispatch {
    ($($(#[$attribute:meta])* fn $name:ident<$D:ident>() $body:block)+) => {$(
        mod $name {
            use super::*;

            $(#[$attribute])*
            #[test]
            fn sync() {
                type $D = socketserver::Sync;
                $body
            }

            $(#[$attribute])*
            #[test]
            fn threads() {
                type $D = socketserver::ThreadPerRequest;
                $body
            }

            $(#[$attribute])*
            #[test]
            fn pool() {
                type $D = socketserver::Pool;
                $body
            }
        }
    )+};
}
