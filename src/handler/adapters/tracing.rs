//! Events as spans and events of the `tracing` crate.

use std::collections::HashMap;
use std::fmt;

use ::tracing::Span;
use ::tracing::debug;
use ::tracing::error;
use ::tracing::field::Empty;
use ::tracing::field::debug as debugged;
use ::tracing::info;
use ::tracing::info_span;
use ::tracing::warn;
use parking_lot::Mutex;

use crate::end::End;
use crate::error::RequestError;
use crate::event::Event;
use crate::event::Observer;
use crate::event::RequestId;
use crate::event::Traffic;
use crate::handler::Handler;
use crate::handler::HandlerFactory;
use crate::handler::HandlerResult;
use crate::handler::wrappers::pass;
use crate::request::Request;

/// The target of all spans and events.
const TARGET: &str = "socketserver";

/// Return type of [`HandlerFactoryExt::traced`](crate::HandlerFactoryExt::traced), which lists its spans and events.
pub struct Traced<H> {
    inner: H,
    spans: Spans,
}

impl<H> Traced<H> {
    pub(crate) fn new(inner: H, server: String) -> Self {
        Self { inner, spans: Spans { server, open: Mutex::default() } }
    }

    /// The wrapped factory.
    pub fn get_ref(&self) -> &H {
        &self.inner
    }

    /// Takes the wrapped factory out.
    pub fn into_inner(self) -> H {
        self.inner
    }
}

impl<H: fmt::Debug> fmt::Debug for Traced<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Traced").field("inner", &self.inner).field("server", &self.spans.server).finish_non_exhaustive()
    }
}

impl<R: Request, H: HandlerFactory<R>> HandlerFactory<R> for Traced<H> {
    type Handler = TracedHandler<H::Handler>;

    fn make(&self, request: &R) -> Self::Handler {
        TracedHandler { inner: self.inner.make(request), span: Span::none() }
    }

    fn make_with_id(&self, request: &R, id: RequestId) -> Self::Handler {
        let span = self.spans.of(id);
        let inner = span.in_scope(|| self.inner.make_with_id(request, id));
        TracedHandler { inner, span }
    }

    pass!(verify_request);
    pass!(handle_error);
    pass!(handle_timeout);
    pass!(service_actions);
    pass!(speaks_first);

    fn observer(&self) -> Option<&dyn Observer> {
        Some(&self.spans)
    }

    fn observers(&self, visit: &mut dyn FnMut(&dyn Observer)) {
        visit(&self.spans);
        self.inner.observers(visit);
    }
}

/// The handlers of a [`Traced`] factory: each step runs inside the span of its connection.
pub struct TracedHandler<K> {
    inner: K,
    span: Span,
}

impl<K: fmt::Debug> fmt::Debug for TracedHandler<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TracedHandler").field("inner", &self.inner).finish_non_exhaustive()
    }
}

impl<R, K: Handler<R>> Handler<R> for TracedHandler<K> {
    fn setup(&mut self, request: &mut R) -> HandlerResult<()> {
        self.span.in_scope(|| self.inner.setup(request))
    }

    fn handle(&mut self, request: &mut R) -> HandlerResult {
        self.span.in_scope(|| self.inner.handle(request))
    }

    fn finish(&mut self, request: &mut R, end: End) -> HandlerResult<()> {
        self.span.in_scope(|| self.inner.finish(request, end))
    }

    fn detached(self, request: R) {
        let Self { inner, span } = self;
        span.in_scope(|| inner.detached(request));
    }
}

/// The spans of what is open.
struct Spans {
    server: String,
    open: Mutex<HashMap<RequestId, Span>>,
}

impl Spans {
    /// The span of a connection; none if no subscriber is interested in it.
    fn of(&self, id: RequestId) -> Span {
        self.open.lock().get(&id).cloned().unwrap_or_else(Span::none)
    }

    fn failed(&self, id: Option<RequestId>, failure: &RequestError) {
        let server = &*self.server;
        let span = id.map_or_else(Span::none, |id| self.of(id));
        let stage = failure.stage();
        if failure.is_panic() {
            error!(target: TARGET, parent: &span, server, %stage, error = %failure, "a step panicked");
        } else if failure.is_disconnect() || failure.is_timeout() || failure.is_stopping() {
            debug!(target: TARGET, parent: &span, server, %stage, error = %failure, "a step was cut short");
        } else {
            warn!(target: TARGET, parent: &span, server, %stage, error = %failure, "a step failed");
        }
    }
}

impl Observer for Spans {
    fn observe(&self, event: &Event<'_>) {
        let server = &*self.server;
        match event {
            Event::AcceptFailing { error } => warn!(target: TARGET, server, %error, "accepting fails"),
            Event::AcceptLost { error } => debug!(target: TARGET, server, %error, "a connection was lost"),
            Event::AcceptRecovered { failures } => info!(target: TARGET, server, failures, "accepting works again"),
            Event::ChildExit { pid, code: Some(0), .. } => {
                debug!(target: TARGET, server, pid, code = 0, "a child exited")
            }
            Event::ChildExit { pid, code, signal } => {
                warn!(target: TARGET, server, pid, code, signal, "a child failed");
            }
            Event::DrainStart { active } => info!(target: TARGET, server, active, "draining"),
            Event::DrainForce { active } => warn!(target: TARGET, server, active, "the drain's deadline has passed"),
            Event::Error { id, error } => self.failed(*id, error),
            Event::ListenStart { address } => info!(target: TARGET, server, address, "listening"),
            Event::ListenStop { address } => info!(target: TARGET, server, address, "stopped listening"),
            Event::Refused { reason } => {
                info!(target: TARGET, server, reason = reason.name(), "a connection was refused");
            }
            Event::LongCall { id, took } => {
                warn!(target: TARGET, server, id = id.0, took = took.as_secs_f64(), "a handler held its thread");
            }
            Event::WaitsEnded { waiting, ended } => {
                warn!(target: TARGET, server, waiting, ended, "every thread was waiting: waits were ended early");
            }
            Event::Restarting { pid } => info!(target: TARGET, server, pid, "restarting"),
            Event::Restarted { pid } => info!(target: TARGET, server, pid, "restarted"),
            Event::RestartFailed { error } => warn!(target: TARGET, server, %error, "a restart failed"),
            Event::Slow { waiting } => debug!(target: TARGET, server, waiting, "a handler is slow"),
            Event::Start { id, peer } => {
                let span = info_span!(
                    target: TARGET,
                    parent: None,
                    "request",
                    server,
                    id = id.0,
                    peer = peer.map(debugged),
                    end = Empty,
                    duration_ms = Empty,
                    received = Empty,
                    sent = Empty,
                    calls = Empty,
                );
                if !span.is_disabled() {
                    self.open.lock().insert(*id, span);
                }
            }
            Event::Stop { id, end, duration, traffic: Traffic { received, sent }, calls } => {
                let Some(span) = self.open.lock().remove(id) else { return };
                span.record("end", end.name());
                span.record("duration_ms", duration.as_secs_f64() * 1000.0);
                span.record("received", received);
                span.record("sent", sent);
                span.record("calls", calls);
            }
            Event::WorkerStart { name } => debug!(target: TARGET, server, name, "a worker started"),
            Event::WorkerStop { name } => debug!(target: TARGET, server, name, "a worker stopped"),
        }
    }
}
