//! The numbers and policies of a server, with their defaults.

use std::time::Duration;

/// What happens when `max_connections` is reached.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum AtLimit {
    /// The listener leaves the wait set: clients wait in the backlog until a place is free.
    #[default]
    Defer,
    /// New connections are accepted and closed at once, after these bytes (which may be none).
    Refuse(Vec<u8>),
    /// The connection that has been idle longest is closed to make room; where none is idle, as [`Defer`](Self::Defer).
    ShedIdle,
}

/// What happens when a handler panics. The request is over in any case, and `handle_error` is told.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum PanicPolicy {
    /// The process is aborted, at once: what handlers have written and the system has not taken yet is lost.
    Abort,
    /// Other requests and the server go on.
    #[default]
    Isolate,
    /// The server drains, and `serve_forever` returns [`ServeError::Panicked`](crate::ServeError::Panicked).
    Stop,
}

/// Everything the builder sets that is not an option of the transport.
#[derive(Clone, Debug)]
pub(crate) struct ServeOptions {
    pub(crate) max_connections: Option<usize>,
    pub(crate) at_limit: AtLimit,
    pub(crate) panic_policy: PanicPolicy,
    pub(crate) idle_timeout: Option<Duration>,
    pub(crate) read_timeout: Option<Duration>,
    pub(crate) write_timeout: Option<Duration>,
    pub(crate) establish_timeout: Option<Duration>,
    pub(crate) total_timeout: Option<Duration>,
    pub(crate) min_rate: Option<u32>,
    pub(crate) rate_grace: Duration,
    pub(crate) request_timeout: Option<Duration>,
    pub(crate) drain_timeout: Duration,
    pub(crate) linger_timeout: Duration,
    pub(crate) linger_bytes: usize,
    pub(crate) max_buffered: usize,
    pub(crate) max_pending_output: usize,
    pub(crate) write_buffer: usize,
    pub(crate) service_interval: Option<Duration>,
}

impl Default for ServeOptions {
    fn default() -> Self {
        Self {
            max_connections: None,
            at_limit: AtLimit::default(),
            panic_policy: PanicPolicy::default(),
            idle_timeout: Some(Duration::from_secs(60)),
            read_timeout: Some(Duration::from_secs(30)),
            write_timeout: Some(Duration::from_secs(30)),
            establish_timeout: Some(Duration::from_secs(5)),
            total_timeout: None,
            min_rate: Some(100),
            rate_grace: Duration::from_secs(30),
            request_timeout: None,
            drain_timeout: Duration::from_secs(15),
            linger_timeout: Duration::from_secs(2),
            linger_bytes: 8 << 20,
            max_buffered: 64 << 10,
            max_pending_output: 64 << 10,
            write_buffer: 0,
            service_interval: None,
        }
    }
}

/// 16 384, or three quarters of the descriptors this process may open, whichever is less.
pub(crate) fn default_max_connections() -> usize {
    const MOST: usize = 16_384;
    #[cfg(unix)]
    {
        let soft = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
        let share = soft.map_or(MOST, |limit| usize::try_from(limit / 4 * 3).unwrap_or(MOST));
        share.clamp(1, MOST)
    }
    #[cfg(not(unix))]
    MOST
}
