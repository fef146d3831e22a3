//! Queues of work, and which of them have any.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::sync::Mutex;
use crate::sync::atomic::AtomicU64;
use crate::sync::atomic::AtomicUsize;
use crate::sync::atomic::Ordering;

/// Work that waits, first come, first served.
#[derive(Debug)]
pub(super) struct Ring<W> {
    queue: Mutex<VecDeque<W>>,
    /// The length of the queue, to look at without its lock.
    length: AtomicUsize,
    /// Where it is noted whether there is any.
    mark: Option<(Arc<Marks>, usize)>,
}

impl<W> Ring<W> {
    pub(super) fn new() -> Self {
        Self { queue: Mutex::new(VecDeque::new()), length: AtomicUsize::new(0), mark: None }
    }

    /// One whose mark in `marks` says whether it has work.
    pub(super) fn marked(marks: &Arc<Marks>, index: usize) -> Self {
        Self { mark: Some((Arc::clone(marks), index)), ..Self::new() }
    }

    pub(super) fn push(&self, work: W) {
        self.extend(std::iter::once(work));
    }

    pub(super) fn extend(&self, work: impl Iterator<Item = W>) {
        let mut queue = self.queue.lock();
        queue.extend(work);
        self.note(queue.len());
    }

    pub(super) fn pop(&self) -> Option<W> {
        if self.len() == 0 {
            return None;
        }
        let mut queue = self.queue.lock();
        let work = queue.pop_front();
        self.note(queue.len());
        work
    }

    /// Looks at the work that has waited longest.
    pub(super) fn peek<T>(&self, look: impl FnOnce(&W) -> T) -> Option<T> {
        self.queue.lock().front().map(look)
    }

    pub(super) fn len(&self) -> usize {
        self.length.load(Ordering::Relaxed)
    }

    /// The later half of what waits here; all of it if `whole`.
    pub(super) fn steal(&self, whole: bool) -> VecDeque<W> {
        let mut queue = self.queue.lock();
        let keep = if whole { 0 } else { queue.len() / 2 };
        let stolen = queue.split_off(keep);
        self.note(queue.len());
        stolen
    }

    pub(super) fn steal_all(&self) -> VecDeque<W> {
        self.steal(true)
    }

    /// Called with the lock, so that the length and the mark are those of the queue.
    fn note(&self, length: usize) {
        let before = self.length.swap(length, Ordering::Relaxed);
        if let Some((marks, index)) = &self.mark
            && (before == 0) != (length == 0)
        {
            marks.set(*index, length > 0);
        }
    }
}

/// A bit for each ring: whether it has work.
#[derive(Debug)]
pub(super) struct Marks(Box<[AtomicU64]>);

impl Marks {
    pub(super) fn new(count: usize) -> Arc<Self> {
        Arc::new(Self((0..count.div_ceil(64)).map(|_| AtomicU64::new(0)).collect()))
    }

    fn set(&self, index: usize, has_work: bool) {
        let (word, bit) = (&self.0[index / 64], 1 << (index % 64));
        if has_work {
            word.fetch_or(bit, Ordering::SeqCst);
        } else {
            word.fetch_and(!bit, Ordering::SeqCst);
        }
    }

    /// The indices of those that have work.
    pub(super) fn iter(&self) -> impl Iterator<Item = usize> + '_ {
        self.0.iter().enumerate().flat_map(|(at, word)| {
            let mut bits = word.load(Ordering::SeqCst);
            std::iter::from_fn(move || {
                let bit = bits.trailing_zeros();
                bits &= bits.checked_sub(1)?;
                Some(at * 64 + bit as usize)
            })
        })
    }
}

#[cfg(all(test, not(socketserver_shuttle)))]
mod tests {
    use super::*;

    #[test]
    fn marks_tell_which_rings_have_work() {
        let marks = Marks::new(200);
        let rings: Vec<_> = (0..200).map(|index| Ring::marked(&marks, index)).collect();
        for index in [0, 63, 64, 199] {
            rings[index].extend(0..3);
        }
        assert_eq!(marks.iter().collect::<Vec<_>>(), [0, 63, 64, 199]);
        assert_eq!(rings[63].steal(false), [1, 2]);
        assert_eq!(rings[64].steal_all().len(), 3);
        assert_eq!(rings[0].pop(), Some(0));
        assert_eq!(rings[63].pop(), Some(0));
        assert_eq!(rings[63].pop(), None);
        assert_eq!(marks.iter().collect::<Vec<_>>(), [0, 199]);
    }
}
