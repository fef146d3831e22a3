//! Request lines, and what comes before and behind them.

use crate::Case;
use crate::differs;
use crate::get;
use crate::line;
use crate::request;
use crate::same;

pub fn cases() -> Vec<Case> {
    vec![
        same("HTTP/1.1", get(""), "200 whole; probe"),
        same("HTTP/1.0", line("GET /a.txt HTTP/1.0"), "200 whole close"),
        same(
            "HTTP/1.0 that asks to be kept",
            request("GET /a.txt HTTP/1.0", "Connection: keep-alive"),
            "200 whole; probe",
        ),
        same("a later version of HTTP/1", line("GET /a.txt HTTP/1.2"), "200 whole; probe"),
        same("HTTP/2.0 in the words of HTTP/1", line("GET /a.txt HTTP/2.0"), "505 close"),
        same("HTTP/3.0 in the words of HTTP/1", line("GET /a.txt HTTP/3.0"), "505 close"),
        differs(
            "HTTP/0.9 with a version",
            line("GET /a.txt HTTP/0.9"),
            "505 close",
            "400 close",
            "a version of HTTP that we do not speak: RFC 9110 15.6.6",
        ),
        differs("HTTP/0.9, without one", "GET /a.txt\r\n", "400 close", "\"0123456789\"", "it still speaks HTTP/0.9"),
        differs(
            "a method in small letters",
            line("get /a.txt HTTP/1.1"),
            "501; probe",
            "400 close",
            "a token like any other, and no method that we know: RFC 9110 9.1",
        ),
        differs(
            "a method that nobody knows",
            line("BREW /a.txt HTTP/1.1"),
            "501; probe",
            "405; probe",
            "RFC 9110 9.1: 501 where a method is not known, 405 where it is and is not allowed",
        ),
        same("a method that is no token", line("GE(T /a.txt HTTP/1.1"), "400 close"),
        same("POST", request("POST /a.txt HTTP/1.1", "Content-Length: 0"), "405; probe"),
        same("PUT", request("PUT /a.txt HTTP/1.1", "Content-Length: 0"), "405; probe"),
        same("DELETE", line("DELETE /a.txt HTTP/1.1"), "405; probe"),
        same("PATCH", request("PATCH /a.txt HTTP/1.1", "Content-Length: 0"), "405; probe"),
        differs("TRACE", line("TRACE /a.txt HTTP/1.1"), "405; probe", "405 close", "it closes"),
        differs(
            "OPTIONS of the server",
            line("OPTIONS * HTTP/1.1"),
            "405; probe",
            "400 close",
            "405 says which methods there are",
        ),
        same("OPTIONS of a file", line("OPTIONS /a.txt HTTP/1.1"), "405; probe"),
        differs(
            "CONNECT",
            line("CONNECT here:80 HTTP/1.1"),
            "405; probe",
            "400 close",
            "405 says which methods there are",
        ),
        differs(
            "two spaces before the target",
            line("GET  /a.txt HTTP/1.1"),
            "400 close",
            "200 whole; probe",
            "it is more lenient; RFC 9112 3 asks for 400",
        ),
        differs(
            "two spaces before the version",
            line("GET /a.txt  HTTP/1.1"),
            "400 close",
            "200 whole; probe",
            "it is more lenient; RFC 9112 3 asks for 400",
        ),
        same("a space before the method", line(" GET /a.txt HTTP/1.1"), "400 close"),
        differs(
            "a space behind the version",
            line("GET /a.txt HTTP/1.1 "),
            "400 close",
            "200 whole; probe",
            "it is more lenient; RFC 9112 3 asks for 400",
        ),
        same("something behind the version", line("GET /a.txt HTTP/1.1 x"), "400 close"),
        same("a tab before the target", line("GET\t/a.txt HTTP/1.1"), "400 close"),
        same("a tab before the version", line("GET /a.txt\tHTTP/1.1"), "400 close"),
        same("a space in the target", line("GET /a .txt HTTP/1.1"), "400 close"),
        same("a version in small letters", line("GET /a.txt http/1.1"), "400 close"),
        differs(
            "a version with three figures",
            line("GET /a.txt HTTP/1.10"),
            "400 close",
            "200 whole; probe",
            "RFC 9112 2.3: a version has two figures",
        ),
        same("a version with a zero before it", line("GET /a.txt HTTP/01.1"), "400 close"),
        same("a version without its second figure", line("GET /a.txt HTTP/1."), "400 close"),
        same("another protocol", line("GET /a.txt ICY/1.1"), "400 close"),
        same("no target", line("GET HTTP/1.1"), "400 close"),
        same("no method", line("/a.txt HTTP/1.1"), "400 close"),
        same("NUL in the line", line("GET /a\0.txt HTTP/1.1"), "400 close"),
        same("CR in the line", line("GET /a\r.txt HTTP/1.1"), "400 close"),
        same("only LF at the ends of lines", "GET /a.txt HTTP/1.1\nHost: h\n\n", "200 whole; probe"),
        same("CR LF and LF mixed", "GET /a.txt HTTP/1.1\r\nHost: h\n\r\n", "200 whole; probe"),
        same("an empty line before", ["\r\n", &get("")].concat(), "200 whole; probe"),
        same("two empty lines before", "\r\n\r\nGET /a.txt HTTP/1.1\r\nHost: h\r\n\r\n", "200 whole; probe"),
        differs(
            "twenty empty lines before",
            ["", &"\r\n".repeat(20), "GET /a.txt HTTP/1.1\r\nHost: h\r\n\r\n"].concat(),
            "400 close",
            "200 whole; probe",
            "sixteen bytes of empty lines are enough",
        ),
        same("an empty line with LF before", "\nGET /a.txt HTTP/1.1\r\nHost: h\r\n\r\n", "200 whole; probe"),
        differs(
            "CR alone before",
            "\rGET /a.txt HTTP/1.1\r\nHost: h\r\n\r\n",
            "400 close",
            "200 whole; probe",
            "RFC 9112 2.2: CR alone ends no line",
        ),
        same(
            "an empty line between two requests",
            "GET /a.txt HTTP/1.1\r\nHost: h\r\n\r\n\r\nGET /a.txt HTTP/1.1\r\nHost: h\r\n\r\n",
            "2 times 200 whole; probe",
        ),
        same("an empty line behind the last", "GET /a.txt HTTP/1.1\r\nHost: h\r\n\r\n\r\n", "200 whole").ended(),
        same("an empty line and nothing else", "\r\n", "nothing").ended(),
        same("nothing", "", "nothing").ended(),
        differs(
            "half a line",
            "GET /a.t",
            "400 close",
            "nothing",
            "it closes without a word: RFC 9112 8 leaves the choice",
        )
        .ended(),
        differs(
            "half a head",
            "GET /a.txt HTTP/1.1\r\nHost: h\r\n",
            "400 close",
            "nothing",
            "it closes without a word: RFC 9112 8 leaves the choice",
        )
        .ended(),
        differs(
            "the preface of HTTP/2",
            "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            "505 close",
            "400 close",
            "a version of HTTP that we do not speak: RFC 9110 15.6.6",
        ),
        same("the hello of TLS", "\x16\x03\x01\x02\0\x01\0\x01|\x03\x03", "400 close").ended(),
        same("a line without an end", ["", &"A".repeat(70000), ""].concat(), "414 close").ended(),
    ]
}
