//! Lines back in upper case, counted.

use std::io::BufRead;
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use socketserver::Flow;
use socketserver::Handler;
use socketserver::HandlerFactory;
use socketserver::HandlerResult;
use socketserver::RequestError;
use socketserver::Socket;
use socketserver::Stream;

/// Makes the handlers, and keeps what they share.
#[derive(Clone, Debug, Default)]
pub struct Shouting {
    /// Lines answered.
    pub lines: Arc<AtomicU64>,
    /// Errors told.
    pub errors: Arc<AtomicU64>,
}

/// Answers one connection.
#[derive(Debug)]
pub struct Shout(Arc<AtomicU64>);

impl<S: Socket> HandlerFactory<Stream<S>> for Shouting {
    type Handler = Shout;

    fn make(&self, _: &Stream<S>) -> Shout {
        Shout(Arc::clone(&self.lines))
    }

    fn handle_error(&self, _: RequestError, _: Option<&S::Addr>) {
        self.errors.fetch_add(1, Ordering::Relaxed);
    }
}

impl<S: Socket> Handler<Stream<S>> for Shout {
    fn handle(&mut self, request: &mut Stream<S>) -> HandlerResult {
        let mut line = String::new();
        request.read_line(&mut line)?;
        request.write_all(line.to_uppercase().as_bytes())?;
        self.0.fetch_add(1, Ordering::Relaxed);
        Ok(Flow::Continue)
    }
}
