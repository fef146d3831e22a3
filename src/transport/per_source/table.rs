//! How many connections each source has: exactly, in a table that does not grow without bound.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::event::Refusal;
use crate::transport::Source;
use crate::transport::peer::network_of;

/// What can be chosen.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Limits {
    pub(super) most: usize,
    pub(super) max_sources: usize,
    pub(super) prefix_v4: u8,
    pub(super) prefix_v6: u8,
}

/// Sources that have connections, and how many. One without any is not in the table.
#[derive(Debug)]
pub(super) struct Table {
    limits: Limits,
    counts: Mutex<HashMap<Source, usize>>,
}

/// A place of one source; given back when it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    table: Arc<Table>,
    source: Source,
}

impl Table {
    pub(super) fn new(limits: Limits) -> Arc<Self> {
        Arc::new(Self { limits, counts: Mutex::new(HashMap::new()) })
    }

    /// Whether there is nothing to count.
    pub(super) fn is_unlimited(&self) -> bool {
        self.limits.most == usize::MAX
    }

    /// A place for a connection from `source`, or why there is none.
    pub(super) fn take(self: &Arc<Self>, source: Source) -> Result<Place, Refusal> {
        let source = self.limits.group(source);
        let mut counts = self.counts.lock();
        if let Some(count) = counts.get_mut(&source) {
            if *count >= self.limits.most {
                return Err(Refusal::PerSource);
            }
            *count += 1;
        } else {
            if counts.len() >= self.limits.max_sources {
                return Err(Refusal::SourcesFull);
            }
            counts.insert(source, 1);
        }
        drop(counts);
        Ok(Place { table: Arc::clone(self), source })
    }

    #[cfg(test)]
    fn sources(&self) -> usize {
        self.counts.lock().len()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = self.table.counts.lock();
        if let Some(count) = counts.get_mut(&self.source) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.source);
            }
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
    use super::*;

    const LIMITS: Limits = Limits { most: 2, max_sources: 3, prefix_v4: 32, prefix_v6: 64 };

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
