//! The page of a directory.

use std::cmp::Reverse;
use std::fmt::Write;
use std::time::SystemTime;

use percent_encoding::AsciiSet;
use percent_encoding::NON_ALPHANUMERIC;
use percent_encoding::percent_encode;

use super::dates;

/// What is in a folder.
pub struct Entry {
    pub name: Vec<u8>,
    pub is_folder: bool,
    pub size: u64,
    pub modified: Option<SystemTime>,
}

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

/// The page of the folder with these names.
pub fn draw(names: &[Vec<u8>], mut entries: Vec<Entry>) -> String {
    entries.sort_by_cached_key(|entry| {
        (Reverse(entry.is_folder), String::from_utf8_lossy(&entry.name).to_lowercase(), entry.name.clone())
    });

    let title = escape(&names.iter().fold("/".to_owned(), |title, name| title + &String::from_utf8_lossy(name) + "/"));
    let mut page = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width\">\n\
         <title>{title}</title>\n<link rel=\"icon\" href=\"data:,\">\n<style>{STYLE}</style>\n</head>\n<body>\n<h1>{}</h1>\n<table>\n\
         <thead><tr><th>Name</th><th class=\"n\">Size</th><th class=\"n\">Modified (UTC)</th></tr></thead>\n<tbody>\n",
        trail(names)
    );
    if !names.is_empty() {
        page.push_str("<tr><td><a href=\"../\">../</a></td><td></td><td></td></tr>\n");
    }
    for Entry { name, is_folder, size: bytes, modified } in entries {
        let slash = if is_folder { "/" } else { "" };
        let size = if is_folder { String::new() } else { size(bytes) };
        let date = modified.and_then(date).unwrap_or_default();
        let href = percent_encode(&name, ESCAPED);
        let text = escape(&String::from_utf8_lossy(&name));
        let _ = writeln!(
            page,
            "<tr><td><a href=\"{href}{slash}\">{text}{slash}</a></td><td class=\"n\">{size}</td><td class=\"n\">{date}</td></tr>"
        );
    }
    page.push_str("</tbody>\n</table>\n</body>\n</html>\n");
    page
}
