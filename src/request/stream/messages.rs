//! Messages: taking a line without waiting, waiting for the next message, and how long that may take.

use std::io;
use std::io::BufRead;
use std::io::ErrorKind;
use std::num::NonZeroU64;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::NO_MESSAGE;
use super::Socket;
use super::Stream;
use super::UNCONFIRMED;
use crate::end::End;
use crate::error::Stopping;
use crate::error::cut_short;
use crate::error::told;
use crate::request::Fill;
use crate::request::Request;
use crate::request::Session;
use crate::request::mailbox::Mailbox;
use crate::request::pace::Pieces;

impl<S: Socket> Stream<S> {
    /// The next line, including its newline, if all of it has arrived; never blocks.
    ///
    /// `None` means that the line is incomplete: return [`Flow::Continue`](crate::Flow::Continue), and the handler is
    /// called again when more has arrived. Bytes already searched are not searched again. At the end of input, a
    /// remainder without a newline is returned as a line, once.
    ///
    /// ```
    /// use std::io::Write;
    /// use socketserver::{Flow, HandlerResult, Socket, Stream};
    ///
    /// fn upper<S: Socket>(request: &mut Stream<S>) -> HandlerResult {
    ///     let Some(line) = request.line()? else { return Ok(Flow::Continue) };
    ///     request.write_all(line.to_uppercase().as_bytes())?;
    ///     Ok(Flow::Continue)
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidData`] for a line that is longer than the builder's
    /// [`max_line`](crate::Builder::max_line), or not UTF-8.
    pub fn line(&mut self) -> io::Result<Option<String>> {
        let unread = self.buffer.unread();
        // The slice's own, because it searches with memchr(3).
        let searched = self.searched as usize;
        let found = (&unread[searched..]).skip_until(b'\n')?;
        let length = searched + found;
        let is_whole = length > 0 && unread[length - 1] == b'\n';
        self.check_line(length)?;
        let is_rest = self.ended && length > 0;
        if !is_whole && !is_rest {
            self.searched = u32::try_from(length).unwrap_or(u32::MAX);
            return Ok(None);
        }
        if !is_whole && self.is_truncated() {
            return Err(cut_short());
        }
        let line = String::from_utf8(self.buffer.unread()[..length].to_vec())
            .map_err(|_| not_utf8("take the bytes of `buffered`"))?;
        self.consume(length);
        Ok(Some(line))
    }

    /// Waits until there is something to read: a loop in Python's style is `while request.wait_for_message()? { .. }`.
    ///
    /// It is a wait between two messages, as after [`Flow::Continue`](crate::Flow::Continue), and not a read: the idle
    /// timeout ends it, and so does a stop. False means that the conversation is over: the client has closed its side,
    /// has been idle for too long, or the server stops. The request then ends for that reason, whatever the handler
    /// returns.
    ///
    /// ```
    /// use std::io::{BufRead, Write};
    /// use socketserver::{Flow, HandlerResult, Socket, Stream};
    ///
    /// fn upper<S: Socket>(request: &mut Stream<S>) -> HandlerResult {
    ///     while request.wait_for_message()? {
    ///         let mut line = String::new();
    ///         request.read_line(&mut line)?;
    ///         request.write_all(line.to_uppercase().as_bytes())?;
    ///     }
    ///     Ok(Flow::Close)
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Unsupported`] under [`Sync`](crate::Sync), at the first call and whatever has arrived: one thread
    /// serves all connections there, and the wait would block them all. Otherwise an error of the socket.
    pub fn wait_for_message(&mut self) -> io::Result<bool> {
        if self.writer.session.as_ref().is_some_and(|session| session.one_thread.load(Ordering::Relaxed)) {
            let message = "under Sync a handler that waits for its next message would block all other connections: \
                           return Flow::Continue, which waits without blocking, or use Pool or ThreadPerRequest";
            return Err(io::Error::new(ErrorKind::Unsupported, message));
        }
        self.reading = Pieces::default();
        let stops = |session: &Arc<Session>| session.stop.is_stopping() && !session.stop.state.hands_over();
        if self.writer.session.as_ref().is_some_and(stops) {
            // What had arrived by then is still answered; what a client goes on sending is not.
            self.received_by_stop = self.received_by_stop.min(self.received());
            if self.consumed >= self.received_by_stop {
                self.end_idle(End::Drained);
                return Ok(false);
            }
        }
        if self.buffer.is_empty() {
            // As after a call that returned `Continue`: the message must have come when the server was handing over.
            if !self.ended && self.handed_over.is_some_and(|written| self.writer.written >= written.get()) {
                self.end_idle(End::Drained);
            }
            self.fill_idle()?;
        }
        let hands_over = self.writer.session.as_ref().is_some_and(|session| session.stop.state.hands_over());
        self.handed_over = NonZeroU64::new(self.writer.written + 1).filter(|_| hands_over);
        Ok(!self.buffer.is_empty())
    }

    /// Says that this call consumes part of a message whose rest is still to come: for a handler that takes long
    /// messages piece by piece and returns [`Flow::Continue`](crate::Flow::Continue) in between.
    ///
    /// The wait for the rest is then a wait in the middle of a message: the builder's
    /// [`read_timeout`](crate::Builder::read_timeout) applies to all of it, and so does the
    /// [`min_rate`](crate::Builder::min_rate). Without it each piece counts as a message, and between two pieces a
    /// client has the whole idle timeout. Call it in each call of `handle` that does not see the end of the message. A
    /// call that does see it should return before it takes part of another long message, so that the time is counted
    /// for each.
    ///
    /// ```
    /// use std::io::BufRead;
    /// use socketserver::{Flow, HandlerResult, Socket, Stream};
    ///
    /// /// Takes `left` more bytes of an upload.
    /// fn body<S: Socket>(request: &mut Stream<S>, left: &mut usize) -> HandlerResult {
    ///     let count = request.buffered().len().min(*left);
    ///     request.consume(count);
    ///     *left -= count;
    ///     if *left > 0 {
    ///         request.message_goes_on();
    ///     }
    ///     Ok(Flow::Continue)
    /// }
    /// ```
    pub fn message_goes_on(&mut self) {
        if self.message == NO_MESSAGE {
            self.message_goes_on_from(self.call.0.min(self.consumed));
        }
        self.message &= !UNCONFIRMED;
    }

    /// As [`message_goes_on`](Self::message_goes_on), for the message that began when this much had been consumed.
    pub(crate) fn message_goes_on_from(&mut self, consumed: u64) {
        self.message = consumed;
    }

    /// Fills the empty buffer, waiting for the next message if it must; nothing is there at the end of the conversation.
    pub(super) fn fill_idle(&mut self) -> io::Result<()> {
        let mut until = None;
        while !self.ended {
            match self.fill()? {
                Fill::NotReady => {}
                Fill::Data if self.is_forced() => return Err(Stopping::io_error()),
                Fill::Data | Fill::End | Fill::Full => break,
            }
            // The peer may be waiting for the answer before it goes on.
            self.writer.flush_waiting_and_mail()?;
            if Request::mailbox(self).is_some_and(Mailbox::is_dismissed) {
                self.ended = true;
                break;
            }
            let timeout = self.writer.timeouts().idle;
            let until = *until.get_or_insert_with(|| crate::request::deadline(timeout));
            if let Some(end) = self.writer.wait_idle(until)? {
                self.end_idle(end);
            }
        }
        Ok(())
    }

    /// Whether the present call of `handle` has neither read nor written: what it waits for is the next message.
    pub(super) fn is_between_messages(&self) -> bool {
        self.call == (self.consumed, self.writer.written)
    }

    fn end_idle(&mut self, end: End) {
        self.ended = true;
        self.idle_end.get_or_insert(end);
    }

    /// Sets how long this connection may wait for its next message, instead of the builder's
    /// [`idle_timeout`](crate::Builder::idle_timeout): a client that has logged in may be idle for longer than one that
    /// has not. `None` means no timeout. It applies to waits that begin afterwards.
    pub fn set_idle_timeout(&mut self, timeout: impl Into<Option<Duration>>) {
        self.writer.timeouts_mut().idle = timeout.into();
    }

    /// Like [`set_idle_timeout`](Self::set_idle_timeout), for the builder's
    /// [`read_timeout`](crate::Builder::read_timeout).
    pub fn set_read_timeout(&mut self, timeout: impl Into<Option<Duration>>) {
        self.writer.timeouts_mut().read = timeout.into();
    }

    /// Like [`set_idle_timeout`](Self::set_idle_timeout), for the builder's
    /// [`write_timeout`](crate::Builder::write_timeout).
    pub fn set_write_timeout(&mut self, timeout: impl Into<Option<Duration>>) {
        self.writer.timeouts_mut().write = timeout.into();
    }

    /// How many bytes a line may have.
    pub(super) fn line_limit(&self) -> usize {
        self.writer.session.as_ref().map_or(usize::MAX, |session| session.options.line_limit())
    }

    /// An error if `length` bytes are too many for a line.
    pub(super) fn check_line(&self, length: usize) -> io::Result<()> {
        let limit = self.line_limit();
        if length <= limit {
            return Ok(());
        }
        let text = format!("a line is longer than max_line = {limit} bytes; the builder's max_line allows longer ones");
        Err(told(ErrorKind::InvalidData, text))
    }
}

/// A line that is no text.
pub(super) fn not_utf8(way_out: &str) -> io::Error {
    told(ErrorKind::InvalidData, format!("the line is not UTF-8; {way_out}"))
}
