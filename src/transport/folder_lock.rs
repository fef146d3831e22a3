//! Taking over the path of a socket file: one server at a time.
//!
//! A socket that is bound and does not listen yet refuses connections, and so looks as one that was left over; and
//! between the look at a file and its removal another may have taken its place. So all of that is done under a lock.
//! The lock is on the folder of the file: nothing has to be made for it, and nothing stays.

use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::Duration;
use std::time::Instant;

use rustix::fs::FlockOperation;
use rustix::fs::Mode;
use rustix::fs::OFlags;
use rustix::fs::flock;
use rustix::io::Errno;

/// Held until it is dropped, if it could be taken.
#[derive(Debug)]
pub(super) struct FolderLock(Option<OwnedFd>);

impl FolderLock {
    /// Takes the lock of the folder in which `path` is. Without it a start is not prevented: where the folder cannot be
    /// read, or its file system knows no locks, or another program keeps it locked.
    pub(super) fn of(path: &Path) -> Self {
        /// A server has the lock for some system calls only.
        const PATIENCE: Duration = Duration::from_secs(1);
        const PAUSE: Duration = Duration::from_millis(1);
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let Ok(folder) = rustix::fs::open(folder, flags, Mode::empty()) else { return Self(None) };
        let until = Instant::now() + PATIENCE;
        loop {
            match flock(&folder, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => return Self(Some(folder)),
                Err(Errno::INTR) => {}
                Err(Errno::WOULDBLOCK) if Instant::now() < until => std::thread::sleep(PAUSE),
                Err(_) => return Self(None),
            }
        }
    }
}

impl Drop for FolderLock {
    fn drop(&mut self) {
        if let Some(folder) = &self.0 {
            // Not left to the close: a child that was forked meanwhile has the descriptor, too.
            let _ = flock(folder, FlockOperation::Unlock);
        }
    }
}
