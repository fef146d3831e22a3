//! What a dispatch sees of a request, whatever its transport and its handler are.

use std::cell::RefCell;
use std::fmt;
use std::io;
use std::time::Instant;

use crate::end::End;
use crate::engine::core::Core;
use crate::error::RequestError;
use crate::event::Event;
use crate::limits::permit::Permit;
use crate::park::Wait;
use crate::park::Waits;
use crate::park::token::Class;
use crate::request::Outbox;
use crate::request::ReadBuffer;
use crate::request::Session;
use crate::request::buffer::SIZE;
use crate::request::delivery::Patience;
use crate::request::delivery::deliver_all;
use crate::request::mailbox::Mailbox;
use crate::sys::Descriptor;

/// Keeps the traits of this module to this crate: they are the server's side of the contract.
pub trait Sealed {}

/// One request with its handler, ready to run: what a dispatch is given.
///
/// A custom dispatch calls [`run`](Self::run) on a thread of its choice. Dropping a task closes its connection.
pub trait Task: Sealed + Sized {
    /// Where such tasks come from.
    #[doc(hidden)]
    type Source: Source<Task = Self>;

    /// Who is told what happens.
    #[doc(hidden)]
    type Reporter: Report + Clone;

    /// Serves the request to its end on this thread, waiting for the peer as long as the timeouts allow. Does not
    /// panic.
    fn run(self);

    /// As [`run`](Self::run), up to where it is over (`Done`, `Detach`) or only lingers (`Park`).
    #[doc(hidden)]
    fn run_until_lingering(&mut self) -> Turn;

    /// Serves it as far as that goes without waiting for the peer.
    #[doc(hidden)]
    fn turn(&mut self, worker: &mut Worker) -> Turn;

    /// What a poller can wait on.
    #[doc(hidden)]
    fn descriptor(&self) -> Option<Descriptor<'_>>;

    /// Whether it has ended already, and no dispatch has to run it.
    #[doc(hidden)]
    fn is_over(&self) -> bool;

    /// Whether the second phase of its transport is not over yet.
    #[doc(hidden)]
    fn is_establishing(&self) -> bool {
        false
    }

    /// Whether it can wait in a poller at all.
    #[doc(hidden)]
    fn parks(&self) -> bool;

    /// What others have sent to it, if anybody can.
    #[doc(hidden)]
    fn mailbox(&self) -> Option<&Mailbox>;

    /// What to wait for before the first turn, if there is anything.
    #[doc(hidden)]
    fn first_wait(&self) -> Option<Wait>;

    /// The poller says that the peer may have closed.
    #[doc(hidden)]
    fn set_hangup(&mut self);

    /// The deadline of a wait has passed.
    #[doc(hidden)]
    fn expire(&mut self, class: Class);

    /// Ends the conversation from outside; the closing may need more turns.
    #[doc(hidden)]
    fn cut(&mut self, end: End);

    /// After [`Turn::Detach`]: hands the connection over.
    #[doc(hidden)]
    fn detach(self);

    /// Could not be dispatched.
    #[doc(hidden)]
    fn reject(self, error: RequestError);

    /// Turned away: closed as gracefully as that goes without waiting.
    #[doc(hidden)]
    fn refuse(&mut self);

    /// In a forked child: as [`run`](Self::run), but the parent does the accounts, and `tell` is what it is told.
    #[doc(hidden)]
    fn run_as_child(self, tell: impl FnOnce(Outcome));

    /// Goes on with what has to be done before the request may leave this process; what it waits for, if it does.
    #[doc(hidden)]
    fn settle(&mut self) -> Option<Wait>;

    /// As [`settle`](Self::settle), waiting on this thread.
    #[doc(hidden)]
    fn settle_here(&mut self);

    /// In a forked child that it does not concern: closes the connection here, and is not accounted for.
    #[doc(hidden)]
    fn forget(&mut self);

    /// In the parent of a forked child: closes the connection here, and keeps what has to be accounted for.
    #[doc(hidden)]
    fn leave_to_child(&mut self);

    /// How it ended where it was left to; the first word counts. The rest of the outcome, where it is known.
    #[doc(hidden)]
    fn ended_elsewhere(&mut self, end: End, outcome: Option<Outcome>);

    /// As [`refuse`](Self::refuse), after these bytes.
    #[doc(hidden)]
    fn refuse_with(&mut self, farewell: &[u8]);

    /// A reply could not be sent.
    #[doc(hidden)]
    fn undelivered(&mut self, error: io::Error);

    #[doc(hidden)]
    fn reporter(&self) -> Self::Reporter;
}

impl<J: Task> Waits for Box<J> {
    fn descriptor(&self) -> Option<Descriptor<'_>> {
        Task::descriptor(&**self)
    }
}

/// How a request went where it was left to.
#[doc(hidden)]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Outcome {
    pub(crate) end: End,
    /// Calls of `handle`.
    pub(crate) calls: u64,
    /// Bytes received and sent.
    pub(crate) transferred: (u64, u64),
}

/// Where tasks come from.
#[doc(hidden)]
pub trait Source: Sealed {
    type Task: Task<Source = Self>;

    /// Takes the next request, without waiting.
    fn accept(&mut self, permit: Permit, now: Instant) -> io::Result<Box<Self::Task>>;
    fn has_buffered(&self) -> bool;
    fn descriptors<'a>(&'a self, show: &mut dyn FnMut(Descriptor<'a>));
    /// Where it listens, for errors.
    fn address(&self) -> String;
    /// Each place where it listens.
    fn addresses(&self) -> Vec<String>;
    fn reporter(&self) -> <Self::Task as Task>::Reporter;
    fn answers_itself(&self) -> bool;
    fn hand_over(&mut self);
}

/// Who is told what happens.
#[doc(hidden)]
pub trait Report: Sealed {
    fn error(&self, error: RequestError);
    fn observe(&self, event: &Event<'_>);
    fn service_actions(&self);
    fn core(&self) -> &Core;

    /// For model checks: slow work waits.
    #[cfg(all(test, socketserver_shuttle))]
    fn deferred(&self) {}

    /// For model checks: the signal that ends waits has been raised.
    #[cfg(all(test, socketserver_shuttle))]
    fn relieved(&self) {}
}

/// A thread that runs tasks, from its start to its end, which are told on it.
pub(crate) struct Announced<R: Report>(R);

impl<R: Report> Announced<R> {
    pub(crate) fn new(reporter: R) -> Self {
        reporter.observe(&Event::WorkerStart { name: std::thread::current().name().unwrap_or_default() });
        Self(reporter)
    }
}

impl<R: Report> Drop for Announced<R> {
    fn drop(&mut self) {
        self.0.observe(&Event::WorkerStop { name: std::thread::current().name().unwrap_or_default() });
    }
}

/// What a task wants after a turn.
#[doc(hidden)]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Turn {
    /// More to do at once, when others have had their turn.
    Again,
    /// It leaves the server: release its descriptor, then call [`Task::detach`].
    Detach,
    /// It is over: drop it.
    Done,
    /// It waits for its peer.
    Park(Wait),
}

/// What a thread that runs tasks has for them: a read buffer, replies on their way out, and the time.
#[doc(hidden)]
pub struct Worker {
    buffer: Option<ReadBuffer>,
    pub(crate) outbox: Outbox,
    now: Instant,
    /// Other connections wait while a handler has this thread.
    pub(crate) serves_many: bool,
    /// This thread serves one connection to its end.
    pub(crate) is_dedicated: bool,
}

impl Worker {
    pub(crate) fn new() -> Self {
        Self { buffer: None, outbox: Outbox::default(), now: Instant::now(), serves_many: false, is_dedicated: false }
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
