//! What is still to be sent.

use super::buffer::SIZE;
use crate::sys::bytes::Bytes;

/// Bytes that are sent in the order in which they were pushed.
#[derive(Debug, Default)]
pub(crate) struct Unsent {
    /// Where bytes are that have not waited yet: none, if there are settled ones.
    fresh: Vec<u8>,
    /// How many of these have been sent.
    sent: usize,
    settled: Option<Box<Settled>>,
}

/// Bytes that have waited: `bytes[start..end]` is still to be sent.
#[derive(Debug)]
struct Settled {
    bytes: Bytes,
    start: usize,
    end: usize,
}

/// Less is left where it is.
const LEAST_SETTLED: usize = 16 * 1024;

impl Unsent {
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.front().len()
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether none of it has been sent, and it has not waited.
    #[inline]
    pub(crate) fn is_fresh(&self) -> bool {
        self.settled.is_none() && self.sent == 0
    }

    /// What is to be sent next: all there is.
    #[inline]
    pub(crate) fn front(&self) -> &[u8] {
        match &self.settled {
            None => &self.fresh[self.sent..],
            Some(settled) => &settled.bytes[settled.start..settled.end],
        }
    }

    /// So much of the front has been sent.
    #[inline]
    pub(crate) fn advance(&mut self, count: usize) {
        if let Some(settled) = &mut self.settled {
            settled.start += count;
            if settled.start == settled.end {
                self.settled = None;
            }
            return;
        }
        self.sent += count;
        if self.sent == self.fresh.len() {
            self.fresh.clear();
            self.sent = 0;
        }
    }

    #[inline]
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        if let Some(settled) = &mut self.settled {
            return settled.push(bytes);
        }
        if self.fresh.capacity() == 0 {
            // Most answers are short: room for a few of them comes cheaper than room for all that may be gathered.
            self.fresh.reserve_exact((4 * bytes.len()).clamp(512, SIZE).max(bytes.len()));
        }
        self.fresh.extend_from_slice(bytes);
    }

    /// Where more can be pushed.
    pub(crate) fn tail(&mut self) -> &mut Vec<u8> {
        if let Some(settled) = self.settled.take() {
            self.fresh.extend_from_slice(&settled.bytes[settled.start..settled.end]);
        }
        &mut self.fresh
    }

    /// For bytes that wait: memory that is not needed is given back, and much of it moves to where it goes back to the
    /// system when it is sent, or when the connection ends.
    #[inline]
    pub(crate) fn settle(&mut self) {
        if self.settled.is_some() {
            return;
        }
        if self.is_empty() {
            if self.fresh.capacity() > 0 {
                self.fresh = Vec::new();
            }
        } else if self.len() >= LEAST_SETTLED {
            self.settled = Some(Box::new(Settled::holding(self.front(), 0)));
            self.fresh = Vec::new();
            self.sent = 0;
        }
    }
}

impl Settled {
    /// With room for `more`, and for as much again: pages that are not written to take no memory.
    #[cold]
    fn holding(unsent: &[u8], more: usize) -> Self {
        let mut bytes = Bytes::zeroed((unsent.len() + more) * 2);
        bytes[..unsent.len()].copy_from_slice(unsent);
        Self { bytes, start: 0, end: unsent.len() }
    }

    fn push(&mut self, more: &[u8]) {
        if self.bytes.len() - self.end < more.len() {
            *self = Self::holding(&self.bytes[self.start..self.end], more.len());
        }
        self.bytes[self.end..self.end + more.len()].copy_from_slice(more);
        self.end += more.len();
    }
}

impl From<Vec<u8>> for Unsent {
    fn from(bytes: Vec<u8>) -> Self {
        Self { fresh: bytes, sent: 0, settled: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use proptest::prelude::*;

    #[derive(Clone, Debug)]
    enum Step {
        Push(usize),
        /// As pieces of files are.
        Read(usize),
        Send(usize),
        Settle,
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            (0..50_000_usize).prop_map(Step::Push),
            (0..50_000_usize).prop_map(Step::Read),
            (0..80_000_usize).prop_map(Step::Send),
            Just(Step::Settle),
        ]
    }

    proptest! {
        #[test]
        fn bytes_leave_in_their_order_wherever_they_are(steps in prop::collection::vec(step(), 0..40)) {
            let (mut unsent, mut pushed, mut sent) = (Unsent::default(), 0_usize, 0_usize);
            let next = |from: usize, count| (from..from + count).map(|at| (at % 251) as u8).collect::<Vec<_>>();
            for step in steps {
                match step {
                    Step::Read(count) => {
                        unsent.tail().extend(next(pushed, count));
                        pushed += count;
                    }
                    Step::Push(count) => {
                        unsent.push(&next(pushed, count));
                        pushed += count;
                    }
                    Step::Send(most) => {
                        let count = most.min(unsent.front().len());
                        prop_assert_eq!(&unsent.front()[..count], next(sent, count));
                        unsent.advance(count);
                        sent += count;
                    }
                    Step::Settle => unsent.settle(),
                }
                prop_assert_eq!(unsent.len(), pushed - sent);
                prop_assert_eq!(unsent.front().is_empty(), unsent.is_empty());
            }
        }
    }

    #[test]
    fn much_is_moved_and_nothing_is_kept_of_what_was_sent() {
        let mut unsent = Unsent::default();
        unsent.push(b"short");
        unsent.settle();
        assert!(unsent.settled.is_none());
        unsent.push(&vec![0; LEAST_SETTLED]);
        unsent.settle();
        unsent.push(b"more");
        assert!(unsent.settled.is_some());
        assert_eq!(unsent.fresh.capacity(), 0);
        unsent.advance(unsent.len());
        unsent.settle();
        assert!(unsent.settled.is_none());
    }
}
