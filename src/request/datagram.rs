//! A datagram: its payload, who sent it, where it was sent to, and a way to reply.

use std::fmt;
use std::io;
use std::net::IpAddr;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Instant;

use super::Outbox;
use super::Request;
use super::Session;
use super::delivery::Patience;
use crate::error::Stopping;
use crate::stop::StopHandle;
use crate::sys::datagram::BatchTarget;
use crate::sys::datagram::Reply;

/// The socket that sends the replies of a datagram transport.
pub trait ReplySocket<A>: Send + Sync {
    /// Sends one datagram to `peer`, from the local address `from` if the platform supports that.
    ///
    /// # Errors
    ///
    /// What the system said.
    fn send_to(&self, payload: &[u8], peer: &A, from: Option<IpAddr>) -> io::Result<()>;

    /// Like [`send_to`](Self::send_to), which does not wait for room; this does, within the server's timeouts and until
    /// its stop.
    #[doc(hidden)]
    fn send_patiently(
        &self,
        payload: &[u8],
        peer: &A,
        from: Option<IpAddr>,
        patience: &mut Patience<'_>,
    ) -> io::Result<()> {
        let _ = patience;
        self.send_to(payload, peer, from)
    }

    /// The address in the form used for batches; `None` if batches are not supported.
    #[doc(hidden)]
    fn batch(&self, peer: &A) -> Option<BatchTarget> {
        let _ = peer;
        None
    }

    /// Whether [`batch`](Self::batch) gives a target for every peer.
    #[doc(hidden)]
    fn batches(&self) -> bool {
        false
    }

    /// The longest payload of a datagram to `peer`, in bytes. Default: that of UDP over IPv4.
    fn max_payload(&self, peer: &A) -> usize {
        let _ = peer;
        65_507
    }
}

/// A datagram, as handlers see it. It dereferences to its payload.
///
/// No reply is sent unless the handler calls [`reply`](Self::reply), as often as it wants or not at all.
pub struct Datagram<A> {
    payload: Vec<u8>,
    peer: Option<A>,
    local: Option<IpAddr>,
    reply_from: Option<IpAddr>,
    truncated: bool,
    socket: Arc<dyn ReplySocket<A>>,
    /// The first reply, without which there are no more: most messages have one, which needs no list.
    reply: Option<Vec<u8>>,
    more_replies: Vec<Vec<u8>>,
    session: Option<Arc<Session>>,
    /// When the whole request is over.
    until: Option<Instant>,
    /// The handler says goodbye.
    finishes: bool,
}

impl<A> Datagram<A> {
    /// A datagram with this `payload` from `peer`, whose replies are sent through `socket`.
    pub fn new(payload: Vec<u8>, peer: Option<A>, socket: Arc<dyn ReplySocket<A>>) -> Self {
        Self {
            payload,
            peer,
            local: None,
            reply_from: None,
            truncated: false,
            socket,
            reply: None,
            more_replies: Vec::new(),
            session: None,
            until: None,
            finishes: false,
        }
    }

    /// Sets the local address the datagram was sent to; replies are sent from it, unless
    /// [`with_reply_from`](Self::with_reply_from) sets another.
    #[must_use]
    pub fn with_local(mut self, local: Option<IpAddr>) -> Self {
        self.local = local;
        self.reply_from = local;
        self
    }

    /// Sets the local address that replies are sent from; with `None` the system chooses one. It cannot be a broadcast
    /// or multicast address.
    #[must_use]
    pub fn with_reply_from(mut self, address: Option<IpAddr>) -> Self {
        self.reply_from = address;
        self
    }

    /// Sets whether the datagram was longer than the buffer.
    #[must_use]
    pub fn with_truncated(mut self, truncated: bool) -> Self {
        self.truncated = truncated;
        self
    }

    /// The bytes that were received; empty for an empty datagram, which is a valid request.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        &self.payload
    }

    /// Takes the payload out, without a copy.
    #[must_use]
    pub fn take_payload(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.payload)
    }

    /// The address of the sender; `None` for an unbound Unix socket, which cannot be replied to.
    #[must_use]
    pub fn peer_addr(&self) -> Option<&A> {
        self.peer.as_ref()
    }

    /// The local address it was sent to, if the platform reports it; for a broadcast or multicast datagram, the
    /// broadcast or multicast address.
    #[must_use]
    pub fn local_addr(&self) -> Option<IpAddr> {
        self.local
    }

    /// Whether the datagram was longer than the builder's `max_datagram_size`: the rest is lost.
    #[must_use]
    pub fn truncated(&self) -> bool {
        self.truncated
    }

    /// Whether the server has been told to stop.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        self.session.as_ref().is_some_and(|session| session.stop.is_stopping())
    }

    /// A handle that stops the server, if one serves this datagram.
    #[must_use]
    pub fn stop_handle(&self) -> Option<StopHandle> {
        self.session.as_ref().map(|session| session.stop.clone())
    }

    /// Sends one datagram to the sender, from the address it was sent to (or from one of this machine's, if that was a
    /// broadcast or multicast address). It is sent when `handle` has returned, together with other replies in one
    /// system call if the platform supports that. An error then goes to
    /// [`handle_error`](crate::HandlerFactory::handle_error) with [`Stage::Close`](crate::Stage::Close), and the
    /// request counts as failed. [`reply_now`](Self::reply_now) sends at once.
    ///
    /// If the send buffer of the server's socket is full, a reply waits for room, at most for the builder's
    /// [`write_timeout`](crate::Builder::write_timeout). It does not wait for a peer that does not read: see
    /// `UnixDatagram`.
    ///
    /// # Errors
    ///
    /// - `NotConnected`: the sender has no address.
    /// - `InvalidInput`: the payload is longer than a datagram can be.
    pub fn reply(&mut self, payload: &[u8]) -> io::Result<()> {
        self.reply_owned(payload.to_vec())
    }

    /// Like [`reply`](Self::reply), without copying the payload.
    ///
    /// # Errors
    ///
    /// As [`reply`](Self::reply).
    pub fn reply_owned(&mut self, payload: Vec<u8>) -> io::Result<()> {
        self.check(&payload)?;
        if self.reply.is_none() {
            self.reply = Some(payload);
        } else {
            self.more_replies.push(payload);
        }
        Ok(())
    }

    /// Like [`reply`](Self::reply), but sent before this returns; it may overtake queued replies.
    ///
    /// # Errors
    ///
    /// As [`reply`](Self::reply), or an error of the socket.
    pub fn reply_now(&self, payload: &[u8]) -> io::Result<()> {
        let peer = self.check(payload)?;
        self.send(payload, peer, self.reply_from)
    }

    /// Sends one datagram to any address, at once.
    ///
    /// # Errors
    ///
    /// What the system said.
    pub fn send_to(&self, payload: &[u8], address: &A) -> io::Result<()> {
        self.send(payload, address, None)
    }

    fn send(&self, payload: &[u8], address: &A, from: Option<IpAddr>) -> io::Result<()> {
        if !self.finishes && self.session.as_ref().is_some_and(|session| session.stop.state.is_forced()) {
            // A handler that never has to wait would never hear of it.
            return Err(Stopping::io_error());
        }
        self.socket.send_patiently(payload, address, from, &mut self.patience())
    }

    fn patience(&self) -> Patience<'_> {
        Patience::of(self.session.as_deref(), self.until)
    }

    /// Sends what could not be batched, in order.
    fn send_replies(&mut self) -> io::Result<bool> {
        let replies: Vec<_> = self.reply.take().into_iter().chain(self.more_replies.drain(..)).collect();
        let mut outcome = Ok(true);
        let mut patience = self.patience();
        for payload in replies {
            let peer = self.check(&payload);
            let sent = peer.and_then(|peer| self.socket.send_patiently(&payload, peer, self.reply_from, &mut patience));
            if let Err(error) = sent {
                outcome = Err(error);
            }
        }
        outcome
    }

    fn check(&self, payload: &[u8]) -> io::Result<&A> {
        let Some(peer) = &self.peer else {
            let message = "the sender has no address to reply to: it must bind its socket";
            return Err(io::Error::new(io::ErrorKind::NotConnected, message));
        };
        let most = self.socket.max_payload(peer);
        if payload.len() > most {
            let message = format!("a reply of {} bytes: a datagram holds at most {most}", payload.len());
            return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
        }
        Ok(peer)
    }
}

impl<A> Deref for Datagram<A> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.payload
    }
}

impl<A: Clone + fmt::Debug + Send + Sync + 'static> Request for Datagram<A> {
    type Addr = A;

    fn client_address(&self) -> Option<&A> {
        self.peer.as_ref()
    }

    fn attach(&mut self, session: &Arc<Session>) {
        self.session = Some(Arc::clone(session));
    }

    fn set_deadline(&mut self, until: Instant) {
        self.until = Some(until);
    }

    fn finish_begins(&mut self) {
        self.finishes = true;
    }

    #[inline]
    fn flush_output(&mut self) -> io::Result<bool> {
        if self.reply.is_none() { Ok(true) } else { self.send_replies() }
    }

    fn take_replies(&mut self, outbox: &mut Outbox) {
        let Some(peer) = &self.peer else { return };
        if self.reply.is_none() || !self.socket.batches() {
            return;
        }
        // Without a batch, or an address that it takes, they stay here, for `flush_output`.
        let Some(target) = self.socket.batch(peer) else { return };
        let Some(payload) = self.reply.take() else { return };
        let from = self.reply_from;
        outbox.replies.push(Reply { target, payload, from });
        for payload in self.more_replies.drain(..) {
            if let Some(target) = self.socket.batch(peer) {
                outbox.replies.push(Reply { target, payload, from });
            }
        }
    }
}

impl<A: fmt::Debug> fmt::Debug for Datagram<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Datagram")
            .field("length", &self.payload.len())
            .field("peer", &self.peer)
            .field("local", &self.local)
            .field("truncated", &self.truncated)
            .finish_non_exhaustive()
    }
}
