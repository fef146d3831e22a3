//! The client's end of a TLS connection, over a socket that blocks or does not.

use std::io::Error;
use std::io::ErrorKind;
use std::io::Read;
use std::io::Result;
use std::io::Write;
use std::net::TcpStream;

use rustls::ClientConnection;
use rustls::pki_types::ServerName;

use crate::certificate;
use crate::servers::Outcome;

/// TLS 1.3 with a full handshake, which reading makes.
pub(crate) struct Session {
    tls: ClientConnection,
    socket: TcpStream,
}

impl Session {
    pub(crate) fn over(socket: TcpStream) -> Outcome<Self> {
        let tls = ClientConnection::new(certificate::client()?, ServerName::try_from(certificate::NAME)?)?;
        Ok(Self { tls, socket })
    }

    pub(crate) fn get_ref(&self) -> &TcpStream {
        &self.socket
    }
}

impl Read for Session {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        loop {
            match self.tls.reader().read(buffer) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                outcome => return outcome,
            }
            self.tls.read_tls(&mut self.socket)?;
            self.tls.process_new_packets().map_err(Error::other)?;
            self.flush()?;
        }
    }
}

impl Write for Session {
    /// Takes the bytes as long as there is room for them: before the handshake is over, they wait for its end.
    fn write(&mut self, bytes: &[u8]) -> Result<usize> {
        let count = self.tls.writer().write(bytes)?;
        match self.flush() {
            Err(error) if error.kind() != ErrorKind::WouldBlock => Err(error),
            _ if count == 0 => Err(ErrorKind::WouldBlock.into()),
            _ => Ok(count),
        }
    }

    fn flush(&mut self) -> Result<()> {
        while self.tls.wants_write() {
            self.tls.write_tls(&mut self.socket)?;
        }
        Ok(())
    }
}

impl Drop for Session {
    /// Says that this is the end.
    fn drop(&mut self) {
        self.tls.send_close_notify();
        let _ = self.flush();
    }
}
