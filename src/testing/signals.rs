//! Signals that do nothing but interrupt.

use std::io;

/// Makes `signal` interrupt every blocking system call of this process, and do nothing else: for storms of signals in
/// tests. The handler is installed without `SA_RESTART`, so that the system does not hide interruptions.
///
/// # Errors
///
/// The signal cannot be caught, or reports a fault of the program (SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS),
/// after which it must not continue.
pub fn interrupt_by(signal: i32) -> io::Result<()> {
    crate::sys::interrupt::interrupt_by(signal)
}
