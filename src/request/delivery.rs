//! How replies leave: at once where there is room, after a bounded wait where there will be, and not at all to a peer
//! that does not read.
//!
//! A datagram may be lost; a server may not be held. So a peer that leaves its replies unread is not waited for, and
//! what all replies wait for, room in the send buffer of the server's own socket, is waited for until the deadline of
//! the whole send, or until the server stops.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use socket2::SockAddr;

use super::Session;
use crate::error::Stopping;
use crate::error::evicted;
use crate::error::timed_out;
use crate::stop::EVICTED;
use crate::stop::WaitFor;
use crate::sys::Interest;
use crate::sys::datagram::BATCH;
use crate::sys::datagram::DatagramSocket;
use crate::sys::datagram::NotSent;
use crate::sys::datagram::Reply;
use crate::sys::datagram::send_batch;
use crate::sys::wait::Woken;

/// How long one send, or the sends of one batch together, may wait for room.
#[doc(hidden)]
#[derive(Debug)]
pub struct Patience<'a> {
    session: Option<&'a Session>,
    /// The deadline of the whole request.
    until: Option<Instant>,
    /// Since when there is no room.
    since: Option<Instant>,
}

impl<'a> Patience<'a> {
    /// As long as the server has; without one, none.
    pub(crate) fn of(session: Option<&'a Session>, until: Option<Instant>) -> Self {
        Self { session, until, since: None }
    }

    /// Blocks for `pause`, unless the wait has lasted for `at_most`, or for as long as the server waits for its peers.
    ///
    /// The system does not report when there is room: a socket becomes writable again when most of its buffer is free,
    /// which is much later, and not at all if a device has refused the datagram.
    fn wait(&mut self, pause: Duration, at_most: Option<Duration>) -> io::Result<()> {
        let Some(session) = self.session else {
            return Err(io::Error::new(io::ErrorKind::WouldBlock, "there is no room in the send buffer"));
        };
        let now = Instant::now();
        let since = *self.since.get_or_insert(now);
        let limit = [session.options.write_timeout, at_most].into_iter().flatten().min();
        if let Some(limit) = limit.filter(|limit| now.saturating_duration_since(since) >= *limit) {
            return Err(timed_out("a reply that waited for room in the send buffer", limit));
        }
        if let (Some(until), Some(limit)) = (self.until, session.options.total_timeout)
            && until <= now
        {
            return Err(timed_out(super::WHOLE_REQUEST, limit));
        }
        let stop = &session.stop.state;
        let next = [Some(now + pause), limit.and_then(|limit| since.checked_add(limit)), self.until];
        // The flag is what ends a wait early; nothing else is waited for.
        let until = next.into_iter().flatten().min();
        match stop.wait(&WaitFor::new(stop.force.descriptor(), Interest::Read, until))? {
            Woken::TimedOut => Ok(()),
            Woken::Flag(EVICTED) => Err(evicted()),
            Woken::Ready | Woken::Flag(_) => Err(Stopping::io_error()),
        }
    }
}

/// What is between two tries; doubled with each.
const PAUSE: Duration = Duration::from_millis(1);
const LONGEST_PAUSE: Duration = Duration::from_millis(16);

/// A full send buffer of a Unix socket holds what peers have not read, and only they can make room: those that are
/// about to read have this long.
const UNREAD: Duration = Duration::from_millis(50);

/// Sends one datagram.
pub(crate) fn deliver(
    socket: &DatagramSocket,
    payload: &[u8],
    to: &SockAddr,
    from: Option<IpAddr>,
    patience: &mut Patience<'_>,
) -> io::Result<()> {
    until_there_is_room(to, patience, || socket.send(payload, to, from))
}

/// Sends replies, as many with one call as share a socket; `failed` is told the place and the error of each that
/// could not be sent.
pub(crate) fn deliver_all(
    replies: &mut Vec<Reply>,
    patience: &mut Patience<'_>,
    mut failed: impl FnMut(usize, io::Error),
) {
    let mut place = 0;
    while let Some(first) = replies.get(place) {
        let socket = &first.target.socket;
        let rest = replies[place..].iter().take(BATCH);
        let alike = rest.take_while(|reply| Arc::ptr_eq(&reply.target.socket, socket)).count();
        let batch = &replies[place..place + alike];
        match until_there_is_room(&first.target.address, patience, || send_batch(socket, batch)) {
            Ok(sent) => place += sent,
            Err(error) => {
                failed(place, error);
                place += 1;
            }
        }
    }
    replies.clear();
}

fn until_there_is_room<T>(
    to: &SockAddr,
    patience: &mut Patience<'_>,
    mut send: impl FnMut() -> Result<T, NotSent>,
) -> io::Result<T> {
    let mut pause = PAUSE;
    loop {
        match send() {
            Ok(sent) => return Ok(sent),
            Err(NotSent::Failed(error)) => return Err(error),
            Err(NotSent::PeerFull) => {
                let message = format!("{} has not read its last replies, and its queue is full", name(to));
                return Err(io::Error::new(io::ErrorKind::WouldBlock, message));
            }
            Err(NotSent::Full) => patience.wait(pause, to.is_unix().then_some(UNREAD))?,
        }
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

fn name(address: &SockAddr) -> String {
    if let Some(address) = address.as_socket() {
        return address.to_string();
    }
    #[cfg(unix)]
    if let Some(path) = address.as_pathname() {
        return path.display().to_string();
    }
    #[cfg(unix)]
    if let Some(name) = address.as_abstract_namespace() {
        return format!("@{}", name.escape_ascii());
    }
    "the peer".to_owned()
}

#[cfg(all(test, unix, not(socketserver_shuttle)))]
mod tests {
    use std::net::Ipv4Addr;
    use std::net::SocketAddr;
    use std::sync::Arc;

    use super::*;
    use crate::error::RequestError;
    use crate::error::Stage;
    use crate::options::ServerOptions;
    use crate::stop::StopHandle;
    use crate::stop::StopState;

    fn session(write_timeout: Option<Duration>) -> Session {
        let stop = StopHandle { state: Arc::new(StopState::new(Duration::from_secs(15)).unwrap()) };
        Session::new(stop, Arc::new(ServerOptions::new().write_timeout(write_timeout)))
    }

    fn udp() -> SockAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, 9)).into()
    }

    /// Tries to send where there is never room; the error, and how often it has tried.
    fn without_room(to: &SockAddr, patience: &mut Patience<'_>) -> (io::Error, u32) {
        let mut tries = 0;
        let error = until_there_is_room(to, patience, || -> Result<(), _> {
            tries += 1;
            Err(NotSent::Full)
        });
        (error.unwrap_err(), tries)
    }

    #[test]
    fn room_is_waited_for_until_the_deadline_of_the_whole_send() {
        let limit = Duration::from_millis(100);
        let session = session(Some(limit));
        let mut patience = Patience::of(Some(&session), None);
        let begun = Instant::now();
        let (error, tries) = without_room(&udp(), &mut patience);
        assert_eq!(error.kind(), io::ErrorKind::TimedOut, "{error}");
        assert!(begun.elapsed() >= limit);
        assert!(tries < 20, "{tries} tries in {:?}", begun.elapsed());
        // The next reply of the batch is tried, and not waited for.
        assert_eq!(without_room(&udp(), &mut patience).1, 1);
    }

    #[test]
    fn room_that_comes_is_used() {
        let session = session(None);
        let mut left = 4;
        let sent = until_there_is_room(&udp(), &mut Patience::of(Some(&session), None), || {
            left -= 1;
            if left > 0 { Err(NotSent::Full) } else { Ok("sent") }
        });
        assert_eq!(sent.unwrap(), "sent");
    }

    #[test]
    fn a_stop_ends_the_wait() {
        let session = session(None);
        session.stop.shutdown_now();
        let (error, _) = without_room(&udp(), &mut Patience::of(Some(&session), None));
        assert!(RequestError::failed(Stage::Close, error).is_stopping());
    }

    #[test]
    fn peers_that_do_not_read_are_waited_for_only_a_little() {
        let session = session(None);
        let peer = SockAddr::unix("/nobody").unwrap();
        let (error, tries) = without_room(&peer, &mut Patience::of(Some(&session), None));
        assert_eq!(error.kind(), io::ErrorKind::TimedOut, "{error}");
        assert!(tries > 1);
        let full = until_there_is_room(&peer, &mut Patience::of(Some(&session), None), || -> Result<(), _> {
            Err(NotSent::PeerFull)
        });
        let error = full.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
        assert_eq!(error.to_string(), "/nobody has not read its last replies, and its queue is full");
    }

    #[test]
    fn outside_of_a_server_nothing_waits() {
        let (error, tries) = without_room(&udp(), &mut Patience::of(None, None));
        assert_eq!((error.kind(), tries), (io::ErrorKind::WouldBlock, 1));
    }
}
