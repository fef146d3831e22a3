//! Frame handlers that are plain functions.

use std::fmt;
use std::sync::Arc;

use super::Decoder;
use super::FrameHandler;
use super::Frames;
use super::Replies;
use crate::handler::HandlerFactory;
use crate::handler::HandlerResult;
use crate::request::Socket;
use crate::request::Stream;

/// A handler factory that calls `function` with each message of `codec`; see the [module](super) for an example.
///
/// Each connection gets a clone of the codec.
pub fn function<C, F>(codec: C, function: F) -> FrameFunctions<C, F>
where
    C: Decoder + Clone,
    F: Fn(C::Item<'_>, &mut Replies<'_, C>) -> HandlerResult,
{
    FrameFunctions { codec, function: Arc::new(function) }
}

/// Return type of [`function`].
pub struct FrameFunctions<C, F> {
    codec: C,
    function: Arc<F>,
}

/// Calls a function for each message of one connection.
pub struct FrameFunction<F> {
    function: Arc<F>,
}

impl<S, C, F> HandlerFactory<Stream<S>> for FrameFunctions<C, F>
where
    S: Socket,
    C: Decoder + Clone,
    F: Fn(C::Item<'_>, &mut Replies<'_, C>) -> HandlerResult,
{
    type Handler = Frames<C, FrameFunction<F>>;

    fn make(&self, _: &Stream<S>) -> Self::Handler {
        Frames::new(self.codec.clone(), FrameFunction { function: Arc::clone(&self.function) })
    }
}

impl<S, C, F> FrameHandler<C, S> for FrameFunction<F>
where
    S: Socket,
    C: Decoder,
    F: Fn(C::Item<'_>, &mut Replies<'_, C>) -> HandlerResult,
{
    fn message(&mut self, message: C::Item<'_>, replies: &mut Replies<'_, C>) -> HandlerResult {
        (self.function)(message, replies)
    }
}

impl<C: fmt::Debug, F> fmt::Debug for FrameFunctions<C, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FrameFunctions").field("codec", &self.codec).finish_non_exhaustive()
    }
}

impl<F> fmt::Debug for FrameFunction<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FrameFunction").finish_non_exhaustive()
    }
}
