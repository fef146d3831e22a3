//! What an error of `accept` means: one table, and the back-off for a machine that is out of resources.

use std::io;
use std::time::Duration;
use std::time::Instant;

/// What to do after `accept` failed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum AcceptVerdict {
    /// Nothing is there: back to waiting.
    Wait,
    /// That one connection is lost; the next may be fine.
    Retry,
    /// The machine is short of something; trying at once would spin.
    BackOff,
    /// The listener is broken.
    Fatal,
}

/// Classifies an error of `accept`, after the list in accept(2).
pub(crate) fn classify(error: &io::Error) -> AcceptVerdict {
    if matches!(error.kind(), io::ErrorKind::WouldBlock) {
        return AcceptVerdict::Wait;
    }
    match error.raw_os_error() {
        Some(code) => by_code(code),
        // Errors without a code come from custom transports: one connection is lost.
        None => AcceptVerdict::Retry,
    }
}

#[cfg(unix)]
fn by_code(code: i32) -> AcceptVerdict {
    match code {
        // "already pending network errors on the new socket": accept(2), Error handling; and a firewall's EPERM.
        libc::ECONNABORTED
        | libc::EINTR
        | libc::EPERM
        | libc::EPROTO
        | libc::ENOPROTOOPT
        | libc::EOPNOTSUPP
        | libc::ENETDOWN
        | libc::ENETUNREACH
        | libc::EHOSTDOWN
        | libc::EHOSTUNREACH
        | libc::ECONNRESET
        | libc::ECONNREFUSED
        | libc::ETIMEDOUT => AcceptVerdict::Retry,
        #[cfg(target_os = "linux")]
        libc::ENONET => AcceptVerdict::Retry,
        libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM => AcceptVerdict::BackOff,
        libc::EBADF | libc::EINVAL | libc::ENOTSOCK | libc::EFAULT => AcceptVerdict::Fatal,
        // Unknown: assume that it passes, but do not spin on it.
        _ => AcceptVerdict::BackOff,
    }
}

#[cfg(windows)]
fn by_code(code: i32) -> AcceptVerdict {
    /// Windows Sockets error codes, from the documentation of `accept`.
    mod wsa {
        pub(super) const EINTR: i32 = 10004;
        pub(super) const EBADF: i32 = 10009;
        pub(super) const EFAULT: i32 = 10014;
        pub(super) const EINVAL: i32 = 10022;
        pub(super) const EMFILE: i32 = 10024;
        pub(super) const ENOTSOCK: i32 = 10038;
        pub(super) const EOPNOTSUPP: i32 = 10045;
        pub(super) const ENETDOWN: i32 = 10050;
        pub(super) const ECONNRESET: i32 = 10054;
        pub(super) const ENOBUFS: i32 = 10055;
    }
    match code {
        wsa::EINTR | wsa::ENETDOWN | wsa::ECONNRESET => AcceptVerdict::Retry,
        wsa::EMFILE | wsa::ENOBUFS => AcceptVerdict::BackOff,
        wsa::EBADF | wsa::EFAULT | wsa::EINVAL | wsa::ENOTSOCK | wsa::EOPNOTSUPP => AcceptVerdict::Fatal,
        _ => AcceptVerdict::BackOff,
    }
}

/// 5 ms, doubling to 1 s, from the first failure of an episode to its end.
#[derive(Debug, Default)]
pub(crate) struct BackOff {
    delay: Option<Duration>,
    until: Option<Instant>,
    failures: u64,
}

impl BackOff {
    const FIRST: Duration = Duration::from_millis(5);
    const LONGEST: Duration = Duration::from_secs(1);

    /// Notes a failure; true if it begins an episode.
    pub(crate) fn failed(&mut self, now: Instant) -> bool {
        let begins = self.delay.is_none();
        let delay = self.delay.map_or(Self::FIRST, |delay| (delay * 2).min(Self::LONGEST));
        self.delay = Some(delay);
        self.until = Some(now + delay);
        self.failures += 1;
        begins
    }

    /// Notes a success; the number of failures if it ends an episode.
    pub(crate) fn succeeded(&mut self) -> Option<u64> {
        self.delay.take()?;
        self.until = None;
        Some(std::mem::take(&mut self.failures))
    }

    /// Something was freed: the next try may come at once.
    pub(crate) fn cut_short(&mut self) {
        self.until = None;
    }

    /// When the next try is due, while one waits.
    pub(crate) fn until(&self) -> Option<Instant> {
        self.until
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[test]
    fn the_table_of_accept_errors() {
        let of = |code| classify(&io::Error::from_raw_os_error(code));
        assert_eq!(of(libc::EAGAIN), AcceptVerdict::Wait);
        for code in [libc::ECONNABORTED, libc::EINTR, libc::EPROTO, libc::EHOSTUNREACH, libc::EOPNOTSUPP, libc::EPERM] {
            assert_eq!(of(code), AcceptVerdict::Retry);
        }
        for code in [libc::EMFILE, libc::ENFILE, libc::ENOBUFS, libc::ENOMEM, libc::EIO] {
            assert_eq!(of(code), AcceptVerdict::BackOff);
        }
        for code in [libc::EBADF, libc::EINVAL, libc::ENOTSOCK] {
            assert_eq!(of(code), AcceptVerdict::Fatal);
        }
        assert_eq!(classify(&io::Error::other("scripted")), AcceptVerdict::Retry);
    }

    #[test]
    fn an_episode_doubles_to_a_second_and_is_reported_once() {
        let mut back_off = BackOff::default();
        let now = Instant::now();
        assert!(back_off.failed(now));
        assert_eq!(back_off.until(), Some(now + Duration::from_millis(5)));
        assert!(!back_off.failed(now));
        assert_eq!(back_off.until(), Some(now + Duration::from_millis(10)));
        for _ in 0..20 {
            assert!(!back_off.failed(now));
        }
        assert_eq!(back_off.until(), Some(now + Duration::from_secs(1)));
        back_off.cut_short();
        assert_eq!(back_off.until(), None);
        assert_eq!(back_off.succeeded(), Some(22));
        assert_eq!(back_off.succeeded(), None);
    }
}
