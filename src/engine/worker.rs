//! A thread that runs requests, and what it has for them.

use std::cell::RefCell;
use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Instant;

use super::calls::Calls;
use super::calls::Recorder;
use super::source::Observe;
use crate::event::Event;
use crate::event::RequestId;
use crate::request::Outbox;
use crate::request::ReadBuffer;
use crate::request::Session;
use crate::request::buffer::SIZE;
use crate::request::delivery::Patience;
use crate::request::delivery::deliver_all;

/// A thread that runs tasks, from its start to its end, which are told on it.
pub(crate) struct WorkerSpan<R: Observe>(R);

impl<R: Observe> WorkerSpan<R> {
    pub(crate) fn new(reporter: R) -> Self {
        reporter.observe(&Event::WorkerStart { name: std::thread::current().name().unwrap_or_default() });
        Self(reporter)
    }
}

impl<R: Observe> Drop for WorkerSpan<R> {
    fn drop(&mut self) {
        self.0.observe(&Event::WorkerStop { name: std::thread::current().name().unwrap_or_default() });
    }
}

/// What a thread that runs tasks has for them: a read buffer, replies on their way out, and the time.
pub struct Worker {
    buffer: Option<ReadBuffer>,
    /// A second one, for relays.
    scratch: Option<ReadBuffer>,
    pub(crate) outbox: Outbox,
    now: Instant,
    /// Other connections wait while a handler has this thread.
    pub(crate) serves_many: bool,
    /// This thread serves one connection to its end.
    pub(crate) is_dedicated: bool,
    /// Where it says which call it runs, if its server wants to know.
    recorder: Option<Recorder>,
}

impl Worker {
    pub(crate) fn new() -> Self {
        Self {
            buffer: None,
            scratch: None,
            outbox: Outbox::default(),
            now: Instant::now(),
            serves_many: false,
            is_dedicated: false,
            recorder: None,
        }
    }

    /// The worker of this thread, for tasks that run to their end here.
    pub(crate) fn with_local<T>(run: impl FnOnce(&mut Self) -> T) -> T {
        thread_local! {
            static LOCAL: RefCell<Option<Worker>> = const { RefCell::new(None) };
        }
        // Taken out meanwhile: a handler may run another task on its thread, which gets a worker of its own.
        let mut worker = LOCAL.with(|local| local.borrow_mut().take()).unwrap_or_else(Self::new);
        let outcome = run(&mut worker);
        LOCAL.with(|local| *local.borrow_mut() = Some(worker));
        outcome
    }

    /// Allocates the buffer before it is needed: in a parent, so that no child has to.
    #[cfg(unix)]
    pub(crate) fn warm(&mut self) {
        let buffer = self.take_buffer();
        self.put_buffer(buffer);
    }

    #[inline]
    pub(crate) fn now(&self) -> Instant {
        self.now
    }

    #[inline]
    pub(crate) fn set_now(&mut self, now: Instant) {
        self.now = now;
    }

    #[inline]
    pub(crate) fn take_buffer(&mut self) -> ReadBuffer {
        self.buffer.take().unwrap_or_else(|| ReadBuffer::zeroed(SIZE))
    }

    #[inline]
    pub(crate) fn put_buffer(&mut self, buffer: ReadBuffer) {
        if buffer.len() == SIZE {
            self.buffer = Some(buffer);
        }
    }

    pub(crate) fn take_scratch(&mut self) -> ReadBuffer {
        self.scratch.take().unwrap_or_else(|| ReadBuffer::zeroed(SIZE))
    }

    pub(crate) fn put_scratch(&mut self, scratch: ReadBuffer) {
        self.scratch = Some(scratch);
    }

    /// A call of `handle` begins, of a server that keeps this list.
    #[inline]
    pub(crate) fn call_begins(&mut self, calls: Option<&Arc<Calls>>, id: RequestId) {
        if let Some(calls) = calls {
            // A thread that ran a request of another server is in that one's list.
            let recorder = self.recorder.take().filter(|recorder| recorder.is_of(calls));
            self.recorder.insert(recorder.unwrap_or_else(|| Recorder::new(calls))).begin(id, self.now);
        }
    }

    #[inline]
    pub(crate) fn call_ends(&self) {
        if let Some(recorder) = &self.recorder {
            recorder.end();
        }
    }

    /// Sends the replies that wait; `failed` is told the place in the outbox and the error of each that could not be
    /// sent.
    #[inline]
    pub(crate) fn flush(&mut self, session: Option<&Session>, failed: impl FnMut(usize, io::Error)) {
        if self.outbox.replies.is_empty() {
            return;
        }
        deliver_all(&mut self.outbox.replies, &mut Patience::of(session, None), failed);
    }
}

impl Drop for Worker {
    /// Also where a panic takes its thread away: what has been answered is sent.
    fn drop(&mut self) {
        self.flush(None, |_, _| {});
    }
}

impl fmt::Debug for Worker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Worker").finish_non_exhaustive()
    }
}
