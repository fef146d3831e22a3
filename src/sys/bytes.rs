//! Memory for bytes that goes back to the system when it is not needed any more.
//!
//! An allocator keeps what is freed, and one that has a heap for each thread keeps it where the thread that frees it
//! cannot use it again: what clients have made a server hold would stay with it, some times over. So long buffers have
//! pages of their own.

use std::fmt;
use std::ops::Deref;
use std::ops::DerefMut;
use std::ptr::NonNull;

/// A buffer of fixed length. Dropping a long one returns its memory to the system, whatever the allocator keeps.
pub struct Bytes {
    start: NonNull<u8>,
    length: usize,
    /// Whether it has pages of its own; else it is a box.
    is_mapped: bool,
}

/// Shorter ones are the allocator's: a mapping costs some system calls, and whole pages.
const LEAST_MAPPED: usize = 16 * 1024;

// SAFETY: it owns its memory, which does not depend on a thread.
unsafe impl Send for Bytes {}
// SAFETY: it gives out references as a box does.
unsafe impl Sync for Bytes {}

impl Bytes {
    /// This many zeros.
    pub(crate) fn zeroed(length: usize) -> Self {
        map(length).unwrap_or_else(|| vec![0; length].into_boxed_slice().into())
    }

    /// A copy.
    pub(crate) fn copy_of(bytes: &[u8]) -> Self {
        match map(bytes.len()) {
            Some(mut copy) => {
                copy.copy_from_slice(bytes);
                copy
            }
            None => Box::<[u8]>::from(bytes).into(),
        }
    }
}

/// Pages of their own, of zeros; `None` for a short length, and where the system has none.
#[cfg(unix)]
fn map(length: usize) -> Option<Bytes> {
    use rustix::mm::MapFlags;
    use rustix::mm::ProtFlags;

    if length < LEAST_MAPPED {
        return None;
    }
    let (protection, flags) = (ProtFlags::READ | ProtFlags::WRITE, MapFlags::PRIVATE);
    // SAFETY: a new mapping, where the system chooses.
    let start = unsafe { rustix::mm::mmap_anonymous(std::ptr::null_mut(), length, protection, flags) }.ok()?;
    Some(Bytes { start: NonNull::new(start.cast())?, length, is_mapped: true })
}

#[cfg(not(unix))]
fn map(_: usize) -> Option<Bytes> {
    let _ = LEAST_MAPPED;
    None
}

impl From<Box<[u8]>> for Bytes {
    fn from(bytes: Box<[u8]>) -> Self {
        let length = bytes.len();
        Self { start: NonNull::from(Box::leak(bytes)).cast(), length, is_mapped: false }
    }
}

impl From<Vec<u8>> for Bytes {
    fn from(bytes: Vec<u8>) -> Self {
        bytes.into_boxed_slice().into()
    }
}

impl Default for Bytes {
    fn default() -> Self {
        Box::<[u8]>::default().into()
    }
}

impl Drop for Bytes {
    fn drop(&mut self) {
        #[cfg(unix)]
        if self.is_mapped {
            // SAFETY: the mapping is this value's, and nothing refers to it any more.
            let outcome = unsafe { rustix::mm::munmap(self.start.as_ptr().cast(), self.length) };
            debug_assert!(outcome.is_ok(), "{outcome:?}");
            return;
        }
        debug_assert!(!self.is_mapped, "pages are of Unix");
        let bytes = NonNull::slice_from_raw_parts(self.start, self.length);
        // SAFETY: it was made of a box of this length, which nothing refers to any more.
        drop(unsafe { Box::from_raw(bytes.as_ptr()) });
    }
}

impl Deref for Bytes {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        // SAFETY: this many bytes are there, and were initialized, until `self` is dropped.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.length) }
    }
}

impl DerefMut for Bytes {
    #[inline]
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: as above, and there is no other reference to them.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), self.length) }
    }
}

impl fmt::Debug for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bytes").field("length", &self.length).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_and_long_ones_hold_what_they_are_given() {
        for length in [0, 1, LEAST_MAPPED - 1, LEAST_MAPPED, LEAST_MAPPED + 1, 1 << 20] {
            let mut bytes = Bytes::zeroed(length);
            assert_eq!((bytes.len(), bytes.iter().all(|byte| *byte == 0)), (length, true));
            assert_eq!(bytes.is_mapped, cfg!(unix) && length >= LEAST_MAPPED);
            bytes.iter_mut().zip(0..).for_each(|(byte, at)| *byte = (at % 251) as u8);
            let copy = Bytes::copy_of(&bytes);
            drop(bytes);
            assert!(copy.iter().zip(0..).all(|(byte, at)| *byte == (at % 251) as u8));
            // A box can be of any length.
            let boxed = Bytes::from(copy.to_vec());
            assert_eq!((boxed.is_mapped, &*boxed), (false, &*copy));
            // It may end on another thread than it began on.
            std::thread::spawn(move || drop(copy)).join().unwrap();
        }
    }
}
