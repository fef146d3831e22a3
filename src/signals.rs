//! SIGINT and SIGTERM stop the server: the first drains, the second stops at once.
//!
//! Nothing here is installed unasked; see [`stop_on_signals`].

use std::io;

use signal_hook::SigId;
use signal_hook::consts::SIGINT;
use signal_hook::consts::SIGTERM;

use crate::stop::StopHandle;

/// The registered signals. Once it is dropped they have no effect at all: they do not stop the server, and they do not
/// end the process either, as they would have before. Keep it until the program ends.
#[derive(Debug)]
#[must_use = "dropping it ends the effect of the signals"]
pub struct SignalGuard {
    ids: Vec<SigId>,
}

/// From here on SIGINT and SIGTERM [shut down](StopHandle::shutdown) the server of `stop`; a second one does not wait
/// for the drain.
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
    let mut guard = SignalGuard { ids: Vec::new() };
    for signal in [SIGINT, SIGTERM] {
        guard.ids.push(crate::sys::on_signal(signal, stop.clone())?);
    }
    Ok(guard)
}

impl Drop for SignalGuard {
    fn drop(&mut self) {
        for id in &self.ids {
            signal_hook::low_level::unregister(*id);
        }
    }
}
