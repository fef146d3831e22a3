//! fork(2), for a process with one thread: the only place that makes processes.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::RawFd;

/// Which side of the fork this is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Side {
    Child,
    Parent { pid: u32 },
}

/// What terminals send to the whole group of processes. Where the server has a handler for it, what it means is the
/// server's matter, and its children are not to die or stop of it.
const OF_THE_GROUP: [libc::c_int; 4] = [libc::SIGHUP, libc::SIGINT, libc::SIGQUIT, libc::SIGTSTP];

/// Other signals whose handlers a server may have set, and that mean something else to a child.
const OF_THE_SERVER: [libc::c_int; 7] =
    [libc::SIGALRM, libc::SIGCHLD, libc::SIGCONT, libc::SIGTERM, libc::SIGUSR1, libc::SIGUSR2, libc::SIGWINCH];

/// Forks. The child has none of the parent's handlers for the usual signals and must end in [`exit`].
///
/// All signals are blocked over the fork, so that no handler of the parent's runs in the child.
pub(crate) fn fork() -> io::Result<Side> {
    let mut all = MaybeUninit::<libc::sigset_t>::uninit();
    let mut before = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: sigfillset initializes the set it is given.
    unsafe { libc::sigfillset(all.as_mut_ptr()) };
    // SAFETY: `all` is initialized; `before` is written by the call.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, all.as_ptr(), before.as_mut_ptr()) };
    // SAFETY: the caller has made sure that this process has one thread, so that no lock is held by a thread
    // that the child does not have, and the child may use everything.
    let pid = unsafe { libc::fork() };
    let outcome = match u32::try_from(pid) {
        Err(_) => Err(io::Error::last_os_error()),
        Ok(0) => {
            for signal in OF_THE_GROUP {
                replace_handler(signal, libc::SIG_IGN);
            }
            for signal in OF_THE_SERVER {
                replace_handler(signal, libc::SIG_DFL);
            }
            Ok(Side::Child)
        }
        Ok(pid) => Ok(Side::Parent { pid }),
    };
    // SAFETY: `before` was written by the first pthread_sigmask.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, before.as_ptr(), std::ptr::null_mut()) };
    outcome
}

/// Default and ignored dispositions stay.
fn replace_handler(signal: libc::c_int, disposition: libc::sighandler_t) {
    let mut now = MaybeUninit::<libc::sigaction>::uninit();
    // SAFETY: it only asks; `now` is written by the call.
    if unsafe { libc::sigaction(signal, std::ptr::null(), now.as_mut_ptr()) } != 0 {
        return;
    }
    // SAFETY: written by the call, which has succeeded.
    let now = unsafe { now.assume_init() };
    if now.sa_sigaction != libc::SIG_DFL && now.sa_sigaction != libc::SIG_IGN {
        // SAFETY: neither of the two dispositions installs a handler.
        unsafe { libc::signal(signal, disposition) };
    }
}

/// Ends a forked child, without running what the parent has registered for its own end.
pub(crate) fn exit(code: i32) -> ! {
    // SAFETY: _exit does not return and touches no memory.
    unsafe { libc::_exit(code) }
}

/// Closes a descriptor of the parent's in a child, which ends in [`exit`] and so never drops its owner.
pub(crate) fn close_in_child(descriptor: RawFd) {
    // SAFETY: the owner is never used nor dropped in this process: see above.
    unsafe { libc::close(descriptor) };
}

/// How many threads this process has, where that can be told.
pub(crate) fn threads() -> Option<usize> {
    #[cfg(target_os = "linux")]
    {
        std::fs::read_dir("/proc/self/task").ok().map(Iterator::count)
    }
    #[cfg(not(target_os = "linux"))]
    None
}
