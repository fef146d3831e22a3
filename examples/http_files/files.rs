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

use rustix::fs::Dir;
use rustix::io::Errno;
use socketserver::Flow;
use socketserver::HandlerResult;
use socketserver::Socket;
use socketserver::Writer;

use super::beneath::Root;
use super::conditions::Validators;
use super::head::Head;
use super::page;
use super::page::Entry;
use super::part::Part;
use super::part::part;
use super::reply;
use super::target;

/// What is served.
pub struct Site {
    root: Root,
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
    Page(String),
}

impl Site {
    pub fn open(folder: &Path) -> Result<Self, String> {
        let root = Root::open(folder).map_err(|error| format!("--directory {}: {error}", folder.display()))?;
        Ok(Self { root })
    }

    /// Writes the answer to a request.
    pub fn answer<S: Socket>(&self, head: &Head<'_>, out: &mut Writer<S>) -> HandlerResult {
        match self.look(head.path, head.query) {
            Ok(Target::File(found)) => file(head, found, out),
            Ok(Target::Moved(link)) => {
                let fields = format!("Location: {link}\r\n");
                reply::text(out, 301, head, &fields, "text/plain", "301 Moved Permanently\n")
            }
            Ok(Target::Page(page)) => {
                let fields = "Cache-Control: no-cache\r\n";
                match head.conditions.refusal(&Validators::default()) {
                    Some(304) => reply::unmodified(out, head, fields),
                    Some(status) => reply::error(out, status, head),
                    None => reply::text(out, 200, head, fields, "text/html", &page),
                }
            }
            Err(status) => reply::error(out, status, head),
        }
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
        let entries = self.entries(&names, &folder).map_err(|error| status(&error))?;
        Ok(Target::Page(page::draw(&names, entries)))
    }

    /// What has these names, if it is a file or folder.
    fn find(&self, names: &[Vec<u8>]) -> Result<Metadata, u16> {
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

    /// What is in a folder, as far as it is served.
    fn entries(&self, names: &[Vec<u8>], folder: &File) -> io::Result<Vec<Entry>> {
        let mut entries = Vec::new();
        for entry in Dir::read_from(folder)? {
            let name = entry?.file_name().to_bytes().to_vec();
            if name == b"." || name == b".." {
                continue;
            }
            // As it would be found if it were asked for.
            if let Ok(found) = self.find(&[names, std::slice::from_ref(&name)].concat()) {
                let modified = found.modified().ok();
                entries.push(Entry { name, is_folder: found.is_dir(), size: found.len(), modified });
            }
        }
        Ok(entries)
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
