//! What children tell their parent of their requests, in memory that they share.

use std::io;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use crate::end::End;
use crate::engine::drive::Outcome;
use crate::event::Traffic;
use crate::sys::shared::SharedWords;

/// A place for each child there may be at a time.
#[derive(Debug)]
pub(super) struct Outcomes {
    words: SharedWords,
    /// Places below this have been given out before.
    fresh: usize,
    free: Vec<usize>,
}

/// The words of a place: the end, by its number and one, the calls, and the bytes received and sent.
const WORDS: usize = 4;

/// A place in the table, which one child writes to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place(usize);

impl Outcomes {
    pub(super) fn new(most: usize) -> io::Result<Self> {
        let words = SharedWords::new(most.saturating_mul(WORDS))?;
        Ok(Self { words, fresh: 0, free: Vec::new() })
    }

    /// An empty place; `None` if there are more children than there may be.
    pub(super) fn take(&mut self) -> Option<Place> {
        let place = Place(self.free.pop().unwrap_or(self.fresh));
        let [end, ..] = self.words(place)?;
        end.store(0, Ordering::Release);
        self.fresh = self.fresh.max(place.0 + 1);
        Some(place)
    }

    pub(super) fn give_back(&mut self, place: Option<Place>) {
        self.free.extend(place.map(|place| place.0));
    }

    /// In the child.
    pub(super) fn write(&self, place: Place, outcome: &Outcome) {
        let Some([end, calls, received, sent]) = self.words(place) else { return };
        calls.store(outcome.calls, Ordering::Relaxed);
        received.store(outcome.traffic.received, Ordering::Relaxed);
        sent.store(outcome.traffic.sent, Ordering::Relaxed);
        end.store(outcome.end.number() + 1, Ordering::Release);
    }

    /// In the parent; `None` if the child has not come so far.
    pub(super) fn read(&self, place: Place) -> Option<Outcome> {
        let [end, calls, received, sent] = self.words(place)?;
        let end = End::from_number(end.load(Ordering::Acquire).checked_sub(1)?)?;
        let [calls, received, sent] = [calls, received, sent].map(|word| word.load(Ordering::Relaxed));
        Some(Outcome { end, calls, traffic: Traffic { received, sent } })
    }

    fn words(&self, place: Place) -> Option<&[AtomicU64; WORDS]> {
        self.words.as_chunks().0.get(place.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_child_has_a_place_of_its_own() {
        let mut outcomes = Outcomes::new(2).unwrap();
        let outcome =
            |calls| Outcome { end: End::PeerClosed, calls, traffic: Traffic { received: calls + 1, sent: calls + 2 } };
        let (one, two) = (outcomes.take().unwrap(), outcomes.take().unwrap());
        assert!(outcomes.take().is_none());
        outcomes.write(one, &outcome(1));
        assert_eq!(outcomes.read(two), None);
        outcomes.write(two, &outcome(7));
        assert_eq!((outcomes.read(one), outcomes.read(two)), (Some(outcome(1)), Some(outcome(7))));
        outcomes.give_back(Some(one));
        let one = outcomes.take().unwrap();
        assert_eq!((outcomes.read(one), outcomes.read(two)), (None, Some(outcome(7))), "it is empty again");
        assert!(outcomes.take().is_none());
    }

    #[test]
    fn every_end_can_be_told() {
        let mut outcomes = Outcomes::new(1).unwrap();
        let place = outcomes.take().unwrap();
        for end in End::ALL {
            let outcome = Outcome { end, calls: 0, traffic: Traffic::default() };
            outcomes.write(place, &outcome);
            assert_eq!(outcomes.read(place), Some(outcome));
        }
    }
}
