//! Requests, as handlers receive them: a connection ([`Stream`]) or a datagram ([`Datagram`]).

use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

pub(crate) mod buffer;
pub(crate) mod datagram;
pub(crate) mod delivery;
mod file;
mod inbox;
pub(crate) mod mailbox;
pub(crate) mod pace;
mod relay;
mod sender;
pub(crate) mod socket;
pub(crate) mod stream;
pub(crate) mod unsent;
pub(crate) mod wake;
mod writer;

pub use datagram::Datagram;
pub use datagram::ReplySocket;
pub use mailbox::Mailbox;
pub use mailbox::SendError;
pub use relay::OtherSide;
pub use relay::Relayed;
pub use sender::Sender;
pub use socket::Socket;
pub use stream::ReadHalf;
pub use stream::Stream;
pub use stream::WriteHalf;
pub use writer::Writer;

pub use crate::sys::bytes::Bytes as ReadBuffer;

use crate::end::End;
use crate::event::Traffic;
use crate::options::ServerOptions;
use crate::stop::StopHandle;
use crate::sys::Descriptor;
use crate::sys::Interest;

/// What a transport passes to a handler.
///
/// [`Stream`] and [`Datagram`] implement it, and most transports use one of them. For requests that are neither (rows
/// of a table, messages of a queue), implement the two methods without a default: such a request is set up, handled
/// once and finished.
pub trait Request {
    /// The address of a peer.
    type Addr: Clone + fmt::Debug + Send + Sync + 'static;

    /// Who sent the request, if it has an address (an unbound Unix datagram socket has none).
    fn client_address(&self) -> Option<&Self::Addr>;

    /// Called once, before any other step, with the server's stop handle and timeouts.
    fn attach(&mut self, session: &Arc<Session>) {
        let _ = session;
    }

    /// Called after [`attach`](Self::attach) if the server has a [`total_timeout`](crate::Builder::total_timeout):
    /// nothing may wait for the peer beyond `until`.
    fn set_deadline(&mut self, until: Instant) {
        let _ = until;
    }

    /// Called when the request leaves the server, after [`Flow::Detach`](crate::Flow::Detach): stops and timeouts no
    /// longer apply.
    fn release(&mut self) {}

    /// What the poller waits on between messages; `None` for a request that is handled once.
    fn descriptor(&self) -> Option<Descriptor<'_>> {
        None
    }

    /// Takes the worker's read buffer for one turn.
    fn lend_buffer(&mut self, buffer: ReadBuffer) -> Option<ReadBuffer> {
        Some(buffer)
    }

    /// Gives the worker's buffer back, keeping only bytes that are unread.
    fn reclaim_buffer(&mut self) -> Option<ReadBuffer> {
        None
    }

    /// Reads what has arrived, without blocking.
    ///
    /// # Errors
    ///
    /// What the system said of the socket.
    fn fill(&mut self) -> io::Result<Fill> {
        Ok(Fill::Data)
    }

    /// Called before each call of `handle`, with the time at which its turn is over; `None` if no others wait for the
    /// thread.
    fn call_begins(&mut self, turn_ends: Option<Instant>) {
        let _ = turn_ends;
    }

    /// Called before `finish`, whose output may be sent even after the deadline of a drain, when the writes of `handle`
    /// fail.
    fn finish_begins(&mut self) {}

    /// The timeouts of this request, if its handler has changed them.
    fn timeouts(&self) -> Option<&Timeouts> {
        None
    }

    /// The poller says that the peer may have closed.
    fn set_hangup(&mut self) {}

    /// Where the request stands between two calls of `handle`.
    fn state(&self) -> RequestState {
        RequestState::default()
    }

    /// Sends pending output without blocking; returns true once nothing is left. Otherwise it is called again when the
    /// descriptor is writable, or, if [`RequestState::yielded`] is set, after other connections have had their turn.
    ///
    /// # Errors
    ///
    /// What the system said of the socket.
    fn flush_output(&mut self) -> io::Result<bool> {
        Ok(true)
    }

    /// What [`Sender`]s have sent to the peer, once there is a sender; [`flush_output`](Self::flush_output) sends it. A
    /// request that wraps a [`Stream`] returns the stream's.
    fn mailbox(&self) -> Option<&Mailbox> {
        None
    }

    /// Carries bytes between the peer and the connection of a [`Flow::Relay`](crate::Flow::Relay), as far as possible
    /// without blocking. A request that wraps a [`Stream`] calls the stream's; `scratch` is a buffer of the worker.
    ///
    /// # Errors
    ///
    /// An error of one of the two sockets, or `Unsupported`: only streams relay.
    fn relay(&mut self, scratch: &mut ReadBuffer) -> io::Result<Relayed> {
        let _ = scratch;
        Err(io::Error::new(io::ErrorKind::Unsupported, "Flow::Relay: only streams relay"))
    }

    /// The other connection of a relay, while it goes on.
    fn other_side(&self) -> Option<&OtherSide> {
        None
    }

    /// Ends a relay whose sides have not both ended, for this reason, and closes the other connection. Returns true if
    /// what was carried is incomplete: both sides see a reset when they are closed, and this one is to be closed at
    /// once.
    fn end_relay(&mut self, end: End) -> bool {
        let _ = end;
        false
    }

    /// What the descriptor has to be ready for before a read or write can continue.
    fn interest(&self, direction: Interest) -> Interest {
        direction
    }

    /// Whether a peer that has ended its side still waits for [`shutdown_request`](Self::shutdown_request), as TLS does
    /// for its `close_notify`.
    fn has_closing_handshake(&self) -> bool {
        false
    }

    /// Shuts down the sending side (`SHUT_WR`); Python's `shutdown_request`. If it returns
    /// [`WouldBlock`](io::ErrorKind::WouldBlock), it is called again when the descriptor is writable.
    ///
    /// # Errors
    ///
    /// What the system said of the socket.
    fn shutdown_request(&mut self) -> io::Result<()> {
        Ok(())
    }

    /// Sends a last message to a peer that is refused, as far as possible without blocking.
    fn farewell(&mut self, bytes: &[u8]) {
        let _ = bytes;
    }

    /// Discards input without blocking; called only for requests with a descriptor.
    fn discard_input(&mut self) -> Discard {
        Discard::End
    }

    /// Moves the replies of a datagram to the outbox, which sends them in batches.
    fn take_replies(&mut self, outbox: &mut Outbox) {
        let _ = outbox;
    }
}

/// What [`Request::fill`] found.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Fill {
    /// New bytes, or a whole request.
    Data,
    /// The peer has closed its side.
    End,
    /// More unread bytes than the limit allows: the handler has to consume some first.
    Full,
    /// Nothing yet.
    NotReady,
}

/// What [`Request::discard_input`] found.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Discard {
    /// The peer has closed too: nothing can be lost by closing.
    End,
    /// The peer may still send.
    More {
        /// How many bytes this call discarded.
        discarded: usize,
    },
}

/// Where a request stands between two calls of `handle`.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct RequestState {
    /// Whether `handle` may be called again at all.
    pub repeats: bool,
    /// Unread bytes in the buffer.
    pub unread: usize,
    /// How many bytes the handler has consumed so far.
    pub consumed: u64,
    /// How many bytes the handler has written so far, whether or not they have been sent.
    pub written: u64,
    /// Bytes received from and sent to the peer so far.
    pub traffic: Traffic,
    /// Whether the socket may have more than has been taken in.
    pub maybe_more: bool,
    /// Whether a handshake started by the handler waits for the peer.
    pub in_handshake: bool,
    /// Whether [`flush_output`](Request::flush_output) stopped to let other connections have their turn, and not for
    /// lack of room.
    pub yielded: bool,
    /// Whether pending output may wait until all input that has arrived is handled: it is less than `write_buffer`.
    pub gathering: bool,
    /// Why a wait inside the handler has ended the conversation: it was idle for too long, or when the server stopped.
    /// The handler has been shown the end of input.
    pub idle_end: Option<End>,
    /// How many bytes had been consumed at the start of the message that, as the handler said in its last call, goes
    /// on.
    pub message_from: Option<u64>,
}

/// The timeouts of a connection: see [`Stream::set_idle_timeout`] and the like. `None` means no timeout.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Timeouts {
    /// For the next message.
    pub idle: Option<Duration>,
    /// For a read, and for the rest of a message.
    pub read: Option<Duration>,
    /// For a write, and for the client to read some of the pending output.
    pub write: Option<Duration>,
}

/// What a request may know of the server that serves it: its timeouts, and whether it stops.
#[derive(Debug)]
pub struct Session {
    pub(crate) stop: StopHandle,
    pub(crate) options: Arc<ServerOptions>,
    pub(crate) min_rate: Option<pace::MinRate>,
    /// This is a process for one request, forked by the server.
    pub(crate) in_child: AtomicBool,
    /// One thread serves all connections: a handler that waited for a message would hold them all.
    pub(crate) one_thread: AtomicBool,
}

impl Session {
    pub(crate) fn new(stop: StopHandle, options: Arc<ServerOptions>) -> Self {
        let grace = options.rate_grace;
        let min_rate = options.min_rate.map(|bytes_per_second| pace::MinRate { bytes_per_second, grace });
        Self { stop, options, min_rate, in_child: AtomicBool::new(false), one_thread: AtomicBool::new(false) }
    }

    /// Stops the server; see [`StopHandle`].
    #[must_use]
    pub fn stop_handle(&self) -> &StopHandle {
        &self.stop
    }

    pub(crate) fn set_one_thread(&self) {
        self.one_thread.store(true, Ordering::Relaxed);
    }

    fn timeouts(&self) -> Timeouts {
        let ServerOptions { idle_timeout, read_timeout, write_timeout, .. } = &*self.options;
        Timeouts { idle: *idle_timeout, read: *read_timeout, write: *write_timeout }
    }

    pub(crate) fn set_in_child(&self) {
        self.in_child.store(true, Ordering::Relaxed);
    }
}

/// What took too long when [`total_timeout`](crate::Builder::total_timeout) is over.
pub(crate) const WHOLE_REQUEST: &str = "the whole request";

/// The time at which something that began now is given up; `None` for never.
pub(crate) fn deadline(timeout: Option<Duration>) -> Option<Instant> {
    pace::after(Instant::now(), timeout)
}

/// Replies of datagrams on their way out, sent many at a time.
#[derive(Debug, Default)]
pub struct Outbox {
    pub(crate) replies: Vec<crate::sys::datagram::Reply>,
}
