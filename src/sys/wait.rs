//! Blocking until one descriptor is ready, a flag is raised, or a deadline passes: `poll(2)` with the rest of the
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
use crate::sys::flag::Flag;

/// Why [`wait`] returned.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Woken {
    /// A read (or write) will not block; it may fail.
    Ready,
    /// The flag with this index is raised.
    Flag(usize),
    TimedOut,
}

/// At most this many flags can be waited for beside the descriptor.
const FLAGS: usize = 4;

/// Waits, retrying interrupted system calls with the time that is left; a raised flag wins over readiness. Flags
/// that are `None` are left out, and the others keep their index.
pub(crate) fn wait(
    descriptor: Descriptor<'_>,
    interest: Interest,
    flags: &[Option<&Flag>],
    deadline: Option<Instant>,
) -> io::Result<Woken> {
    wait_for_either((descriptor, Watch::of(interest)), None, flags, deadline)
}

/// As [`wait`], for one of two descriptors to be ready. One that is watched for nothing is left out, because poll(2) would
/// tell of its errors all the same.
pub(crate) fn wait_for_either(
    own: (Descriptor<'_>, Watch),
    other: Option<(Descriptor<'_>, Watch)>,
    flags: &[Option<&Flag>],
    deadline: Option<Instant>,
) -> io::Result<Woken> {
    debug_assert!(flags.len() <= FLAGS, "room for {FLAGS} flags");
    let mut set: [_; FLAGS + 2] = std::array::from_fn(|_| PollFd::from_borrowed_fd(own.0, PollFlags::empty()));
    let mut count = 0;
    for (descriptor, watch) in [Some(own), other].into_iter().flatten() {
        if !watch.is_nothing() {
            set[count] = PollFd::from_borrowed_fd(descriptor, poll_flags(watch));
            count += 1;
        }
    }
    let flags_at = count;
    let mut indices = [0; FLAGS];
    for (index, flag) in flags.iter().enumerate() {
        if let Some(flag) = flag {
            indices[count - flags_at] = index;
            set[count] = PollFd::from_borrowed_fd(flag.descriptor(), PollFlags::IN);
            count += 1;
        }
    }
    poll(&mut set[..count], flags_at, &indices, deadline)
}

fn poll_flags(watch: Watch) -> PollFlags {
    let wanted = [(watch.read, PollFlags::IN), (watch.write, PollFlags::OUT)];
    wanted.into_iter().filter(|(wanted, _)| *wanted).map(|(_, flags)| flags).collect()
}

/// As [`wait`], for one of several descriptors to be readable.
pub(crate) fn wait_any(
    descriptors: &[Descriptor<'_>],
    flags: &[Option<&Flag>],
    deadline: Option<Instant>,
) -> io::Result<Woken> {
    let mut set: Vec<_> = descriptors.iter().map(|found| PollFd::from_borrowed_fd(*found, PollFlags::IN)).collect();
    let mut indices = Vec::new();
    for (index, flag) in flags.iter().enumerate() {
        if let Some(flag) = flag {
            indices.push(index);
            set.push(PollFd::from_borrowed_fd(flag.descriptor(), PollFlags::IN));
        }
    }
    poll(&mut set, descriptors.len(), &indices, deadline)
}

/// Waits for the descriptors, and behind `flags_at` the flags, whose indices these are.
fn poll(set: &mut [PollFd<'_>], flags_at: usize, indices: &[usize], deadline: Option<Instant>) -> io::Result<Woken> {
    loop {
        let left = deadline.map(|deadline| timespec(deadline.saturating_duration_since(Instant::now())));
        match rustix::event::poll(set, left.as_ref()) {
            Ok(0) if deadline.is_some_and(|deadline| Instant::now() >= deadline) => return Ok(Woken::TimedOut),
            Ok(0) | Err(rustix::io::Errno::INTR) => {}
            Ok(_) => {
                return Ok(match set[flags_at..].iter().position(|flag| !flag.revents().is_empty()) {
                    Some(at) => Woken::Flag(indices[at]),
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
