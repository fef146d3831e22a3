//! A connection as two values: one that is read from and one that is written to, for code that holds both at a time.

use std::cell::RefCell;
use std::fmt;
use std::io;
use std::io::BufRead;
use std::io::Read;
use std::io::Write;
use std::rc::Rc;

use super::Stream;
use crate::request::Socket;
use crate::request::buffer::Buffer;

impl<S: Socket> Stream<S> {
    /// The reading and the writing side as two values, for a loop that reads from one while it writes to the other.
    ///
    /// They are the same connection: output is sent before a read blocks, reads and writes have the same deadlines as
    /// on the stream, and unread bytes are still [buffered](Self::buffered) when they are dropped. They belong to one
    /// thread; to carry bytes both ways between two sockets, use [`relay_to`](Self::relay_to).
    ///
    /// Like other reads, those of the loop block inside `handle`, which under [`Sync`](crate::Sync) blocks all other
    /// connections. The wait for the next line is a read like any other: it is subject to the builder's
    /// [`read_timeout`](crate::Builder::read_timeout), and a drain waits for it. With [`ReadHalf::wait_for_message`] it
    /// is a wait between two messages.
    ///
    /// ```
    /// use std::io::{BufRead, Write};
    /// use socketserver::{Flow, HandlerResult, Socket, Stream};
    ///
    /// fn upper<S: Socket>(request: &mut Stream<S>) -> HandlerResult {
    ///     let (reader, mut writer) = request.halves();
    ///     for line in reader.lines() {
    ///         writeln!(writer, "{}", line?.to_uppercase())?;
    ///     }
    ///     Ok(Flow::Close)
    /// }
    /// ```
    pub fn halves(&mut self) -> (ReadHalf<'_, S>, WriteHalf<'_, S>) {
        let buffer = std::mem::take(&mut self.buffer);
        let stream = Rc::new(RefCell::new(self));
        (ReadHalf { buffer, stream: Rc::clone(&stream) }, WriteHalf { stream })
    }
}

/// The reading side of a connection; see [`Stream::halves`].
pub struct ReadHalf<'a, S: Socket> {
    /// The stream's, which can give out no reference to it while another has the stream.
    buffer: Buffer,
    stream: Rc<RefCell<&'a mut Stream<S>>>,
}

/// The writing side of a connection; see [`Stream::halves`].
pub struct WriteHalf<'a, S: Socket> {
    stream: Rc<RefCell<&'a mut Stream<S>>>,
}

impl<S: Socket> ReadHalf<'_, S> {
    /// The unread bytes that have arrived; see [`Stream::buffered`].
    #[must_use]
    pub fn buffered(&self) -> &[u8] {
        self.buffer.unread()
    }

    /// Waits until there is something to read; see [`Stream::wait_for_message`].
    ///
    /// ```
    /// use std::io::{BufRead, Write};
    /// use socketserver::{Flow, HandlerResult, Socket, Stream};
    ///
    /// fn upper<S: Socket>(request: &mut Stream<S>) -> HandlerResult {
    ///     let (mut reader, mut writer) = request.halves();
    ///     while reader.wait_for_message()? {
    ///         let mut line = String::new();
    ///         reader.read_line(&mut line)?;
    ///         writer.write_all(line.to_uppercase().as_bytes())?;
    ///     }
    ///     Ok(Flow::Close)
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// Those of [`Stream::wait_for_message`].
    pub fn wait_for_message(&mut self) -> io::Result<bool> {
        self.with_stream(Stream::wait_for_message)
    }

    fn with_stream<T>(&mut self, read: impl FnOnce(&mut Stream<S>) -> T) -> T {
        let mut stream = self.stream.borrow_mut();
        stream.buffer = std::mem::take(&mut self.buffer);
        let outcome = read(&mut stream);
        self.buffer = std::mem::take(&mut stream.buffer);
        outcome
    }
}

impl<S: Socket> Drop for ReadHalf<'_, S> {
    fn drop(&mut self) {
        // After a panic of its socket the stream has its buffer back already.
        if !self.buffer.has_no_memory()
            && let Ok(mut stream) = self.stream.try_borrow_mut()
        {
            stream.buffer = std::mem::take(&mut self.buffer);
        }
    }
}

impl<S: Socket> Read for ReadHalf<'_, S> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        self.with_stream(|stream| stream.read(bytes))
    }

    fn read_exact(&mut self, bytes: &mut [u8]) -> io::Result<()> {
        self.with_stream(|stream| stream.read_exact(bytes))
    }

    fn read_to_end(&mut self, bytes: &mut Vec<u8>) -> io::Result<usize> {
        self.with_stream(|stream| stream.read_to_end(bytes))
    }

    fn read_to_string(&mut self, text: &mut String) -> io::Result<usize> {
        self.with_stream(|stream| stream.read_to_string(text))
    }
}

impl<S: Socket> BufRead for ReadHalf<'_, S> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.with_stream(|stream| stream.fill_buf().map(drop))?;
        Ok(self.buffer.unread())
    }

    fn consume(&mut self, count: usize) {
        self.with_stream(|stream| stream.consume(count));
    }

    fn read_until(&mut self, delimiter: u8, bytes: &mut Vec<u8>) -> io::Result<usize> {
        self.with_stream(|stream| stream.read_until(delimiter, bytes))
    }

    fn skip_until(&mut self, delimiter: u8) -> io::Result<usize> {
        self.with_stream(|stream| stream.skip_until(delimiter))
    }

    fn read_line(&mut self, line: &mut String) -> io::Result<usize> {
        self.with_stream(|stream| stream.read_line(line))
    }
}

impl<S: Socket> Write for WriteHalf<'_, S> {
    /// Takes all of `bytes`, or fails.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.borrow_mut().write(bytes)
    }

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.borrow_mut().write_all(bytes)
    }

    /// Writes all of the text at once, as [`Stream`] does.
    fn write_fmt(&mut self, text: fmt::Arguments<'_>) -> io::Result<()> {
        // Made before the stream is borrowed: what is written may look at a half.
        match text.as_str() {
            Some(text) => self.write_all(text.as_bytes()),
            None => self.write_all(text.to_string().as_bytes()),
        }
    }

    /// Hands what is buffered to the kernel; what it has no room for is sent by the server, not waited for here.
    fn flush(&mut self) -> io::Result<()> {
        self.stream.borrow_mut().flush()
    }
}

impl<S: Socket> fmt::Debug for ReadHalf<'_, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReadHalf").field("unread", &self.buffer.len()).finish_non_exhaustive()
    }
}

impl<S: Socket> fmt::Debug for WriteHalf<'_, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WriteHalf").finish_non_exhaustive()
    }
}
