//! Processes that serve on one listener, each under another dispatch.

mod member;
mod supervisor;

use std::num::NonZero;
use std::time::Duration;
use std::time::Instant;

use self::member::serve_as_member;
use self::supervisor::Supervisor;
use super::Dispatch;
use super::Process;
use super::Rejected;
use super::ServeLoop;
use super::Task;
use crate::engine::acceptor::Sharing;
use crate::engine::serve_loop::Attention;
use crate::error::BindError;
use crate::error::ServeError;
use crate::sys::one_thread;

/// Serves in several processes, which share the listener and are forked before the first request; in each, requests run
/// under the dispatch `D`.
///
/// ```no_run
/// use std::net::TcpStream;
///
/// use socketserver::{Builder, Flow, Pool, PreFork, Stream, Tcp};
///
/// let server = Builder::<Tcp, PreFork<Pool>, _>::new(socketserver::handler::function(|_: &mut Stream<TcpStream>| Ok(Flow::Close)))
///     .dispatch(PreFork::new(4, Pool::new(2)))
///     .bind("127.0.0.1:8080")?;
/// server.serve_forever()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// The process that calls [`serve_forever`](crate::Server::serve_forever) is the supervisor: it accepts nothing itself.
/// It replaces a child that has crashed at once, and a child that ended before it served after a pause, which doubles
/// from 100 ms to 10 s. If none of the first children begins to serve, that is an error. The supervisor must have a
/// single thread, as for [`Fork`](super::Fork); its children may have as many as `D` starts.
///
/// # One server
///
/// - The builder's `max_connections` applies to the whole server: each child has its share of it. Options of `D` apply
///   to each child.
/// - The counters and the report are those of the whole server. Connections open in a child that crashes count as
///   failed.
/// - A [`StopHandle`](crate::StopHandle) stops, pauses and resumes the whole server, in whichever of the processes it
///   is used. Signals go to the supervisor: if it handles SIGTERM, SIGINT, SIGQUIT, SIGTSTP or SIGUSR2, its children
///   (and programs that they execute) ignore the signal, and the supervisor tells them. The children keep handlers of
///   other signals, and the supervisor forwards those of `signals::wake_on_signal`. If the supervisor is gone, its
///   children drain.
/// - At the drain's deadline children cut off what is left, as `D` does; those that remain half a second later are
///   killed.
///
/// # What is not shared
///
/// Everything else: the factory, the memory of handlers, the mailboxes of [`Sender`](crate::Sender)s. Observers and the
/// hooks of requests are called in the child that serves the request; the observers in the supervisor receive
/// [`ChildExit`](crate::Event::ChildExit) and the events of the listener and of the drain; both call `service_actions`.
/// The IDs of requests are unique within the whole server.
///
/// [`handle_request`](crate::Server::handle_request) does not fork: the request runs to its end in the calling process.
#[derive(Clone, Debug)]
pub struct PreFork<D> {
    dispatch: D,
    processes: usize,
    hang_timeout: Option<Duration>,
}

impl<D: Default> Default for PreFork<D> {
    fn default() -> Self {
        Self::new(std::thread::available_parallelism().map_or(1, NonZero::get), D::default())
    }
}

impl<D> PreFork<D> {
    /// Serves in this many processes, each under `dispatch`.
    #[must_use]
    pub fn new(processes: usize, dispatch: D) -> Self {
        Self { dispatch, processes, hang_timeout: None }
    }

    /// The number of processes. Default: the number of CPUs.
    #[must_use]
    pub fn processes(mut self, count: usize) -> Self {
        self.processes = count;
        self
    }

    /// A child whose serve loop has not run for this long is killed with SIGKILL, and replaced: under `Sync` a handler
    /// blocks it, under the others none of its threads waits for events. Default `None`: no timeout.
    #[must_use]
    pub fn hang_timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.hang_timeout = timeout.into();
        self
    }

    /// What each of the processes may have of a limit for all.
    fn share_of(&self, limit: usize, place: usize) -> usize {
        (limit / self.processes + usize::from(place < limit % self.processes)).max(1)
    }
}

impl<D: Dispatch> Dispatch for PreFork<D> {
    const NAME: &'static str = "PreFork";

    fn limit(&self) -> Option<usize> {
        self.dispatch.limit().map(|limit| limit.saturating_mul(self.processes))
    }

    fn check(&self) -> Result<(), BindError> {
        let failed = |option, value: &str, reason: &str| {
            Err(BindError::Option { option, value: value.to_owned(), reason: reason.to_owned() })
        };
        if D::NAME == Self::NAME {
            return failed("dispatch", "PreFork<PreFork<_>>", "children of children have no use: one level is enough");
        }
        if self.processes == 0 {
            return failed("processes", "0", "a server without processes serves no request; it must be at least 1");
        }
        if self.hang_timeout == Some(Duration::ZERO) {
            return failed("hang_timeout", "0", "every child would be killed at once; `None` kills none");
        }
        self.dispatch.check()
    }
}

impl<J: Task, D: Process<J>> Process<J> for PreFork<D> {
    type Running = Supervisor<J>;

    fn start(&self, serve_loop: &mut ServeLoop<J>) -> Result<Supervisor<J>, ServeError> {
        one_thread::check()?;
        let start = || {
            use crate::engine::source::Observe;
            serve_loop.reporter.core().counters.make_places(self.processes)?;
            Supervisor::new(self.processes)
        };
        start().map_err(|source| ServeError::Start { dispatch: Self::NAME, source })
    }

    fn process_request(&self, _: &mut Supervisor<J>, _: &mut ServeLoop<J>, job: J) -> Result<(), Rejected<J>> {
        job.run();
        Ok(())
    }

    fn serve(&self, running: &mut Supervisor<J>, serve_loop: &mut ServeLoop<J>) -> Result<(), ServeError> {
        one_thread::check()?;
        // Ready is who has children that are.
        serve_loop.waiter.errands = Attention::NotYet;
        if let Some(acceptor) = &mut serve_loop.acceptor {
            acceptor.share(Sharing::Others);
        }
        loop {
            running.fork_missing(serve_loop, |orders, serve_loop| serve_as_member(self, orders, serve_loop));
            if let Some(source) = running.has_failed() {
                return Err(ServeError::Start { dispatch: Self::NAME, source });
            }
            if !running.turn(serve_loop, self.hang_timeout)? {
                return Ok(());
            }
        }
    }

    fn drain(&self, running: &mut Supervisor<J>, serve_loop: &mut ServeLoop<J>, until: Instant) {
        running.wait(serve_loop, until);
    }

    fn force(&self, running: &mut Supervisor<J>, serve_loop: &mut ServeLoop<J>) {
        /// They have the same deadline, and their own ways to cut off what is left.
        const IN_ORDER: Duration = Duration::from_millis(500);
        /// A process that has got SIGKILL ends at once, on a machine that has time for it.
        const KILLED: Duration = Duration::from_secs(1);
        running.wait(serve_loop, Instant::now() + IN_ORDER);
        running.kill_all();
        running.wait(serve_loop, Instant::now() + KILLED);
    }
}
