//! Signals that stop a server or wake its loop.
//!
//! By default no signal handler is installed; see [`stop_on_signals`] and [`wake_on_signal`].

use std::io;
use std::sync::Arc;

use signal_hook::consts::SIGINT;
use signal_hook::consts::SIGTERM;

use crate::stop::StopHandle;
use crate::sys::on_signal::OnSignal;
use crate::sys::on_signal::SignalSafe;
use crate::sys::on_signal::is_ignored;

/// A registration of signals. Dropping it restores what they did before: if that was the default, they end the process,
/// unless another guard has them. Keep it until the server has ended.
///
/// Handlers that the program sets itself, with the crate `signal-hook`, also run, both before and after this is
/// dropped, if they are set first.
#[derive(Debug)]
#[must_use = "dropping it ends the effect of the signals"]
pub struct SignalGuard {
    _actions: Vec<OnSignal>,
}

/// Makes SIGINT and SIGTERM [shut down](StopHandle::shutdown) the server of `stop`; a second one does not wait for the
/// drain.
///
/// A process that was started with SIGINT ignored, by `nohup` or in the background of a shell script, still ignores it,
/// as Python does.
///
/// The kernel does not queue signals: two of the same number merge if the second arrives before the first was
/// delivered, which on a busy machine may take some milliseconds (signal(7), "Queueing and delivery semantics"). To
/// stop a program at once, send what cannot merge: SIGINT after SIGTERM, or a second SIGTERM a moment later.
///
/// No thread is started, so this works with `Fork`. Its children do not have these handlers: they ignore SIGINT, which
/// a terminal sends to them as well, and end at SIGTERM.
///
/// ```
/// use socketserver::{Flow, TcpServer};
///
/// let server = TcpServer::bind_fn("127.0.0.1:0", |_| Ok(Flow::Close))?;
/// let _signals = socketserver::signals::stop_on_signals(server.stop_handle())?;
/// # server.stop_handle().shutdown();
/// let report = server.serve_forever()?;
/// eprintln!("{report}");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
///
/// The system refuses to set the handlers.
pub fn stop_on_signals(stop: StopHandle) -> io::Result<SignalGuard> {
    stop_all_on_signals([stop])
}

/// Like [`stop_on_signals`], for a program with several servers: each signal reaches all of them. With a call of
/// `stop_on_signals` for each, a signal that arrives between two of the calls would stop only some.
///
/// ```
/// use socketserver::{Flow, TcpServer, UdpServer};
///
/// let tcp = TcpServer::bind_fn("127.0.0.1:0", |_| Ok(Flow::Close))?;
/// let udp = UdpServer::bind_fn("127.0.0.1:0", |_| Ok(Flow::Close))?;
/// let _signals = socketserver::signals::stop_all_on_signals([tcp.stop_handle(), udp.stop_handle()])?;
/// # tcp.stop_handle().shutdown();
/// # udp.stop_handle().shutdown();
/// let tcp = tcp.serve_in_background()?;
/// udp.serve_forever()?;
/// tcp.join()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
///
/// The system refuses to set the handlers.
pub fn stop_all_on_signals(stops: impl IntoIterator<Item = StopHandle>) -> io::Result<SignalGuard> {
    let stops: Arc<[StopHandle]> = stops.into_iter().collect();
    let mut actions = Vec::new();
    for signal in [SIGINT, SIGTERM] {
        if signal == SIGINT && is_ignored(signal) {
            continue;
        }
        actions.push(OnSignal::new(signal, Stop(Arc::clone(&stops)))?);
    }
    Ok(SignalGuard { _actions: actions })
}

/// Makes `signal` [wake](StopHandle::wake) the serve loop of `stop`, which then calls
/// [`service_actions`](crate::HandlerFactory::service_actions).
///
/// For signals with another meaning, such as "reload the configuration". A signal handler may do very little: let it
/// set a flag, and do the rest in `service_actions`. Several signals before the loop wakes up count as one.
///
/// Under [`PreFork`](crate::PreFork) the supervisor forwards the signal to its children, where the same happens: each
/// process has its own flag.
///
/// ```
/// use std::sync::Arc;
/// use std::sync::atomic::{AtomicBool, Ordering};
/// use signal_hook::consts::SIGHUP;
/// use socketserver::{Flow, TcpServer};
///
/// let reload = Arc::new(AtomicBool::new(false));
/// // The flag first, so that it is set when the loop looks.
/// signal_hook::flag::register(SIGHUP, Arc::clone(&reload))?;
/// let server = TcpServer::builder_fn(|_| Ok(Flow::Close))
///     .on_service(move || {
///         if reload.swap(false, Ordering::SeqCst) {
///             println!("loading the configuration");
///         }
///     })
///     .bind("127.0.0.1:0")?;
/// let _wake = socketserver::signals::wake_on_signal(SIGHUP, server.stop_handle())?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
///
/// `InvalidInput` for a number that is not a signal, and for signals that cannot be caught or that report a fault of
/// the program (such as SIGSEGV); otherwise the error of the system.
pub fn wake_on_signal(signal: i32, stop: StopHandle) -> io::Result<SignalGuard> {
    Ok(SignalGuard { _actions: vec![OnSignal::new(signal, Wake { stop, signal })?] })
}

struct Wake {
    stop: StopHandle,
    signal: i32,
}

impl SignalSafe for Wake {
    fn act(&self) {
        self.stop.wake_at(self.signal);
    }
}

impl SignalGuard {
    /// Keeps an action of another module of this crate.
    #[cfg(feature = "systemd")]
    pub(crate) fn keeping(action: OnSignal) -> Self {
        Self { _actions: vec![action] }
    }
}

struct Stop(Arc<[StopHandle]>);

impl SignalSafe for Stop {
    fn act(&self) {
        self.0.iter().for_each(StopHandle::signalled);
    }
}
