//! Sending files: by the kernel where it can, in pieces where it cannot, and by the server where the peer is slow.

use std::fs::File;
use std::io;
use std::io::ErrorKind;
use std::io::Write;
use std::sync::Arc;

use super::Socket;
use super::Writer;
use super::buffer::SIZE;
use super::socket::send;
use super::unsent::Unsent;
use crate::error::of_peer;

/// A part of a file on its way to the peer, behind all other output.
pub(super) struct FilePart {
    file: Arc<File>,
    at: u64,
    end: u64,
    /// What was written after it.
    pub(super) behind: Unsent,
    /// The kernel cannot send it.
    copies: bool,
    /// It was left for others to have their turn, not for want of room.
    pub(super) yielded: bool,
}

/// So much of a file leaves at a time, so that a peer that reads fast does not hold the worker.
const BUDGET: u64 = 512 * 1024;

impl FilePart {
    /// How much of the file is left.
    fn left(&self) -> usize {
        usize::try_from(self.end - self.at).unwrap_or(usize::MAX)
    }

    pub(super) fn pending(&self) -> usize {
        self.left().saturating_add(self.behind.len())
    }

    /// Reads the next bytes behind those of `output`, at most `count`.
    fn read(&mut self, output: &mut Vec<u8>, count: usize) -> io::Result<()> {
        let before = output.len();
        output.resize(before + count, 0);
        let outcome = loop {
            match read_at(&self.file, &mut output[before..], self.at) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                outcome => break outcome,
            }
        };
        output.truncate(before + outcome.as_ref().map_or(0, |&count| count));
        self.advance(outcome?)
    }

    fn advance(&mut self, count: usize) -> io::Result<()> {
        self.at += count as u64;
        if count == 0 {
            let (at, left) = (self.at, self.left());
            let message = format!(
                "the file has become shorter while it was sent: it ends at byte {at}, {left} bytes before the end of the part to send"
            );
            return Err(io::Error::new(ErrorKind::InvalidData, message));
        }
        Ok(())
    }
}

impl<S: Socket> Writer<S> {
    /// Sends a part of a file, as [`Stream::send_file`](super::Stream::send_file) does.
    ///
    /// # Errors
    ///
    /// Those of [`Stream::send_file`](super::Stream::send_file).
    pub fn send_file(&mut self, file: impl Into<Arc<File>>, offset: u64, length: u64) -> io::Result<()> {
        let end = offset.checked_add(length).ok_or_else(|| {
            io::Error::new(ErrorKind::InvalidInput, format!("no file has {length} bytes behind byte {offset}"))
        })?;
        if length == 0 {
            return Ok(());
        }
        self.check_deadline(length)?;
        if self.file.is_some() {
            self.flush_waiting()?;
        }
        let mut part =
            FilePart { file: file.into(), at: offset, end, behind: Unsent::default(), copies: false, yielded: false };
        // A short one joins what is gathered already, and leaves with it.
        if self.pending() > 0 && part.left() <= self.room().min(SIZE) {
            while part.at < end {
                part.read(self.output.tail(), part.left())?;
            }
            return self.send_if_gathered();
        }
        self.file = Some(Box::new(part));
        if self.session.is_some() { self.send_output().map(drop) } else { self.flush_waiting() }
    }

    /// Sends what the kernel takes of the file now, once no other output is left; true once nothing is left of it.
    #[cold]
    pub(super) fn send_part(&mut self) -> io::Result<bool> {
        let Some(mut part) = self.file.take() else { return Ok(true) };
        part.yielded = false;
        let mut budget = BUDGET;
        while part.at < part.end {
            if budget == 0 {
                part.yielded = true;
                break;
            }
            // The file is not put back after an error: what is left of it cannot be sent.
            match self.send_piece(&mut part, budget)? {
                0 => break,
                count => budget = budget.saturating_sub(count),
            }
        }
        if part.at == part.end && self.output.is_empty() {
            self.output = part.behind;
            return self.send_output();
        }
        self.file = Some(part);
        Ok(false)
    }

    /// Writes behind the file: as pending output, as far as that may hold it.
    #[cold]
    pub(super) fn write_behind(&mut self, bytes: &[u8], allowance: usize) -> io::Result<()> {
        if let Some(part) = &mut self.file
            && bytes.len() <= allowance.saturating_sub(part.behind.len())
        {
            part.behind.push(bytes);
            return Ok(());
        }
        self.flush_waiting()?;
        self.write_all(bytes)
    }

    /// Sends some of the file; 0 where the kernel has no room.
    fn send_piece(&mut self, part: &mut FilePart, most: u64) -> io::Result<u64> {
        let count = usize::try_from(most).unwrap_or(usize::MAX).min(part.left());
        if self.socket.is_plain() && !part.copies {
            match crate::sys::send_file::send_file(self.socket.descriptor(), &part.file, part.at, count) {
                Ok(count) => {
                    part.advance(count)?;
                    self.total += count as u64;
                    return Ok(count as u64);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(0),
                Err(error) if error.kind() == ErrorKind::Unsupported => part.copies = true,
                Err(error) => return Err(of_peer(error)),
            }
        }
        part.read(self.output.tail(), count.min(SIZE))?;
        let count = send(&mut self.socket, self.output.front())?;
        self.total += count as u64;
        self.output.advance(count);
        Ok(if self.output.is_empty() { count as u64 } else { 0 })
    }
}

#[cfg(unix)]
fn read_at(file: &File, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
    std::os::unix::fs::FileExt::read_at(file, bytes, offset)
}

#[cfg(windows)]
fn read_at(file: &File, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
    std::os::windows::fs::FileExt::seek_read(file, bytes, offset)
}
