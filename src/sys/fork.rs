//! fork(2), for a process with one thread: the only place that makes processes.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::AsRawFd;
use std::os::fd::BorrowedFd;

use super::flag::Flag;
use super::one_thread;
use super::one_thread::NotOneThread;

/// What terminals send to the whole group of processes. Where the server has a handler for it, what it means is the
/// server's matter, and its children are not to die or stop of it.
const OF_THE_GROUP: [libc::c_int; 4] = [libc::SIGHUP, libc::SIGINT, libc::SIGQUIT, libc::SIGTSTP];

/// Other signals whose handlers a server may have set, and that mean something else to a child.
const OF_THE_SERVER: [libc::c_int; 7] =
    [libc::SIGALRM, libc::SIGCHLD, libc::SIGCONT, libc::SIGTERM, libc::SIGUSR1, libc::SIGUSR2, libc::SIGWINCH];

/// What a child that serves is told by its parent, even where it gets the signal, too: a process manager sends SIGTERM to
/// all. It keeps the handlers of other signals, as it is the same program with the same work.
const OF_THE_SUPERVISOR: [libc::c_int; 5] = [libc::SIGINT, libc::SIGQUIT, libc::SIGTERM, libc::SIGTSTP, libc::SIGUSR2];

/// What a child is for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Purpose {
    /// One request.
    Request,
    /// To serve as its parent did.
    Serving,
}

/// Why there is no child.
#[derive(Debug)]
pub(crate) enum ForkError {
    /// It would not be safe.
    Threads(NotOneThread),
    /// The system has refused it.
    System(io::Error),
}

/// Forks; the process ID of the child.
///
/// The child runs `child` and ends with the exit code that this returns. Nothing of the caller's is run or dropped
/// there, and instead of each descriptor in `withheld` it has that of `idle`, which is never raised. It has none of the
/// parent's handlers for the usual signals, but for those that [`Purpose::Serving`] keeps, and as all are blocked over the
/// fork, none that is replaced runs there.
pub(crate) fn fork(
    purpose: Purpose,
    withheld: &[BorrowedFd<'_>],
    idle: &Flag,
    child: impl FnOnce() -> u8,
) -> Result<u32, ForkError> {
    let blocked = BlockedSignals::all().map_err(ForkError::System)?;
    keep_exit_codes();
    one_thread::check().map_err(ForkError::Threads)?;
    // SAFETY: this process has one thread, as has just been checked: no lock is held by a thread that the child does
    // not have, and the child may use everything.
    let pid = unsafe { libc::fork() };
    match u32::try_from(pid) {
        Err(_) => Err(ForkError::System(io::Error::last_os_error())),
        Ok(0) => {
            let (ignored, by_default): (&[_], &[_]) = match purpose {
                Purpose::Request => (&OF_THE_GROUP, &OF_THE_SERVER),
                Purpose::Serving => (&OF_THE_SUPERVISOR, &[libc::SIGCHLD]),
            };
            for signal in ignored {
                replace_handler(*signal, libc::SIG_IGN);
            }
            for signal in by_default {
                replace_handler(*signal, libc::SIG_DFL);
            }
            for descriptor in withheld {
                replace_descriptor(*descriptor, idle.descriptor());
            }
            drop(blocked);
            let _unwinding = Exit;
            exit(child())
        }
        Ok(pid) => Ok(pid),
    }
}

/// Were it only closed, its owner, which this process has as well, would stand for whatever gets its number next.
fn replace_descriptor(descriptor: BorrowedFd<'_>, by: BorrowedFd<'_>) {
    // SAFETY: both are open, and the owner of `descriptor` goes on having a descriptor of its number.
    if unsafe { libc::dup2(by.as_raw_fd(), descriptor.as_raw_fd()) } == -1 {
        // SAFETY: the limit on descriptors has come to lie below its number, which nothing else can get.
        unsafe { libc::close(descriptor.as_raw_fd()) };
        return;
    }
    // SAFETY: it sets the flag that dup2(2) has cleared.
    unsafe { libc::fcntl(descriptor.as_raw_fd(), libc::F_SETFD, libc::FD_CLOEXEC) };
}

/// Default and ignored dispositions stay.
fn replace_handler(signal: libc::c_int, disposition: libc::sighandler_t) {
    if let Some(now) = action(signal)
        && now.sa_sigaction != libc::SIG_DFL
        && now.sa_sigaction != libc::SIG_IGN
    {
        // SAFETY: neither of the two dispositions installs a handler.
        unsafe { libc::signal(signal, disposition) };
    }
}

/// Has the system keep the exit codes of children until they are asked for, also where this process has been started,
/// or has decided, to ignore them.
fn keep_exit_codes() {
    let Some(mut now) = action(libc::SIGCHLD) else { return };
    let drops = now.sa_flags & libc::SA_NOCLDWAIT != 0;
    if now.sa_sigaction == libc::SIG_IGN {
        now.sa_sigaction = libc::SIG_DFL;
    } else if !drops {
        return;
    }
    now.sa_flags &= !libc::SA_NOCLDWAIT;
    // SAFETY: the handler is the one that was installed, or the default.
    unsafe { libc::sigaction(libc::SIGCHLD, &raw const now, std::ptr::null_mut()) };
}

/// What this process does at a signal.
pub(super) fn action(signal: libc::c_int) -> Option<libc::sigaction> {
    let mut now = MaybeUninit::<libc::sigaction>::uninit();
    // SAFETY: it only asks; `now` is written by the call.
    let outcome = unsafe { libc::sigaction(signal, std::ptr::null(), now.as_mut_ptr()) };
    // SAFETY: written by the call, where that has succeeded.
    (outcome == 0).then(|| unsafe { now.assume_init() })
}

/// Ends a forked child, without running what the parent has registered for its own end.
fn exit(code: u8) -> ! {
    // SAFETY: _exit does not return and touches no memory.
    unsafe { libc::_exit(code.into()) }
}

/// A panic ends here, too.
struct Exit;

impl Drop for Exit {
    fn drop(&mut self) {
        exit(1);
    }
}

/// All signals are blocked until it is dropped, in the child as in the parent.
pub(super) struct BlockedSignals {
    before: libc::sigset_t,
}

impl BlockedSignals {
    pub(super) fn all() -> io::Result<Self> {
        let mut all = MaybeUninit::<libc::sigset_t>::uninit();
        let mut before = MaybeUninit::<libc::sigset_t>::uninit();
        // SAFETY: sigfillset initializes the set it is given.
        unsafe { libc::sigfillset(all.as_mut_ptr()) };
        // SAFETY: `all` is initialized; `before` is written by the call.
        match unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, all.as_ptr(), before.as_mut_ptr()) } {
            // SAFETY: written by the call, which has succeeded.
            0 => Ok(Self { before: unsafe { before.assume_init() } }),
            errno => Err(io::Error::from_raw_os_error(errno)),
        }
    }
}

impl Drop for BlockedSignals {
    fn drop(&mut self) {
        // SAFETY: a set that the system has made.
        let outcome = unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &raw const self.before, std::ptr::null_mut()) };
        debug_assert_eq!(outcome, 0, "a mask that was in force can be set again");
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;

    use super::*;
    use crate::sys::shared::SharedWords;

    // Here, as the tests of the whole server make use of that file, too.
    #[test]
    fn shared_words_are_zero_and_apart() {
        for count in [0, 1, 3, 10_000] {
            let words = SharedWords::new(count).unwrap();
            assert_eq!(words.len(), count);
            assert!(words.iter().all(|word| word.swap(7, Ordering::SeqCst) == 0));
            assert!(words.iter().all(|word| word.load(Ordering::SeqCst) == 7));
        }
        SharedWords::new(usize::MAX).unwrap_err();
    }

    #[test]
    fn exit_codes_are_kept_whatever_was_decided() {
        extern "C" fn handler(_: libc::c_int) {}
        let handler = handler as extern "C" fn(libc::c_int) as libc::sighandler_t;
        let before = action(libc::SIGCHLD).unwrap();
        for (had, has) in [(libc::SIG_DFL, libc::SIG_DFL), (libc::SIG_IGN, libc::SIG_DFL), (handler, handler)] {
            for flags in [0, libc::SA_NOCLDWAIT] {
                let mut set = before;
                (set.sa_sigaction, set.sa_flags) = (had, flags | libc::SA_RESTART);
                // SAFETY: the handler does nothing.
                unsafe { libc::sigaction(libc::SIGCHLD, &raw const set, std::ptr::null_mut()) };
                keep_exit_codes();
                let kept = action(libc::SIGCHLD).unwrap();
                assert_eq!(kept.sa_sigaction, has);
                assert_eq!(kept.sa_flags & (libc::SA_NOCLDWAIT | libc::SA_RESTART), libc::SA_RESTART);
            }
        }
        // SAFETY: what it was.
        unsafe { libc::sigaction(libc::SIGCHLD, &raw const before, std::ptr::null_mut()) };
    }
}
