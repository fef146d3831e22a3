//! A connection whose socket becomes another in the middle of it.

use std::io;
use std::io::ErrorKind;

use super::Stream;
use crate::request::Socket;

impl<S: Socket> Stream<S> {
    /// Takes the output that has not been sent yet, for a socket that sends it as what it was written for, before it
    /// sends anything as what it becomes.
    pub(crate) fn take_unsent(&mut self) -> io::Result<Vec<u8>> {
        self.writer.take_unsent()
    }
}

impl<S: Socket> super::Writer<S> {
    fn take_unsent(&mut self) -> io::Result<Vec<u8>> {
        if !self.send_output()? && self.file.is_some() {
            let text = "a file of send_file is still on its way: return Flow::Flush, and go on when it has left";
            return Err(io::Error::new(ErrorKind::InvalidInput, text));
        }
        let unsent = self.output.front().to_vec();
        self.output.advance(unsent.len());
        // The socket's to send, whose `unsent` says what of it has not left.
        self.total += unsent.len() as u64;
        Ok(unsent)
    }
}
