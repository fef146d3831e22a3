//! Which part of a file is asked for: RFC 9110, 14.

use std::ops::Range;

use http_range_header::RangeUnsatisfiableError;
use http_range_header::parse_range_header;

/// What a `Range` selects.
#[derive(Debug, Eq, PartialEq)]
pub enum Part {
    Whole,
    Bytes(Range<u64>),
    /// Nothing that there is.
    Nothing,
}

/// One range of bytes of a file of this length. Several at once are ignored, and so is what is no range, as the standard
/// allows.
pub fn part(value: &[u8], length: u64) -> Part {
    let asked = std::str::from_utf8(value).ok().and_then(|value| parse_range_header(value).ok());
    match asked.map(|ranges| ranges.validate(length)) {
        Some(Ok(ranges)) => match &ranges[..] {
            [one] => Part::Bytes(*one.start()..one.end() + 1),
            _ => Part::Whole,
        },
        Some(Err(RangeUnsatisfiableError::Unsatisfiable)) => Part::Nothing,
        Some(Err(_)) | None => Part::Whole,
    }
}
