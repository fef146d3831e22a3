//! From a target to a file or a page: names, conditions and ranges.

use std::ffi::OsStr;
use std::fs::File;
use std::fs::Metadata;
use std::io;
use std::io::ErrorKind;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::path::PathBuf;

use rustix::io::Errno;
use socketserver::Flow;
use socketserver::HandlerResult;
use socketserver::Socket;
use socketserver::request::Writer;

use super::beneath::Root;
use super::conditions::Validators;
use super::head::Head;
use super::listing::Listings;
use super::page;
use super::page::Page;
use super::part::Part;
use super::part::part;
use super::reply;
use super::target;

/// What is served.
pub struct Site {
    root: Root,
    listings: Listings,
}

/// A file, open.
struct Found {
    /// From the root.
    name: PathBuf,
    file: File,
    metadata: Metadata,
}

/// What a target leads to.
enum Target {
    File(Found),
    /// A folder was asked for without the slash at its end: where it is.
    Moved(String),
    /// A folder, open, that has these names.
    Folder(Vec<Vec<u8>>, File),
}

/// How an answer goes on.
pub enum Answer {
    /// It is written, or the server sends it; what is next.
    Whole(Flow),
    /// It has begun, and is to be written piece by piece.
    Page(Box<Page>),
}

impl Site {
    pub fn open(folder: &Path) -> Result<Self, String> {
        let root = Root::open(folder).map_err(|error| format!("--directory {}: {error}", folder.display()))?;
        Ok(Self { root, listings: Listings::default() })
    }

    /// Writes the answer to a request, or the beginning of one. It may say that the connection is not kept.
    pub fn answer<S: Socket>(&self, head: &mut Head<'_>, out: &mut Writer<S>) -> HandlerResult<Answer> {
        let flow = match self.look(head.path, head.query) {
            Ok(Target::File(found)) => file(head, found, out)?,
            Ok(Target::Moved(link)) => {
                let fields = format!("Location: {link}\r\n");
                reply::text(out, 301, head, &fields, "text/plain", "301 Moved Permanently\n")?
            }
            Ok(Target::Folder(names, folder)) => return self.page(head, names, &folder, out),
            Err(status) => reply::error(out, status, head)?,
        };
        Ok(Answer::Whole(flow))
    }

    /// Begins the page of a folder, which has no validators.
    fn page<S: Socket>(
        &self,
        head: &mut Head<'_>,
        names: Vec<Vec<u8>>,
        folder: &File,
        out: &mut Writer<S>,
    ) -> HandlerResult<Answer> {
        let fields = "Cache-Control: no-cache\r\n";
        match head.conditions.refusal(&Validators::default()) {
            Some(304) => return reply::unmodified(out, head, fields).map(Answer::Whole),
            Some(status) => return reply::error(out, status, head).map(Answer::Whole),
            None => {}
        }
        let resolve = |name: &[u8]| {
            let found = self.find(&[&names[..], &[name.to_vec()]].concat()).ok()?;
            Some(found.is_dir())
        };
        let listing = match self.listings.of(folder, resolve) {
            Ok(listing) => listing,
            Err(error) => return reply::error(out, status(&error), head).map(Answer::Whole),
        };
        // In HTTP/1.0 nothing else tells where the page ends.
        head.keep_alive &= !head.is_http_10;
        reply::begin(out, 200, head)?;
        let coding = if head.is_http_10 { "" } else { "Transfer-Encoding: chunked\r\n" };
        write!(
            out,
            "{fields}{coding}Content-Type: text/html; charset=utf-8\r\nX-Content-Type-Options: nosniff\r\n\r\n"
        )?;
        if head.is_head {
            return Ok(Answer::Whole(Flow::Continue));
        }
        Ok(Answer::Page(Box::new(Page::new(names, listing, !head.is_http_10))))
    }

    /// Finds what is asked for, or the status that says why not.
    fn look(&self, path: &str, query: &str) -> Result<Target, u16> {
        let names = target::names(path)?;
        match (self.find(&names)?.is_dir(), path.ends_with('/')) {
            (false, false) => return self.read(&names).map(Target::File),
            (false, true) => return Err(404),
            // Put together anew: `//host` as it came would lead to another host.
            (true, false) => return Ok(Target::Moved(page::link(&names, true) + query)),
            (true, true) => {}
        }
        for index in ["index.html", "index.htm"] {
            let names = [&names[..], &[index.into()]].concat();
            if self.find(&names).is_ok_and(|found| found.is_file()) {
                return self.read(&names).map(Target::File);
            }
        }
        let folder = self.root.read(&joined(&names)).map_err(|error| status(&error))?;
        Ok(Target::Folder(names, folder))
    }

    /// What has these names, if it is a file or folder.
    pub fn find(&self, names: &[Vec<u8>]) -> Result<Metadata, u16> {
        let found = self.root.look(&joined(names)).map_err(|error| status(&error))?;
        if found.is_file() || found.is_dir() { Ok(found) } else { Err(404) }
    }

    /// Opens the file that has these names.
    fn read(&self, names: &[Vec<u8>]) -> Result<Found, u16> {
        let path = joined(names);
        let file = self.root.read(&path).map_err(|error| status(&error))?;
        let metadata = file.metadata().map_err(|error| status(&error))?;
        // It may have become something else since it was looked at.
        if metadata.is_file() { Ok(Found { name: path, file, metadata }) } else { Err(404) }
    }
}

/// The path from the root.
fn joined(names: &[Vec<u8>]) -> PathBuf {
    names.iter().map(|name| OsStr::from_bytes(name)).collect()
}

fn status(error: &io::Error) -> u16 {
    match Errno::from_io_error(error) {
        // Descriptors or memory have run out, or the disk fails: it is not the client's doing.
        Some(Errno::MFILE | Errno::NFILE | Errno::NOMEM | Errno::IO) => 500,
        _ if error.kind() == ErrorKind::PermissionDenied => 403,
        _ => 404,
    }
}

/// Answers with a file, or a part of it, or that the client has it already.
fn file<S: Socket>(head: &Head<'_>, found: Found, out: &mut Writer<S>) -> HandlerResult {
    let Found { name, file, metadata } = found;
    let length = metadata.len();
    let validators = Validators::of(&metadata);
    let fields = validators.fields();
    match head.conditions.refusal(&validators) {
        Some(304) => return reply::unmodified(out, head, &fields),
        Some(status) => return reply::error(out, status, head),
        None => {}
    }
    let wanted = head.conditions.range(&validators).filter(|_| !head.is_head);
    let (status, at, end) = match wanted.map_or(Part::Whole, |value| part(value, length)) {
        Part::Whole => (200, 0, length),
        Part::Bytes(part) => (206, part.start, part.end),
        Part::Nothing => {
            let fields = format!("Content-Range: bytes */{length}\r\n");
            return reply::text(out, 416, head, &fields, "text/plain", "416 Range Not Satisfiable\n");
        }
    };
    reply::begin(out, status, head)?;
    let kind = mime_guess::from_path(&name).first_or_octet_stream();
    let charset = if kind.type_() == mime_guess::mime::TEXT { "; charset=utf-8" } else { "" };
    write!(out, "{fields}Accept-Ranges: bytes\r\nContent-Type: {kind}{charset}\r\nContent-Length: {}\r\n", end - at)?;
    if status == 206 {
        write!(out, "Content-Range: bytes {at}-{}/{length}\r\n", end - 1)?;
    }
    out.write_all(b"\r\n")?;
    if head.is_head {
        return Ok(Flow::Continue);
    }
    out.send_file(file, at, end - at)?;
    // Another file behind it would have to wait for it.
    Ok(Flow::Flush)
}
