//! How often a source may connect.

use std::time::Duration;
use std::time::Instant;

/// So many new connections in so much time; as many at once, if there were none before.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Rate {
    pub(super) connections: u32,
    pub(super) per: Duration,
}

impl Rate {
    /// Whether one more may come now. Each is given its share of the time, behind those before: `spread` is where the last
    /// one's ends, and what is returned where this one's would, unless that is too far ahead.
    pub(super) fn admit(self, spread: Option<Instant>, now: Instant) -> Option<Instant> {
        let begins = spread.map_or(now, |until| until.max(now));
        let ends = begins + self.per / self.connections;
        (ends <= now + self.per).then_some(ends)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many of `tries` at one moment are admitted, and what is remembered then.
    fn admitted(rate: Rate, mut spread: Option<Instant>, now: Instant, tries: usize) -> (usize, Option<Instant>) {
        let mut count = 0;
        for _ in 0..tries {
            if let Some(until) = rate.admit(spread, now) {
                (count, spread) = (count + 1, Some(until));
            }
        }
        (count, spread)
    }

    #[test]
    fn as_many_at_once_and_then_as_they_are_earned() {
        // The time is no multiple of the number.
        for (connections, per) in [(1, 1000), (3, 1000), (7, 60_000), (1000, 1000)] {
            let (rate, begin) = (Rate { connections, per: Duration::from_millis(per) }, Instant::now());
            let (at_once, spread) = admitted(rate, None, begin, 2000);
            assert_eq!(at_once, connections as usize, "{rate:?}");
            let share = rate.per / connections;
            let (before, _) = admitted(rate, spread, begin + share - Duration::from_nanos(1000), 2000);
            assert_eq!(before, 0, "{rate:?}");
            let (earned, spread) = admitted(rate, spread, begin + share + share / 2, 2000);
            assert_eq!(earned, 1, "{rate:?}");
            // After a pause there are no more than at the beginning.
            let (after, _) = admitted(rate, spread, begin + rate.per * 10, 2000);
            assert_eq!(after, connections as usize, "{rate:?}");
        }
    }
}
