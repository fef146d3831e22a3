//! Hooks added to a factory from outside. Wrappers nest: the outermost is asked first.

use std::fmt;

use super::HandlerFactory;
use crate::error::RequestError;
use crate::event::Observer;
use crate::request::Request;

/// Fluent hooks for every factory.
///
/// Wrapping twice asks twice: `factory.verify(a).verify(b)` serves what both accept, and asks `b` first.
pub trait HandlerFactoryExt: Sized {
    /// Serves only requests for which `verify` returns true.
    fn verify<F>(self, verify: F) -> Verify<Self, F> {
        Verify { inner: self, hook: verify }
    }

    /// Tells `on_error` of errors, before the inner factory.
    fn on_error<F>(self, on_error: F) -> OnError<Self, F> {
        OnError { inner: self, hook: on_error }
    }

    /// Calls `on_timeout` when `handle_request` has waited in vain.
    fn on_timeout<F: Fn()>(self, on_timeout: F) -> OnTimeout<Self, F> {
        OnTimeout { inner: self, hook: on_timeout }
    }

    /// Calls `on_service` after each wake-up of the serve loop and at its period.
    fn on_service<F: Fn()>(self, on_service: F) -> OnService<Self, F> {
        OnService { inner: self, hook: on_service }
    }

    /// Tells `observer` of events, before the observers that are there already.
    fn observed<O: Observer>(self, observer: O) -> Observed<Self, O> {
        Observed { inner: self, hook: observer }
    }

    /// Sets handlers up, and lets them speak, before the client has sent anything.
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
