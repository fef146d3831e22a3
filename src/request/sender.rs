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
/// It can be cloned and kept anywhere; two senders are equal if they write to the same connection. It keeps neither the
/// connection nor the server alive: once the connection has ended, sending fails with [`SendError::Closed`].
#[derive(Clone, Debug)]
pub struct Sender {
    mailbox: Arc<Mailbox>,
}

impl Sender {
    pub(super) fn new(mailbox: Arc<Mailbox>) -> Self {
        Self { mailbox }
    }

    /// Queues `message` to be sent. Never blocks, neither for the client nor for a handler.
    ///
    /// The message arrives whole, not interleaved with other messages or with what a handler writes: it is sent between
    /// two calls of `handle`, or while a read inside `handle` waits for the client. Messages arrive in the order of the
    /// calls. The bytes are sent as they are: a line needs its newline.
    ///
    /// `Ok` means that the message will be sent if the connection lives long enough, not that the client has received
    /// it.
    ///
    /// # Errors
    ///
    /// On error, no part of the message has been sent:
    ///
    /// - [`SendError::Full`]: the client does not read fast enough. Drop the message, try later, or
    ///   [close](Self::close) the connection.
    /// - [`SendError::TooLong`]: the message can never be sent.
    /// - [`SendError::Closed`]: the connection has ended, is ending, or was detached.
    pub fn send(&self, message: impl AsRef<[u8]>) -> Result<(), SendError> {
        self.mailbox.send(message.as_ref())
    }

    /// Runs `send`, and only then wakes the connections to which it has sent (or which it has [closed](Self::close)):
    /// for messages to many connections, especially under a lock.
    ///
    /// A connection that waits for its client has to be woken to send a message, which takes longer than queueing it,
    /// and may yield the CPU to another thread if each connection has one
    /// ([`ThreadPerRequest`](crate::ThreadPerRequest)). Waking a thousand connections one by one while holding a lock
    /// delays every thread that wants that lock. With this method the lock is free again before the first connection is
    /// woken.
    ///
    /// `send` must not wait for any of the receivers: nothing is sent before it has returned or panicked. A nested call
    /// is part of the outer one.
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

    /// Asks the server to close the connection once everything has been sent. Returns at once; sending fails from now
    /// on.
    ///
    /// The handler's `finish` receives [`End::HandlerClosed`](crate::End::HandlerClosed). A read that blocks inside
    /// `handle` sees the end of input. A client that does not read is cut off by the write timeout.
    pub fn close(&self) {
        self.close_with([]);
    }

    /// Like [`close`](Self::close), with a last message. It is sent after everything else, and is not limited by
    /// `max_pending_output`, so that a client that is too slow can be told why it is disconnected.
    pub fn close_with(&self, farewell: impl AsRef<[u8]>) {
        self.mailbox.dismiss(farewell.as_ref());
    }

    /// Whether sending fails with [`SendError::Closed`].
    #[must_use]
    pub fn is_closed(&self) -> bool {
        !self.mailbox.is_open()
    }

    /// How many bytes are pending: messages sent, and what the handler has written.
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
