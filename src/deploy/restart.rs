//! Hot restart: the program is started again with the listeners of this process, which hands over once the new one
//! serves.

mod launch;
mod progress;

use std::fmt;
use std::io;
use std::os::fd::AsFd;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

use parking_lot::Mutex;

use self::launch::Recipe;
use self::progress::Pending;
use self::progress::Progress;
use super::PassedSocketError;
use super::PassedSockets;
use super::Sockets;
use crate::Builder;
use crate::Server;
use crate::StopHandle;
use crate::dispatch::Job;
use crate::dispatch::Process;
use crate::engine::errands::Errand;
use crate::engine::errands::Scene;
use crate::error::BindError;
use crate::event::Event;
use crate::handler::HandlerFactory;
use crate::transport::Adopt;
use crate::transport::Transport;

/// How soon to look again at a process whose end no descriptor tells of.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// The name of the descriptor on which a new process tells the old one that it serves.
const READY: &str = "socketserver-ready";

/// Restarts this program without a client noticing: it is started again as this process was (with the same arguments,
/// environment and standard streams), and inherits the listeners. Once the new process serves, this one [hands
/// over](StopHandle::hand_over) and drains. If it fails to serve, this process continues, and an event says why.
///
/// ```no_run
/// use std::net::TcpStream;
///
/// use socketserver::deploy::{Restart, Sockets};
/// use socketserver::{Builder, Flow, Pool, Stream, Tcp};
///
/// // First of all: it records the path of the program.
/// let mut restart = Restart::new(Sockets::take()?);
/// let builder = Builder::<Tcp, Pool, _>::new(socketserver::handler::function(|_: &mut Stream<TcpStream>| Ok(Flow::Close)));
/// // Binds to the address, or serves on the socket of the previous process.
/// let server = restart.bind("web", builder, "127.0.0.1:8080")?;
/// # #[cfg(feature = "signals")]
/// let _signal = restart.on_signal()?;
/// server.serve_forever()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// Everything happens on the serving threads, which wait for the new process as they wait for clients. It works under
/// every dispatch and for every transport with a [`descriptor`](Transport::descriptor). With several servers in one
/// process, each has a name, and all are handed over at once. The new process takes over the files of Unix-domain
/// sockets.
///
/// The events are [`Restarting`](Event::Restarting), [`Restarted`](Event::Restarted) and
/// [`RestartFailed`](Event::RestartFailed). A restart is refused while another is in progress, and in a process with
/// the process ID 1, because its container would end with it. Under systemd the new process becomes the main process of
/// the service (`MAINPID=`; `Type=notify`).
///
/// The state in the memory of the old process (sessions, caches) is lost, unless the program passes it on by other
/// means.
pub struct Restart {
    sockets: Sockets,
    is_restarted: bool,
    shared: Arc<Shared>,
}

struct Shared {
    recipe: Mutex<Recipe>,
    timeout: Mutex<Duration>,
    /// Asked for and not begun.
    asked: AtomicBool,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    servers: Vec<Served>,
    pending: Option<Pending>,
    /// What this process tells its predecessor on.
    ready: Option<OwnedFd>,
    /// New processes that did not make it, until they have been collected.
    failed: Vec<crate::sys::child::Child>,
}

/// One of the servers.
struct Served {
    name: String,
    stop: StopHandle,
    has_begun: bool,
    has_ended: bool,
    /// Copies of its listeners, while those of all servers are gathered.
    listeners: Vec<OwnedFd>,
}

impl Restart {
    /// A hot restart of the servers of this process, with the sockets passed to it.
    ///
    /// Create it before anything else: it records how this process was started.
    #[must_use]
    pub fn new(mut sockets: Sockets) -> Self {
        let ready = sockets.take_any(READY);
        let is_restarted = ready.is_some();
        if is_restarted {
            launch::inherit_paths(&sockets);
        }
        let state = State { ready, ..State::default() };
        let shared = Shared {
            recipe: Mutex::new(Recipe::of_this_process()),
            timeout: Mutex::new(Duration::from_secs(60)),
            asked: AtomicBool::new(false),
            state: Mutex::new(state),
        };
        Self { sockets, is_restarted, shared: Arc::new(shared) }
    }

    /// Whether this process was started by a hot restart, and has inherited listeners.
    #[must_use]
    pub fn is_restarted(&self) -> bool {
        self.is_restarted
    }

    /// The sockets passed to this process that have not been taken yet.
    pub fn sockets(&mut self) -> &mut Sockets {
        &mut self.sockets
    }

    /// Sets the program that a restart starts. Default: the program of this process, at the path where it was when this
    /// was created. If the path is a symbolic link that will point to the next version, set it here.
    pub fn program(&self, path: impl Into<std::path::PathBuf>) {
        self.shared.recipe.lock().program = Ok(path.into());
    }

    /// Sets how long a new process may take from its start until it serves. After that it is killed, and this one
    /// continues. Default 60 s.
    pub fn timeout(&self, timeout: Duration) {
        *self.shared.timeout.lock() = timeout;
    }

    /// Serves on the socket inherited from the previous process under this name (or on all of them, if the transport is
    /// [`Many`](crate::transport::Many)); without a previous process, binds to the address.
    ///
    /// # Errors
    ///
    /// - As for [`Builder::bind`] and [`Builder::adopt`].
    /// - The previous process has not passed on such a socket.
    /// - The name is empty, or has a `:` or a control character.
    pub fn bind<T, D, H>(
        &mut self,
        name: &str,
        builder: Builder<T, D, H>,
        address: impl Into<T::Address>,
    ) -> Result<Server<T, D, H>, RestartError>
    where
        T: Adopt<Socket: PassedSockets>,
        D: Process<Job<T, H>>,
        H: HandlerFactory<T::Request>,
    {
        let server = match self.inherited(name)? {
            Some(socket) => builder.adopt(socket)?,
            None => builder.bind(address)?,
        };
        self.serve(name, &server)?;
        Ok(server)
    }

    /// The socket inherited from the previous process under this name, or all of them as a `Vec`; `None` without a
    /// previous process.
    ///
    /// # Errors
    ///
    /// It has not passed on such a socket.
    pub fn inherited<S: PassedSockets>(&mut self, name: &str) -> Result<Option<S>, RestartError> {
        if self.is_restarted { Ok(Some(self.sockets.take_for(name)?)) } else { Ok(None) }
    }

    /// Includes this server in a restart: its listeners are passed to the new process under this name, which is ready
    /// when all of its servers serve. Call it before any of them serves.
    ///
    /// # Errors
    ///
    /// The name is empty, or has a `:` or a control character.
    pub fn serve<T, D, H>(&self, name: &str, server: &Server<T, D, H>) -> Result<(), RestartError>
    where
        T: Transport,
        D: Process<Job<T, H>>,
        H: HandlerFactory<T::Request>,
    {
        if name.is_empty() || name == READY || name.chars().any(|letter| letter == ':' || letter.is_control()) {
            return Err(RestartError::Name { name: name.to_owned() });
        }
        let mut state = self.shared.state.lock();
        let member = Member { shared: Arc::clone(&self.shared), place: state.servers.len() };
        state.servers.push(Served {
            name: name.to_owned(),
            stop: server.stop_handle(),
            has_begun: false,
            has_ended: false,
            listeners: Vec::new(),
        });
        server.core().errands.add(Arc::new(member));
        Ok(())
    }

    /// A handle to request a restart from anywhere. Create it when all servers are known.
    #[must_use]
    pub fn handle(&self) -> RestartHandle {
        let stops = self.shared.state.lock().servers.iter().map(|server| server.stop.clone()).collect();
        RestartHandle { shared: Arc::clone(&self.shared), stops }
    }

    /// Makes SIGUSR2 request a restart, until the guard is dropped. Call it when all servers are known.
    ///
    /// # Errors
    ///
    /// The system refuses to set the handler.
    #[cfg(feature = "signals")]
    pub fn on_signal(&self) -> io::Result<crate::signals::SignalGuard> {
        struct Restart(RestartHandle);

        impl crate::sys::on_signal::SignalSafe for Restart {
            fn act(&self) {
                self.0.restart();
            }
        }

        let action = crate::sys::on_signal::OnSignal::new(signal_hook::consts::SIGUSR2, Restart(self.handle()))?;
        Ok(crate::signals::SignalGuard::keeping(action))
    }
}

impl fmt::Debug for Restart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Restart").field("is_restarted", &self.is_restarted).finish_non_exhaustive()
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").finish_non_exhaustive()
    }
}

/// Requests a restart, from handlers, other threads and signal handlers.
#[derive(Clone, Debug)]
pub struct RestartHandle {
    shared: Arc<Shared>,
    stops: Arc<[StopHandle]>,
}

impl RestartHandle {
    /// Requests a restart. It returns at once; events report the outcome. Async-signal-safe.
    ///
    /// In a forked child it has no effect: ask its parent, for example with a signal.
    pub fn restart(&self) {
        self.shared.asked.store(true, Ordering::SeqCst);
        for stop in self.stops.iter() {
            stop.state.announce();
        }
    }
}

/// Why a server cannot be bound or restarted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RestartError {
    /// The server could not be bound.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The name cannot be passed on.
    #[error(
        "{name:?} cannot be the name of a listener: choose one without colons and control characters, such as \"web\""
    )]
    Name {
        /// The name.
        name: String,
    },
    /// The previous process has not passed on the socket.
    #[error(transparent)]
    Passed(#[from] PassedSocketError),
}

/// What the serve loop of one of the servers does for a restart.
#[derive(Debug)]
struct Member {
    shared: Arc<Shared>,
    place: usize,
}

impl Errand for Member {
    fn attend(&self, scene: &Scene<'_>) -> Option<Instant> {
        let state = &mut *self.shared.state.lock();
        state.begin(self.place);
        if self.shared.asked.load(Ordering::SeqCst) {
            self.gather(state, scene);
        }
        state.failed.retain(|child| child.try_wait().is_none());
        // A child that is being killed; a loop that has no listener yet, or not any more.
        let is_unfinished = !state.failed.is_empty() || self.shared.asked.load(Ordering::SeqCst);
        let again_at = is_unfinished.then(|| scene.now + LOOK_AGAIN);
        if state.pending.as_ref().is_none_or(|pending| pending.place != self.place) {
            return again_at;
        }
        let pending = state.pending.take()?;
        match pending.look(scene) {
            Progress::Waits(pending) => {
                let until = pending.until;
                state.pending = Some(pending);
                Some(again_at.map_or(until, |at| at.min(until)))
            }
            Progress::Ready { pid } => {
                launch::tell_manager(pid);
                for server in state.servers.iter().filter(|server| !server.has_ended) {
                    server.stop.hand_over();
                }
                // A client of the program that has heard of it meets what it says.
                scene.reporter.observe(&Event::Restarted { pid });
                None
            }
            Progress::Failed { child, error } => {
                scene.reporter.observe(&Event::RestartFailed { error: &error });
                state.failed.extend(child.filter(|child| child.try_wait().is_none()));
                Some(scene.now + LOOK_AGAIN)
            }
        }
    }

    fn stopping(&self, scene: &Scene<'_>) {
        let state = &mut *self.shared.state.lock();
        state.servers[self.place].has_ended = true;
        // This process was told to end, not to be followed by another.
        if let Some(pending) = state.pending.take_if(|pending| pending.place == self.place) {
            let (child, error) = pending.give_up("this process was told to stop", scene);
            scene.reporter.observe(&Event::RestartFailed { error: &error });
            state.failed.extend(child.filter(|child| child.try_wait().is_none()));
        }
    }
}

impl Member {
    /// Adds the listeners of this server to those of the others; the last one starts the program.
    fn gather(&self, state: &mut State, scene: &Scene<'_>) {
        let refused = |why: String| {
            self.shared.asked.store(false, Ordering::SeqCst);
            scene.reporter.observe(&Event::RestartFailed { error: &io::Error::other(why) });
        };
        if std::process::id() == 1 {
            return refused(
                "this process has the process ID 1, and its container ends when it does: start a new container instead"
                    .to_owned(),
            );
        }
        if let Some(pending) = &state.pending {
            return refused(format!("another restart is under way: process {} does not serve yet", pending.pid));
        }
        let copies = scene.listeners.iter().map(|listener| listener.try_clone_to_owned());
        match copies.collect::<io::Result<Vec<_>>>() {
            Ok(listeners) if listeners.is_empty() => return,
            Ok(listeners) => state.servers[self.place].listeners = listeners,
            Err(error) => return refused(format!("no copy of a listener: {error}")),
        }
        if state.servers.iter().any(|server| !server.has_ended && server.listeners.is_empty()) {
            // Its loop has been woken, too.
            return;
        }
        self.shared.asked.store(false, Ordering::SeqCst);
        let taken = |server: &mut Served| {
            let name = server.name.clone();
            std::mem::take(&mut server.listeners).into_iter().map(move |listener| (name.clone(), listener))
        };
        let listeners: Vec<_> = state.servers.iter_mut().flat_map(taken).collect();
        let timeout = *self.shared.timeout.lock();
        let outcome = self.shared.recipe.lock().start(&listeners);
        match outcome.and_then(|started| Pending::new(started, self.place, scene, timeout)) {
            Ok(pending) => {
                scene.reporter.observe(&Event::Restarting { pid: pending.pid });
                state.pending = Some(pending);
            }
            Err(error) => scene.reporter.observe(&Event::RestartFailed { error: &error }),
        }
    }
}

impl State {
    /// The server at this place serves. When all do, the process before may hand over.
    fn begin(&mut self, place: usize) {
        self.servers[place].has_begun = true;
        if self.servers.iter().all(|server| server.has_begun)
            && let Some(ready) = self.ready.take()
        {
            crate::transport::unix_path::moving::arm();
            // If it has gone, there is no process to take over from.
            let _ = rustix::io::write(ready.as_fd(), b"R");
        }
    }
}
