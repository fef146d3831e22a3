//! Large bodies: from the file to the socket inside the kernel where that goes, in pieces where it does not.

use std::fs::File;
use std::io;
use std::io::Write;
use std::os::unix::fs::FileExt;

use socketserver::Socket;
use socketserver::Stream;

const PIECE: usize = 64 * 1024;

/// `file[at..end]`.
pub struct FilePart {
    pub file: File,
    pub at: u64,
    pub end: u64,
}

impl FilePart {
    /// Adds it to an answer; false if the file has become shorter.
    pub fn gather(&self, out: &mut Vec<u8>) -> io::Result<bool> {
        let start = out.len();
        let length = usize::try_from(self.end - self.at).map_err(io::Error::other)?;
        out.resize(start + length, 0);
        match self.file.read_exact_at(&mut out[start..], self.at) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Sends it; false if the file has become shorter, and the answer cannot be completed.
    ///
    /// A client that is slow to read gets the next piece through the connection's own `write`, which waits under the server's
    /// deadlines and ends with its drain.
    pub fn send<S: Socket>(mut self, request: &mut Stream<S>) -> io::Result<bool> {
        let mut piece = Vec::new();
        while self.at < self.end {
            if self.send_inside_the_kernel(request)? {
                continue;
            }
            piece.resize(PIECE.min(usize::try_from(self.end - self.at).unwrap_or(PIECE)), 0);
            let count = self.file.read_at(&mut piece, self.at)?;
            if count == 0 {
                return Ok(false);
            }
            request.write_all(&piece[..count])?;
            self.at += count as u64;
        }
        Ok(true)
    }

    /// Whether sendfile(2) has sent something.
    #[cfg(target_os = "linux")]
    fn send_inside_the_kernel<S: Socket>(&mut self, request: &mut Stream<S>) -> io::Result<bool> {
        use rustix::io::Errno;
        /// So much at a time, as a stop is looked at in between.
        const MOST: u64 = 1024 * 1024;
        request.flush()?;
        if request.split_buffered().1.pending() > 0 {
            // These bytes come first.
            return Ok(false);
        }
        let count = MOST.min(self.end - self.at) as usize;
        match rustix::fs::sendfile(request.get_ref().descriptor(), &self.file, Some(&mut self.at), count) {
            Ok(count) => Ok(count > 0),
            // No room; or a file system or socket that cannot do it.
            Err(Errno::AGAIN | Errno::INTR | Errno::INVAL | Errno::NOSYS) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    #[cfg(not(target_os = "linux"))]
    fn send_inside_the_kernel<S: Socket>(&mut self, _: &mut Stream<S>) -> io::Result<bool> {
        Ok(false)
    }
}
