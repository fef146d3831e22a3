//! The second phase: from a connection that was accepted to one that speaks TLS, in turns.

use std::fmt;
use std::io;
use std::io::ErrorKind;

use super::TlsConfig;
use super::TlsSocket;
use super::scratch::Scratch;
use super::session::Session;
use crate::request::Request;
use crate::request::Socket;
use crate::request::Stream;
use crate::request::socket::receive;
use crate::sys::Descriptor;
use crate::transport::Advance;
use crate::transport::Claim;
use crate::transport::Establish;
use crate::transport::Interest;

/// A connection before the end of its TLS handshake: what a [`Tls`](super::Tls) transport accepts.
///
/// `P` is what the inner transport has accepted, whose own second phase comes first, and `S` its socket.
pub struct Handshake<P, S: Socket> {
    stage: Stage<P, S>,
    /// What the transport inside holds for the connection.
    claim: Option<Claim>,
    config: TlsConfig,
}

enum Stage<P, S: Socket> {
    /// The second phase of the transport inside.
    Inside(P),
    /// That phase is over without a connection.
    Settled(io::Result<Advance>),
    /// No session is made for a client that may never begin. What the transport inside has read ahead is the beginning.
    Silent(S, Option<S::Addr>, Vec<u8>),
    /// From the first byte on.
    Speaking(TlsSocket<S>, Option<S::Addr>),
    /// Between two stages.
    Moved,
}

impl<P: Establish<Request = Stream<S>>, S: Socket> Handshake<P, S> {
    /// Takes over what the transport inside has accepted. Nothing of TLS happens yet: this may be the parent of the
    /// process that serves it.
    pub(super) fn new(pending: P, config: &TlsConfig) -> Self {
        let mut handshake = Self { stage: Stage::Inside(pending), claim: None, config: config.clone() };
        if let Stage::Inside(pending) = &mut handshake.stage
            && pending.descriptor().is_none()
        {
            // Nothing is waited for inside, and from then on there is a socket to wait on.
            match pending.advance() {
                Ok(Advance::Done) => handshake.take_over(),
                other => handshake.stage = Stage::Settled(other),
            }
        }
        handshake
    }

    /// The second phase of the transport inside is done.
    fn take_over(&mut self) {
        let Stage::Inside(mut pending) = std::mem::replace(&mut self.stage, Stage::Moved) else { return };
        self.claim = pending.take_claim();
        let stream = pending.into_request();
        let peer = stream.client_address().cloned();
        let (socket, first) = stream.into_parts();
        self.stage = Stage::Silent(socket, peer, first);
    }

    /// Looks for the first byte, and makes a session for it.
    fn listen(&mut self) -> io::Result<Advance> {
        let Stage::Silent(socket, _, first) = &mut self.stage else { return Ok(Advance::Idle) };
        let mut session = None;
        let outcome = if first.is_empty() {
            Scratch::with(|Scratch { incoming, .. }| {
                let count = receive(socket, incoming)?;
                if count == 0 {
                    return Err(ErrorKind::ConnectionReset.into());
                }
                session.insert(Box::new(Session::new(&self.config)?)).begin(socket, &mut incoming[..count])
            })
        } else {
            session.insert(Box::new(Session::new(&self.config)?)).begin(socket, first)
        };
        if let Some(session) = session
            && let Stage::Silent(socket, peer, _) = std::mem::replace(&mut self.stage, Stage::Moved)
        {
            self.stage = Stage::Speaking(TlsSocket::new(socket, session), peer);
            outcome?;
            return self.speak();
        }
        match outcome {
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => Ok(Advance::Idle),
            // A connection that ends before it has sent anything is no error.
            Err(error) if error.kind() == ErrorKind::ConnectionReset => Ok(Advance::Closed),
            Err(error) => Err(error),
            Ok(()) => Ok(Advance::Idle),
        }
    }

    fn speak(&mut self) -> io::Result<Advance> {
        let Stage::Speaking(socket, _) = &mut self.stage else { return Ok(Advance::Idle) };
        let (socket, session) = socket.parts();
        session.advance(socket)
    }
}

impl<P: Establish<Request = Stream<S>>, S: Socket> Establish for Handshake<P, S> {
    type Request = Stream<TlsSocket<S>>;

    fn client_address(&self) -> Option<&S::Addr> {
        match &self.stage {
            Stage::Inside(pending) => pending.client_address(),
            Stage::Silent(_, peer, _) | Stage::Speaking(_, peer) => peer.as_ref(),
            Stage::Settled(_) | Stage::Moved => None,
        }
    }

    fn descriptor(&self) -> Option<Descriptor<'_>> {
        match &self.stage {
            Stage::Inside(pending) => pending.descriptor(),
            Stage::Silent(socket, ..) => Some(socket.descriptor()),
            Stage::Speaking(socket, _) => Some(socket.descriptor()),
            Stage::Settled(_) | Stage::Moved => None,
        }
    }

    fn connection(&self) -> Option<Descriptor<'_>> {
        if let Stage::Inside(pending) = &self.stage { pending.connection() } else { self.descriptor() }
    }

    fn knows_client(&self) -> bool {
        if let Stage::Inside(pending) = &self.stage { pending.knows_client() } else { true }
    }

    fn stays(&self) -> bool {
        if let Stage::Inside(pending) = &self.stage { pending.stays() } else { false }
    }

    fn take_claim(&mut self) -> Option<Claim> {
        if let Stage::Inside(pending) = &mut self.stage { pending.take_claim() } else { self.claim.take() }
    }

    fn advance(&mut self) -> io::Result<Advance> {
        if let Stage::Inside(pending) = &mut self.stage {
            let stayed = pending.stays();
            match pending.advance()? {
                Advance::Done => self.take_over(),
                other => return Ok(other),
            }
            if stayed {
                // It may go to the process that serves it now, and TLS is that one's. Elsewhere it goes on at once.
                return Ok(Advance::Wait(Interest::Write));
            }
        }
        match &mut self.stage {
            Stage::Settled(outcome) => std::mem::replace(outcome, Ok(Advance::Closed)),
            Stage::Silent(..) => self.listen(),
            _ => self.speak(),
        }
    }

    fn close(&mut self) -> io::Result<Advance> {
        let socket = match &mut self.stage {
            Stage::Inside(pending) => return pending.close(),
            Stage::Speaking(socket, _) => socket,
            Stage::Settled(_) | Stage::Silent(..) | Stage::Moved => return Ok(Advance::Closed),
        };
        // The alert, which is the last record of a session that has failed.
        match socket.shutdown_write() {
            Ok(()) => Ok(Advance::Done),
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(Advance::Wait(socket.write_interest())),
            Err(error) => Err(error),
        }
    }

    fn into_request(self) -> Stream<TlsSocket<S>> {
        match self.stage {
            Stage::Speaking(mut socket, peer) => {
                let first = socket.parts().1.take_plain();
                Stream::from_parts(socket, peer, first)
            }
            Stage::Inside(_) | Stage::Settled(_) | Stage::Silent(..) | Stage::Moved => {
                unreachable!("a request is asked for when the handshake is done")
            }
        }
    }
}

impl<P, S: Socket> fmt::Debug for Handshake<P, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stage = match self.stage {
            Stage::Inside(_) => "inside",
            Stage::Settled(_) => "settled",
            Stage::Silent(..) => "silent",
            Stage::Speaking(..) => "speaking",
            Stage::Moved => "moved",
        };
        f.debug_struct("Handshake").field("stage", &stage).finish_non_exhaustive()
    }
}
