//! Accepting: bursts, the limit, back-off, pausing. The one place that decides whether the listener is in the wait set.

use std::fmt;
use std::time::Duration;
use std::time::Instant;

use super::options::AtLimit;
use crate::end::End;
use crate::engine::task::Report;
use crate::engine::task::Source;
use crate::engine::task::Task;
use crate::engine::task::Turn;
use crate::engine::task::Worker;
use crate::error::RequestError;
use crate::error::ServeError;
use crate::error::Stage;
use crate::event::Event;
use crate::event::Refusal;
use crate::limits::accept_policy::AcceptVerdict;
use crate::limits::accept_policy::BackOff;
use crate::limits::accept_policy::classify;
use crate::limits::permit::Permit;
use crate::park::ParkingPlace;
use crate::sys::poller::Poller;
use crate::sys::wait::Interest;
use crate::sys::wait::Woken;
use crate::sys::wait::wait;

/// The token of the listener in the poller.
pub(crate) const LISTENER: u64 = u64::MAX - 2;

/// How often a server that sheds looks for somebody idle, while all are busy and a client waits.
const SHED_PACE: Duration = Duration::from_millis(20);

/// The burst of dispatches that do not ask for another.
const BURST: usize = 64;

/// The listener and what keeps it from accepting.
pub(crate) struct Acceptor<J: Task> {
    pub(crate) source: J::Source,
    reporter: J::Reporter,
    address: String,
    /// Whether the listener is in the wait set.
    armed: bool,
    /// All permits were out at the last try.
    at_limit: bool,
    /// At the limit, somebody who is idle by then makes room.
    shed_again: Option<Instant>,
    back_off: BackOff,
    /// At most so many are accepted before those have their turn that were accepted before.
    pub(crate) burst: usize,
}

impl<J: Task> Acceptor<J> {
    pub(crate) fn new(source: J::Source) -> Self {
        let reporter = source.reporter();
        let address = source.address();
        reporter.observe(&Event::ListenStart { address: &address });
        Self {
            source,
            reporter,
            address,
            armed: false,
            at_limit: false,
            shed_again: None,
            back_off: BackOff::default(),
            burst: BURST,
        }
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

    /// Puts the listener into the wait set or takes it out, as things stand.
    pub(crate) fn review(&mut self, poller: &Poller, now: Instant) -> Result<(), ServeError> {
        let core = self.reporter.core();
        let shed_now = self.shed_again.is_some_and(|at| at <= now);
        if self.at_limit && (shed_now || core.permits.in_use() < core.permits.limit()) {
            self.at_limit = false;
            self.shed_again = None;
        }
        let waits_out = self.back_off.until().is_some_and(|until| until > now);
        let wanted = !self.at_limit && !waits_out && !core.stop.state.is_paused() && !core.stop.is_stopping();
        if wanted == self.armed {
            return Ok(());
        }
        let outcome = if wanted {
            poller.add_level(self.source.descriptor(), LISTENER)
        } else {
            poller.delete(self.source.descriptor())
        };
        outcome.map_err(|source| ServeError::Wait { address: self.address.clone(), source })?;
        self.armed = wanted;
        Ok(())
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
        for _ in 0..self.burst {
            if !self.armed || self.reporter.core().stop.is_stopping() {
                break;
            }
            let Some(permit) = self.permit(park, now) else { break };
            let permits = &self.reporter.core().permits;
            let others = permits.in_use() - 1;
            // The permit of an accept that fails comes back, too: that is no reason to try again at once.
            permits.call_off();
            match self.source.accept(permit, now) {
                Ok(job) => {
                    if let Some(failures) = self.back_off.succeeded() {
                        self.reporter.observe(&Event::AcceptRecovered { failures });
                    }
                    take(job);
                }
                Err(error) => match classify(&error) {
                    AcceptVerdict::Wait => {
                        if let Some(failures) = self.back_off.succeeded() {
                            self.reporter.observe(&Event::AcceptRecovered { failures });
                        }
                        break;
                    }
                    AcceptVerdict::Retry => self.reporter.observe(&Event::AcceptLost { error: &error }),
                    AcceptVerdict::BackOff => {
                        if self.back_off.failed(now) {
                            self.reporter.observe(&Event::AcceptFailing { error: &error });
                            self.reporter.error(RequestError::failed(Stage::Accept, error));
                        }
                        self.call_me(others);
                        break;
                    }
                    AcceptVerdict::Fatal => {
                        return Err(ServeError::Accept { address: self.address.clone(), source: error });
                    }
                },
            }
        }
        self.review(&park.poller, now)?;
        if self.armed {
            // Where registrations fire once.
            park.poller
                .rearm_level(self.source.descriptor(), LISTENER)
                .map_err(|source| ServeError::Wait { address: self.address.clone(), source })?;
        }
        Ok(())
    }

    /// A permit, or what the policy for the limit does instead.
    fn permit(&mut self, park: &ParkingPlace<Box<J>>, now: Instant) -> Option<Permit> {
        let core = self.reporter.core();
        if let Some(permit) = core.permits.try_acquire() {
            return Some(permit);
        }
        match &core.options.at_limit {
            AtLimit::ShedIdle => {
                if !self.has_waiting(now) {
                    // Nobody is closed to make room for nobody.
                    return None;
                }
                if let Some((token, mut job)) = park.take_longest_idle() {
                    job.cut(End::Shed);
                    // Its place is needed at once: no lingering.
                    let _: Turn = Worker::with_local(|worker| job.turn(worker));
                    park.remove(token, &job);
                    drop(job);
                    return core.permits.try_acquire();
                }
                self.shed_again = Some(now + SHED_PACE);
            }
            AtLimit::Refuse(farewell) => {
                let farewell = farewell.clone();
                self.refuse_one(&farewell, now);
                return None;
            }
            AtLimit::Defer => {}
        }
        self.at_limit = true;
        self.call_me(core.permits.limit());
        None
    }

    /// Whether there is something to accept.
    fn has_waiting(&self, now: Instant) -> bool {
        self.source.has_buffered()
            || matches!(wait(self.source.descriptor(), Interest::Read, &[], Some(now)), Ok(Woken::Ready))
    }

    fn refuse_one(&mut self, farewell: &[u8], now: Instant) {
        let permit = self.reporter.core().permits.beyond_limit();
        if let Ok(mut job) = self.source.accept(permit, now) {
            job.refuse_with(farewell);
            self.reporter.observe(&Event::Refused { reason: Refusal::AtLimit });
        }
    }

    /// Asks to be woken when a permit comes back; if one has meanwhile, the next turn finds it.
    fn call_me(&self, in_use: usize) {
        let core = self.reporter.core();
        if !core.permits.call_on_release(in_use) {
            core.stop.state.control.raise();
        }
    }

    /// Ends accepting for good: closes what is in the backlog gracefully, then the listener.
    pub(crate) fn close(mut self, poller: &Poller, now: Instant) {
        if self.armed {
            // The descriptor is closed below in any case.
            let _ = poller.delete(self.source.descriptor());
        }
        // Clients in the backlog believe that they are connected; closing the listener would reset them. At most the
        // longest backlog, because a flood could otherwise keep the server from stopping.
        for _ in 0..MOST_SWEPT {
            let permit = self.reporter.core().permits.beyond_limit();
            match self.source.accept(permit, now) {
                Ok(mut job) if job.parks() => {
                    job.refuse();
                    self.reporter.observe(&Event::Refused { reason: Refusal::Stopping });
                }
                // Messages that have been received are lost with the server's socket, as those in the kernel's queue
                // are.
                Ok(mut job) => job.cut(End::Refused),
                Err(error) if classify(&error) == AcceptVerdict::Retry => {}
                Err(_) => break,
            }
        }
        let Self { source, reporter, address, .. } = self;
        drop(source);
        reporter.observe(&Event::ListenStop { address: &address });
    }
}

const MOST_SWEPT: usize = crate::transport::BACKLOG as usize;

impl<J: Task> fmt::Debug for Acceptor<J> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Acceptor").field("address", &self.address).field("armed", &self.armed).finish_non_exhaustive()
    }
}
