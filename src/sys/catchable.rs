//! Which signals can have a handler here.

use std::io;

/// What the kernel tells a program of its own faults. A handler that returns goes back to the instruction that failed,
/// which fails again, for ever; and the standard library has one of its own, which finds overflows of stacks.
const FAULTS: [(libc::c_int, &str); 6] = [
    (libc::SIGBUS, "SIGBUS"),
    (libc::SIGFPE, "SIGFPE"),
    (libc::SIGILL, "SIGILL"),
    (libc::SIGSEGV, "SIGSEGV"),
    (libc::SIGSYS, "SIGSYS"),
    (libc::SIGTRAP, "SIGTRAP"),
];

const NEVER_CAUGHT: [(libc::c_int, &str); 2] = [(libc::SIGKILL, "SIGKILL"), (libc::SIGSTOP, "SIGSTOP")];

/// An error that names the signal, unless it can be caught.
pub(crate) fn check_catchable(signal: libc::c_int) -> io::Result<()> {
    let name = |list: &[(libc::c_int, &'static str)]| list.iter().find(|known| known.0 == signal).map(|known| known.1);
    let reason = if let Some(name) = name(&FAULTS) {
        format!("({name}) reports a fault of the program: choose another, such as SIGUSR1")
    } else if let Some(name) = name(&NEVER_CAUGHT) {
        format!("({name}) cannot be caught: choose another, such as SIGUSR1")
    } else if super::fork::action(signal).is_none() {
        "is not one of this system".to_owned()
    } else {
        return Ok(());
    };
    Err(io::Error::new(io::ErrorKind::InvalidInput, format!("signal {signal} {reason}")))
}
