//! Accepting: bursts, the limit, back-off, pausing. The one place that decides whether the listener is in the wait set.

use std::fmt;
use std::io;
use std::time::Duration;
use std::time::Instant;

use crate::end::End;
use crate::engine::drive::Turn;
use crate::engine::source::Observe;
use crate::engine::source::Source;
use crate::engine::task::Task;
use crate::engine::worker::Worker;
use crate::error::RequestError;
use crate::error::ServeError;
use crate::error::Stage;
use crate::event::Event;
use crate::event::Refusal;
use crate::limits::accept_policy::AcceptVerdict;
use crate::limits::accept_policy::BackOff;
use crate::limits::accept_policy::classify;
use crate::limits::permit::Permit;
use crate::options::AtLimit;
use crate::park::ParkingPlace;
use crate::sys::Descriptor;
use crate::sys::poller::Poller;
use crate::sys::wait::Woken;
use crate::sys::wait::wait_any;

/// The token of the listener in the poller.
pub(crate) const LISTENER: u64 = u64::MAX - 2;

/// How often a server that sheds looks for an idle connection, while all are busy and a client waits.
const SHED_PACE: Duration = Duration::from_millis(20);

/// Default for [`Acceptor::burst`].
const BURST: usize = 64;

/// What became of a try to accept.
pub(crate) enum Accepted<J> {
    Job(Box<J>),
    /// No client is waiting.
    Nothing,
    /// A connection was lost before it could be accepted, or ended at once; the next may be fine.
    Lost,
    /// The server does not accept now: it is paused, stopping, at its limit, or waits out a shortage.
    Closed,
}

/// Which processes accept from a listener.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Sharing {
    /// This one.
    Alone,
    /// This one and others.
    #[cfg_attr(not(unix), allow(dead_code, reason = "set by PreFork"))]
    Among,
    /// Others, whose supervisor this one is.
    #[cfg_attr(not(unix), allow(dead_code, reason = "set by PreFork"))]
    Others,
}

/// The listener and what keeps it from accepting.
pub(crate) struct Acceptor<J: Task> {
    pub(crate) source: J::Source,
    reporter: J::Reporter,
    address: String,
    /// Of each listener.
    addresses: Vec<String>,
    /// Whether the listeners are in the wait set.
    armed: bool,
    /// All permits were out at the last try.
    at_limit: bool,
    /// When to look again for an idle connection to shed.
    shed_again: Option<Instant>,
    back_off: BackOff,
    /// This many connections in a row were lost before they could be accepted.
    lost: u32,
    shared: Sharing,
    /// This process may have been woken, in the place of others, for clients that it has left in the backlog.
    owes: bool,
    /// Accepts per turn, so that connections accepted earlier get to run.
    pub(crate) burst: usize,
}

impl<J: Task> Acceptor<J> {
    pub(crate) fn new(source: J::Source) -> Self {
        let reporter = source.reporter();
        let (address, addresses) = (source.address(), source.addresses());
        Self {
            source,
            reporter,
            address,
            addresses,
            armed: false,
            at_limit: false,
            shed_again: None,
            back_off: BackOff::default(),
            lost: 0,
            shared: Sharing::Alone,
            owes: false,
            burst: BURST,
        }
    }

    /// Before it is in the wait set.
    #[cfg(unix)]
    pub(crate) fn share(&mut self, shared: Sharing) {
        /// What one takes, the others do not have to be woken for; more would be unfair.
        const SHARED_BURST: usize = 4;
        debug_assert!(!self.armed, "how it is waited for is decided once");
        self.shared = shared;
        self.burst = self.burst.min(SHARED_BURST);
    }

    /// Tells that the server is ready to accept.
    pub(crate) fn announce(&self) {
        for address in &self.addresses {
            self.reporter.observe(&Event::ListenStart { address });
        }
    }

    /// Ends accepting before it has begun.
    pub(crate) fn give_back(self) -> J::Source {
        let Self { source, reporter, addresses, .. } = self;
        tell_stopped(&reporter, &addresses);
        source
    }

    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// When the listener is due to be tried again.
    pub(crate) fn next_try(&self, now: Instant) -> Option<Duration> {
        if self.source.has_buffered() && self.armed {
            return Some(Duration::ZERO);
        }
        let tries = [self.back_off.until(), self.shed_again];
        tries.into_iter().flatten().min().map(|until| until.saturating_duration_since(now))
    }

    /// Puts the listener into the wait set, or takes it out: it is there while the server may accept.
    pub(crate) fn review(&mut self, poller: &Poller, now: Instant) -> Result<(), ServeError> {
        let wanted = self.is_open(now);
        if wanted == self.armed {
            return Ok(());
        }
        let shared = self.shared;
        let outcome = self.each_listener(|listener| match shared {
            _ if !wanted => poller.delete(listener),
            Sharing::Alone => poller.add_level(listener, LISTENER),
            Sharing::Among | Sharing::Others => poller.add_exclusive(listener, LISTENER),
        });
        // Where one fails, those before it are in.
        self.armed = wanted || outcome.is_err();
        self.owes |= !wanted && shared == Sharing::Among && self.reporter.core().stop.is_stopping();
        outcome
    }

    /// Does this with each listener, up to the first that fails.
    fn each_listener(&self, mut act: impl FnMut(Descriptor<'_>) -> io::Result<()>) -> Result<(), ServeError> {
        let mut outcome = Ok(());
        self.source.descriptors(&mut |listener| {
            if outcome.is_ok() {
                outcome = act(listener);
            }
        });
        outcome.map_err(|source| ServeError::Wait { address: self.address.clone(), source })
    }

    /// Something of ours was closed, or the state has changed: an end to waiting out a shortage.
    pub(crate) fn released(&mut self) {
        self.back_off.cut_short();
    }

    /// Accepts what is there, up to a burst.
    pub(crate) fn accept_burst(
        &mut self,
        park: &ParkingPlace<Box<J>>,
        now: Instant,
        mut take: impl FnMut(Box<J>),
    ) -> Result<(), ServeError> {
        let mut woken_for_nothing = self.armed && self.shared == Sharing::Among;
        for _ in 0..self.burst {
            match self.accept_one(park, now)? {
                Accepted::Job(job) => take(job),
                Accepted::Lost => {}
                Accepted::Nothing | Accepted::Closed => break,
            }
            woken_for_nothing = false;
        }
        if woken_for_nothing && self.at_limit {
            // Nobody else has been woken for the client that waits.
            self.reporter.core().stop.state.announce();
        }
        self.review(&park.poller, now)?;
        if self.armed {
            // Where registrations fire once.
            self.each_listener(|listener| park.poller.rearm_level(listener, LISTENER))?;
        }
        Ok(())
    }

    /// Accepts a request, if the server may have another.
    pub(crate) fn accept_one(&mut self, park: &ParkingPlace<Box<J>>, now: Instant) -> Result<Accepted<J>, ServeError> {
        if !self.is_open(now) {
            return Ok(Accepted::Closed);
        }
        let Some(permit) = self.reporter.core().permits.try_acquire() else { return self.accept_at_limit(park, now) };
        self.accept(permit, now)
    }

    /// Accepts with a permit, and draws the conclusions from an error: the only place that calls the transport's
    /// `accept`.
    fn accept(&mut self, permit: Permit, now: Instant) -> Result<Accepted<J>, ServeError> {
        /// More in a row are no accident of single connections.
        const MOST_LOST: u32 = 16;
        let permits = &self.reporter.core().permits;
        let others = permits.in_use().saturating_sub(1);
        // The permit of an accept that fails comes back, too: that is no reason to try again at once.
        permits.cancel_notify();
        let error = match self.source.accept(permit, now) {
            Ok(job) => {
                self.recovered();
                // What the transport has turned away at once needs no thread and no process.
                return Ok(if job.is_over() { Accepted::Lost } else { Accepted::Job(job) });
            }
            Err(error) => error,
        };
        match classify(&error) {
            AcceptVerdict::Wait => {
                self.recovered();
                Ok(Accepted::Nothing)
            }
            AcceptVerdict::Retry if self.lost < MOST_LOST => {
                self.lost += 1;
                self.reporter.observe(&Event::AcceptLost { error: &error });
                Ok(Accepted::Lost)
            }
            AcceptVerdict::Retry | AcceptVerdict::BackOff => {
                self.lost = 0;
                if self.back_off.failed(now) {
                    self.reporter.observe(&Event::AcceptFailing { error: &error });
                    self.reporter.error(RequestError::failed(Stage::Accept, error));
                }
                self.notify_on_release(others);
                Ok(Accepted::Closed)
            }
            AcceptVerdict::Fatal => Err(ServeError::Accept { address: self.address.clone(), source: error }),
        }
    }

    /// Accepting works (again).
    fn recovered(&mut self) {
        self.lost = 0;
        if let Some(failures) = self.back_off.succeeded() {
            self.reporter.observe(&Event::AcceptRecovered { failures });
        }
    }

    /// Whether nothing keeps the server from accepting but, maybe, its limit.
    fn is_open(&mut self, now: Instant) -> bool {
        let core = self.reporter.core();
        let shed_now = self.shed_again.is_some_and(|at| at <= now);
        if self.at_limit && (shed_now || core.permits.in_use() < core.permits.limit()) {
            self.at_limit = false;
            self.shed_again = None;
        }
        let waits_out = self.back_off.until().is_some_and(|until| until > now);
        self.shared != Sharing::Others
            && !self.at_limit
            && !waits_out
            && !core.stop.state.is_paused()
            && !core.stop.is_stopping()
    }

    /// All permits are out: what the policy for this says.
    fn accept_at_limit(&mut self, park: &ParkingPlace<Box<J>>, now: Instant) -> Result<Accepted<J>, ServeError> {
        let core = self.reporter.core();
        match &core.options.at_limit {
            AtLimit::ShedIdle => {
                if !self.has_waiting(now) {
                    // No client is waiting: do not shed a connection.
                    return Ok(Accepted::Nothing);
                }
                if let Some((token, mut job)) = park.take_longest_idle() {
                    job.cut(End::Shed);
                    // Its place is needed at once: no lingering.
                    let _: Turn = Worker::with_local(|worker| job.turn(worker));
                    park.remove(token, &job);
                    drop(job);
                    if let Some(permit) = core.permits.try_acquire() {
                        return self.accept(permit, now);
                    }
                }
                self.shed_again = Some(now + SHED_PACE);
            }
            AtLimit::Refuse(farewell) => {
                let farewell = farewell.clone();
                let permit = core.permits.beyond_limit();
                let accepted = self.accept(permit, now)?;
                let Accepted::Job(mut job) = accepted else { return Ok(accepted) };
                job.refuse_with(&farewell);
                self.reporter.observe(&Event::Refused { reason: Refusal::AtLimit });
                return Ok(Accepted::Lost);
            }
            AtLimit::Defer => {}
        }
        self.at_limit = true;
        self.notify_on_release(core.permits.limit());
        Ok(Accepted::Closed)
    }

    /// Whether there is something to accept.
    fn has_waiting(&self, now: Instant) -> bool {
        self.source.has_buffered() || matches!(wait_any(&self.listeners(), &[], Some(now)), Ok(Woken::Ready))
    }

    /// What is readable while there is something to accept.
    pub(crate) fn listeners(&self) -> Vec<Descriptor<'_>> {
        let mut listeners = Vec::new();
        self.source.descriptors(&mut |listener| listeners.push(listener));
        listeners
    }

    /// Asks to be woken when a permit comes back; if one has meanwhile, the next turn finds it.
    fn notify_on_release(&self, in_use: usize) {
        let core = self.reporter.core();
        if !core.permits.notify_on_release(in_use) {
            core.stop.state.control().raise();
        }
    }

    /// What no other process would accept in time, when this one hands over: what has been received and not been
    /// accepted yet, as messages are; and what waits in a queue for which only this process may have been woken.
    pub(crate) fn accept_received(&mut self, poller: &Poller, now: Instant) -> Vec<Box<J>> {
        // From here on others are woken. One that cannot be taken out now is closed soon.
        let _ = self.review(poller, now);
        let mut owed = if std::mem::take(&mut self.owes) { MOST_SWEPT } else { 0 };
        let mut received = Vec::new();
        while owed > 0 || self.source.has_buffered() {
            owed = owed.saturating_sub(1);
            let permit = self.reporter.core().permits.beyond_limit();
            match self.accept(permit, now) {
                Ok(Accepted::Job(job)) => received.push(job),
                Ok(Accepted::Lost) => {}
                Ok(Accepted::Nothing | Accepted::Closed) | Err(_) => break,
            }
        }
        received
    }

    /// Closes what is in the backlog gracefully, unless another process is to find it there.
    fn sweep(&mut self, now: Instant) {
        let is_kept = self.is_kept();
        // Clients in the backlog believe that they are connected; closing the listener would reset them. At most the
        // longest backlog, because a flood could otherwise keep the server from stopping.
        for _ in 0..MOST_SWEPT {
            if is_kept && !self.source.has_buffered() {
                break;
            }
            let permit = self.reporter.core().permits.beyond_limit();
            match self.accept(permit, now) {
                Ok(Accepted::Job(mut job)) if job.parks() => {
                    job.refuse();
                    self.reporter.observe(&Event::Refused { reason: Refusal::Stopping });
                }
                // Messages that have been received are lost with the server's socket, as those in the kernel's queue
                // are.
                Ok(Accepted::Job(mut job)) => job.cut(End::Refused),
                Ok(Accepted::Lost) => {}
                Ok(Accepted::Nothing | Accepted::Closed) | Err(_) => break,
            }
        }
    }

    /// Whether a process manager has the listeners, too.
    fn is_kept(&self) -> bool {
        let listeners = self.listeners();
        #[cfg(unix)]
        let is_kept = |listener| crate::transport::kept::is_kept(listener);
        #[cfg(not(unix))]
        let is_kept = |_| false;
        !listeners.is_empty() && listeners.into_iter().all(is_kept)
    }

    /// Ends accepting for good: closes what is in the backlog gracefully, then the listener.
    pub(crate) fn close(mut self, poller: &Poller, now: Instant) {
        if self.armed {
            self.source.descriptors(&mut |listener| {
                // It is closed below in any case.
                let _ = poller.delete(listener);
            });
        }
        if self.reporter.core().stop.state.hands_over() {
            // The next owner of the socket serves the backlog.
            self.source.hand_over();
        } else {
            self.sweep(now);
        }
        let Self { source, reporter, addresses, .. } = self;
        drop(source);
        tell_stopped(&reporter, &addresses);
    }
}

fn tell_stopped(reporter: &impl Observe, addresses: &[String]) {
    for address in addresses {
        reporter.observe(&Event::ListenStop { address });
    }
}

const MOST_SWEPT: usize = crate::transport::BACKLOG as usize;

impl<J: Task> fmt::Debug for Acceptor<J> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Acceptor").field("address", &self.address).field("armed", &self.armed).finish_non_exhaustive()
    }
}
