//! A message on its way to the disk.

use std::fs::File;
use std::io;
use std::io::BufWriter;
use std::io::Write;
use std::path::PathBuf;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use tempfile::NamedTempFile;

/// The longest message, as the client sends it, without the doubled dots.
pub const LONGEST: u64 = 10 * 1024 * 1024;

/// What `LONGEST` means for a client.
pub const TOO_LONG: &str = "552 the message is longer than EHLO allows";

/// The reply where something is wrong here, and may be right the next time.
pub const NOT_STORED: &str = "451 it cannot be stored now";

/// Where messages go.
pub struct Spool {
    /// They are printed if there is none.
    folder: Option<PathBuf>,
}

impl Spool {
    pub fn open(folder: Option<PathBuf>) -> Result<Self, String> {
        if let Some(path) = &folder {
            // To be found out now, not by the first client.
            NamedTempFile::new_in(path).map_err(|error| format!("cannot store in {}: {error}", path.display()))?;
        }
        Ok(Self { folder })
    }

    /// Makes a file that is not taken for a message yet. It goes when it is dropped.
    fn begin(&self) -> io::Result<NamedTempFile> {
        let folder = self.folder.clone().unwrap_or_else(std::env::temp_dir);
        tempfile::Builder::new().prefix(".incoming-").tempfile_in(folder)
    }

    /// Makes a message of the file, or prints it.
    fn keep(&self, mut file: NamedTempFile) -> io::Result<String> {
        let time = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let name = format!("{}.{:09}.{}.eml", time.as_secs(), time.subsec_nanos(), std::process::id());
        match &self.folder {
            Some(folder) => {
                file.as_file().sync_all()?;
                file.persist_noclobber(folder.join(&name))?;
                // The name, too.
                File::open(folder)?.sync_all()?;
            }
            None => {
                io::Seek::rewind(&mut file)?;
                let mut out = io::stdout().lock();
                io::copy(&mut file, &mut out)?;
                writeln!(out)?;
                out.flush()?;
            }
        }
        Ok(name)
    }
}

/// A message that arrives, line by line. What is wrong with it is told at its end: until then the client sends on.
pub struct Incoming {
    size: u64,
    /// Or the reply.
    file: Result<BufWriter<NamedTempFile>, &'static str>,
}

impl Incoming {
    /// Begins with the lines that this server adds.
    pub fn new(spool: &Spool, trace: &str) -> io::Result<Self> {
        let mut file = BufWriter::new(spool.begin()?);
        file.write_all(trace.as_bytes())?;
        Ok(Self { size: 0, file: Ok(file) })
    }

    /// Adds a line, whose first dot is one too many: RFC 5321, 4.5.2.
    pub fn add(&mut self, line: &[u8]) {
        let line = line.strip_prefix(b".").unwrap_or(line);
        self.size += line.len() as u64 + 2;
        let Ok(file) = &mut self.file else { return };
        if self.size > LONGEST {
            self.refuse(TOO_LONG);
        } else if line.contains(&b'\r') || line.contains(&b'\n') {
            self.refuse("554 a line ends with CR LF, and has neither of them elsewhere");
        } else if file.write_all(line).and_then(|()| file.write_all(b"\r\n")).is_err() {
            self.refuse(NOT_STORED);
        }
    }

    /// What has arrived is not wanted, nor is the rest.
    pub fn refuse(&mut self, reply: &'static str) {
        self.file = Err(reply);
    }

    /// The reply to the whole.
    pub fn finish(self, spool: &Spool) -> String {
        let kept =
            |file: BufWriter<NamedTempFile>| spool.keep(file.into_inner().map_err(io::IntoInnerError::into_error)?);
        match self.file.map(kept) {
            Ok(Ok(name)) => format!("250 accepted as {name}"),
            Ok(Err(_)) => NOT_STORED.to_owned(),
            Err(reply) => reply.to_owned(),
        }
    }
}
