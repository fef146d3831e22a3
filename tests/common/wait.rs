//! Waiting for what no descriptor and no channel tells of.

use std::fmt::Debug;
use std::time::Duration;
use std::time::Instant;

/// A test that waits longer than this has failed. No test waits so long to succeed.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Looks again and again until `condition` holds.
#[track_caller]
pub fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < until, "in vain: {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// As [`eventually`], and tells the value of a figure that did not become what it should.
#[track_caller]
pub fn becomes<V: PartialEq + Debug>(what: &str, expected: &V, mut value: impl FnMut() -> V) {
    let until = Instant::now() + PATIENCE;
    loop {
        let found = value();
        if found == *expected {
            return;
        }
        assert!(Instant::now() < until, "{what}: {found:?}, not {expected:?}");
        std::thread::sleep(Duration::from_millis(1));
    }
}
