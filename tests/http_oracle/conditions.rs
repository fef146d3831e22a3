//! Conditions.

use crate::Case;
use crate::differs;
use crate::get;
use crate::request;
use crate::same;

pub fn cases() -> Vec<Case> {
    vec![
        same(
            "If-Modified-Since with the date",
            get("If-Modified-Since: Tue, 03 Feb 2026 04:05:06 GMT"),
            "304 without a body; probe",
        ),
        same(
            "If-Modified-Since with an earlier date",
            get("If-Modified-Since: Tue, 03 Feb 2026 04:05:05 GMT"),
            "200 whole; probe",
        ),
        same(
            "If-Modified-Since with a later date",
            get("If-Modified-Since: Tue, 03 Feb 2026 04:05:07 GMT"),
            "304 without a body; probe",
        ),
        same(
            "If-Modified-Since with the date in the style of RFC 850",
            get("If-Modified-Since: Tuesday, 03-Feb-26 04:05:06 GMT"),
            "304 without a body; probe",
        ),
        same(
            "If-Modified-Since with the date in the style of asctime",
            get("If-Modified-Since: Tue Feb  3 04:05:06 2026"),
            "304 without a body; probe",
        ),
        same("If-Modified-Since with no date", get("If-Modified-Since: yesterday"), "200 whole; probe"),
        same("If-Modified-Since with nothing", get("If-Modified-Since: "), "200 whole; probe"),
        same(
            "If-Unmodified-Since with the date",
            get("If-Unmodified-Since: Tue, 03 Feb 2026 04:05:06 GMT"),
            "200 whole; probe",
        ),
        differs(
            "If-Unmodified-Since with an earlier date",
            get("If-Unmodified-Since: Tue, 03 Feb 2026 04:05:05 GMT"),
            "412; probe",
            "412",
            "it breaks off behind a 412, and says so nowhere",
        ),
        same(
            "If-Unmodified-Since with a later date",
            get("If-Unmodified-Since: Tue, 03 Feb 2026 04:05:07 GMT"),
            "200 whole; probe",
        ),
        differs(
            "If-Unmodified-Since with no date",
            get("If-Unmodified-Since: yesterday"),
            "200 whole; probe",
            "412",
            "RFC 9110 13.1.4: what is no date is ignored; and it breaks off behind a 412, and says so nowhere",
        ),
        same("If-Match: *", get("If-Match: *"), "200 whole; probe"),
        differs(
            "If-Match: \"x\"",
            get("If-Match: \"x\""),
            "412; probe",
            "412",
            "it breaks off behind a 412, and says so nowhere",
        ),
        differs(
            "If-Match: W/\"x\"",
            get("If-Match: W/\"x\""),
            "412; probe",
            "412",
            "it breaks off behind a 412, and says so nowhere",
        ),
        differs(
            "If-Match: \"x\", \"y\"",
            get("If-Match: \"x\", \"y\""),
            "412; probe",
            "412",
            "it breaks off behind a 412, and says so nowhere",
        ),
        differs(
            "If-Match: x",
            get("If-Match: x"),
            "412; probe",
            "412",
            "it breaks off behind a 412, and says so nowhere",
        ),
        differs(
            "If-Match: ",
            get("If-Match: "),
            "412; probe",
            "412",
            "it breaks off behind a 412, and says so nowhere",
        ),
        same("If-None-Match: *", get("If-None-Match: *"), "304 without a body; probe"),
        same("If-None-Match: \"x\"", get("If-None-Match: \"x\""), "200 whole; probe"),
        same("If-None-Match: W/\"x\"", get("If-None-Match: W/\"x\""), "200 whole; probe"),
        same("If-None-Match: \"x\", *", get("If-None-Match: \"x\", *"), "200 whole; probe"),
        same("If-None-Match: x", get("If-None-Match: x"), "200 whole; probe"),
        same("If-None-Match: ", get("If-None-Match: "), "200 whole; probe"),
        same(
            "If-None-Match counts for more than If-Modified-Since",
            get("If-None-Match: \"x\"\nIf-Modified-Since: Tue, 03 Feb 2026 04:05:06 GMT"),
            "200 whole; probe",
        ),
        differs(
            "If-Match counts for more than If-Unmodified-Since",
            get("If-Match: *\nIf-Unmodified-Since: Tue, 03 Feb 2026 04:05:05 GMT"),
            "200 whole; probe",
            "412",
            "RFC 9110 13.1.4: with If-Match it is ignored; and it breaks off behind a 412, and says so nowhere",
        ),
        differs(
            "If-Unmodified-Since comes before If-None-Match",
            get("If-None-Match: *\nIf-Unmodified-Since: Tue, 03 Feb 2026 04:05:05 GMT"),
            "412; probe",
            "412",
            "it breaks off behind a 412, and says so nowhere",
        ),
        differs(
            "If-Match comes before If-None-Match",
            get("If-None-Match: *\nIf-Match: \"x\""),
            "412; probe",
            "412",
            "it breaks off behind a 412, and says so nowhere",
        ),
        differs(
            "If-Match comes before Range",
            get("Range: bytes=0-1\nIf-Match: \"x\""),
            "412; probe",
            "412",
            "it breaks off behind a 412, and says so nowhere",
        ),
        same(
            "If-None-Match comes before Range",
            get("Range: bytes=0-1\nIf-None-Match: *"),
            "304 without a body; probe",
        ),
        same(
            "If-Modified-Since comes before Range",
            get("Range: bytes=0-1\nIf-Modified-Since: Tue, 03 Feb 2026 04:05:06 GMT"),
            "304 without a body; probe",
        ),
        same(
            "HEAD that has not changed",
            request("HEAD /a.txt HTTP/1.1", "If-Modified-Since: Tue, 03 Feb 2026 04:05:06 GMT"),
            "304; probe",
        ),
        differs(
            "HEAD with another tag",
            request("HEAD /a.txt HTTP/1.1", "If-Match: \"x\""),
            "412; probe",
            "412",
            "it breaks off behind a 412, and says so nowhere",
        ),
        same("conditions on nothing", request("GET /nothing HTTP/1.1", "If-Match: \"x\""), "404; probe"),
        same(
            "conditions on a folder without its slash",
            request("GET /folder HTTP/1.1", "If-Match: \"x\""),
            "301 to /folder/; probe",
        ),
        same(
            "conditions on a page",
            request("GET /folder/ HTTP/1.1", "If-Modified-Since: Tue, 03 Feb 2026 04:05:07 GMT"),
            "200 page; probe",
        ),
        differs(
            "If-Match on a page",
            request("GET /folder/ HTTP/1.1", "If-Match: \"x\""),
            "412; probe",
            "412",
            "it breaks off behind a 412, and says so nowhere",
        ),
        same(
            "If-None-Match: * on a page",
            request("GET /folder/ HTTP/1.1", "If-None-Match: *"),
            "304 without a body without a tag; probe",
        ),
    ]
}
