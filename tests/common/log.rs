//! What handlers and hooks tell a test, from any thread and from forked children.

use std::marker::PhantomData;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::entry::Entry;

/// The library's own: numbers that a process has in common with the children it forks.
#[allow(unsafe_code, reason = "as in the library")]
#[path = "../../src/sys/shared.rs"]
mod shared;

use shared::SharedWords;

/// A list that every process adds to; clones are the same list. Its first word is where to begin looking for a place.
#[derive(Debug)]
pub struct Log<T = String> {
    words: Arc<SharedWords>,
    entries: PhantomData<fn() -> T>,
}

/// Room for this many words; what is not used is not there.
const WORDS: usize = 8 << 20;

const WORD: usize = size_of::<u64>();

/// The first word of an entry: its length in bytes and these flags.
const BEGUN: u64 = 1 << 62;
const WHOLE: u64 = 1 << 63;

/// The bytes of an entry.
fn length_of(head: u64) -> usize {
    (head & !(BEGUN | WHOLE)) as usize
}

/// The words behind its first.
fn body_of(head: u64) -> usize {
    length_of(head).div_ceil(WORD)
}

impl<T> Default for Log<T> {
    fn default() -> Self {
        Self { words: Arc::new(SharedWords::new(WORDS).expect("shared memory")), entries: PhantomData }
    }
}

impl<T> Clone for Log<T> {
    fn clone(&self) -> Self {
        Self { words: Arc::clone(&self.words), entries: PhantomData }
    }
}

impl<T: Entry> Log<T> {
    pub fn push(&self, entry: impl Into<T>) {
        let bytes = entry.into().encode();
        let (own, count) = (bytes.len() as u64 | BEGUN, 1 + bytes.len().div_ceil(WORD));
        let [used, words @ ..] = &**self.words else { unreachable!("it has room") };
        let mut begin = used.load(Ordering::SeqCst) as usize;
        let (head, body) = loop {
            let place = words.get(begin..begin + count).expect("the log is full");
            let (head, body) = place.split_first().expect("it is not empty");
            // A place is taken together with its length: a process may be killed anywhere in here, and the others go on.
            match head.compare_exchange(0, own, Ordering::SeqCst, Ordering::SeqCst) {
                Ok(_) => break (head, body),
                Err(other) => begin += 1 + body_of(other),
            }
        };
        used.fetch_max((begin + count) as u64, Ordering::SeqCst);
        for (word, bytes) in body.iter().zip(bytes.chunks(WORD)) {
            let mut whole = [0; WORD];
            whole[..bytes.len()].copy_from_slice(bytes);
            word.store(u64::from_ne_bytes(whole), Ordering::SeqCst);
        }
        head.store(bytes.len() as u64 | WHOLE, Ordering::SeqCst);
    }

    pub fn entries(&self) -> Vec<T> {
        let [_, rest @ ..] = &**self.words else { unreachable!("it has room") };
        let mut rest = rest;
        let mut entries = Vec::new();
        while let [head, more @ ..] = rest {
            let head = head.load(Ordering::SeqCst);
            if head == 0 {
                break;
            }
            let length = length_of(head);
            let (body, others) = more.split_at(body_of(head));
            // What a process did not get to write whole is none.
            if head & WHOLE != 0 {
                let mut bytes: Vec<u8> =
                    body.iter().flat_map(|word| word.load(Ordering::SeqCst).to_ne_bytes()).collect();
                bytes.truncate(length);
                entries.push(T::decode(&bytes));
            }
            rest = others;
        }
        entries
    }

    pub fn len(&self) -> usize {
        self.entries().len()
    }
}

/// A number that every process counts with; clones are the same number.
#[derive(Clone, Debug)]
pub struct Count(Arc<SharedWords>);

impl Default for Count {
    fn default() -> Self {
        Self(Arc::new(SharedWords::new(1).expect("shared memory")))
    }
}

impl Count {
    /// Counts one more; what it was before.
    pub fn add_one(&self) -> usize {
        self.0[0].fetch_add(1, Ordering::SeqCst) as usize
    }

    /// Counts one more if this is the number now.
    pub fn raise_from(&self, count: usize) -> bool {
        let count = count as u64;
        self.0[0].compare_exchange(count, count + 1, Ordering::SeqCst, Ordering::SeqCst).is_ok()
    }

    pub fn raise_to(&self, least: usize) {
        self.0[0].fetch_max(least as u64, Ordering::SeqCst);
    }

    pub fn take_one_back(&self) {
        self.0[0].fetch_sub(1, Ordering::SeqCst);
    }

    pub fn get(&self) -> usize {
        self.0[0].load(Ordering::SeqCst) as usize
    }
}
