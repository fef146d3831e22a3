//! Servers under `Fork` that serve while the test goes on: each has a process of its own.

use std::any::Any;
use std::sync::Mutex;

use socketserver::Fork;
use socketserver::HandlerFactory;
use socketserver::Server;
use socketserver::StatsHandle;
use socketserver::StopHandle;
use socketserver::Transport;
use socketserver::dispatch::Job;
use socketserver::dispatch::Process;

use super::Log;
use super::Recorder;
use super::background::Background;
use super::background::InBackground;
use super::process::Forked;
use super::report::Outcome;
use super::report::figures;

impl InBackground for Fork {
    fn in_background<T, H>(server: Server<T, Self, H>, seen: &Recorder) -> Background<T::Addr>
    where
        T: Transport + Send,
        Self: Process<Job<T, H>> + Send + 'static,
        H: HandlerFactory<T::Request> + Send + Sync + 'static,
        Server<T, Self, H>: Send,
    {
        ServerProcess::start(server, seen)
    }
}

/// A server in a process of its own.
#[derive(Debug)]
pub struct ServerProcess<A> {
    pub(super) address: A,
    pub(super) stop: StopHandle,
    pub(super) stats: StatsHandle,
    pub(super) process: Forked,
    outcome: Log<Outcome>,
    /// The server as this process has it, as long as there is a file to remove.
    files: Option<Mutex<Box<dyn Any + Send>>>,
}

impl<A> ServerProcess<A> {
    fn start<T, D, H>(server: Server<T, D, H>, seen: &Recorder) -> Background<A>
    where
        A: std::fmt::Display,
        T: Transport<Addr = A>,
        D: Process<Job<T, H>> + 'static,
        H: HandlerFactory<T::Request> + 'static,
        Server<T, D, H>: Send,
    {
        let (address, stop, stats) = (server.local_addr(), server.stop_handle(), server.stats_handle());
        let outcome = Log::default();
        let mut server = Some(server);
        let process = Forked::start(|| {
            let served = server.take().expect("a server").serve_forever();
            outcome.push(figures(served, seen));
            #[cfg(target_os = "linux")]
            assert_eq!(super::children(std::process::id()), [], "children are left");
        });
        // What listens is the other process's now. A file belongs to the process that has made it, and goes at the end.
        let is_file = address.to_string().starts_with('/');
        let files = server.filter(|_| is_file).map(|server| Mutex::new(Box::new(server) as Box<dyn Any + Send>));
        Background::Process(Self { address, stop, stats, process, outcome, files })
    }

    #[track_caller]
    pub(super) fn join(self) -> Outcome {
        assert!(self.process.wait(), "the process that serves has failed, see above");
        drop(self.files);
        self.outcome.entries().pop().expect("its outcome")
    }
}
