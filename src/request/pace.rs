//! How fast a peer has to be with what it sends in mid-message and with what it takes: a deadline that moves with each
//! byte.

use std::io;
use std::time::Duration;
use std::time::Instant;

use crate::error::told;

/// This many bytes a second on average, once the grace is over.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MinRate {
    /// At least 1.
    pub(crate) bytes_per_second: u32,
    pub(crate) grace: Duration,
}

impl MinRate {
    /// How long a transfer may have taken that has come so far.
    fn allowance(self, bytes: u64) -> Duration {
        let rate = u64::from(self.bytes_per_second.max(1));
        // The rest is less than 2^32, so that it fits.
        let rest = Duration::from_nanos(bytes % rate * 1_000_000_000 / rate);
        self.grace.saturating_add(Duration::from_secs(bytes / rate)).saturating_add(rest)
    }

    /// When a transfer that began at `since` has been too slow, if not another byte comes; `None` for never.
    pub(crate) fn due(self, since: Instant, bytes: u64) -> Option<Instant> {
        since.checked_add(self.allowance(bytes))
    }

    pub(crate) fn error(self, what: &str) -> io::Error {
        let Self { bytes_per_second, grace } = self;
        let message = format!("{what} fell below {bytes_per_second} bytes/s (after a grace period of {grace:?})");
        told(io::ErrorKind::TimedOut, message)
    }
}

/// When a wait is given up, and whether it is for the rate.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Due {
    pub(crate) at: Option<Instant>,
    pub(crate) by_rate: bool,
    /// The wait is for the first byte of something.
    pub(crate) between_messages: bool,
}

impl Due {
    /// By a timeout, or by the rate if that is sooner.
    pub(crate) fn first(timeout: Option<Instant>, rate: Option<Instant>) -> Self {
        let by_rate = rate.is_some_and(|rate| timeout.is_none_or(|timeout| rate < timeout));
        Self { at: if by_rate { rate } else { timeout }, by_rate, between_messages: false }
    }
}

/// Output on its way to a peer that takes it in pieces.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sending {
    begun: Instant,
    /// Bytes that had been sent when it began.
    before: u64,
    /// The peer has taken nothing since then.
    stalled_since: Instant,
    sent: u64,
}

impl Sending {
    /// From `now` on, where `sent` bytes have been sent before.
    pub(crate) fn new(now: Instant, sent: u64) -> Self {
        Self { begun: now, before: sent, stalled_since: now, sent }
    }

    /// `sent` bytes have been sent by now.
    pub(crate) fn update(&mut self, now: Instant, sent: u64) {
        if self.sent != sent {
            self.sent = sent;
            self.stalled_since = now;
        }
    }

    /// When the peer has taken nothing for `timeout`, or too little at a time.
    pub(crate) fn due(&self, timeout: Option<Duration>, rate: Option<MinRate>) -> Due {
        Due::first(after(self.stalled_since, timeout), self.rate_due(rate))
    }

    pub(crate) fn rate_due(&self, rate: Option<MinRate>) -> Option<Instant> {
        rate.and_then(|rate| rate.due(self.begun, self.sent - self.before))
    }
}

/// The reads of an adaptor, which cannot be told from one another: they may be a line or an upload. They share a deadline.
#[derive(Debug, Default)]
pub(super) struct Pieces {
    /// What the handler has taken of them.
    pub(super) taken: u64,
    /// When one first waited.
    begun: Option<Instant>,
}

impl Pieces {
    /// When a wait that begins now is given up. Together they have the timeout, and the time that their bytes take at the
    /// rate; where there is no rate, each wait has the timeout.
    pub(super) fn due(&mut self, timeout: Option<Duration>, rate: Option<MinRate>) -> Due {
        let now = Instant::now();
        let Some(rate) = rate else {
            return Due { between_messages: self.taken == 0, ..Due::first(after(now, timeout), None) };
        };
        let begun = *self.begun.get_or_insert(now);
        let earned = MinRate { grace: Duration::ZERO, ..rate }.allowance(self.taken);
        let at = timeout.and_then(|timeout| begun.checked_add(timeout.saturating_add(earned)));
        Due { between_messages: self.taken == 0, ..Due::first(at, None) }
    }
}

/// A read of the handler's that may take several waits: they share its deadline.
#[derive(Debug, Default)]
pub(super) struct Reading {
    /// What the handler has taken of it.
    pub(super) taken: u64,
    until: Option<Option<Instant>>,
    /// When it first waited with a part of it there.
    begun: Option<Instant>,
}

impl Reading {
    /// When a wait that begins now is given up. One that waits for its first byte may be between two messages: no rate
    /// is asked of it.
    pub(super) fn due(&mut self, timeout: Option<Duration>, rate: Option<MinRate>) -> Due {
        let now = Instant::now();
        let until = *self.until.get_or_insert_with(|| after(now, timeout));
        let rate = rate.filter(|_| self.taken > 0);
        let due = Due::first(until, rate.and_then(|rate| rate.due(*self.begun.get_or_insert(now), self.taken)));
        Due { between_messages: self.taken == 0, ..due }
    }
}

/// `timeout` after `begun`; `None` for never.
pub(crate) fn after(begun: Instant, timeout: Option<Duration>) -> Option<Instant> {
    timeout.and_then(|timeout| begun.checked_add(timeout))
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: MinRate = MinRate { bytes_per_second: 100, grace: Duration::from_secs(30) };

    #[test]
    fn each_byte_buys_its_time() {
        assert_eq!(RATE.allowance(0), Duration::from_secs(30));
        assert_eq!(RATE.allowance(1), Duration::from_millis(30_010));
        assert_eq!(RATE.allowance(1_050), Duration::from_millis(40_500));
        assert_eq!(
            MinRate { bytes_per_second: u32::MAX, ..RATE }.allowance(u64::from(u32::MAX)),
            Duration::from_secs(31)
        );
        let slow = MinRate { bytes_per_second: 1, grace: Duration::MAX };
        assert_eq!(slow.due(Instant::now(), u64::MAX), None);
    }

    #[test]
    fn output_is_due_by_its_stall_or_by_its_rate() {
        let begun = Instant::now();
        let second = Duration::from_secs(1);
        let mut sending = Sending::new(begun, 1_000);
        let due = |sending: &Sending| sending.due(Some(20 * second), Some(RATE));
        assert_eq!((due(&sending).at, due(&sending).by_rate), (Some(begun + 20 * second), false));
        sending.update(begun + 15 * second, 1_100);
        assert_eq!((due(&sending).at, due(&sending).by_rate), (Some(begun + 31 * second), true));
        sending.update(begun + 16 * second, 101_000);
        assert_eq!((due(&sending).at, due(&sending).by_rate), (Some(begun + 36 * second), false));
    }

    #[test]
    fn a_read_owes_no_rate_before_its_first_byte() {
        let mut reading = Reading::default();
        let hour = Some(Duration::from_secs(3600));
        let first = reading.due(hour, Some(RATE));
        assert!(!first.by_rate);
        reading.taken = 1;
        let second = reading.due(hour, Some(RATE));
        assert!(second.by_rate && second.at < first.at);
        reading.taken = 1_000_000;
        let third = reading.due(hour, Some(RATE));
        assert_eq!((third.by_rate, third.at), (false, first.at), "one deadline for all of its waits");
    }
}
