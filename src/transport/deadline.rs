//! How long the second phase of a transport may take.

use std::io;
use std::time::Duration;
use std::time::Instant;

use crate::error::Stopping;
use crate::error::timed_out;
use crate::stop::StopState;
use crate::sys::Descriptor;
use crate::sys::wait::Interest;
use crate::sys::wait::Woken;

/// Until when a request has to be [established](super::Establish): the end of the builder's `establish_timeout` or
/// `total_timeout`, or that of a drain, whichever comes first.
///
/// Wait for the peer by its methods, on a socket that does not block: a wait of one's own, until
/// [`instant`](Self::instant), knows nothing of a server that is told to stop meanwhile, and holds it up.
#[derive(Debug)]
pub struct Deadline<'a> {
    stop: &'a StopState,
    until: Option<Instant>,
    what: &'static str,
    limit: Duration,
}

impl<'a> Deadline<'a> {
    pub(crate) fn new(stop: &'a StopState, until: Option<Instant>, what: &'static str, limit: Duration) -> Self {
        Self { stop, until, what, limit }
    }

    /// When the timeouts end it; `None` for never. A drain may end it sooner.
    #[must_use]
    pub fn instant(&self) -> Option<Instant> {
        self.until
    }

    /// Blocks until `descriptor` is readable, or a read will fail.
    ///
    /// # Errors
    ///
    /// `TimedOut` after the deadline; `ConnectionAborted` at the end of a drain; what the system says.
    pub fn wait_readable(&self, descriptor: Descriptor<'_>) -> io::Result<()> {
        self.wait(descriptor, Interest::Read)
    }

    /// Blocks until `descriptor` is writable, or a write will fail.
    ///
    /// # Errors
    ///
    /// As [`wait_readable`](Self::wait_readable).
    pub fn wait_writable(&self, descriptor: Descriptor<'_>) -> io::Result<()> {
        self.wait(descriptor, Interest::Write)
    }

    fn wait(&self, descriptor: Descriptor<'_>, interest: Interest) -> io::Result<()> {
        match self.stop.wait(descriptor, interest, self.until, false, None)? {
            Woken::Ready => Ok(()),
            Woken::Signal(_) => Err(Stopping::io_error()),
            Woken::TimedOut => Err(timed_out(self.what, self.limit)),
        }
    }
}
