//! Any bytes, cut at any places, as a PROXY header.

#![no_main]

#[path = "../src/check.rs"]
#[allow(dead_code)]
mod check;

libfuzzer_sys::fuzz_target!(|data: &[u8]| check::proxy_header(data));
