//! The calls of handlers that are running, if the server keeps a list of them.

use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use parking_lot::Mutex;

use crate::event::RequestId;

/// A call of `handle` that has not returned yet; see [`StatsHandle::running_calls`](crate::StatsHandle::running_calls).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct RunningCall {
    /// The connection or message that is handled.
    pub id: RequestId,
    /// How long the call has been running.
    pub duration: Duration,
}

/// What one thread runs.
type Slot = Mutex<Option<(RequestId, Instant)>>;

/// Of all threads of one server.
#[derive(Debug, Default)]
pub(crate) struct Calls {
    slots: Mutex<Vec<Arc<Slot>>>,
}

impl Calls {
    /// The longest first.
    pub(crate) fn running(&self) -> Vec<RunningCall> {
        // A lock at a time: a thread that begins a call never waits for one that comes or goes.
        let slots = self.slots.lock().clone();
        let mut running: Vec<_> = slots.iter().filter_map(|slot| *slot.lock()).collect();
        running.sort_by_key(|(_, since)| *since);
        running.into_iter().map(|(id, since)| RunningCall { id, duration: since.elapsed() }).collect()
    }
}

/// Where one thread says what it runs, in the list of one server.
#[derive(Debug)]
pub(crate) struct Recorder {
    calls: Arc<Calls>,
    slot: Arc<Slot>,
}

impl Recorder {
    pub(crate) fn new(calls: &Arc<Calls>) -> Self {
        let slot = Arc::new(Slot::default());
        calls.slots.lock().push(Arc::clone(&slot));
        Self { calls: Arc::clone(calls), slot }
    }

    pub(crate) fn is_of(&self, calls: &Arc<Calls>) -> bool {
        Arc::ptr_eq(&self.calls, calls)
    }

    pub(crate) fn begin(&self, id: RequestId, at: Instant) {
        *self.slot.lock() = Some((id, at));
    }

    pub(crate) fn end(&self) {
        *self.slot.lock() = None;
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.calls.slots.lock().retain(|slot| !Arc::ptr_eq(slot, &self.slot));
    }
}

#[cfg(all(test, not(socketserver_shuttle)))]
mod tests {
    use super::*;

    #[test]
    fn the_longest_comes_first_and_what_has_gone_is_forgotten() {
        let calls = Arc::new(Calls::default());
        let recorders: Vec<_> = (0..3).map(|_| Recorder::new(&calls)).collect();
        let now = Instant::now();
        for (recorder, (id, later)) in recorders.iter().zip([(7, 3), (8, 1), (9, 2)]) {
            recorder.begin(RequestId(id), now + Duration::from_secs(later));
        }
        let ids = || calls.running().iter().map(|call| call.id.0).collect::<Vec<_>>();
        assert_eq!(ids(), [8, 9, 7]);
        recorders[1].end();
        assert_eq!(ids(), [9, 7]);
        drop(recorders);
        assert!(calls.slots.lock().is_empty());
        assert!(!Recorder::new(&calls).is_of(&Arc::default()));
    }
}
