//! One of the processes: what it makes anew after the fork, and what it owes its supervisor.

use std::io;
use std::io::Write;
use std::os::fd::AsFd;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

use super::PreFork;
use super::supervisor::BEAT;
use super::supervisor::READY;
use super::supervisor::WORDS;
use crate::dispatch::Process;
use crate::dispatch::ServeLoop;
use crate::dispatch::Task;
use crate::dispatch::drain::drain;
use crate::engine::acceptor::Sharing;
use crate::engine::errands::Errand;
use crate::engine::errands::Scene;
use crate::engine::serve_loop::ERRAND;
use crate::engine::source::Observe;
use crate::error::RequestError;
use crate::error::ServeError;
use crate::error::Stage;
use crate::panics::catch;
use crate::sys::flag::Flag;
use crate::sys::shared::SharedWords;

/// What a child is given by its supervisor.
pub(super) struct Orders {
    pub(super) place: usize,
    /// Which of all children there have ever been.
    pub(super) number: u32,
    pub(super) control: Arc<Flag>,
    pub(super) page: Arc<SharedWords>,
    pub(super) alive: Arc<OwnedFd>,
}

/// Serves in the child; what that exits with.
pub(super) fn serve_as_member<J: Task, D: Process<J>>(
    prefork: &PreFork<D>,
    orders: Orders,
    serve_loop: &mut ServeLoop<J>,
) -> u8 {
    let reporter = serve_loop.reporter.clone();
    // What the server runs for others does not panic; if it does, that is no good end.
    let outcome = catch(|| serve(prefork, orders, serve_loop));
    let _ = catch(|| io::stdout().flush());
    match outcome {
        Ok(Ok(())) => 0,
        Ok(Err(error)) => {
            let _ = catch(|| reporter.error(RequestError::failed(Stage::Dispatch, error)));
            1
        }
        Err(_) => 1,
    }
}

fn serve<J: Task, D: Process<J>>(
    prefork: &PreFork<D>,
    orders: Orders,
    parents: &mut ServeLoop<J>,
) -> Result<(), ServeError> {
    let core = parents.reporter.core();
    let Orders { place, number, control, page, alive } = orders;
    core.stop.state.in_child(control);
    core.counters.take_place(place);
    core.name_apart(number);
    core.permits.begin_anew(prefork.share_of(core.permits.limit(), place));
    let beat_every = prefork.hang_timeout.map(|timeout| timeout / 3);
    let is_ready = AtomicBool::new(false);
    core.errands.replace(Arc::new(Membership { place, page, alive, beat_every, is_ready }));
    // The parent's poller, timers and flags are nothing for a child.
    let mut serve_loop = ServeLoop::new(parents.waiter.address(), parents.reporter.clone())?;
    serve_loop.acceptor = parents.acceptor.take();
    if let Some(acceptor) = &mut serve_loop.acceptor {
        acceptor.share(Sharing::Among);
    }
    let mut running = prefork.dispatch.start(&mut serve_loop)?;
    let outcome = prefork.dispatch.serve(&mut running, &mut serve_loop);
    drain(&prefork.dispatch, &mut running, &mut serve_loop);
    outcome
}

/// What the serve loop of a child does for its supervisor.
#[derive(Debug)]
struct Membership {
    place: usize,
    page: Arc<SharedWords>,
    /// At its end when the supervisor has gone.
    alive: Arc<OwnedFd>,
    beat_every: Option<Duration>,
    is_ready: AtomicBool,
}

impl Errand for Membership {
    fn attend(&self, scene: &Scene<'_>) -> Option<Instant> {
        let core = scene.reporter.core();
        let words = &self.page[self.place * WORDS..][..WORDS];
        words[BEAT].store(core.stop.state.nanos(scene.now), Ordering::SeqCst);
        let alive = self.alive.as_fd();
        if !self.is_ready.swap(true, Ordering::SeqCst) {
            if let Err(error) = scene.poller.add_level(alive, ERRAND) {
                scene.reporter.error(RequestError::failed(Stage::Dispatch, error));
            }
            words[READY].store(1, Ordering::SeqCst);
            core.stop.state.announce();
        } else if matches!(rustix::io::read(alive, &mut [0; 1]), Ok(0)) {
            // It would be told for ever.
            let _ = scene.poller.delete(alive);
            core.stop.shutdown();
        } else {
            // Where registrations fire once.
            let _ = scene.poller.rearm_level(alive, ERRAND);
        }
        self.beat_every.map(|every| scene.now + every)
    }

    fn stopping(&self, _: &Scene<'_>) {}
}
