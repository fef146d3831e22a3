//! What is still to be sent.

use super::buffer::SIZE;
use crate::sys::bytes::Bytes;

/// Bytes that are sent in the order in which they were pushed.
#[derive(Debug, Default)]
pub(crate) struct Output {
    /// What comes first, once it has waited long enough to be moved: see [`settle`](Self::settle).
    settled: Option<Box<Part<Bytes>>>,
    recent: Part<Vec<u8>>,
}

/// `bytes[sent..]` is still to be sent.
#[derive(Debug, Default)]
struct Part<B> {
    bytes: B,
    sent: usize,
}

/// Less is left where it is.
const LEAST_SETTLED: usize = 16 * 1024;

impl Output {
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.settled_bytes().len() + self.recent_bytes().len()
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether none of it has been sent.
    #[inline]
    pub(crate) fn is_untouched(&self) -> bool {
        self.settled.is_none() && self.recent.sent == 0
    }

    /// What is to be sent next; empty once all is sent.
    #[inline]
    pub(crate) fn front(&self) -> &[u8] {
        if self.settled.is_some() { self.settled_bytes() } else { self.recent_bytes() }
    }

    /// So much of the front has been sent.
    #[inline]
    pub(crate) fn advance(&mut self, count: usize) {
        if let Some(part) = &mut self.settled {
            part.sent += count;
            if part.sent == part.bytes.len() {
                self.settled = None;
            }
            return;
        }
        self.recent.sent += count;
        if self.recent.sent == self.recent.bytes.len() {
            self.recent.bytes.clear();
            self.recent.sent = 0;
        }
    }

    #[inline]
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        let recent = &mut self.recent.bytes;
        if recent.capacity() == 0 {
            // Most answers are short: room for a few of them comes cheaper than room for all that may be gathered.
            recent.reserve_exact((4 * bytes.len()).clamp(512, SIZE).max(bytes.len()));
        }
        recent.extend_from_slice(bytes);
    }

    pub(crate) fn append(&mut self, mut other: Self) {
        while !other.is_empty() {
            let front = other.front();
            self.push(front);
            other.advance(front.len());
        }
    }

    /// Where more can be pushed.
    pub(crate) fn tail(&mut self) -> &mut Vec<u8> {
        &mut self.recent.bytes
    }

    /// For an output that waits: memory that is not needed is given back, and what there is much of moves to where it
    /// goes back to the system when it is sent, or when the connection ends.
    ///
    /// Moving costs no more than a fixed number of times what is pushed, however long it waits.
    #[inline]
    pub(crate) fn settle(&mut self) {
        if self.is_empty() {
            if self.recent.bytes.capacity() > 0 {
                self.recent = Part::default();
            }
        } else if self.recent_bytes().len() >= LEAST_SETTLED.max(self.settled_bytes().len()) {
            self.move_all();
        }
    }

    #[cold]
    fn move_all(&mut self) {
        let mut bytes = Bytes::zeroed(self.len());
        let (first, second) = bytes.split_at_mut(self.settled_bytes().len());
        first.copy_from_slice(self.settled_bytes());
        second.copy_from_slice(self.recent_bytes());
        self.settled = Some(Box::new(Part { bytes, sent: 0 }));
        self.recent = Part::default();
    }

    #[inline]
    fn settled_bytes(&self) -> &[u8] {
        self.settled.as_ref().map_or(&[], |part| &part.bytes[part.sent..])
    }

    #[inline]
    fn recent_bytes(&self) -> &[u8] {
        &self.recent.bytes[self.recent.sent..]
    }
}

impl From<Vec<u8>> for Output {
    fn from(bytes: Vec<u8>) -> Self {
        Self { settled: None, recent: Part { bytes, sent: 0 } }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use proptest::prelude::*;

    #[derive(Clone, Debug)]
    enum Step {
        Append(usize),
        Push(usize),
        Send(usize),
        Settle,
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            (0..50_000_usize).prop_map(Step::Append),
            (0..50_000_usize).prop_map(Step::Push),
            (0..80_000_usize).prop_map(Step::Send),
            Just(Step::Settle),
        ]
    }

    proptest! {
        #[test]
        fn bytes_leave_in_their_order_wherever_they_are(steps in prop::collection::vec(step(), 0..40)) {
            let (mut output, mut pushed, mut sent) = (Output::default(), 0_usize, 0_usize);
            let next = |from: usize, count| (from..from + count).map(|at| (at % 251) as u8).collect::<Vec<_>>();
            for step in steps {
                match step {
                    Step::Append(count) => {
                        let mut other = Output::from(next(pushed, count));
                        other.settle();
                        output.append(other);
                        pushed += count;
                    }
                    Step::Push(count) => {
                        output.push(&next(pushed, count));
                        pushed += count;
                    }
                    Step::Send(most) => {
                        let count = most.min(output.front().len());
                        prop_assert_eq!(&output.front()[..count], next(sent, count));
                        output.advance(count);
                        sent += count;
                    }
                    Step::Settle => output.settle(),
                }
                prop_assert_eq!(output.len(), pushed - sent);
                prop_assert_eq!(output.front().is_empty(), output.is_empty());
            }
        }
    }

    #[test]
    fn much_is_moved_and_nothing_is_kept_of_what_was_sent() {
        let mut output = Output::default();
        output.push(b"short");
        output.settle();
        assert!(output.settled.is_none());
        output.push(&vec![0; LEAST_SETTLED]);
        output.settle();
        assert!(output.settled.is_some());
        assert_eq!(output.recent.bytes.capacity(), 0);
        output.advance(output.len());
        output.settle();
        assert!(output.settled.is_none());
    }
}
