//! A thread for each request, reused for a while when it is done.

use std::collections::HashMap;
use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;
use std::time::Instant;

use parking_lot::Condvar;
use parking_lot::Mutex;

use super::Dispatch;
use super::Process;
use super::Rejected;
use super::ServeLoop;
use super::ServesInBackground;
use super::Task;
use crate::engine::worker::WorkerSpan;
use crate::error::BindError;
use crate::error::ServeError;

/// Runs each request on its own thread, like Python's `ThreadingMixIn`: for long conversations that block inside
/// `handle`.
///
/// A thread that is done waits a little ([`idle_timeout`](Self::idle_timeout), 2 s) for another request before it ends,
/// so that short connections do not each pay for a new thread; with [`fresh_threads`](Self::fresh_threads) each request
/// gets a new one. There are never more threads than [`max_threads`](Self::max_threads) or the builder's
/// `max_connections`.
#[derive(Clone, Debug)]
pub struct ThreadPerRequest {
    max_threads: Option<usize>,
    idle_timeout: Duration,
    stack_size: Option<usize>,
}

impl Default for ThreadPerRequest {
    fn default() -> Self {
        Self { max_threads: None, idle_timeout: Duration::from_secs(2), stack_size: None }
    }
}

impl ThreadPerRequest {
    /// The maximum number of threads, and so of concurrent requests; other clients wait in the backlog. Default: the
    /// builder's `max_connections`.
    #[must_use]
    pub fn max_threads(mut self, most: usize) -> Self {
        self.max_threads = Some(most);
        self
    }

    /// How long a thread waits for another request before it ends. Default 2 s.
    #[must_use]
    pub fn idle_timeout(mut self, timeout: Duration) -> Self {
        self.idle_timeout = timeout;
        self
    }

    /// Starts a new thread for each request, for handlers that leave state behind in their thread.
    #[must_use]
    pub fn fresh_threads(self) -> Self {
        self.idle_timeout(Duration::ZERO)
    }

    /// The stack size of each thread, in bytes. Default: that of `std::thread`, 2 MiB.
    #[must_use]
    pub fn stack_size(mut self, bytes: usize) -> Self {
        self.stack_size = Some(bytes);
        self
    }
}

impl Dispatch for ThreadPerRequest {
    const NAME: &'static str = "ThreadPerRequest";

    fn limit(&self) -> Option<usize> {
        self.max_threads
    }

    fn check(&self) -> Result<(), BindError> {
        if self.max_threads != Some(0) {
            return Ok(());
        }
        Err(BindError::Option {
            option: "max_threads",
            value: "0".to_owned(),
            reason: "a server without threads serves no request; it must be at least 1".to_owned(),
        })
    }
}

impl ServesInBackground for ThreadPerRequest {}

impl<J: Task + Send + 'static> Process<J> for ThreadPerRequest {
    type Running = Threads<J>;

    fn start(&self, _: &mut ServeLoop<J>) -> Result<Threads<J>, ServeError> {
        Ok(Threads { settings: self.clone(), shared: Arc::default() })
    }

    fn process_request(&self, threads: &mut Threads<J>, _: &mut ServeLoop<J>, job: J) -> Result<(), Rejected<J>> {
        threads.run(job)
    }
}

/// The threads of one server.
pub struct Threads<J> {
    settings: ThreadPerRequest,
    shared: Arc<Shared<J>>,
}

impl<J> fmt::Debug for Threads<J> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Threads").field("settings", &self.settings).finish_non_exhaustive()
    }
}

struct Shared<J> {
    state: Mutex<State<J>>,
    /// Told when a thread has ended.
    ended: Condvar,
}

struct State<J> {
    /// Threads without work; the one that was used last is used next, so that the others may end.
    idle: Vec<Arc<Seat<J>>>,
    /// Handles by number; those that have ended are joined by the next one.
    handles: HashMap<u64, JoinHandle<()>>,
    ended: Vec<JoinHandle<()>>,
    next_number: u64,
    /// Requests for which there may be no other thread: whichever is done first takes them.
    queued: VecDeque<J>,
    /// Threads that run a request.
    busy: usize,
    closed: bool,
}

/// Where one thread gets its work.
struct Seat<J> {
    job: Mutex<Option<J>>,
    filled: Condvar,
}

impl<J> Default for Shared<J> {
    fn default() -> Self {
        let state = State {
            idle: Vec::new(),
            handles: HashMap::new(),
            ended: Vec::new(),
            next_number: 1,
            queued: VecDeque::new(),
            busy: 0,
            closed: false,
        };
        Self { state: Mutex::new(state), ended: Condvar::new() }
    }
}

impl<J: Task + Send + 'static> Threads<J> {
    fn run(&self, job: J) -> Result<(), Rejected<J>> {
        let mut state = self.shared.state.lock();
        for ended in state.ended.drain(..) {
            // It has nothing left to do but to vanish; a task does not panic.
            let _ = ended.join();
        }
        let at_most = self.settings.max_threads.filter(|_| !self.settings.idle_timeout.is_zero());
        if state.idle.is_empty() && at_most.is_some_and(|most| state.handles.len() >= most) {
            // A request is over before its thread has noticed.
            state.queued.push_back(job);
            return Ok(());
        }
        state.busy += 1;
        if let Some(seat) = state.idle.pop() {
            *seat.job.lock() = Some(job);
            drop(state);
            seat.filled.notify_one();
            return Ok(());
        }
        let number = state.next_number;
        state.next_number += 1;
        let seat = Arc::new(Seat { job: Mutex::new(Some(job)), filled: Condvar::new() });
        match self.spawn(number, &seat) {
            Ok(handle) => {
                state.handles.insert(number, handle);
                Ok(())
            }
            Err(error) => {
                state.busy -= 1;
                let job = seat.job.lock().take().expect("only the thread that did not start takes it");
                Err(Rejected::new(job, error))
            }
        }
    }

    fn spawn(&self, number: u64, seat: &Arc<Seat<J>>) -> io::Result<JoinHandle<()>> {
        let mut builder = std::thread::Builder::new().name(format!("request-{number}"));
        if let Some(bytes) = self.settings.stack_size {
            builder = builder.stack_size(bytes);
        }
        let shared = Arc::clone(&self.shared);
        let seat = Arc::clone(seat);
        let idle_timeout = self.settings.idle_timeout;
        builder.spawn(move || {
            let mut span = None;
            loop {
                while let Some(job) = take(&shared, &seat, idle_timeout) {
                    span.get_or_insert_with(|| WorkerSpan::new(job.reporter()));
                    job.run();
                    let mut state = shared.state.lock();
                    if let Some(job) = state.queued.pop_front() {
                        *seat.job.lock() = Some(job);
                        continue;
                    }
                    state.busy -= 1;
                    if !state.closed && !idle_timeout.is_zero() {
                        state.idle.push(Arc::clone(&seat));
                    }
                }
                drop(span.take());
                let mut state = shared.state.lock();
                // Under the lock under which requests are queued: none is left to a thread that has ended.
                if let Some(job) = state.queued.pop_front() {
                    state.busy += 1;
                    *seat.job.lock() = Some(job);
                    continue;
                }
                if let Some(handle) = state.handles.remove(&number) {
                    state.ended.push(handle);
                }
                break;
            }
            shared.ended.notify_all();
        })
    }
}

/// The next request of a thread; `None` to end it. Everything is decided under the one lock, so no request is handed to
/// a thread that ends.
fn take<J>(shared: &Shared<J>, seat: &Arc<Seat<J>>, idle_timeout: Duration) -> Option<J> {
    let until = Instant::now().checked_add(idle_timeout);
    let mut state = shared.state.lock();
    loop {
        if let Some(job) = seat.job.lock().take() {
            return Some(job);
        }
        if state.closed || until.is_some_and(|until| Instant::now() >= until) {
            state.idle.retain(|idle| !Arc::ptr_eq(idle, seat));
            return None;
        }
        match until {
            Some(until) => _ = seat.filled.wait_until(&mut state, until),
            None => seat.filled.wait(&mut state),
        }
    }
}

impl<J> Drop for Threads<J> {
    /// Waits for every thread but those whose handlers would not end in the drain: they end when their handlers return.
    fn drop(&mut self) {
        const GRACE: Duration = Duration::from_millis(20);
        let until = Instant::now() + GRACE;
        let mut state = self.shared.state.lock();
        state.closed = true;
        for idle in &state.idle {
            idle.filled.notify_one();
        }
        while !state.handles.is_empty() {
            let only_stuck = state.handles.len() == state.busy;
            if only_stuck && self.shared.ended.wait_until(&mut state, until).timed_out() {
                break;
            }
            if !only_stuck {
                self.shared.ended.wait(&mut state);
            }
        }
        let ended = std::mem::take(&mut state.ended);
        let queued = std::mem::take(&mut state.queued);
        drop(state);
        drop(queued);
        for handle in ended {
            let _ = handle.join();
        }
    }
}
