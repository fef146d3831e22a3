//! A transport that fails on demand.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::error::BindError;
use crate::sys::Descriptor;
use crate::transport::Bind;
use crate::transport::Offers;
use crate::transport::Transport;

/// What one call of [`Transport::accept`] on a [`Faulty`] transport does.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Accept {
    /// Fails with this error number of the system. A client that waits goes on waiting.
    Error(i32),
    /// Takes the next request. With none there it says so, and this step stays.
    Real,
}

/// The script of a [`Faulty`] transport, and its counters; clones share both.
#[derive(Clone, Debug, Default)]
pub struct Script {
    state: Arc<Mutex<ScriptState>>,
}

#[derive(Debug, Default)]
struct ScriptState {
    steps: VecDeque<Accept>,
    calls: u64,
    failures: u64,
}

impl Script {
    /// An empty script: every request is taken as it comes.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends steps. They are taken from the next call of `accept` on, which a server makes when a client is there.
    pub fn push(&self, steps: impl IntoIterator<Item = Accept>) {
        self.state.lock().steps.extend(steps);
    }

    /// Appends an [`Accept::Error`] for each error number.
    pub fn fail(&self, errors: &[i32]) {
        self.push(errors.iter().copied().map(Accept::Error));
    }

    /// How often `accept` was called.
    #[must_use]
    pub fn accept_calls(&self) -> u64 {
        self.state.lock().calls
    }

    /// How many calls of `accept` have failed as scripted.
    #[must_use]
    pub fn failures(&self) -> u64 {
        self.state.lock().failures
    }

    /// How many steps are left.
    #[must_use]
    pub fn remaining(&self) -> usize {
        self.state.lock().steps.len()
    }

    /// Default options of the transport `T` with this script, for
    /// [`Builder::transport_options`](crate::Builder::transport_options).
    #[must_use]
    pub fn options<T: Bind>(&self) -> FaultyOptions<T> {
        FaultyOptions { inner: T::Options::default(), script: self.clone() }
    }

    /// The error of this call, if it has one.
    fn next_error(&self) -> Option<io::Error> {
        let mut state = self.state.lock();
        state.calls += 1;
        let Some(Accept::Error(code)) = state.steps.front().copied() else { return None };
        state.steps.pop_front();
        state.failures += 1;
        Some(io::Error::from_raw_os_error(code))
    }

    fn accepted(&self) {
        let mut state = self.state.lock();
        if state.steps.front() == Some(&Accept::Real) {
            state.steps.pop_front();
        }
    }
}

/// A transport whose `accept` follows a [`Script`], and is that of `T` when the script is empty.
#[derive(Debug)]
pub struct Faulty<T> {
    inner: T,
    script: Script,
}

impl<T> Faulty<T> {
    /// Wraps a transport that exists already.
    pub fn new(inner: T, script: &Script) -> Self {
        Self { inner, script: script.clone() }
    }

    /// The wrapped transport.
    pub fn get_ref(&self) -> &T {
        &self.inner
    }
}

impl<T: Transport> Transport for Faulty<T> {
    type Request = T::Request;
    type Pending = T::Pending;
    type Addr = T::Addr;

    fn accept(&mut self) -> io::Result<T::Pending> {
        if let Some(error) = self.script.next_error() {
            return Err(error);
        }
        let pending = self.inner.accept()?;
        self.script.accepted();
        Ok(pending)
    }

    fn descriptor(&self) -> Descriptor<'_> {
        self.inner.descriptor()
    }

    fn descriptors<'a>(&'a self, show: &mut dyn FnMut(Descriptor<'a>)) {
        self.inner.descriptors(show);
    }

    fn addresses(&self, show: &mut dyn FnMut(&str)) {
        self.inner.addresses(show);
    }

    fn local_addr(&self) -> T::Addr {
        self.inner.local_addr()
    }

    fn has_buffered(&self) -> bool {
        self.inner.has_buffered()
    }

    fn hand_over(&mut self) {
        self.inner.hand_over();
    }

    fn answers_itself(&self) -> bool {
        self.inner.answers_itself()
    }
}

impl<T: Bind> Bind for Faulty<T> {
    type Address = T::Address;
    type Options = FaultyOptions<T>;

    fn bind(address: &T::Address, options: &FaultyOptions<T>) -> Result<Self, BindError> {
        Ok(Self::new(T::bind(address, &options.inner)?, &options.script))
    }
}

/// The options of a [`Faulty`] transport: those of the one it wraps, and the script; see [`Script::options`].
pub struct FaultyOptions<T: Bind> {
    inner: T::Options,
    script: Script,
}

impl<T: Bind> Clone for FaultyOptions<T> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone(), script: self.script.clone() }
    }
}

impl<T: Bind> Default for FaultyOptions<T> {
    fn default() -> Self {
        Script::new().options()
    }
}

impl<T: Bind> fmt::Debug for FaultyOptions<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FaultyOptions").field("inner", &self.inner).field("script", &self.script).finish()
    }
}

impl<O, T: Bind<Options: Offers<O>>> Offers<O> for FaultyOptions<T> {
    fn set(&mut self, option: O) {
        self.inner.set(option);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_is_followed_step_by_step() {
        let script = Script::new();
        script.push([Accept::Error(24), Accept::Real, Accept::Error(9)]);
        assert_eq!(script.next_error().and_then(|error| error.raw_os_error()), Some(24));
        assert!(script.next_error().is_none());
        // Nothing was there to accept: the step stays.
        assert!(script.next_error().is_none());
        script.accepted();
        assert_eq!(script.next_error().and_then(|error| error.raw_os_error()), Some(9));
        assert_eq!((script.accept_calls(), script.failures(), script.remaining()), (4, 2, 0));
    }
}
