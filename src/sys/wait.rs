//! Blocking until one descriptor is ready, a signal is raised, or a deadline passes: `poll(2)` with the rest of the
//! time.

use std::io;
use std::time::Duration;
use std::time::Instant;

use rustix::event::PollFd;
use rustix::event::PollFlags;
use rustix::event::Timespec;

use crate::sys::Descriptor;
use crate::sys::Interest;
use crate::sys::Watch;
use crate::sys::signal::Signal;

/// Why [`wait`] returned.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Woken {
    /// A read (or write) will not block; it may fail.
    Ready,
    /// The signal with this index is raised.
    Signal(usize),
    TimedOut,
}

/// At most this many signals can be waited for beside the descriptor.
const SIGNALS: usize = 4;

/// Waits, retrying interrupted system calls with the time that is left; a raised signal wins over readiness. Signals
/// that are `None` are left out, and the others keep their index.
pub(crate) fn wait(
    descriptor: Descriptor<'_>,
    interest: Interest,
    signals: &[Option<&Signal>],
    deadline: Option<Instant>,
) -> io::Result<Woken> {
    wait_for_either((descriptor, Watch::of(interest)), None, signals, deadline)
}

/// As [`wait`], for one of two descriptors to be ready. One that is watched for nothing is left out, because poll(2) would
/// tell of its errors all the same.
pub(crate) fn wait_for_either(
    own: (Descriptor<'_>, Watch),
    other: Option<(Descriptor<'_>, Watch)>,
    signals: &[Option<&Signal>],
    deadline: Option<Instant>,
) -> io::Result<Woken> {
    debug_assert!(signals.len() <= SIGNALS, "room for {SIGNALS} signals");
    let mut set: [_; SIGNALS + 2] = std::array::from_fn(|_| PollFd::from_borrowed_fd(own.0, PollFlags::empty()));
    let mut count = 0;
    for (descriptor, watch) in [Some(own), other].into_iter().flatten() {
        if !watch.is_nothing() {
            set[count] = PollFd::from_borrowed_fd(descriptor, flags(watch));
            count += 1;
        }
    }
    let signals_at = count;
    let mut indices = [0; SIGNALS];
    for (index, signal) in signals.iter().enumerate() {
        if let Some(signal) = signal {
            indices[count - signals_at] = index;
            set[count] = PollFd::from_borrowed_fd(signal.descriptor(), PollFlags::IN);
            count += 1;
        }
    }
    poll(&mut set[..count], signals_at, &indices, deadline)
}

fn flags(watch: Watch) -> PollFlags {
    let wanted = [(watch.read, PollFlags::IN), (watch.write, PollFlags::OUT)];
    wanted.into_iter().filter(|(wanted, _)| *wanted).map(|(_, flags)| flags).collect()
}

/// As [`wait`], for one of several descriptors to be readable.
pub(crate) fn wait_any(
    descriptors: &[Descriptor<'_>],
    signals: &[Option<&Signal>],
    deadline: Option<Instant>,
) -> io::Result<Woken> {
    let mut set: Vec<_> = descriptors.iter().map(|found| PollFd::from_borrowed_fd(*found, PollFlags::IN)).collect();
    let mut indices = Vec::new();
    for (index, signal) in signals.iter().enumerate() {
        if let Some(signal) = signal {
            indices.push(index);
            set.push(PollFd::from_borrowed_fd(signal.descriptor(), PollFlags::IN));
        }
    }
    poll(&mut set, descriptors.len(), &indices, deadline)
}

/// Waits for the descriptors, and behind `signals_at` the signals, whose indices these are.
fn poll(set: &mut [PollFd<'_>], signals_at: usize, indices: &[usize], deadline: Option<Instant>) -> io::Result<Woken> {
    loop {
        let left = deadline.map(|deadline| timespec(deadline.saturating_duration_since(Instant::now())));
        match rustix::event::poll(set, left.as_ref()) {
            Ok(0) if deadline.is_some_and(|deadline| Instant::now() >= deadline) => return Ok(Woken::TimedOut),
            Ok(0) | Err(rustix::io::Errno::INTR) => {}
            Ok(_) => {
                return Ok(match set[signals_at..].iter().position(|signal| !signal.revents().is_empty()) {
                    Some(at) => Woken::Signal(indices[at]),
                    None => Woken::Ready,
                });
            }
            Err(errno) => return Err(errno.into()),
        }
    }
}

pub(crate) fn timespec(duration: Duration) -> Timespec {
    Timespec {
        tv_sec: i32::try_from(duration.as_secs()).unwrap_or(i32::MAX).into(),
        // Less than 2^30: it fits whatever type the system has here.
        tv_nsec: duration.subsec_nanos() as _,
    }
}
