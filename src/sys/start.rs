//! Starts a program with descriptors of this process, as sd_listen_fds(3) has it.
//!
//! The process may have many threads: between fork(2) and execve(2) the child calls nothing but what signal-safety(7)
//! allows, and touches only memory that was made ready before. The standard library's `Command` will not do, as
//! `LISTEN_PID` is known in the child only.

use std::ffi::CStr;
use std::ffi::CString;
use std::ffi::OsString;
use std::ffi::c_char;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::AsRawFd;
use std::os::fd::BorrowedFd;
use std::os::unix::ffi::OsStringExt;
use std::ptr;

use super::fork::BlockedSignals;

/// Descriptors that are passed begin with this number: sd_listen_fds(3).
pub(crate) const FIRST: i32 = 3;

/// What a child writes to the last of its descriptors if it cannot become the program, before an `i32` that says why.
pub(crate) const NOT_STARTED: u8 = b'E';

const PID: &[u8] = b"LISTEN_PID=";

/// Digits of a process ID.
const DIGITS: usize = 10;

/// A program with its arguments and environment.
pub(crate) struct Program {
    pub(crate) path: OsString,
    /// Its own name included.
    pub(crate) arguments: Vec<OsString>,
    /// `NAME=value`; `LISTEN_PID` is added.
    pub(crate) environment: Vec<OsString>,
}

/// Starts it with these descriptors, numbered from [`FIRST`] on; the process ID of the child. Whether it has become the
/// program is not known yet: if it cannot, it says so on the last descriptor and exits with 127.
pub(crate) fn start(program: Program, descriptors: &[BorrowedFd<'_>]) -> io::Result<u32> {
    let path = text(program.path)?;
    let arguments = texts(program.arguments)?;
    let environment = texts(program.environment)?;
    let mut pid_text = PID.to_vec();
    pid_text.resize(PID.len() + DIGITS + 1, 0);
    let mut copies = vec![-1; descriptors.len()];
    let arguments = pointers(&arguments, None);
    let environment = pointers(&environment, Some(pid_text.as_mut_ptr().cast()));
    let sources: Vec<i32> = descriptors.iter().map(AsRawFd::as_raw_fd).collect();
    let child = Child { path: &path, arguments: &arguments, environment: &environment, sources: &sources };
    let blocked = BlockedSignals::all()?;
    // SAFETY: the child calls only what may be called after a fork in a process with threads: see `become_program`.
    let pid = unsafe { libc::fork() };
    match u32::try_from(pid) {
        Err(_) => Err(io::Error::last_os_error()),
        Ok(0) => child.become_program(&mut copies, &mut pid_text[PID.len()..]),
        Ok(pid) => {
            drop(blocked);
            Ok(pid)
        }
    }
}

/// What the child needs, made ready before the fork.
struct Child<'a> {
    path: &'a CStr,
    arguments: &'a [*const c_char],
    environment: &'a [*const c_char],
    sources: &'a [i32],
}

impl Child<'_> {
    /// In the child. Every call is in the list of signal-safety(7); nothing is allocated, and nothing can panic.
    fn become_program(&self, copies: &mut [i32], digits: &mut [u8]) -> ! {
        let above = FIRST + self.sources.len() as i32;
        // First all out of the way: one of the sources may have the number that another is to get.
        for (source, copy) in self.sources.iter().zip(copies.iter_mut()) {
            // SAFETY: it copies a descriptor.
            *copy = unsafe { libc::fcntl(*source, libc::F_DUPFD_CLOEXEC, above) };
            if *copy == -1 {
                self.give_up();
            }
        }
        for (target, copy) in (FIRST..).zip(copies.iter()) {
            // SAFETY: whatever has this number is not used by this process any more. The copy is not closed on exec.
            if unsafe { libc::dup2(*copy, target) } == -1 {
                self.give_up();
            }
        }
        // SAFETY: it has no requirements.
        write_digits(unsafe { libc::getpid() }, digits);
        // Handlers become the default by themselves. What asks for another restart must not end a program that has no
        // handler for it yet.
        // SAFETY: no handler is installed.
        unsafe { libc::signal(libc::SIGUSR2, libc::SIG_IGN) };
        // The standard library has it ignored.
        // SAFETY: no handler is installed.
        unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
        unblock_all();
        // SAFETY: the path ends with a zero byte, and the lists with a null pointer; all of their texts live.
        unsafe { libc::execve(self.path.as_ptr(), self.arguments.as_ptr(), self.environment.as_ptr()) };
        self.give_up()
    }

    /// Tells why, and ends.
    fn give_up(&self) -> ! {
        let errno = io::Error::last_os_error().raw_os_error().unwrap_or_default();
        let mut message = [NOT_STARTED; 5];
        message[1..].copy_from_slice(&errno.to_ne_bytes());
        if let Some(last) = self.sources.last() {
            // The original: it may not have come to have its number.
            // SAFETY: the message is that long.
            unsafe { libc::write(*last, message.as_ptr().cast(), message.len()) };
        }
        // SAFETY: it does not return.
        unsafe { libc::_exit(127) }
    }
}

/// In front, and zeros behind: leading zeros would make an octal number of it for some.
fn write_digits(number: i32, room: &mut [u8]) {
    let mut digits = [0; DIGITS];
    let mut rest = number.unsigned_abs();
    let mut count = 0;
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (rest % 10) as u8;
        rest /= 10;
        count += 1;
        if rest == 0 {
            break;
        }
    }
    for (place, digit) in room.iter_mut().zip(digits.iter().skip(DIGITS - count)) {
        *place = *digit;
    }
}

fn text(text: OsString) -> io::Result<CString> {
    Ok(CString::new(text.into_vec())?)
}

fn texts(list: Vec<OsString>) -> io::Result<Vec<CString>> {
    list.into_iter().map(text).collect()
}

/// As execve(2) takes them: `more`, and a null pointer at the end.
fn pointers(list: &[CString], more: Option<*const c_char>) -> Vec<*const c_char> {
    list.iter().map(|text| text.as_ptr()).chain(more).chain([ptr::null()]).collect()
}

/// In the child: a program begins with no signal blocked.
fn unblock_all() {
    let mut none = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: it initializes the set.
    unsafe { libc::sigemptyset(none.as_mut_ptr()) };
    // SAFETY: the set is initialized.
    unsafe { libc::sigprocmask(libc::SIG_SETMASK, none.as_ptr(), ptr::null_mut()) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_stand_in_front() {
        for number in [1, 9, 10, 4_194_304, i32::MAX] {
            let mut room = [0; DIGITS + 1];
            write_digits(number, &mut room);
            let text = CStr::from_bytes_until_nul(&room).unwrap().to_str().unwrap();
            assert_eq!(text, number.to_string());
        }
    }
}
