//! Stopping: one level-triggered state, seen by the serve loop, by blocked reads and writes, and by handlers.

use std::io;
use std::sync::Arc;
#[cfg(unix)]
use std::sync::OnceLock;
#[cfg(all(unix, feature = "signals"))]
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

use crate::managed::Blocked;
use crate::sys::Descriptor;
use crate::sys::Interest;
use crate::sys::Watch;
use crate::sys::flag::Flag;
use crate::sys::shared::SharedWords;
use crate::sys::wait::Woken;
use crate::sys::wait::wait_for_either;

/// Stops, pauses, resumes and wakes a server, from handlers, other threads and signal handlers.
///
/// Every method returns at once, takes effect at once, and may be called before, during and after serving: if a server
/// is stopped before [`serve_forever`](crate::Server::serve_forever), that returns at once; stopping a server that has
/// ended does nothing. Every method is async-signal-safe.
///
/// A handle remains valid across a fork: in the children of the dispatch `Fork`, its methods act on the whole server.
#[derive(Clone, Debug)]
pub struct StopHandle {
    pub(crate) state: Arc<StopState>,
}

impl StopHandle {
    /// Stops accepting and drains: idle connections are closed, busy ones have the builder's `drain_timeout` (15 s) to
    /// finish.
    ///
    /// A second call does nothing; use [`shutdown_within`](Self::shutdown_within) to shorten the drain.
    pub fn shutdown(&self) {
        self.state.stop_within(self.state.drain);
    }

    /// Stops accepting and drains while another process takes over the listener: after a hot restart, or under a
    /// process manager. No client is cut off:
    ///
    /// - The listener is closed here, and its backlog, or the datagrams in the queue of its socket, are left to the
    ///   other process. Datagrams that have been received are served. The file of a Unix-domain socket stays.
    /// - An open connection that has not sent anything yet is served its first message.
    /// - A kept-alive connection is closed after its next reply, or at the deadline (the builder's `drain_timeout`, 15
    ///   s). Handlers can check [`is_stopping`](crate::Stream::is_stopping) to announce the close: a reply that was
    ///   begun before this call is not the last. The close lingers (the builder's `linger`, 2 s), so that a request
    ///   that crosses it sees the end of the stream and not a reset.
    ///
    /// A later [`shutdown`](Self::shutdown) closes idle connections at once. If no other process has the listener,
    /// clients in the backlog are reset.
    pub fn hand_over(&self) {
        self.state.hand_over();
    }

    /// Like [`shutdown`](Self::shutdown), with this deadline instead of `drain_timeout`. A second call can shorten the
    /// remaining time but never lengthen it.
    pub fn shutdown_within(&self, timeout: Duration) {
        self.state.stop_within(timeout);
    }

    /// Stops without waiting: blocked reads and writes are interrupted and every connection is closed.
    pub fn shutdown_now(&self) {
        self.shutdown_within(Duration::ZERO);
    }

    /// Stops accepting until [`resume`](Self::resume): the address stays bound, clients wait in the backlog, and open
    /// connections are still served.
    pub fn pause(&self) {
        self.state.set_paused(true);
    }

    /// Accepts again after [`pause`](Self::pause).
    pub fn resume(&self) {
        self.state.set_paused(false);
    }

    /// Wakes the serve loop, which then calls [`service_actions`](crate::HandlerFactory::service_actions): for reacting
    /// there to something set elsewhere. Several calls before the loop wakes up count as one.
    pub fn wake(&self) {
        self.state.control().raise();
    }

    /// As [`wake`](Self::wake), because of a signal: a server of several processes passes it on to the others.
    #[cfg(all(unix, feature = "signals"))]
    pub(crate) fn wake_at(&self, signal: i32) {
        // A child has it from its parent, and would send it back.
        if self.state.own_control.get().is_none() {
            self.state.told[SIGNALS].fetch_or(bit_of(signal), Ordering::SeqCst);
        }
        self.wake();
    }

    /// Whether the server has been told to stop.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        self.state.is_stopping()
    }

    /// What a signal does: the first one drains; one that comes when the server has been told does not wait.
    #[cfg(all(unix, feature = "signals"))]
    pub(crate) fn signalled(&self) {
        // Two handlers can run at the same time, where neither sees what the other is about to do.
        if self.state.signalled.swap(true, Ordering::SeqCst) || self.is_stopping() {
            self.shutdown_now();
        } else {
            self.shutdown();
        }
    }
}

/// [`StopState::wait`] was ended by the drain's deadline.
pub(crate) const FORCED: usize = 0;
/// [`StopState::wait`] was ended by the begin of the drain.
pub(crate) const DRAINING: usize = 1;
/// [`StopState::wait`] was ended by its bell: a message was sent to the connection that is waited for.
pub(crate) const MAIL: usize = 2;

/// [`StopState::wait`] was ended by the pool whose thread waited: all of its threads do, and there is work.
pub(crate) const EVICTED: usize = 3;

/// What [`StopState::wait`] waits for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WaitFor<'a> {
    pub(crate) descriptor: Descriptor<'a>,
    pub(crate) watch: Watch,
    /// Another descriptor, whose readiness ends it as well.
    pub(crate) other: Option<(Descriptor<'a>, Watch)>,
    pub(crate) until: Option<Instant>,
    /// The begin of a drain ends it, with [`DRAINING`].
    pub(crate) ends_idle: bool,
    /// It is for the first byte of a message: nothing is lost where it ends early.
    pub(crate) between_messages: bool,
    /// What ends it with [`MAIL`].
    pub(crate) bell: Option<&'a Flag>,
}

impl<'a> WaitFor<'a> {
    /// For `descriptor` until `until`, in the middle of something.
    pub(crate) fn new(descriptor: Descriptor<'a>, interest: Interest, until: Option<Instant>) -> Self {
        let watch = Watch::of(interest);
        Self { descriptor, watch, other: None, until, ends_idle: false, between_messages: false, bell: None }
    }
}

/// Never: the deadline of a server that has not been told to stop, and the time at which it was.
const RUNNING: u64 = u64::MAX;

/// Among the shared words: when the drain ends, in nanoseconds after the epoch; `RUNNING` until told to stop.
const DEADLINE: usize = 0;
/// Among the shared words: when it was first told to stop; known where the deadline is.
const TOLD_AT: usize = 1;
/// Among the shared words: 1 while nothing is accepted.
const PAUSED: usize = 2;
/// Among the shared words: 1 while the server hands over.
const HANDS_OVER: usize = 3;
/// Among the shared words: a bit for each signal that has woken the server, and that its children are to have.
#[cfg(unix)]
const SIGNALS: usize = 4;

#[derive(Debug)]
pub(crate) struct StopState {
    epoch: Instant,
    drain: Duration,
    /// What has been told: it is the same in forked children, as the flags are.
    told: SharedWords,
    /// A signal has come.
    #[cfg(all(unix, feature = "signals"))]
    signalled: AtomicBool,
    /// Raised, and never cleared, from the first `shutdown`: connections that wait for their next message look at it.
    pub(crate) draining: Flag,
    /// Raised, and never cleared, from the drain's deadline: every blocked read and write looks at it.
    pub(crate) force: Flag,
    /// Raised for the serve loop of the process that has made this, to look at the state anew.
    main_control: Flag,
    /// The same in a forked child with a serve loop of its own.
    #[cfg(unix)]
    own_control: OnceLock<Arc<Flag>>,
}

impl StopState {
    pub(crate) fn new(drain: Duration) -> io::Result<Self> {
        let told = SharedWords::new(5)?;
        for time in [DEADLINE, TOLD_AT] {
            told[time].store(RUNNING, Ordering::SeqCst);
        }
        Ok(Self {
            epoch: Instant::now(),
            drain,
            told,
            #[cfg(all(unix, feature = "signals"))]
            signalled: AtomicBool::new(false),
            draining: Flag::new()?,
            force: Flag::new()?,
            main_control: Flag::new()?,
            #[cfg(unix)]
            own_control: OnceLock::new(),
        })
    }

    #[inline]
    pub(crate) fn is_stopping(&self) -> bool {
        self.told[DEADLINE].load(Ordering::SeqCst) != RUNNING
    }

    pub(crate) fn is_paused(&self) -> bool {
        self.told[PAUSED].load(Ordering::SeqCst) != 0
    }

    fn set_paused(&self, paused: bool) {
        self.told[PAUSED].store(paused.into(), Ordering::SeqCst);
        self.announce();
    }

    /// When the drain ends, as told so far.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.time(DEADLINE)
    }

    /// When it was first told to stop.
    pub(crate) fn told_at(&self) -> Option<Instant> {
        self.time(TOLD_AT)
    }

    fn time(&self, word: usize) -> Option<Instant> {
        match self.told[word].load(Ordering::SeqCst) {
            RUNNING => None,
            nanos => self.epoch.checked_add(Duration::from_nanos(nanos)),
        }
    }

    /// Waits as `what` says, but not beyond the drain's deadline: [`Woken::Flag`] with [`FORCED`] then.
    ///
    /// The drain may be run by the very thread that waits here (`Sync`), so its flag alone would not do. A pool whose
    /// thread waits here puts another in its place, and may end the wait early: with [`EVICTED`].
    pub(crate) fn wait(&self, what: &WaitFor<'_>) -> io::Result<Woken> {
        /// A second stop may shorten the deadline: how often it is looked at.
        const RECHECK_INTERVAL: Duration = Duration::from_millis(20);
        let WaitFor { descriptor, watch, other, until, between_messages, bell, .. } = *what;
        let wait = |flags: &[Option<&Flag>], until| wait_for_either((descriptor, watch), other, flags, until);
        let mut blocked = None;
        loop {
            let draining = self.is_stopping();
            if draining && let Some(over) = self.ends(what) {
                return Ok(over);
            }
            let blocked: &Option<Blocked> = blocked.get_or_insert_with(|| Blocked::begin(descriptor, between_messages));
            let relief = blocked.as_ref().map(Blocked::relief);
            // The force comes after the drain: one of them is enough, and each costs the kernel a queue to wait in.
            let flags = [draining.then_some(&self.force), (!draining).then_some(&self.draining), bell, relief];
            let forced_at = self.forced_at();
            let look_again = draining.then(|| Instant::now() + RECHECK_INTERVAL);
            let pause = [until, forced_at, look_again].into_iter().flatten().min();
            match wait(&flags, pause)? {
                // The next round knows the deadline.
                Woken::Flag(DRAINING) => {}
                Woken::Flag(EVICTED) if blocked.as_ref().is_some_and(Blocked::is_evicted) => {
                    // What has come meanwhile goes before.
                    let ready = wait(&[], Some(Instant::now()))?;
                    return Ok(if ready == Woken::Ready { ready } else { Woken::Flag(EVICTED) });
                }
                // Another thread of the group is meant, and takes the flag back when it has ended its wait.
                Woken::Flag(EVICTED) => std::thread::yield_now(),
                Woken::TimedOut => {
                    let now = Instant::now();
                    if forced_at.is_some_and(|forced_at| forced_at <= now) {
                        return Ok(Woken::Flag(FORCED));
                    }
                    if until.is_some_and(|until| until <= now) {
                        return Ok(Woken::TimedOut);
                    }
                }
                woken => return Ok(woken),
            }
        }
    }

    /// Why a wait would end at once; for one that need not wait, too.
    pub(crate) fn ends(&self, what: &WaitFor<'_>) -> Option<Woken> {
        if !self.is_stopping() {
            return None;
        }
        if what.ends_idle && !self.hands_over() {
            return Some(Woken::Flag(DRAINING));
        }
        self.is_forced().then_some(Woken::Flag(FORCED))
    }

    /// When waits for peers end, once the server has been told to stop.
    fn forced_at(&self) -> Option<Instant> {
        /// A drain that runs on another thread comes first, and tells the observer.
        const HEAD_START: Duration = Duration::from_millis(10);
        self.deadline().and_then(|deadline| deadline.checked_add(HEAD_START))
    }

    /// Whether the drain's deadline is over, for those that need not wait: their peer sends faster than they read, or reads
    /// faster than they write.
    #[inline]
    pub(crate) fn is_forced(&self) -> bool {
        self.forced_at().is_some_and(|at| at <= Instant::now())
    }

    /// Whether connections that are open, and the clients in the backlog, are to see no cut.
    pub(crate) fn hands_over(&self) -> bool {
        self.told[HANDS_OVER].load(Ordering::SeqCst) != 0
    }

    fn hand_over(&self) {
        if !self.is_stopping() {
            self.told[HANDS_OVER].store(1, Ordering::SeqCst);
            self.drain_within(self.drain);
        }
    }

    fn stop_within(&self, timeout: Duration) {
        self.told[HANDS_OVER].store(0, Ordering::SeqCst);
        self.drain_within(timeout);
    }

    fn drain_within(&self, timeout: Duration) {
        let now = nanos(self.epoch.elapsed());
        self.told[TOLD_AT].fetch_min(now, Ordering::SeqCst);
        self.told[DEADLINE].fetch_min(now.saturating_add(nanos(timeout)).min(RUNNING - 1), Ordering::SeqCst);
        self.draining.raise();
        self.announce();
    }

    /// What the serve loop of this process waits for, to look at the state anew.
    pub(crate) fn control(&self) -> &Flag {
        #[cfg(unix)]
        if let Some(own) = self.own_control.get() {
            return own;
        }
        &self.main_control
    }

    /// Has the serve loops of all processes look at the state anew: the first of them passes it on. Async-signal-safe.
    pub(crate) fn announce(&self) {
        self.main_control.raise();
        #[cfg(unix)]
        if let Some(own) = self.own_control.get() {
            own.raise();
        }
    }

    /// In a forked child that will have a serve loop of its own, which waits for this.
    #[cfg(unix)]
    pub(crate) fn in_child(&self, control: Arc<Flag>) {
        // A child of a child has the flag that its parent has, and no loop.
        let _ = self.own_control.set(control);
    }

    /// The signals that have woken the server since the last call.
    #[cfg(unix)]
    pub(crate) fn take_signals(&self) -> impl Iterator<Item = i32> + use<> {
        let signals = self.told[SIGNALS].swap(0, Ordering::SeqCst);
        (1..=64).filter(move |signal| signals & bit_of(*signal) != 0)
    }

    /// The time, in nanoseconds, as all processes of the server count it.
    #[cfg(unix)]
    pub(crate) fn nanos(&self, now: Instant) -> u64 {
        nanos(now.saturating_duration_since(self.epoch))
    }
}

/// No bit for what is no signal.
#[cfg(unix)]
fn bit_of(signal: i32) -> u64 {
    u32::try_from(signal - 1).ok().and_then(|place| 1_u64.checked_shl(place)).unwrap_or(0)
}

/// Of more than half a thousand years, as many as there are.
fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn handle() -> StopHandle {
        StopHandle { state: Arc::new(StopState::new(Duration::from_secs(15)).unwrap()) }
    }

    #[test]
    fn a_second_stop_shortens_and_never_lengthens() {
        let stop = handle();
        assert!(!stop.is_stopping());
        assert_eq!(stop.state.deadline(), None);
        stop.shutdown();
        let first = stop.state.deadline().unwrap();
        stop.shutdown_within(Duration::from_secs(60));
        assert_eq!(stop.state.deadline().unwrap(), first);
        stop.shutdown_now();
        assert!(stop.state.deadline().unwrap() <= Instant::now());
        assert!(stop.is_stopping());
    }

    /// Handlers of two signals can run at the same time, on two threads, or one inside the other.
    #[cfg(all(unix, feature = "signals"))]
    #[test]
    fn of_two_signals_at_a_time_one_is_the_second() {
        for round in 0..2_000 {
            let stop = handle();
            let there = std::sync::atomic::AtomicUsize::new(0);
            let signal = || {
                there.fetch_add(1, Ordering::SeqCst);
                // Closer together than a barrier would have them.
                while there.load(Ordering::SeqCst) < 2 {
                    std::thread::yield_now();
                }
                stop.signalled();
            };
            std::thread::scope(|scope| {
                scope.spawn(signal);
                signal();
            });
            assert!(stop.state.deadline().unwrap() <= Instant::now(), "round {round}: the drain goes on");
        }
    }

    #[test]
    fn a_deadline_is_never_early() {
        for nanos in [0, 1, 999_999, 1_000_000, 149_999_999, 150_000_001, 3_600_000_000_001] {
            let (stop, timeout) = (handle(), Duration::from_nanos(nanos));
            let asked = Instant::now();
            stop.shutdown_within(timeout);
            let deadline = stop.state.deadline().unwrap();
            assert!(deadline >= asked + timeout, "{:?} instead of {timeout:?}", deadline - asked);
            assert!(stop.state.told_at().unwrap() >= asked);
        }
    }

    #[test]
    fn the_first_stop_is_the_begin_of_the_drain() {
        let stop = handle();
        assert_eq!(stop.state.told_at(), None);
        stop.shutdown();
        let first = stop.state.told_at().unwrap();
        assert!(first <= Instant::now());
        stop.shutdown_now();
        assert_eq!(stop.state.told_at(), Some(first));
    }

    #[test]
    fn a_drain_without_end_does_not_overflow() {
        let stop = StopHandle { state: Arc::new(StopState::new(Duration::MAX).unwrap()) };
        stop.shutdown_within(Duration::MAX);
        assert!(stop.is_stopping());
    }
}
