//! Servers that serve while the test goes on: on a thread, or, under `Fork`, in a process.

use socketserver::BackgroundServer;
use socketserver::HandlerFactory;
use socketserver::Pool;
use socketserver::Server;
use socketserver::Stats;
use socketserver::StatsHandle;
use socketserver::StopHandle;
use socketserver::Sync;
use socketserver::ThreadPerRequest;
use socketserver::Transport;
use socketserver::dispatch::Job;
use socketserver::dispatch::Process;

use super::Recorder;
use super::report::Outcome;
use super::report::figures;
#[cfg(unix)]
use super::server_process::ServerProcess;

/// A dispatch whose servers can serve while the test goes on.
pub trait InBackground: Sized {
    fn in_background<T, H>(server: Server<T, Self, H>, seen: &Recorder) -> Background<T::Addr>
    where
        T: Transport + Send,
        Self: Process<Job<T, H>> + Send + 'static,
        H: HandlerFactory<T::Request> + Send + std::marker::Sync + 'static,
        Server<T, Self, H>: Send;
}

/// Says so of dispatches whose servers may serve on a thread of their own.
#[macro_export]
macro_rules! serve_on_a_thread {
    ($($dispatch:ident),+) => {$(
        impl $crate::common::background::InBackground for $dispatch {
            #[track_caller]
            fn in_background<T, H>(
                server: socketserver::Server<T, Self, H>,
                _: &$crate::common::Recorder,
            ) -> $crate::common::background::Background<T::Addr>
            where
                T: socketserver::Transport + Send,
                Self: socketserver::dispatch::Process<socketserver::dispatch::Job<T, H>> + Send + 'static,
                H: socketserver::HandlerFactory<T::Request> + Send + std::marker::Sync + 'static,
                socketserver::Server<T, Self, H>: Send,
            {
                $crate::common::background::Background::Thread(server.serve_in_background().unwrap())
            }
        }
    )+};
}

serve_on_a_thread!(Sync, ThreadPerRequest, Pool);

/// A server that serves elsewhere.
#[derive(Debug)]
pub enum Background<A> {
    Thread(BackgroundServer<A>),
    #[cfg(unix)]
    Process(ServerProcess<A>),
}

impl<A: Clone> Background<A> {
    pub fn local_addr(&self) -> A {
        match self {
            Self::Thread(server) => server.local_addr(),
            #[cfg(unix)]
            Self::Process(server) => server.address.clone(),
        }
    }

    pub fn stop_handle(&self) -> StopHandle {
        match self {
            Self::Thread(server) => server.stop_handle(),
            #[cfg(unix)]
            Self::Process(server) => server.stop.clone(),
        }
    }

    pub fn stats_handle(&self) -> StatsHandle {
        match self {
            Self::Thread(server) => server.stats_handle(),
            #[cfg(unix)]
            Self::Process(server) => server.stats.clone(),
        }
    }

    pub fn stats(&self) -> Stats {
        self.stats_handle().snapshot()
    }

    pub fn is_finished(&self) -> bool {
        match self {
            Self::Thread(server) => server.is_finished(),
            #[cfg(unix)]
            Self::Process(server) => server.process.is_finished(),
        }
    }

    /// Waits until it is stopped. What it has done adds up to what was seen.
    #[track_caller]
    pub fn join(self, seen: &Recorder) -> Outcome {
        match self {
            Self::Thread(server) => figures(server.join(), seen),
            #[cfg(unix)]
            Self::Process(server) => server.join(),
        }
    }
}
