//! A transport that fails on demand.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;

use parking_lot::Mutex;

use crate::error::BindError;
use crate::sys::shared::SharedWords;
use crate::transport::Bind;
use crate::transport::Offers;
use crate::transport::Transport;
use crate::transport::listens_as_inner;

/// A step of a [`Script`]: what one call of [`Transport::accept`] on a [`Faulty`] transport does.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Accept {
    /// Fails with this OS error code. A waiting client keeps waiting.
    Error(i32),
    /// Accepts the next request. If there is none, it returns `WouldBlock`, and the step is kept.
    Real,
}

/// The script of a [`Faulty`] transport, and its counters; clones share both, even across forks.
#[derive(Clone, Debug)]
pub struct Script {
    /// Of those who append steps, one at a time.
    appending: Arc<Mutex<()>>,
    /// The counters, and then the steps.
    words: Arc<SharedWords>,
}

/// Calls of `accept`.
const CALLS: usize = 0;
/// Those that have failed as scripted.
const FAILURES: usize = 1;
/// Steps that were appended.
const APPENDED: usize = 2;
/// Steps that were taken.
const TAKEN: usize = 3;
/// Where the steps begin: the numbers of errors, or 0.
const STEPS: usize = 4;

/// A script has room for this many steps that are left; what is not used is not there.
const MOST_STEPS: usize = 1 << 20;

/// The word of the step that this many were before.
fn place_of(count: u64) -> usize {
    STEPS + count as usize % MOST_STEPS
}

impl Default for Script {
    fn default() -> Self {
        let words = SharedWords::new(STEPS + MOST_STEPS).expect("memory for a script");
        Self { appending: Arc::default(), words: Arc::new(words) }
    }
}

impl Script {
    /// An empty script: every request is accepted.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends steps, one for each further call of `accept`, which a server makes when a client connects.
    ///
    /// # Panics
    ///
    /// If more than 1,048,576 steps remain.
    pub fn push(&self, steps: impl IntoIterator<Item = Accept>) {
        let _one_at_a_time = self.appending.lock();
        for step in steps {
            assert!(self.remaining() < MOST_STEPS, "a script holds at most {MOST_STEPS} steps that are left");
            let count = self.load(APPENDED);
            let word = if let Accept::Error(error) = step { u64::from(error.cast_unsigned()) } else { 0 };
            self.words[place_of(count)].store(word, SeqCst);
            self.words[APPENDED].store(count + 1, SeqCst);
        }
    }

    /// Appends an [`Accept::Error`] for each OS error code.
    pub fn fail(&self, errors: &[i32]) {
        self.push(errors.iter().copied().map(Accept::Error));
    }

    /// How often `accept` was called.
    #[must_use]
    pub fn accept_calls(&self) -> u64 {
        self.load(CALLS)
    }

    /// How many calls of `accept` have failed as scripted.
    #[must_use]
    pub fn failures(&self) -> u64 {
        self.load(FAILURES)
    }

    /// How many steps remain.
    #[must_use]
    pub fn remaining(&self) -> usize {
        let taken = self.load(TAKEN);
        (self.load(APPENDED) - taken) as usize
    }

    /// Default options of the transport `T` with this script, for
    /// [`Builder::transport_options`](crate::Builder::transport_options).
    #[must_use]
    pub fn options<T: Bind>(&self) -> FaultyOptions<T> {
        FaultyOptions { inner: T::Options::default(), script: self.clone() }
    }

    /// The error of this call, if it has one.
    fn next_error(&self) -> Option<io::Error> {
        self.words[CALLS].fetch_add(1, SeqCst);
        while let (taken, Some(Accept::Error(code))) = self.next_step() {
            if self.take(taken) {
                self.words[FAILURES].fetch_add(1, SeqCst);
                return Some(io::Error::from_raw_os_error(code));
            }
        }
        None
    }

    fn accepted(&self) {
        if let (taken, Some(Accept::Real)) = self.next_step() {
            self.take(taken);
        }
    }

    /// The step that is next, and how many were taken before.
    fn next_step(&self) -> (u64, Option<Accept>) {
        let taken = self.load(TAKEN);
        let step = (taken < self.load(APPENDED)).then(|| match self.load(place_of(taken)) {
            0 => Accept::Real,
            error => Accept::Error((error as u32).cast_signed()),
        });
        (taken, step)
    }

    /// Takes the next step, unless another process was quicker.
    fn take(&self, taken: u64) -> bool {
        self.words[TAKEN].compare_exchange(taken, taken + 1, SeqCst, SeqCst).is_ok()
    }

    fn load(&self, word: usize) -> u64 {
        self.words[word].load(SeqCst)
    }
}

/// A transport that follows a [`Script`] in `accept`, and behaves like `T` once the script is empty.
#[derive(Debug)]
pub struct Faulty<T> {
    inner: T,
    script: Script,
}

impl<T> Faulty<T> {
    /// Wraps an existing transport.
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

    fn local_addr(&self) -> T::Addr {
        self.inner.local_addr()
    }

    listens_as_inner!();
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

    #[test]
    fn a_script_goes_on_for_as_long_as_steps_are_taken() {
        let script = Script::new();
        for round in 1..=3 {
            script.fail(&vec![round; MOST_STEPS / 2 + 1]);
            while let Some(error) = script.next_error() {
                assert_eq!(error.raw_os_error(), Some(round));
            }
        }
        assert_eq!((script.failures(), script.remaining()), (3 * (MOST_STEPS as u64 / 2 + 1), 0));
    }

    #[test]
    #[should_panic(expected = "at most 1048576 steps")]
    fn a_script_has_an_end() {
        Script::new().fail(&vec![1; MOST_STEPS + 1]);
    }
}
