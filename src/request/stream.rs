//! A connection: `BufRead + Write` over any socket, with deadlines, that can wait in the poller between messages.
//!
//! What a handler reads and writes is in [`reading_and_writing`]; here is what the server does with it.

mod halves;
mod messages;
mod reading_and_writing;
mod relaying;
mod sending;
#[cfg(feature = "tls")]
mod upgrading;

use std::cell::Cell;
use std::fmt;
use std::io;
use std::io::BufRead;
use std::io::ErrorKind;
use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::Instant;

pub use halves::ReadHalf;
pub use halves::WriteHalf;

use super::Discard;
use super::Fill;
use super::ReadBuffer;
use super::Request;
use super::RequestState;
use super::Session;
use super::Timeouts;
use super::buffer::Buffer;
use super::mailbox::Mailbox;
use super::pace::Pieces;
use super::relay::OtherSide;
use super::relay::Relayed;
use super::socket::Socket;
use super::socket::flush;
use super::socket::receive;
use super::socket::send;
use super::writer::Writer;
use crate::end::End;
use crate::error::cut_short;
use crate::error::of_peer;
use crate::event::Traffic;
use crate::stop::StopHandle;
use crate::sys::Descriptor;
use crate::sys::Interest;

/// A connection, as handlers see it.
///
/// Reads are buffered ([`BufRead`]: `read_line` and the like work). Writes are direct and complete: `write` takes all
/// bytes or fails, as Python's `wfile` with `wbufsize = 0` does. What the kernel has no room for (up to the builder's
/// `max_pending_output`) is sent by the server before the next message is handled, so that a slow reader holds no
/// thread.
///
/// A read or write that blocks is subject to the builder's `read_timeout` or `write_timeout` (30 s each), counted for
/// the operation and not for each system call: a `read_line` whose bytes trickle in fails with [`ErrorKind::TimedOut`]
/// when the time is over. At the deadline of a drain it fails with [`ErrorKind::ConnectionAborted`], and so does every
/// read or write after it, whether or not it would block.
///
/// # Three ways to read messages
///
/// - [`line`](Self::line), and [`buffered`](Self::buffered) for other messages, take what has arrived and never block:
///   if there is no whole message, the handler returns [`Flow::Continue`](crate::Flow::Continue), and the connection
///   waits for the rest without a thread.
/// - `read_line`, `read_until`, `read_exact` and the others of [`Read`](std::io::Read) and [`BufRead`] block inside
///   `handle`. Under [`ThreadPerRequest`](crate::ThreadPerRequest) and `Fork` that is what the thread or process is
///   for; [`Pool`](crate::Pool) starts another thread meanwhile; [`Sync`](crate::Sync) serves no other connection
///   meanwhile. A loop over [`lines`](BufRead::lines) that replies to each needs both halves: see
///   [`halves`](Self::halves).
/// - [`frames`](crate::frames) splits the stream into messages before the handler is called.
///
/// A line is at most the builder's [`max_line`](crate::Builder::max_line), 64 KiB; `read_to_end` and `read_to_string`
/// use as much memory as the client sends.
///
/// Reads through an adaptor ([`take`](std::io::Read::take), a `BufReader`) cannot be told apart. Those between two
/// writes, and within one call of `handle`, share a deadline: `read_timeout`, plus the time that their bytes take at
/// the [`min_rate`](crate::Builder::min_rate).
pub struct Stream<S: Socket> {
    writer: Writer<S>,
    peer: Option<S::Addr>,
    buffer: Buffer,
    ended: bool,
    hangup: bool,
    maybe_more: bool,
    consumed: u64,
    /// What had been received when a wait for the next message first found the server stopping.
    received_by_stop: u64,
    /// This many unread bytes have been searched for the end of a line, or more than can be counted here.
    searched: u32,
    /// Reads of an adaptor, which share a deadline.
    reading: Pieces,
    /// What had been written when they began.
    reading_since: u64,
    /// What was written when a message came in to a server that hands over, and 1: an answer beyond it is the last.
    handed_over: Option<NonZeroU64>,
    /// What had been consumed and written when the present call of `handle` began; `NO_CALL` before the first.
    call: (u64, u64),
    /// What had been consumed when the message began that goes on behind the last call, or [`NO_MESSAGE`]; with
    /// [`UNCONFIRMED`] while the present call has not said that it still does.
    message: u64,
    /// A wait inside of `handle` has found the connection idle.
    idle_end: Option<End>,
}

/// A bit that no count of a connection's bytes has.
const UNCONFIRMED: u64 = 1 << 63;
const NO_MESSAGE: u64 = u64::MAX;

/// More than any connection consumes.
const NO_CALL: (u64, u64) = (u64::MAX, u64::MAX);

thread_local! {
    /// When others that wait for this thread are to have it. It is of the thread, so that connections need no room for it.
    static TURN_ENDS: Cell<Option<Instant>> = const { Cell::new(None) };
}

impl<S: Socket> Stream<S> {
    /// A connection from `peer` over `socket`, which must be non-blocking.
    pub fn new(socket: S, peer: Option<S::Addr>) -> Self {
        Self {
            writer: Writer::new(socket),
            peer,
            buffer: Buffer::default(),
            ended: false,
            hangup: false,
            maybe_more: true,
            consumed: 0,
            received_by_stop: u64::MAX,
            searched: 0,
            reading: Pieces::default(),
            handed_over: None,
            reading_since: 0,
            call: NO_CALL,
            message: NO_MESSAGE,
            idle_end: None,
        }
    }

    /// A connection from `peer` over `socket`, which must be non-blocking, and of whose input `unread` has already been
    /// read: the inverse of [`into_parts`](Self::into_parts), for transports whose second phase reads ahead.
    ///
    /// ```
    /// use std::io::Read;
    /// use std::net::{TcpListener, TcpStream};
    /// use socketserver::Stream;
    ///
    /// let listener = TcpListener::bind("127.0.0.1:0")?;
    /// let client = TcpStream::connect(listener.local_addr()?)?;
    /// let mut stream = Stream::from_parts(client, None, b"hello".to_vec());
    /// assert_eq!(stream.buffered(), b"hello");
    /// let mut word = [0; 5];
    /// stream.read_exact(&mut word)?;
    /// assert_eq!(&word, b"hello");
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn from_parts(socket: S, peer: Option<S::Addr>, unread: Vec<u8>) -> Self {
        Self { buffer: Buffer::holding(unread), ..Self::new(socket, peer) }
    }

    /// The address of the peer; `None` for a peer without one.
    pub fn peer_addr(&self) -> Option<&S::Addr> {
        self.peer.as_ref()
    }

    /// The socket. It is non-blocking; [buffered](Self::buffered) bytes are no longer in it.
    pub fn get_ref(&self) -> &S {
        &self.writer.socket
    }

    /// Like [`get_ref`](Self::get_ref), mutably; reading or writing here bypasses the buffers.
    pub fn get_mut(&mut self) -> &mut S {
        &mut self.writer.socket
    }

    /// The unread bytes that have arrived; never blocks.
    pub fn buffered(&self) -> &[u8] {
        self.buffer.unread()
    }

    /// Whether the peer has closed its side: once [`buffered`](Self::buffered) is consumed, reads return 0.
    pub fn is_ended(&self) -> bool {
        self.ended
    }

    /// Whether the peer's side has ended without the closing message of its protocol, such as `close_notify` of TLS: an
    /// attacker may have truncated what was sent. Always false on a plain socket, which has no such message.
    ///
    /// In the middle of a message such an end is an error, [`UnexpectedEof`](ErrorKind::UnexpectedEof): if the handler
    /// has left unread bytes; in a `read_line`, `read_until`, `read_exact` or `read_to_end`; and for `read` and
    /// `fill_buf`, if the handler has consumed bytes in this call and has written none since. Between two messages it
    /// is an end like any other, because many clients close without that message; if the end of the connection has a
    /// meaning, check this.
    pub fn is_truncated(&self) -> bool {
        self.ended && self.writer.socket.is_truncated()
    }

    /// How many unread bytes the connection may hold between two calls of `handle`: the builder's
    /// [`max_buffered`](crate::Builder::max_buffered), unless it was set for this connection.
    pub fn max_buffered(&self) -> usize {
        let of_server = || self.writer.session.as_ref().map_or(usize::MAX, |session| session.options.max_buffered);
        self.writer.own.as_ref().and_then(|own| own.max_buffered).unwrap_or_else(of_server)
    }

    /// Lets this connection hold up to `bytes` unread bytes, at least 1. Memory is allocated as they arrive.
    pub fn set_max_buffered(&mut self, bytes: usize) {
        // Without room for a byte a read could only say that the input has ended.
        self.writer.own.get_or_insert_default().max_buffered = Some(bytes.max(1));
    }

    /// Whether the server has been told to stop: a handler that loops should end its conversation.
    pub fn is_stopping(&self) -> bool {
        self.writer.session.as_ref().is_some_and(|session| session.stop.is_stopping())
    }

    /// Whether other connections have waited long enough for the thread that runs this call: for a handler that handles
    /// many messages in one call. It should then return [`Flow::Continue`](crate::Flow::Continue), with the rest still
    /// unread, and is called again when the others have had their turn.
    ///
    /// Under [`Sync`](crate::Sync) and [`Pool`](crate::Pool) a turn is 1 ms. Always false where a connection has its
    /// own thread, and while the server stops, since what has arrived by then is still to be handled.
    ///
    /// ```
    /// use std::io::Write;
    /// use socketserver::{Flow, HandlerResult, Socket, Stream};
    ///
    /// fn handle<S: Socket>(request: &mut Stream<S>) -> HandlerResult {
    ///     while let Some(line) = request.line()? {
    ///         request.write_all(line.to_uppercase().as_bytes())?;
    ///         if request.turn_is_over() {
    ///             break;
    ///         }
    ///     }
    ///     Ok(Flow::Continue)
    /// }
    /// ```
    pub fn turn_is_over(&self) -> bool {
        self.turn_ends().is_some_and(|end| Instant::now() >= end)
    }

    /// When [`turn_is_over`](Self::turn_is_over) becomes true, if it can.
    pub(crate) fn turn_ends(&self) -> Option<Instant> {
        TURN_ENDS.get().filter(|_| self.call != NO_CALL && !self.is_stopping())
    }

    /// A handle that stops the server, if one serves this connection.
    pub fn stop_handle(&self) -> Option<StopHandle> {
        self.writer.session.as_ref().map(|session| session.stop.clone())
    }

    fn received(&self) -> u64 {
        self.consumed + self.buffer.len() as u64
    }

    /// Bytes received from and sent to the peer so far.
    pub fn traffic(&self) -> Traffic {
        Traffic { received: self.received(), sent: self.writer.sent_so_far() }
    }

    /// The unread bytes that have arrived, and the sending side, to reply from the buffer without a copy.
    ///
    /// ```
    /// # use std::io::{BufRead, Write};
    /// # fn echo<S: socketserver::Socket>(request: &mut socketserver::Stream<S>) -> std::io::Result<()> {
    /// request.fill_buf()?;
    /// let (bytes, writer) = request.split_buffered();
    /// writer.write_all(bytes)?;
    /// let count = bytes.len();
    /// request.consume(count);
    /// # Ok(())
    /// # }
    /// ```
    pub fn split_buffered(&mut self) -> (&[u8], &mut Writer<S>) {
        (self.buffer.unread(), &mut self.writer)
    }

    /// Takes the connection apart into the socket and the bytes that were received but not read. Output that is still
    /// [pending](Writer::pending), because the kernel has no room for it, is lost: `flush` a detached connection first.
    pub fn into_parts(mut self) -> (S, Vec<u8>) {
        // The one who takes the socket sends on it; what the kernel has no room for now is lost with the rest.
        let _ = self.writer.send_output();
        (self.writer.socket, self.buffer.unread().to_vec())
    }
}

impl<S: Socket> Request for Stream<S> {
    type Addr = S::Addr;

    fn client_address(&self) -> Option<&S::Addr> {
        self.peer.as_ref()
    }

    fn attach(&mut self, session: &Arc<Session>) {
        self.writer.session = Some(Arc::clone(session));
    }

    fn set_deadline(&mut self, until: Instant) {
        self.writer.until = Some(until);
    }

    fn release(&mut self) {
        // What others have sent so far goes out with the new owner's output.
        self.writer.end_mail();
        self.writer.session = None;
        self.writer.until = None;
        if let Some(own) = &mut self.writer.own {
            (own.timeouts, own.relay) = (None, None);
        }
        self.call = NO_CALL;
    }

    fn descriptor(&self) -> Option<Descriptor<'_>> {
        Some(self.writer.socket.descriptor())
    }

    fn lend_buffer(&mut self, buffer: ReadBuffer) -> Option<ReadBuffer> {
        self.buffer.lend(buffer)
    }

    fn reclaim_buffer(&mut self) -> Option<ReadBuffer> {
        self.writer.settle();
        self.buffer.reclaim()
    }

    fn fill(&mut self) -> io::Result<Fill> {
        if self.ended {
            return Ok(Fill::End);
        }
        let limit = self.max_buffered();
        let room = self.buffer.room(limit);
        if room.is_empty() {
            return Ok(Fill::Full);
        }
        loop {
            match receive(&mut self.writer.socket, room) {
                Ok(0) => {
                    self.ended = true;
                    // The end is news for who takes the rest of the bytes first: no other will come.
                    self.maybe_more = true;
                    return if self.is_truncated() && !self.buffer.is_empty() {
                        Err(cut_short())
                    } else {
                        Ok(Fill::End)
                    };
                }
                Ok(count) => {
                    self.maybe_more =
                        count == room.len() || self.hangup || !self.writer.socket.is_drained_by_short_read();
                    self.buffer.filled(count);
                    return Ok(Fill::Data);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.maybe_more = false;
                    return Ok(Fill::NotReady);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(of_peer(error)),
            }
        }
    }

    #[inline]
    fn call_begins(&mut self, turn_ends: Option<Instant>) {
        TURN_ENDS.set(turn_ends);
        Writer::<S>::call_begins();
        self.call = (self.consumed, self.writer.written);
        self.message = if self.message & UNCONFIRMED == 0 { self.message | UNCONFIRMED } else { NO_MESSAGE };
        self.reading = Pieces::default();
    }

    fn finish_begins(&mut self) {
        self.writer.finish_begins();
    }

    #[inline]
    fn timeouts(&self) -> Option<&Timeouts> {
        self.writer.own.as_ref().and_then(|own| own.timeouts.as_ref())
    }

    fn set_hangup(&mut self) {
        self.hangup = true;
    }

    fn state(&self) -> RequestState {
        RequestState {
            repeats: true,
            unread: self.buffer.len(),
            consumed: self.consumed,
            written: self.writer.written,
            traffic: self.traffic(),
            maybe_more: self.maybe_more,
            in_handshake: self.writer.socket.is_in_handshake(),
            yielded: self.writer.has_yielded(),
            gathering: self.writer.is_gathering(),
            idle_end: self.idle_end,
            message_from: Some(self.message).filter(|message| message & UNCONFIRMED == 0),
        }
    }

    #[inline]
    fn flush_output(&mut self) -> io::Result<bool> {
        if self.writer.has_nothing() { Ok(true) } else { self.writer.send_output_and_mail() }
    }

    fn mailbox(&self) -> Option<&Mailbox> {
        self.writer.inbox.as_ref().map(|inbox| &*inbox.0)
    }

    fn relay(&mut self, scratch: &mut ReadBuffer) -> io::Result<Relayed> {
        self.carry(scratch)
    }

    #[inline]
    fn other_side(&self) -> Option<&OtherSide> {
        self.writer.own.as_ref().and_then(|own| own.relay.as_deref())
    }

    fn end_relay(&mut self, end: End) -> bool {
        self.stop_carrying(end)
    }

    fn interest(&self, direction: Interest) -> Interest {
        self.writer.interest(direction)
    }

    fn has_closing_handshake(&self) -> bool {
        !self.writer.socket.is_plain()
    }

    fn shutdown_request(&mut self) -> io::Result<()> {
        self.writer.socket.shutdown_write()
    }

    fn farewell(&mut self, bytes: &[u8]) {
        // A new connection has room for more than a farewell; a peer that has gone needs none.
        let socket = &mut self.writer.socket;
        let _ = send(socket, bytes).and_then(|_| flush(socket));
    }

    fn discard_input(&mut self) -> Discard {
        /// So much at a time, so that a peer that sends without end does not hold the worker.
        const ROUNDS: usize = 16;
        self.consume(usize::MAX);
        let mut discarded = 0;
        for _ in 0..ROUNDS {
            match self.fill() {
                Ok(Fill::Data) => {
                    discarded += self.buffer.len();
                    self.consume(usize::MAX);
                    if !self.maybe_more {
                        break;
                    }
                }
                Ok(Fill::NotReady | Fill::Full) => break,
                // After an error nothing that is sent arrives any more.
                Ok(Fill::End) | Err(_) => return Discard::End,
            }
        }
        Discard::More { discarded }
    }
}

impl<S: Socket + fmt::Debug> fmt::Debug for Stream<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stream")
            .field("socket", &self.writer.socket)
            .field("peer", &self.peer)
            .field("unread", &self.buffer.len())
            .field("pending", &self.writer.pending())
            .finish_non_exhaustive()
    }
}
