//! Descriptors that this process was started with: each gets an owner once.

use std::io;
use std::os::fd::FromRawFd;
use std::os::fd::OwnedFd;
use std::os::fd::RawFd;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;

static TAKEN: AtomicBool = AtomicBool::new(false);

/// Owns the descriptors that `list` tells of, each with what belongs to it; `None` if this process has taken them before.
///
/// `list` has found out that they were passed to this very process, and that they are open.
pub(crate) fn take_once<T, L: IntoIterator<Item = (RawFd, T)>>(
    list: impl FnOnce() -> io::Result<L>,
) -> Option<io::Result<Vec<(OwnedFd, T)>>> {
    if TAKEN.swap(true, Ordering::SeqCst) {
        return None;
    }
    let own = |(descriptor, belongings)| {
        // SAFETY: it is open, and the process that started this one has handed it over; nothing else in this process owns
        // it, as this happens once.
        let descriptor = unsafe { OwnedFd::from_raw_fd(descriptor) };
        (descriptor, belongings)
    };
    Some(list().map(|list| list.into_iter().map(own).collect()))
}
