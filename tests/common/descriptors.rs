//! Enough descriptors for a test with many connections.

use rustix::process::Resource;
use rustix::process::Rlimit;
use rustix::process::getrlimit;
use rustix::process::setrlimit;

/// This process may have so many descriptors open from here on; where it may not, the test fails and tells why.
#[track_caller]
pub fn allow_descriptors(count: u64) {
    let limit = getrlimit(Resource::Nofile);
    if limit.current.is_none_or(|current| current >= count) {
        return;
    }
    let raised = setrlimit(Resource::Nofile, Rlimit { current: Some(count), ..limit });
    let most = limit.maximum.unwrap_or(u64::MAX);
    assert!(
        raised.is_ok(),
        "this test opens up to {count} descriptors, and the hard limit is {most}: `ulimit -Hn {count}`"
    );
}
