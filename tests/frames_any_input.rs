//! Whatever arrives, codecs and headers do not panic, hold no more than their limit, and do not depend on where the bytes
//! were cut.
//!
//! The fuzz targets of `fuzz/` look for what is not among these bytes.

use std::path::Path;

#[path = "../fuzz/src/check.rs"]
mod check;

/// A small generator of numbers that depends on its seed alone (SplitMix64).
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut number = self.0;
        number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        number ^ (number >> 31)
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }
}

fn corpus_and_random_bytes(name: &str, check: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(name);
    let mut seeds = Vec::new();
    for entry in std::fs::read_dir(&folder).expect("the corpus is there") {
        seeds.push(std::fs::read(entry.expect("an entry").path()).expect("a file"));
    }
    assert!(!seeds.is_empty(), "{} holds no input", folder.display());
    let mut numbers = Numbers(1);
    for seed in &seeds {
        check(seed);
        for _ in 0..1500_usize.div_ceil(seeds.len()) {
            let mut changed = seed.clone();
            for _ in 0..=numbers.below(4) {
                let at = numbers.below(changed.len());
                match numbers.below(3) {
                    0 => changed[at] = numbers.next() as u8,
                    1 => changed.insert(at, numbers.next() as u8),
                    _ if changed.len() > 1 => drop(changed.remove(at)),
                    _ => {}
                }
            }
            check(&changed);
        }
    }
    // Few different bytes, so that delimiters and small lengths turn up.
    let alphabets: [&[u8]; 3] = [b"ab\r\n.\0", b"\0\x01\x02\x03\xff\x80", b"*$123\r\nPING +-:"];
    for round in 0..2000 {
        let length = numbers.below(if round % 100 == 0 { 10_000 } else { 200 });
        let random = match alphabets.get(round % 4) {
            Some(alphabet) => (0..length).map(|_| alphabet[numbers.below(alphabet.len())]).collect(),
            None => (0..length).map(|_| numbers.next() as u8).collect::<Vec<_>>(),
        };
        check(&random);
    }
}

#[test]
fn lines() {
    corpus_and_random_bytes("lines", check::lines);
}

#[test]
fn delimited() {
    corpus_and_random_bytes("delimited", check::delimited);
}

#[test]
fn length_prefixed() {
    corpus_and_random_bytes("length_prefixed", check::length_prefixed);
}

#[test]
fn fixed() {
    corpus_and_random_bytes("fixed", check::fixed);
}

#[test]
fn resp() {
    corpus_and_random_bytes("resp", check::resp);
}

#[test]
fn proxy_header() {
    corpus_and_random_bytes("proxy_header", check::proxy_header);
}
