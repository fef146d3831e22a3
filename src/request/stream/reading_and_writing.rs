//! What a handler does with a connection: the traits of `std::io`, which wait for the peer where they must.

use std::io;
use std::io::BufRead;
use std::io::ErrorKind;
use std::io::Read;
use std::io::Write;

use super::Stream;
use super::messages::not_utf8;
use crate::error::Stopping;
use crate::error::cut_short;
use crate::request::Fill;
use crate::request::Request;
use crate::request::Socket;
use crate::request::mailbox::Mailbox;
use crate::request::pace::Due;
use crate::request::pace::Pieces;
use crate::request::pace::Reading;
use crate::request::writer::Writer;
use crate::sys::Interest;

impl<S: Socket> Stream<S> {
    /// The unread bytes, waiting for some if there are none; nothing only at the end of input.
    fn available(&mut self, reading: &mut Reading) -> io::Result<&[u8]> {
        if self.buffer.is_empty() && !self.ended {
            self.fill_waiting(reading)?;
        }
        if reading.taken > 0 && self.buffer.is_empty() && self.is_truncated() {
            return Err(cut_short());
        }
        Ok(self.buffer.unread())
    }

    /// Fills the empty buffer, waiting for the peer if it must; returns with nothing only at the end of input.
    fn fill_waiting(&mut self, reading: &mut Reading) -> io::Result<()> {
        if reading.taken == 0 && self.is_between_messages() {
            return self.fill_idle();
        }
        self.fill_in_message(|writer| reading.due(writer.read_timeout(), writer.min_rate()))
    }

    /// Fills the empty buffer, waiting for the peer as long as `due` says.
    fn fill_in_message(&mut self, mut due: impl FnMut(&Writer<S>) -> Due) -> io::Result<()> {
        loop {
            match self.fill()? {
                Fill::NotReady => {}
                // A handler that never has to wait would never hear of it.
                Fill::Data if self.is_forced() => return Err(Stopping::io_error()),
                Fill::Data | Fill::End | Fill::Full => return Ok(()),
            }
            // The peer may be waiting for the answer before it goes on.
            self.writer.flush_waiting_and_mail()?;
            if Request::mailbox(self).is_some_and(Mailbox::is_dismissed) {
                self.ended = true;
                return Ok(());
            }
            self.writer.wait(Interest::Read, due(&self.writer))?;
        }
    }

    pub(super) fn is_forced(&self) -> bool {
        self.writer.session.as_ref().is_some_and(|session| session.stop.state.is_forced())
    }

    fn take(&mut self, count: usize, reading: &mut Reading) {
        self.consume(count);
        reading.taken += count as u64;
        // An operation of its own: what adaptors read behind it is another.
        self.reading = Pieces::default();
    }

    /// Takes everything up to `delimiter`, and that; or up to the end of input.
    fn take_line(&mut self, delimiter: u8, mut each: impl FnMut(&[u8])) -> io::Result<usize> {
        let limit = self.line_limit();
        let mut reading = Reading::default();
        let mut taken = 0;
        loop {
            let available = self.available(&mut reading)?;
            let piece = &available[..available.len().min(limit - taken)];
            // The slice's own, because it searches with memchr(3).
            let count = { piece }.skip_until(delimiter)?;
            let is_whole = count > 0 && available[count - 1] == delimiter;
            let is_end = available.is_empty();
            each(&available[..count]);
            self.take(count, &mut reading);
            taken += count;
            if is_whole || is_end {
                return Ok(taken);
            }
            if taken == limit {
                self.check_line(taken.saturating_add(1))?;
            }
        }
    }
}

impl<S: Socket> Write for Stream<S> {
    /// Takes all of `bytes`, or fails.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.writer.write(bytes)
    }

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.writer.write_all(bytes)
    }

    /// Writes all of the text at once: `write!` with several pieces is one system call, and one packet.
    fn write_fmt(&mut self, text: std::fmt::Arguments<'_>) -> io::Result<()> {
        self.writer.write_fmt(text)
    }

    /// Hands what is buffered to the kernel; what it has no room for is sent by the server, not waited for here.
    fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }
}

impl<S: Socket> Read for Stream<S> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let count = self.fill_buf()?.read(bytes)?;
        self.consume(count);
        Ok(count)
    }

    fn read_exact(&mut self, bytes: &mut [u8]) -> io::Result<()> {
        let mut reading = Reading::default();
        let mut filled = 0;
        while filled < bytes.len() {
            match self.available(&mut reading)?.read(&mut bytes[filled..])? {
                0 => return Err(ErrorKind::UnexpectedEof.into()),
                count => {
                    self.take(count, &mut reading);
                    filled += count;
                }
            }
        }
        Ok(())
    }

    fn read_to_end(&mut self, bytes: &mut Vec<u8>) -> io::Result<usize> {
        let mut reading = Reading::default();
        let before = bytes.len();
        loop {
            let available = self.available(&mut reading)?;
            if available.is_empty() {
                return Ok(bytes.len() - before);
            }
            bytes.extend_from_slice(available);
            let count = available.len();
            self.take(count, &mut reading);
        }
    }

    fn read_to_string(&mut self, text: &mut String) -> io::Result<usize> {
        let mut bytes = Vec::new();
        self.read_to_end(&mut bytes)?;
        let more = String::from_utf8(bytes).map_err(|_| not_utf8("read_to_end takes any bytes"))?;
        text.push_str(&more);
        Ok(more.len())
    }
}

impl<S: Socket> BufRead for Stream<S> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.buffer.is_empty() && !self.ended {
            if self.reading_since != self.writer.written {
                self.reading_since = self.writer.written;
                self.reading = Pieces::default();
            }
            if self.reading.taken == 0 && self.is_between_messages() {
                self.fill_idle()?;
            } else {
                let mut reading = std::mem::take(&mut self.reading);
                let outcome = self.fill_in_message(|writer| reading.due(writer.read_timeout(), writer.min_rate()));
                self.reading = reading;
                outcome?;
            }
        }
        if self.reading.taken > 0 && self.buffer.is_empty() && self.is_truncated() {
            return Err(cut_short());
        }
        Ok(self.buffer.unread())
    }

    fn consume(&mut self, count: usize) {
        let count = count.min(self.buffer.len());
        self.consumed += count as u64;
        self.reading.taken += count as u64;
        self.searched = self.searched.saturating_sub(u32::try_from(count).unwrap_or(u32::MAX));
        self.buffer.consume(count);
    }

    fn read_until(&mut self, delimiter: u8, bytes: &mut Vec<u8>) -> io::Result<usize> {
        self.take_line(delimiter, |piece| bytes.extend_from_slice(piece))
    }

    fn skip_until(&mut self, delimiter: u8) -> io::Result<usize> {
        self.take_line(delimiter, |_| {})
    }

    fn read_line(&mut self, line: &mut String) -> io::Result<usize> {
        // Into the memory of an empty string; behind another, what comes is looked at by itself.
        let mut bytes = if line.is_empty() { std::mem::take(line).into_bytes() } else { Vec::new() };
        let count = self.read_until(b'\n', &mut bytes)?;
        let text = String::from_utf8(bytes).map_err(|_| not_utf8("read_until takes any bytes"))?;
        if line.is_empty() {
            *line = text;
        } else {
            line.push_str(&text);
        }
        Ok(count)
    }
}
