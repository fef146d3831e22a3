//! What a server has done, event by event, also where that is in another process.

use std::time::Duration;
use std::time::Instant;

use socketserver::End;
use socketserver::Event;
use socketserver::Observer;
use socketserver::Refusal;
use socketserver::Stage;
use socketserver::testing::CheckingObserver;
use socketserver::testing::ChildExit;

use super::Count;
use super::Log;
use super::PATIENCE;
use super::entry::Entry;

/// An event, as far as the tests look at their order.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Seen {
    DrainForce,
    DrainStart,
    Error(Stage),
    ListenStart,
    ListenStop,
    Refused(Refusal),
    Start,
    Stop(End),
}

/// What is told of an event.
#[derive(Clone, Debug)]
enum Told {
    AcceptFailing,
    AcceptLost,
    AcceptRecovered(u64),
    ChildExit(ChildExit),
    DrainForce,
    DrainStart,
    Error(Stage, String),
    ListenStart,
    ListenStop,
    Refused(Refusal),
    Start,
    Stop(End),
}

impl Told {
    fn of(event: &Event<'_>) -> Option<Self> {
        Some(match event {
            Event::AcceptFailing { .. } => Self::AcceptFailing,
            Event::AcceptLost { .. } => Self::AcceptLost,
            Event::AcceptRecovered { failures } => Self::AcceptRecovered(*failures),
            Event::ChildExit { pid, code, signal } => Self::ChildExit((*pid, *code, *signal)),
            Event::DrainForce { .. } => Self::DrainForce,
            Event::DrainStart { .. } => Self::DrainStart,
            Event::Error { error, .. } => Self::Error(error.stage(), error.to_string()),
            Event::ListenStart { .. } => Self::ListenStart,
            Event::ListenStop { .. } => Self::ListenStop,
            Event::Refused { reason } => Self::Refused(*reason),
            Event::Start { .. } => Self::Start,
            Event::Stop { end, .. } => Self::Stop(*end),
            _ => return None,
        })
    }

    fn seen(&self) -> Option<Seen> {
        Some(match self {
            Self::DrainForce => Seen::DrainForce,
            Self::DrainStart => Seen::DrainStart,
            Self::Error(stage, _) => Seen::Error(*stage),
            Self::ListenStart => Seen::ListenStart,
            Self::ListenStop => Seen::ListenStop,
            Self::Refused(reason) => Seen::Refused(*reason),
            Self::Start => Seen::Start,
            Self::Stop(end) => Seen::Stop(*end),
            Self::AcceptFailing | Self::AcceptLost | Self::AcceptRecovered(_) | Self::ChildExit(_) => return None,
        })
    }
}

impl Entry for Told {
    fn encode(&self) -> Vec<u8> {
        let (kind, rest) = match self {
            Self::AcceptFailing => ("accept failing", Vec::new()),
            Self::AcceptLost => ("accept lost", Vec::new()),
            Self::AcceptRecovered(failures) => ("accept recovered", failures.encode()),
            Self::ChildExit(exit) => ("child exit", exit.encode()),
            Self::DrainForce => ("drain force", Vec::new()),
            Self::DrainStart => ("drain start", Vec::new()),
            Self::Error(stage, text) => ("error", (*stage, text.clone()).encode()),
            Self::ListenStart => ("listen start", Vec::new()),
            Self::ListenStop => ("listen stop", Vec::new()),
            Self::Refused(reason) => ("refused", reason.encode()),
            Self::Start => ("start", Vec::new()),
            Self::Stop(end) => ("stop", end.encode()),
        };
        (kind.to_owned(), rest).encode()
    }

    fn decode(bytes: &[u8]) -> Self {
        let (kind, rest) = <(String, Vec<u8>)>::decode(bytes);
        match kind.as_str() {
            "accept failing" => Self::AcceptFailing,
            "accept lost" => Self::AcceptLost,
            "accept recovered" => Self::AcceptRecovered(u64::decode(&rest)),
            "child exit" => Self::ChildExit(ChildExit::decode(&rest)),
            "drain force" => Self::DrainForce,
            "drain start" => Self::DrainStart,
            "error" => {
                let (stage, text) = <(Stage, String)>::decode(&rest);
                Self::Error(stage, text)
            }
            "listen start" => Self::ListenStart,
            "listen stop" => Self::ListenStop,
            "refused" => Self::Refused(Refusal::decode(&rest)),
            "start" => Self::Start,
            "stop" => Self::Stop(End::decode(&rest)),
            other => unreachable!("{other} is none"),
        }
    }
}

/// The events in their order, and an observer that checks them in the process that serves.
#[derive(Clone, Debug, Default)]
pub struct Recorder {
    pub checking: CheckingObserver,
    log: Log<Told>,
    starts: Count,
    stops: Count,
}

impl Observer for Recorder {
    fn observe(&self, event: &Event<'_>) {
        if let Some(told) = Told::of(event) {
            self.log.push(told);
        }
        self.checking.observe(event);
        let count = match event {
            Event::Start { .. } => &self.starts,
            Event::Stop { .. } => &self.stops,
            _ => return,
        };
        count.add_one();
    }
}

impl Recorder {
    pub fn entries(&self) -> Vec<Seen> {
        self.told(Told::seen)
    }

    /// Why connections ended, in the order in which they did.
    pub fn ends(&self) -> Vec<End> {
        self.told(|told| if let Told::Stop(end) = told { Some(*end) } else { None })
    }

    /// Waits until this many connections have ended.
    #[track_caller]
    pub fn wait_for_ends(&self, count: usize) -> Vec<End> {
        assert!(self.wait_for_stops(count, PATIENCE), "in vain: the end of {count} connections");
        self.ends()
    }

    /// Waits until this many connections have ended; false if that takes too long.
    #[must_use]
    pub fn wait_for_stops(&self, count: usize, timeout: Duration) -> bool {
        reaches(&self.stops, count, timeout)
    }

    pub fn starts(&self) -> usize {
        self.starts.get()
    }

    pub fn stops(&self) -> usize {
        self.stops.get()
    }

    /// How many have begun and are not over.
    pub fn open(&self) -> usize {
        let stops = self.stops();
        self.starts() - stops
    }

    pub fn ended(&self, end: End) -> u64 {
        self.count(|told| matches!(told, Told::Stop(other) if *other == end))
    }

    pub fn refused(&self, reason: Refusal) -> u64 {
        self.count(|told| matches!(told, Told::Refused(other) if *other == reason))
    }

    /// What errors said, in order.
    pub fn errors(&self) -> Vec<String> {
        self.told(|told| if let Told::Error(_, text) = told { Some(text.clone()) } else { None })
    }

    pub fn child_exits(&self) -> Vec<ChildExit> {
        self.told(|told| if let Told::ChildExit(exit) = told { Some(*exit) } else { None })
    }

    /// How many times accepting began to fail.
    pub fn accept_failing(&self) -> u64 {
        self.count(|told| matches!(told, Told::AcceptFailing))
    }

    /// How many connections were lost before they could be accepted.
    pub fn accept_lost(&self) -> u64 {
        self.count(|told| matches!(told, Told::AcceptLost))
    }

    /// For each time that accepting worked again: how often it had failed.
    pub fn accept_recovered(&self) -> Vec<u64> {
        self.told(|told| if let Told::AcceptRecovered(failures) = told { Some(*failures) } else { None })
    }

    fn told<T>(&self, what: impl FnMut(&Told) -> Option<T>) -> Vec<T> {
        self.log.entries().iter().filter_map(what).collect()
    }

    fn count(&self, what: impl FnMut(&&Told) -> bool) -> u64 {
        self.log.entries().iter().filter(what).count() as u64
    }
}

fn reaches(count: &Count, least: usize, timeout: Duration) -> bool {
    let until = Instant::now() + timeout;
    while count.get() < least {
        if Instant::now() > until {
            return false;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    true
}
