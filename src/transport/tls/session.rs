//! A session over a socket: what rustls makes of records, and what of them has not been taken or sent yet.

use std::io;
use std::io::ErrorKind;

use rustls::Error;
use rustls::server::UnbufferedServerConnection;
use rustls::unbuffered::ConnectionState;
use rustls::unbuffered::EncodeError;
use rustls::unbuffered::EncodeTlsData;
use rustls::unbuffered::EncryptError;
use rustls::unbuffered::UnbufferedStatus;

use super::TlsConfig;
use super::names;
use super::scratch::MOST_KEPT;
use super::scratch::MOST_SEALED;
use super::scratch::Scratch;
use super::words;
use crate::request::Socket;
use crate::request::socket::receive;
use crate::transport::Advance;
use crate::transport::Interest;

/// One session, from the first byte of its client on. An idle one holds what rustls does: its buffers are empty.
pub(super) struct Session {
    pub(super) connection: UnbufferedServerConnection,
    /// Records and parts of messages whose rest has not arrived yet.
    kept: Vec<u8>,
    /// What has been taken out of records, and not been read yet: `plain[read..]`.
    plain: Vec<u8>,
    read: usize,
    /// Records on their way out: `outgoing[sent..]`.
    outgoing: Vec<u8>,
    sent: usize,
    /// The name that the client has asked for.
    pub(super) server_name: Option<Box<str>>,
    input: Input,
    /// The client has begun.
    heard: bool,
    /// What went wrong behind bytes that were in order.
    failure: Option<io::Error>,
    /// That no more will come has been said, or need not be.
    closed: bool,
    /// The last read has emptied the socket.
    drained: bool,
}

/// How far the client's side is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Input {
    Open,
    /// By a `close_notify`.
    Ended,
    /// By the end of the connection.
    Cut,
    /// Something came that may not, and nothing is believed any more.
    Failed,
}

impl Session {
    pub(super) fn new(config: &TlsConfig) -> io::Result<Self> {
        let connection = UnbufferedServerConnection::new(config.current()).map_err(io::Error::other)?;
        Ok(Self {
            connection,
            kept: Vec::new(),
            plain: Vec::new(),
            read: 0,
            outgoing: Vec::new(),
            sent: 0,
            server_name: None,
            input: Input::Open,
            heard: false,
            failure: None,
            closed: false,
            drained: false,
        })
    }

    /// Sends `unsent` in the clear before it says anything itself.
    pub(super) fn begin_behind(&mut self, unsent: Vec<u8>) {
        self.outgoing = unsent;
    }

    /// The first bytes, which were read before there was a session.
    pub(super) fn begin<S: Socket>(&mut self, socket: &mut S, first: &mut [u8]) -> io::Result<()> {
        self.heard = true;
        self.take_in(socket, first, &mut []).map(drop)
    }

    /// Goes on with the handshake as far as it can without waiting. What is left to be sent at its end, the server sends
    /// before it asks anything else of the client.
    pub(super) fn advance<S: Socket>(&mut self, socket: &mut S) -> io::Result<Advance> {
        while self.connection.is_handshaking() {
            match self.send(socket) {
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(Advance::Wait(Interest::Write)),
                Err(error) => return Err(error),
            }
            match self.receive(socket, &mut []) {
                Ok(_) if self.input == Input::Cut && !self.heard => return Ok(Advance::Closed),
                Ok(_) if self.input == Input::Cut => return Err(words::gone(true)),
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(Advance::Wait(Interest::Read)),
                Err(error) => return Err(error),
            }
        }
        Ok(Advance::Done)
    }

    /// What came behind the handshake.
    pub(super) fn take_plain(&mut self) -> Vec<u8> {
        self.plain.drain(..std::mem::take(&mut self.read));
        std::mem::take(&mut self.plain)
    }

    /// Reads what the client has sent, without the records around it.
    pub(super) fn read<S: Socket>(&mut self, socket: &mut S, room: &mut [u8]) -> io::Result<usize> {
        if room.is_empty() {
            return Ok(0);
        }
        loop {
            if self.read < self.plain.len() {
                let count = room.len().min(self.plain.len() - self.read);
                room[..count].copy_from_slice(&self.plain[self.read..self.read + count]);
                self.read += count;
                if self.read == self.plain.len() {
                    (self.plain, self.read) = (Vec::new(), 0);
                }
                return Ok(count);
            }
            match self.input {
                Input::Open => {}
                Input::Ended | Input::Cut => return Ok(0),
                Input::Failed => return Err(self.failed()),
            }
            match self.receive(socket, room)? {
                // Records that were not for the reader, or the end.
                0 => {}
                count => return Ok(count),
            }
        }
    }

    /// Fetches what has arrived and takes it in; how many bytes of it are in `room`.
    fn receive<S: Socket>(&mut self, socket: &mut S, room: &mut [u8]) -> io::Result<usize> {
        Scratch::with(|Scratch { incoming, .. }| {
            let kept = self.kept.len();
            if kept > MOST_KEPT {
                self.input = Input::Failed;
                return Err(words::too_long(MOST_KEPT));
            }
            incoming[..kept].copy_from_slice(&self.kept);
            let space = incoming.len() - kept;
            let count = match receive(socket, &mut incoming[kept..]) {
                Err(error) if error.kind() == ErrorKind::Interrupted => return Ok(0),
                outcome => outcome?,
            };
            if count == 0 {
                self.input = Input::Cut;
                return if kept == 0 { Ok(0) } else { Err(words::gone(self.connection.is_handshaking())) };
            }
            self.heard = true;
            self.drained = count < space && socket.is_drained_by_short_read();
            self.kept.clear();
            self.take_in(socket, &mut incoming[..kept + count], room)
        })
    }

    /// Takes in records, of which `bytes` begins with all that was kept; how many bytes of their contents are in `room`.
    /// What rustls has to say to them is sent as far as that goes without waiting.
    fn take_in<S: Socket>(&mut self, socket: &mut S, bytes: &mut [u8], room: &mut [u8]) -> io::Result<usize> {
        let mut filled = 0;
        let handshake = self.connection.is_handshaking();
        let outcome = self.process(bytes, room, &mut filled);
        match self.send(socket) {
            Err(error) if error.kind() != ErrorKind::WouldBlock => {
                // A client may close when it has sent all that it had to say, which is not lost for an answer to its
                // handshake that is never read. The next write finds out for itself.
                (self.outgoing, self.sent) = (Vec::new(), 0);
            }
            Ok(()) | Err(_) => {}
        }
        if let Err(error) = outcome {
            self.input = Input::Failed;
            let failure = words::failure(&error, handshake.then_some(bytes));
            if filled == 0 && self.plain.is_empty() {
                return Err(failure);
            }
            self.failure = Some(failure);
        }
        Ok(filled)
    }

    fn process(&mut self, bytes: &mut [u8], room: &mut [u8], filled: &mut usize) -> Result<(), Error> {
        let mut start = 0;
        loop {
            let rest = &mut bytes[start..];
            let handshaking = self.connection.is_handshaking();
            let UnbufferedStatus { mut discard, state } = self.connection.process_tls_records(rest);
            let mut is_all = false;
            let mut outcome = Ok(());
            match state {
                Ok(ConnectionState::ReadTraffic(mut traffic)) => {
                    while let Some(record) = traffic.next_record() {
                        let record = record?;
                        discard += record.discard;
                        let count = record.payload.len().min(room.len() - *filled);
                        let (now, later) = record.payload.split_at(count);
                        room[*filled..*filled + count].copy_from_slice(now);
                        *filled += count;
                        self.plain.extend_from_slice(later);
                    }
                }
                Ok(ConnectionState::EncodeTlsData(mut data)) => encode(&mut data, &mut self.outgoing)?,
                Ok(ConnectionState::TransmitTlsData(data)) => data.done(),
                Ok(ConnectionState::PeerClosed) => self.input = Input::Ended,
                Ok(ConnectionState::BlockedHandshake | ConnectionState::WriteTraffic(_) | ConnectionState::Closed) => {
                    is_all = true;
                }
                Ok(_) => outcome = Err(Error::General("early data, which was not asked for".to_owned())),
                Err(error) => outcome = Err(error),
            }
            if handshaking && let Some(name) = names::take() {
                self.server_name = Some(name);
            }
            start += discard;
            if let Err(error) = outcome {
                self.collect_alert(&mut bytes[start..])?;
                return Err(error);
            }
            if is_all {
                if self.input == Input::Open && start < bytes.len() {
                    self.kept.extend_from_slice(&bytes[start..]);
                } else {
                    self.kept = Vec::new();
                }
                return Ok(());
            }
        }
    }

    /// After an error: what it makes rustls say to the client.
    fn collect_alert(&mut self, rest: &mut [u8]) -> Result<(), Error> {
        while self.connection.wants_write() {
            let UnbufferedStatus { state, .. } = self.connection.process_tls_records(rest);
            let Ok(ConnectionState::EncodeTlsData(mut data)) = state else { break };
            encode(&mut data, &mut self.outgoing)?;
        }
        self.closed = true;
        Ok(())
    }

    /// Makes records of `bytes`, or of the first of them, and sends them; what there is no room for is held.
    pub(super) fn write<S: Socket>(&mut self, socket: &mut S, bytes: &[u8]) -> io::Result<usize> {
        if bytes.is_empty() {
            return Ok(0);
        }
        if self.input == Input::Failed {
            return Err(self.failed());
        }
        if self.closed {
            return Err(ErrorKind::BrokenPipe.into());
        }
        // Not another byte is taken before the last have left.
        self.send(socket)?;
        let bytes = &bytes[..bytes.len().min(MOST_SEALED)];
        Scratch::with(|Scratch { outgoing, .. }| {
            let sealed = self.seal(Some(bytes), outgoing)?;
            let mut rest = &outgoing[..sealed];
            // Behind what rustls had to say itself, if it had.
            while self.outgoing.is_empty() && !rest.is_empty() {
                match socket.write(rest) {
                    Ok(count) if count > 0 => rest = &rest[count..],
                    Err(error) if error.kind() == ErrorKind::Interrupted => {}
                    Err(error) if error.kind() != ErrorKind::WouldBlock => return Err(error),
                    Ok(_) | Err(_) => break,
                }
            }
            self.outgoing.extend_from_slice(rest);
            Ok(bytes.len())
        })
    }

    /// Makes records of `bytes`, or of the word that no more will come; how many bytes are in `room`.
    fn seal(&mut self, bytes: Option<&[u8]>, room: &mut Box<[u8]>) -> io::Result<usize> {
        loop {
            let UnbufferedStatus { state, .. } = self.connection.process_tls_records(&mut self.kept);
            match state {
                Ok(ConnectionState::WriteTraffic(mut traffic)) => {
                    let sealed = match bytes {
                        Some(bytes) => traffic.encrypt(bytes, room),
                        None => traffic.queue_close_notify(room),
                    };
                    match sealed {
                        Ok(count) => return Ok(count),
                        // Where a configuration asks for many short records.
                        Err(EncryptError::InsufficientSize(needs)) => {
                            *room = vec![0; needs.required_size].into_boxed_slice();
                        }
                        Err(EncryptError::EncryptExhausted) => return Err(words::used_up()),
                    }
                }
                // Both sides have ended: nothing is left to be said.
                Ok(ConnectionState::Closed) => return Ok(0),
                Ok(ConnectionState::PeerClosed) => self.input = Input::Ended,
                Ok(ConnectionState::TransmitTlsData(data)) => data.done(),
                Ok(ConnectionState::EncodeTlsData(mut data)) => {
                    encode(&mut data, &mut self.outgoing).map_err(io::Error::other)?;
                }
                Ok(state) => {
                    return Err(io::Error::other(format!("a session in the state {state:?} cannot be written to")));
                }
                Err(error) => return Err(words::failure(&error, None)),
            }
        }
    }

    /// Sends the records that are held; `WouldBlock` while some are left.
    pub(super) fn send<S: Socket>(&mut self, socket: &mut S) -> io::Result<()> {
        while self.sent < self.outgoing.len() {
            match socket.write(&self.outgoing[self.sent..]) {
                Ok(0) => return Err(ErrorKind::WouldBlock.into()),
                Ok(count) => self.sent += count,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        if self.sent > 0 {
            (self.outgoing, self.sent) = (Vec::new(), 0);
        }
        Ok(())
    }

    /// Says that no more will come: `close_notify`, once. After an error its alert has said it, and before the end of a
    /// handshake it cannot be said.
    pub(super) fn close<S: Socket>(&mut self, socket: &mut S) -> io::Result<()> {
        let says_so = !self.connection.is_handshaking() && self.input != Input::Failed;
        if !std::mem::replace(&mut self.closed, true) && says_so {
            Scratch::with(|Scratch { outgoing, .. }| {
                let sealed = self.seal(None, outgoing)?;
                self.outgoing.extend_from_slice(&outgoing[..sealed]);
                Ok::<_, io::Error>(())
            })?;
        }
        self.send(socket)
    }

    pub(super) fn unsent(&self) -> usize {
        self.outgoing.len() - self.sent
    }

    /// What went wrong, told once.
    fn failed(&mut self) -> io::Error {
        self.failure.take().unwrap_or_else(words::broken)
    }

    /// Whether all that has arrived has been read: also the end, and that something went wrong.
    pub(super) fn is_drained(&self) -> bool {
        self.drained && self.read == self.plain.len() && self.input == Input::Open
    }

    /// Whether the handshake is not done yet.
    pub(super) fn is_handshaking(&self) -> bool {
        self.connection.is_handshaking()
    }

    pub(super) fn is_cut(&self) -> bool {
        self.input == Input::Cut
    }
}

/// Puts what rustls says behind what is to be sent.
fn encode<D>(data: &mut EncodeTlsData<'_, D>, outgoing: &mut Vec<u8>) -> Result<(), Error> {
    let before = outgoing.len();
    let mut room = 1024;
    loop {
        outgoing.resize(before + room, 0);
        match data.encode(&mut outgoing[before..]) {
            Ok(count) => {
                outgoing.truncate(before + count);
                return Ok(());
            }
            Err(EncodeError::InsufficientSize(needs)) => room = needs.required_size,
            Err(error @ EncodeError::AlreadyEncoded) => {
                outgoing.truncate(before);
                return Err(Error::General(error.to_string()));
            }
        }
    }
}
