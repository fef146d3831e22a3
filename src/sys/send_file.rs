//! sendfile(2): from a file to a socket inside the kernel.

use std::fs::File;
use std::io;

use crate::sys::Descriptor;

/// Sends up to `count` bytes of `file` from `offset` on, without waiting for the socket; 0 at the end of the file.
///
/// [`io::ErrorKind::WouldBlock`] where the socket has no room, [`io::ErrorKind::Unsupported`] where this file or socket
/// cannot be used so.
#[cfg(target_os = "linux")]
pub(crate) fn send_file(socket: Descriptor<'_>, file: &File, offset: u64, count: usize) -> io::Result<usize> {
    use rustix::io::Errno;
    if broken_pipes_kill() {
        return Err(io::ErrorKind::Unsupported.into());
    }
    let mut offset = offset;
    loop {
        match rustix::fs::sendfile(socket, file, Some(&mut offset), count) {
            Ok(count) => return Ok(count),
            Err(Errno::INTR) => {}
            // Files of file systems that cannot, devices, descriptors that append.
            Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP | Errno::OVERFLOW) => {
                return Err(io::ErrorKind::Unsupported.into());
            }
            Err(errno) => return Err(errno.into()),
        }
    }
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn send_file(_: Descriptor<'_>, _: &File, _: u64, _: usize) -> io::Result<usize> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Whether SIGPIPE has its default action, which is to end the process. Rust's runtime ignores it, but not every
/// program has a Rust `main`; send(2) can be told not to raise it, sendfile(2) cannot.
#[cfg(target_os = "linux")]
fn broken_pipes_kill() -> bool {
    let mut action = std::mem::MaybeUninit::<libc::sigaction>::uninit();
    // SAFETY: no action is set, and the present one is written to a place made for it.
    if unsafe { libc::sigaction(libc::SIGPIPE, std::ptr::null(), action.as_mut_ptr()) } != 0 {
        return true;
    }
    // SAFETY: the call has succeeded and filled it in.
    let action = unsafe { action.assume_init() };
    action.sa_sigaction == libc::SIG_DFL
}
