//! What a server does, on a second port: `--metrics ADDR`. `/metrics` is for Prometheus, `/healthz` for whatever asks
//! whether the server accepts, and `/` a page that shows it live, with what `/longest` has of connections and calls.
//!
//! `book` counts the events of the server, `text` writes them down, and `http` is the second server, of one thread.
//! Other processes would have books of their own, so there must be none.

mod book;
mod http;
mod text;

use std::sync::Arc;
use std::sync::OnceLock;
use std::time::Duration;

use lexopt::Parser;
use lexopt::ValueExt;
use socketserver::AtLimit;
use socketserver::Builder;
use socketserver::Event;
use socketserver::Server;
use socketserver::StatsHandle;
use socketserver::Sync as OneThread;
use socketserver::Tcp;
use socketserver::deploy::Restart;
use socketserver::deploy::RestartError;

use super::Flags;
use super::Outcome;
use super::deployed::Told;
use super::deployed::tell_of_restarts;
use super::wrong_usage;

use book::Book;
use http::Pages;

/// More clients than this wait.
const MOST: usize = 64;

/// A client has this long to ask, and to take the answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// The second server, bound.
pub type Bound = Server<Tcp, OneThread, Told<Pages>>;

/// What was asked for.
#[derive(Debug, Default)]
pub struct MetricsFlag {
    address: Option<String>,
}

/// Of the server of this process, if it was asked for.
static ASKED: OnceLock<Asked> = OnceLock::new();

struct Asked {
    address: String,
    book: Arc<Book>,
}

impl MetricsFlag {
    /// Takes the flag if it is this one.
    pub fn take(&mut self, name: &str, parser: &mut Parser) -> Outcome<bool> {
        if name == "metrics" {
            self.address = Some(parser.value()?.string()?);
        }
        Ok(name == "metrics")
    }

    /// From here on the events of the server with this name are counted, if that was asked for.
    pub fn start(self, server: &'static str, flags: &Flags) -> Outcome {
        let Some(given) = self.address else { return Ok(()) };
        let refused = |flag: String| {
            let why = "it would count in processes of its own, which --metrics cannot see: choose sync, threads or pool in one process";
            Err(wrong_usage(format!("--metrics {given}: {flag}: {why}")))
        };
        if flags.dispatch.as_deref() == Some("fork") {
            return refused("--dispatch fork".to_owned());
        }
        if let Some(count) = flags.processes {
            return refused(format!("--processes {count}"));
        }
        let port = given.strip_prefix(':').unwrap_or(&given);
        let is_port = port.bytes().all(|byte| byte.is_ascii_digit());
        let address = if is_port { format!("127.0.0.1:{port}") } else { given };
        ASKED.get_or_init(|| Asked { address, book: Arc::new(Book::new(server)) });
        Ok(())
    }
}

/// Whether there is a second server to tell what this one does.
pub fn are_asked_for() -> bool {
    ASKED.get().is_some()
}

/// Counts an event.
pub fn count(event: &Event<'_>) {
    if let Some(asked) = ASKED.get() {
        asked.book.count(event);
    }
}

/// Takes no interest in the second server's connections, but either of the two may be the one that is told of restarts.
fn tell(event: &Event<'_>) {
    if matches!(event, Event::Restarted { .. } | Event::RestartFailed { .. }) {
        count(event);
    }
    tell_of_restarts(event);
}

/// Binds the second server, if it was asked for; it tells of the server with these counters.
pub fn bind(restart: &mut Restart, stats: StatsHandle) -> Outcome<Option<Bound>> {
    let Some(asked) = ASKED.get() else { return Ok(None) };
    let builder = Builder::<Tcp, OneThread, _>::new(Pages::new(Arc::clone(&asked.book), stats))
        .max_connections(MOST)
        // An idle connection makes room, so that a health check is always answered.
        .at_limit(AtLimit::ShedIdle)
        .idle_timeout(PATIENCE)
        .read_timeout(PATIENCE)
        .write_timeout(PATIENCE)
        .drain_timeout(Duration::from_secs(1))
        .observed(tell as fn(&Event<'_>));
    match restart.bind("metrics", builder, asked.address.as_str()) {
        Ok(server) => Ok(Some(server)),
        // The kind of error decides about the exit code.
        Err(RestartError::Bind(error)) => Err(error.into()),
        Err(error) => Err(error.into()),
    }
}
