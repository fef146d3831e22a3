//! What a server says that it has done, also where that was in another process.

use std::fmt;
use std::io;
use std::time::Duration;

use socketserver::Report;
use socketserver::ServeError;

use super::Recorder;
use super::entry::Entry;

/// To be called in the process that has served.
#[track_caller]
pub fn figures(outcome: Result<Report, ServeError>, seen: &Recorder) -> Outcome {
    match &outcome {
        Ok(report) => seen.checking.assert_adds_up(report),
        Err(_) => seen.checking.assert_balanced(),
    }
    outcome.map(|report| Figures::of(&report))
}

/// What a report says.
#[derive(Clone, Debug, Default)]
pub struct Figures {
    pub accepted: u64,
    pub finished: u64,
    pub detached: u64,
    pub idle_closed: u64,
    pub forced: u64,
    pub refused: u64,
    pub failed: u64,
    pub abandoned: u64,
    pub drained_in: Duration,
    text: String,
    clean: bool,
}

impl Figures {
    fn of(report: &Report) -> Self {
        let Report {
            accepted, finished, detached, idle_closed, forced, refused, failed, abandoned, drained_in, ..
        } = *report;
        let (text, clean) = (report.to_string(), report.is_clean());
        Self { accepted, finished, detached, idle_closed, forced, refused, failed, abandoned, drained_in, text, clean }
    }

    pub fn is_clean(&self) -> bool {
        self.clean
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Entry for Figures {
    fn encode(&self) -> Vec<u8> {
        let Self { accepted, finished, detached, idle_closed, forced, refused, failed, abandoned, drained_in, .. } =
            self;
        let counts = [accepted, finished, detached, idle_closed, forced, refused, failed, abandoned];
        let counts = counts.map(ToString::to_string).join(" ");
        (counts, drained_in.as_nanos() as u64, self.clean, self.text.clone()).encode()
    }

    fn decode(bytes: &[u8]) -> Self {
        let (counts, nanos, clean, text) = <(String, u64, bool, String)>::decode(bytes);
        let counts: Vec<u64> = counts.split(' ').map(|count| count.parse().expect("a number")).collect();
        let [accepted, finished, detached, idle_closed, forced, refused, failed, abandoned] = counts[..] else {
            panic!("{counts:?}")
        };
        let drained_in = Duration::from_nanos(nanos);
        Self { accepted, finished, detached, idle_closed, forced, refused, failed, abandoned, drained_in, text, clean }
    }
}

/// What serving came to; of errors those that tests provoke.
pub type Outcome = Result<Figures, ServeError>;

impl Entry for Outcome {
    fn encode(&self) -> Vec<u8> {
        match self {
            Ok(figures) => ("ok".to_owned(), figures.encode()),
            Err(ServeError::Panicked { message }) => ("panicked".to_owned(), message.encode()),
            Err(ServeError::Accept { address, source }) => {
                ("accept".to_owned(), (address.clone(), source.raw_os_error(), source.to_string()).encode())
            }
            Err(other) => panic!("{other}"),
        }
        .encode()
    }

    fn decode(bytes: &[u8]) -> Self {
        let (kind, rest) = <(String, Vec<u8>)>::decode(bytes);
        Err(match kind.as_str() {
            "ok" => return Ok(Figures::decode(&rest)),
            "panicked" => ServeError::Panicked { message: String::decode(&rest) },
            "accept" => {
                let (address, errno, text) = <(String, Option<i32>, String)>::decode(&rest);
                let source = errno.map_or_else(|| io::Error::other(text), io::Error::from_raw_os_error);
                ServeError::Accept { address, source }
            }
            other => unreachable!("{other} is none"),
        })
    }
}
