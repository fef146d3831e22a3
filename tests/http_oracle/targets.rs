//! What requests are for.

use crate::Case;
use crate::bare;
use crate::differs;
use crate::same;
use crate::target;

pub fn cases() -> Vec<Case> {
    vec![
        same("a query", target("/a.txt?x=y"), "200 whole; probe"),
        same("a query that has dots and slashes", target("/a.txt?/../x"), "200 whole; probe"),
        same("an escaped letter", target("/%61.txt"), "200 whole; probe"),
        same("an escaped space", target("/two%20words.txt"), "200 words; probe"),
        same("a plus is a plus", target("/two+words.txt"), "404; probe"),
        differs(
            "an escaped slash",
            target("/folder%2flink"),
            "404; probe",
            "200 whole; probe",
            "it takes it for a slash; no name has one",
        ),
        differs("an escape cut short", target("/a.txt%"), "400; probe", "400 close", "it closes"),
        differs("an escape that is none", target("/a.txt%zz"), "400; probe", "400 close", "it closes"),
        differs("an escaped NUL", target("/a.txt%00"), "400; probe", "400 close", "it closes"),
        same("a dot", target("/./a.txt"), "200 whole; probe"),
        differs(
            "two dots inside",
            target("/folder/../a.txt"),
            "404; probe",
            "200 whole; probe",
            "it resolves what clients have to: RFC 3986 5.2.4; no name is two dots",
        ),
        differs(
            "two dots that lead out",
            target("/../secret"),
            "404; probe",
            "400 close",
            "there is nothing of this name; it says that it is no request",
        ),
        differs(
            "escaped dots that lead out",
            target("/%2e%2e/secret"),
            "404; probe",
            "400 close",
            "there is nothing of this name; it says that it is no request",
        ),
        differs(
            "dots and an escaped slash that lead out",
            target("/folder/..%2f..%2fsecret"),
            "404; probe",
            "400 close",
            "there is nothing of this name; it says that it is no request",
        ),
        same("two slashes", target("//a.txt"), "200 whole; probe"),
        same("a backslash", target("/folder\\link"), "404; probe"),
        same("letters that are not ASCII", target("/gr\u{fc}\u{df}e.txt"), "404; probe"),
        same("a control character", target("/a\x01.txt"), "400 close"),
        differs("a fragment", target("/a.txt#x"), "400 close", "200 whole; probe", "RFC 9112 3.2: no target has one"),
        same("a whole address", target("http://h/a.txt"), "200 whole; probe"),
        same("a whole address in capitals", target("HTTP://H/a.txt"), "200 whole; probe"),
        same("a whole address with a port", target("http://h:80/a.txt"), "200 whole; probe"),
        same("a whole address with another host than Host", target("http://other/a.txt"), "200 whole; probe"),
        same("a whole address without a path", target("http://h"), "200 page; probe"),
        same("a whole address and no Host", bare("GET http://h/a.txt HTTP/1.1", ""), "400 close"),
        same("a whole address without a host", target("http:///a.txt"), "400 close"),
        same("a whole address with a user", target("http://user@h/a.txt"), "400 close"),
        differs(
            "an address of https",
            target("https://h/a.txt"),
            "400 close",
            "200 whole; probe",
            "this connection is none of https: RFC 9110 4.3.3",
        ),
        differs(
            "an address of another scheme",
            target("ftp://h/a.txt"),
            "400 close",
            "200 whole; probe",
            "RFC 9110 7.1: we are no proxy for it",
        ),
        same("a name without a slash", target("a.txt"), "400 close"),
        same("an asterisk for GET", target("*"), "400 close"),
        same("a folder", target("/folder/"), "200 page; probe"),
        same("a folder without its slash", target("/folder"), "301 to /folder/; probe"),
        same("a folder without its slash, with a query", target("/folder?x=y"), "301 to /folder/?x=y; probe"),
        same("a folder under another name", target("//folder"), "301 to /folder/; probe"),
        same("a folder that has an index", target("/indexed/"), "200 page; probe"),
        same("a file with a slash", target("/a.txt/"), "404; probe"),
        same("nothing of this name", target("/nothing"), "404; probe"),
        differs(
            "a link that leads out",
            target("/leak"),
            "404; probe",
            "200 secret; probe",
            "nothing outside of the folder is served; there it has to be asked for (disable_symlinks)",
        ),
        same("a FIFO", target("/fifo"), "404; probe"),
        same(
            "a target of 9,000 characters",
            ["GET /", &"a".repeat(9000), " HTTP/1.1\r\nHost: h\r\n\r\n"].concat(),
            "414 close",
        ),
        same(
            "a target of 70,000 characters",
            ["GET /", &"a".repeat(70000), " HTTP/1.1\r\nHost: h\r\n\r\n"].concat(),
            "414 close",
        ),
    ]
}
