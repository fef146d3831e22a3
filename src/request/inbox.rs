//! The owner's end of a mailbox: what others have sent leaves behind the connection's own output.

use std::io;
use std::sync::Arc;

use super::mailbox::Mailbox;
use super::socket::Socket;
use super::writer::Writer;

/// Dropped with the connection, and then nothing can be sent any more.
#[derive(Debug)]
pub(super) struct Inbox(pub(super) Arc<Mailbox>);

impl Drop for Inbox {
    fn drop(&mut self) {
        self.0.end();
        // A sender that outlives the connection holds no messages.
        drop(self.0.take());
        self.0.set_unsent(0);
    }
}

impl<S: Socket> Writer<S> {
    /// As [`send_output`](Self::send_output), and what others have sent so far behind it. Called where a handler is not
    /// writing.
    pub(super) fn send_output_and_mail(&mut self) -> io::Result<bool> {
        if self.inbox.is_none() {
            return self.send_output();
        }
        let mut empty = self.send_output()?;
        if empty {
            if !self.take_mail() {
                return Ok(true);
            }
            empty = self.send_output()?;
        }
        self.tell_unsent();
        Ok(empty)
    }

    /// As [`flush_waiting`](Self::flush_waiting), and what others have sent so far behind it.
    pub(super) fn flush_waiting_and_mail(&mut self) -> io::Result<()> {
        self.flush_waiting()?;
        if self.take_mail() {
            self.flush_waiting()?;
            self.tell_unsent();
        }
        Ok(())
    }

    /// Makes what others have sent the output, of which there must be none. False if they have sent nothing.
    fn take_mail(&mut self) -> bool {
        let Some(mail) = self.inbox.as_ref().and_then(|inbox| inbox.0.take()) else { return false };
        self.output = mail;
        true
    }

    /// No more from others; what they have sent so far is output.
    pub(super) fn end_mail(&mut self) {
        if let Some(inbox) = self.inbox.take() {
            inbox.0.end();
            let output = self.file.as_mut().map_or(&mut self.output, |part| &mut part.behind);
            output.push(inbox.0.take().unwrap_or_default().front());
        }
    }

    /// What is still to be sent counts for the senders' limit, but for files, which take no memory.
    fn tell_unsent(&self) {
        if let Some(inbox) = &self.inbox {
            let behind = self.file.as_ref().map_or(0, |part| part.behind.len());
            inbox.0.set_unsent(self.output.len() + behind);
        }
    }
}
