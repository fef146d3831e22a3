//! Keeps the promise when handlers block: finds workers that sit in one call, and lets another take over.

use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use super::scheduler::Scheduler;
use crate::dispatch::Task;
use crate::sync::atomic::Ordering;
use crate::sync::thread;

/// How long a call may take before its connection counts as slow: up to two ticks.
const TICK: Duration = Duration::from_millis(1);

/// After so many ticks without any call the monitor sleeps until the next. Models need not wait for it.
const QUIET: u32 = if cfg!(socketserver_shuttle) { 1 } else { 8 };

/// Starts the monitor; it ends with the scheduler.
pub(super) fn spawn<J>(scheduler: &Arc<Scheduler<J>>) -> io::Result<JoinHandle<()>>
where
    J: Task + Send + 'static,
    J::Source: Send,
    J::Reporter: Send + Sync,
{
    let scheduler = Arc::clone(scheduler);
    std::thread::Builder::new().name("monitor".to_owned()).spawn(move || watch(&scheduler))
}

/// The long loop of the monitor.
pub(super) fn watch<J: Task>(scheduler: &Scheduler<J>) {
    scheduler.set_monitor(thread::current());
    let mut seen = vec![0; scheduler.lanes.len()];
    let mut quiet = 0;
    while !scheduler.is_ended() {
        if quiet < QUIET {
            thread::park_timeout(TICK);
        } else {
            // Whoever begins a call from here on sees this flag, or is seen here.
            scheduler.monitor_sleeps.store(true, Ordering::SeqCst);
            if !look(scheduler, &mut seen) && !scheduler.is_ended() {
                thread::park();
            }
            scheduler.monitor_sleeps.store(false, Ordering::SeqCst);
            quiet = 0;
            continue;
        }
        if look(scheduler, &mut seen) {
            quiet = 0;
        } else {
            quiet += 1;
        }
    }
}

/// One look at all workers; true if any has done anything since the last.
fn look<J: Task>(scheduler: &Scheduler<J>, seen: &mut [u64]) -> bool {
    let mut active = false;
    for (lane, seen) in scheduler.lanes.iter().zip(seen) {
        let calls = lane.calls();
        let in_call = calls % 2 == 1;
        active |= in_call || calls != *seen;
        scheduler.clear_late_mark(lane, *seen);
        if in_call && calls == *seen && !lane.is_stuck() {
            scheduler.found_stuck(lane, calls);
        }
        *seen = calls;
    }
    active
}
