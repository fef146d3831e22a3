//! The second phase of a transport that wraps another, where something is said before a connection is served.

use std::fmt;
use std::io;

use super::Advance;
use super::Claim;
use super::Establish;
use crate::request::Request;
use crate::request::Socket;
use crate::request::Stream;
use crate::sys::Descriptor;

/// What happens on a connection before it is served, after the second phase of the inner transport: all that a
/// transport that wraps another has to implement. [`PreamblePending`] turns it into a second phase; the chapter on
/// [custom transports](crate::guide::custom_transport) has an example.
pub trait Preamble<S: Socket> {
    /// The socket of the resulting connection; `S` itself if the bytes are not transformed.
    type Socket: Socket<Addr = S::Addr>;

    /// Advances as far as possible without blocking, like [`Establish::advance`].
    ///
    /// [`Stream::fill`](Request::fill) reads what has arrived and [`Stream::buffered`] returns it; what is not consumed
    /// is left for the handler, or for the next wrapper. A connection that waits holds its buffer unless
    /// [`reclaim_buffer`](Request::reclaim_buffer) takes it away.
    ///
    /// # Errors
    ///
    /// As for [`Establish::advance`].
    fn advance(&mut self, stream: &mut Stream<S>) -> io::Result<Advance>;

    /// Makes the connection that is served; called once, after [`Advance::Done`].
    fn into_stream(self, stream: Stream<S>) -> Stream<Self::Socket>;
}

/// A second phase: first that of the inner transport, `P`, which becomes a stream over `S`, then the preamble `H`.
///
/// It forwards the client's address, the socket and the claim of the inner transport.
pub struct PreamblePending<P, S: Socket, H> {
    state: State<P, S>,
    preamble: H,
    claim: Option<Claim>,
}

#[allow(clippy::large_enum_variant, reason = "the first becomes the second: the room is needed in any case")]
enum State<P, S: Socket> {
    Inner(P),
    Stream(Stream<S>),
    /// Between the two.
    Moved,
}

impl<P, S: Socket, H> PreamblePending<P, S, H> {
    /// Wraps what the inner transport has accepted.
    pub fn new(inner: P, preamble: H) -> Self {
        Self { state: State::Inner(inner), preamble, claim: None }
    }
}

impl<P, S, H> Establish for PreamblePending<P, S, H>
where
    P: Establish<Request = Stream<S>>,
    S: Socket,
    H: Preamble<S>,
{
    type Request = Stream<H::Socket>;

    fn client_address(&self) -> Option<&S::Addr> {
        match &self.state {
            State::Inner(inner) => inner.client_address(),
            State::Stream(stream) => stream.peer_addr(),
            State::Moved => None,
        }
    }

    fn descriptor(&self) -> Option<Descriptor<'_>> {
        self.connection()
    }

    fn connection(&self) -> Option<Descriptor<'_>> {
        match &self.state {
            State::Inner(inner) => inner.connection(),
            State::Stream(stream) => Request::descriptor(stream),
            State::Moved => None,
        }
    }

    fn knows_client(&self) -> bool {
        if let State::Inner(inner) = &self.state { inner.knows_client() } else { true }
    }

    fn stays(&self) -> bool {
        if let State::Inner(inner) = &self.state { inner.stays() } else { false }
    }

    fn take_claim(&mut self) -> Option<Claim> {
        if let State::Inner(inner) = &mut self.state { inner.take_claim() } else { self.claim.take() }
    }

    fn advance(&mut self) -> io::Result<Advance> {
        if let State::Inner(inner) = &mut self.state {
            let outcome = inner.advance()?;
            if outcome != Advance::Done {
                return Ok(outcome);
            }
            self.claim = inner.take_claim();
            if let State::Inner(inner) = std::mem::replace(&mut self.state, State::Moved) {
                self.state = State::Stream(inner.into_request());
            }
        }
        let State::Stream(stream) = &mut self.state else { unreachable!("the transport inside has made a stream") };
        self.preamble.advance(stream)
    }

    /// A preamble that has failed is answered by nothing.
    fn close(&mut self) -> io::Result<Advance> {
        if let State::Inner(inner) = &mut self.state { inner.close() } else { Ok(Advance::Closed) }
    }

    fn into_request(self) -> Stream<H::Socket> {
        let State::Stream(stream) = self.state else { unreachable!("called after Advance::Done") };
        self.preamble.into_stream(stream)
    }
}

impl<P, S: Socket, H: fmt::Debug> fmt::Debug for PreamblePending<P, S, H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PreamblePending").field("preamble", &self.preamble).finish_non_exhaustive()
    }
}
