//! What a handler does with a connection: the traits of `std::io`, which wait for the peer where they must.

use std::io;
use std::io::BufRead;
use std::io::ErrorKind;
use std::io::Read;
use std::io::Write;

use super::Stream;
use crate::request::Fill;
use crate::request::Request;
use crate::request::Socket;
use crate::request::mailbox::Mailbox;
use crate::request::pace::Reading;
use crate::sys::Interest;

impl<S: Socket> Stream<S> {
    /// The unread bytes, waiting for some if there are none; nothing only at the end of input.
    fn available(&mut self, reading: &mut Reading) -> io::Result<&[u8]> {
        if self.buffer.is_empty() && !self.ended {
            self.fill_waiting(reading)?;
        }
        Ok(self.buffer.unread())
    }

    /// Fills the empty buffer, waiting for the peer if it must; returns with nothing only at the end of input.
    fn fill_waiting(&mut self, reading: &mut Reading) -> io::Result<()> {
        loop {
            match self.fill()? {
                Fill::NotReady => {}
                Fill::Data | Fill::End | Fill::Full => return Ok(()),
            }
            // The peer may be waiting for the answer before it goes on.
            self.writer.flush_waiting_and_mail()?;
            if Request::mailbox(self).is_some_and(Mailbox::is_dismissed) {
                self.ended = true;
                return Ok(());
            }
            let due = reading.due(self.writer.read_timeout(), self.writer.min_rate());
            self.writer.wait(Interest::Read, due)?;
        }
    }

    fn take(&mut self, count: usize, reading: &mut Reading) {
        self.consume(count);
        reading.taken += count as u64;
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
}

impl<S: Socket> BufRead for Stream<S> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.available(&mut Reading::default())
    }

    fn consume(&mut self, count: usize) {
        let count = count.min(self.buffer.len());
        self.consumed += count as u64;
        self.buffer.consume(count);
    }

    fn read_until(&mut self, delimiter: u8, bytes: &mut Vec<u8>) -> io::Result<usize> {
        let mut reading = Reading::default();
        let mut taken = 0;
        loop {
            // The slice's own, because it searches with memchr(3).
            let count = self.available(&mut reading)?.read_until(delimiter, bytes)?;
            self.take(count, &mut reading);
            taken += count;
            if count == 0 || bytes.last() == Some(&delimiter) {
                return Ok(taken);
            }
        }
    }

    fn read_line(&mut self, line: &mut String) -> io::Result<usize> {
        // Into the memory of an empty string; behind another, what comes is looked at by itself.
        let mut bytes = if line.is_empty() { std::mem::take(line).into_bytes() } else { Vec::new() };
        let count = self.read_until(b'\n', &mut bytes)?;
        let text = String::from_utf8(bytes)
            .map_err(|_| io::Error::new(ErrorKind::InvalidData, "the line is not UTF-8; read_until takes any bytes"))?;
        if line.is_empty() {
            *line = text;
        } else {
            line.push_str(&text);
        }
        Ok(count)
    }
}
