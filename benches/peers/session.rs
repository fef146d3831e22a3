//! The client's end of a TLS connection, over a socket that blocks or does not.

use std::cell::RefCell;
use std::io::Error;
use std::io::ErrorKind;
use std::io::Read;
use std::io::Result;
use std::io::Write;
use std::mem;
use std::net::TcpStream;

use rustls::ClientConnection;
use rustls::pki_types::ServerName;

use crate::certificate;
use crate::servers::Outcome;

/// TLS 1.3 with a full handshake, which reading makes.
pub(crate) struct Session {
    tls: ClientConnection,
    socket: TcpStream,
    /// What has come of the records behind the one that was read last.
    unread: Vec<u8>,
    /// The socket had no more.
    emptied: bool,
}

thread_local! {
    /// A whole record fits, and more: rustls by itself takes 4 KiB at a time from the socket.
    static RECORDS: RefCell<Vec<u8>> = RefCell::new(vec![0; 64 << 10]);
}

impl Session {
    pub(crate) fn over(socket: TcpStream) -> Outcome<Self> {
        let tls = ClientConnection::new(certificate::client()?, ServerName::try_from(certificate::NAME)?)?;
        Ok(Self { tls, socket, unread: Vec::new(), emptied: false })
    }

    pub(crate) fn get_ref(&self) -> &TcpStream {
        &self.socket
    }

    /// Whether a read that has left room has taken all that there was.
    pub(crate) fn is_emptied(&self) -> bool {
        self.emptied && self.unread.is_empty()
    }

    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        loop {
            match self.tls.reader().read(buffer) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.take_up()?,
                outcome => return outcome,
            }
        }
    }

    /// Takes the bytes as long as there is room for them: before the handshake is over, they wait for its end.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<usize> {
        let count = self.tls.writer().write(bytes)?;
        self.flush()?;
        if count == 0 { Err(ErrorKind::WouldBlock.into()) } else { Ok(count) }
    }

    /// Sends records, as far as the server takes them now.
    pub(crate) fn flush(&mut self) -> Result<()> {
        while self.tls.wants_write() {
            match self.tls.write_tls(&mut self.socket) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                outcome => outcome?,
            };
        }
        Ok(())
    }

    /// Takes up what is unread, or else what the socket has.
    fn take_up(&mut self) -> Result<()> {
        if !self.unread.is_empty() {
            let unread = mem::take(&mut self.unread);
            return self.decrypt(&unread);
        }
        RECORDS.with_borrow_mut(|records| {
            let count = self.socket.read(records)?;
            self.emptied = count < records.len();
            self.decrypt(&records[..count])
        })
    }

    /// As far as to the first bytes inside; the rest is for later.
    fn decrypt(&mut self, mut records: &[u8]) -> Result<()> {
        loop {
            // Nothing is the end.
            self.tls.read_tls(&mut records)?;
            self.tls.process_new_packets().map_err(Error::other)?;
            if records.is_empty() || !self.tls.wants_read() {
                self.unread.extend_from_slice(records);
                return self.flush();
            }
        }
    }
}

impl Drop for Session {
    /// Says that this is the end.
    fn drop(&mut self) {
        self.tls.send_close_notify();
        let _ = self.flush();
    }
}
