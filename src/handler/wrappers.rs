//! Hooks added to a factory from outside. Wrappers nest: the outermost is asked first.

use std::fmt;

use super::HandlerFactory;
use crate::error::RequestError;
use crate::event::Event;
use crate::event::Observer;
use crate::event::RequestId;
use crate::request::Request;

/// Fluent hooks for every factory.
///
/// Hooks can be added more than once: `factory.verify(a).verify(b)` serves what both accept, and calls `b` first.
pub trait HandlerFactoryExt: Sized {
    /// Serves only requests for which `verify` returns true.
    fn verify<F>(self, verify: F) -> Verify<Self, F> {
        Verify { inner: self, hook: verify }
    }

    /// Calls `on_error` with each error, before the inner factory's `handle_error`.
    fn on_error<F>(self, on_error: F) -> OnError<Self, F> {
        OnError { inner: self, hook: on_error }
    }

    /// Calls `on_timeout` when `handle_request` times out.
    fn on_timeout<F: Fn()>(self, on_timeout: F) -> OnTimeout<Self, F> {
        OnTimeout { inner: self, hook: on_timeout }
    }

    /// Calls `on_service` after each wake-up of the serve loop, and every `service_interval`.
    fn on_service<F: Fn()>(self, on_service: F) -> OnService<Self, F> {
        OnService { inner: self, hook: on_service }
    }

    /// Calls `observer` with each event, before the existing observers.
    fn observed<O: Observer>(self, observer: O) -> Observed<Self, O> {
        Observed { inner: self, hook: observer }
    }

    /// Calls `on_event` with each event: [`observed`](Self::observed) for a closure, whose argument type is inferred.
    fn on_event<F: Fn(&Event<'_>)>(self, on_event: F) -> Observed<Self, F> {
        self.observed(on_event)
    }

    /// Reports to the `tracing` crate; `server` is the name of this server in all spans and events. Feature `tracing`.
    ///
    /// Each connection or datagram has a span `request` (level INFO) from its start to its stop, and its handler runs
    /// inside it. All spans and events have the target `socketserver` and the field `server`.
    ///
    /// | field of the span | what | when |
    /// |---|---|---|
    /// | `id` | its [`RequestId`](crate::RequestId) | at the start |
    /// | `peer` | the peer's address, if it has one | at the start |
    /// | `end` | how it ended: `handler_closed`, `peer_closed`, `idle_timeout`, `failed`, ..: the names of [`End`](crate::End) | at the end |
    /// | `duration_ms` | milliseconds since it was accepted, with a fraction | at the end |
    /// | `received`, `sent` | bytes | at the end |
    /// | `calls` | how often `handle` was called | at the end |
    ///
    /// | event | level | fields |
    /// |---|---|---|
    /// | `listening`, `stopped listening` | INFO | `address` |
    /// | `accepting fails` | WARN | `error` |
    /// | `accepting works again` | INFO | `failures` |
    /// | `a connection was lost` | DEBUG | `error` |
    /// | `a connection was refused` | INFO | `reason`: `at_limit`, `rejected`, `stopping`, `unverified` |
    /// | `a step failed`, in the span | WARN | `stage`, `error` |
    /// | `a step panicked`, in the span | ERROR | `stage`, `error` |
    /// | `a step was cut short`, in the span: by a disconnect, a timeout, a stop | DEBUG | `stage`, `error` |
    /// | `a handler is slow` | DEBUG | `waiting` |
    /// | `a worker started`, `a worker stopped` | DEBUG | `name` |
    /// | `a child exited` | DEBUG | `pid`, `code` |
    /// | `a child failed` | WARN | `pid`, `code` or `signal` |
    /// | `restarting`, `restarted` | INFO | `pid` |
    /// | `a restart failed` | WARN | `error` |
    /// | `draining` | INFO | `active` |
    /// | `the drain's deadline has passed` | WARN | `active` |
    #[cfg(feature = "tracing")]
    fn traced(self, server: impl Into<String>) -> crate::handler::adapters::Traced<Self> {
        crate::handler::adapters::Traced::new(self, server.into())
    }

    /// Counts with the `metrics` crate; `server` is the value of the label `server` of every metric. Feature `metrics`.
    ///
    /// Install the recorder before the server serves.
    ///
    /// | name | kind | further labels | what |
    /// |---|---|---|---|
    /// | `socketserver_started_total` | counter | | connections and messages accepted |
    /// | `socketserver_ended_total` | counter | `end`: `handler_closed`, `peer_closed`, `failed`, ..: the names of [`End`](crate::End) | those that are over |
    /// | `socketserver_open` | gauge | | those that are open |
    /// | `socketserver_duration_seconds` | histogram | | from the accept to the end |
    /// | `socketserver_received_bytes_total`, `socketserver_sent_bytes_total` | counter | | bytes, counted at the end of each connection |
    /// | `socketserver_calls_total` | counter | | calls of `handle`, counted at the end of each connection |
    /// | `socketserver_refused_total` | counter | `reason`: `at_limit`, `rejected`, `stopping`, `unverified` | connections turned away |
    /// | `socketserver_errors_total` | counter | `stage`: the names of [`Stage`](crate::Stage) | errors and panics of steps |
    /// | `socketserver_accept_episodes_total` | counter | | periods in which accepting failed |
    /// | `socketserver_accept_failures_total` | counter | | failures of accept, counted at the end of each period |
    /// | `socketserver_accept_lost_total` | counter | | connections lost before they could be accepted |
    /// | `socketserver_slow_total` | counter | | slow calls of handlers (`Pool`) |
    /// | `socketserver_workers` | gauge | | threads that run handlers (`Pool`, `ThreadPerRequest`) |
    /// | `socketserver_restarts_total` | counter | `outcome`: `success`, `failure` | hot restarts |
    /// | `socketserver_child_exits_total` | counter | `outcome`: `success`, `failure`, `signal` | children that have ended (`Fork`) |
    /// | `socketserver_listening` | gauge | | 1 while the server accepts, then 0 |
    /// | `socketserver_draining` | gauge | | 1 from the stop on |
    /// | `socketserver_drains_forced_total` | counter | | drains whose deadline has passed |
    #[cfg(feature = "metrics")]
    fn measured(self, server: impl Into<String>) -> Observed<Self, crate::handler::adapters::Measurements> {
        self.observed(crate::handler::adapters::Measurements::new(server))
    }

    /// Calls `setup` and `handle` before the client has sent anything, as
    /// [`SPEAKS_FIRST`](crate::Handler::SPEAKS_FIRST) does.
    fn speaking_first(self) -> SpeaksFirst<Self> {
        SpeaksFirst { inner: self }
    }
}

impl<H> HandlerFactoryExt for H {}

/// Hooks that pass through to the inner factory, by name.
macro_rules! pass {
    (make) => {
        type Handler = H::Handler;

        fn make(&self, request: &R) -> H::Handler {
            self.inner.make(request)
        }

        fn make_with_id(&self, request: &R, id: RequestId) -> H::Handler {
            self.inner.make_with_id(request, id)
        }
    };
    (verify_request) => {
        fn verify_request(&self, request: &R) -> bool {
            self.inner.verify_request(request)
        }
    };
    (handle_error) => {
        fn handle_error(&self, error: RequestError, peer: Option<&R::Addr>) {
            self.inner.handle_error(error, peer);
        }
    };
    (handle_timeout) => {
        fn handle_timeout(&self) {
            self.inner.handle_timeout();
        }
    };
    (service_actions) => {
        fn service_actions(&self) {
            self.inner.service_actions();
        }
    };
    (speaks_first) => {
        fn speaks_first(&self) -> bool {
            self.inner.speaks_first()
        }
    };
    (observer) => {
        fn observer(&self) -> Option<&dyn Observer> {
            self.inner.observer()
        }

        fn observers(&self, visit: &mut dyn FnMut(&dyn Observer)) {
            self.inner.observers(visit);
        }
    };
}

#[cfg(feature = "tracing")]
pub(crate) use pass;

macro_rules! wrapper {
    (
        $(#[$doc:meta])*
        $name:ident<$hook:ident>, $($own:tt)*
    ) => {
        $(#[$doc])*
        #[derive(Clone)]
        pub struct $name<H, $hook> {
            inner: H,
            hook: $hook,
        }

        impl<H, $hook> $name<H, $hook> {
            /// The wrapped factory.
            pub fn get_ref(&self) -> &H {
                &self.inner
            }

            /// Takes the wrapped factory out.
            pub fn into_inner(self) -> H {
                self.inner
            }
        }

        impl<H: fmt::Debug, $hook> fmt::Debug for $name<H, $hook> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($name)).field("inner", &self.inner).finish_non_exhaustive()
            }
        }

        $($own)*
    };
}

wrapper! {
    /// Return type of [`HandlerFactoryExt::verify`].
    Verify<F>,
    impl<R: Request, H: HandlerFactory<R>, F: Fn(&R) -> bool> HandlerFactory<R> for Verify<H, F> {
        pass!(make);
        pass!(handle_error);
        pass!(handle_timeout);
        pass!(service_actions);
        pass!(speaks_first);
        pass!(observer);

        fn verify_request(&self, request: &R) -> bool {
            (self.hook)(request) && self.inner.verify_request(request)
        }
    }
}

wrapper! {
    /// Return type of [`HandlerFactoryExt::on_error`].
    OnError<F>,
    impl<R: Request, H: HandlerFactory<R>, F: Fn(&RequestError, Option<&R::Addr>)> HandlerFactory<R> for OnError<H, F> {
        pass!(make);
        pass!(verify_request);
        pass!(handle_timeout);
        pass!(service_actions);
        pass!(speaks_first);
        pass!(observer);

        fn handle_error(&self, error: RequestError, peer: Option<&R::Addr>) {
            (self.hook)(&error, peer);
            self.inner.handle_error(error, peer);
        }
    }
}

wrapper! {
    /// Return type of [`HandlerFactoryExt::on_timeout`].
    OnTimeout<F>,
    impl<R: Request, H: HandlerFactory<R>, F: Fn()> HandlerFactory<R> for OnTimeout<H, F> {
        pass!(make);
        pass!(verify_request);
        pass!(handle_error);
        pass!(service_actions);
        pass!(speaks_first);
        pass!(observer);

        fn handle_timeout(&self) {
            (self.hook)();
            self.inner.handle_timeout();
        }
    }
}

wrapper! {
    /// Return type of [`HandlerFactoryExt::on_service`].
    OnService<F>,
    impl<R: Request, H: HandlerFactory<R>, F: Fn()> HandlerFactory<R> for OnService<H, F> {
        pass!(make);
        pass!(verify_request);
        pass!(handle_error);
        pass!(handle_timeout);
        pass!(speaks_first);
        pass!(observer);

        fn service_actions(&self) {
            (self.hook)();
            self.inner.service_actions();
        }
    }
}

wrapper! {
    /// Return type of [`HandlerFactoryExt::observed`].
    Observed<O>,
    impl<R: Request, H: HandlerFactory<R>, O: Observer> HandlerFactory<R> for Observed<H, O> {
        pass!(make);
        pass!(verify_request);
        pass!(handle_error);
        pass!(handle_timeout);
        pass!(service_actions);
        pass!(speaks_first);

        fn observer(&self) -> Option<&dyn Observer> {
            Some(&self.hook)
        }

        fn observers(&self, visit: &mut dyn FnMut(&dyn Observer)) {
            visit(&self.hook);
            self.inner.observers(visit);
        }
    }
}

/// Return type of [`HandlerFactoryExt::speaking_first`].
#[derive(Clone, Debug)]
pub struct SpeaksFirst<H> {
    inner: H,
}

impl<R: Request, H: HandlerFactory<R>> HandlerFactory<R> for SpeaksFirst<H> {
    pass!(make);
    pass!(verify_request);
    pass!(handle_error);
    pass!(handle_timeout);
    pass!(service_actions);
    pass!(observer);

    fn speaks_first(&self) -> bool {
        true
    }
}
