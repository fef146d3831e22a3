//! Whether there is room for a datagram, and where it is missing.

use std::io;

use socket2::SockAddr;

use super::DatagramSocket;

/// Why a datagram has not left.
#[derive(Debug)]
pub(crate) enum NotSent {
    /// There is no room in the send buffer of this socket, or in the queue of its device.
    Full,
    /// There is no room in the queue of the peer's Unix socket.
    PeerFull,
    Failed(io::Error),
}

/// The error of a full queue that is not `WouldBlock`: of a device, and on BSD of a Unix socket's peer.
#[cfg(unix)]
const NO_BUFFERS: i32 = libc::ENOBUFS;
#[cfg(windows)]
const NO_BUFFERS: i32 = 10055;

impl DatagramSocket {
    /// What the error of a send to `to` means.
    pub(super) fn not_sent(&self, error: io::Error, to: &SockAddr) -> NotSent {
        let no_room = error.kind() == io::ErrorKind::WouldBlock || error.raw_os_error() == Some(NO_BUFFERS);
        match no_room {
            false => NotSent::Failed(error),
            true if to.is_unix() && !self.is_full() => NotSent::PeerFull,
            true => NotSent::Full,
        }
    }

    /// Whether the send buffer is full. What peers on Unix sockets have not read counts: a message stays in the sender's
    /// buffer until then.
    #[cfg(target_os = "linux")]
    fn is_full(&self) -> bool {
        use std::os::fd::AsRawFd;

        let mut used: libc::c_int = 0;
        // SAFETY: TIOCOUTQ, which is SIOCOUTQ of unix(7), writes an int.
        let outcome = unsafe { libc::ioctl(self.socket.as_raw_fd(), libc::TIOCOUTQ, &raw mut used) };
        let room = self.socket.send_buffer_size().unwrap_or_default();
        outcome == 0 && usize::try_from(used).is_ok_and(|used| used >= room)
    }

    /// Elsewhere a message moves to the peer's buffer at once.
    #[cfg(not(target_os = "linux"))]
    #[allow(clippy::unused_self, reason = "Linux asks the socket")]
    fn is_full(&self) -> bool {
        false
    }

    /// Makes the send buffer at least this long, as far as the system allows.
    #[cfg(target_os = "linux")]
    pub(crate) fn raise_send_buffer(&self, bytes: usize) -> io::Result<()> {
        if self.socket.send_buffer_size()? < bytes {
            // The kernel doubles what it is told, for its own accounts, and clamps it to net.core.wmem_max.
            self.socket.set_send_buffer_size(bytes / 2)?;
        }
        if self.socket.send_buffer_size()? < bytes {
            // Beyond that for the privileged alone; others make do.
            let _ = rustix::net::sockopt::set_socket_send_buffer_size_force(&self.socket, bytes / 2);
        }
        Ok(())
    }
}
