//! What the serve loop looks after beside its requests: a process manager, a restart, the supervisor of its process.

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use parking_lot::Mutex;

use super::source::Observe;
use crate::sys::Descriptor;
use crate::sys::poller::Poller;

/// Something that is looked after on the serving thread, without a thread of its own.
pub(crate) trait Errand: fmt::Debug + Send + Sync {
    /// Called when serving has begun, when a descriptor that it has in the poller is ready, when the server has been
    /// told something, and at the time it has asked for with what it returns. It must not wait.
    fn attend(&self, scene: &Scene<'_>) -> Option<Instant>;

    /// The drain begins.
    fn stopping(&self, scene: &Scene<'_>);
}

/// Where an errand is run.
pub(crate) struct Scene<'a> {
    /// An errand's descriptors have the token [`ERRAND`](super::serve_loop::ERRAND) here. Where registrations fire once,
    /// it has to rearm them each time.
    #[cfg_attr(not(unix), allow(dead_code, reason = "used by a restart"))]
    pub(crate) poller: &'a Poller,
    /// What the server accepts from; none if it does not any more.
    #[cfg_attr(not(all(unix, feature = "systemd")), allow(dead_code, reason = "used by a restart"))]
    pub(crate) listeners: Vec<Descriptor<'a>>,
    #[cfg_attr(not(unix), allow(dead_code, reason = "used by deployments"))]
    pub(crate) reporter: &'a dyn Observe,
    #[cfg_attr(not(unix), allow(dead_code, reason = "used by what has a deadline"))]
    pub(crate) now: Instant,
}

/// The errands of a server.
#[derive(Debug, Default)]
pub(crate) struct Errands(Mutex<Vec<Arc<dyn Errand>>>);

impl Errands {
    /// From the next wake-up of the serve loop on.
    #[cfg_attr(not(all(unix, feature = "systemd")), allow(dead_code, reason = "called by deployments"))]
    pub(crate) fn add(&self, errand: Arc<dyn Errand>) {
        self.0.lock().push(errand);
    }

    /// In a forked child: those of its parent are not its own.
    #[cfg(unix)]
    pub(crate) fn replace(&self, errand: Arc<dyn Errand>) {
        *self.0.lock() = vec![errand];
    }

    /// Attends to all; when to come back at the latest.
    pub(crate) fn attend(&self, scene: &Scene<'_>) -> Option<Instant> {
        self.each(|errand| errand.attend(scene)).flatten().min()
    }

    /// Tells all that the drain begins.
    pub(crate) fn stopping(&self, scene: &Scene<'_>) {
        self.each(|errand| errand.stopping(scene)).for_each(drop);
    }

    fn each<T>(&self, visit: impl Fn(&dyn Errand) -> T) -> impl Iterator<Item = T> {
        // None is run with the lock held: it may take its time, or add another.
        let errands = self.0.lock().clone();
        errands.into_iter().map(move |errand| visit(&*errand))
    }
}
