//! Keeps the promise when handlers block: finds workers that sit in one call, and lets another take over.

use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use super::scheduler::Scheduler;
use crate::dispatch::Task;
use crate::sync::atomic::Ordering;
use crate::sync::thread;
use crate::sys::thread::ThreadId;

/// How long a call may block before its connection counts as slow: up to two ticks.
const TICK: Duration = Duration::from_millis(1);

/// The same while calls do not block. Each tick interrupts a worker where all share a CPU, which costs 20 to 30 us of it.
const CALM_TICK: Duration = Duration::from_millis(4);

/// The monitor is calm after this many looks that found no slow call: calls that block every now and then keep up the
/// pace, or each would cost the others two calm ticks.
const CALM: u32 = 1024;

/// If calls take longer than this on average, in nanoseconds, it is not calm either: those that block may be too short
/// to be seen by rare looks.
const LONG: u64 = 100_000;

/// A call that computes for this long is slow, too.
const COMPUTING: Duration = Duration::from_millis(3);

/// After this many looks at the same call it is slow, whatever its thread does.
const ENOUGH: u32 = 64;

/// After this many ticks without any call the monitor sleeps until the next call. Models need not wait for it.
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
    let mut seen = Vec::new();
    let (mut found, mut quiet, mut calm) = (Found::Nothing, 0, CALM);
    while !scheduler.is_ended() {
        found = if quiet < QUIET {
            let is_calm = calm >= CALM && found != Found::LongCall;
            thread::park_timeout(if is_calm { CALM_TICK } else { TICK });
            let found = look(scheduler, &mut seen);
            // No call may begin that would wake it.
            if scheduler.relieve() { found.max(Found::Calls) } else { found }
        } else {
            // A thread that begins a call from here on sees this flag, or is seen here.
            scheduler.monitor_sleeps.store(true, Ordering::SeqCst);
            if look(scheduler, &mut seen) == Found::Nothing && !scheduler.relieve() && !scheduler.is_ended() {
                thread::park();
            }
            scheduler.monitor_sleeps.store(false, Ordering::SeqCst);
            Found::Calls
        };
        quiet = if found == Found::Nothing { quiet + 1 } else { 0 };
        let long = scheduler.mean_call.load(Ordering::Relaxed) > LONG;
        calm = if found == Found::SlowCall || long { 0 } else { CALM.min(calm + 1) };
    }
}

/// What the monitor knows of a worker from its last look.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    calls: u64,
    /// This many looks have found it in that call again.
    again: u32,
    /// How long its thread had run at the first of them.
    cpu_time: Option<Duration>,
}

impl Seen {
    /// Whether the call that was found again is slow, and why. One whose thread would run if it had a CPU is only delayed:
    /// by other processes, or by the machine that runs this one.
    fn judge(&mut self, owner: Option<ThreadId>) -> Option<Slow> {
        /// What cannot be told of a thread is looked at this often: it may be for want of descriptors.
        const UNTOLD: u32 = 3;
        self.again += 1;
        let Some(owner) = owner else { return Some(Slow::Blocks) };
        let cpu_time = owner.cpu_time().unwrap_or_default();
        let computed = cpu_time.saturating_sub(*self.cpu_time.get_or_insert(cpu_time));
        match owner.is_runnable() {
            Some(false) => return Some(Slow::Blocks),
            None if computed.is_zero() && self.again >= UNTOLD => return Some(Slow::Blocks),
            _ => {}
        }
        (computed >= COMPUTING || self.again >= ENOUGH).then_some(Slow::Computes)
    }
}

/// Why a call is slow.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Slow {
    Blocks,
    Computes,
}

/// What all workers together have done since the last look.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Found {
    Nothing,
    Calls,
    /// One that had begun before the last look.
    LongCall,
    /// One that is slow, and was not known to be.
    SlowCall,
}

/// One look at all threads.
fn look<J: Task>(scheduler: &Scheduler<J>, seen: &mut Vec<Seen>) -> Found {
    let mut found = Found::Nothing;
    for (index, lane) in scheduler.lanes().enumerate() {
        if index == seen.len() {
            seen.push(Seen::default());
        }
        let seen = &mut seen[index];
        let calls = lane.calls();
        let in_call = calls % 2 == 1;
        scheduler.clear_late_mark(lane, seen.calls);
        if calls != seen.calls {
            *seen = Seen { calls, ..Seen::default() };
            found = found.max(Found::Calls);
        } else if in_call && !lane.is_off_duty() {
            let slow = seen.judge(lane.owner());
            if let Some(slow) = slow {
                scheduler.found_stuck(lane, calls, slow == Slow::Blocks);
            }
            found = found.max(if slow.is_some() { Found::SlowCall } else { Found::LongCall });
        }
    }
    found
}

#[cfg(all(test, target_os = "linux", not(socketserver_shuttle)))]
mod tests {
    use std::sync::mpsc;
    use std::time::Instant;

    use super::*;

    #[test]
    fn a_thread_that_only_lacks_a_cpu_is_slow_late() {
        // This one runs, and hardly computes between two looks.
        let own = Some(ThreadId::current());
        let mut seen = Seen::default();
        assert_eq!(seen.judge(own), None);
        assert!((1..ENOUGH).any(|_| seen.judge(own).is_some()), "given up at last");
    }

    #[test]
    fn a_thread_that_computes_is_slow_when_it_has_done_so_for_a_while() {
        let own = ThreadId::current();
        let mut seen = Seen::default();
        assert_eq!(seen.judge(Some(own)), None);
        let begun = own.cpu_time().unwrap();
        while own.cpu_time().unwrap() < begun + COMPUTING {}
        assert_eq!(seen.judge(Some(own)), Some(Slow::Computes));
    }

    #[test]
    fn a_thread_that_waits_is_slow_at_once_and_so_is_one_that_nothing_is_known_of() {
        assert_eq!(Seen::default().judge(None), Some(Slow::Blocks));
        let (tell, told) = mpsc::channel();
        let (end, ended) = mpsc::channel::<()>();
        let waiting = std::thread::spawn(move || {
            tell.send(ThreadId::current()).unwrap();
            // Until the other side is dropped.
            let _ = ended.recv();
        });
        let id = told.recv().unwrap();
        let until = Instant::now() + Duration::from_secs(30);
        while Seen::default().judge(Some(id)) != Some(Slow::Blocks) {
            assert!(Instant::now() < until, "it does nothing but wait");
            std::thread::yield_now();
        }
        drop(end);
        waiting.join().unwrap();
    }
}
