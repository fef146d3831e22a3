//! The process that looks after the others.

use std::fmt;
use std::io;
use std::io::Write;
use std::os::fd::AsFd;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

use super::member::Orders;
use crate::dispatch::ServeLoop;
use crate::dispatch::Task;
use crate::engine::core::Counter;
use crate::engine::serve_loop::Attention;
use crate::engine::serve_loop::Ready;
use crate::engine::source::Observe;
use crate::error::RequestError;
use crate::error::ServeError;
use crate::error::Stage;
use crate::event::Event;
use crate::limits::permit::Permit;
use crate::sys::child::Child;
use crate::sys::child::Exit;
use crate::sys::flag::Flag;
use crate::sys::fork::Purpose;
use crate::sys::fork::fork;
use crate::sys::shared::SharedWords;

/// Words of each place in the page: whether the child serves, and when its loop was heard of last.
pub(super) const WORDS: usize = 2;
pub(super) const READY: usize = 0;
pub(super) const BEAT: usize = 1;

/// The pause before a child is replaced that has ended before it served; doubled each time.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// The children and what is shared with them.
pub struct Supervisor<J> {
    places: Vec<Place>,
    page: Arc<SharedWords>,
    /// Read by the children: at its end when this process has gone.
    alive: Arc<OwnedFd>,
    /// Kept by this process alone.
    lifeline: OwnedFd,
    idle: Flag,
    /// Children there have ever been.
    forked: u32,
    /// Children in a row that have ended before they served.
    failures: u32,
    /// How the last of them ended.
    last_failure: String,
    /// A child has served.
    has_served: bool,
    /// Children that end from here on have been cut off.
    forced: bool,
    ready: Vec<Ready<J>>,
}

/// Where a child is, or will be.
struct Place {
    control: Arc<Flag>,
    child: Option<Member>,
    /// When to fork anew.
    due: Option<Instant>,
}

struct Member {
    pid: u32,
    process: Child,
    since: Instant,
    /// The drain waits until all have been given back.
    _permit: Permit,
}

impl<J> fmt::Debug for Supervisor<J> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Supervisor").field("forked", &self.forked).finish_non_exhaustive()
    }
}

impl<J: Task> Supervisor<J> {
    pub(super) fn new(processes: usize) -> io::Result<Self> {
        let (alive, lifeline) = rustix::pipe::pipe()?;
        for end in [&alive, &lifeline] {
            rustix::io::fcntl_setfd(end, rustix::io::FdFlags::CLOEXEC)?;
        }
        rustix::fs::fcntl_setfl(&alive, rustix::fs::OFlags::NONBLOCK)?;
        let place = |_| Ok(Place { control: Arc::new(Flag::new()?), child: None, due: None });
        Ok(Self {
            places: (0..processes).map(place).collect::<io::Result<_>>()?,
            page: Arc::new(SharedWords::new(processes.saturating_mul(WORDS))?),
            alive: Arc::new(alive),
            lifeline,
            idle: Flag::new()?,
            forked: 0,
            failures: 0,
            last_failure: String::new(),
            has_served: false,
            forced: false,
            ready: Vec::new(),
        })
    }

    /// Forks for each place that has no child, when it is time.
    pub(super) fn fork_missing(
        &mut self,
        serve_loop: &mut ServeLoop<J>,
        serve: impl Fn(Orders, &mut ServeLoop<J>) -> u8,
    ) {
        let now = Instant::now();
        for place in 0..self.places.len() {
            let is_due = self.places[place].due.is_none_or(|due| due <= now);
            if self.places[place].child.is_some() || !is_due || serve_loop.reporter.core().stop.is_stopping() {
                continue;
            }
            if let Err(error) = self.fork_at(place, serve_loop, &serve) {
                serve_loop.reporter.error(RequestError::failed(Stage::Dispatch, error));
                self.failures = self.failures.saturating_add(1);
                self.places[place].due = Some(now + self.pause());
            }
        }
    }

    fn fork_at(
        &mut self,
        place: usize,
        serve_loop: &mut ServeLoop<J>,
        serve: &impl Fn(Orders, &mut ServeLoop<J>) -> u8,
    ) -> io::Result<()> {
        for word in self.words(place) {
            word.store(0, Ordering::SeqCst);
        }
        self.forked = self.forked.wrapping_add(1);
        let control = Arc::clone(&self.places[place].control);
        control.clear();
        let (page, alive) = (Arc::clone(&self.page), Arc::clone(&self.alive));
        let orders = Orders { place, number: self.forked, control, page, alive };
        // What is buffered would be written twice, by each side.
        let _ = io::stdout().flush();
        let park = Arc::clone(&serve_loop.park);
        let withheld = [park.poller.descriptor(), self.lifeline.as_fd()];
        let pid = fork(Purpose::Serving, &withheld, &self.idle, || serve(orders, serve_loop))?;
        let Some(mut process) = Child::new(pid) else { return Ok(()) };
        ServeLoop::watch(&serve_loop.park, &mut process, pid);
        let permit = serve_loop.reporter.core().permits.beyond_limit();
        let member = Member { pid, process, since: Instant::now(), _permit: permit };
        self.places[place].child = Some(member);
        self.places[place].due = None;
        // It may have missed what was told between its fork and its first look.
        self.places[place].control.raise();
        Ok(())
    }

    /// Why not one of the first children has come to serve; `None` as long as one may.
    pub(super) fn has_failed(&self) -> Option<io::Error> {
        let count = self.places.len();
        let all_failed = !self.has_served && self.failures as usize >= count;
        all_failed.then(|| io::Error::other(format!("none of {count} processes came to serve; {}", self.last_failure)))
    }

    /// One turn of the loop; false once the server has been told to stop.
    pub(super) fn turn(&mut self, serve_loop: &mut ServeLoop<J>, hang: Option<Duration>) -> Result<bool, ServeError> {
        let now = Instant::now();
        let due = self.places.iter().filter_map(|place| place.due).min();
        let hang_check = hang.map(|timeout| now + timeout / 3);
        let unwatched = self.has_unwatched().then(|| now + UNWATCHED);
        serve_loop.look_again_at(due.into_iter().chain(hang_check).chain(unwatched).min());
        let outcome = self.wait_once(serve_loop);
        if let Some(timeout) = hang {
            self.kill_hanging(serve_loop, timeout);
        }
        self.look_for_ready(serve_loop);
        outcome
    }

    /// Waits for news, and tells the children of them.
    fn wait_once(&mut self, serve_loop: &mut ServeLoop<J>) -> Result<bool, ServeError> {
        let mut ready = std::mem::take(&mut self.ready);
        let outcome = serve_loop.turn(false, &mut ready);
        let heard: Vec<u32> = ready
            .drain(..)
            .filter_map(|event| if let Ready::Watched(pid) = event { Some(pid) } else { None })
            .collect();
        self.ready = ready;
        let signals: Vec<i32> = serve_loop.reporter.core().stop.state.take_signals().collect();
        for place in 0..self.places.len() {
            let Some(member) = &mut self.places[place].child else { continue };
            if heard.contains(&member.pid) || !member.process.is_watched() {
                // Where an exit is told once, it may be told too early.
                self.collect(place, serve_loop);
            }
            if let Some(member) = &self.places[place].child {
                for signal in &signals {
                    // One that has just ended needs none.
                    let _ = member.process.send(*signal);
                }
            }
            self.places[place].control.raise();
        }
        outcome
    }

    /// Waits for children until none is left or the time is over.
    pub(super) fn wait(&mut self, serve_loop: &mut ServeLoop<J>, until: Instant) {
        // Those whose exits no descriptor tells of are looked for.
        let look = if self.has_unwatched() { UNWATCHED } else { Duration::from_secs(3600) };
        while self.places.iter().any(|place| place.child.is_some()) && Instant::now() < until {
            serve_loop.wait_ready(until.min(Instant::now() + look));
            if self.wait_once(serve_loop).is_err() {
                break;
            }
        }
    }

    pub(super) fn kill_all(&mut self) {
        self.forced = true;
        for member in self.places.iter().filter_map(|place| place.child.as_ref()) {
            // One that has just ended needs no signal.
            let _ = member.process.kill(true);
        }
    }

    fn collect(&mut self, place: usize, serve_loop: &mut ServeLoop<J>) {
        let Some(member) = self.places[place].child.as_mut() else { return };
        let Some(Exit { code, signal }) = member.process.try_wait() else {
            // kqueue tells once, and on macOS before the child can be collected.
            if cfg!(not(target_os = "linux")) {
                member.process.unwatch(&serve_loop.park.poller);
            }
            return;
        };
        let Some(mut member) = self.places[place].child.take() else { return };
        member.process.unwatch(&serve_loop.park.poller);
        let core = serve_loop.reporter.core();
        let is_stopping = core.stop.is_stopping();
        core.counters.settle(place, if self.forced || is_stopping { Counter::Forced } else { Counter::Failed });
        serve_loop.reporter.observe(&Event::ChildExit { pid: member.pid, code, signal });
        if self.words(place)[READY].load(Ordering::SeqCst) != 0 {
            self.note_ready();
        } else if !is_stopping {
            self.failures = self.failures.saturating_add(1);
            self.last_failure = match (code, signal) {
                (Some(code), _) => format!("the last one exited with {code}"),
                (None, Some(signal)) => format!("the last one was ended by signal {signal}"),
                (None, None) => "how the last one ended is unknown".to_owned(),
            };
            self.places[place].due = Some(Instant::now() + self.pause());
        }
    }

    fn look_for_ready(&mut self, serve_loop: &mut ServeLoop<J>) {
        let serving = |place: &usize| {
            self.places[*place].child.is_some() && self.words(*place)[READY].load(Ordering::SeqCst) != 0
        };
        let count = (0..self.places.len()).filter(serving).count();
        if count > 0 && !self.has_served {
            self.note_ready();
        }
        if count == self.places.len() {
            self.failures = 0;
            if matches!(serve_loop.waiter.errands, Attention::NotYet) {
                serve_loop.waiter.errands = Attention::Now;
            }
        }
    }

    fn note_ready(&mut self) {
        self.has_served = true;
        self.failures = 0;
    }

    /// Kills those whose loops have not been heard of; their exits are told of as those of others.
    fn kill_hanging(&self, serve_loop: &ServeLoop<J>, timeout: Duration) {
        let state = &serve_loop.reporter.core().stop.state;
        let now = Instant::now();
        for (place, member) in self.places.iter().enumerate() {
            let Some(member) = &member.child else { continue };
            let heard = self.words(place)[BEAT].load(Ordering::SeqCst).max(state.nanos(member.since));
            let silent = Duration::from_nanos(state.nanos(now).saturating_sub(heard));
            if silent > timeout {
                let _ = member.process.kill(true);
            }
        }
    }

    fn has_unwatched(&self) -> bool {
        self.places.iter().filter_map(|place| place.child.as_ref()).any(|member| !member.process.is_watched())
    }

    fn pause(&self) -> Duration {
        let doublings = self.failures.saturating_sub(1).min(10);
        FIRST_PAUSE.saturating_mul(1 << doublings).min(LONGEST_PAUSE)
    }
}

/// How often to look for exits that no descriptor tells of: only where the system has none, none was left, or a sandbox
/// allows none.
const UNWATCHED: Duration = Duration::from_millis(20);

impl<J> Supervisor<J> {
    fn words(&self, place: usize) -> &[std::sync::atomic::AtomicU64] {
        &self.page[place * WORDS..][..WORDS]
    }
}

impl<J> Drop for Supervisor<J> {
    /// A child that is left at the end of a drain has been killed: it is collected, so that no zombie stays.
    fn drop(&mut self) {
        for member in self.places.iter().filter_map(|place| place.child.as_ref()) {
            let _ = member.process.kill(true);
            for _ in 0..100 {
                if member.process.try_wait().is_some() {
                    break;
                }
                std::thread::yield_now();
            }
        }
    }
}
