//! Acting on signals for a while: what a signal did before, it does again afterwards.
//!
//! `signal-hook` keeps its handler once it has one, and a signal without an action has no effect at all then. So where
//! the disposition was the default, an action stays that does what the default does, unless another is registered here.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

use parking_lot::Mutex;
use signal_hook::SigId;
use signal_hook::low_level::emulate_default_handler;
use signal_hook::low_level::register;
use signal_hook::low_level::unregister;

use super::catchable::check_catchable;
use super::fork;

/// For each signal that has ever had an action, how many it has.
static ACTIONS: Mutex<BTreeMap<i32, Arc<AtomicUsize>>> = Mutex::new(BTreeMap::new());

/// What a signal does. An implementation is async-signal-safe, as signal-safety(7) has it: it changes atomics, reads a
/// clock and writes to descriptors, and neither allocates nor locks.
pub(crate) trait SignalSafe: Send + Sync + 'static {
    fn act(&self);
}

/// An action for a signal, until it is dropped.
#[derive(Debug)]
pub(crate) struct OnSignal {
    id: SigId,
    actions: Arc<AtomicUsize>,
}

impl OnSignal {
    /// Runs `action` whenever `signal` comes.
    pub(crate) fn new(signal: i32, action: impl SignalSafe) -> io::Result<Self> {
        check_catchable(signal)?;
        // `signal-hook` sets its handler before it knows the action, and loses a signal that comes between.
        let _blocked = fork::BlockedSignals::all()?;
        let mut known = ACTIONS.lock();
        let is_new = !known.contains_key(&signal);
        let was_default = is_new && has_default(signal);
        let actions = known.get(&signal).map_or_else(Arc::default, Arc::clone);
        // Before what the default does: from the first moment at which the process catches the signal, it is heard.
        // SAFETY: the promise of the trait.
        let id = unsafe { register(signal, move || action.act())? };
        actions.fetch_add(1, Ordering::SeqCst);
        if was_default {
            let others = Arc::clone(&actions);
            let default = move || {
                if others.load(Ordering::SeqCst) == 0 {
                    // It fails for real-time signals, which have no effect then.
                    let _ = emulate_default_handler(signal);
                }
            };
            // SAFETY: it reads an atomic and does what is made for this place.
            if let Err(error) = unsafe { register(signal, default) } {
                unregister(id);
                return Err(error);
            }
        }
        known.entry(signal).or_insert_with(|| Arc::clone(&actions));
        Ok(Self { id, actions })
    }
}

impl Drop for OnSignal {
    fn drop(&mut self) {
        unregister(self.id);
        self.actions.fetch_sub(1, Ordering::SeqCst);
    }
}

fn has_default(signal: i32) -> bool {
    fork::action(signal).is_some_and(|action| action.sa_sigaction == libc::SIG_DFL)
}

/// Whether this process has been started, or has decided, to ignore the signal.
pub(crate) fn is_ignored(signal: i32) -> bool {
    fork::action(signal).is_some_and(|action| action.sa_sigaction == libc::SIG_IGN)
}
