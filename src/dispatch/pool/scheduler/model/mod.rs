//! A model check of the pool: the real scheduler, lanes, sleepers, monitor and parking place, in thousands of
//! interleavings chosen by shuttle, with conversations that follow a script.
//!
//! What is asked of it: every message is answered, none is taken in by two workers at a time, and handlers that block
//! keep nobody waiting but themselves. A wake-up that is lost is a deadlock, which shuttle reports; where somebody goes
//! on looking in vain, it reports that the steps of an execution do not end.
//!
//! shuttle is sequentially consistent: orders of memory that are too weak are not found.
//!
//! Run with `RUSTFLAGS="--cfg socketserver_shuttle" cargo test --release --lib model`.

mod accepting;
mod blocking;
mod bound;
mod conversation;
mod ending;
mod fairness;
mod growing;
mod serving;
mod slow;

use std::io;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use shuttle::Config;
use shuttle::MaxSteps;
use shuttle::Runner;
use shuttle::scheduler::PctScheduler;
use shuttle::scheduler::RandomScheduler;
use shuttle::thread;
use shuttle::thread::JoinHandle;

use self::conversation::Board;
use self::conversation::Call;
use self::conversation::Client;
use self::conversation::Conversation;
use self::conversation::Listener;
use self::conversation::Next;
use self::conversation::Reporter;
use self::conversation::WAIT;
use super::Limits;
use super::Scheduler;
use super::Start;
use super::Work;
use crate::dispatch::ServeLoop;
use crate::dispatch::pool::monitor;
use crate::engine::acceptor::Acceptor;
use crate::engine::core::Counter;
use crate::engine::drive::Drive;
use crate::engine::source::Observe;
use crate::managed::with_pool;
use crate::park::ParkingPlace;
use crate::park::token::Token;
use crate::sync::atomic::Ordering::SeqCst;
use crate::sys::poller::Events;

/// How many schedules each of the two checkers tries.
const SCHEDULES: usize = 3_000;

/// An execution is some hundreds of steps long; one that needs so many does not end.
const MOST_STEPS: usize = 50_000;

fn check(model: fn()) {
    let config = || {
        let mut config = Config::new();
        config.max_steps = MaxSteps::FailAfter(MOST_STEPS);
        config.stack_size = 128 << 10;
        config
    };
    Runner::new(RandomScheduler::new(SCHEDULES), config()).run(model);
    Runner::new(PctScheduler::new(3, SCHEDULES), config()).run(model);
}

type Spares = Arc<shuttle::sync::Mutex<Vec<JoinHandle<()>>>>;

/// A pool without its threads, or with them.
struct Pool {
    scheduler: Arc<Scheduler<Conversation>>,
    serve_loop: ServeLoop<Conversation>,
    listener: Arc<Listener>,
    board: Arc<Board>,
    workers: usize,
    threads: Vec<JoinHandle<()>>,
    spares: Spares,
    monitor: Option<JoinHandle<()>>,
}

impl Pool {
    /// As many workers as asked for, of which one is kept for quick connections.
    fn new(workers: usize) -> Self {
        Self::on_cpus(1, workers)
    }

    /// One worker for each CPU is kept for quick connections.
    fn on_cpus(cpus: usize, workers: usize) -> Self {
        Self::with_limits(Limits { workers, most: workers, cpus, least_wait: Duration::ZERO })
    }

    /// With as many spare threads as make it `most`.
    fn growing(workers: usize, most: usize) -> Self {
        let pool = Self::with_limits(Limits { workers, most, cpus: 1, least_wait: Duration::ZERO });
        pool.scheduler.set_start(Some(pool.starter()));
        pool
    }

    fn with_limits(limits: Limits) -> Self {
        let board = Arc::new(Board::default());
        let reporter = Reporter::new(&board);
        let listener = Arc::new(Listener::new(&reporter));
        let mut serve_loop = ServeLoop::new("model", reporter.clone()).unwrap();
        serve_loop.acceptor = Some(Acceptor::new(Arc::clone(&listener)));
        let scheduler = Scheduler::new(limits, "model", Arc::clone(&serve_loop.park), reporter).unwrap();
        Self {
            scheduler: Arc::new(scheduler),
            serve_loop,
            listener,
            board,
            workers: limits.workers,
            threads: Vec::new(),
            spares: Arc::default(),
            monitor: None,
        }
    }

    /// A connection that waits for its next message.
    fn open(&self, script: impl Fn(&Call<'_>) -> Next + Send + Sync + 'static) -> Client {
        let (client, conversation) = self.connect(script);
        self.park(conversation);
        client
    }

    /// As [`open`](Self::open), and it has been found slow.
    fn open_slow(&self, script: impl Fn(&Call<'_>) -> Next + Send + Sync + 'static) -> Client {
        let (client, conversation) = self.connect(script);
        let token = self.park(conversation);
        self.serve_loop.park.set_slow(token, true);
        client
    }

    fn connect(&self, script: impl Fn(&Call<'_>) -> Next + Send + Sync + 'static) -> (Client, Conversation) {
        conversation::connect(&self.serve_loop.park.poller, &self.scheduler.reporter, Box::new(script))
    }

    fn park(&self, conversation: Conversation) -> Token {
        let park = &self.serve_loop.park;
        let token = park.insert(conversation.descriptor().unwrap()).unwrap();
        assert!(park.park(token, Box::new(conversation), WAIT, Instant::now()).is_ok_and(|news| news.is_none()));
        token
    }

    fn start(&mut self) {
        self.threads = (0..self.workers)
            .map(|index| {
                let scheduler = Arc::clone(&self.scheduler);
                thread::spawn(move || work(&scheduler, index))
            })
            .collect();
    }

    fn starter(&self) -> Start {
        // The scheduler has it.
        let (scheduler, spares) = (Arc::downgrade(&self.scheduler), Arc::clone(&self.spares));
        Box::new(move |index| {
            let scheduler = scheduler.upgrade().ok_or(io::ErrorKind::Other)?;
            let spare = thread::spawn(move || work(&scheduler, index));
            spares.lock().unwrap().push(spare);
            Ok(())
        })
    }

    /// Waits until the spare threads have ended that have nothing to do.
    fn wait_for_spares_to_end(&self) {
        while self.scheduler.growth.live() > self.workers {
            thread::yield_now();
        }
    }

    fn start_with_monitor(&mut self) {
        let scheduler = Arc::clone(&self.scheduler);
        self.monitor = Some(thread::spawn(move || monitor::watch(&scheduler)));
        self.start();
    }

    /// The workers accept from here on, as `Pool::serve` has it.
    fn hand_over(&mut self) {
        self.scheduler.give_acceptor(self.serve_loop.acceptor.take().unwrap());
    }

    /// The end of `Pool::serve`.
    fn take_back(&mut self) {
        self.serve_loop.acceptor = self.scheduler.take_acceptor();
        assert!(self.serve_loop.acceptor.is_some(), "the acceptor is lost");
    }

    /// Tells the server to stop.
    fn stop(&self) {
        self.scheduler.reporter.core().stop.shutdown_within(Duration::MAX);
        self.serve_loop.park.poller.look();
    }

    /// Ends every thread, and looks whether the accounts are right then.
    fn end(mut self) {
        self.scheduler.end_all();
        self.scheduler.set_start(None);
        if let Some(monitor) = self.monitor.take() {
            monitor.thread().unpark();
            self.threads.push(monitor);
        }
        self.threads.append(&mut self.spares.lock().unwrap());
        for thread in self.threads {
            thread.join().unwrap();
        }
        let scheduler = &self.scheduler;
        assert!(scheduler.failure.lock().is_none(), "waiting has failed");
        assert_eq!(scheduler.on_duty.load(SeqCst), scheduler.growth.live(), "the threads on duty are miscounted");
        assert_eq!(scheduler.slow.running(), 0, "a place for slow work is lost");
        assert!(scheduler.lanes.iter().all(|lane| !lane.is_off_duty()), "a mark has stayed");
        assert!(scheduler.lanes.iter().all(|lane| !lane.is_evicted()), "an eviction has stayed");
        assert!(scheduler.leadership.is_vacant(), "nobody leads, and nobody can");
        scheduler.growth.assert_accounts(scheduler.lanes.used(), scheduler.slow.extra.load(SeqCst));
        let core = scheduler.reporter.core();
        assert_eq!(core.threads.waiting.load(SeqCst), 0, "a wait is not over");
        let (evicted, told) = (self.board.evicted(), core.counters.get(Counter::WaitsEnded));
        assert!(evicted as u64 <= told, "{evicted} waits were ended, {told} told");
        assert_armed(&self.serve_loop.park);
    }
}

/// Each parked connection would be woken by what comes for it.
fn assert_armed(park: &ParkingPlace<Box<Conversation>>) {
    let parked: Vec<_> = park.take_all().collect();
    parked.iter().for_each(|(_, conversation)| conversation.receive_more());
    let mut events = Events::new();
    park.poller.wait(&mut events, Some(Duration::ZERO)).unwrap();
    for (token, conversation) in parked {
        assert!(events.iter().any(|event| event.token == token.raw()), "parked, and nothing would wake it");
        assert!(park.park(token, conversation, WAIT, Instant::now()).is_ok_and(|news| news.is_none()));
    }
}

/// One thread of the pool, as [`with_pool`] has it.
fn work(scheduler: &Arc<Scheduler<Conversation>>, index: usize) {
    with_pool(Arc::clone(scheduler) as _, index, || scheduler.work(index));
}
