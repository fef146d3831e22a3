//! An observer that counts and checks events.

use std::collections::HashMap;
use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use parking_lot::Condvar;
use parking_lot::Mutex;

use crate::end::End;
use crate::engine::report::Report;
use crate::event::Event;
use crate::event::Observer;
use crate::event::Refusal;
use crate::event::RequestId;

/// How a child process of the server ended: its process ID, exit code and signal; see [`Event::ChildExit`].
pub type ChildExit = (u32, Option<i32>, Option<i32>);

/// An observer that counts and checks events; clones share their state.
///
/// It checks that each request has exactly one [`Event::Start`] and then exactly one [`Event::Stop`]. A server ignores
/// panics in its observer, so violations are recorded, and reported by [`assert_balanced`](Self::assert_balanced).
#[derive(Clone, Default)]
pub struct CheckingObserver {
    shared: Arc<Accounts>,
}

#[derive(Default)]
struct Accounts {
    state: Mutex<AccountsState>,
    changed: Condvar,
}

#[derive(Default)]
struct AccountsState {
    open: HashSet<RequestId>,
    ended: HashSet<RequestId>,
    ends: HashMap<End, u64>,
    refused: HashMap<Refusal, u64>,
    violations: Vec<String>,
    errors: Vec<String>,
    children: Vec<ChildExit>,
    accept_failing: u64,
    accept_lost: u64,
    accept_recovered: Vec<u64>,
    workers: HashSet<String>,
}

impl CheckingObserver {
    /// An observer that has seen nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// How many requests have begun.
    #[must_use]
    pub fn starts(&self) -> usize {
        self.read(|state| state.open.len() + state.ended.len())
    }

    /// How many requests are over.
    #[must_use]
    pub fn stops(&self) -> usize {
        self.read(|state| state.ended.len())
    }

    /// How many requests have begun and are not over.
    #[must_use]
    pub fn open(&self) -> usize {
        self.read(|state| state.open.len())
    }

    /// How many requests ended for this reason.
    #[must_use]
    pub fn ended(&self, end: End) -> u64 {
        self.read(|state| state.ends.get(&end).copied().unwrap_or_default())
    }

    /// How many requests were refused for this reason.
    #[must_use]
    pub fn refused(&self, reason: Refusal) -> u64 {
        self.read(|state| state.refused.get(&reason).copied().unwrap_or_default())
    }

    /// The errors of [`Event::Error`], in order.
    #[must_use]
    pub fn errors(&self) -> Vec<String> {
        self.read(|state| state.errors.clone())
    }

    /// The children that have ended, in order.
    #[must_use]
    pub fn child_exits(&self) -> Vec<ChildExit> {
        self.read(|state| state.children.clone())
    }

    /// How many threads currently run handlers, except that of `Sync` and those of child processes.
    #[must_use]
    pub fn workers(&self) -> usize {
        self.read(|state| state.workers.len())
    }

    /// How many times accepting began to fail.
    #[must_use]
    pub fn accept_failing(&self) -> u64 {
        self.read(|state| state.accept_failing)
    }

    /// How many connections were lost before they could be accepted.
    #[must_use]
    pub fn accept_lost(&self) -> u64 {
        self.read(|state| state.accept_lost)
    }

    /// For each time that accepting recovered, how often it had failed.
    #[must_use]
    pub fn accept_recovered(&self) -> Vec<u64> {
        self.read(|state| state.accept_recovered.clone())
    }

    /// The violations of one start and one stop per request so far.
    #[must_use]
    pub fn violations(&self) -> Vec<String> {
        self.read(|state| state.violations.clone())
    }

    /// Waits until this many requests are over; false if that took longer than `timeout`.
    #[must_use]
    pub fn wait_for_stops(&self, count: usize, timeout: Duration) -> bool {
        self.wait(timeout, |state| state.ended.len() >= count)
    }

    /// Waits until this many requests have begun; false if that took longer than `timeout`.
    #[must_use]
    pub fn wait_for_starts(&self, count: usize, timeout: Duration) -> bool {
        self.wait(timeout, |state| state.open.len() + state.ended.len() >= count)
    }

    /// Waits until this many children have ended; false if that took longer than `timeout`.
    #[must_use]
    pub fn wait_for_children(&self, count: usize, timeout: Duration) -> bool {
        self.wait(timeout, |state| state.children.len() >= count)
    }

    /// Asserts that each request had one start and one stop. Call it when the server has ended.
    ///
    /// # Panics
    ///
    /// If a request did not have exactly one start and one stop.
    pub fn assert_balanced(&self) {
        self.assert_open_at_most(0);
    }

    /// Like [`assert_balanced`](Self::assert_balanced), and compares with the server's report.
    /// [Abandoned](Report::abandoned) requests need not have stopped yet.
    ///
    /// # Panics
    ///
    /// If a request did not have exactly one start and one stop, or the counters of the report do not add up, or do not
    /// match the events.
    pub fn assert_adds_up(&self, report: &Report) {
        let Report { accepted, finished, idle_closed, forced, refused, failed, abandoned, .. } = *report;
        self.assert_open_at_most(abandoned);
        assert_eq!(accepted, finished + idle_closed + forced + refused + failed, "{report}");
        assert_eq!(accepted, self.starts() as u64, "{report}");
    }

    fn assert_open_at_most(&self, abandoned: u64) {
        let (violations, open) = self.read(|state| (state.violations.clone(), state.open.clone()));
        assert!(violations.is_empty(), "requests without exactly one start and one stop: {violations:?}");
        assert!(open.len() as u64 <= abandoned, "requests without a stop: {open:?}");
    }

    fn read<V>(&self, value: impl FnOnce(&AccountsState) -> V) -> V {
        value(&self.shared.state.lock())
    }

    fn wait(&self, timeout: Duration, done: impl Fn(&AccountsState) -> bool) -> bool {
        let deadline = Instant::now() + timeout;
        let mut state = self.shared.state.lock();
        while !done(&state) {
            if self.shared.changed.wait_until(&mut state, deadline).timed_out() {
                return done(&state);
            }
        }
        true
    }
}

impl Observer for CheckingObserver {
    fn observe(&self, event: &Event<'_>) {
        let mut state = self.shared.state.lock();
        match event {
            Event::Start { id, .. } => {
                if state.ended.contains(id) || !state.open.insert(*id) {
                    state.violations.push(format!("{id}: a second start"));
                }
            }
            Event::Stop { id, end, .. } => {
                if state.open.remove(id) {
                    state.ended.insert(*id);
                    *state.ends.entry(*end).or_default() += 1;
                } else {
                    let what = if state.ended.contains(id) { "a second stop" } else { "a stop without a start" };
                    state.violations.push(format!("{id}: {what}"));
                }
            }
            Event::Refused { reason } => *state.refused.entry(*reason).or_default() += 1,
            Event::Error { error, .. } => state.errors.push(error.to_string()),
            Event::ChildExit { pid, code, signal } => state.children.push((*pid, *code, *signal)),
            Event::AcceptFailing { .. } => state.accept_failing += 1,
            Event::AcceptLost { .. } => state.accept_lost += 1,
            Event::AcceptRecovered { failures } => state.accept_recovered.push(*failures),
            Event::DrainStart { .. }
            | Event::DrainForce { .. }
            | Event::ListenStart { .. }
            | Event::ListenStop { .. }
            | Event::LongCall { .. }
            | Event::Restarted { .. }
            | Event::RestartFailed { .. }
            | Event::Restarting { .. }
            | Event::Slow { .. }
            | Event::WaitsEnded { .. } => {}
            Event::WorkerStart { name } => {
                if !state.workers.insert((*name).to_owned()) {
                    state.violations.push(format!("{name}: a worker that has started twice"));
                }
            }
            Event::WorkerStop { name } => {
                if !state.workers.remove(*name) {
                    state.violations.push(format!("{name}: a worker that has ended without a start"));
                }
            }
        }
        drop(state);
        self.shared.changed.notify_all();
    }
}

impl fmt::Debug for CheckingObserver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CheckingObserver")
            .field("starts", &self.starts())
            .field("stops", &self.stops())
            .field("violations", &self.violations())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Traffic;

    fn start(id: u64) -> Event<'static> {
        Event::Start { id: RequestId(id), peer: None }
    }

    fn stop(id: u64) -> Event<'static> {
        let (end, duration) = (End::PeerClosed, Duration::ZERO);
        Event::Stop { id: RequestId(id), end, duration, traffic: Traffic::default(), calls: 0 }
    }

    #[test]
    fn what_breaks_the_promise_is_noted() {
        let violations = |events: &[Event<'_>]| {
            let observer = CheckingObserver::new();
            events.iter().for_each(|event| observer.observe(event));
            observer.violations()
        };
        assert!(violations(&[start(1), start(2), stop(2), stop(1)]).is_empty());
        assert_eq!(violations(&[start(1), start(1)]), ["1: a second start"]);
        assert_eq!(violations(&[start(1), stop(1), start(1)]), ["1: a second start"]);
        assert_eq!(violations(&[start(1), stop(1), stop(1)]), ["1: a second stop"]);
        assert_eq!(violations(&[stop(1)]), ["1: a stop without a start"]);
    }

    #[test]
    #[should_panic(expected = "requests without a stop")]
    fn a_request_that_is_still_open_is_found() {
        let observer = CheckingObserver::new();
        observer.observe(&start(1));
        observer.assert_balanced();
    }
}
