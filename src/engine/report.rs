//! What a server did: the report of its end, and the snapshot of its counters.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::engine::calls::RunningCall;
use crate::engine::core::Core;
use crate::engine::core::Counter;

/// A snapshot of a server's counters; see [`Server::stats`](crate::Server::stats). In a child of the dispatch `Fork`,
/// they are those of the whole server.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Stats {
    /// Connections and datagrams accepted.
    pub accepted: u64,
    /// Currently open.
    pub active: usize,
    /// Ended by the handler or by the peer.
    pub finished: u64,
    /// Of the finished: taken out of the server by their handlers, with [`Flow::Detach`](crate::Flow::Detach).
    pub detached: u64,
    /// Ended while idle: after the idle timeout, shed, or drained.
    pub idle_closed: u64,
    /// Cut off at the drain's deadline.
    pub forced: u64,
    /// Refused: not verified, over the limit, not dispatched, or in the backlog at the stop.
    pub refused: u64,
    /// Ended by an error, a panic or a timeout.
    pub failed: u64,
    /// Waits of handlers that a [`Pool`](crate::Pool) at its `max_threads` has ended early, in favour of others.
    pub waits_ended: u64,
    /// Threads of a `Pool`: workers and spare threads.
    pub threads: usize,
    /// Of the threads: those that wait for a peer inside a handler.
    pub threads_waiting: usize,
    /// Of the threads: spare ones, which were started while others waited, and end when they are no longer needed.
    pub threads_spare: usize,
}

impl Stats {
    pub(crate) fn of(core: &Core) -> Self {
        let get = |counter| core.counters.get(counter);
        let (finished, detached, idle_closed) =
            (get(Counter::Finished), get(Counter::Detached), get(Counter::IdleClosed));
        let (forced, refused, failed) = (get(Counter::Forced), get(Counter::Refused), get(Counter::Failed));
        // Last, so that it is not less than the ends.
        let accepted = get(Counter::Accepted);
        let open = accepted.saturating_sub(finished + idle_closed + forced + refused + failed);
        let active = usize::try_from(open).unwrap_or(usize::MAX);
        let thread_count = |count: &AtomicUsize| count.load(Ordering::Relaxed);
        Self {
            accepted,
            active,
            finished,
            detached,
            idle_closed,
            forced,
            refused,
            failed,
            waits_ended: get(Counter::WaitsEnded),
            threads: thread_count(&core.threads.live),
            threads_waiting: thread_count(&core.threads.waiting),
            threads_spare: thread_count(&core.threads.spare),
        }
    }
}

/// What [`serve_forever`](crate::Server::serve_forever) did, from its start to its end.
///
/// `accepted = finished + idle_closed + forced + refused + failed`, unless requests were [abandoned](Self::abandoned)
/// in mid-computation: those are counted as forced.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[must_use = "a report may tell that requests were cut off"]
#[non_exhaustive]
pub struct Report {
    /// Connections and datagrams accepted.
    pub accepted: u64,
    /// Ended by the handler or by the peer.
    pub finished: u64,
    /// Of the finished: taken out of the server by their handlers, with [`Flow::Detach`](crate::Flow::Detach). Whatever
    /// happened to them afterwards is not counted.
    pub detached: u64,
    /// Ended while idle.
    pub idle_closed: u64,
    /// Cut off at the drain's deadline.
    pub forced: u64,
    /// Refused: not verified, over the limit, not dispatched, or in the backlog at the stop.
    pub refused: u64,
    /// Ended by an error, a panic or a timeout.
    pub failed: u64,
    /// Of the forced: handlers that were computing at the deadline and could not be interrupted. Their threads run
    /// until they return.
    pub abandoned: u64,
    /// From the stop (or the start of serving, if the stop came before that) to the end of the drain.
    pub drained_in: Duration,
}

impl Report {
    pub(crate) fn new(core: &Core, drained_in: Duration) -> Self {
        let Stats { accepted, active, finished, detached, idle_closed, forced, refused, failed, .. } = Stats::of(core);
        // What has not ended by now was abandoned; it may still end while this is written.
        let abandoned = active as u64;
        Self {
            accepted,
            finished,
            detached,
            idle_closed,
            forced: forced + abandoned,
            refused,
            failed,
            abandoned,
            drained_in,
        }
    }

    /// Whether no request was cut off at the drain's deadline: `forced` is 0. Requests that [`failed`](Self::failed) do
    /// not count.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.forced == 0
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { accepted, finished, detached, idle_closed, forced, refused, failed, abandoned, drained_in } = self;
        let detached = if *detached > 0 { format!(" ({detached} detached)") } else { String::new() };
        write!(
            f,
            "{accepted} accepted: {finished} finished{detached}, {idle_closed} idle closed, {forced} forced ({abandoned} abandoned), \
             {refused} refused, {failed} failed; drained in {drained_in:.3?}"
        )
    }
}

/// Reads the counters of a server from anywhere, while it serves and afterwards.
#[derive(Clone, Debug)]
pub struct StatsHandle {
    pub(crate) core: Arc<Core>,
}

impl StatsHandle {
    /// The current counters, for a few atomic loads.
    #[must_use]
    pub fn snapshot(&self) -> Stats {
        Stats::of(&self.core)
    }

    /// The calls of `handle` that are currently running, the longest first; empty unless the builder
    /// [tracks](crate::Builder::track_calls) them. Each call is in the list from its beginning to its end, but the list
    /// is not an atomic snapshot.
    ///
    /// Handlers in other processes, as under [`Fork`](crate::Fork) and [`PreFork`](crate::PreFork), are not listed.
    ///
    /// ```
    /// use socketserver::{Flow, PoolTcpServer};
    ///
    /// let server =
    ///     PoolTcpServer::builder_fn(|_| Ok(Flow::Close)).track_calls(true).bind("127.0.0.1:0")?;
    /// let stats = server.stats_handle();
    /// // From another thread, or now and then in `service_actions`:
    /// for call in stats.running_calls() {
    ///     println!("{} has been handled for {:?}", call.id, call.duration);
    /// }
    /// # Ok::<(), socketserver::BindError>(())
    /// ```
    #[must_use]
    pub fn running_calls(&self) -> Vec<RunningCall> {
        self.core.calls.as_ref().map(|calls| calls.running()).unwrap_or_default()
    }
}
