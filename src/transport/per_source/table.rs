//! How many connections each source has, exactly, and whether it may make another: in a table that does not grow without
//! bound.

use std::collections::HashMap;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use parking_lot::Mutex;

use super::rate::Rate;
use crate::event::Refusal;
use crate::transport::Source;
use crate::transport::peer::network_of;

/// What can be chosen.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Limits {
    pub(super) most: usize,
    pub(super) rate: Option<Rate>,
    pub(super) max_sources: usize,
    pub(super) prefix_v4: u8,
    pub(super) prefix_v6: u8,
}

/// Sources that have connections, and those whose rate is remembered.
#[derive(Debug)]
pub(super) struct Table {
    limits: Limits,
    entries: Mutex<Entries>,
}

#[derive(Debug, Default)]
struct Entries {
    sources: HashMap<Source, Entry>,
    /// Sources that have had no connection at some time since they were put here, each once: whoever has none still can be
    /// forgotten.
    idle: VecDeque<Source>,
}

#[derive(Debug, Default)]
struct Entry {
    connections: usize,
    /// Until when its new connections are spread out.
    spread: Option<Instant>,
    /// It is among those that were idle.
    listed: bool,
}

/// A place of one source; given back when it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    table: Arc<Table>,
    source: Source,
}

impl Table {
    pub(super) fn new(limits: Limits) -> Arc<Self> {
        Arc::new(Self { limits, entries: Mutex::default() })
    }

    /// Whether there is nothing to count.
    pub(super) fn is_unlimited(&self) -> bool {
        self.limits.most == usize::MAX && self.limits.rate.is_none()
    }

    /// A place for a connection from `source`, or why there is none.
    pub(super) fn take(self: &Arc<Self>, source: Source) -> Result<Place, Refusal> {
        // Without a rate no clock is read.
        self.take_at(source, self.limits.rate.map(|rate| (rate, Instant::now())))
    }

    fn take_at(self: &Arc<Self>, source: Source, rate: Option<(Rate, Instant)>) -> Result<Place, Refusal> {
        let source = self.limits.group(source);
        let mut entries = self.entries.lock();
        if let Some((_, now)) = rate {
            entries.forget_some(now);
        }
        let full = entries.sources.len() >= self.limits.max_sources;
        if full && !entries.sources.contains_key(&source) && !entries.forget_one() {
            return Err(Refusal::SourcesFull);
        }
        let entry = entries.sources.entry(source).or_default();
        if entry.connections >= self.limits.most {
            return Err(Refusal::PerSource);
        }
        if let Some((rate, now)) = rate {
            entry.spread = Some(rate.admit(entry.spread, now).ok_or(Refusal::SourceRate)?);
        }
        entry.connections += 1;
        drop(entries);
        Ok(Place { table: Arc::clone(self), source })
    }

    #[cfg(test)]
    fn sources(&self) -> usize {
        self.entries.lock().sources.len()
    }
}

impl Entries {
    /// Forgets sources that could make as many new connections as one that was never seen, looking at a few.
    fn forget_some(&mut self, now: Instant) {
        for _ in 0..2 {
            let Some(source) = self.idle.pop_front() else { return };
            let Some(entry) = self.sources.get_mut(&source) else { continue };
            if entry.connections > 0 {
                entry.listed = false;
            } else if entry.spread.is_none_or(|until| until <= now) {
                self.sources.remove(&source);
            } else {
                self.idle.push_back(source);
            }
        }
    }

    /// Makes room: forgets what is remembered of a source that has no connection. False if all have some.
    fn forget_one(&mut self) -> bool {
        while let Some(source) = self.idle.pop_front() {
            let Some(entry) = self.sources.get_mut(&source) else { continue };
            if entry.connections == 0 {
                self.sources.remove(&source);
                return true;
            }
            entry.listed = false;
        }
        false
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut entries = self.table.entries.lock();
        let Entries { sources, idle } = &mut *entries;
        let Some(entry) = sources.get_mut(&self.source) else { return };
        entry.connections -= 1;
        if entry.connections > 0 {
            return;
        }
        if entry.spread.is_none() {
            sources.remove(&self.source);
        } else if !entry.listed {
            entry.listed = true;
            idle.push_back(self.source);
        }
    }
}

impl Limits {
    /// The source that stands for all addresses of a network.
    fn group(&self, source: Source) -> Source {
        let Source::Ip(address) = source else { return source };
        let address = address.to_canonical();
        let prefix = if address.is_ipv4() { self.prefix_v4 } else { self.prefix_v6 };
        Source::Ip(network_of(address, prefix))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const LIMITS: Limits = Limits { most: 2, rate: None, max_sources: 3, prefix_v4: 32, prefix_v6: 64 };

    fn ip(text: &str) -> Source {
        Source::Ip(text.parse().unwrap())
    }

    #[test]
    fn a_source_has_its_share_and_no_more() {
        let table = Table::new(LIMITS);
        let first = table.take(ip("192.0.2.1")).unwrap();
        let second = table.take(ip("192.0.2.1")).unwrap();
        assert_eq!(table.take(ip("192.0.2.1")).unwrap_err(), Refusal::PerSource);
        let other = table.take(ip("192.0.2.2")).unwrap();
        drop(first);
        let third = table.take(ip("192.0.2.1")).unwrap();
        assert_eq!(table.take(ip("192.0.2.1")).unwrap_err(), Refusal::PerSource);
        drop((second, third, other));
        assert_eq!(table.sources(), 0);
    }

    #[test]
    fn a_full_table_refuses_new_sources_only() {
        let table = Table::new(LIMITS);
        let known: Vec<_> = (1..=3).map(|user| table.take(Source::Uid(user)).unwrap()).collect();
        assert_eq!(table.take(Source::Uid(4)).unwrap_err(), Refusal::SourcesFull);
        let again = table.take(Source::Uid(3)).unwrap();
        drop(known);
        assert_eq!(table.sources(), 1);
        let new = table.take(Source::Uid(4)).unwrap();
        drop((again, new));
        assert_eq!(table.sources(), 0);
    }

    const SECOND: Duration = Duration::from_secs(1);

    /// Two new connections a second, and any number at a time.
    fn rated() -> (Arc<Table>, Rate) {
        let rate = Rate { connections: 2, per: SECOND };
        (Table::new(Limits { most: usize::MAX, rate: Some(rate), ..LIMITS }), rate)
    }

    #[test]
    fn a_rate_is_remembered_when_the_connection_is_over() {
        let ((table, rate), begin) = (rated(), Instant::now());
        let visit = |table: &Arc<Table>, user, after| {
            table.take_at(Source::Uid(user), Some((rate, begin + after))).map(drop).err()
        };
        let none = Duration::ZERO;
        assert_eq!([1, 1, 1, 2].map(|user| visit(&table, user, none)), [None, None, Some(Refusal::SourceRate), None]);
        // Who is refused does not wait any longer for it.
        assert_eq!([visit(&table, 1, SECOND / 2), visit(&table, 1, SECOND / 2)], [None, Some(Refusal::SourceRate)]);
        // Who comes later finds that everybody is forgotten by and by.
        for user in 10..20 {
            assert_eq!(visit(&table, user, SECOND * user), None);
        }
        assert!(table.sources() <= 2, "{table:?}");
    }

    #[test]
    fn what_is_remembered_makes_room_for_who_is_new() {
        let ((table, rate), begin) = (rated(), Instant::now());
        let take = |user| table.take_at(Source::Uid(user), Some((rate, begin)));
        let stays = [take(1).unwrap(), take(2).unwrap()];
        for user in 3..100 {
            drop(take(user).unwrap());
            assert_eq!(table.sources(), 3);
        }
        let third = take(3).unwrap();
        assert_eq!(take(4).unwrap_err(), Refusal::SourcesFull);
        drop((stays, third));
        // Those who were turned away have left nothing.
        assert_eq!(table.sources(), 3);
        assert!(table.entries.lock().idle.len() <= 3);
        assert!(take(4).is_ok());
    }

    #[test]
    fn who_comes_and_goes_is_listed_once() {
        let ((table, rate), begin) = (rated(), Instant::now());
        for visit in 0..100 {
            drop(table.take_at(Source::Uid(1), Some((rate, begin + SECOND * visit))).unwrap());
            assert!(table.entries.lock().idle.len() <= 1);
        }
    }

    #[test]
    fn addresses_of_a_network_are_one_source() {
        let same = |limits: Limits, left: &str, right: &str| limits.group(ip(left)) == limits.group(ip(right));
        assert!(same(LIMITS, "2001:db8::1", "2001:db8::ffff:ffff:ffff:ffff"));
        assert!(!same(LIMITS, "2001:db8::1", "2001:db8:0:1::1"));
        assert!(same(LIMITS, "::ffff:192.0.2.1", "192.0.2.1"));
        assert!(!same(LIMITS, "192.0.2.1", "192.0.2.2"));
        // Not of one /64, though the bits before are the same.
        assert!(!same(LIMITS, "::ffff:192.0.2.1", "::ffff:192.0.2.2"));
        assert!(!same(LIMITS, "::1", "::ffff:0.0.0.1"));
        let whole = Limits { prefix_v4: 0, prefix_v6: 0, ..LIMITS };
        assert!(same(whole, "0.0.0.0", "255.255.255.255") && same(whole, "::1", "ffff::"));
        let single = Limits { prefix_v4: 24, prefix_v6: 128, ..LIMITS };
        assert!(same(single, "192.0.2.1", "192.0.2.255") && !same(single, "192.0.2.1", "192.0.3.1"));
        assert!(!same(single, "2001:db8::1", "2001:db8::2"));
        assert_eq!(LIMITS.group(Source::Unknown), Source::Unknown);
    }

    #[test]
    fn threads_take_exactly_what_there_is() {
        let table = Table::new(Limits { most: 5, ..LIMITS });
        let taken: usize = std::thread::scope(|scope| {
            let take = || (0..100).filter_map(|_| table.take(ip("192.0.2.1")).ok()).map(std::mem::forget).count();
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(take)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        assert_eq!(taken, 5);
    }
}
