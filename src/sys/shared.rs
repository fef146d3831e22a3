//! Memory that a process and the children it forks have in common.

use std::io;
use std::ops::Deref;

use std::sync::atomic::AtomicU64;

/// Numbers that are zero at first. What a forked child stores, its parent and its siblings load, and the other way
/// round; a program that a child executes has no part in it.
///
/// Numbers only: a pointer, or what holds one, would lead into the memory of another process.
#[derive(Debug)]
pub(crate) struct SharedWords(imp::Mapping);

impl SharedWords {
    pub(crate) fn new(count: usize) -> io::Result<Self> {
        imp::Mapping::new(count).map(Self)
    }
}

impl Deref for SharedWords {
    type Target = [AtomicU64];

    fn deref(&self) -> &[AtomicU64] {
        self.0.words()
    }
}

#[cfg(unix)]
mod imp {
    use std::io;
    use std::ptr::NonNull;
    use std::sync::atomic::AtomicU64;

    use rustix::mm::MapFlags;
    use rustix::mm::ProtFlags;

    #[derive(Debug)]
    pub(super) struct Mapping {
        words: NonNull<AtomicU64>,
        count: usize,
    }

    // SAFETY: it owns its memory, which does not depend on a thread.
    unsafe impl Send for Mapping {}
    // SAFETY: it gives out nothing but shared references to atomics.
    unsafe impl Sync for Mapping {}

    impl Mapping {
        pub(super) fn new(count: usize) -> io::Result<Self> {
            let (protection, flags) = (ProtFlags::READ | ProtFlags::WRITE, MapFlags::SHARED);
            // SAFETY: a new mapping, where the system chooses.
            let start = unsafe { rustix::mm::mmap_anonymous(std::ptr::null_mut(), length(count), protection, flags) }?;
            let words = NonNull::new(start.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
            Ok(Self { words, count })
        }

        pub(super) fn words(&self) -> &[AtomicU64] {
            // SAFETY: the mapping begins with a page, has room for this many, and is zero at first, which is a value of
            // theirs; it is there until `self` is dropped.
            unsafe { std::slice::from_raw_parts(self.words.as_ptr(), self.count) }
        }
    }

    impl Drop for Mapping {
        fn drop(&mut self) {
            // SAFETY: this mapping, whole; nothing borrowed from it is left.
            let _ = unsafe { rustix::mm::munmap(self.words.as_ptr().cast(), length(self.count)) };
        }
    }

    /// No mapping has length 0.
    fn length(count: usize) -> usize {
        count.max(1).saturating_mul(size_of::<AtomicU64>())
    }
}

/// Without fork(2) there is no process to share with.
#[cfg(not(unix))]
mod imp {
    use std::io;
    use std::sync::atomic::AtomicU64;

    #[derive(Debug)]
    pub(super) struct Mapping(Box<[AtomicU64]>);

    impl Mapping {
        #[allow(clippy::unnecessary_wraps, reason = "elsewhere it can fail")]
        pub(super) fn new(count: usize) -> io::Result<Self> {
            Ok(Self(std::iter::repeat_with(AtomicU64::default).take(count).collect()))
        }

        pub(super) fn words(&self) -> &[AtomicU64] {
            &self.0
        }
    }
}
