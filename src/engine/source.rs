//! Where requests come from, and who is told what happens to them.

use std::io;
use std::time::Instant;

use super::core::Core;
use super::drive::Drive;
use crate::error::RequestError;
use crate::event::Event;
use crate::limits::permit::Permit;
use crate::sys::Descriptor;

/// Where tasks come from.
pub trait Source {
    type Task: Drive<Source = Self>;

    /// Takes the next request, without waiting.
    fn accept(&mut self, permit: Permit, now: Instant) -> io::Result<Box<Self::Task>>;
    fn has_buffered(&self) -> bool;
    fn descriptors<'a>(&'a self, show: &mut dyn FnMut(Descriptor<'a>));
    /// Where it listens, for errors.
    fn address(&self) -> String;
    /// Each place where it listens.
    fn addresses(&self) -> Vec<String>;
    fn reporter(&self) -> <Self::Task as Drive>::Reporter;
    fn answers_itself(&self) -> bool;
    fn hand_over(&mut self);
}

/// Who is told what happens.
pub trait Observe {
    fn error(&self, error: RequestError);
    fn observe(&self, event: &Event<'_>);
    fn service_actions(&self);
    fn core(&self) -> &Core;

    /// For model checks: slow work waits.
    #[cfg(all(test, socketserver_shuttle))]
    fn deferred(&self) {}

    /// For model checks: the flag that ends waits has been raised.
    #[cfg(all(test, socketserver_shuttle))]
    fn relieved(&self) {}
}
