//! A transport with the factory its requests are for: what the serve loop accepts from.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Instant;

use super::core::Core;
use super::core::Shared;
use super::core::guarded;
use super::job::Job;
use crate::engine::source::Observe;
use crate::engine::source::Source;
use crate::error::RequestError;
use crate::error::Stage;
use crate::event::Event;
use crate::handler::HandlerFactory;
use crate::limits::permit::Permit;
use crate::sys::Descriptor;
use crate::transport::Transport;

/// Makes jobs of what a transport accepts.
pub struct Listening<T: Transport, H> {
    pub(crate) transport: T,
    pub(crate) shared: Arc<Shared<H>>,
}

impl<T: Transport, H> fmt::Debug for Listening<T, H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listening").finish_non_exhaustive()
    }
}

impl<T: Transport, H: HandlerFactory<T::Request>> Source for Listening<T, H> {
    type Task = Job<T, H>;

    fn accept(&mut self, permit: Permit, now: Instant) -> io::Result<Box<Job<T, H>>> {
        let transport = &mut self.transport;
        // A custom transport may panic: that costs one request, as an error would.
        let accepted = guarded(Stage::Accept, || transport.accept());
        let pending = accepted.unwrap_or_else(|error| Err(io::Error::other(error)))?;
        Ok(Job::new(pending, &self.shared, permit, now))
    }

    fn has_buffered(&self) -> bool {
        self.transport.has_buffered()
    }

    fn descriptors<'a>(&'a self, show: &mut dyn FnMut(Descriptor<'a>)) {
        self.transport.descriptors(show);
    }

    fn address(&self) -> String {
        self.transport.local_addr().to_string()
    }

    fn addresses(&self) -> Vec<String> {
        let mut addresses = Vec::new();
        self.transport.addresses(&mut |address| addresses.push(address.to_owned()));
        addresses
    }

    fn reporter(&self) -> Reporter<T, H> {
        Reporter::new(&self.shared)
    }

    fn hand_over(&mut self) {
        self.transport.hand_over();
    }

    fn answers_itself(&self) -> bool {
        self.transport.answers_itself()
    }
}

/// What dispatches may tell, whatever the types of the server are.
pub struct Reporter<T, H>(std::marker::PhantomData<fn() -> T>, Arc<Shared<H>>);

impl<T: Transport, H: HandlerFactory<T::Request>> Reporter<T, H> {
    pub(crate) fn new(shared: &Arc<Shared<H>>) -> Self {
        Self(std::marker::PhantomData, Arc::clone(shared))
    }
}

impl<T, H> Clone for Reporter<T, H> {
    fn clone(&self) -> Self {
        Self(std::marker::PhantomData, Arc::clone(&self.1))
    }
}

impl<T, H> fmt::Debug for Reporter<T, H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reporter").finish_non_exhaustive()
    }
}

impl<T: Transport, H: HandlerFactory<T::Request>> Observe for Reporter<T, H> {
    fn error(&self, error: RequestError) {
        self.1.report(error, None, None);
    }

    fn observe(&self, event: &Event<'_>) {
        self.1.each_observer(|observer| observer.observe(event));
    }

    fn service_actions(&self) {
        if let Err(error) = guarded(Stage::ServiceActions, || self.1.factory.service_actions()) {
            self.error(error);
        }
    }

    fn core(&self) -> &Core {
        &self.1.core
    }
}
