//! Notifications to systemd: sd_notify(3), from the serve loop, without another thread.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use parking_lot::Mutex;
use sd_notify::NotifyState;

use crate::Server;
use crate::dispatch::Job;
use crate::dispatch::Process;
use crate::engine::errands::Errand;
use crate::engine::errands::Scene;
use crate::engine::report::Stats;
use crate::error::RequestError;
use crate::error::Stage;
use crate::handler::HandlerFactory;
use crate::transport::Transport;

/// The state of the server's counters is told this often, if it has changed.
const STATUS_INTERVAL: Duration = Duration::from_secs(10);

/// Notifies systemd of the state of this process: `Type=notify` in the unit. Without systemd it does nothing.
///
/// - `READY=1` when all of them have begun to serve, and `STOPPING=1` when the first begins to drain (but not when it
///   [hands over](crate::StopHandle::hand_over): then another process continues the service).
/// - `WATCHDOG=1` from their serve loops, three times in the unit's `WatchdogSec=`. If a loop hangs, systemd restarts
///   the service: under `Sync` if a handler blocks its thread, under the other dispatches if none of the threads waits
///   for events, or if [`service_actions`](crate::HandlerFactory::service_actions) or an observer does not return.
/// - `STATUS=` with the counters, every 10 s.
///
/// ```no_run
/// use socketserver::deploy::systemd::Manager;
/// use socketserver::{Flow, PoolTcpServer};
///
/// let server = PoolTcpServer::bind_fn("127.0.0.1:7007", |_| Ok(Flow::Close))?;
/// Manager::new().watch(&server);
/// server.serve_forever()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Manager {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    is_there: bool,
    watchdog: Option<Duration>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// The servers of this process.
    servers: Vec<Watched>,
    ready: bool,
    stopping: bool,
    /// What has been told last.
    status: Option<(Instant, String)>,
    failed: bool,
}

#[derive(Clone, Copy, Debug, Default)]
struct Watched {
    /// When its loop was here last, once it has been.
    seen: Option<Instant>,
    counts: Stats,
}

impl Default for Manager {
    fn default() -> Self {
        Self::new()
    }
}

impl Manager {
    /// The manager that started this process, according to the environment, if any.
    #[must_use]
    pub fn new() -> Self {
        let is_there = std::env::var_os("NOTIFY_SOCKET").is_some();
        let watchdog = sd_notify::watchdog_enabled().filter(|time| is_there && !time.is_zero());
        Self { shared: Arc::new(Shared { is_there, watchdog, state: Mutex::new(State::default()) }) }
    }

    /// Whether there is a manager that expects notifications.
    #[must_use]
    pub fn is_there(&self) -> bool {
        self.shared.is_there
    }

    /// Includes this server in the notifications. Call it for all servers before any of them serves, because `READY=1`
    /// waits for all.
    pub fn watch<T, D, H>(&self, server: &Server<T, D, H>)
    where
        T: Transport,
        D: Process<Job<T, H>>,
        H: HandlerFactory<T::Request>,
    {
        if !self.shared.is_there {
            return;
        }
        let mut state = self.shared.state.lock();
        let member = Member { shared: Arc::clone(&self.shared), place: state.servers.len() };
        state.servers.push(Watched::default());
        server.core().errands.add(Arc::new(member));
    }
}

/// One of the servers.
#[derive(Debug)]
struct Member {
    shared: Arc<Shared>,
    place: usize,
}

impl Errand for Member {
    fn attend(&self, scene: &Scene<'_>) -> Option<Instant> {
        let now = scene.now;
        let state = &mut *self.shared.state.lock();
        state.servers[self.place] = Watched { seen: Some(now), counts: Stats::of(scene.reporter.core()) };
        let mut news = Vec::new();
        if !state.ready && state.servers.iter().all(|server| server.seen.is_some()) {
            state.ready = true;
            news.push(NotifyState::Ready);
        }
        if let Some(time) = self.shared.watchdog
            && state.servers.iter().all(|server| server.seen.is_some_and(|seen| seen + time * 2 / 3 > now))
        {
            news.push(NotifyState::Watchdog);
        }
        let old = state.status.take().filter(|(told, _)| now < *told + STATUS_INTERVAL);
        let (told, status) = old.unwrap_or_else(|| (now, state.describe()));
        if told == now {
            news.push(NotifyState::Status(&status));
        }
        tell(&news, &mut state.failed, scene);
        let next_status = told + STATUS_INTERVAL;
        state.status = Some((told, status));
        Some(self.shared.watchdog.map_or(next_status, |time| next_status.min(now + time / 3)))
    }

    fn stopping(&self, scene: &Scene<'_>) {
        let state = &mut *self.shared.state.lock();
        if scene.reporter.core().stop.state.hands_over() || std::mem::replace(&mut state.stopping, true) {
            return;
        }
        let status = format!("draining; {}", state.describe());
        tell(&[NotifyState::Stopping, NotifyState::Status(&status)], &mut state.failed, scene);
    }
}

impl State {
    fn describe(&self) -> String {
        let sum = |count: fn(&Stats) -> u64| self.servers.iter().map(|server| count(&server.counts)).sum();
        let (open, accepted, failed) =
            (sum(|counts| counts.active as u64), sum(|counts| counts.accepted), sum(|counts| counts.failed));
        Status { open, accepted, failed }.to_string()
    }
}

struct Status {
    open: u64,
    accepted: u64,
    failed: u64,
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { open, accepted, failed } = self;
        write!(f, "{open} open, {accepted} accepted, {failed} failed")
    }
}

/// The first failure is reported: the others would be the same.
fn tell(news: &[NotifyState<'_>], failed: &mut bool, scene: &Scene<'_>) {
    if news.is_empty() {
        return;
    }
    if let Err(error) = sd_notify::notify(news)
        && !std::mem::replace(failed, true)
    {
        let socket = std::env::var_os("NOTIFY_SOCKET").unwrap_or_default();
        let text = format!("cannot tell the process manager at {}: {error}", socket.display());
        scene.reporter.error(RequestError::failed(Stage::ServiceActions, text));
    }
}
