//! The server's end of a connection in memory.

use std::fmt;
use std::io;
use std::io::Read;
use std::io::Write;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::OnceLock;

use parking_lot::Mutex;

use super::client::Act;
use super::client::Client;
use super::client::Then;
use crate::request::Socket;
use crate::stop::StopHandle;
use crate::sys::Descriptor;
use crate::sys::Interest;
use crate::sys::flag::Flag;

/// The socket of a connection in memory: see [`converse`](super::converse).
pub struct MemorySocket {
    client: Client,
    output: Arc<Mutex<Vec<u8>>>,
    /// How much of the output a client that answers has been told of.
    heard: usize,
    /// What is in memory is ready at once; cleared while the client does nothing more.
    ready: Flag,
    stop: Arc<OnceLock<StopHandle>>,
}

impl MemorySocket {
    /// Its output, and the server's handle, come from outside.
    pub(super) fn new(client: Client, output: Arc<Mutex<Vec<u8>>>, stop: Arc<OnceLock<StopHandle>>) -> Self {
        let ready = Flag::new().expect("a descriptor");
        ready.raise();
        Self { client, output, heard: 0, ready, stop }
    }

    /// A client that answers is asked what it says now.
    fn ask(&mut self) {
        while let Some(Act::Answer(answer)) = self.client.script.front() {
            let answer = answer.clone();
            let heard = self.output.lock()[self.heard..].to_vec();
            self.heard += heard.len();
            let said = answer.to(&heard);
            if !said.is_empty() {
                // It is asked again when this has been taken up.
                self.client.script.push_front(Act::Pause);
                self.client.script.push_front(Act::Send(said));
                return;
            }
            self.client.script.pop_front();
        }
    }

    fn would_block<T>() -> io::Result<T> {
        Err(io::ErrorKind::WouldBlock.into())
    }
}

impl fmt::Debug for MemorySocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemorySocket").field("client", &self.client).finish_non_exhaustive()
    }
}

impl Read for MemorySocket {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        self.ask();
        match self.client.script.front_mut() {
            Some(Act::Send(piece)) => {
                let count = piece.len().min(bytes.len());
                bytes[..count].copy_from_slice(&piece[..count]);
                piece.drain(..count);
                if piece.is_empty() {
                    self.client.script.pop_front();
                }
                Ok(count)
            }
            Some(act @ (Act::Pause | Act::Stop)) => {
                if let (Act::Stop, Some(stop)) = (act, self.stop.get()) {
                    stop.shutdown();
                }
                self.client.script.pop_front();
                Self::would_block()
            }
            // It has been asked.
            Some(Act::Answer(_)) => Self::would_block(),
            None => match self.client.then {
                Then::Close => Ok(0),
                Then::Reset => Err(io::ErrorKind::ConnectionReset.into()),
                Then::Wait => {
                    self.ready.clear();
                    Self::would_block()
                }
            },
        }
    }
}

impl Write for MemorySocket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = bytes.len().min(self.client.appetite);
        if count == 0 && !bytes.is_empty() {
            self.ready.clear();
            return Self::would_block();
        }
        self.client.appetite -= count;
        self.output.lock().extend_from_slice(&bytes[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Socket for MemorySocket {
    type Addr = SocketAddr;

    fn descriptor(&self) -> Descriptor<'_> {
        self.ready.descriptor()
    }

    /// A client that has read its fill takes no more, whatever the descriptor would say of writing.
    fn write_interest(&self) -> Interest {
        Interest::Read
    }

    /// The peer closes as soon as the server does.
    fn shutdown_write(&mut self) -> io::Result<()> {
        self.client.script.clear();
        self.client.then = Then::Close;
        self.ready.raise();
        Ok(())
    }
}
