//! What has happened in a server: its events, counted.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Duration;
use std::time::Instant;

use socketserver::End;
use socketserver::Event;
use socketserver::RequestId;
use socketserver::Traffic;

/// All there are: an end that has not happened yet is one that has happened 0 times.
const ENDS: [End; 11] = [
    End::Detached,
    End::Drained,
    End::Failed,
    End::Forced,
    End::HandlerClosed,
    End::IdleTimeout,
    End::Panicked,
    End::PeerClosed,
    End::Refused,
    End::Shed,
    End::TimedOut,
];

/// The upper bounds of the histogram, in seconds; one place more is for what took longer.
pub const BOUNDS: [f64; 14] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0, 60.0, 600.0, 3600.0];

/// How many entries a list of what lasts longest has.
const LISTED: usize = 10;

/// The events of one server. One lock for all of them, so that they fit together.
#[derive(Debug)]
pub struct Book {
    /// The value of the label `server`.
    pub server: &'static str,
    sheets: Mutex<Sheets>,
}

#[derive(Debug, Default)]
struct Sheets {
    figures: Figures,
    /// In the order in which they were accepted.
    open: BTreeMap<RequestId, Open>,
    /// The longest first.
    calls: Vec<Lasting>,
}

/// Counts of things by a word.
pub type ByWord = BTreeMap<String, u64>;

#[derive(Clone, Debug, Default)]
pub struct Figures {
    pub started: u64,
    pub ended: ByWord,
    pub open: u64,
    pub received: u64,
    pub sent: u64,
    pub calls: u64,
    /// How many took as long as each of the bounds allows, and longer than the one before.
    pub durations: [u64; BOUNDS.len() + 1],
    pub duration: Duration,
    pub refused: ByWord,
    pub errors: ByWord,
    pub restarts: ByWord,
    pub accept_episodes: u64,
    pub accept_failures: u64,
    pub accept_lost: u64,
    pub workers: u64,
    pub slow: u64,
    pub long_calls: u64,
    pub waits_ended: u64,
    pub drains_forced: u64,
    pub is_listening: bool,
    pub is_draining: bool,
}

/// A connection that is open.
#[derive(Debug)]
struct Open {
    since: Instant,
    /// Where it comes from, as its transport writes it.
    peer: String,
}

/// What lasts long, or has.
#[derive(Clone, Debug)]
pub struct Lasting {
    pub time: Duration,
    pub peer: String,
}

impl Book {
    pub fn new(server: &'static str) -> Self {
        let ended = ENDS.map(|end| (end.to_string(), 0));
        let figures = Figures { ended: ended.into(), ..Figures::default() };
        Self { server, sheets: Mutex::new(Sheets { figures, ..Sheets::default() }) }
    }

    /// The figures now.
    pub fn figures(&self) -> Figures {
        self.lock().figures.clone()
    }

    /// Whether the server takes connections: it has begun to, and has not been told to stop.
    pub fn is_healthy(&self) -> bool {
        let figures = &self.lock().figures;
        figures.is_listening && !figures.is_draining
    }

    /// The connections that have been open longest, and the longest calls of handlers that others had to wait for, of
    /// those that are over.
    pub fn longest(&self) -> [Vec<Lasting>; 2] {
        let sheets = self.lock();
        let open = sheets.open.values().take(LISTED);
        let open = open.map(|open| Lasting { time: open.since.elapsed(), peer: open.peer.clone() }).collect();
        [open, sheets.calls.clone()]
    }

    /// The longest of the calls that are running, with where they come from.
    pub fn running(&self, calls: impl IntoIterator<Item = (RequestId, Duration)>) -> Vec<Lasting> {
        let sheets = self.lock();
        let peer = |id| sheets.open.get(&id).map(|open| open.peer.clone()).unwrap_or_default();
        calls.into_iter().take(LISTED).map(|(id, time)| Lasting { time, peer: peer(id) }).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Sheets> {
        self.sheets.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn count(&self, event: &Event<'_>) {
        let Sheets { figures, open, calls } = &mut *self.lock();
        match event {
            Event::Start { id, peer } => {
                figures.started += 1;
                let peer = peer.map(written).unwrap_or_default();
                open.insert(*id, Open { since: Instant::now(), peer });
                figures.open = open.len() as u64;
            }
            Event::Stop { id, end, duration, traffic: Traffic { received, sent }, calls } => {
                one_more(&mut figures.ended, end);
                open.remove(id);
                figures.open = open.len() as u64;
                figures.received += received;
                figures.sent += sent;
                figures.calls += calls;
                figures.duration += *duration;
                figures.durations[BOUNDS.partition_point(|&bound| bound < duration.as_secs_f64())] += 1;
            }
            Event::Refused { reason } => one_more(&mut figures.refused, reason),
            Event::Error { error, .. } => one_more(&mut figures.errors, &error.stage()),
            Event::AcceptFailing { .. } => figures.accept_episodes += 1,
            Event::AcceptRecovered { failures } => figures.accept_failures += failures,
            Event::AcceptLost { .. } => figures.accept_lost += 1,
            Event::WorkerStart { .. } => figures.workers += 1,
            Event::WorkerStop { .. } => figures.workers = figures.workers.saturating_sub(1),
            Event::Slow { .. } => figures.slow += 1,
            Event::LongCall { id, took } => {
                figures.long_calls += 1;
                let place = calls.partition_point(|call| call.time >= *took);
                if place < LISTED {
                    let peer = open.get(id).map(|open| open.peer.clone()).unwrap_or_default();
                    calls.truncate(LISTED - 1);
                    calls.insert(place, Lasting { time: *took, peer });
                }
            }
            Event::WaitsEnded { ended, .. } => figures.waits_ended += *ended as u64,
            Event::ListenStart { .. } => figures.is_listening = true,
            Event::ListenStop { .. } => figures.is_listening = false,
            Event::DrainStart { .. } => figures.is_draining = true,
            Event::DrainForce { .. } => figures.drains_forced += 1,
            Event::Restarted { .. } => one_more(&mut figures.restarts, &"success"),
            Event::RestartFailed { .. } => one_more(&mut figures.restarts, &"failure"),
            // There are no children here, and other events are told elsewhere.
            _ => {}
        }
    }
}

/// Without the word that the transports of the examples, all of which may be behind a proxy, put around it.
fn written(peer: &dyn Debug) -> String {
    let peer = format!("{peer:?}");
    peer.strip_prefix("Own(").and_then(|rest| rest.strip_suffix(')')).map_or_else(|| peer.clone(), str::to_owned)
}

fn one_more(counts: &mut ByWord, word: &impl ToString) {
    *counts.entry(word.to_string()).or_default() += 1;
}
