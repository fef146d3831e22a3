//! A connection from its accept to the end of its header.

use std::fmt;
use std::io;
use std::sync::Arc;

use super::Header;
use super::Proxied;
use super::ProxiedAddr;
use super::options::Rules;
use super::receiving::Received;
use super::receiving::Receiving;
use crate::event::Refusal;
use crate::request::Request;
use crate::request::Socket;
use crate::request::Stream;
use crate::sys::Descriptor;
use crate::transport::Advance;
use crate::transport::Claim;
use crate::transport::Establish;
use crate::transport::Peer;

/// A connection whose header has not arrived completely.
pub struct ProxyPending<P, S: Socket> {
    state: State<P, S>,
    rules: Arc<Rules>,
    /// As far as it is known.
    client: Option<ProxiedAddr<S::Addr>>,
    /// That of the transport inside.
    claim: Option<Claim>,
    /// It was found when it was accepted that it is not trusted, and ends there: no poller and no thread hears of it.
    ends_at_once: bool,
}

enum State<P, S: Socket> {
    /// The transport inside is not done with it.
    Inner(P),
    Header(Stream<S>, Receiving),
    /// With its header, if it has one.
    Done(Stream<S>, Option<Header>),
    /// Between two of them.
    Moved,
}

impl<P: Establish<Request = Stream<S>>, S: Socket<Addr: Peer>> ProxyPending<P, S> {
    pub(super) fn new(inner: P, rules: &Arc<Rules>) -> Self {
        let ends_at_once = inner.knows_client() && !rules.admit(inner.client_address());
        let client = inner.client_address().cloned().map(ProxiedAddr::Own);
        Self { state: State::Inner(inner), rules: Arc::clone(rules), client, claim: None, ends_at_once }
    }

    /// What the transport inside has made, once it is done; whether its peer is trusted is asked as soon as it is known.
    fn advance_inner(&mut self) -> io::Result<Option<Advance>> {
        let State::Inner(inner) = &mut self.state else { return Ok(None) };
        let outcome = inner.advance()?;
        if inner.knows_client() && !self.rules.admit(inner.client_address()) {
            return Ok(Some(Advance::Refused(Refusal::Untrusted)));
        }
        if outcome != Advance::Done {
            return Ok(Some(outcome));
        }
        if let State::Inner(mut inner) = std::mem::replace(&mut self.state, State::Moved) {
            self.claim = inner.take_claim();
            let stream = inner.into_request();
            self.client = stream.peer_addr().cloned().map(ProxiedAddr::Own);
            self.state = if self.rules.has_headers {
                State::Header(stream, Receiving::default())
            } else {
                State::Done(stream, None)
            };
        }
        Ok(None)
    }
}

impl<P: Establish<Request = Stream<S>>, S: Socket<Addr: Peer>> Establish for ProxyPending<P, S> {
    type Request = Stream<Proxied<S>>;

    fn client_address(&self) -> Option<&ProxiedAddr<S::Addr>> {
        self.client.as_ref()
    }

    fn descriptor(&self) -> Option<Descriptor<'_>> {
        match &self.state {
            _ if self.ends_at_once => None,
            State::Inner(inner) if !self.rules.has_headers => inner.descriptor(),
            _ => self.connection(),
        }
    }

    fn connection(&self) -> Option<Descriptor<'_>> {
        match &self.state {
            State::Inner(inner) => inner.connection(),
            State::Header(stream, _) | State::Done(stream, _) => Request::descriptor(stream),
            State::Moved => None,
        }
    }

    fn knows_client(&self) -> bool {
        match &self.state {
            State::Done(..) => true,
            State::Inner(inner) => !self.rules.has_headers && inner.knows_client(),
            State::Header(..) | State::Moved => false,
        }
    }

    fn stays(&self) -> bool {
        matches!(&self.state, State::Inner(inner) if inner.stays())
    }

    fn take_claim(&mut self) -> Option<Claim> {
        if let State::Inner(inner) = &mut self.state { inner.take_claim() } else { self.claim.take() }
    }

    fn advance(&mut self) -> io::Result<Advance> {
        if self.ends_at_once {
            return Ok(Advance::Refused(Refusal::Untrusted));
        }
        if let Some(outcome) = self.advance_inner()? {
            return Ok(outcome);
        }
        if let State::Header(stream, receiving) = &mut self.state {
            match receiving.advance(stream, self.rules.max_header)? {
                Received::Not(outcome) => return Ok(outcome),
                Received::Whole(header) => {
                    self.client = ProxiedAddr::of(&header, stream.peer_addr());
                    if let State::Header(stream, _) = std::mem::replace(&mut self.state, State::Moved) {
                        self.state = State::Done(stream, Some(header));
                    }
                }
            }
        }
        Ok(Advance::Done)
    }

    /// A header that cannot be read is answered by nothing.
    fn close(&mut self) -> io::Result<Advance> {
        if let State::Inner(inner) = &mut self.state { inner.close() } else { Ok(Advance::Closed) }
    }

    fn into_request(self) -> Self::Request {
        let State::Done(stream, header) = self.state else { unreachable!("called after Advance::Done") };
        let proxy = stream.peer_addr().cloned();
        let (socket, unread) = stream.into_parts();
        let socket = match header {
            Some(header) => Proxied::new(socket, header, proxy),
            None => Proxied::direct(socket),
        };
        Stream::from_parts(socket, self.client, unread)
    }
}

impl<P, S: Socket> fmt::Debug for ProxyPending<P, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProxyPending").field("client", &self.client).finish_non_exhaustive()
    }
}
