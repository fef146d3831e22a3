//! A pool of threads for any number of connections: leader and followers over the parking place.
//!
//! See [`scheduler`] for how it works.

mod lane;
mod monitor;
mod ring;
mod scheduler;
mod sleepers;
mod spare;

use std::fmt;
use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;
use std::time::Instant;

use parking_lot::Mutex;

use self::scheduler::Limits;
use self::scheduler::Scheduler;
use self::scheduler::Work;
use super::Dispatch;
use super::Process;
use super::Rejected;
use super::ServeLoop;
use super::ServesInBackground;
use super::Task;
use crate::end::End;
use crate::engine::source::Observe;
use crate::error::BindError;
use crate::error::ServeError;
use crate::managed::with_pool;
use crate::panics::Thrown;
use crate::sys::Interest;
use crate::sys::wait::wait;

/// Runs handlers on the threads of a private rayon pool, for any number of connections.
///
/// A connection whose handler returns [`Flow::Continue`](crate::Flow::Continue) waits in the poller without a thread.
/// Handlers may block. If a call of a handler blocks for more than about a millisecond (up to eight, for the first one
/// after a while), its connection is from then on served with the other slow ones, on some of the threads, so that
/// quick connections stay quick; once it is quick again, it is treated as such. On Linux, a handler that computes is
/// detected after three milliseconds or more, and a thread that other processes keep from running (for up to about
/// sixty milliseconds) counts as neither.
///
/// # rayon in handlers
///
/// Handlers may use rayon. Jobs started with `ThreadPool::install` on another pool run there in parallel. What a
/// handler starts directly (`rayon::join`, `par_iter`) belongs to the server's private pool, whose threads serve
/// connections: it runs correctly, but sequentially on the handler's own thread. `rayon::spawn` runs there after the
/// handler has returned.
#[derive(Clone, Debug, Default)]
pub struct Pool {
    workers: Option<usize>,
    stack_size: Option<usize>,
    max_threads: Option<usize>,
    least_wait: Option<Duration>,
}

/// More threads than any system has; the table of their lanes is made for this many at the most.
const MOST_THREADS: usize = 1 << 20;

/// How long a wait lasts at the bound, whatever waits for its thread, if the builder of the pool does not say.
const LEAST_WAIT: Duration = Duration::from_secs(1);

/// Fewer would not leave room for a few handlers that block.
const LEAST_DEFAULT: usize = 16;

impl Pool {
    /// A pool with `workers` permanent threads; see [`workers`](Self::workers).
    #[must_use]
    pub fn new(workers: usize) -> Self {
        Self::default().workers(workers)
    }

    /// The number of permanent threads. Default: four per CPU, at least 16; threads that are not needed sleep.
    #[must_use]
    pub fn workers(mut self, workers: usize) -> Self {
        self.workers = Some(workers);
        self
    }

    /// The maximum number of threads: workers, and spare ones that are started while others wait. Default: the maximum
    /// number of connections, so that each may block its own thread, as under
    /// [`ThreadPerRequest`](crate::ThreadPerRequest).
    ///
    /// To run at most `n` handlers at a time (for a database that allows `n` connections), set both numbers:
    /// `Pool::new(n).max_threads(n)`. At the limit, when every thread waits for a peer and there is work, waits are
    /// ended early, as if they had timed out: first those between two messages, then the longest; none that has lasted
    /// less than the [least wait](Self::least_wait), unless work has waited that long. This is reported by
    /// [`Event::WaitsEnded`](crate::Event::WaitsEnded) and counted. If the system refuses to start a thread, the pool
    /// continues as at its limit.
    #[must_use]
    pub fn max_threads(mut self, threads: usize) -> Self {
        self.max_threads = Some(threads);
        self
    }

    /// At the limit of threads ([`max_threads`](Self::max_threads)), how long a wait lasts at least before it may be
    /// ended in favour of others. Default 1 s.
    #[must_use]
    pub fn least_wait(mut self, wait: Duration) -> Self {
        self.least_wait = Some(wait);
        self
    }

    /// The stack size of each thread, in bytes. Default: that of `std::thread`, 2 MiB.
    #[must_use]
    pub fn stack_size(mut self, bytes: usize) -> Self {
        self.stack_size = Some(bytes);
        self
    }
}

impl Dispatch for Pool {
    const NAME: &'static str = "Pool";

    fn check(&self) -> Result<(), BindError> {
        let option = |option, value: usize, reason: &str| {
            Err(BindError::Option { option, value: value.to_string(), reason: reason.to_owned() })
        };
        match (self.workers, self.max_threads) {
            (Some(0), _) => option("workers", 0, "a pool without threads serves no one; it must be at least 1"),
            (_, Some(0)) => option("max_threads", 0, "a pool without threads serves no one; it must be at least 1"),
            (Some(workers), Some(most)) if most < workers => {
                option("max_threads", most, &format!("the pool has {workers} workers; it must be at least as many"))
            }
            _ => Ok(()),
        }
    }
}

impl ServesInBackground for Pool {}

impl<J: Task + Send + 'static> Process<J> for Pool
where
    J::Source: Send,
    J::Reporter: Send + Sync,
{
    type Running = Running<J>;

    fn start(&self, serve_loop: &mut ServeLoop<J>) -> Result<Running<J>, ServeError> {
        let cpus = std::thread::available_parallelism().map_or(1, usize::from);
        let workers = self.workers.unwrap_or_else(|| (4 * cpus).max(LEAST_DEFAULT));
        let workers = workers.min(self.max_threads.unwrap_or(workers));
        let connections = serve_loop.reporter.core().permits.limit();
        let limits = Limits {
            workers,
            // A thread is on duty for the others while each connection waits in one.
            most: self.max_threads.unwrap_or_else(|| connections.saturating_add(1)).clamp(workers, MOST_THREADS),
            cpus,
            least_wait: self.least_wait.unwrap_or(LEAST_WAIT),
        };
        let failed = |source| ServeError::Start { dispatch: Self::NAME, source };
        let park = Arc::clone(&serve_loop.park);
        let scheduler = Scheduler::new(limits, serve_loop.waiter.address(), park, serve_loop.reporter.clone());
        let scheduler = Arc::new(scheduler.map_err(failed)?);
        let monitor = monitor::spawn(&scheduler).map_err(failed)?;
        let mut running = Running { scheduler, pool: None, threads: Arc::default(), monitor, swept: false };
        running.pool = Some(running.build(workers, self.stack_size).map_err(failed)?);
        running.scheduler.publish_threads();
        running.scheduler.set_start(Some(spare::starter(&running.scheduler, &running.threads, self.stack_size)));
        Ok(running)
    }

    fn process_request(&self, running: &mut Running<J>, _: &mut ServeLoop<J>, job: J) -> Result<(), Rejected<J>> {
        running.scheduler.inject(Work::New(Box::new(job)));
        Ok(())
    }

    fn serve(&self, running: &mut Running<J>, serve_loop: &mut ServeLoop<J>) -> Result<(), ServeError> {
        let scheduler = &running.scheduler;
        if let Some(acceptor) = serve_loop.acceptor.take() {
            scheduler.give_acceptor(acceptor);
        }
        // The workers wait, accept and serve from here on; this thread only waits for the end.
        let stop = &scheduler.reporter.core().stop.state;
        while !stop.is_stopping() {
            if let Err(source) = wait(stop.draining.descriptor(), Interest::Read, &[], None) {
                stop_after(running);
                return Err(ServeError::Wait { address: serve_loop.waiter.address().to_owned(), source });
            }
        }
        serve_loop.acceptor = scheduler.take_acceptor();
        scheduler.failure.lock().take().map_or(Ok(()), Err)
    }

    fn drain(&self, running: &mut Running<J>, serve_loop: &mut ServeLoop<J>, until: Instant) {
        // Each takes in what has arrived and ends; those that still have to send or to linger park again. One look is
        // enough at those that may stay.
        if !std::mem::replace(&mut running.swept, serve_loop.hands_over()) {
            for (token, job) in serve_loop.park.take_all() {
                running.scheduler.inject(Work::Again { token, job });
            }
        }
        serve_loop.wait_idle(until);
    }

    fn force(&self, running: &mut Running<J>, serve_loop: &mut ServeLoop<J>) {
        // Handlers whose reads were interrupted finish on their workers; what waits, for whatever, is cut off here.
        for (token, mut job) in serve_loop.park.take_all() {
            job.cut(End::Forced);
            serve_loop.park.remove(token, &job);
        }
        for work in running.scheduler.take_queued() {
            if let Work::Again { token, mut job } | Work::Expired { token, mut job, .. } = work {
                job.cut(End::Forced);
                serve_loop.park.remove(token, &job);
            }
        }
    }
}

fn stop_after<J: Task>(running: &Running<J>) {
    running.scheduler.reporter.core().stop.shutdown();
}

/// The pool and its threads.
pub struct Running<J: Task> {
    scheduler: Arc<Scheduler<J>>,
    pool: Option<rayon::ThreadPool>,
    threads: Arc<Mutex<Vec<JoinHandle<()>>>>,
    monitor: JoinHandle<()>,
    /// All parked connections have been told of a drain in which they may stay.
    swept: bool,
}

impl<J: Task> fmt::Debug for Running<J> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Running").field("monitor", &self.monitor.thread().id()).finish_non_exhaustive()
    }
}

impl<J: Task + Send + 'static> Running<J>
where
    J::Source: Send,
    J::Reporter: Send + Sync,
{
    /// A private pool whose threads can be joined: dropping a rayon pool does not wait for them.
    fn build(&self, workers: usize, stack_size: Option<usize>) -> io::Result<rayon::ThreadPool> {
        let threads = Arc::clone(&self.threads);
        let scheduler = Arc::clone(&self.scheduler);
        rayon::ThreadPoolBuilder::new()
            .num_threads(workers)
            // In the start handler, not as rayon jobs: idle rayon workers would busily try to steal them from one
            // another during start-up.
            .start_handler(move |index| {
                let pool = Arc::clone(&scheduler);
                with_pool(pool, index, || scheduler.work(index));
            })
            // Tasks catch the panics of handlers; this is for what handlers give to `rayon::spawn`. The message has been
            // printed.
            .panic_handler(|payload| drop(Thrown::new(payload)))
            .spawn_handler(move |thread| {
                let mut builder = std::thread::Builder::new().name(format!("worker-{}", thread.index()));
                if let Some(bytes) = stack_size {
                    builder = builder.stack_size(bytes);
                }
                threads.lock().push(builder.spawn(|| thread.run())?);
                Ok(())
            })
            .build()
            .map_err(io::Error::other)
    }
}

impl<J: Task> Drop for Running<J> {
    /// Waits for every thread but those whose handlers would not end in the drain: they end when their handlers return.
    fn drop(&mut self) {
        const GRACE: Duration = Duration::from_millis(20);
        self.scheduler.end_all();
        // Before the handles are taken: no thread is started from here on.
        self.scheduler.set_start(None);
        self.monitor.thread().unpark();
        drop(self.pool.take());
        let abandoned = self.scheduler.reporter.core().permits.in_use() > 0;
        let until = Instant::now() + GRACE;
        for thread in self.threads.lock().drain(..) {
            while abandoned && !thread.is_finished() && Instant::now() < until {
                std::thread::yield_now();
            }
            if !abandoned || thread.is_finished() {
                // A worker does not panic: tasks catch what their handlers do.
                let _ = thread.join();
            }
        }
        while !self.monitor.is_finished() {
            self.monitor.thread().unpark();
            std::thread::yield_now();
        }
    }
}
