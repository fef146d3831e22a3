//! What the panic said that stops a server: the first one leaves it, in whichever thread or child it was.

use std::io;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use crate::sys::shared::SharedWords;

/// Of a longer message, this many bytes are kept: with the head, less than a page.
const MOST: usize = 4000;

const WORD: usize = size_of::<u64>();

/// One message for the whole server, its children included: the state, the length, and the bytes.
#[derive(Debug)]
pub(crate) struct FirstPanic(SharedWords);

const NONE: u64 = 0;
const BEGUN: u64 = 1;
const WHOLE: u64 = 2;

impl FirstPanic {
    pub(crate) fn new() -> io::Result<Self> {
        SharedWords::new(2 + MOST.div_ceil(WORD)).map(Self)
    }

    /// Leaves the message, if it is the first.
    pub(crate) fn set(&self, message: &str) {
        let [state, length, words @ ..] = &*self.0 else { return };
        if state.compare_exchange(NONE, BEGUN, Ordering::SeqCst, Ordering::SeqCst).is_err() {
            return;
        }
        let end = (0..=MOST).rev().find(|end| message.is_char_boundary(*end)).unwrap_or(0);
        let kept = &message.as_bytes()[..end];
        for (word, bytes) in words.iter().zip(kept.chunks(WORD)) {
            let mut whole = [0; WORD];
            whole[..bytes.len()].copy_from_slice(bytes);
            word.store(u64::from_ne_bytes(whole), Ordering::SeqCst);
        }
        length.store(end as u64, Ordering::SeqCst);
        state.store(WHOLE, Ordering::SeqCst);
    }

    pub(crate) fn get(&self) -> Option<String> {
        let [state, length, words @ ..] = &*self.0 else { return None };
        let load = |word: &AtomicU64| word.load(Ordering::SeqCst);
        if load(state) != WHOLE {
            return None;
        }
        let mut bytes: Vec<u8> = words.iter().flat_map(|word| load(word).to_ne_bytes()).collect();
        bytes.truncate(usize::try_from(load(length)).unwrap_or(usize::MAX));
        String::from_utf8(bytes).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_one_stays() {
        let panic = FirstPanic::new().unwrap();
        assert_eq!(panic.get(), None);
        panic.set("one");
        panic.set("two");
        assert_eq!(panic.get().as_deref(), Some("one"));
    }

    #[test]
    fn a_message_is_kept_up_to_a_length() {
        for length in [0, 1, 7, 8, 9, MOST - 1, MOST, MOST + 1, 2 * MOST] {
            let (panic, said) = (FirstPanic::new().unwrap(), "x".repeat(length));
            panic.set(&said);
            assert_eq!(panic.get().as_deref(), Some(&said[..length.min(MOST)]));
        }
        let panic = FirstPanic::new().unwrap();
        panic.set(&("x".to_owned() + &"ä".repeat(MOST)));
        let kept = panic.get().unwrap();
        assert_eq!((kept.len(), kept.chars().last()), (MOST - 1, Some('ä')), "a character is whole or not there");
    }
}
