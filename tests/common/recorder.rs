//! What a server has done, event by event.

use std::ops::Deref;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;

use socketserver::End;
use socketserver::Event;
use socketserver::Observer;
use socketserver::Refusal;
use socketserver::RequestId;
use socketserver::Stage;
use socketserver::testing::CheckingObserver;

use super::PATIENCE;

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

/// An event, as far as the tests look at their order.
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

/// The checking observer, and the events in their order.
#[derive(Clone, Debug, Default)]
pub struct Recorder {
    checking: CheckingObserver,
    log: Log<Seen>,
}

impl Observer for Recorder {
    fn observe(&self, event: &Event<'_>) {
        let seen = match event {
            Event::DrainForce { .. } => Some(Seen::DrainForce),
            Event::DrainStart { .. } => Some(Seen::DrainStart),
            Event::Error { error, .. } => Some(Seen::Error(error.stage())),
            Event::ListenStart { .. } => Some(Seen::ListenStart),
            Event::ListenStop { .. } => Some(Seen::ListenStop),
            Event::Refused { reason } => Some(Seen::Refused(*reason)),
            Event::Start { id, .. } => Some(Seen::Start(*id)),
            Event::Stop { id, end, .. } => Some(Seen::Stop(*id, *end)),
            _ => None,
        };
        if let Some(seen) = seen {
            self.log.push(seen);
        }
        self.checking.observe(event);
    }
}

impl Recorder {
    pub fn entries(&self) -> Vec<Seen> {
        self.log.entries()
    }

    /// Why connections ended, in the order in which they did.
    pub fn ends(&self) -> Vec<End> {
        let ends = self.entries().into_iter();
        ends.filter_map(|seen| if let Seen::Stop(_, end) = seen { Some(end) } else { None }).collect()
    }

    /// Waits until so many connections have ended.
    #[track_caller]
    pub fn wait_for_ends(&self, count: usize) -> Vec<End> {
        assert!(self.checking.wait_for_stops(count, PATIENCE), "in vain: the end of {count} connections");
        self.ends()
    }
}

impl Deref for Recorder {
    type Target = CheckingObserver;

    fn deref(&self) -> &CheckingObserver {
        &self.checking
    }
}
