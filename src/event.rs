//! Events in a server, as values for observers: the library itself never logs.

use std::fmt;
use std::io;
use std::time::Duration;

use crate::end::End;
use crate::error::RequestError;

/// Receives events; see [`Builder::on_event`](crate::Builder::on_event),
/// [`Builder::observed`](crate::Builder::observed) and
/// [`HandlerFactory::observer`](crate::HandlerFactory::observer).
///
/// It is called on the thread on which the event happens, and should return quickly. A server without an observer does
/// not even build its events. A panic in an observer is ignored.
pub trait Observer {
    /// Called with each event.
    fn observe(&self, event: &Event<'_>);
}

impl<F: Fn(&Event<'_>)> Observer for F {
    fn observe(&self, event: &Event<'_>) {
        self(event);
    }
}

/// Identifies a connection or datagram, uniquely within a server.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct RequestId(pub(crate) u64);

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Bytes received from and sent to a peer.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub struct Traffic {
    /// Bytes received from the peer.
    pub received: u64,
    /// Bytes sent to the peer.
    pub sent: u64,
}

/// Why a connection was turned away.
///
/// ```
/// assert_eq!(socketserver::Refusal::AtLimit.to_string(), "at_limit");
/// ```
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Refusal {
    /// `max_connections` was reached, and the policy is to refuse.
    AtLimit,
    /// Its source has reached its limit of connections: see [`PerSource`](crate::transport::PerSource).
    PerSource,
    /// The dispatch could not take it: no thread, no process.
    Rejected,
    /// Its source has reached its limit of new connections for now: see
    /// [`new_connections`](crate::transport::PerSourceOptions::new_connections).
    SourceRate,
    /// The limit of sources with connections was reached:
    /// [`max_sources`](crate::transport::PerSourceOptions::max_sources).
    SourcesFull,
    /// It was in the backlog when the server stopped.
    Stopping,
    /// The transport does not serve this peer: see [`Advance::Refused`](crate::transport::Advance::Refused).
    Untrusted,
    /// `verify_request` returned false.
    Unverified,
}

impl Refusal {
    /// Its word in fields, labels and logs.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::AtLimit => "at_limit",
            Self::PerSource => "per_source",
            Self::Rejected => "rejected",
            Self::SourceRate => "source_rate",
            Self::SourcesFull => "sources_full",
            Self::Stopping => "stopping",
            Self::Untrusted => "untrusted",
            Self::Unverified => "unverified",
        }
    }
}

/// In snake case: `at_limit`.
impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// An event in a server.
///
/// Every [`Start`](Self::Start) is followed by exactly one [`Stop`](Self::Stop) of the same id, on every path.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// The machine is out of descriptors or memory, and accepting backs off. Emitted once, until accepting works again.
    AcceptFailing {
        /// What the system said.
        error: &'a io::Error,
    },
    /// Accepting works again.
    AcceptRecovered {
        /// How often it failed.
        failures: u64,
    },
    /// A single connection was lost before it could be accepted.
    AcceptLost {
        /// What the system said.
        error: &'a io::Error,
    },
    /// A child process has ended.
    ChildExit {
        /// Its process ID.
        pid: u32,
        /// Its exit code, or `None` if a signal ended it.
        code: Option<i32>,
        /// The signal that ended it.
        signal: Option<i32>,
    },
    /// The drain has begun.
    DrainStart {
        /// How many connections are open.
        active: usize,
    },
    /// The drain's deadline has passed; the remaining connections are closed.
    DrainForce {
        /// How many connections remain.
        active: usize,
    },
    /// A step failed; [`handle_error`](crate::HandlerFactory::handle_error) receives the same error.
    Error {
        /// The connection or datagram, if there is one yet.
        id: Option<RequestId>,
        /// What went wrong.
        error: &'a RequestError,
    },
    /// The server has started to accept.
    ListenStart {
        /// Where.
        address: &'a str,
    },
    /// The server has stopped accepting.
    ListenStop {
        /// Where.
        address: &'a str,
    },
    /// A call of a handler took longer than the builder's [`long_call`](crate::Builder::long_call), on a thread that
    /// serves many connections (`Sync`, `Pool`); emitted when the call is over.
    LongCall {
        /// The connection or message.
        id: RequestId,
        /// How long it took.
        took: Duration,
    },
    /// A connection or datagram was refused.
    Refused {
        /// Why.
        reason: Refusal,
    },
    /// A handler has been in one call for too long (`Pool`): its connection is served with the other slow ones from now
    /// on. Emitted once for each such call.
    Slow {
        /// How many slow connections wait for a thread.
        waiting: usize,
    },
    /// A hot restart is over: the new process serves, and this one [hands over](crate::StopHandle::hand_over).
    Restarted {
        /// The new process.
        pid: u32,
    },
    /// A hot restart has failed, or was refused; this process continues as before.
    RestartFailed {
        /// Why.
        error: &'a io::Error,
    },
    /// A hot restart has begun: the program has been started again, and this process waits for it to be ready.
    Restarting {
        /// The new process.
        pid: u32,
    },
    /// A connection or datagram was accepted.
    Start {
        /// Its name.
        id: RequestId,
        /// The address of the peer, if known.
        peer: Option<&'a dyn fmt::Debug>,
    },
    /// A connection or datagram is over, and its socket is closed.
    Stop {
        /// Its name.
        id: RequestId,
        /// Why it ended.
        end: End,
        /// Time since it was accepted.
        duration: Duration,
        /// Bytes received and sent.
        traffic: Traffic,
        /// How often `handle` was called.
        calls: u64,
    },
    /// Every thread of a [`Pool`](crate::Pool) was waiting for a peer, there was work, and no more threads could be
    /// started: some waits were ended early, as if they had timed out.
    WaitsEnded {
        /// How many threads were waiting.
        waiting: usize,
        /// How many of the waits were ended.
        ended: usize,
    },
    /// A thread that runs handlers has started (`Pool`, `ThreadPerRequest`); emitted on that thread.
    WorkerStart {
        /// The thread's name.
        name: &'a str,
    },
    /// A thread that runs handlers ends. One whose handler does not return in the drain ends later, or never.
    WorkerStop {
        /// The thread's name.
        name: &'a str,
    },
}
