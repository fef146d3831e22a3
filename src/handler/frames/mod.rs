//! Frames: codecs between the bytes of a connection and the messages of a protocol.
//!
//! A stream has no message boundaries: two sends can arrive as one read, or one send as two. A *codec* knows where
//! messages end ([`Decoder`]) and how they are written ([`Encoder`]); [`Frames`] drives it and passes whole messages to
//! a [`FrameHandler`].
//!
//! - All whole messages that have arrived are handled at once, and their replies are sent in one write.
//! - Messages may borrow from the connection's buffer: none is copied.
//! - Under `Sync` and `Pool`, a connection waits for the rest of a message in the poller: a slow sender holds no
//!   thread.
//! - An error of the codec goes to [`FrameHandler::error`] as a typed value, which may reply before the close.
//!
//! ```
//! use socketserver::frames::{self, LinesCodec};
//! use socketserver::{Flow, TcpServer};
//!
//! let factory = frames::function(LinesCodec::new(), |line, replies| {
//!     replies.send(line.to_uppercase())?;
//!     Ok(if line == "bye" { Flow::Close } else { Flow::Continue })
//! });
//! let server = TcpServer::bind("127.0.0.1:0", factory)?;
//! # Ok::<(), socketserver::BindError>(())
//! ```
//!
//! | codec | messages | for |
//! |---|---|---|
//! | [`LinesCodec`] | `&str` | text protocols |
//! | [`DelimiterCodec`] | `&[u8]` | zero bytes, boundaries |
//! | [`LengthDelimitedCodec`] | `&[u8]` | binary protocols with a length in the header |
//! | [`FixedCodec`] | `&[u8]` | records |

mod codec;
mod delimited;
mod fixed;
mod function;
mod length_prefixed;
mod lines;
mod replies;

use std::fmt;
use std::io::BufRead;
use std::io::Write;
use std::time::Instant;

pub use codec::DEFAULT_MAX_LENGTH;
pub use codec::Decoder;
pub use codec::Encoder;
pub use codec::FrameError;
pub use delimited::DelimiterCodec;
pub use fixed::FixedCodec;
pub use function::FrameFunction;
pub use function::FrameFunctions;
pub use function::function;
pub use length_prefixed::LengthDelimitedCodec;
pub use length_prefixed::LengthField;
pub use lines::LinesCodec;
pub use replies::Replies;

use self::replies::Output;
use super::Flow;
use super::Handler;
use super::HandlerResult;
use crate::end::End;
use crate::panics::catch;
use crate::request::Request;
use crate::request::Socket;
use crate::request::Stream;
use crate::request::Writer;

/// Serves the messages of one connection.
///
/// ```
/// use socketserver::frames::{FrameError, FrameHandler, Frames, LinesCodec, Replies};
/// use socketserver::{Flow, HandlerResult, Socket, TcpServer};
///
/// /// Counts lines.
/// struct Count(u64);
///
/// impl<S: Socket> FrameHandler<LinesCodec, S> for Count {
///     fn message(&mut self, _: &str, replies: &mut Replies<'_, LinesCodec>) -> HandlerResult {
///         self.0 += 1;
///         replies.send(self.0.to_string())?;
///         Ok(Flow::Continue)
///     }
///
///     fn error(&mut self, error: FrameError, replies: &mut Replies<'_, LinesCodec>) -> HandlerResult {
///         replies.send(format!("sorry: {error}"))?;
///         Ok(Flow::Close)
///     }
/// }
///
/// let server = TcpServer::bind("127.0.0.1:0", || Frames::new(LinesCodec::new(), Count(0)))?;
/// # Ok::<(), socketserver::BindError>(())
/// ```
pub trait FrameHandler<C: Decoder, S: Socket> {
    /// Like [`Handler::setup`]; it may send a greeting, with
    /// [`speaking_first`](crate::HandlerFactoryExt::speaking_first).
    ///
    /// # Errors
    ///
    /// As for [`Handler::setup`].
    fn setup(&mut self, request: &mut Stream<S>, replies: &mut Replies<'_, C>) -> HandlerResult<()> {
        let _ = (request, replies);
        Ok(())
    }

    /// Serves one message. Replies are sent when all messages that have arrived are served, or when many have
    /// accumulated. After [`Flow::Flush`] the next message is served when they have been sent.
    ///
    /// # Errors
    ///
    /// Any error; the replies so far are sent, the error goes to [`handle_error`](crate::HandlerFactory::handle_error),
    /// and the connection is closed. The same happens after a panic.
    fn message(&mut self, message: C::Item<'_>, replies: &mut Replies<'_, C>) -> HandlerResult;

    /// Called for bytes that are not a message, or that exceed the limit. With [`Flow::Continue`] the conversation
    /// continues after them if the codec can; otherwise the connection is closed.
    ///
    /// # Errors
    ///
    /// As for [`message`](Self::message). By default, the codec's error.
    fn error(&mut self, error: C::Error, replies: &mut Replies<'_, C>) -> HandlerResult {
        let _ = replies;
        Err(error.into())
    }

    /// Like [`Handler::finish`].
    ///
    /// # Errors
    ///
    /// As for [`Handler::finish`].
    fn finish(&mut self, request: &mut Stream<S>, replies: &mut Replies<'_, C>, end: End) -> HandlerResult<()> {
        let _ = (request, replies, end);
        Ok(())
    }

    /// Like [`Handler::detached`], with the codec; bytes that were not consumed are still in the stream.
    fn detached(self, codec: C, request: Stream<S>)
    where
        Self: Sized,
    {
        drop((codec, request));
    }
}

/// A handler that passes whole messages to a [`FrameHandler`]; see the [module](self).
pub struct Frames<C, K> {
    codec: C,
    handler: K,
}

impl<C, K> Frames<C, K> {
    /// Serves the messages of `codec` with `handler`; `|| Frames::new(..)` is a handler factory.
    pub fn new(codec: C, handler: K) -> Self {
        Self { codec, handler }
    }

    /// The codec.
    pub fn codec(&self) -> &C {
        &self.codec
    }

    /// The handler of messages.
    pub fn get_ref(&self) -> &K {
        &self.handler
    }

    /// Takes codec and handler out.
    pub fn into_parts(self) -> (C, K) {
        (self.codec, self.handler)
    }

    /// Handles every whole message in `input`, up to the end of the turn; what is left of it has to wait for that, for
    /// more bytes, or for the peer to read. `part` is where a message begins of which the codec has taken a part.
    fn batch<S: Socket>(
        &mut self,
        input: &mut &[u8],
        ended: bool,
        turn_ends: Option<Instant>,
        part: &mut Option<usize>,
        output: &mut Output,
        writer: &mut Writer<S>,
    ) -> HandlerResult
    where
        C: Decoder,
        K: FrameHandler<C, S>,
    {
        let (length, mut count) = (input.len(), 0_usize);
        let mut rest = length;
        loop {
            count += 1;
            let before = input.len();
            let decoded = if ended { self.codec.decode_eof(input) } else { self.codec.decode(input) };
            let mut replies = Replies::new(&mut self.codec, output.bytes());
            let flow = match decoded {
                Ok(Some(message)) => self.handler.message(message, &mut replies)?,
                Ok(None) => {
                    *part = (input.len() < rest).then_some(length - rest);
                    if ended {
                        *input = &[];
                    }
                    return Ok(Flow::Continue);
                }
                Err(error) => match self.handler.error(error, &mut replies)? {
                    // It would come again for ever.
                    Flow::Continue | Flow::Flush if input.len() == before => Flow::Close,
                    flow => flow,
                },
            };
            if flow != Flow::Continue {
                return Ok(flow);
            }
            rest = input.len();
            if output.is_large() {
                output.send(writer)?;
                if writer.pending() > 0 {
                    // The peer does not read: no more for it until it does.
                    return Ok(Flow::Continue);
                }
            }
            // Nothing has been taken in if the codec returns what it has kept: it would not be called again for that.
            if (1..length).contains(&input.len())
                && turn_ends.is_some_and(|end| is_looked_at(count) && Instant::now() >= end)
            {
                return Ok(Flow::Continue);
            }
        }
    }
}

/// Whether the clock is looked at behind this message. It takes about as long as a small message does; so behind the
/// first ones, each of which may be slow, and from then on behind each eighth.
fn is_looked_at(count: usize) -> bool {
    count.is_multiple_of(8) || matches!(count, 1 | 2 | 4)
}

/// What a batch has gathered, sent even if a handler panics: the messages before have been served.
struct Gathered<'a, S: Socket> {
    output: Output,
    writer: &'a mut Writer<S>,
}

impl<S: Socket> Drop for Gathered<'_, S> {
    fn drop(&mut self) {
        if !self.output.bytes().is_empty() {
            // A second panic, of a custom socket, would abort the process.
            let _ = catch(|| self.output.send(self.writer));
        }
    }
}

impl<S: Socket, C: Decoder, K: FrameHandler<C, S>> Handler<Stream<S>> for Frames<C, K> {
    fn setup(&mut self, request: &mut Stream<S>) -> HandlerResult<()> {
        let needed = self.codec.max_frame_length();
        if needed > request.max_buffered() {
            request.set_max_buffered(needed);
        }
        let mut output = Output::default();
        let outcome = self.handler.setup(request, &mut Replies::new(&mut self.codec, output.bytes()));
        request.write_all(output.bytes())?;
        outcome
    }

    fn handle(&mut self, request: &mut Stream<S>) -> HandlerResult {
        let (ended, turn_ends) = (request.is_ended(), request.turn_ends());
        let (input, writer) = request.split_buffered();
        let mut gathered = Gathered { output: Output::of_thread(), writer };
        let mut rest = input;
        let mut part = None;
        let outcome = self.batch(&mut rest, ended, turn_ends, &mut part, &mut gathered.output, gathered.writer);
        let taken = input.len() - rest.len();
        let sent = gathered.output.send(gathered.writer);
        drop(gathered);
        let before = request.state().consumed;
        request.consume(taken);
        match part {
            None => {}
            // Of one that may have begun before this call.
            Some(0) => request.message_goes_on(),
            Some(at) => request.message_goes_on_from(before + at as u64),
        }
        let flow = outcome?;
        sent?;
        Ok(flow)
    }

    fn finish(&mut self, request: &mut Stream<S>, end: End) -> HandlerResult<()> {
        let mut output = Output::default();
        let mut outcome = Ok(());
        if end == End::PeerClosed {
            // What the codec has kept for itself.
            outcome =
                self.batch(&mut &[][..], true, None, &mut None, &mut output, request.split_buffered().1).map(drop);
        }
        let mut replies = Replies::new(&mut self.codec, output.bytes());
        let finished = self.handler.finish(request, &mut replies, end);
        request.write_all(output.bytes())?;
        outcome.and(finished)
    }

    fn detached(self, request: Stream<S>) {
        self.handler.detached(self.codec, request);
    }
}

impl<C: fmt::Debug, K> fmt::Debug for Frames<C, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Frames").field("codec", &self.codec).finish_non_exhaustive()
    }
}
