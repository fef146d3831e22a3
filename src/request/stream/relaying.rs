//! Carrying bytes both ways between the peer and another connection.
//!
//! ```text
//!              fill                     send
//!     peer -----------> read buffer -----------> other side
//!     peer <-----------   output    <----------- other side
//!           flush_output             receive
//! ```
//!
//! A direction reads only when all that it has read before has left, so each holds one buffer at the most, and a side
//! that does not read stops the reading from the other.

use std::io;
use std::io::BufRead;

use super::Socket;
use super::Stream;
use crate::end::End;
use crate::error::cut_short;
use crate::request::Fill;
use crate::request::Request;
use crate::request::relay::OtherSide;
use crate::request::relay::Received;
use crate::request::relay::Relayed;
use crate::request::relay::is_told;
use crate::request::relay::reset_at_close;
use crate::sys::Interest;
use crate::sys::Watch;

/// At most this many bytes are carried in one turn, so that two fast peers do not hold the worker.
const BUDGET: usize = 512 * 1024;

impl<S: Socket> Stream<S> {
    /// Sets the connection that [`Flow::Relay`](crate::Flow::Relay) carries bytes to and from, and makes it
    /// non-blocking.
    ///
    /// What the handler has written goes to the client before anything from `other`, and bytes from the client that the
    /// handler has not read go to `other` first. See [`Flow::Relay`](crate::Flow::Relay) for the rest.
    ///
    /// Nagle's algorithm would only add delay: disable it on a `TcpStream`
    /// ([`set_nodelay`](std::net::TcpStream::set_nodelay)), as the server does for its own connections.
    ///
    /// ```
    /// use std::net::TcpStream;
    /// use std::time::Duration;
    /// use socketserver::{Flow, HandlerResult, Socket, Stream};
    ///
    /// fn forward<S: Socket>(request: &mut Stream<S>) -> HandlerResult {
    ///     let upstream = TcpStream::connect_timeout(&([127, 0, 0, 1], 8080).into(), Duration::from_secs(5))?;
    ///     request.relay_to(upstream)?;
    ///     Ok(Flow::Relay)
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// `other` cannot be made non-blocking.
    pub fn relay_to(&mut self, other: impl Socket + Send + Sync + 'static) -> io::Result<()> {
        self.set_relay(Box::new(OtherSide::new(other)?));
        Ok(())
    }

    fn set_relay(&mut self, other: Box<OtherSide>) {
        self.writer.own.get_or_insert_default().relay = Some(other);
    }

    fn take_relay(&mut self) -> Option<Box<OtherSide>> {
        self.writer.own.as_mut().and_then(|own| own.relay.take())
    }

    /// See [`Request::relay`].
    pub(super) fn carry(&mut self, scratch: &mut [u8]) -> io::Result<Relayed> {
        let Some(mut other) = self.take_relay() else {
            return Err(io::Error::other("Flow::Relay without a connection to relay to: call Stream::relay_to first"));
        };
        let before = self.carried(&other);
        let outcome = self.carry_both_ways(&mut other, scratch);
        let moved = before != self.carried(&other);
        let is_over = other.told && other.peer_told;
        if !is_over {
            self.set_relay(other);
        }
        Ok(if is_over {
            outcome?;
            Relayed::Ended
        } else if outcome? {
            Relayed::Yielded
        } else {
            Relayed::Waits { moved }
        })
    }

    /// What changes when anything is carried.
    fn carried(&self, other: &OtherSide) -> impl PartialEq + use<S> {
        (self.traffic(), other.traffic, self.ended, other.ended, other.told, other.peer_told)
    }

    /// True if there is more to carry at once.
    fn carry_both_ways(&mut self, other: &mut OtherSide, scratch: &mut [u8]) -> io::Result<bool> {
        let to = self.carry_to(other)?;
        let from = self.carry_from(other, scratch)?;
        other.own = watch(to == Way::Reads, from == Way::Writes, |direction| self.writer.interest(direction));
        other.watch = watch(from == Way::Reads, to == Way::Writes, |direction| other.interest(direction));
        Ok(to == Way::Yields || from == Way::Yields)
    }

    /// Carries what the peer sends.
    fn carry_to(&mut self, other: &mut OtherSide) -> io::Result<Way> {
        if other.told {
            return Ok(Way::Over);
        }
        let (mut budget, mut maybe_more) = (BUDGET, true);
        loop {
            while !self.buffer.is_empty() {
                let count = other.send(self.buffer.unread())?;
                if count == 0 {
                    return Ok(Way::Writes);
                }
                self.consume(count);
                budget = budget.saturating_sub(count);
            }
            if self.ended || !maybe_more {
                break;
            }
            if budget == 0 {
                return Ok(Way::Yields);
            }
            match self.fill()? {
                Fill::Data => maybe_more = self.maybe_more,
                Fill::End if self.is_truncated() => return Err(cut_short()),
                Fill::End => {}
                Fill::NotReady | Fill::Full => maybe_more = false,
            }
        }
        if !other.flush()? {
            return Ok(Way::Writes);
        }
        if !self.ended {
            return Ok(Way::Reads);
        }
        Ok(if other.shutdown_write() { Way::Over } else { Way::Writes })
    }

    /// Carries what the other side sends.
    fn carry_from(&mut self, other: &mut OtherSide, scratch: &mut [u8]) -> io::Result<Way> {
        if other.peer_told {
            return Ok(Way::Over);
        }
        let (mut budget, mut maybe_more) = (BUDGET, true);
        loop {
            if !self.flush_output()? {
                return Ok(if self.writer.has_yielded() { Way::Yields } else { Way::Writes });
            }
            if other.ended || !maybe_more {
                break;
            }
            if budget == 0 {
                return Ok(Way::Yields);
            }
            match other.receive(scratch)? {
                Received::Data { count, is_all } => {
                    self.writer.carry(&scratch[..count])?;
                    // A side that may have closed has more to tell.
                    maybe_more = !is_all || self.hangup;
                    budget = budget.saturating_sub(count);
                }
                Received::End => {}
                Received::NotReady => maybe_more = false,
            }
        }
        if !other.ended {
            return Ok(Way::Reads);
        }
        other.peer_told = is_told(self.writer.socket.shutdown_write());
        Ok(if other.peer_told { Way::Over } else { Way::Writes })
    }

    /// See [`Request::end_relay`].
    pub(super) fn stop_carrying(&mut self, end: End) -> bool {
        let Some(other) = self.take_relay() else { return false };
        let is_cut = match end {
            // What the peer has been sent so far is still waited for.
            End::HandlerClosed => false,
            End::IdleTimeout => !self.buffer.is_empty() || self.writer.pending() > 0,
            _ => true,
        };
        if is_cut {
            reset_at_close(self.writer.socket.descriptor());
        }
        if is_cut || !self.buffer.is_empty() {
            other.reset();
        }
        is_cut
    }
}

/// How far one direction is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Way {
    /// Its end has been passed on.
    Over,
    /// It waits for more.
    Reads,
    /// It waits for room.
    Writes,
    /// There is more to carry at once.
    Yields,
}

/// What a side is waited for that is read from, or written to, or both.
fn watch(reads: bool, writes: bool, interest: impl Fn(Interest) -> Interest) -> Watch {
    let wanted = [reads.then_some(Interest::Read), writes.then_some(Interest::Write)];
    let needed = |of| wanted.iter().flatten().any(|direction| interest(*direction) == of);
    Watch { read: needed(Interest::Read), write: needed(Interest::Write) }
}

#[cfg(all(test, unix, not(socketserver_shuttle)))]
mod tests {
    use std::io::Read;
    use std::io::Write;
    use std::os::unix::net::UnixStream;

    use super::*;
    use crate::request::buffer::SIZE;

    /// A relay between two connections: their far ends, which do not block either.
    fn relay() -> (UnixStream, Stream<UnixStream>, UnixStream) {
        let [(client, near), (other, far)] = [(); 2].map(|()| UnixStream::pair().unwrap());
        for end in [&client, &near, &far] {
            end.set_nonblocking(true).unwrap();
        }
        let mut stream = Stream::new(near, None);
        stream.relay_to(other).unwrap();
        (client, stream, far)
    }

    /// Carries until both sides have to do something first.
    fn settle(stream: &mut Stream<UnixStream>) -> Relayed {
        loop {
            match stream.carry(&mut vec![0; SIZE]).unwrap() {
                Relayed::Yielded | Relayed::Waits { moved: true } => {}
                settled => return settled,
            }
        }
    }

    /// Writes until nothing more is taken, neither by the kernel nor by the relay; how much that was.
    fn stuff(mut from: &UnixStream, stream: &mut Stream<UnixStream>) -> usize {
        let mut taken = 0;
        loop {
            let before = taken;
            while let Ok(count) = from.write(&[b'x'; 1000]) {
                taken += count;
            }
            settle(stream);
            if taken == before {
                return taken;
            }
        }
    }

    fn drain(mut to: &UnixStream, stream: &mut Stream<UnixStream>, taken: &mut usize) {
        let mut room = vec![0; SIZE];
        loop {
            match to.read(&mut room) {
                Ok(0) => return,
                Ok(count) => *taken += count,
                Err(_) if settle(stream) == (Relayed::Waits { moved: false }) && to.peek_is_empty() => return,
                Err(_) => {}
            }
        }
    }

    trait PeekIsEmpty {
        fn peek_is_empty(&self) -> bool;
    }

    impl PeekIsEmpty for &UnixStream {
        fn peek_is_empty(&self) -> bool {
            crate::sys::socket::peek(crate::sys::borrow(*self), &mut [0]).is_err()
        }
    }

    #[test]
    fn a_side_that_does_not_read_is_held_a_buffer_for_and_no_more() {
        let (client, mut stream, far) = relay();
        let to_far = stuff(&client, &mut stream);
        let to_client = stuff(&far, &mut stream);
        assert!(!stream.buffered().is_empty() && stream.buffered().len() <= SIZE, "{}", stream.buffered().len());
        assert!((1..=SIZE).contains(&stream.writer.pending()), "{}", stream.writer.pending());
        let nothing_to_read = Watch { read: false, write: true };
        assert_eq!(Request::other_side(&stream).unwrap().watches(), (nothing_to_read, nothing_to_read));
        let (mut at_far, mut at_client) = (0, 0);
        drain(&far, &mut stream, &mut at_far);
        drain(&client, &mut stream, &mut at_client);
        assert_eq!((at_far, at_client), (to_far, to_client));
        assert_eq!(Request::other_side(&stream).unwrap().watches(), (Watch::READ, Watch::READ));
    }

    #[test]
    fn each_end_is_passed_on_behind_all_bytes() {
        let (mut client, mut stream, mut far) = relay();
        stream.write_all(b"greeting ").unwrap();
        far.write_all(b"answer").unwrap();
        far.shutdown(std::net::Shutdown::Write).unwrap();
        client.write_all(b"question").unwrap();
        assert_eq!(settle(&mut stream), Relayed::Waits { moved: false });
        let mut text = String::new();
        client.read_to_string(&mut text).unwrap();
        assert_eq!(text, "greeting answer");
        client.shutdown(std::net::Shutdown::Write).unwrap();
        assert_eq!(stream.carry(&mut vec![0; SIZE]).unwrap(), Relayed::Ended);
        text.clear();
        far.read_to_string(&mut text).unwrap();
        assert_eq!(text, "question");
        assert!(Request::other_side(&stream).is_none(), "it is closed");
    }
}
