//! The sending side of a connection: direct, complete, and without waiting where that can be avoided.

use std::cell::Cell;
use std::fmt;
use std::io;
use std::io::Write;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use super::Session;
use super::Timeouts;
use super::WHOLE_REQUEST;
use super::file::FilePart;
use super::inbox::Inbox;
use super::pace::Due;
use super::pace::MinRate;
use super::pace::Sending;
use super::pace::after;
use super::relay::OtherSide;
use super::socket::Socket;
use super::socket::flush;
use super::socket::send;
use super::unsent::Unsent;
use crate::end::End;
use crate::error::Stopping;
use crate::error::evicted;
use crate::error::timed_out;
use crate::stop::EVICTED;
use crate::stop::MAIL;
use crate::stop::WaitFor;
use crate::sys::Interest;
use crate::sys::wait::Woken;
use crate::sys::wait::wait;

/// The sending side of a [`Stream`](super::Stream), which writes through it; see
/// [`Stream::split_buffered`](super::Stream::split_buffered).
pub struct Writer<S: Socket> {
    pub(super) socket: S,
    pub(super) session: Option<Arc<Session>>,
    /// When the time for the whole request is over.
    pub(super) until: Option<Instant>,
    pub(super) output: Unsent,
    /// To be sent behind the output.
    pub(super) file: Option<Box<FilePart>>,
    pub(super) total: u64,
    /// What others send, once there is a sender.
    pub(super) inbox: Option<Inbox>,
    /// What is not as the server has it, and what few connections have.
    pub(super) own: Option<Box<Own>>,
    /// How many bytes have been written so far, whether or not they have been sent.
    pub(super) written: u64,
}

thread_local! {
    /// How many more bytes may be written when the drain's deadline is over: some, when a handler says goodbye. It is of
    /// the thread, so that connections need no room for it.
    static FAREWELL: Cell<u64> = const { Cell::new(0) };
}

/// What few connections have; in a box, so that the others need no room for it.
#[derive(Default)]
pub(super) struct Own {
    pub(super) timeouts: Option<Timeouts>,
    pub(super) max_buffered: Option<usize>,
    /// Where the bytes go to, and come from.
    pub(super) relay: Option<Box<OtherSide>>,
}

#[cold]
fn take_leave(count: u64) -> io::Result<()> {
    FAREWELL.set(FAREWELL.get().checked_sub(count).ok_or_else(Stopping::io_error)?);
    Ok(())
}

impl<S: Socket> Writer<S> {
    pub(super) fn new(socket: S) -> Self {
        Self {
            socket,
            session: None,
            until: None,
            output: Unsent::default(),
            file: None,
            total: 0,
            inbox: None,
            own: None,
            written: 0,
        }
    }

    /// How many bytes are waiting to be sent, including those of files.
    pub fn pending(&self) -> usize {
        let file = self.file.as_ref().map_or(0, |part| part.pending());
        self.output.len().saturating_add(file)
    }

    /// How many bytes have left for the peer.
    pub(super) fn sent_so_far(&self) -> u64 {
        self.total.saturating_sub(self.socket.unsent() as u64)
    }

    /// Whether there is nothing to send, of the connection's own, of others, or in the socket.
    #[inline]
    pub(super) fn has_nothing(&self) -> bool {
        self.output.is_empty() && self.file.is_none() && self.inbox.is_none() && self.socket.is_plain()
    }

    /// Whether less than `write_buffer` is pending, and none of it has been sent.
    #[inline]
    pub(super) fn is_gathering(&self) -> bool {
        !self.output.is_empty()
            && self.output.is_fresh()
            && self.file.is_none()
            && self.inbox.is_none()
            && self.output.len() < self.limits().0
    }

    pub(super) fn has_yielded(&self) -> bool {
        self.file.as_ref().is_some_and(|part| part.yielded)
    }

    pub(super) fn timeouts(&self) -> Timeouts {
        match (self.own.as_ref().and_then(|own| own.timeouts), &self.session) {
            (Some(own), _) => own,
            (None, Some(session)) => session.timeouts(),
            (None, None) => Timeouts { idle: None, read: None, write: None },
        }
    }

    /// To be changed for this connection.
    pub(super) fn timeouts_mut(&mut self) -> &mut Timeouts {
        let now = self.timeouts();
        self.own.get_or_insert_default().timeouts.get_or_insert(now)
    }

    pub(super) fn read_timeout(&self) -> Option<Duration> {
        self.timeouts().read
    }

    fn write_timeout(&self) -> Option<Duration> {
        self.timeouts().write
    }

    pub(super) fn min_rate(&self) -> Option<MinRate> {
        self.session.as_ref().and_then(|session| session.min_rate)
    }

    /// Blocks until the socket is ready, the deadline passes, or the server's drain is over; a wait for input also ends
    /// when others have sent something.
    pub(super) fn wait(&self, interest: Interest, due: Due) -> io::Result<()> {
        let total = self.until.filter(|total| due.at.is_none_or(|due| *total < due));
        let until = total.or(due.at);
        let descriptor = self.socket.descriptor();
        let needed = self.interest(interest);
        let between_messages = due.between_messages;
        let what = WaitFor { between_messages, ..WaitFor::new(descriptor, needed, until) };
        let woken = match (&self.session, &self.inbox) {
            (Some(session), Some(inbox)) if interest == Interest::Read => inbox.0.wait(&session.stop.state, &what)?,
            (Some(session), _) => session.stop.state.wait(&what)?,
            (None, _) => wait(descriptor, needed, &[], until)?,
        };
        match woken {
            Woken::Ready | Woken::Flag(MAIL) => Ok(()),
            Woken::Flag(EVICTED) => Err(evicted()),
            Woken::Flag(_) => Err(Stopping::io_error()),
            Woken::TimedOut => Err(self.timed_out(interest, total.is_some(), due.by_rate)),
        }
    }

    /// Blocks until there is input, others have sent something, or the connection has been idle for too long or the server
    /// stops: then it ends so.
    pub(super) fn wait_idle(&self, until: Option<Instant>) -> io::Result<Option<End>> {
        let total = self.until.filter(|total| until.is_none_or(|until| *total < until));
        let (descriptor, needed) = (self.socket.descriptor(), self.interest(Interest::Read));
        let what =
            WaitFor { ends_idle: true, between_messages: true, ..WaitFor::new(descriptor, needed, total.or(until)) };
        let woken = match (&self.session, &self.inbox) {
            (Some(session), Some(inbox)) => inbox.0.wait(&session.stop.state, &what)?,
            (Some(session), None) => session.stop.state.wait(&what)?,
            (None, _) => wait(descriptor, needed, &[], total.or(until))?,
        };
        match woken {
            Woken::Ready | Woken::Flag(MAIL) => Ok(None),
            Woken::Flag(EVICTED) => Err(evicted()),
            Woken::Flag(_) => Ok(Some(End::Drained)),
            Woken::TimedOut if total.is_some() => Err(self.timed_out(Interest::Read, true, false)),
            Woken::TimedOut => Ok(Some(End::IdleTimeout)),
        }
    }

    /// What the socket has to be ready for, to read or to write.
    pub(super) fn interest(&self, direction: Interest) -> Interest {
        match direction {
            Interest::Read => self.socket.read_interest(),
            Interest::Write => self.socket.write_interest(),
        }
    }

    /// What took too long.
    fn timed_out(&self, interest: Interest, in_all: bool, by_rate: bool) -> io::Error {
        let (what, limit) = match interest {
            _ if in_all => (WHOLE_REQUEST, self.session.as_ref().and_then(|session| session.options.total_timeout)),
            Interest::Read => ("reading", self.read_timeout()),
            Interest::Write => ("writing", self.write_timeout()),
        };
        match self.min_rate() {
            Some(rate) if by_rate && !in_all => rate.error(what),
            _ => timed_out(what, limit.unwrap_or_default()),
        }
    }

    /// Sends everything, waiting for the peer to take it.
    pub(super) fn flush_waiting(&mut self) -> io::Result<()> {
        let mut waits: Option<(Option<Instant>, Sending)> = None;
        while !self.send_output()? {
            let now = Instant::now();
            let (until, sending) =
                waits.get_or_insert_with(|| (after(now, self.write_timeout()), Sending::new(now, self.sent_so_far())));
            sending.update(now, self.sent_so_far());
            // A file may be of any length: its deadline counts from where the peer has last taken some of it.
            let due = if self.file.is_some() {
                sending.due(self.write_timeout(), self.min_rate())
            } else {
                Due::first(*until, sending.rate_due(self.min_rate()))
            };
            self.wait(Interest::Write, due)?;
        }
        Ok(())
    }

    /// Sends pending output without waiting; true once nothing is left.
    pub(super) fn send_output(&mut self) -> io::Result<bool> {
        while !self.output.is_empty() {
            match send(&mut self.socket, self.output.front())? {
                0 => return Ok(false),
                count => {
                    self.output.advance(count);
                    self.total += count as u64;
                }
            }
        }
        if self.file.is_none() { flush(&mut self.socket) } else { self.send_part() }
    }

    /// For a connection that waits: see [`Unsent::settle`].
    pub(super) fn settle(&mut self) {
        self.output.settle();
        if let Some(part) = &mut self.file {
            part.behind.settle();
        }
    }

    /// The handler is about to say goodbye, for which there is room after the drain's deadline, too.
    pub(super) fn finish_begins(&self) {
        /// Where less may wait.
        const LEAST: usize = 64 * 1024;
        FAREWELL.set(self.limits().1.max(LEAST) as u64);
    }

    /// A call of `handle` is no goodbye.
    #[inline]
    pub(super) fn call_begins() {
        FAREWELL.set(0);
    }

    /// An error when the drain's deadline is over: a handler that never has to wait would never hear of it.
    #[inline]
    pub(super) fn check_deadline(&self, count: u64) -> io::Result<()> {
        match &self.session {
            Some(session) if session.stop.state.is_forced() => take_leave(count),
            _ => Ok(()),
        }
    }

    /// How much is gathered before it is sent, and how much may wait for a peer that does not read.
    fn limits(&self) -> (usize, usize) {
        self.session
            .as_ref()
            .map_or((0, 0), |session| (session.options.write_buffer, session.options.max_pending_output))
    }

    /// How much more the output may hold.
    pub(super) fn room(&self) -> usize {
        let (buffered, allowance) = self.limits();
        allowance.max(buffered).saturating_sub(self.pending())
    }

    pub(super) fn send_if_gathered(&mut self) -> io::Result<()> {
        if self.pending() >= self.limits().0 {
            self.send_output()?;
        }
        Ok(())
    }

    /// As a write of all of `bytes`, behind no other output, that never waits: the rest is pending output, whatever its
    /// length.
    pub(super) fn carry(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.written += bytes.len() as u64;
        let rest = self.send_directly(bytes)?;
        if !rest.is_empty() {
            self.output.push(rest);
        }
        Ok(())
    }

    /// Sends directly what the kernel takes now; what is left of `bytes`.
    fn send_directly<'a>(&mut self, bytes: &'a [u8]) -> io::Result<&'a [u8]> {
        let count = send(&mut self.socket, bytes)?;
        self.total += count as u64;
        Ok(&bytes[count..])
    }
}

impl<S: Socket> Write for Writer<S> {
    /// Takes all of `bytes`, or fails.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.check_deadline(bytes.len() as u64)?;
        let (buffered, allowance) = self.limits();
        self.written += bytes.len() as u64;
        let mut rest = bytes;
        if self.pending() == 0 && rest.len() >= buffered && !rest.is_empty() {
            rest = self.send_directly(rest)?;
        }
        if rest.is_empty() {
            return Ok(bytes.len());
        }
        if self.file.is_some() {
            self.write_behind(rest, allowance)?;
            return Ok(bytes.len());
        }
        if rest.len() <= self.room() {
            self.output.push(rest);
            self.send_if_gathered()?;
            return Ok(bytes.len());
        }
        let begun = Instant::now();
        let until = after(begun, self.write_timeout());
        let mut sending = Sending::new(begun, self.sent_so_far());
        loop {
            if self.send_output()? {
                rest = self.send_directly(rest)?;
            }
            if rest.len() <= allowance.saturating_sub(self.pending()) {
                self.output.push(rest);
                return Ok(bytes.len());
            }
            sending.update(Instant::now(), self.sent_so_far());
            self.wait(Interest::Write, Due::first(until, sending.rate_due(self.min_rate())))?;
        }
    }

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        // One write takes all.
        self.write(bytes).map(drop)
    }

    fn write_fmt(&mut self, text: fmt::Arguments<'_>) -> io::Result<()> {
        match text.as_str() {
            Some(text) => self.write_all(text.as_bytes()),
            None => self.write_all(text.to_string().as_bytes()),
        }
    }

    /// Passes buffered output to the kernel. What it has no room for is sent by the server later; this does not block.
    fn flush(&mut self) -> io::Result<()> {
        if self.session.is_some() { self.send_output().map(drop) } else { self.flush_waiting() }
    }
}

impl<S: Socket> fmt::Debug for Writer<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writer").field("pending", &self.pending()).finish_non_exhaustive()
    }
}
