//! Deadlines of parked connections: a hierarchical timing wheel, O(1) for every operation.
//!
//! A connection that parks again with a later deadline costs nothing here: it only notes the deadline in its slot, and
//! its one entry finds that out when its turn comes, and moves on (Varghese and Lauck, 1987, scheme 7, with lazy
//! updates).

use std::time::Duration;
use std::time::Instant;

use super::token::Class;
use super::token::Expiry;
use super::token::Token;
use crate::sync::Mutex;

/// The wheel and the clock it turns on.
#[derive(Debug)]
pub(crate) struct Timers {
    epoch: Instant,
    wheel: Mutex<Wheel>,
}

/// Levels of 64 buckets; a bucket of one level is a whole turn of the level below.
const LEVELS: usize = 6;
const BITS: u32 = 6;
const BUCKETS: usize = 1 << BITS;
/// The width of a bucket of the lowest level, as a power of two of milliseconds.
const TICK_BITS: u32 = 2;

#[derive(Debug)]
struct Wheel {
    /// All entries before this tick have been given out.
    now: u64,
    occupied: [u64; LEVELS],
    buckets: Vec<Vec<(u64, Token)>>,
}

impl Timers {
    pub(crate) fn new() -> Self {
        let wheel = Wheel { now: 0, occupied: [0; LEVELS], buckets: vec![Vec::new(); LEVELS * BUCKETS] };
        Self { epoch: Instant::now(), wheel: Mutex::new(wheel) }
    }

    /// Milliseconds on this clock.
    #[inline]
    pub(crate) fn millis(&self, at: Instant) -> u64 {
        millis(at.saturating_duration_since(self.epoch))
    }

    /// `since` and a while, on this clock; `u64::MAX` for never. Rounded up, so that no wait is cut short.
    #[inline]
    pub(crate) fn deadline(timeout: Option<Duration>, since: u64) -> u64 {
        let Some(timeout) = timeout else { return u64::MAX };
        // Of its own fraction, and of that of `since`.
        let timeout = millis(timeout).saturating_add(u64::from(timeout.subsec_nanos() % 1_000_000 != 0));
        since.saturating_add(timeout).saturating_add(1)
    }

    /// Queues an entry for `deadline`.
    pub(crate) fn push(&self, deadline: u64, token: Token) {
        if deadline != u64::MAX {
            self.wheel.lock().insert(deadline, token);
        }
    }

    /// How long until something may be due.
    pub(crate) fn next(&self, now: Instant) -> Option<Duration> {
        let due = self.wheel.lock().next()? << TICK_BITS;
        Some(Duration::from_millis(due.saturating_sub(self.millis(now))))
    }

    /// Calls `expire` for each entry that is due, and `expired` for each job it gives out.
    pub(crate) fn expire<J>(
        &self,
        now: Instant,
        mut expire: impl FnMut(Token, u64, u64) -> Expiry<J>,
        mut expired: impl FnMut(Token, Class, J),
    ) {
        let millis = self.millis(now);
        let mut due = Vec::new();
        self.wheel.lock().advance(millis >> TICK_BITS, &mut due);
        for (entry, token) in due {
            match expire(token, entry, millis) {
                Expiry::Job(token, class, job) => expired(token, class, job),
                Expiry::Later(deadline) => self.push(deadline, token),
                Expiry::Drop => {}
            }
        }
    }
}

/// Whole milliseconds; for each message, so without the wide arithmetic of `as_millis`.
#[inline]
fn millis(duration: Duration) -> u64 {
    duration.as_secs().saturating_mul(1000).saturating_add(u64::from(duration.subsec_millis()))
}

impl Wheel {
    fn insert(&mut self, deadline: u64, token: Token) {
        // The bucket's end lies after the deadline: an entry is never early.
        let tick = ((deadline >> TICK_BITS) + 1).max(self.now);
        let (level, bucket) = self.place(tick);
        self.occupied[level] |= 1 << bucket;
        self.buckets[level * BUCKETS + bucket].push((deadline, token));
    }

    /// The level is that of the highest bit in which `tick` differs from now.
    fn place(&self, tick: u64) -> (usize, usize) {
        let differing = (tick ^ self.now) | 1;
        let level = ((63 - differing.leading_zeros()) / BITS) as usize;
        if level >= LEVELS {
            // Beyond the wheel (8 years): its last bucket; it moves on from there.
            return (LEVELS - 1, (self.bucket_now(LEVELS - 1) + BUCKETS - 1) % BUCKETS);
        }
        (level, ((tick >> (BITS * level as u32)) as usize) % BUCKETS)
    }

    fn bucket_now(&self, level: usize) -> usize {
        ((self.now >> (BITS * level as u32)) as usize) % BUCKETS
    }

    /// The tick at which the first occupied bucket begins.
    fn next(&self) -> Option<u64> {
        (0..LEVELS).find_map(|level| {
            let shift = BITS * level as u32;
            let at = self.bucket_now(level);
            let ahead = self.occupied[level].rotate_right(at as u32);
            (ahead != 0).then(|| ((self.now >> shift) + u64::from(ahead.trailing_zeros())) << shift)
        })
    }

    /// Moves to `tick` and hands out what lies on the way; entries of higher levels come down when their bucket begins.
    fn advance(&mut self, tick: u64, due: &mut Vec<(u64, Token)>) {
        while let Some(next) = self.next() {
            if next > tick {
                break;
            }
            self.now = next.max(self.now);
            for level in (1..LEVELS).rev() {
                let bucket = self.bucket_now(level);
                if self.occupied[level] & (1 << bucket) != 0 {
                    self.occupied[level] &= !(1 << bucket);
                    for (deadline, token) in std::mem::take(&mut self.buckets[level * BUCKETS + bucket]) {
                        self.insert(deadline, token);
                    }
                }
            }
            let bucket = self.bucket_now(0);
            if self.occupied[0] & (1 << bucket) != 0 {
                self.occupied[0] &= !(1 << bucket);
                due.append(&mut self.buckets[bucket]);
            }
        }
        self.now = self.now.max(tick);
    }
}

#[cfg(all(test, not(socketserver_shuttle)))]
mod tests {
    use super::*;

    fn wheel() -> Wheel {
        Wheel { now: 0, occupied: [0; LEVELS], buckets: vec![Vec::new(); LEVELS * BUCKETS] }
    }

    #[test]
    fn every_entry_comes_once_and_never_early() {
        let mut wheel = wheel();
        let mut state = 7u64;
        let mut random = move |below: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % below
        };
        let mut pending = std::collections::HashMap::new();
        let mut now = 0;
        for number in 0..20_000u64 {
            let reach = [10, 300, 70_000, 5_000_000][random(4) as usize];
            let deadline = now + random(reach);
            wheel.insert(deadline, Token::from_raw(number));
            pending.insert(number, deadline);
            if number % 3 == 0 {
                now += random(5_000);
                let mut due = Vec::new();
                wheel.advance(now >> TICK_BITS, &mut due);
                for (deadline, token) in due {
                    assert!(deadline <= now, "{deadline} given out at {now}");
                    assert_eq!(pending.remove(&token.raw()), Some(deadline));
                }
                let late = pending.values().find(|&&deadline| deadline + (2 << TICK_BITS) < now);
                assert_eq!(late, None, "still waiting at {now}");
            }
        }
        let mut due = Vec::new();
        wheel.advance((now + 6_000_000) >> TICK_BITS, &mut due);
        assert_eq!(due.len(), pending.len());
        assert_eq!(wheel.next(), None);
    }

    #[test]
    fn no_fraction_of_a_millisecond_is_lost() {
        let fractions = [0, 1, 100_000, 999_999].map(Duration::from_nanos);
        for whole in [0, 1, 150, 60_000].map(Duration::from_millis) {
            for (since, fraction) in fractions.iter().flat_map(|since| fractions.map(|fraction| (*since, fraction))) {
                let timeout = whole + fraction;
                let deadline = Duration::from_millis(Timers::deadline(Some(timeout), millis(since)));
                assert!(deadline >= since + timeout, "{timeout:?} after {since:?} is {deadline:?}");
            }
        }
    }

    #[test]
    fn the_next_wait_is_never_longer_than_the_first_deadline() {
        for deadline in [0u64, 3, 4, 255, 256, 257, 16_384, 60_000, 4_000_000, 1 << 45] {
            let mut wheel = wheel();
            wheel.insert(deadline, Token::from_raw(1));
            let mut due = Vec::new();
            let mut turns = 0;
            while due.is_empty() {
                let next = wheel.next().unwrap();
                assert!(next <= (deadline >> TICK_BITS) + 1, "{deadline}");
                wheel.advance(next, &mut due);
                turns += 1;
                if turns > 10 {
                    assert!(deadline > 1 << 40, "{deadline} is not found");
                    break;
                }
            }
        }
    }
}
