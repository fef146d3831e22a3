//! Sending what no handler writes: messages from elsewhere, and files.

use std::fs::File;
use std::io;
use std::io::ErrorKind;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::Stream;
use crate::request::Socket;
use crate::request::inbox::Inbox;
use crate::request::mailbox::Mailbox;
use crate::request::sender::Sender;

impl<S: Socket> Stream<S> {
    /// A handle that writes to this connection from elsewhere: from the handler of another connection, or from any
    /// thread.
    ///
    /// Its messages are sent by the thread that serves this connection, between two calls of its handler or while a
    /// read inside `handle` waits for the client, under every dispatch but `Fork`. Up to the builder's
    /// [`max_pending_output`](crate::Builder::max_pending_output) is kept for a client that does not read; it is
    /// subject to the write timeout, and is counted in [`traffic`](Self::traffic). It does not reset the idle
    /// timeout of the client.
    ///
    /// A connection without a sender costs nothing extra. See the chapter on [other
    /// connections](crate::guide::other_connections).
    ///
    /// ```
    /// use std::io::BufRead;
    /// use std::sync::Mutex;
    /// use socketserver::{Flow, PoolTcpServer, Sender};
    ///
    /// /// Every client gets the messages of all.
    /// static AUDIENCE: Mutex<Vec<Sender>> = Mutex::new(Vec::new());
    ///
    /// let server = PoolTcpServer::bind_fn("127.0.0.1:0", |request| {
    ///     let mut line = String::new();
    ///     request.read_line(&mut line)?;
    ///     if line == "listen\n" {
    ///         AUDIENCE.lock().unwrap().push(request.sender()?);
    ///     } else {
    ///         // Those who have gone, and those who do not listen any more, miss it.
    ///         Sender::wake_after(|| AUDIENCE.lock().unwrap().retain(|listener| listener.send(&line).is_ok()));
    ///     }
    ///     Ok(Flow::Continue)
    /// })?;
    /// # Ok::<(), socketserver::BindError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Unsupported`] under `Fork`, where each connection is in its own process and no other can reach it;
    /// and for a connection that no server serves, because it was detached or made by [`new`](Self::new).
    pub fn sender(&mut self) -> io::Result<Sender> {
        let unsupported = |why| Err(io::Error::new(ErrorKind::Unsupported, why));
        let Some(session) = &self.writer.session else {
            return unsupported(
                "no server serves this connection, so nothing would send for a sender: write to the stream",
            );
        };
        if session.in_child.load(Ordering::Relaxed) {
            return unsupported(
                "under Fork each connection is in its own process, and no other can write to it: use Pool, ThreadPerRequest or Sync",
            );
        }
        let limit = session.options.max_pending_output;
        let inbox = self.writer.inbox.get_or_insert_with(|| Inbox(Arc::new(Mailbox::new(limit))));
        Ok(Sender::new(Arc::clone(&inbox.0)))
    }

    /// Sends `length` bytes of `file` from byte `offset` on, after what was written before.
    ///
    /// It returns once the kernel has taken what it has room for. The rest is sent as the client reads, without a
    /// thread (under `Sync` and `Pool`): whatever its length, it takes no memory, and does not count towards the
    /// builder's `max_pending_output`. On Linux the kernel sends it directly (sendfile(2)) if the socket [is
    /// plain](Socket::is_plain); otherwise it is copied in pieces of 64 KiB.
    ///
    /// What is written after it is pending output like any other. A second file, or more output than may be pending,
    /// blocks until the first has been sent: to avoid that, return [`Flow::Flush`](crate::Flow::Flush) to be called
    /// again then. The builder's `write_timeout` applies to a client that reads nothing for this long, not to the whole
    /// file. Reading from a slow disk blocks the thread.
    ///
    /// ```
    /// use std::fs::File;
    /// use std::io::Write;
    /// use socketserver::{Flow, HandlerResult, Socket, Stream};
    ///
    /// fn download<S: Socket>(request: &mut Stream<S>) -> HandlerResult {
    ///     let file = File::open("large")?;
    ///     let length = file.metadata()?.len();
    ///     request.write_all(&length.to_be_bytes())?;
    ///     request.send_file(file, 0, length)?;
    ///     Ok(Flow::Close) // When all of it has left.
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// An error of the file or the socket, or [`ErrorKind::InvalidData`] for a file that ends before `offset + length`.
    /// An error that occurs later, while the rest is sent, goes to
    /// [`handle_error`](crate::HandlerFactory::handle_error), and the connection is closed: a client that was promised
    /// a length sees that it received less.
    pub fn send_file(&mut self, file: impl Into<Arc<File>>, offset: u64, length: u64) -> io::Result<()> {
        self.writer.send_file(file, offset, length)
    }
}
