//! The page of a directory, drawn piece by piece.

use std::fmt::Write as _;
use std::fs::Metadata;
use std::io;
use std::io::Write;
use std::time::SystemTime;

use percent_encoding::AsciiSet;
use percent_encoding::NON_ALPHANUMERIC;
use percent_encoding::percent_encode;

use super::dates;
use super::files::Site;
use super::listing::Listing;

/// What stays as it is in a link.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

const STYLE: &str = "\
:root{color-scheme:light dark}\
body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}\
h1{font-size:1.25rem;font-weight:600;overflow-wrap:anywhere}\
a{color:#0b62c4;text-decoration:none}a:hover{text-decoration:underline}\
table{width:100%;border-collapse:collapse}\
th{text-align:left;font-size:.8rem;font-weight:600;opacity:.7}\
th,td{padding:.3rem .5rem;border-bottom:1px solid #8883}\
td{vertical-align:top}td:first-child{overflow-wrap:anywhere}\
.n{text-align:right;white-space:nowrap;font-variant-numeric:tabular-nums}\
tbody tr:hover{background:#8881}\
@media(prefers-color-scheme:dark){a{color:#7ab7ff}}";

/// The link to what has these names, from the root.
pub fn link(names: &[Vec<u8>], is_folder: bool) -> String {
    let mut link = String::new();
    for name in names {
        let _ = write!(link, "/{}", percent_encode(name, ESCAPED));
    }
    if is_folder || link.is_empty() {
        link.push('/');
    }
    link
}

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for char in text.chars() {
        match char {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            char => escaped.push(char),
        }
    }
    escaped
}

fn size(bytes: u64) -> String {
    let mut value = bytes as f64;
    for unit in ["B", "KiB", "MiB", "GiB"] {
        if value < 1024.0 {
            return if unit == "B" { format!("{bytes} B") } else { format!("{value:.1} {unit}") };
        }
        value /= 1024.0;
    }
    format!("{value:.1} TiB")
}

/// "Sat, 21 Nov 2026 04:20:00 GMT" without the weekday, the seconds and the zone.
fn date(time: SystemTime) -> Option<String> {
    dates::written(time)?.get(5..22).map(str::to_owned)
}

/// The path as it is shown, each part of it a link.
fn trail(names: &[Vec<u8>]) -> String {
    let mut trail = String::from("<a href=\"/\">/</a>");
    for (at, name) in names.iter().enumerate() {
        let text = escape(&String::from_utf8_lossy(name));
        let _ = write!(trail, " <a href=\"{}\">{text}/</a>", link(&names[..=at], true));
    }
    trail
}

/// A page up to where its rows begin.
fn top(names: &[Vec<u8>]) -> String {
    let title = escape(&names.iter().fold("/".to_owned(), |title, name| title + &String::from_utf8_lossy(name) + "/"));
    let mut top = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width\">\n\
         <title>{title}</title>\n<link rel=\"icon\" href=\"data:,\">\n<style>{STYLE}</style>\n</head>\n<body>\n<h1>{}</h1>\n<table>\n\
         <thead><tr><th>Name</th><th class=\"n\">Size</th><th class=\"n\">Modified (UTC)</th></tr></thead>\n<tbody>\n",
        trail(names)
    );
    if !names.is_empty() {
        top.push_str("<tr><td><a href=\"../\">../</a></td><td></td><td></td></tr>\n");
    }
    top
}

fn row(name: &[u8], found: &Metadata) -> String {
    let slash = if found.is_dir() { "/" } else { "" };
    let size = if found.is_dir() { String::new() } else { size(found.len()) };
    let date = found.modified().ok().and_then(date).unwrap_or_default();
    let href = percent_encode(name, ESCAPED);
    let text = escape(&String::from_utf8_lossy(name));
    format!(
        "<tr><td><a href=\"{href}{slash}\">{text}{slash}</a></td><td class=\"n\">{size}</td><td class=\"n\">{date}</td></tr>\n"
    )
}

fn bottom(is_cut: bool) -> &'static str {
    if is_cut {
        "</tbody>\n</table>\n<p>There is more in this folder than a page can show.</p>\n</body>\n</html>\n"
    } else {
        "</tbody>\n</table>\n</body>\n</html>\n"
    }
}

/// A page on its way to a client: what it is made from, and what has been drawn and not been sent.
pub struct Page {
    names: Vec<Vec<u8>>,
    listing: Listing,
    drawn: Vec<u8>,
    /// Nothing is left to be drawn.
    is_drawn: bool,
    sent: usize,
    /// Each piece tells its length. Without that, for HTTP/1.0, the end of the connection is that of the page.
    is_chunked: bool,
}

/// So much is drawn and sent at a time; the next is drawn when the client has taken it.
const PIECE: usize = 32 * 1024;

impl Page {
    pub fn new(names: Vec<Vec<u8>>, listing: Listing, is_chunked: bool) -> Self {
        Self { drawn: top(&names).into_bytes(), names, listing, is_drawn: false, sent: 0, is_chunked }
    }

    /// Writes the next piece; true with the last.
    pub fn write(&mut self, site: &Site, out: &mut impl Write) -> io::Result<bool> {
        while self.drawn.len() - self.sent < PIECE && !self.is_drawn {
            if let Some(name) = self.listing.next() {
                // What has gone meanwhile has no row.
                if let Ok(found) = site.find(&[&self.names[..], &[name.to_vec()]].concat()) {
                    self.drawn.extend_from_slice(row(name, &found).as_bytes());
                }
            } else {
                self.drawn.extend_from_slice(bottom(self.listing.is_cut()).as_bytes());
                self.is_drawn = true;
            }
        }
        let rest = &self.drawn[self.sent..];
        let piece = &rest[..rest.len().min(PIECE)];
        let is_last = self.is_drawn && piece.len() == rest.len();
        if self.is_chunked {
            write!(out, "{:x}\r\n", piece.len())?;
            out.write_all(piece)?;
            out.write_all(if is_last { b"\r\n0\r\n\r\n" } else { b"\r\n" })?;
        } else {
            out.write_all(piece)?;
        }
        self.sent += piece.len();
        if self.sent == self.drawn.len() {
            self.drawn.clear();
            self.sent = 0;
        }
        Ok(is_last)
    }
}
