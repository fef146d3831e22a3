//! Signals that stop a server or wake its loop.
//!
//! Nothing here is installed unasked; see [`stop_on_signals`] and [`wake_on_signal`].

use std::io;

use signal_hook::consts::SIGINT;
use signal_hook::consts::SIGTERM;

use crate::stop::StopHandle;
use crate::sys::on_signal::OnSignal;
use crate::sys::on_signal::SignalSafe;
use crate::sys::on_signal::is_ignored;

/// The registered signals. Once it is dropped they do what they did before: where that was the default, they end the
/// process, unless another guard has them. Keep it until the server has ended.
///
/// Handlers that the program sets by itself, with the crate `signal-hook`, go together with it if they are set first;
/// they run as well, before and after it is dropped.
#[derive(Debug)]
#[must_use = "dropping it ends the effect of the signals"]
pub struct SignalGuard {
    _actions: Vec<OnSignal>,
}

/// From here on SIGINT and SIGTERM [shut down](StopHandle::shutdown) the server of `stop`; a second one does not wait
/// for the drain.
///
/// A process that was started with SIGINT ignored, by `nohup` or in the background of a shell script, ignores it still,
/// as Python does.
///
/// The kernel does not queue signals: two of one number merge if the second comes before the first was delivered, as it
/// can within some milliseconds on a busy machine (signal(7), "Queueing and delivery semantics"). A program that is to
/// stop at once is told so in a way that cannot merge: SIGINT after SIGTERM, or a second SIGTERM a moment later.
///
/// No thread is started, so it goes together with `Fork`, whose children do not have these handlers: they ignore SIGINT,
/// which a terminal sends to them as well, and end at SIGTERM.
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
#[allow(clippy::needless_pass_by_value, reason = "the signals keep the handle")]
pub fn stop_on_signals(stop: StopHandle) -> io::Result<SignalGuard> {
    let mut actions = Vec::new();
    for signal in [SIGINT, SIGTERM] {
        if signal == SIGINT && is_ignored(signal) {
            continue;
        }
        actions.push(OnSignal::new(signal, Stop(stop.clone()))?);
    }
    Ok(SignalGuard { _actions: actions })
}

/// From here on `signal` [wakes](StopHandle::wake) the serve loop of `stop`, which then calls its
/// [`service_actions`](crate::HandlerFactory::service_actions).
///
/// For signals that say something else: "load your configuration", "tell what you do". What a signal handler may do is
/// little; it sets a flag, and the rest is done by the loop. Signals that come before the loop has seen the flag count
/// as one.
///
/// Under [`PreFork`](crate::PreFork) the supervisor passes the signal on to its children, in which the same happens: each
/// process has a flag of its own.
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
/// `InvalidInput` for a number that stands for no signal, and for signals that cannot be caught or that tell a program of
/// its own faults; what the system says otherwise.
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

struct Stop(StopHandle);

impl SignalSafe for Stop {
    fn act(&self) {
        self.0.signalled();
    }
}
