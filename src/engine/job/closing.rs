//! How a connection is closed so that no answer is lost.

use std::io::ErrorKind;
use std::time::Duration;
use std::time::Instant;

use super::Job;
use super::Phase;
use crate::end::End;
use crate::engine::core::Core;
use crate::engine::core::guarded;
use crate::engine::drive::Drive;
use crate::engine::drive::Turn;
use crate::engine::worker::Worker;
use crate::error::RequestError;
use crate::error::Stage;
use crate::handler::HandlerFactory;
use crate::park::token::Class;
use crate::request::Discard;
use crate::request::Request;
use crate::transport::Transport;

/// A stopping server waits this long for more from a peer that was still sending when it was closed.
pub(super) const STOPPING_LINGER: Duration = Duration::from_millis(100);

/// How far the closing of a connection is.
#[derive(Debug)]
pub(super) enum Closing {
    /// Output is left to be sent, or the peer is still to be told that no more will come.
    Flush,
    /// The peer may still be sending.
    /// In a box, as few connections linger, and many are open.
    Linger(Box<Linger>),
}

#[derive(Debug)]
pub(super) struct Linger {
    pub(super) since: Instant,
    discarded: usize,
    /// When the peer was last heard.
    pub(super) heard: Option<Instant>,
    /// The server was stopping when it last looked.
    pub(super) stopping: bool,
}

impl Linger {
    pub(super) fn new(since: Instant) -> Self {
        Self { since, discarded: 0, heard: None, stopping: false }
    }

    /// The peer has sent this much more, which is discarded.
    pub(super) fn discard(&mut self, bytes: usize, now: Instant) {
        if bytes > 0 {
            self.discarded += bytes;
            self.heard = Some(now);
        }
    }

    /// Whether the peer has had its time, or more than its bytes.
    pub(super) fn is_over(&mut self, core: &Core, now: Instant) -> bool {
        let silence = |heard| now.saturating_duration_since(heard);
        let quiet = self.heard.is_none_or(|heard| silence(heard) >= STOPPING_LINGER);
        // A stopping server owes patience only to those who are still sending; one that hands over owes it to those,
        // too, whose next request is on its way.
        self.stopping = core.stop.is_stopping() && !core.stop.state.hands_over();
        self.discarded > core.options.linger_bytes
            || silence(self.since) >= core.options.linger_timeout
            || (self.stopping && quiet)
    }
}

impl<T: Transport, H: HandlerFactory<T::Request>> Job<T, H> {
    /// At the deadline of a drain: what the peer has room for now, of what has been written before.
    pub(super) fn send_the_rest(&mut self) {
        if let Phase::Open(request, _) | Phase::Closing(request, _) = &mut self.phase {
            // It is closed, whatever becomes of that.
            let _ = guarded(Stage::Close, || request.flush_output());
        }
    }

    /// Sends the rest, says that no more will come, reads until the peer has closed too (or for a while), closes.
    ///
    /// Without the reading, unread input would make the kernel reset the connection, and the reset could
    /// overtake the answer (RFC 1122, 4.2.2.13; RFC 9112, 9.6).
    pub(super) fn close(&mut self, worker: &mut Worker) -> Turn {
        let Phase::Closing(request, closing) = &mut self.phase else { return Turn::Done };
        request.take_replies(&mut worker.outbox);
        if let Closing::Flush = closing {
            match request.flush_output() {
                Ok(false) => return self.wait_for_room(worker),
                Ok(true) => {}
                Err(error) if request.descriptor().is_none() => {
                    // A message: what could not be sent is a reply, whether or not others can be sent with it.
                    Drive::undelivered(self, error);
                    return Turn::Done;
                }
                Err(error) => {
                    let error = RequestError::failed(Stage::Close, error);
                    if !error.is_disconnect() {
                        self.shared.report(error, Some(self.account.id), request.client_address());
                    }
                    return Turn::Done;
                }
            }
            let lingers = request.descriptor().is_some();
            if self.account.end == Some(End::PeerClosed) && !request.has_closing_handshake() {
                return Turn::Done;
            }
            match request.shutdown_request() {
                Err(error) if error.kind() == ErrorKind::WouldBlock => return self.wait_for_room(worker),
                Ok(()) if lingers && self.account.end != Some(End::PeerClosed) => {}
                Ok(()) | Err(_) => return Turn::Done,
            }
            // Handlers before this one may have taken their time; the linger begins now.
            worker.set_now(Instant::now());
            *closing = Closing::Linger(Box::new(Linger::new(worker.now())));
        }
        let Closing::Linger(linger) = closing else { return Turn::Done };
        match request.discard_input() {
            Discard::End => return Turn::Done,
            Discard::More { discarded } => linger.discard(discarded, worker.now()),
        }
        if linger.is_over(&self.shared.core, worker.now()) {
            return Turn::Done;
        }
        Turn::Park(self.wait_for(Class::Linger, worker.now()))
    }
}
