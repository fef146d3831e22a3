//! Content, and where it ends: what could be read in two ways is how requests are smuggled past a proxy.

use crate::Case;
use crate::differs;
use crate::get;
use crate::line;
use crate::request;
use crate::same;
use crate::with;

pub fn cases() -> Vec<Case> {
    vec![
        same("GET with content", with(get("Content-Length: 5"), "12345"), "200 whole; probe"),
        same(
            "GET with content that looks like a request",
            with(get("Content-Length: 36"), "GET /probe HTTP/1.1\r\nHost: inside\r\n\r\n"),
            "200 whole; probe",
        ),
        differs(
            "GET with more content than it says",
            with(get("Content-Length: 3"), "12345"),
            "200 whole; 501 close",
            "200 whole; 400 close",
            "what is left looks like a method, which it says later",
        ),
        same("no content, said", get("Content-Length: 0"), "200 whole; probe"),
        same("POST with content", with(request("POST /a.txt HTTP/1.1", "Content-Length: 5"), "12345"), "405; probe"),
        same("POST without a length", line("POST /a.txt HTTP/1.1"), "405; probe"),
        same(
            "HEAD with content",
            with(request("HEAD /a.txt HTTP/1.1", "Content-Length: 5"), "12345"),
            "200 (10); probe",
        ),
        same("twice the same length", with(get("Content-Length: 5\nContent-Length: 5"), "12345"), "400 close"),
        same("two lengths", with(get("Content-Length: 5\nContent-Length: 6"), "12345"), "400 close"),
        same("the same length in a list", with(get("Content-Length: 5, 5"), "12345"), "400 close"),
        same("a length of -5", with(get("Content-Length: -5"), "12345"), "400 close"),
        same("a length of +5", with(get("Content-Length: +5"), "12345"), "400 close"),
        same("a length of 0x5", with(get("Content-Length: 0x5"), "12345"), "400 close"),
        same("a length of 5 5", with(get("Content-Length: 5 5"), "12345"), "400 close"),
        same("a length of 5.0", with(get("Content-Length: 5.0"), "12345"), "400 close"),
        same("a length of five", with(get("Content-Length: five"), "12345"), "400 close"),
        same("a length of ", with(get("Content-Length: "), "12345"), "400 close"),
        same(
            "a length of 18446744073709551621",
            with(get("Content-Length: 18446744073709551621"), "12345"),
            "400 close",
        ),
        same("a length of 00005", with(get("Content-Length: 00005"), "12345"), "200 whole; probe"),
        same("a length of 20 MB", get("Content-Length: 20000000"), "413 close"),
        same("content that does not come", with(get("Content-Length: 5"), "123"), "200 whole").ended(),
        differs(
            "pieces",
            with(get("Transfer-Encoding: chunked"), "5\r\n12345\r\n0\r\n\r\n"),
            "411 close",
            "200 whole; probe",
            "what we throw away should tell its length: RFC 9110 15.5.12",
        ),
        differs(
            "pieces of a POST",
            with(request("POST /a.txt HTTP/1.1", "Transfer-Encoding: chunked"), "5\r\n12345\r\n0\r\n\r\n"),
            "411 close",
            "405; probe",
            "what we throw away should tell its length: RFC 9110 15.5.12",
        ),
        differs(
            "PIECES",
            with(get("Transfer-Encoding: CHUNKED"), "5\r\n12345\r\n0\r\n\r\n"),
            "411 close",
            "200 whole; probe",
            "what we throw away should tell its length: RFC 9110 15.5.12",
        ),
        same(
            "pieces and a length",
            with(get("Transfer-Encoding: chunked\nContent-Length: 5"), "5\r\n12345\r\n0\r\n\r\n"),
            "400 close",
        ),
        same(
            "a length and pieces",
            with(get("Content-Length: 15\nTransfer-Encoding: chunked"), "5\r\n12345\r\n0\r\n\r\n"),
            "400 close",
        ),
        same(
            "pieces in HTTP/1.0",
            with(request("GET /a.txt HTTP/1.0", "Transfer-Encoding: chunked"), "5\r\n12345\r\n0\r\n\r\n"),
            "400 close",
        ),
        same(
            "pieces twice",
            with(get("Transfer-Encoding: chunked\nTransfer-Encoding: chunked"), "5\r\n12345\r\n0\r\n\r\n"),
            "400 close",
        ),
        same(
            "pieces in pieces",
            with(get("Transfer-Encoding: chunked, chunked"), "5\r\n12345\r\n0\r\n\r\n"),
            "501 close",
        ),
        same("Transfer-Encoding: gzip", with(get("Transfer-Encoding: gzip"), "5\r\n12345\r\n0\r\n\r\n"), "501 close"),
        same(
            "Transfer-Encoding: gzip, chunked",
            with(get("Transfer-Encoding: gzip, chunked"), "5\r\n12345\r\n0\r\n\r\n"),
            "501 close",
        ),
        same(
            "Transfer-Encoding: chunked, gzip",
            with(get("Transfer-Encoding: chunked, gzip"), "5\r\n12345\r\n0\r\n\r\n"),
            "501 close",
        ),
        same(
            "Transfer-Encoding: identity",
            with(get("Transfer-Encoding: identity"), "5\r\n12345\r\n0\r\n\r\n"),
            "501 close",
        ),
        same(
            "Transfer-Encoding: xchunked",
            with(get("Transfer-Encoding: xchunked"), "5\r\n12345\r\n0\r\n\r\n"),
            "501 close",
        ),
        same(
            "Transfer-Encoding: chunkedx",
            with(get("Transfer-Encoding: chunkedx"), "5\r\n12345\r\n0\r\n\r\n"),
            "501 close",
        ),
        differs(
            "Transfer-Encoding: VT chunked",
            with(get("Transfer-Encoding: \x0bchunked"), "5\r\n12345\r\n0\r\n\r\n"),
            "400 close",
            "501 close",
            "RFC 9110 5.5: VT is invalid in a value",
        ),
        same(
            "Transfer-Encoding: \"chunked\"",
            with(get("Transfer-Encoding: \"chunked\""), "5\r\n12345\r\n0\r\n\r\n"),
            "501 close",
        ),
        same(
            "Transfer-Encoding: chunked;x=y",
            with(get("Transfer-Encoding: chunked;x=y"), "5\r\n12345\r\n0\r\n\r\n"),
            "501 close",
        ),
        same(
            "Transfer-Encoding: chunked,",
            with(get("Transfer-Encoding: chunked,"), "5\r\n12345\r\n0\r\n\r\n"),
            "501 close",
        ),
        same("Transfer-Encoding: ", with(get("Transfer-Encoding: "), "5\r\n12345\r\n0\r\n\r\n"), "501 close"),
        same(
            "Transfer-Encoding with a space before the colon",
            with(get("Transfer-Encoding : chunked\nContent-Length: 5"), "12345"),
            "400 close",
        ),
        same(
            "Transfer_Encoding",
            with(get("Transfer_Encoding: chunked\nContent-Length: 5"), "12345"),
            "200 whole; probe",
        ),
        same(
            "a folded Transfer-Encoding",
            with(get("Transfer-Encoding:\n chunked"), "5\r\n12345\r\n0\r\n\r\n"),
            "400 close",
        ),
        same("Content-Length with a space before the colon", with(get("Content-Length : 5"), "12345"), "400 close"),
        differs(
            "pieces whose size is none",
            with(get("Transfer-Encoding: chunked"), "x\r\n12345\r\n0\r\n\r\n"),
            "411 close",
            "400 close",
            "it has to tell its length before that matters",
        ),
        differs(
            "Expect: 100-continue with the content",
            with(get("Expect: 100-continue\nContent-Length: 5"), "12345"),
            "200 whole close",
            "100 without a body; 200 whole; probe",
            "RFC 9110 10.1.1: the answer is final, and the client may or may not send the content behind it",
        ),
        same(
            "between two others",
            [get(""), with(request("POST /a.txt HTTP/1.1", "Content-Length: 5"), "12345"), get("")].concat(),
            "200 whole; 405; 200 whole; probe",
        ),
    ]
}
