//! Sockets that stay open when this process ends, because another keeps them: those of a process manager.
//!
//! They are remembered by the number of the socket, which it keeps wherever its descriptors are copied to. So nothing has
//! to be asked of transports that wrap others.

#[cfg(feature = "systemd")]
use std::os::fd::AsRawFd;
use std::os::fd::BorrowedFd;

use parking_lot::Mutex;

/// In the environment: the numbers of descriptors that this process was passed, and that no other process keeps.
#[cfg(feature = "systemd")]
pub(crate) const NOT_KEPT: &str = "SOCKETSERVER_NOT_KEPT";

static KEPT: Mutex<Vec<u64>> = Mutex::new(Vec::new());

/// Sockets are told apart by this number, as long as they exist. It has fewer bits on some systems.
#[allow(clippy::unnecessary_cast, reason = "a type of the system")]
pub(super) fn number_of(socket: BorrowedFd<'_>) -> Option<u64> {
    rustix::fs::fstat(socket).ok().map(|stat| stat.st_ino as u64)
}

/// What was passed to this process is kept by the one that passed it, unless that has ended since and says so.
#[cfg(feature = "systemd")]
pub(crate) fn note_passed<'fd>(sockets: impl Iterator<Item = BorrowedFd<'fd>>) {
    let not_kept = std::env::var(NOT_KEPT).unwrap_or_default();
    let is_kept = |socket: &BorrowedFd<'_>| !not_kept.split(',').any(|number| number == socket.as_raw_fd().to_string());
    KEPT.lock().extend(sockets.filter(is_kept).filter_map(number_of));
}

/// Whether what waits in the queue of this socket finds it open when this process has ended.
pub(crate) fn is_kept(socket: BorrowedFd<'_>) -> bool {
    number_of(socket).is_some_and(|number| KEPT.lock().contains(&number))
}
