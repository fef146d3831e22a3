//! Signals that do nothing but interrupt.

use std::io;

/// From here on `signal` interrupts every system call of this process that waits, and does nothing else: for a storm of
/// signals in a test. The handler is one without `SA_RESTART`, so that nothing is hidden by the system.
///
/// # Errors
///
/// The system does not let this signal be caught; or it tells a program of a fault of its own (SIGSEGV, SIGBUS, SIGFPE,
/// SIGILL, SIGTRAP, SIGSYS), which must not go on as if nothing had happened.
pub fn interrupt_by(signal: i32) -> io::Result<()> {
    crate::sys::interrupt::interrupt_by(signal)
}
