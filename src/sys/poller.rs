//! Waiting for thousands of descriptors at once: epoll on Linux, the `polling` crate (kqueue, IOCP, ...) elsewhere.
//!
//! Both offer the same: [`Poller::add`] with a token, [`Poller::wait`] by one thread at a time, [`Poller::notify`] from
//! any. They differ in one thing that callers must honour, [`EDGE`]: with epoll a registration is edge-triggered and
//! stays armed; with `polling` it fires once and [`Poller::modify`] arms it again.

#[cfg(all(target_os = "linux", not(socketserver_portable_poller)))]
mod epoll;
#[cfg(all(target_os = "linux", not(any(socketserver_portable_poller, socketserver_shuttle))))]
pub(crate) use epoll::*;

/// For model checks.
#[cfg(socketserver_shuttle)]
mod modelled;
#[cfg(socketserver_shuttle)]
pub(crate) use modelled::*;

#[cfg(any(not(target_os = "linux"), socketserver_portable_poller))]
mod portable;
#[cfg(any(not(target_os = "linux"), socketserver_portable_poller))]
pub(crate) use portable::*;

mod registration;
pub(crate) use registration::Registration;

/// Something that is ready.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Event {
    pub(crate) token: u64,
    /// The peer may have closed, or urgent data lies between its bytes: a short read does not mean that the socket is
    /// empty.
    pub(crate) hangup: bool,
}

/// The token of [`Poller::notify`]; connections never have it.
pub(crate) const NOTIFIED: u64 = u64::MAX - 1;

/// How many events one wait brings at most.
const BATCH: usize = 256;
