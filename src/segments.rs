//! Elements that are made when they are first asked for, and never move: looked up without a lock.

use std::sync::OnceLock;

/// The first segment has this many elements, each next one as many as all before it: 2^31 in all.
const FIRST: usize = 64;
const SEGMENTS: usize = 26;

/// What was never asked for takes no memory.
#[derive(Debug)]
pub(crate) struct Segments<T> {
    segments: [OnceLock<Box<[T]>>; SEGMENTS],
}

impl<T> Segments<T> {
    pub(crate) const fn new() -> Self {
        Self { segments: [const { OnceLock::new() }; SEGMENTS] }
    }

    /// The element at `index`; those of its segment are made by `make` if they are not there yet.
    #[inline]
    pub(crate) fn get_or_make(&self, index: usize, make: impl Fn(usize) -> T) -> &T {
        let (segment, place) = locate(index);
        let elements = self.segments[segment].get_or_init(|| {
            let first = index - place;
            (first..first + size(segment)).map(make).collect()
        });
        &elements[place]
    }
}

fn size(segment: usize) -> usize {
    if segment == 0 { FIRST } else { FIRST << (segment - 1) }
}

fn locate(index: usize) -> (usize, usize) {
    let segment = (usize::BITS - (index / FIRST).leading_zeros()) as usize;
    let start = if segment == 0 { 0 } else { FIRST << (segment - 1) };
    (segment, index - start)
}

#[cfg(all(test, not(socketserver_shuttle)))]
mod tests {
    use super::*;

    #[test]
    fn every_index_has_a_place_of_its_own() {
        let mut seen = std::collections::HashSet::new();
        for index in 0..100_000 {
            let (segment, place) = locate(index);
            assert!(place < size(segment), "index {index}");
            assert!(seen.insert((segment, place)), "index {index}");
        }
    }

    #[test]
    fn elements_know_their_index() {
        let segments = Segments::new();
        for index in [0, 63, 64, 127, 128, 5_000] {
            assert_eq!(*segments.get_or_make(index, |index| index), index);
        }
    }
}
