//! Writing to a connection from elsewhere: from the handler of another, or from any thread.

use std::hash::Hash;
use std::hash::Hasher;
use std::sync::Arc;

use super::mailbox::Mailbox;
use super::mailbox::SendError;
use super::wake;

/// Writes to a connection from elsewhere: from the handler of another one, or from any thread; see
/// [`Stream::sender`](crate::Stream::sender).
///
/// It can be cloned and kept anywhere; two are equal if they write to the same connection. It keeps neither the
/// connection nor the server: once the connection has ended, sending fails with [`SendError::Closed`].
#[derive(Clone, Debug)]
pub struct Sender {
    mailbox: Arc<Mailbox>,
}

impl Sender {
    pub(super) fn new(mailbox: Arc<Mailbox>) -> Self {
        Self { mailbox }
    }

    /// Hands `message` over to be sent. Never waits, neither for the client nor for a handler.
    ///
    /// The message arrives whole: it is neither cut by other messages nor put into the middle of what a handler writes;
    /// it leaves between two calls of `handle`, or while a read inside `handle` waits for the client. Messages of one
    /// sender arrive in the order in which they were sent, those of different ones in the order of the calls. The bytes
    /// are sent as they are: a line needs its newline.
    ///
    /// `Ok` means that it will be sent if the connection lives long enough, not that the client has got it.
    ///
    /// # Errors
    ///
    /// Nothing has been sent then, not a part either:
    ///
    /// - [`SendError::Full`]: the client does not read, or not so fast. Drop the message, try later, or
    ///   [close](Self::close) the connection.
    /// - [`SendError::TooLong`]: the message can never be sent.
    /// - [`SendError::Closed`]: the connection has ended, is ending, or was detached.
    pub fn send(&self, message: impl AsRef<[u8]>) -> Result<(), SendError> {
        self.mailbox.send(message.as_ref())
    }

    /// Runs `send`, and wakes the connections that this thread has sent to (or [closed](Self::close)) in it when it has
    /// returned: for messages to many, above all under a lock.
    ///
    /// A connection that waits for its client has to be woken to send what it gets, which takes longer than to hand a
    /// message over, and gives the processor to another thread where each connection has one
    /// ([`ThreadPerRequest`](crate::ThreadPerRequest)). Who wakes a thousand of them one by one while holding a lock
    /// holds up all who want that lock. Here the lock is free again before the first is woken, and those who come next
    /// add their messages before many of them have run.
    ///
    /// `send` must not wait for any of those to whom it sends: nothing leaves before it has returned, whether or not it
    /// panics. Inside of another call it is part of that one.
    ///
    /// ```
    /// use std::sync::Mutex;
    /// use socketserver::Sender;
    ///
    /// fn tell(audience: &Mutex<Vec<Sender>>, line: &str) {
    ///     Sender::wake_after(|| audience.lock().unwrap().retain(|listener| listener.send(line).is_ok()));
    /// }
    /// ```
    pub fn wake_after<T>(send: impl FnOnce() -> T) -> T {
        wake::after(send)
    }

    /// Asks the server to end the connection when all that was sent has left. Returns at once; nothing more can be sent
    /// from here on.
    ///
    /// The handler's `finish` is told [`End::HandlerClosed`](crate::End::HandlerClosed). A read that waits inside
    /// `handle` sees the end of input. A client that does not read is cut off by the write timeout.
    pub fn close(&self) {
        self.close_with([]);
    }

    /// As [`close`](Self::close), with last words: they go out behind everything else, and need no room, so that a
    /// client that is closed because it is too slow can be told.
    pub fn close_with(&self, farewell: impl AsRef<[u8]>) {
        self.mailbox.dismiss(farewell.as_ref());
    }

    /// Whether sending fails with [`SendError::Closed`] from now on.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        !self.mailbox.is_open()
    }

    /// How many bytes wait for the client to read: what was sent, and what its handler has written.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.mailbox.pending()
    }
}

impl PartialEq for Sender {
    /// Whether both write to the same connection.
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.mailbox, &other.mailbox)
    }
}

impl Eq for Sender {}

impl Hash for Sender {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Arc::as_ptr(&self.mailbox).hash(state);
    }
}
