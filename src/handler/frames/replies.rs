//! Pending replies: those to messages that arrived together are sent in one write.

use std::cell::Cell;
use std::fmt;
use std::io;
use std::io::Write;

use super::codec::Encoder;
use crate::request::Socket;
use crate::request::Writer;

/// The replies of a [`FrameHandler`](super::FrameHandler), sent when all messages that have arrived are handled.
pub struct Replies<'a, C> {
    codec: &'a mut C,
    output: &'a mut Vec<u8>,
}

impl<'a, C> Replies<'a, C> {
    pub(super) fn new(codec: &'a mut C, output: &'a mut Vec<u8>) -> Self {
        Self { codec, output }
    }

    /// Encodes a message and adds it to the replies.
    ///
    /// # Errors
    ///
    /// The message does not fit into a frame; nothing is added.
    pub fn send<T>(&mut self, message: T) -> Result<(), C::Error>
    where
        C: Encoder<T>,
    {
        self.codec.encode(message, self.output)
    }

    /// The encoded replies, to append bytes without the codec.
    pub fn bytes(&mut self) -> &mut Vec<u8> {
        self.output
    }

    /// The codec, to change its mode for further messages.
    pub fn codec(&mut self) -> &mut C {
        self.codec
    }
}

impl<C> fmt::Debug for Replies<'_, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Replies").field("pending", &self.output.len()).finish_non_exhaustive()
    }
}

/// Replies are sent before the end of a batch when there are this many bytes of them.
const LARGE: usize = 64 * 1024;

/// A thread keeps a buffer up to this size.
const KEPT: usize = 4 * LARGE;

thread_local! {
    static KEPT_BUFFER: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// The bytes of a batch: in a buffer of the thread, so that a connection that waits has none.
#[derive(Default)]
pub(super) struct Output(Vec<u8>);

impl Output {
    pub(super) fn of_thread() -> Self {
        Self(KEPT_BUFFER.take())
    }

    pub(super) fn bytes(&mut self) -> &mut Vec<u8> {
        &mut self.0
    }

    pub(super) fn is_large(&self) -> bool {
        self.0.len() >= LARGE
    }

    /// Sends what is gathered in one write; the writer keeps what the kernel has no room for.
    pub(super) fn send<S: Socket>(&mut self, writer: &mut Writer<S>) -> io::Result<()> {
        if self.0.is_empty() {
            return Ok(());
        }
        let outcome = writer.write_all(&self.0);
        self.0.clear();
        outcome
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        if self.0.capacity() <= KEPT && self.0.capacity() > 0 {
            self.0.clear();
            let _ = KEPT_BUFFER.try_with(|kept| kept.set(std::mem::take(&mut self.0)));
        }
    }
}
