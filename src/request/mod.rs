//! What handlers are given: a connection ([`Stream`]) or a message ([`Datagram`]).

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
use crate::options::ServerOptions;
use crate::stop::StopHandle;
use crate::sys::Descriptor;
use crate::sys::Interest;

/// What a transport hands to a handler.
///
/// [`Stream`] and [`Datagram`] implement it, and most transports use one of them. A transport whose requests are
/// neither (rows of a table, messages of a queue) implements the two methods that have no default: such a request is
/// set up, handled once and finished.
pub trait Request {
    /// The address of a peer.
    type Addr: Clone + fmt::Debug + Send + Sync + 'static;

    /// Who sent the request, if it has an address (an unbound Unix datagram socket has none).
    fn client_address(&self) -> Option<&Self::Addr>;

    /// Told once, before any other step: the server's stop handle and timeouts.
    fn attach(&mut self, session: &Arc<Session>) {
        let _ = session;
    }

    /// Told after [`attach`](Self::attach), where the server has a [`total_timeout`](crate::Builder::total_timeout):
    /// nothing waits for the peer beyond `until`.
    fn set_deadline(&mut self, until: Instant) {
        let _ = until;
    }

    /// Told when the request leaves the server, after [`Flow::Detach`](crate::Flow::Detach): no stop and no timeouts
    /// from here on.
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

    /// Takes in what has arrived, without waiting.
    ///
    /// # Errors
    ///
    /// What the system said of the socket.
    fn fill(&mut self) -> io::Result<Fill> {
        Ok(Fill::Data)
    }

    /// Told before each call of `handle`, and when others are to have the thread; never, if there are none.
    fn call_begins(&mut self, turn_ends: Option<Instant>) {
        let _ = turn_ends;
    }

    /// The timeouts of this request, where its handler has changed them.
    fn timeouts(&self) -> Option<&Timeouts> {
        None
    }

    /// The poller says that the peer may have closed.
    fn set_hangup(&mut self) {}

    /// Where the request stands between two calls of `handle`.
    fn progress(&self) -> Progress {
        Progress::default()
    }

    /// Sends what is still to be sent, without waiting; true once nothing is left. Otherwise it is called again when
    /// the descriptor is writable, or after the next one's turn if [`Progress::yielded`] says so.
    ///
    /// # Errors
    ///
    /// What the system said of the socket.
    fn flush_output(&mut self) -> io::Result<bool> {
        Ok(true)
    }

    /// What [`Sender`]s have sent to the peer, once there is one; [`flush_output`](Self::flush_output) takes it in. A
    /// request that wraps a [`Stream`] passes the stream's on.
    fn mailbox(&self) -> Option<&Mailbox> {
        None
    }

    /// Carries bytes between the peer and the connection that the handler has named before it returned
    /// [`Flow::Relay`](crate::Flow::Relay), as far as that goes without waiting. A request that wraps a [`Stream`] passes
    /// the stream's on; `scratch` is a buffer of the worker's.
    ///
    /// # Errors
    ///
    /// What the system said of one of the two, and that there is no other: only streams relay.
    fn relay(&mut self, scratch: &mut ReadBuffer) -> io::Result<Relayed> {
        let _ = scratch;
        Err(io::Error::new(io::ErrorKind::Unsupported, "Flow::Relay: only streams relay"))
    }

    /// The other connection of a relay, while it goes on.
    fn other_side(&self) -> Option<&OtherSide> {
        None
    }

    /// Ends a relay whose sides have not both ended, for this reason, and closes the other connection. True if what was
    /// carried is cut short: both sides see a reset when they are closed, and this one is to be closed at once.
    fn end_relay(&mut self, end: End) -> bool {
        let _ = end;
        false
    }

    /// What the descriptor has to be ready for, to go on in this direction.
    fn interest(&self, direction: Interest) -> Interest {
        direction
    }

    /// Whether a peer that has ended its side still waits for [`shutdown_request`](Self::shutdown_request), as TLS does
    /// for its `close_notify`.
    fn has_closing_handshake(&self) -> bool {
        false
    }

    /// Says that nothing more will be sent (`SHUT_WR`); Python's `shutdown_request`. Called again when the descriptor is
    /// writable if it says [`WouldBlock`](io::ErrorKind::WouldBlock).
    ///
    /// # Errors
    ///
    /// What the system said of the socket.
    fn shutdown_request(&mut self) -> io::Result<()> {
        Ok(())
    }

    /// Sends a last word to a peer that is turned away, as far as that goes without waiting.
    fn farewell(&mut self, bytes: &[u8]) {
        let _ = bytes;
    }

    /// Throws away what the peer still sends, without waiting; asked of requests with a descriptor only.
    fn discard_input(&mut self) -> Discard {
        Discard::End
    }

    /// Moves the replies of a datagram to where they are sent in batches.
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
    /// The peer has ended its side.
    End,
    /// More unread bytes than the limit allows: the handler has to take some first.
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
        /// How many bytes this call threw away.
        discarded: usize,
    },
}

/// Where a request stands between two calls of `handle`.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Progress {
    /// Whether `handle` may be called again at all.
    pub repeats: bool,
    /// Unread bytes in the buffer.
    pub unread: usize,
    /// How many bytes the handler has taken so far.
    pub consumed: u64,
    /// How many bytes the handler has written so far, whether or not they have been sent.
    pub written: u64,
    /// How many bytes have come from and gone to the peer so far.
    pub transferred: (u64, u64),
    /// Whether the socket may have more than has been taken in.
    pub maybe_more: bool,
    /// Whether the peer's part in a handshake is waited for, which the handler has begun.
    pub in_handshake: bool,
    /// Whether [`flush_output`](Request::flush_output) has left something for others to have their turn, not for want
    /// of room.
    pub yielded: bool,
    /// Whether the output that is not sent yet may wait until all input that has arrived is handled: it is less than
    /// is to be gathered.
    pub gathering: bool,
    /// Why the conversation is over that a handler waits in: it was idle, for too long or when the server stopped. The
    /// handler has been shown the end of input.
    pub idle_end: Option<End>,
    /// What had been consumed when a message began whose rest the handler expects, as it has said in the last call.
    pub message_from: Option<u64>,
}

/// How long a connection is waited for: see [`Stream::set_idle_timeout`] and its kin. `None` is for ever.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Timeouts {
    /// For the next message.
    pub idle: Option<Duration>,
    /// For a read, and for the rest of a message.
    pub read: Option<Duration>,
    /// For a write, and for a client to take some of what is to be sent.
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
