//! A level that can be raised from anywhere and waited for: an eventfd, a pipe, or a socket that has sent to itself.

use std::io;

use crate::sys::Descriptor;

/// Readable from [`raise`](Self::raise) to [`clear`](Self::clear), however many wait for it.
#[derive(Debug)]
pub(crate) struct Flag {
    inner: imp::Flag,
}

impl Flag {
    pub(crate) fn new() -> io::Result<Self> {
        imp::Flag::new().map(|inner| Self { inner })
    }

    /// Async-signal-safe: one `write(2)`; raising what is raised changes nothing.
    pub(crate) fn raise(&self) {
        self.inner.raise();
    }

    pub(crate) fn clear(&self) {
        self.inner.clear();
    }

    /// Whether it is raised; for model checks, which do not wait.
    #[cfg(all(test, socketserver_shuttle))]
    pub(crate) fn is_raised(&self) -> bool {
        use crate::sys::wait::Woken;
        use crate::sys::wait::wait;
        let look = wait(self.descriptor(), crate::sys::Interest::Read, &[], Some(std::time::Instant::now()));
        matches!(look, Ok(Woken::Ready))
    }

    pub(crate) fn descriptor(&self) -> Descriptor<'_> {
        self.inner.descriptor()
    }
}

#[cfg(target_os = "linux")]
mod imp {
    use std::io;
    use std::os::fd::AsFd;
    use std::os::fd::BorrowedFd;
    use std::os::fd::OwnedFd;

    use rustix::event::EventfdFlags;

    #[derive(Debug)]
    pub(super) struct Flag(OwnedFd);

    impl Flag {
        pub(super) fn new() -> io::Result<Self> {
            Ok(Self(rustix::event::eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?))
        }

        pub(super) fn raise(&self) {
            // It can only fail where the counter is full, and then the level is raised already.
            let _ = rustix::io::write(&self.0, &1u64.to_ne_bytes());
        }

        pub(super) fn clear(&self) {
            let _ = rustix::io::read(&self.0, &mut [0; 8]);
        }

        pub(super) fn descriptor(&self) -> BorrowedFd<'_> {
            self.0.as_fd()
        }
    }
}

#[cfg(all(unix, not(target_os = "linux")))]
mod imp {
    use std::io;
    use std::os::fd::AsFd;
    use std::os::fd::BorrowedFd;
    use std::os::fd::OwnedFd;

    use rustix::fs::OFlags;
    use rustix::io::FdFlags;

    #[derive(Debug)]
    pub(super) struct Flag {
        reader: OwnedFd,
        writer: OwnedFd,
    }

    impl Flag {
        pub(super) fn new() -> io::Result<Self> {
            let (reader, writer) = rustix::pipe::pipe()?;
            for end in [&reader, &writer] {
                rustix::io::fcntl_setfd(end, FdFlags::CLOEXEC)?;
                rustix::fs::fcntl_setfl(end, OFlags::NONBLOCK)?;
            }
            Ok(Self { reader, writer })
        }

        pub(super) fn raise(&self) {
            let _ = rustix::io::write(&self.writer, &[1]);
        }

        pub(super) fn clear(&self) {
            while matches!(rustix::io::read(&self.reader, &mut [0; 64]), Ok(64)) {}
        }

        pub(super) fn descriptor(&self) -> BorrowedFd<'_> {
            self.reader.as_fd()
        }
    }
}

#[cfg(windows)]
mod imp {
    use std::io;
    use std::net::Ipv4Addr;
    use std::net::UdpSocket;
    use std::os::windows::io::AsSocket;
    use std::os::windows::io::BorrowedSocket;

    #[derive(Debug)]
    pub(super) struct Flag(UdpSocket);

    impl Flag {
        pub(super) fn new() -> io::Result<Self> {
            let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
            socket.connect(socket.local_addr()?)?;
            socket.set_nonblocking(true)?;
            Ok(Self(socket))
        }

        pub(super) fn raise(&self) {
            let _ = self.0.send(&[1]);
        }

        pub(super) fn clear(&self) {
            while self.0.recv(&mut [0; 1]).is_ok() {}
        }

        pub(super) fn descriptor(&self) -> BorrowedSocket<'_> {
            self.0.as_socket()
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;
    use std::time::Instant;

    use super::Flag;
    use crate::sys::Interest;
    use crate::sys::wait::Woken;
    use crate::sys::wait::wait;

    fn is_raised(flag: &Flag) -> bool {
        let other = Flag::new().unwrap();
        let woken = wait(other.descriptor(), Interest::Read, &[Some(flag)], Some(Instant::now())).unwrap();
        woken == Woken::Flag(0)
    }

    #[test]
    fn stays_raised_until_cleared() {
        let flag = Flag::new().unwrap();
        assert!(!is_raised(&flag));
        flag.raise();
        flag.raise();
        assert!(is_raised(&flag));
        assert!(is_raised(&flag));
        flag.clear();
        assert!(!is_raised(&flag));
    }

    #[test]
    fn a_deadline_bounds_the_wait() {
        let flag = Flag::new().unwrap();
        let deadline = Instant::now() + Duration::from_millis(20);
        let woken = wait(flag.descriptor(), Interest::Read, &[], Some(deadline)).unwrap();
        assert_eq!(woken, Woken::TimedOut);
        assert!(Instant::now() >= deadline);
    }
}
