//! What all parts of one server share: its factory, its limits, its counters.

use std::cell::LazyCell;
use std::io;
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

use super::calls::Calls;
use super::errands::Errands;
use super::first_panic::FirstPanic;
use crate::end::End;
use crate::error::RequestError;
use crate::error::Stage;
use crate::event::Event;
use crate::event::Observer;
use crate::event::RequestId;
use crate::handler::HandlerFactory;
use crate::limits::permit::Permits;
use crate::options::PanicPolicy;
use crate::options::ServerOptions;
use crate::panics::catch;
use crate::request::Request;
use crate::request::Session;
use crate::stop::StopHandle;
use crate::sys::shared::SharedWords;

/// The parts that do not depend on types.
#[derive(Debug)]
pub(crate) struct Core {
    pub(crate) stop: StopHandle,
    pub(crate) permits: Arc<Permits>,
    pub(crate) options: Arc<ServerOptions>,
    pub(crate) session: Arc<Session>,
    pub(crate) counters: Counters,
    pub(crate) threads: Threads,
    pub(crate) errands: Errands,
    /// If a list of them is kept.
    pub(crate) calls: Option<Arc<Calls>>,
    next_id: AtomicU64,
    /// What the panic said that stops the server.
    pub(crate) panicked: FirstPanic,
}

impl Core {
    pub(crate) fn new(options: ServerOptions, max_connections: usize, stop: StopHandle) -> io::Result<Self> {
        let options = Arc::new(options);
        let session = Session::new(stop.clone(), Arc::clone(&options));
        Ok(Self {
            permits: Arc::new(Permits::new(max_connections, Arc::clone(&stop.state))),
            stop,
            calls: options.track_calls.then(Arc::default),
            options,
            session: Arc::new(session),
            counters: Counters::new()?,
            threads: Threads::default(),
            errands: Errands::default(),
            next_id: AtomicU64::new(1),
            panicked: FirstPanic::new()?,
        })
    }

    pub(crate) fn next_id(&self) -> RequestId {
        RequestId(self.next_id.fetch_add(1, Ordering::Relaxed))
    }

    /// In a forked child that serves by itself, the `number`th of its parent: the names that it gives are its own.
    #[cfg(unix)]
    pub(crate) fn name_apart(&self, number: u32) {
        self.next_id.store((u64::from(number) << 40) | 1, Ordering::Relaxed);
    }
}

/// What the threads of a pool are doing.
#[derive(Debug, Default)]
pub(crate) struct Threads {
    pub(crate) live: AtomicUsize,
    pub(crate) waiting: AtomicUsize,
    pub(crate) spare: AtomicUsize,
}

/// What is counted.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Counter {
    Accepted,
    Finished,
    Detached,
    IdleClosed,
    Forced,
    Refused,
    Failed,
    /// Waits that were ended early, for the sake of others.
    WaitsEnded,
}

/// How many counters there are: a cache line of them.
const COUNTERS: usize = Counter::WaitsEnded as usize + 1;

/// How requests have ended, so far; forked children read the same.
///
/// Children that serve by themselves have a place each, so that it is known what one of them has left open.
#[derive(Debug)]
pub(crate) struct Counters {
    words: SharedWords,
    /// Those of the children, one after the other.
    children: OnceLock<SharedWords>,
    /// Which of them this process is; none at first.
    this: OnceLock<usize>,
}

impl Counters {
    fn new() -> io::Result<Self> {
        let words = SharedWords::new(COUNTERS)?;
        Ok(Self { words, children: OnceLock::new(), this: OnceLock::new() })
    }

    /// Makes places for this many children.
    #[cfg(unix)]
    pub(crate) fn make_places(&self, count: usize) -> io::Result<()> {
        let words = SharedWords::new(count.saturating_mul(COUNTERS))?;
        // A second server of the same core there is not.
        let _ = self.children.set(words);
        Ok(())
    }

    /// In a forked child: it counts at this place from here on.
    #[cfg(unix)]
    pub(crate) fn take_place(&self, place: usize) {
        let _ = self.this.set(place);
    }

    /// What the child at this place has left open has ended with it, as `counter` says.
    #[cfg(unix)]
    pub(crate) fn settle(&self, place: usize, counter: Counter) {
        let Some(words) = self.children.get().and_then(|words| words.chunks(COUNTERS).nth(place)) else { return };
        let get = |counter: Counter| words[counter as usize].load(Ordering::Acquire);
        let ends = [Counter::Finished, Counter::IdleClosed, Counter::Forced, Counter::Refused, Counter::Failed];
        let open = get(Counter::Accepted).saturating_sub(ends.into_iter().map(get).sum());
        words[counter as usize].fetch_add(open, Ordering::Release);
    }

    /// Whether children serve by themselves.
    pub(crate) fn are_of_children(&self) -> bool {
        self.children.get().is_some()
    }

    /// A thread that sees an end sees the accept before it, too.
    pub(crate) fn get(&self, counter: Counter) -> u64 {
        let children = self.children.get().into_iter().flat_map(|words| words.chunks(COUNTERS));
        let counts = children.chain([&*self.words]).map(|words| words[counter as usize].load(Ordering::Acquire));
        counts.sum()
    }

    fn count(&self, counter: Counter) {
        self.add(counter, 1);
    }

    fn add(&self, counter: Counter, count: u64) {
        let words = match (self.this.get(), self.children.get()) {
            (Some(place), Some(words)) => &words[place * COUNTERS..],
            _ => &*self.words,
        };
        words[counter as usize].fetch_add(count, Ordering::Release);
    }

    pub(crate) fn accepted(&self) {
        self.count(Counter::Accepted);
    }

    pub(crate) fn waits_ended(&self, count: usize) {
        self.add(Counter::WaitsEnded, count as u64);
    }

    pub(crate) fn ended(&self, end: End) {
        if end == End::Detached {
            self.count(Counter::Detached);
        }
        self.count(match end {
            End::Detached | End::HandlerClosed | End::PeerClosed => Counter::Finished,
            End::Drained | End::IdleTimeout | End::Shed => Counter::IdleClosed,
            End::Forced => Counter::Forced,
            End::Refused => Counter::Refused,
            End::Failed | End::Panicked | End::TimedOut => Counter::Failed,
        });
    }
}

/// The core with the factory.
#[derive(Debug)]
pub(crate) struct Shared<H> {
    pub(crate) factory: H,
    pub(crate) core: Arc<Core>,
}

impl<H> Shared<H> {
    /// Tells the observers, if there are any; the event is built only then.
    pub(crate) fn observe<'a, R: Request>(&self, event: impl FnOnce() -> Event<'a>)
    where
        H: HandlerFactory<R>,
    {
        let event = LazyCell::new(event);
        self.each_observer(|observer| observer.observe(&event));
    }

    /// Tells each observer; one that panics ends neither what it observes nor keeps the news from the others.
    pub(crate) fn each_observer<R: Request>(&self, tell: impl Fn(&dyn Observer))
    where
        H: HandlerFactory<R>,
    {
        let mut tell = |observer: &dyn Observer| drop(catch(|| tell(observer)));
        let _ = catch(|| self.factory.observers(&mut tell));
    }

    /// Tells `handle_error` and the observers, and applies the panic policy.
    pub(crate) fn report<R: Request>(&self, error: RequestError, id: Option<RequestId>, peer: Option<&R::Addr>)
    where
        H: HandlerFactory<R>,
    {
        self.observe(|| Event::Error { id, error: &error });
        if error.is_panic() {
            match self.core.options.panic_policy {
                PanicPolicy::Abort => std::process::abort(),
                PanicPolicy::Isolate => {}
                PanicPolicy::Stop => {
                    self.core.panicked.set(&error.to_string());
                    self.core.stop.shutdown();
                }
            }
        }
        // A failing hook ends nothing: there is no hook left to tell.
        let _ = catch(|| self.factory.handle_error(error, peer));
    }
}

/// Runs a step of user code; a panic becomes an error of its stage.
pub(crate) fn guarded<T>(stage: Stage, step: impl FnOnce() -> T) -> Result<T, RequestError> {
    catch(step).map_err(|thrown| RequestError::panicked(stage, &thrown))
}
