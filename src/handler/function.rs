//! Handlers that are plain functions.

use std::fmt;
use std::sync::Arc;

use super::Handler;
use super::HandlerFactory;
use super::HandlerResult;
use crate::request::Request;

/// Return type of [`function`]: a handler factory, and its handlers.
pub struct Function<F> {
    function: Arc<F>,
}

/// A handler factory whose handlers call `function`; see [`Server::bind_fn`](crate::Server::bind_fn).
pub fn function<F>(function: F) -> Function<F> {
    Function { function: Arc::new(function) }
}

impl<F> Clone for Function<F> {
    fn clone(&self) -> Self {
        Self { function: Arc::clone(&self.function) }
    }
}

impl<F> fmt::Debug for Function<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Function").finish_non_exhaustive()
    }
}

impl<R: Request, F: Fn(&mut R) -> HandlerResult> HandlerFactory<R> for Function<F> {
    type Handler = Self;

    fn make(&self, _: &R) -> Self {
        self.clone()
    }
}

impl<R, F: Fn(&mut R) -> HandlerResult> Handler<R> for Function<F> {
    fn handle(&mut self, request: &mut R) -> HandlerResult {
        (self.function)(request)
    }
}
