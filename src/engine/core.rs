//! What all parts of one server share: its factory, its limits, its counters.

use std::cell::LazyCell;
use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

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

/// How requests have ended, so far; forked children read the same.
#[derive(Debug)]
pub(crate) struct Counters(SharedWords);

impl Counters {
    fn new() -> io::Result<Self> {
        SharedWords::new(Counter::WaitsEnded as usize + 1).map(Self)
    }

    /// Whoever knows of an end knows of the accept before it, too.
    pub(crate) fn get(&self, counter: Counter) -> u64 {
        self.0[counter as usize].load(Ordering::Acquire)
    }

    fn count(&self, counter: Counter) {
        self.0[counter as usize].fetch_add(1, Ordering::Release);
    }

    pub(crate) fn accepted(&self) {
        self.count(Counter::Accepted);
    }

    pub(crate) fn waits_ended(&self, count: usize) {
        self.0[Counter::WaitsEnded as usize].fetch_add(count as u64, Ordering::Release);
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
        // A failing hook ends nothing: there is nobody left to tell.
        let _ = catch(|| self.factory.handle_error(error, peer));
    }
}

/// Runs a step of user code; a panic becomes an error of its stage.
pub(crate) fn guarded<T>(stage: Stage, step: impl FnOnce() -> T) -> Result<T, RequestError> {
    catch(step).map_err(|thrown| RequestError::panicked(stage, &thrown))
}
