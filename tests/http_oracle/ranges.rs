//! Parts of files.

use crate::Case;
use crate::differs;
use crate::get;
use crate::request;
use crate::same;

pub fn cases() -> Vec<Case> {
    vec![
        same("Range: bytes=0-1", get("Range: bytes=0-1"), "206 01 [bytes 0-1/10]; probe"),
        same("Range: bytes=0-0", get("Range: bytes=0-0"), "206 0 [bytes 0-0/10]; probe"),
        same("Range: bytes=3-", get("Range: bytes=3-"), "206 3456789 [bytes 3-9/10]; probe"),
        same("Range: bytes=-3", get("Range: bytes=-3"), "206 789 [bytes 7-9/10]; probe"),
        same("Range: bytes=0-9", get("Range: bytes=0-9"), "206 whole [bytes 0-9/10]; probe"),
        same("Range: bytes=5-100", get("Range: bytes=5-100"), "206 56789 [bytes 5-9/10]; probe"),
        same("Range: bytes=10-", get("Range: bytes=10-"), "416 [bytes */10]; probe"),
        same("Range: bytes=10-20", get("Range: bytes=10-20"), "416 [bytes */10]; probe"),
        same("Range: bytes=-0", get("Range: bytes=-0"), "416 [bytes */10]; probe"),
        same("Range: bytes=-10", get("Range: bytes=-10"), "206 whole [bytes 0-9/10]; probe"),
        same("Range: bytes=-100", get("Range: bytes=-100"), "206 whole [bytes 0-9/10]; probe"),
        differs(
            "Range: bytes=3-2",
            get("Range: bytes=3-2"),
            "200 whole; probe",
            "416 [bytes */10]; probe",
            "RFC 9110 14.2: what is no range is ignored",
        ),
        same("Range: bytes=", get("Range: bytes="), "200 whole; probe"),
        differs(
            "Range: bytes=-",
            get("Range: bytes=-"),
            "200 whole; probe",
            "416 [bytes */10]; probe",
            "RFC 9110 14.2: what is no range is ignored",
        ),
        differs(
            "Range: bytes=a-b",
            get("Range: bytes=a-b"),
            "200 whole; probe",
            "416 [bytes */10]; probe",
            "RFC 9110 14.2: what is no range is ignored",
        ),
        differs(
            "Range: bytes=+1-2",
            get("Range: bytes=+1-2"),
            "200 whole; probe",
            "416 [bytes */10]; probe",
            "RFC 9110 14.2: what is no range is ignored",
        ),
        same("Range: bytes= 1-2", get("Range: bytes= 1-2"), "206 12 [bytes 1-2/10]; probe"),
        differs(
            "Range: bytes=1 - 2",
            get("Range: bytes=1 - 2"),
            "200 whole; probe",
            "206 12 [bytes 1-2/10]; probe",
            "RFC 9110 14.1.1: no range, and so ignored",
        ),
        same("Range: bytes=1-2 ", get("Range: bytes=1-2 "), "206 12 [bytes 1-2/10]; probe"),
        same("Range: BYTES=1-2", get("Range: BYTES=1-2"), "206 12 [bytes 1-2/10]; probe"),
        same("Range: lines=1-2", get("Range: lines=1-2"), "200 whole; probe"),
        same("Range: bytes", get("Range: bytes"), "200 whole; probe"),
        same("Range: 0-1", get("Range: 0-1"), "200 whole; probe"),
        differs(
            "Range: bytes=0-1,4-5",
            get("Range: bytes=0-1,4-5"),
            "200 whole; probe",
            "206 in several parts; probe",
            "RFC 9110 14.2: several ranges may be ignored",
        ),
        same("Range: bytes=0-1,100-", get("Range: bytes=0-1,100-"), "206 01 [bytes 0-1/10]; probe"),
        same("Range: bytes=100-,200-", get("Range: bytes=100-,200-"), "416 [bytes */10]; probe"),
        differs(
            "Range: bytes=0-99999999999999999999",
            get("Range: bytes=0-99999999999999999999"),
            "206 whole [bytes 0-9/10]; probe",
            "416 [bytes */10]; probe",
            "it counts in 64 bits; the last byte is beyond the end all the same",
        ),
        same(
            "Range: bytes=99999999999999999999-",
            get("Range: bytes=99999999999999999999-"),
            "416 [bytes */10]; probe",
        ),
        differs(
            "Range: bytes=0- of an empty file",
            request("GET /empty HTTP/1.1", "Range: bytes=0-"),
            "416 [bytes */0]; probe",
            "200 empty; probe",
            "RFC 9110 14.1.2: no such range of an empty file can be satisfied",
        ),
        same("Range: bytes=-5 of an empty file", request("GET /empty HTTP/1.1", "Range: bytes=-5"), "200 empty; probe"),
        differs(
            "Range: bytes=-0 of an empty file",
            request("GET /empty HTTP/1.1", "Range: bytes=-0"),
            "416 [bytes */0]; probe",
            "200 empty; probe",
            "RFC 9110 14.1.2: no such range of an empty file can be satisfied",
        ),
        differs(
            "Range: bytes=0-0 of an empty file",
            request("GET /empty HTTP/1.1", "Range: bytes=0-0"),
            "416 [bytes */0]; probe",
            "200 empty; probe",
            "RFC 9110 14.1.2: no such range of an empty file can be satisfied",
        ),
        differs(
            "two Ranges",
            get("Range: bytes=0-1\nRange: bytes=0-1"),
            "200 whole; probe",
            "206 01 [bytes 0-1/10]; probe",
            "RFC 9110 5.3: a field that may come once; it takes the first",
        ),
        same("a Range of nothing", request("GET /nothing HTTP/1.1", "Range: bytes=0-1"), "404; probe"),
        differs(
            "a Range of HEAD",
            request("HEAD /a.txt HTTP/1.1", "Range: bytes=0-1"),
            "200 (10); probe",
            "206 [bytes 0-1/10]; probe",
            "RFC 9110 14.2: a Range is for GET alone",
        ),
        same("a Range in HTTP/1.0", request("GET /a.txt HTTP/1.0", "Range: bytes=0-1"), "206 01 [bytes 0-1/10] close"),
        same(
            "If-Range with the date",
            get("Range: bytes=0-1\nIf-Range: Tue, 03 Feb 2026 04:05:06 GMT"),
            "206 01 [bytes 0-1/10]; probe",
        ),
        same(
            "If-Range with an earlier date",
            get("Range: bytes=0-1\nIf-Range: Tue, 03 Feb 2026 04:05:05 GMT"),
            "200 whole; probe",
        ),
        same(
            "If-Range with a later date",
            get("Range: bytes=0-1\nIf-Range: Tue, 03 Feb 2026 04:05:07 GMT"),
            "200 whole; probe",
        ),
        same("If-Range with another tag", get("Range: bytes=0-1\nIf-Range: \"x\""), "200 whole; probe"),
        same("If-Range with a weak tag", get("Range: bytes=0-1\nIf-Range: W/\"x\""), "200 whole; probe"),
        same("If-Range with neither", get("Range: bytes=0-1\nIf-Range: x"), "200 whole; probe"),
    ]
}
