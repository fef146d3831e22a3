//! A process for each request.

mod outcomes;
mod settling;

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::io::Write;
use std::sync::atomic::AtomicI32;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

use self::outcomes::Outcomes;
use self::outcomes::Place;
use super::Dispatch;
use super::Process;
use super::Rejected;
use super::ServeLoop;
use super::Task;
use crate::end::End;
use crate::engine::drive::Outcome;
use crate::engine::serve_loop::Ready;
use crate::engine::source::Observe;
use crate::engine::source::Source;
use crate::engine::worker::Worker;
use crate::error::BindError;
use crate::error::ServeError;
use crate::event::Event;
use crate::panics::catch;
use crate::sys::child::Child as ChildProcess;
use crate::sys::child::Exit;
use crate::sys::child::KILL;
use crate::sys::flag::Flag;
use crate::sys::fork::ForkError;
use crate::sys::fork::Purpose;
use crate::sys::fork::fork;
use crate::sys::one_thread;
use crate::sys::one_thread::NotOneThread;

/// Forks a child for each request, like Python's `ForkingMixIn`.
///
/// The process must have a single thread. The server checks that when it begins to serve and at each fork: if there are
/// more, the request is refused. A child has neither the listener (of a stream transport) nor the connections of
/// others, and its changes to memory are its own. It exits with 0 if its request ended well, otherwise with 1, or with
/// the code passed to [`set_exit_code`](Self::set_exit_code). `handle_error` and the other hooks of the request run in
/// the child, which reports to the server how its request ended; if a child has crashed, executed another program or
/// exited by itself, its exit status decides.
///
/// Children are collected as soon as they end, by their own process IDs: the status of any other child is left alone.
/// If SIGCHLD is ignored, it is reset to its default, and `SA_NOCLDWAIT` is cleared, because the system would discard
/// exit codes otherwise; a handler for it remains.
///
/// At the limit of [`max_children`](Self::max_children) (40) new clients wait in the backlog. When the server stops,
/// idle children end at once; those that remain at the deadline receive SIGTERM, and shortly afterwards SIGKILL.
///
/// A child does not inherit the server's signal handlers. Signals that a terminal sends to the whole process group
/// (SIGINT on Ctrl-C, SIGQUIT, SIGTSTP, SIGHUP) are ignored in a child if the server handles them, so that children
/// finish while the server drains; SIGTERM and others have their default action. Signals that the server ignores, or
/// for which it has the default action, are the same in a child, and in a program that it executes.
#[derive(Clone, Debug)]
pub struct Fork {
    max_children: usize,
    child_timeout: Option<Duration>,
}

impl Default for Fork {
    fn default() -> Self {
        Self { max_children: 40, child_timeout: None }
    }
}

/// What this process exits with, if it is a child; `UNSET` until that is set.
static EXIT_CODE: AtomicI32 = AtomicI32::new(UNSET);

const UNSET: i32 = -1;

impl Fork {
    /// The maximum number of children at a time. Default 40.
    #[must_use]
    pub fn max_children(mut self, most: usize) -> Self {
        self.max_children = most;
        self
    }

    /// Children that take longer are killed with SIGKILL, whatever they are doing. Default `None`: no timeout.
    ///
    /// The builder's [`total_timeout`](crate::Builder::total_timeout) is enforced by the child itself: it ends waits,
    /// with an error that `handle_error` and `finish` receive, but not a handler that computes or that has executed
    /// another program. In both cases the request ends with [`TimedOut`](End::TimedOut).
    #[must_use]
    pub fn child_timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.child_timeout = timeout.into();
        self
    }

    /// Sets the exit code of the child in which it is called; the parent reports it in [`Event::ChildExit`]. It has no
    /// effect in a process that was not forked by this dispatch.
    pub fn set_exit_code(code: u8) {
        EXIT_CODE.store(code.into(), Ordering::Relaxed);
    }
}

impl Dispatch for Fork {
    const NAME: &'static str = "Fork";

    fn limit(&self) -> Option<usize> {
        Some(self.max_children)
    }

    fn check(&self) -> Result<(), BindError> {
        let (option, reason) = if self.max_children == 0 {
            ("max_children", "a server without children serves no request; it must be at least 1")
        } else if self.child_timeout == Some(Duration::ZERO) {
            ("child_timeout", "every child would be killed at once; `None` kills none")
        } else {
            return Ok(());
        };
        Err(BindError::Option { option, value: "0".to_owned(), reason: reason.to_owned() })
    }
}

/// The children, and what they get instead of what they must not keep open.
///
/// After each fork the kernel copies every page that the parent writes to while the child lives: what is kept of a
/// request stays in the box that it was accepted in, and the table holds no more than its place.
pub struct Running<J> {
    children: HashMap<u32, Child<J>>,
    outcomes: Outcomes,
    idle: Flag,
    ready: Vec<Ready<J>>,
}

/// A request, and the child that serves it.
struct Child<J> {
    process: ChildProcess,
    place: Option<Place>,
    job: Box<J>,
    until: Option<Instant>,
}

impl<J> fmt::Debug for Running<J> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Running").field("children", &self.children.len()).finish_non_exhaustive()
    }
}

impl<J: Task> Process<J> for Fork {
    type Running = Running<J>;

    fn start(&self, serve_loop: &mut ServeLoop<J>) -> Result<Running<J>, ServeError> {
        one_thread::check()?;
        Worker::with_local(Worker::warm);
        if let Some(acceptor) = &mut serve_loop.acceptor {
            // A connection that is accepted waits for no other's fork: a child would inherit it.
            acceptor.burst = 1;
        }
        let failed = |source| ServeError::Start { dispatch: Self::NAME, source };
        let outcomes = Outcomes::new(serve_loop.reporter.core().permits.limit()).map_err(failed)?;
        let idle = Flag::new().map_err(failed)?;
        Ok(Running { children: HashMap::new(), outcomes, idle, ready: Vec::new() })
    }

    fn process_request(
        &self,
        running: &mut Running<J>,
        serve_loop: &mut ServeLoop<J>,
        mut job: J,
    ) -> Result<(), Rejected<J>> {
        job.settle_here();
        running.fork_for(Box::new(job), self.child_timeout, serve_loop)
    }

    fn serve(&self, running: &mut Running<J>, serve_loop: &mut ServeLoop<J>) -> Result<(), ServeError> {
        one_thread::check()?;
        let mut ready = std::mem::take(&mut running.ready);
        loop {
            let outcome = serve_loop.turn(false, &mut ready);
            for event in ready.drain(..) {
                running.take(event, self.child_timeout, serve_loop);
            }
            running.look_after(serve_loop);
            if !outcome? {
                return Ok(());
            }
        }
    }

    fn service(&self, running: &mut Running<J>, serve_loop: &mut ServeLoop<J>) {
        running.collect_all(serve_loop);
    }

    fn drain(&self, running: &mut Running<J>, serve_loop: &mut ServeLoop<J>, until: Instant) {
        running.end_silent(self.child_timeout, serve_loop);
        running.wait(serve_loop, self.child_timeout, until);
    }

    fn force(&self, running: &mut Running<J>, serve_loop: &mut ServeLoop<J>) {
        /// The handlers' reads have been interrupted; then each signal has this long to work.
        const STEP: Duration = Duration::from_millis(25);
        /// A process that has got SIGKILL ends at once, on a machine that has time for it.
        const KILLED: Duration = Duration::from_secs(1);
        running.cut_unsettled(serve_loop);
        for hard in [None, Some(false), Some(true)] {
            for child in running.children.values_mut() {
                // Whatever it exits with from here on: it was still busy at the deadline.
                child.job.ended_elsewhere(End::Forced, None);
                if let Some(hard) = hard {
                    // One that has just ended needs no signal.
                    let _ = child.process.kill(hard);
                }
            }
            let step = if hard == Some(true) { KILLED } else { STEP };
            running.wait(serve_loop, self.child_timeout, Instant::now() + step);
        }
    }
}

impl<J: Task> Running<J> {
    fn fork_for(
        &mut self,
        job: Box<J>,
        timeout: Option<Duration>,
        serve_loop: &mut ServeLoop<J>,
    ) -> Result<(), Rejected<J>> {
        if job.is_over() {
            return Ok(());
        }
        // What is buffered would be written twice, by each side.
        let _ = io::stdout().flush();
        let mut withheld = vec![serve_loop.park.poller.descriptor()];
        let source = serve_loop.acceptor.as_ref().map(|acceptor| &acceptor.source);
        if let Some(source) = source.filter(|source| !source.answers_itself()) {
            source.descriptors(&mut |listener| withheld.push(listener));
        }
        let place = self.outcomes.take();
        let tell = |outcome: &Outcome| _ = place.map(|place| self.outcomes.write(place, outcome));
        let mut job = Some(job);
        let outcome = fork(Purpose::Request, &withheld, &self.idle, || {
            settling::forget_others(&serve_loop.park);
            job.take().map_or(1, |job| serve_in_child(*job, tell))
        });
        // Only the child takes it.
        let Some(mut job) = job else { return Ok(()) };
        let pid = match outcome {
            Ok(pid) => pid,
            Err(error) => {
                self.outcomes.give_back(place);
                return Err(Rejected::new(*job, error.into()));
            }
        };
        job.leave_to_child();
        let Some(mut process) = ChildProcess::new(pid) else { return Ok(()) };
        ServeLoop::watch(&serve_loop.park, &mut process, pid);
        let until = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        self.children.insert(pid, Child { process, place, job, until });
        self.set_pace(serve_loop);
        Ok(())
    }

    /// Waits until no request is left or the time is over.
    fn wait(&mut self, serve_loop: &mut ServeLoop<J>, timeout: Option<Duration>, until: Instant) {
        let mut ready = std::mem::take(&mut self.ready);
        self.collect_all(serve_loop);
        while serve_loop.in_use() > 0 && Instant::now() < until {
            self.look_after(serve_loop);
            serve_loop.wait_ready(until);
            if serve_loop.turn(false, &mut ready).is_err() {
                break;
            }
            for event in ready.drain(..) {
                self.take(event, timeout, serve_loop);
            }
            self.collect_all(serve_loop);
        }
        self.ready = ready;
    }

    fn collect(&mut self, pid: u32, serve_loop: &mut ServeLoop<J>) {
        let Some(child) = self.children.get(&pid) else { return };
        let Some(Exit { code, signal }) = child.process.try_wait() else { return };
        if let Some(Child { mut process, place, mut job, until }) = self.children.remove(&pid) {
            process.unwatch(&serve_loop.park.poller);
            let outcome = place.and_then(|place| self.outcomes.read(place));
            self.outcomes.give_back(place);
            let overdue = until.is_some_and(|until| until <= Instant::now());
            let end = match (code, outcome) {
                // It has gone some other way than it has told.
                (Some(code), Some(outcome)) if (code == 0) == ends_well(outcome.end) => outcome.end,
                (Some(0), _) => End::HandlerClosed,
                (None, _) if overdue && signal == Some(KILL) => End::TimedOut,
                _ => End::Failed,
            };
            job.ended_elsewhere(end, outcome);
            serve_loop.reporter.observe(&Event::ChildExit { pid, code, signal });
        }
        self.set_pace(serve_loop);
    }

    /// The poller says that the child has ended.
    fn heard(&mut self, pid: u32, serve_loop: &mut ServeLoop<J>) {
        self.collect(pid, serve_loop);
        // kqueue tells once, and on macOS before the child can be collected.
        if let Some(child) = self.children.get_mut(&pid) {
            child.process.unwatch(&serve_loop.park.poller);
            self.set_pace(serve_loop);
        }
    }

    fn collect_all(&mut self, serve_loop: &mut ServeLoop<J>) {
        let children: Vec<u32> = self.children.keys().copied().collect();
        for pid in children {
            self.collect(pid, serve_loop);
        }
    }

    /// What no event tells of: children that are overdue, and the exits of those that are not watched.
    fn look_after(&mut self, serve_loop: &mut ServeLoop<J>) {
        let now = Instant::now();
        for child in self.children.values() {
            if child.until.is_some_and(|until| until <= now) {
                let _ = child.process.kill(true);
            }
        }
        if self.has_unwatched() {
            self.collect_all(serve_loop);
        }
        self.set_pace(serve_loop);
    }

    /// Whether there are children whose exits no descriptor tells of: only where the system has none, none was left, or
    /// a sandbox allows none.
    fn has_unwatched(&self) -> bool {
        self.children.values().any(|child| !child.process.is_watched())
    }

    /// How often the loop has to look after the children.
    fn set_pace(&self, serve_loop: &mut ServeLoop<J>) {
        const UNWATCHED: Duration = Duration::from_millis(20);
        let next = self.children.values().filter_map(|child| child.until).min();
        let sweep = self.has_unwatched().then(|| Instant::now() + UNWATCHED);
        serve_loop.look_again_at(next.into_iter().chain(sweep).min());
    }
}

impl<J> Drop for Running<J> {
    /// A child that is left at the end of a drain has been killed: it is collected, so that no zombie stays.
    fn drop(&mut self) {
        for Child { process, .. } in self.children.values() {
            let _ = process.kill(true);
            for _ in 0..100 {
                if process.try_wait().is_some() {
                    break;
                }
                // A process in an uninterruptible call ends when that does.
                std::thread::yield_now();
            }
        }
    }
}

/// Serves the request in the child; what that exits with.
fn serve_in_child<J: Task>(job: J, tell: impl FnOnce(&Outcome)) -> u8 {
    EXIT_CODE.store(UNSET, Ordering::Relaxed);
    let mut well = false;
    // What the server runs for others does not panic; if it does, that is no good end.
    let _ = catch(|| {
        job.run_as_child(|outcome| {
            well = ends_well(outcome.end);
            tell(&outcome);
        });
    });
    let _ = catch(|| io::stdout().flush());
    u8::try_from(EXIT_CODE.load(Ordering::Relaxed)).unwrap_or(if well { 0 } else { 1 })
}

/// Whether a child exits with 0 for it.
fn ends_well(end: End) -> bool {
    match end {
        End::Failed | End::Forced | End::Panicked | End::Shed | End::TimedOut => false,
        End::Detached | End::Drained | End::HandlerClosed | End::IdleTimeout | End::PeerClosed | End::Refused => true,
    }
}

impl From<NotOneThread> for ServeError {
    fn from(reason: NotOneThread) -> Self {
        match reason {
            NotOneThread::Several(threads) => Self::NotSingleThreaded { threads },
            NotOneThread::Unknown(source) => Self::UnknownThreads { source },
        }
    }
}

impl From<ForkError> for io::Error {
    fn from(error: ForkError) -> Self {
        match error {
            ForkError::System(error) => error,
            ForkError::Threads(reason) => Self::other(ServeError::from(reason)),
        }
    }
}
