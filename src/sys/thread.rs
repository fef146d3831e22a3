//! What the system's scheduler knows of a thread: whether it waits, and how long it has run.

use std::time::Duration;

/// A thread of this process.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ThreadId {
    #[cfg(target_os = "linux")]
    id: rustix::thread::Pid,
    #[cfg(target_os = "linux")]
    clock: Option<libc::clockid_t>,
}

#[cfg(target_os = "linux")]
impl ThreadId {
    /// The calling thread.
    pub(crate) fn current() -> Self {
        let mut clock = 0;
        // SAFETY: it has no preconditions.
        let this = unsafe { libc::pthread_self() };
        // SAFETY: the calling thread exists; `clock` is written by the call.
        let outcome = unsafe { libc::pthread_getcpuclockid(this, &raw mut clock) };
        Self { id: rustix::thread::gettid(), clock: (outcome == 0).then_some(clock) }
    }

    /// Whether it runs, or would if there were a CPU for it (`proc_pid_stat(5)`); `None` where that cannot be told, also
    /// once it has ended.
    pub(crate) fn is_runnable(self) -> Option<bool> {
        use std::io::Read;

        // Its number, its name of at most 15 bytes in parentheses, its state.
        let mut stat = [0; 64];
        let path = format!("/proc/self/task/{}/stat", self.id.as_raw_pid());
        let count = std::fs::File::open(path).and_then(|mut file| file.read(&mut stat)).ok()?;
        let name_ends = stat[..count].iter().rposition(|byte| *byte == b')')?;
        Some(*stat.get(name_ends + 2)? == b'R')
    }

    /// How long it has had a CPU; `None` where that cannot be told, also once it has ended.
    pub(crate) fn cpu_time(self) -> Option<Duration> {
        let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: `time` is written by the call; a clock that is gone is an error.
        let outcome = unsafe { libc::clock_gettime(self.clock?, &raw mut time) };
        let nanos = u32::try_from(time.tv_nsec).ok()?;
        (outcome == 0).then(|| Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), nanos))
    }
}

#[cfg(not(target_os = "linux"))]
#[allow(clippy::unused_self, reason = "Linux can tell")]
impl ThreadId {
    /// The calling thread.
    pub(crate) fn current() -> Self {
        Self {}
    }

    /// Whether it runs, or would if there were a CPU for it: unknown.
    pub(crate) fn is_runnable(self) -> Option<bool> {
        None
    }

    /// How long it has had a CPU: unknown.
    pub(crate) fn cpu_time(self) -> Option<Duration> {
        None
    }
}

#[cfg(all(test, target_os = "linux", not(socketserver_shuttle)))]
mod tests {
    use std::sync::Barrier;
    use std::sync::OnceLock;
    use std::time::Instant;

    use super::*;

    fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
        let until = Instant::now() + Duration::from_secs(30);
        while !holds() {
            assert!(Instant::now() < until, "{what}");
            std::thread::yield_now();
        }
    }

    #[test]
    fn a_thread_that_waits_is_told_from_one_that_runs() {
        let (waiter, barrier) = (OnceLock::new(), Barrier::new(2));
        assert_eq!(ThreadId::current().is_runnable(), Some(true));
        std::thread::scope(|scope| {
            // A name full of what stands around the state.
            let thread = std::thread::Builder::new().name(") R (".to_owned());
            let begin = || {
                waiter.set(ThreadId::current()).unwrap();
                barrier.wait();
            };
            thread.spawn_scoped(scope, begin).unwrap();
            let waiter = waiter.wait();
            eventually("it waits at the barrier", || waiter.is_runnable() == Some(false));
            let before = waiter.cpu_time().unwrap();
            let own = ThreadId::current();
            let begun = own.cpu_time().unwrap();
            while own.cpu_time().unwrap() < begun + Duration::from_millis(2) {}
            assert_eq!(waiter.cpu_time(), Some(before), "the clock of another thread");
            barrier.wait();
        });
        let ended = waiter.get().unwrap();
        // A thread that has been joined may still be listed for an instant.
        eventually("nothing is known of it", || ended.is_runnable().is_none() && ended.cpu_time().is_none());
    }
}
