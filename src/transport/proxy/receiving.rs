//! Taking the header from a connection, and not a byte more.

use std::io;
use std::io::BufRead;
use std::io::ErrorKind;

use super::Header;
use crate::error::told;
use crate::request::Fill;
use crate::request::Request;
use crate::request::Socket;
use crate::request::Stream;
use crate::sys::Interest;
use crate::sys::socket::peek;
use crate::sys::socket::recv;
use crate::transport::Advance;

/// What has come of a header so far.
#[derive(Debug, Default)]
pub(super) struct Receiving {
    bytes: Vec<u8>,
}

/// How far it has come.
#[derive(Debug)]
pub(super) enum Received {
    Whole(Header),
    /// To be told to the server.
    Not(Advance),
}

impl Receiving {
    /// Takes what has arrived, of a header of at most this many bytes.
    pub(super) fn advance<S: Socket>(&mut self, stream: &mut Stream<S>, most: usize) -> io::Result<Received> {
        loop {
            let ahead = stream.buffered();
            if !ahead.is_empty() {
                let (header, taken) = self.take(ahead, most)?;
                stream.consume(taken);
                if let Some(header) = header {
                    // Nothing is kept of a buffer that is empty.
                    drop(stream.reclaim_buffer());
                    return Ok(Received::Whole(header));
                }
                continue;
            }
            let outcome = if stream.get_ref().is_plain() { self.take_from(stream, most) } else { fill(stream) };
            match outcome {
                Ok(Some(Received::Not(Advance::Wait(Interest::Read)))) if self.bytes.is_empty() => {
                    return Ok(Received::Not(Advance::Idle));
                }
                Ok(Some(received)) => return Ok(received),
                Ok(None) => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::UnexpectedEof || is_gone(&error) => return self.ended(&error),
                Err(error) => return Err(error),
            }
        }
    }

    /// The part of `ahead` that belongs to the header: the header, if it is whole with that, and how many bytes.
    fn take(&mut self, ahead: &[u8], most: usize) -> io::Result<(Option<Header>, usize)> {
        let before = self.bytes.len();
        self.bytes.extend_from_slice(ahead);
        match Header::parse_within(&self.bytes, most) {
            Ok(Some((header, length))) => Ok((Some(header), length - before)),
            // As long as it is not whole, all belongs to it.
            Ok(None) => Ok((None, ahead.len())),
            Err(error) => Err(io::Error::new(ErrorKind::InvalidData, error)),
        }
    }

    /// From a socket whose bytes are those of the connection: it is looked at what there is, and taken what belongs to
    /// the header. What follows stays in the socket, for TLS or whatever comes next.
    fn take_from<S: Socket>(&mut self, stream: &mut Stream<S>, most: usize) -> io::Result<Option<Received>> {
        /// Most headers, and little of what follows.
        const AHEAD: usize = 256;
        let mut ahead = [0; AHEAD];
        let socket = stream.get_ref().descriptor();
        let count = match peek(socket, &mut ahead) {
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Ok(count) => count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                return Ok(Some(Received::Not(Advance::Wait(Interest::Read))));
            }
            Err(error) => return Err(error),
        };
        let (header, mut left) = self.take(&ahead[..count], most)?;
        while left > 0 {
            // They are there: no other reads from the connection.
            left -= match recv(socket, &mut ahead[..left]) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::Interrupted => 0,
                Err(error) => return Err(error),
            };
        }
        Ok(header.map(Received::Whole))
    }

    /// The peer has gone. Balancers do so when they have seen that the server is there; within a header it is an error.
    fn ended(&self, error: &io::Error) -> io::Result<Received> {
        if self.bytes.is_empty() {
            return Ok(Received::Not(Advance::Closed));
        }
        let count = self.bytes.len();
        Err(told(
            error.kind(),
            format!("the connection ended within its PROXY header, after {count} bytes of it: {error}"),
        ))
    }
}

/// From a socket that has bytes of its own: what it gives at once, more than the header maybe, is buffered.
fn fill<S: Socket>(stream: &mut Stream<S>) -> io::Result<Option<Received>> {
    match stream.fill()? {
        Fill::End => Err(ErrorKind::UnexpectedEof.into()),
        Fill::NotReady => {
            // One that waits holds no buffer.
            drop(stream.reclaim_buffer());
            // To read may have made it answer.
            let direction = if stream.flush_output()? { Interest::Read } else { Interest::Write };
            Ok(Some(Received::Not(Advance::Wait(stream.interest(direction)))))
        }
        Fill::Data | Fill::Full => Ok(None),
    }
}

fn is_gone(error: &io::Error) -> bool {
    use ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, NotConnected};
    matches!(error.kind(), BrokenPipe | ConnectionAborted | ConnectionReset | NotConnected)
}
