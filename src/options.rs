//! The options of a server, with their defaults.

use std::time::Duration;

use crate::error::BindError;

/// What happens when `max_connections` is reached.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum AtLimit {
    /// The server stops accepting: clients wait in the backlog until a place is free.
    #[default]
    Defer,
    /// New connections are accepted and closed at once, after these bytes (which may be none).
    Refuse(Vec<u8>),
    /// The connection that has been idle longest is closed to make room; if none is idle, like [`Defer`](Self::Defer).
    ShedIdle,
}

/// What happens when a handler panics. The request is over in any case, and `handle_error` is told.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum PanicPolicy {
    /// The process is aborted at once, and pending output is lost. Under `Fork` that is the child; the server
    /// continues.
    Abort,
    /// Other requests and the server continue.
    #[default]
    Isolate,
    /// The server drains, and `serve_forever` returns [`ServeError::Panicked`](crate::ServeError::Panicked).
    Stop,
}

/// The options of a server, as a value: everything that the [builder](crate::Builder) sets, except the options of the
/// transport.
///
/// Pass them to [`Server::with_options`](crate::Server::with_options) for a transport that the builder cannot bind, or
/// to [`Builder::options`](crate::Builder::options) to share a set of them between servers. See the builder's method of
/// the same name for the meaning and default of each.
///
/// ```
/// use std::time::Duration;
/// use socketserver::{Flow, PoolTcpServer, ServerOptions};
///
/// let patient = ServerOptions::new().idle_timeout(Duration::from_secs(600)).max_connections(100);
/// let server = PoolTcpServer::builder_fn(|_| Ok(Flow::Close)).options(patient).bind("127.0.0.1:0")?;
/// # Ok::<(), socketserver::BindError>(())
/// ```
#[derive(Clone, Debug)]
pub struct ServerOptions {
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
    pub(crate) long_call: Option<Duration>,
    pub(crate) track_calls: bool,
    pub(crate) request_timeout: Option<Duration>,
    pub(crate) drain_timeout: Duration,
    pub(crate) linger_timeout: Duration,
    pub(crate) linger_bytes: usize,
    pub(crate) max_buffered: usize,
    /// `None`: as `max_buffered`.
    pub(crate) max_line: Option<Option<usize>>,
    pub(crate) max_pending_output: usize,
    pub(crate) write_buffer: usize,
    pub(crate) service_interval: Option<Duration>,
}

impl Default for ServerOptions {
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
            long_call: Some(Duration::from_millis(100)),
            track_calls: false,
            request_timeout: None,
            drain_timeout: Duration::from_secs(15),
            linger_timeout: Duration::from_secs(2),
            linger_bytes: 8 << 20,
            max_buffered: 64 << 10,
            max_line: None,
            max_pending_output: 64 << 10,
            write_buffer: 0,
            service_interval: None,
        }
    }
}

impl ServerOptions {
    /// Every option at its default.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// See [`Builder::max_connections`](crate::Builder::max_connections).
    #[must_use]
    pub fn max_connections(mut self, most: usize) -> Self {
        self.max_connections = Some(most);
        self
    }

    /// See [`Builder::at_limit`](crate::Builder::at_limit).
    #[must_use]
    pub fn at_limit(mut self, policy: AtLimit) -> Self {
        self.at_limit = policy;
        self
    }

    /// See [`Builder::panic_policy`](crate::Builder::panic_policy).
    #[must_use]
    pub fn panic_policy(mut self, policy: PanicPolicy) -> Self {
        self.panic_policy = policy;
        self
    }

    /// See [`Builder::idle_timeout`](crate::Builder::idle_timeout).
    #[must_use]
    pub fn idle_timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.idle_timeout = timeout.into();
        self
    }

    /// See [`Builder::read_timeout`](crate::Builder::read_timeout).
    #[must_use]
    pub fn read_timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.read_timeout = timeout.into();
        self
    }

    /// See [`Builder::write_timeout`](crate::Builder::write_timeout).
    #[must_use]
    pub fn write_timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.write_timeout = timeout.into();
        self
    }

    /// See [`Builder::establish_timeout`](crate::Builder::establish_timeout).
    #[must_use]
    pub fn establish_timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.establish_timeout = timeout.into();
        self
    }

    /// See [`Builder::total_timeout`](crate::Builder::total_timeout).
    #[must_use]
    pub fn total_timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.total_timeout = timeout.into();
        self
    }

    /// See [`Builder::min_rate`](crate::Builder::min_rate).
    #[must_use]
    pub fn min_rate(mut self, bytes_per_second: impl Into<Option<u32>>) -> Self {
        self.min_rate = bytes_per_second.into();
        self
    }

    /// See [`Builder::rate_grace`](crate::Builder::rate_grace).
    #[must_use]
    pub fn rate_grace(mut self, grace: Duration) -> Self {
        self.rate_grace = grace;
        self
    }

    /// See [`Builder::long_call`](crate::Builder::long_call).
    #[must_use]
    pub fn long_call(mut self, time: impl Into<Option<Duration>>) -> Self {
        self.long_call = time.into();
        self
    }

    /// See [`Builder::track_calls`](crate::Builder::track_calls).
    #[must_use]
    pub fn track_calls(mut self, track: bool) -> Self {
        self.track_calls = track;
        self
    }

    /// See [`Builder::request_timeout`](crate::Builder::request_timeout).
    #[must_use]
    pub fn request_timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.request_timeout = timeout.into();
        self
    }

    /// See [`Builder::drain_timeout`](crate::Builder::drain_timeout).
    #[must_use]
    pub fn drain_timeout(mut self, timeout: Duration) -> Self {
        self.drain_timeout = timeout;
        self
    }

    /// See [`Builder::linger`](crate::Builder::linger).
    #[must_use]
    pub fn linger(mut self, timeout: Duration, bytes: usize) -> Self {
        self.linger_timeout = timeout;
        self.linger_bytes = bytes;
        self
    }

    /// See [`Builder::max_buffered`](crate::Builder::max_buffered).
    #[must_use]
    pub fn max_buffered(mut self, bytes: usize) -> Self {
        self.max_buffered = bytes;
        self
    }

    /// See [`Builder::max_line`](crate::Builder::max_line).
    #[must_use]
    pub fn max_line(mut self, bytes: impl Into<Option<usize>>) -> Self {
        self.max_line = Some(bytes.into());
        self
    }

    /// The longest line.
    pub(crate) fn line_limit(&self) -> usize {
        self.max_line.map_or(self.max_buffered, |limit| limit.unwrap_or(usize::MAX))
    }

    /// See [`Builder::max_pending_output`](crate::Builder::max_pending_output).
    #[must_use]
    pub fn max_pending_output(mut self, bytes: usize) -> Self {
        self.max_pending_output = bytes;
        self
    }

    /// See [`Builder::write_buffer`](crate::Builder::write_buffer).
    #[must_use]
    pub fn write_buffer(mut self, bytes: usize) -> Self {
        self.write_buffer = bytes;
        self
    }

    /// See [`Builder::service_interval`](crate::Builder::service_interval).
    #[must_use]
    pub fn service_interval(mut self, interval: impl Into<Option<Duration>>) -> Self {
        self.service_interval = interval.into();
        self
    }

    /// Whether every value can work; the error names the one that cannot.
    pub(crate) fn check(&self) -> Result<(), BindError> {
        let positive = |option, value: usize, what: &str| {
            if value > 0 {
                return Ok(());
            }
            Err(BindError::Option {
                option,
                value: value.to_string(),
                reason: format!("{what}; it must be at least 1"),
            })
        };
        positive(
            "max_connections",
            self.max_connections.unwrap_or(1),
            "a server without connections serves no request",
        )?;
        positive("max_buffered", self.max_buffered, "a connection without a buffer cannot be read")?;
        positive("max_line", self.line_limit(), "no line is that short; `None` allows any")?;
        let not_zero = |option, timeout: Option<Duration>, reason: &str| {
            if timeout != Some(Duration::ZERO) {
                return Ok(());
            }
            Err(BindError::Option { option, value: "0".to_owned(), reason: format!("{reason}; `None` disables it") })
        };
        let too_late = "every client would be too late";
        not_zero("idle_timeout", self.idle_timeout, too_late)?;
        not_zero("read_timeout", self.read_timeout, too_late)?;
        not_zero("write_timeout", self.write_timeout, too_late)?;
        not_zero("establish_timeout", self.establish_timeout, too_late)?;
        not_zero("total_timeout", self.total_timeout, too_late)?;
        not_zero("service_interval", self.service_interval, "the serve loop would never sleep")?;
        let rate = self.min_rate.map_or(1, |rate| usize::try_from(rate).unwrap_or(usize::MAX));
        positive("min_rate", rate, "no client is slower than that; `None` disables the limit")
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
