//! Hot restart: the program is started anew with the listeners of this process, which hands over once the new one serves.

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

/// Restarts this program without a client noticing: the program is started anew, as this process was (its arguments, its
/// environment, its standard streams), and gets the listeners. When it serves, this process
/// [hands over](StopHandle::hand_over) and drains. A program that does not come to serve costs nothing: this process goes
/// on, and an event says why.
///
/// ```no_run
/// use std::net::TcpStream;
///
/// use socketserver::deploy::{Restart, Sockets};
/// use socketserver::{Builder, Flow, Pool, Stream, Tcp};
///
/// // First of all, while it is known where the program is.
/// let mut restart = Restart::new(Sockets::take()?);
/// let builder = Builder::<Tcp, Pool, _>::new(socketserver::handler::function(|_: &mut Stream<TcpStream>| Ok(Flow::Close)));
/// // Bound to the address, or served on with the socket of the process before.
/// let server = restart.bind("web", builder, "127.0.0.1:8080")?;
/// # #[cfg(feature = "signals")]
/// let _signal = restart.on_signal()?;
/// server.serve_forever()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// Everything happens on the serving threads, which wait for the new process as they wait for clients. It works under
/// every dispatch and for every transport with a [`descriptor`](Transport::descriptor), for several servers in one process
/// as well: each has its name, and all are handed over at once. The file of a Unix-domain socket that this process has
/// made belongs to the new one from then on.
///
/// The events are [`Restarting`](Event::Restarting), [`Restarted`](Event::Restarted) and
/// [`RestartFailed`](Event::RestartFailed). A restart is refused while another is under way, and in a process with the
/// process ID 1: when that ends, its container ends. Under systemd the new process is made the main process of the
/// service (`MAINPID=`; `Type=notify`).
///
/// What the old process has in its memory is gone with it: sessions, caches, stores. The restart of a program that has to
/// keep such things passes them on by other means.
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
    /// For the servers of this process, with what was passed to it.
    ///
    /// Make it before anything else: it notes how this process was started.
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

    /// Whether this process was started by the restart of another, whose listeners it has.
    #[must_use]
    pub fn is_restarted(&self) -> bool {
        self.is_restarted
    }

    /// What was passed to this process and has not been taken out yet.
    pub fn sockets(&mut self) -> &mut Sockets {
        &mut self.sockets
    }

    /// The program that a restart starts. Default: the one that this process runs, where it was when this was made. One
    /// that is reached by a symbolic link, which is set to the next version, has to be named.
    pub fn program(&self, path: impl Into<std::path::PathBuf>) {
        self.shared.recipe.lock().program = Ok(path.into());
    }

    /// How long a new process has from its start until it serves. Then it is killed, and this one goes on. Default 60 s.
    pub fn timeout(&self, timeout: Duration) {
        *self.shared.timeout.lock() = timeout;
    }

    /// Serves on the socket that the process before has left under this name, on each of them if the transport is
    /// [`Many`](crate::transport::Many); binds it to the address, if there was no process before.
    ///
    /// # Errors
    ///
    /// - As [`Builder::bind`] and [`Builder::adopt`].
    /// - The process before has not left such a socket.
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

    /// The socket that the process before has left under this name, or all of them as a `Vec`; `None` if there was no
    /// process before.
    ///
    /// # Errors
    ///
    /// It has not left such a socket.
    pub fn inherited<S: PassedSockets>(&mut self, name: &str) -> Result<Option<S>, RestartError> {
        if self.is_restarted { Ok(Some(self.sockets.take_for(name)?)) } else { Ok(None) }
    }

    /// A restart hands this server over, too: its listeners go to the new process under this name, and that is ready when
    /// all of its servers serve. Called before any of them serves.
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

    /// What asks for a restart, from anywhere. Made when all servers are known.
    #[must_use]
    pub fn handle(&self) -> RestartHandle {
        let stops = self.shared.state.lock().servers.iter().map(|server| server.stop.clone()).collect();
        RestartHandle { shared: Arc::clone(&self.shared), stops }
    }

    /// From here on SIGUSR2 asks for a restart, until what is returned is dropped. Called when all servers are known.
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

/// Asks for a restart; clonable, and usable from handlers, other threads and signal handlers.
#[derive(Clone, Debug)]
pub struct RestartHandle {
    shared: Arc<Shared>,
    stops: Arc<[StopHandle]>,
}

impl RestartHandle {
    /// Asks for a restart. It returns at once; events tell what becomes of it. Async-signal-safe.
    ///
    /// In a forked child it has no effect: the process to ask is its parent, by a signal, say.
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
    /// It could not be bound.
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
    /// The process before has not left what is asked for.
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
