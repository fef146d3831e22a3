//! From a target to a file: names, the way that does not leave the directory, conditions and ranges.

use std::ffi::OsStr;
use std::fs::File;
use std::fs::Metadata;
use std::fs::OpenOptions;
use std::io;
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use rustix::fs::OFlags;

use super::GATHERED;
use super::body::FilePart;
use super::head::Head;
use super::head::number;
use super::head::tokens;
use super::page;
use super::reply;
use super::reply::Reply;

/// What is served, without symbolic links in its path.
pub struct Directory {
    root: PathBuf,
}

/// A file or folder below the root.
struct Found {
    path: PathBuf,
    file: File,
    metadata: Metadata,
}

impl Directory {
    pub fn open(folder: &Path) -> Result<Self, String> {
        let named = |error: io::Error| format!("--directory {}: {error}", folder.display());
        let root = folder.canonicalize().map_err(named)?;
        std::fs::read_dir(&root).map_err(named)?;
        Ok(Self { root })
    }

    /// Writes the answer to a request.
    pub fn answer(&self, head: &Head<'_>, out: &mut Vec<u8>) -> Reply {
        let start = out.len();
        self.try_answer(head, out).unwrap_or_else(|status| {
            out.truncate(start);
            reply::error(out, status, head);
            Reply::Gathered
        })
    }

    fn try_answer(&self, head: &Head<'_>, out: &mut Vec<u8>) -> Result<Reply, u16> {
        let (path, query) = split(head.target)?;
        let names = names(path)?;
        let found = self.find(&names)?;
        if !found.metadata.is_dir() {
            return if path.ends_with('/') { Err(404) } else { file(head, found, out) };
        }
        if !path.ends_with('/') {
            // Put together anew: `//host` as it came would lead to another host.
            let fields = format!("Location: {}{query}\r\n", page::link(&names, true));
            reply::text(out, 301, head, &fields, "text/plain", "301 Moved Permanently\n");
            return Ok(Reply::Gathered);
        }
        for index in ["index.html", "index.htm"] {
            let mut names = names.clone();
            names.push(index.into());
            if let Ok(found) = self.find(&names)
                && found.metadata.is_file()
            {
                return file(head, found, out);
            }
        }
        let page = page::draw(&self.root, &found.path, &names).map_err(|error| status(&error))?;
        reply::text(out, 200, head, "Cache-Control: no-cache\r\n", "text/html", &page);
        Ok(Reply::Gathered)
    }

    /// Opens what is there, unless a symbolic link has led out of the directory.
    fn find(&self, names: &[Vec<u8>]) -> Result<Found, u16> {
        let mut path = self.root.clone();
        path.extend(names.iter().map(|name| OsStr::from_bytes(name)));
        let path = path.canonicalize().map_err(|error| status(&error))?;
        if !path.starts_with(&self.root) {
            return Err(404);
        }
        // Not following what may have become a link since; not waiting for somebody to write to a FIFO.
        let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits() as i32;
        let file = OpenOptions::new().read(true).custom_flags(flags).open(&path).map_err(|error| status(&error))?;
        let metadata = file.metadata().map_err(|error| status(&error))?;
        if metadata.is_file() || metadata.is_dir() { Ok(Found { path, file, metadata }) } else { Err(404) }
    }
}

fn status(error: &io::Error) -> u16 {
    match error.kind() {
        ErrorKind::PermissionDenied => 403,
        // Descriptors or memory have run out, or the disk fails: it is not the client's doing.
        ErrorKind::OutOfMemory => 500,
        _ if [rustix::io::Errno::MFILE, rustix::io::Errno::NFILE, rustix::io::Errno::IO]
            .iter()
            .any(|errno| error.raw_os_error() == Some(errno.raw_os_error())) =>
        {
            500
        }
        _ => 404,
    }
}

/// The path of a target and its query.
fn split(target: &str) -> Result<(&str, &str), u16> {
    let path = match target.split_once("://") {
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => rest.find('/').map_or("/", |at| &rest[at..]),
        _ => target,
    };
    if !path.starts_with('/') {
        return Err(400);
    }
    Ok(path.split_at(path.find(['?', '#']).unwrap_or(path.len())))
}

/// The names in a path, decoded; none of them leads upwards.
fn names(path: &str) -> Result<Vec<Vec<u8>>, u16> {
    let mut names = Vec::new();
    for part in path.split('/') {
        let well_formed = part.split('%').skip(1).all(|rest| {
            let bytes = rest.as_bytes();
            bytes.len() >= 2 && bytes[..2].iter().all(u8::is_ascii_hexdigit)
        });
        if !well_formed {
            return Err(400);
        }
        let name: Vec<u8> = percent_encoding::percent_decode_str(part).collect();
        if name.contains(&0) {
            return Err(400);
        }
        match &name[..] {
            b"" | b"." => {}
            b".." => return Err(404),
            name if name.contains(&b'/') => return Err(404),
            _ => names.push(name),
        }
    }
    Ok(names)
}

/// Answers with a file, or a part of it, or that the client has it already.
fn file(head: &Head<'_>, found: Found, out: &mut Vec<u8>) -> Result<Reply, u16> {
    let Found { path, file, metadata } = found;
    let length = metadata.len();
    let since = metadata.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok()).unwrap_or_default();
    let etag = format!("\"{:x}-{:x}-{length:x}\"", since.as_secs(), since.subsec_nanos());
    let modified = UNIX_EPOCH + Duration::from_secs(since.as_secs());
    let validators = format!("ETag: {etag}\r\nLast-Modified: {}\r\n", httpdate::fmt_http_date(modified));
    if is_unchanged(head, &etag, modified) {
        reply::begin(out, 304, head);
        reply::put(out, format_args!("{validators}\r\n"));
        return Ok(Reply::Gathered);
    }
    let wanted = head.range.filter(|_| !head.is_head && may_be_part(head, &etag, modified));
    let (code, at, end) = match wanted.map_or(Range::Whole, |value| range(value, length)) {
        Range::Whole => (200, 0, length),
        Range::Part(at, end) => (206, at, end),
        Range::Outside => {
            let fields = format!("Content-Range: bytes */{length}\r\n");
            reply::text(out, 416, head, &fields, "text/plain", "416 Range Not Satisfiable\n");
            return Ok(Reply::Gathered);
        }
    };
    reply::begin(out, code, head);
    let kind = mime_guess::from_path(&path).first_or_octet_stream();
    let charset = if kind.type_() == mime_guess::mime::TEXT { "; charset=utf-8" } else { "" };
    reply::put(
        out,
        format_args!(
            "{validators}Accept-Ranges: bytes\r\nContent-Type: {kind}{charset}\r\nContent-Length: {}\r\n",
            end - at
        ),
    );
    if code == 206 {
        reply::put(out, format_args!("Content-Range: bytes {at}-{}/{length}\r\n", end - 1));
    }
    out.extend_from_slice(b"\r\n");
    let part = FilePart { file, at, end };
    if head.is_head {
        Ok(Reply::Gathered)
    } else if end - at > GATHERED as u64 {
        Ok(Reply::File(part))
    } else {
        // A file that has become shorter since it was opened.
        if part.gather(out).map_err(|error| status(&error))? { Ok(Reply::Gathered) } else { Err(500) }
    }
}

/// Whether the client has the file as it is; its tag counts for more than its date.
fn is_unchanged(head: &Head<'_>, etag: &str, modified: SystemTime) -> bool {
    match (head.if_none_match, head.if_modified_since) {
        (Some(tags), _) => tokens(tags).any(|tag| {
            let tag = tag.strip_prefix(b"W/").unwrap_or(tag);
            tag == b"*" || tag == etag.as_bytes()
        }),
        (None, Some(value)) => date(value).is_some_and(|date| modified <= date),
        (None, None) => false,
    }
}

/// Whether a part of this file fits to what the client has of it.
fn may_be_part(head: &Head<'_>, etag: &str, modified: SystemTime) -> bool {
    head.if_range.is_none_or(|value| value == etag.as_bytes() || date(value) == Some(modified))
}

fn date(value: &[u8]) -> Option<SystemTime> {
    httpdate::parse_http_date(std::str::from_utf8(value).ok()?).ok()
}

enum Range {
    Whole,
    /// From where to before where.
    Part(u64, u64),
    Outside,
}

/// A single range of bytes; what is no such thing is ignored, as the standard allows.
fn range(value: &[u8], length: u64) -> Range {
    let Some((unit, value)) = value.split_at_checked(6) else { return Range::Whole };
    let mut ends = value.trim_ascii().splitn(2, |&byte| byte == b'-');
    let (Some(first), Some(last)) = (ends.next(), ends.next()) else { return Range::Whole };
    if !unit.eq_ignore_ascii_case(b"bytes=") {
        return Range::Whole;
    }
    let (at, end) = match (number(first), number(last)) {
        (Some(first), Some(last)) if first <= last => (first, length.min(last.saturating_add(1))),
        (Some(first), None) if last.is_empty() => (first, length),
        (None, Some(count)) if first.is_empty() => (length - count.min(length), length),
        _ => return Range::Whole,
    };
    if at < end { Range::Part(at, end) } else { Range::Outside }
}
