//! The file of a Unix-domain socket goes with its socket when a new process takes over from an old one.
//!
//! Which file belongs to a socket is remembered by the number of the socket, which it keeps wherever its descriptors are
//! copied to. So nothing has to be asked of transports that wrap others.

use std::ffi::OsStr;
use std::ffi::OsString;
use std::os::fd::BorrowedFd;
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;
use std::sync::Weak;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering;

use parking_lot::Mutex;

use super::FileId;
use super::NOBODY;
use super::OwnedPath;
use crate::transport::kept::number_of;

struct Known {
    socket: u64,
    /// The file, as text for another process.
    text: OsString,
    process: Weak<AtomicU32>,
}

/// The files that this process has made, or has inherited and uses.
static KNOWN: Mutex<Vec<Known>> = Mutex::new(Vec::new());

/// The files that were left to this process and are not used yet.
static LEFT: Mutex<Vec<(u64, OwnedPath)>> = Mutex::new(Vec::new());

/// What is inherited is removed by this process from [`arm`] on: an old process that serves on still needs it.
static ARMED: Mutex<bool> = Mutex::new(false);

pub(super) fn remember(socket: BorrowedFd<'_>, owned: &OwnedPath) {
    let Some(socket) = number_of(socket) else { return };
    let mut known = KNOWN.lock();
    known.retain(|known| known.process.strong_count() > 0);
    known.push(Known { socket, text: write(owned), process: Arc::downgrade(&owned.process) });
}

pub(super) fn inherited(socket: BorrowedFd<'_>) -> Option<OwnedPath> {
    let number = number_of(socket)?;
    let mut left = LEFT.lock();
    let at = left.iter().position(|(socket, _)| *socket == number)?;
    let (_, owned) = left.swap_remove(at);
    let armed = ARMED.lock();
    if *armed {
        owned.process.store(std::process::id(), Ordering::SeqCst);
    }
    remember(socket, &owned);
    Some(owned)
}

/// What another process has to be told so that it can own the file of this socket; `None` if this one does not.
pub(crate) fn text_of(socket: BorrowedFd<'_>) -> Option<OsString> {
    let socket = number_of(socket)?;
    let mut known = KNOWN.lock();
    known.retain(|known| known.process.strong_count() > 0);
    let found = known.iter().find(|known| known.socket == socket)?;
    let process = found.process.upgrade()?.load(Ordering::SeqCst);
    (process == std::process::id()).then(|| found.text.clone())
}

/// Another process leaves the file of this socket to this one, which removes it from [`arm`] on.
pub(crate) fn inherit(socket: BorrowedFd<'_>, text: &OsStr) {
    if let (Some(socket), Some(owned)) = (number_of(socket), read(text)) {
        LEFT.lock().push((socket, owned));
    }
}

/// From here on this process removes the files that it has inherited.
pub(crate) fn arm() {
    let mut armed = ARMED.lock();
    *armed = true;
    for known in KNOWN.lock().iter() {
        if let Some(process) = known.process.upgrade() {
            process.store(std::process::id(), Ordering::SeqCst);
        }
    }
}

fn write(owned: &OwnedPath) -> OsString {
    let FileId { device, inode, modified: (seconds, nanos) } = owned.file;
    let mut text = OsString::from(format!("{device} {inode} {seconds} {nanos} "));
    text.push(&owned.path);
    text
}

fn read(text: &OsStr) -> Option<OwnedPath> {
    let mut words = text.as_bytes().splitn(5, |byte| *byte == b' ');
    let mut number = || std::str::from_utf8(words.next()?).ok();
    let (device, inode) = (number()?.parse().ok()?, number()?.parse().ok()?);
    let modified = (number()?.parse().ok()?, number()?.parse().ok()?);
    let path = OsStr::from_bytes(words.next()?).into();
    let process = Arc::new(AtomicU32::new(NOBODY));
    Some(OwnedPath { path, file: FileId { device, inode, modified }, process })
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    #[test]
    fn any_path_can_be_told() {
        for path in ["/run/a", "/run/with spaces  and\nlines", "/"] {
            let file = FileId { device: 1, inode: u64::MAX, modified: (-3, 4) };
            let owned = OwnedPath { path: PathBuf::from(path), file, process: Arc::new(AtomicU32::new(NOBODY)) };
            let told = read(&write(&owned)).unwrap();
            assert_eq!((&told.path, told.file), (&owned.path, owned.file));
        }
        for nonsense in ["", "1 2 3", "a b c d /e"] {
            assert!(read(OsStr::new(nonsense)).is_none());
        }
    }
}
