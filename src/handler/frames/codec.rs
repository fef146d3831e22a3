//! Codecs, which turn bytes into messages and messages into bytes.

use std::error::Error;

/// The default maximum length of a frame: 64 KiB.
pub const DEFAULT_MAX_LENGTH: usize = 64 * 1024;

/// Turns bytes into messages.
///
/// A decoder is called with all bytes that have arrived and are not consumed yet. It removes those of one message from
/// the front of `input` (`*input = &input[length..]`) and returns the message, which may borrow from them: nothing is
/// copied.
///
/// ```
/// use socketserver::frames::{Decoder, FrameError};
///
/// /// A letter and a digit, such as `A7`.
/// struct Squares;
///
/// impl Decoder for Squares {
///     type Item<'a> = (char, u8);
///     type Error = FrameError;
///
///     fn decode<'a>(&mut self, input: &mut &'a [u8]) -> Result<Option<(char, u8)>, FrameError> {
///         let &[letter, digit, ref rest @ ..] = *input else { return Ok(None) };
///         if !letter.is_ascii_uppercase() || !digit.is_ascii_digit() {
///             return Err(FrameError::Invalid { reason: "a square is a letter and a digit" });
///         }
///         *input = rest;
///         Ok(Some((letter.into(), digit - b'0')))
///     }
/// }
/// ```
pub trait Decoder {
    /// A message; `'a` is the lifetime of the bytes it may borrow from.
    type Item<'a>;

    /// Why bytes are not a message.
    type Error: Error + Send + Sync + From<FrameError> + 'static;

    /// Removes one message from the front of `input`; `None` if it is not complete.
    ///
    /// After `None`, the next call sees what was left in `input`, followed by more: a decoder may remember how far it
    /// has searched.
    ///
    /// # Errors
    ///
    /// The bytes are not a message. A decoder that can continue after the invalid frame removes its bytes from `input`;
    /// if it removes nothing, the error ends the conversation.
    fn decode<'a>(&mut self, input: &mut &'a [u8]) -> Result<Option<Self::Item<'a>>, Self::Error>;

    /// Like [`decode`](Self::decode), when no more bytes will arrive. Called until it returns `None`, finally with an
    /// empty `input`.
    ///
    /// # Errors
    ///
    /// By default, an incomplete message is an error: [`FrameError::Truncated`].
    fn decode_eof<'a>(&mut self, input: &mut &'a [u8]) -> Result<Option<Self::Item<'a>>, Self::Error> {
        match self.decode(input)? {
            None if !input.is_empty() => Err(FrameError::Truncated { unread: input.len() }.into()),
            item => Ok(item),
        }
    }

    /// The maximum length in bytes of an incomplete frame, including everything around its message: the connection
    /// buffers this many. Default 64 KiB.
    fn max_frame_length(&self) -> usize {
        DEFAULT_MAX_LENGTH
    }
}

/// Turns messages of type `T` into bytes.
pub trait Encoder<T> {
    /// Why a message cannot be sent.
    type Error: Error + Send + Sync + 'static;

    /// Appends the frame of `message` to `output`; on error, appends nothing.
    ///
    /// # Errors
    ///
    /// The message does not fit into a frame.
    fn encode(&mut self, message: T, output: &mut Vec<u8>) -> Result<(), Self::Error>;
}

/// Why bytes are not a frame, or a message cannot be encoded as one.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum FrameError {
    /// The bytes break the rules of the codec.
    #[error("invalid frame: {reason}")]
    Invalid {
        /// The rule.
        reason: &'static str,
    },
    /// The frame is longer than the codec allows.
    #[error("frame longer than {limit} bytes")]
    TooLong {
        /// The codec's limit.
        limit: usize,
    },
    /// The input ended inside a frame.
    #[error("the input ended inside a frame, {unread} bytes after its begin")]
    Truncated {
        /// How many bytes of the frame had arrived.
        unread: usize,
    },
}

/// Where `byte` is, at the speed of the system's `memchr`.
pub(super) fn find(byte: u8, bytes: &[u8]) -> Option<usize> {
    // The standard library's way to memchr, which it does not export.
    let mut rest = bytes;
    let count = std::io::BufRead::skip_until(&mut rest, byte).ok()?;
    let at = count.checked_sub(1)?;
    (bytes[at] == byte).then_some(at)
}
