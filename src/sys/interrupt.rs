//! Signals that interrupt, for tests: sigaction(2) without `SA_RESTART`.

use std::io;
use std::mem::MaybeUninit;

use super::catchable::check_catchable;

/// Catches `signal` with a handler that does nothing, so that it interrupts every system call that waits.
pub(crate) fn interrupt_by(signal: i32) -> io::Result<()> {
    extern "C" fn nothing(_: libc::c_int) {}
    check_catchable(signal)?;
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

#[cfg(test)]
mod tests {
    use super::interrupt_by;

    #[test]
    fn signals_that_must_not_be_caught_are_refused() {
        for (signal, name) in [(libc::SIGSEGV, "SIGSEGV"), (libc::SIGBUS, "SIGBUS"), (libc::SIGKILL, "SIGKILL")] {
            let before = crate::sys::fork::action(signal).unwrap().sa_sigaction;
            let error = interrupt_by(signal).unwrap_err();
            assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput);
            assert!(error.to_string().starts_with(&format!("signal {signal} ({name}) ")), "{error}");
            assert_eq!(crate::sys::fork::action(signal).unwrap().sa_sigaction, before);
        }
        assert_eq!(interrupt_by(4000).unwrap_err().to_string(), "signal 4000 is not one of this system");
        interrupt_by(libc::SIGURG).unwrap();
    }
}
