//! What the operating system offers and the standard library does not: the only place with `unsafe`.
//!
//! Each mechanism has its own file: [`flag`] wakes a wait from elsewhere, [`wait`] blocks on one descriptor, [`poller`]
//! on thousands, `fork` and `child` start and collect processes, `one_thread` checks that this is safe, [`shared`] is
//! memory that they share, `exit` reports that one has ended, `passed` owns inherited descriptors, `start` starts a
//! program with some, [`datagram`] moves many datagrams in one call, [`send_file`] sends a file to a socket, `socket`
//! receives and sends, `unix_address` reads and writes names of Unix-domain sockets, `on_signal` acts on signals, and
//! `thread` distinguishes a thread that waits from one that is kept from running.

#![allow(unsafe_code)]

pub(crate) mod bytes;
#[cfg(all(unix, any(feature = "signals", feature = "testing")))]
mod catchable;
#[cfg(unix)]
pub(crate) mod child;
pub(crate) mod datagram;
#[cfg(unix)]
pub(crate) mod exit;
pub(crate) mod flag;
#[cfg(unix)]
pub(crate) mod fork;
#[cfg(all(unix, feature = "testing"))]
pub(crate) mod interrupt;
#[cfg(all(unix, feature = "signals"))]
pub(crate) mod on_signal;
#[cfg(unix)]
pub(crate) mod one_thread;
#[cfg(all(unix, feature = "systemd"))]
pub(crate) mod passed;
pub(crate) mod poller;
pub(crate) mod send_file;
pub(crate) mod shared;
pub(crate) mod socket;
#[cfg(all(unix, feature = "systemd"))]
pub(crate) mod start;
pub(crate) mod thread;
#[cfg(target_os = "linux")]
pub(crate) mod unix_address;
pub(crate) mod wait;

/// A borrowed descriptor, as the platform has it.
#[cfg(unix)]
pub type Descriptor<'fd> = std::os::fd::BorrowedFd<'fd>;
/// A borrowed descriptor, as the platform has it.
#[cfg(windows)]
pub type Descriptor<'fd> = std::os::windows::io::BorrowedSocket<'fd>;

/// What to wait for on a socket that is not ready.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Interest {
    /// Something to read, or the end of input.
    Read,
    /// Room to write. A wait for it in the poller also ends when there is something to read.
    Write,
}

/// What one of two descriptors is waited for, of a connection that waits for both: nothing, while the other has to be ready
/// first.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Watch {
    pub(crate) read: bool,
    pub(crate) write: bool,
}

impl Watch {
    pub(crate) const READ: Self = Self { read: true, write: false };

    /// For this and no more.
    pub(crate) fn of(interest: Interest) -> Self {
        Self { read: interest == Interest::Read, write: interest == Interest::Write }
    }

    pub(crate) fn is_nothing(self) -> bool {
        self == Self::default()
    }
}

#[cfg(unix)]
pub(crate) fn borrow(socket: &impl std::os::fd::AsFd) -> Descriptor<'_> {
    socket.as_fd()
}

#[cfg(windows)]
pub(crate) fn borrow(socket: &impl std::os::windows::io::AsSocket) -> Descriptor<'_> {
    socket.as_socket()
}
