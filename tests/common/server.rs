//! Servers under test. Each is watched by a [`Recorder`], which is checked when it ends: one start and one stop for
//! each connection, and a report that adds up.

use std::fmt;
use std::ops::Deref;
use std::ops::DerefMut;

use socketserver::Builder;
use socketserver::HandlerFactory;
use socketserver::ServeError;
use socketserver::Server;
use socketserver::Transport;
use socketserver::dispatch::Job;
use socketserver::dispatch::Process;
use socketserver::handler::Observed;
use socketserver::transport::Adopt;
use socketserver::transport::Bind;

use super::Recorder;
use super::background::Background;
use super::background::InBackground;
use super::report::Figures;
use super::report::figures;

/// Starts a server in the background.
pub trait Start: Sized {
    type Transport: Bind;

    fn start_at(self, address: impl Into<<Self::Transport as Bind>::Address>) -> Running<Self::Transport>;

    /// On a free port of this machine.
    fn start(self) -> Running<Self::Transport>
    where
        <Self::Transport as Bind>::Address: From<&'static str>,
    {
        self.start_at("127.0.0.1:0")
    }
}

impl<T, D, H> Start for Builder<T, D, H>
where
    T: Bind + Send,
    D: Process<Job<T, Observed<H, Recorder>>> + InBackground + Send + 'static,
    H: HandlerFactory<T::Request> + Send + Sync + 'static,
    Server<T, D, Observed<H, Recorder>>: Send,
{
    type Transport = T;

    #[track_caller]
    fn start_at(self, address: impl Into<T::Address>) -> Running<T> {
        self.listen_at(address).start()
    }
}

/// Starts a server in the background on a socket that exists already.
pub trait AdoptAndStart: Sized {
    type Transport: Adopt;

    fn adopt_and_start(self, socket: <Self::Transport as Adopt>::Socket) -> Running<Self::Transport>;
}

impl<T, D, H> AdoptAndStart for Builder<T, D, H>
where
    T: Adopt + Send,
    D: Process<Job<T, Observed<H, Recorder>>> + InBackground + Send + 'static,
    H: HandlerFactory<T::Request> + Send + Sync + 'static,
    Server<T, D, Observed<H, Recorder>>: Send,
{
    type Transport = T;

    #[track_caller]
    fn adopt_and_start(self, socket: T::Socket) -> Running<T> {
        let seen = Recorder::default();
        let server = self.observed(seen.clone()).adopt(socket).unwrap();
        Listening { server: Some(server), seen }.start()
    }
}

/// Binds a server that the test then serves on its own thread.
pub trait Listen: Sized {
    type Transport: Bind;
    type Dispatch: Process<Job<Self::Transport, Self::Factory>>;
    type Factory: HandlerFactory<<Self::Transport as Transport>::Request>;

    fn listen_at(
        self,
        address: impl Into<<Self::Transport as Bind>::Address>,
    ) -> Listening<Self::Transport, Self::Dispatch, Self::Factory>;

    /// On a free port of this machine.
    fn listen(self) -> Listening<Self::Transport, Self::Dispatch, Self::Factory>
    where
        <Self::Transport as Bind>::Address: From<&'static str>,
    {
        self.listen_at("127.0.0.1:0")
    }
}

impl<T, D, H> Listen for Builder<T, D, H>
where
    T: Bind,
    D: Process<Job<T, Observed<H, Recorder>>>,
    H: HandlerFactory<T::Request>,
{
    type Transport = T;
    type Dispatch = D;
    type Factory = Observed<H, Recorder>;

    #[track_caller]
    fn listen_at(self, address: impl Into<T::Address>) -> Listening<T, D, Observed<H, Recorder>> {
        let seen = Recorder::default();
        let server = self.observed(seen.clone()).bind(address).unwrap();
        Listening { server: Some(server), seen }
    }
}

/// A server that is bound. It is checked when it has served, or when it is dropped.
pub struct Listening<T: Transport, D: Process<Job<T, H>>, H: HandlerFactory<T::Request>> {
    server: Option<Server<T, D, H>>,
    pub seen: Recorder,
}

impl<T: Transport, D: Process<Job<T, H>>, H: HandlerFactory<T::Request>> Listening<T, D, H> {
    /// Serves until somebody stops it.
    #[track_caller]
    pub fn serve_forever(self) -> Ended {
        self.try_serve_forever().unwrap()
    }

    /// As [`serve_forever`](Self::serve_forever), where it may fail.
    #[track_caller]
    pub fn try_serve_forever(mut self) -> Result<Ended, ServeError> {
        let server = self.server.take().unwrap();
        let report = figures(server.serve_forever(), &self.seen)?;
        Ok(Ended { report, seen: self.seen.clone() })
    }
}

impl<T, D, H> Listening<T, D, H>
where
    T: Transport + Send,
    D: Process<Job<T, H>> + InBackground + Send + 'static,
    H: HandlerFactory<T::Request> + Send + Sync + 'static,
    Server<T, D, H>: Send,
{
    /// Serves while the test goes on.
    #[track_caller]
    pub fn start(mut self) -> Running<T> {
        let server = D::in_background(self.server.take().unwrap(), &self.seen);
        Running { server: Some(server), seen: self.seen.clone() }
    }
}

impl<T: Transport, D: Process<Job<T, H>>, H: HandlerFactory<T::Request>> Deref for Listening<T, D, H> {
    type Target = Server<T, D, H>;

    fn deref(&self) -> &Server<T, D, H> {
        self.server.as_ref().unwrap()
    }
}

impl<T: Transport, D: Process<Job<T, H>>, H: HandlerFactory<T::Request>> DerefMut for Listening<T, D, H> {
    fn deref_mut(&mut self) -> &mut Server<T, D, H> {
        self.server.as_mut().unwrap()
    }
}

impl<T: Transport, D: Process<Job<T, H>>, H: HandlerFactory<T::Request>> Drop for Listening<T, D, H> {
    fn drop(&mut self) {
        if let Some(server) = self.server.take() {
            drop(server);
            if !std::thread::panicking() {
                self.seen.checking.assert_balanced();
            }
        }
    }
}

/// A server that serves elsewhere. It is stopped and checked at the latest when it is dropped.
pub struct Running<T: Transport> {
    server: Option<Background<T::Addr>>,
    pub seen: Recorder,
}

impl<T: Transport> Running<T> {
    /// Stops it; what it has done.
    #[track_caller]
    pub fn stop(self) -> Ended {
        self.stop_handle().shutdown();
        self.join()
    }

    /// Waits until somebody else has stopped it.
    #[track_caller]
    pub fn join(self) -> Ended {
        self.try_join().unwrap()
    }

    /// As [`join`](Self::join), where serving may fail.
    #[track_caller]
    pub fn try_join(mut self) -> Result<Ended, ServeError> {
        let report = self.server.take().unwrap().join(&self.seen)?;
        Ok(Ended { report, seen: self.seen.clone() })
    }
}

impl<T: Transport> Deref for Running<T> {
    type Target = Background<T::Addr>;

    fn deref(&self) -> &Background<T::Addr> {
        self.server.as_ref().unwrap()
    }
}

impl<T: Transport> Drop for Running<T> {
    fn drop(&mut self) {
        // A test that has failed says why; what becomes of its server does not matter any more.
        if let Some(server) = self.server.take()
            && !std::thread::panicking()
        {
            server.stop_handle().shutdown();
            server.join(&self.seen).unwrap();
        }
    }
}

/// A server that has ended, and whose accounts are in order.
#[derive(Debug)]
pub struct Ended {
    report: Figures,
    pub seen: Recorder,
}

impl Deref for Ended {
    type Target = Figures;

    fn deref(&self) -> &Figures {
        &self.report
    }
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.report.fmt(f)
    }
}
