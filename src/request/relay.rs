//! The other connection of a relay: a socket that a handler has made, of whatever type.

use std::fmt;
use std::io;
use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;

use super::socket::Socket;
use super::socket::flush;
use super::socket::receive;
use super::socket::send;
use crate::error::cut_short;
use crate::error::told;
use crate::event::Traffic;
use crate::sync::Mutex;
use crate::sys::Descriptor;
use crate::sys::Interest;
use crate::sys::Watch;
use crate::sys::poller::Poller;
use crate::sys::poller::Registration;

/// The state of a [`Request::relay`](super::Request::relay).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Relayed {
    /// Both sides have ended, and each has been told.
    Ended,
    /// It waits for one of the sides.
    Waits {
        /// Whether it has carried anything since the last call.
        moved: bool,
    },
    /// There is more to carry, once other connections have had their turn.
    Yielded,
}

/// The other connection of a relay; see [`Request::other_side`](super::Request::other_side).
pub struct OtherSide {
    socket: Box<dyn Other>,
    /// Its input has ended.
    pub(super) ended: bool,
    /// It has been told that no more will come, and so has the peer.
    pub(super) told: bool,
    pub(super) peer_told: bool,
    /// How many bytes have come from it and gone to it.
    pub(super) traffic: Traffic,
    /// What the peer's own descriptor is waited for, and this one.
    pub(super) own: Watch,
    pub(super) watch: Watch,
    registration: Mutex<Registration>,
}

/// What a read has found.
pub(super) enum Received {
    /// This many bytes, which are all that has arrived if `is_all`.
    Data {
        count: usize,
        is_all: bool,
    },
    End,
    NotReady,
}

/// A [`Socket`] without its type.
trait Other: Send + Sync {
    fn descriptor(&self) -> Descriptor<'_>;
    fn receive(&mut self, room: &mut [u8]) -> io::Result<usize>;
    fn send(&mut self, bytes: &[u8]) -> io::Result<usize>;
    fn flush(&mut self) -> io::Result<bool>;
    fn shutdown_write(&mut self) -> io::Result<()>;
    fn is_drained_by_short_read(&self) -> bool;
    fn is_truncated(&self) -> bool;
    fn interest(&self, direction: Interest) -> Interest;
}

impl<S: Socket + Send + Sync> Other for S {
    fn descriptor(&self) -> Descriptor<'_> {
        Socket::descriptor(self)
    }

    fn receive(&mut self, room: &mut [u8]) -> io::Result<usize> {
        receive(self, room)
    }

    fn send(&mut self, bytes: &[u8]) -> io::Result<usize> {
        send(self, bytes)
    }

    fn flush(&mut self) -> io::Result<bool> {
        flush(self)
    }

    fn shutdown_write(&mut self) -> io::Result<()> {
        Socket::shutdown_write(self)
    }

    fn is_drained_by_short_read(&self) -> bool {
        Socket::is_drained_by_short_read(self)
    }

    fn is_truncated(&self) -> bool {
        Socket::is_truncated(self)
    }

    fn interest(&self, direction: Interest) -> Interest {
        match direction {
            Interest::Read => self.read_interest(),
            Interest::Write => self.write_interest(),
        }
    }
}

impl OtherSide {
    /// A relay to `socket`, which does not block from here on.
    pub(super) fn new(socket: impl Socket + Send + Sync + 'static) -> io::Result<Self> {
        socket2::SockRef::from(&Socket::descriptor(&socket)).set_nonblocking(true)?;
        Ok(Self {
            socket: Box::new(socket),
            ended: false,
            told: false,
            peer_told: false,
            traffic: Traffic::default(),
            own: Watch::default(),
            watch: Watch::default(),
            registration: Mutex::new(Registration::default()),
        })
    }

    pub(crate) fn descriptor(&self) -> Descriptor<'_> {
        self.socket.descriptor()
    }

    /// What the peer's own descriptor is waited for, and what the other is.
    pub(crate) fn watches(&self) -> (Watch, Watch) {
        (self.own, self.watch)
    }

    /// Has the poller of a connection that waits report this side, too, under the connection's token.
    pub(crate) fn arm(&self, poller: &Arc<Poller>, token: u64) -> io::Result<()> {
        self.registration.lock().arm(poller, self.descriptor(), token, self.watch)
    }

    pub(super) fn receive(&mut self, room: &mut [u8]) -> io::Result<Received> {
        loop {
            match self.socket.receive(room) {
                Ok(0) => {
                    self.ended = true;
                    return if self.socket.is_truncated() { Err(of_other(&cut_short())) } else { Ok(Received::End) };
                }
                Ok(count) => {
                    self.traffic.received += count as u64;
                    let is_all = count < room.len() && self.socket.is_drained_by_short_read();
                    return Ok(Received::Data { count, is_all });
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(Received::NotReady),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(of_other(&error)),
            }
        }
    }

    /// Sends without waiting; 0 where there is no room.
    pub(super) fn send(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.socket.send(bytes).map_err(|error| of_other(&error))?;
        self.traffic.sent += count as u64;
        Ok(count)
    }

    /// True once the socket holds nothing.
    pub(super) fn flush(&mut self) -> io::Result<bool> {
        self.socket.flush().map_err(|error| of_other(&error))
    }

    /// Tells it that no more will come; false where it has to be called again.
    pub(super) fn shutdown_write(&mut self) -> bool {
        self.told = is_told(self.socket.shutdown_write());
        self.told
    }

    /// What it is waited for in this direction.
    pub(super) fn interest(&self, direction: Interest) -> Interest {
        self.socket.interest(direction)
    }

    /// What has been carried to it is cut short: it sees that when the socket closes.
    pub(super) fn reset(&self) {
        reset_at_close(self.descriptor());
    }
}

impl Drop for OtherSide {
    /// A registration belongs to the open file, which others may have, too.
    fn drop(&mut self) {
        self.registration.lock().end(self.descriptor());
    }
}

/// Whether a side has been told that no more will come, or has gone, which is as good.
pub(super) fn is_told(outcome: io::Result<()>) -> bool {
    !matches!(outcome, Err(error) if error.kind() == ErrorKind::WouldBlock)
}

/// A peer that has not got everything sees a reset, not the end of the stream.
pub(super) fn reset_at_close(descriptor: Descriptor<'_>) {
    // Where the system cannot, it closes as usual.
    let _ = socket2::SockRef::from(&descriptor).set_linger(Some(Duration::ZERO));
}

/// An error of the other side, which keeps its kind.
fn of_other(error: &io::Error) -> io::Error {
    told(error.kind(), format!("the other side of the relay: {error}"))
}

impl fmt::Debug for OtherSide {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OtherSide").field("ended", &self.ended).field("traffic", &self.traffic).finish_non_exhaustive()
    }
}
