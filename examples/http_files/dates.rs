//! Dates as HTTP writes them.

use std::time::Duration;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

/// The first second that has no such date: a year has four digits.
const YEAR_10000: Duration = Duration::from_secs(253_402_300_800);

/// `Sun, 06 Nov 1994 08:49:37 GMT`; `None` for what cannot be written so, which is what files from before 1970 get as
/// well.
pub fn written(time: SystemTime) -> Option<String> {
    let since = time.duration_since(UNIX_EPOCH).ok()?;
    (since < YEAR_10000).then(|| httpdate::fmt_http_date(time))
}

/// In any of the three forms that RFC 9110 5.6.7 knows.
pub fn read(value: &[u8]) -> Option<SystemTime> {
    httpdate::parse_http_date(std::str::from_utf8(value).ok()?).ok()
}
