//! Whether this process has one thread: whatever lock another thread holds would stay locked in a forked child for ever.

use std::io;

/// Why a process is not known to have one thread.
#[derive(Debug)]
pub(crate) enum NotOneThread {
    /// It has more; how many, if that can be told.
    Several(Option<usize>),
    /// The system does not tell.
    Unknown(io::Error),
}

/// Fails unless this process has one thread.
///
/// On systems other than Linux, macOS and FreeBSD nothing tells, and the word of the documentation has to do.
pub(crate) fn check() -> Result<(), NotOneThread> {
    /// A thread that has been joined may still be counted for an instant.
    const TRIES: usize = 1000;
    for _ in 0..TRIES {
        if imp::is_only_thread().map_err(NotOneThread::Unknown)? {
            return Ok(());
        }
        std::thread::yield_now();
    }
    Err(NotOneThread::Several(imp::count().ok()))
}

#[cfg(target_os = "linux")]
mod imp {
    use std::io;

    /// One system call, which needs neither /proc nor a descriptor; where a sandbox has it fail, the count in /proc.
    pub(super) fn is_only_thread() -> io::Result<bool> {
        judge(unshare_thread(), count)
    }

    /// Succeeds only in a process of one thread, and does nothing there: unshare(2), `CLONE_THREAD`.
    fn unshare_thread() -> io::Result<()> {
        // SAFETY: with this flag alone it changes nothing.
        if unsafe { libc::unshare(libc::CLONE_THREAD) } == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }

    pub(super) fn judge(unshared: io::Result<()>, count: impl FnOnce() -> io::Result<usize>) -> io::Result<bool> {
        let Err(refusal) = unshared else { return Ok(true) };
        match count() {
            Ok(threads) => Ok(threads == 1),
            // What it says of a process of several threads.
            Err(_) if refusal.raw_os_error() == Some(libc::EINVAL) => Ok(false),
            Err(error) => Err(io::Error::new(error.kind(), format!("/proc/self/task: {error}; unshare(2): {refusal}"))),
        }
    }

    pub(super) fn count() -> io::Result<usize> {
        let mut threads = 0;
        for entry in std::fs::read_dir("/proc/self/task")? {
            entry?;
            threads += 1;
        }
        if threads == 0 { Err(io::Error::other("it is empty")) } else { Ok(threads) }
    }
}

#[cfg(any(target_os = "macos", target_os = "freebsd"))]
mod imp {
    use std::io;
    use std::mem::MaybeUninit;

    pub(super) fn is_only_thread() -> io::Result<bool> {
        Ok(count()? == 1)
    }

    #[cfg(target_os = "macos")]
    pub(super) fn count() -> io::Result<usize> {
        let mut info = MaybeUninit::<libc::proc_taskinfo>::uninit();
        let size = size_of::<libc::proc_taskinfo>() as libc::c_int;
        let this = std::process::id().cast_signed();
        // SAFETY: there is room for `size` bytes.
        let written = unsafe { libc::proc_pidinfo(this, libc::PROC_PIDTASKINFO, 0, info.as_mut_ptr().cast(), size) };
        if written < size {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: all of it has been written.
        let info = unsafe { info.assume_init() };
        usize::try_from(info.pti_threadnum).map_err(io::Error::other)
    }

    #[cfg(target_os = "freebsd")]
    pub(super) fn count() -> io::Result<usize> {
        let mut info = MaybeUninit::<libc::kinfo_proc>::uninit();
        let mut size = size_of::<libc::kinfo_proc>();
        let name = [libc::CTL_KERN, libc::KERN_PROC, libc::KERN_PROC_PID, std::process::id().cast_signed()];
        let (at, null) = (info.as_mut_ptr().cast(), std::ptr::null());
        // SAFETY: `name` has four parts, and there is room for `size` bytes.
        let outcome = unsafe { libc::sysctl(name.as_ptr(), 4, at, &raw mut size, null, 0) };
        if outcome != 0 || size < size_of::<libc::kinfo_proc>() {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: all of it has been written.
        let info = unsafe { info.assume_init() };
        usize::try_from(info.ki_numthreads).map_err(io::Error::other)
    }
}

#[cfg(not(any(target_os = "linux", target_os = "macos", target_os = "freebsd")))]
mod imp {
    use std::io;

    #[allow(clippy::unnecessary_wraps, reason = "elsewhere it can fail")]
    pub(super) fn is_only_thread() -> io::Result<bool> {
        Ok(true)
    }

    pub(super) fn count() -> io::Result<usize> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    fn refusal(errno: i32) -> io::Result<()> {
        Err(io::Error::from_raw_os_error(errno))
    }

    #[test]
    fn the_only_thread_is_known_by_either_way() {
        let never = || panic!("one way is enough");
        assert!(imp::judge(Ok(()), never).unwrap());
        for errno in [libc::EPERM, libc::ENOSYS, libc::EINVAL] {
            assert!(imp::judge(refusal(errno), || Ok(1)).unwrap());
            assert!(!imp::judge(refusal(errno), || Ok(2)).unwrap());
        }
        let no_proc = || Err(io::ErrorKind::NotFound.into());
        assert!(!imp::judge(refusal(libc::EINVAL), no_proc).unwrap());
    }

    #[test]
    fn what_cannot_be_found_out_is_an_error() {
        for unreadable in [libc::ENOENT, libc::EIO, libc::EMFILE] {
            let error = imp::judge(refusal(libc::EPERM), || Err(io::Error::from_raw_os_error(unreadable))).unwrap_err();
            let said = error.to_string();
            assert!(said.starts_with("/proc/self/task: ") && said.contains("; unshare(2): "), "{said}");
        }
    }

    #[test]
    fn threads_of_a_test_are_counted() {
        // The harness has one of its own.
        assert!(matches!(check(), Err(NotOneThread::Several(Some(2..)))));
    }
}
