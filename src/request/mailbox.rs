//! Messages for a connection from elsewhere: they wait here until the thread that serves the connection sends them.
//!
//! ```text
//!              await, if nothing is here
//!   attended ----------------------------> awaited(wake)
//!      ^                                       |
//!      +-- take, or the first send: calls wake +
//! ```
//!
//! The socket has one owner, the worker or thread that serves the connection; no other writes to it. That one looks
//! here whenever it has sent its own output, and says before it waits for input how it can be called. A sender appends
//! its message under the lock and makes that call, once. So no message is overlooked, none is cut by another, and a
//! connection that is busy is not disturbed.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use super::unsent::Unsent;
use super::wake::Wake;
use crate::stop::MAIL;
use crate::stop::StopState;
use crate::stop::WaitFor;
use crate::sync::Mutex;
use crate::sys::flag::Flag;
use crate::sys::wait::Woken;

/// Messages from [`Sender`](crate::Sender)s that the connection's server has not taken yet; see
/// [`Request::mailbox`](crate::request::Request::mailbox).
pub struct Mailbox {
    limit: usize,
    state: Mutex<State>,
}

struct State {
    bytes: Unsent,
    /// How much output the connection's owner holds beside.
    unsent: usize,
    stage: Stage,
    /// How the owner is called; `None` while it is going to look anyway.
    wake: Option<Wake>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Stage {
    Open,
    /// A sender has asked for the end of the connection.
    Dismissed,
    Closed,
}

impl Mailbox {
    /// For up to `limit` bytes.
    pub(crate) fn new(limit: usize) -> Self {
        let state = State { bytes: Unsent::default(), unsent: 0, stage: Stage::Open, wake: None };
        Self { limit, state: Mutex::new(state) }
    }

    /// Appends a message and calls the owner if it waits.
    pub(crate) fn send(&self, message: &[u8]) -> Result<(), SendError> {
        let limit = self.limit;
        let wake = {
            let mut state = self.state.lock();
            if state.stage != Stage::Open {
                return Err(SendError::Closed);
            }
            if message.is_empty() {
                return Ok(());
            }
            let length = message.len();
            if length > limit {
                return Err(SendError::TooLong { length, limit });
            }
            let pending = state.bytes.len() + state.unsent;
            if pending + length > limit {
                return Err(SendError::Full { length, pending, limit });
            }
            state.bytes.push(message);
            state.bytes.settle();
            state.wake.take()
        };
        // Not under the lock: a call is a system call.
        if let Some(wake) = wake {
            wake.notify();
        }
        Ok(())
    }

    /// Asks for the end of the connection, behind all that was sent; the last bytes need no room.
    pub(super) fn dismiss(&self, farewell: &[u8]) {
        let wake = {
            let mut state = self.state.lock();
            if state.stage != Stage::Open {
                return;
            }
            state.bytes.push(farewell);
            state.stage = Stage::Dismissed;
            state.wake.take()
        };
        if let Some(wake) = wake {
            wake.notify();
        }
    }

    pub(super) fn is_open(&self) -> bool {
        self.state.lock().stage == Stage::Open
    }

    pub(super) fn pending(&self) -> usize {
        let state = self.state.lock();
        state.bytes.len() + state.unsent
    }

    /// Whether a sender has asked for the end of the connection.
    pub(crate) fn is_dismissed(&self) -> bool {
        self.state.lock().stage == Stage::Dismissed
    }

    /// Everything that has been sent, for an owner that has nothing of its own to send.
    pub(crate) fn take(&self) -> Option<Unsent> {
        let mut state = self.state.lock();
        state.wake = None;
        state.unsent = state.bytes.len();
        (!state.bytes.is_empty()).then(|| std::mem::take(&mut state.bytes))
    }

    /// So much output is held beside what is in here.
    pub(crate) fn set_unsent(&self, unsent: usize) {
        self.state.lock().unsent = unsent;
    }

    /// The owner is going to wait for input, and is called by `wake` from here on. False if it has to look first.
    pub(crate) fn await_mail(&self, wake: impl FnOnce() -> Wake) -> bool {
        let mut state = self.state.lock();
        let nothing_new = state.bytes.is_empty() && state.stage != Stage::Dismissed;
        state.wake = nothing_new.then(wake);
        nothing_new
    }

    fn attend(&self) {
        self.state.lock().wake = None;
    }

    /// Nothing can be sent from here on; what has been is still to be taken.
    pub(crate) fn end(&self) {
        let mut state = self.state.lock();
        state.stage = Stage::Closed;
        state.wake = None;
    }

    /// As [`StopState::wait`]; a message ends the wait, too: [`Woken::Flag`] with [`MAIL`].
    pub(crate) fn wait(&self, stop: &StopState, what: &WaitFor<'_>) -> io::Result<Woken> {
        /// Without a descriptor to be woken by, how often it is looked at.
        const RECHECK_INTERVAL: Duration = Duration::from_millis(20);
        let bell = bell();
        if let Some(bell) = &bell {
            // A sender may have been slow to ring it for an earlier wait.
            bell.clear();
            if !self.await_mail(|| Wake::Thread(Arc::clone(bell))) {
                return Ok(news(stop, what));
            }
            let woken = stop.wait(&WaitFor { bell: Some(bell), ..*what });
            self.attend();
            return woken;
        }
        loop {
            let (bytes, stage) = {
                let state = self.state.lock();
                (state.bytes.len(), state.stage)
            };
            if bytes > 0 || stage == Stage::Dismissed {
                return Ok(news(stop, what));
            }
            let look = Instant::now() + RECHECK_INTERVAL;
            let pause = what.until.map_or(look, |until| until.min(look));
            match stop.wait(&WaitFor { until: Some(pause), ..*what })? {
                Woken::TimedOut if what.until.is_none_or(|until| Instant::now() < until) => {}
                woken => return Ok(woken),
            }
        }
    }
}

/// There is mail already. If it comes without end, a wait still ends for its other reasons.
fn news(stop: &StopState, what: &WaitFor<'_>) -> Woken {
    if let Some(over) = stop.ends(what) {
        return over;
    }
    let is_over = what.until.is_some_and(|until| until <= Instant::now());
    if is_over { Woken::TimedOut } else { Woken::Flag(MAIL) }
}

/// What wakes this thread when it waits for input; `None` where there are no descriptors left.
fn bell() -> Option<Arc<Flag>> {
    thread_local! {
        static BELL: std::cell::RefCell<Option<Arc<Flag>>> = const { std::cell::RefCell::new(None) };
    }
    BELL.with_borrow_mut(|bell| {
        if bell.is_none() {
            *bell = Flag::new().ok().map(Arc::new);
        }
        bell.clone()
    })
}

/// Why a message was not sent. No part of it was.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// The connection has ended or is ending.
    #[error("the connection has ended")]
    Closed,
    /// The client does not read fast enough.
    #[error(
        "a client does not read: {pending} bytes are pending, and {length} more would exceed max_pending_output = {limit}"
    )]
    Full {
        /// The length of the message.
        length: usize,
        /// How many bytes wait already.
        pending: usize,
        /// The builder's [`max_pending_output`](crate::Builder::max_pending_output).
        limit: usize,
    },
    /// The message is longer than the limit.
    #[error(
        "a message of {length} bytes is longer than max_pending_output = {limit}; raise the limit, or send it in parts"
    )]
    TooLong {
        /// The length of the message.
        length: usize,
        /// The builder's [`max_pending_output`](crate::Builder::max_pending_output).
        limit: usize,
    },
}

impl fmt::Debug for Mailbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state.lock();
        f.debug_struct("Mailbox")
            .field("limit", &self.limit)
            .field("pending", &(state.bytes.len() + state.unsent))
            .field("stage", &state.stage)
            .finish_non_exhaustive()
    }
}

#[cfg(all(test, not(socketserver_shuttle)))]
mod tests {
    use super::*;
    use crate::stop::DRAINING;
    use crate::stop::FORCED;
    use crate::stop::StopHandle;
    use crate::sys::Interest;

    /// How a wait ends while there is always mail.
    fn wait(stop: &StopState, ends_idle: bool, until: Option<Instant>) -> Woken {
        let mailbox = Mailbox::new(100);
        mailbox.send(b"hello").unwrap();
        let silent = Flag::new().unwrap();
        let what = WaitFor { ends_idle, ..WaitFor::new(silent.descriptor(), Interest::Read, until) };
        mailbox.wait(stop, &what).unwrap()
    }

    #[test]
    fn mail_without_end_keeps_no_wait_from_ending() {
        let stop = StopHandle { state: Arc::new(StopState::new(Duration::from_secs(600)).unwrap()) };
        let mail = Woken::Flag(MAIL);
        assert_eq!(wait(&stop.state, true, None), mail);
        assert_eq!(wait(&stop.state, false, Some(Instant::now() + Duration::from_secs(600))), mail);
        assert_eq!(wait(&stop.state, false, Some(Instant::now())), Woken::TimedOut);
        stop.shutdown();
        assert_eq!(wait(&stop.state, false, None), mail);
        assert_eq!(wait(&stop.state, true, None), Woken::Flag(DRAINING));
        stop.shutdown_now();
        let deadline = stop.state.deadline().unwrap();
        while !stop.state.is_forced() {
            assert!(deadline.elapsed() < Duration::from_secs(600));
        }
        assert_eq!(wait(&stop.state, false, None), Woken::Flag(FORCED));
    }
}
