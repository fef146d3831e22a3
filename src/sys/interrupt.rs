//! Signals that interrupt, for tests: sigaction(2) without `SA_RESTART`.

use std::io;
use std::mem::MaybeUninit;

/// Catches `signal` with a handler that does nothing, so that it interrupts every system call that waits.
pub(crate) fn interrupt_by(signal: i32) -> io::Result<()> {
    extern "C" fn nothing(_: libc::c_int) {}
    let mut action = MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: a `sigaction` is made of integers and an optional pointer: all zeros are a valid one, without flags.
    let action = unsafe { action.assume_init_mut() };
    // SAFETY: the mask is a field of the structure above.
    unsafe { libc::sigemptyset(&raw mut action.sa_mask) };
    action.sa_sigaction = nothing as extern "C" fn(libc::c_int) as libc::sighandler_t;
    // SAFETY: the handler does nothing, which is async-signal-safe; the structure is initialized and only read.
    let outcome = unsafe { libc::sigaction(signal, action, std::ptr::null_mut()) };
    if outcome == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
