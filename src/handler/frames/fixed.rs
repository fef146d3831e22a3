//! Frames of a fixed size.

use super::codec::Decoder;
use super::codec::Encoder;
use super::codec::FrameError;

/// Frames of exactly this many bytes; messages are `&[u8]`.
#[derive(Clone, Debug)]
pub struct FixedCodec {
    length: usize,
}

impl FixedCodec {
    /// Frames of `length` bytes.
    ///
    /// # Panics
    ///
    /// If `length` is 0.
    #[must_use]
    pub fn new(length: usize) -> Self {
        assert!(length > 0, "a frame has at least one byte");
        Self { length }
    }
}

impl Decoder for FixedCodec {
    type Item<'a> = &'a [u8];
    type Error = FrameError;

    fn decode<'a>(&mut self, input: &mut &'a [u8]) -> Result<Option<&'a [u8]>, FrameError> {
        let Some((frame, rest)) = input.split_at_checked(self.length) else { return Ok(None) };
        *input = rest;
        Ok(Some(frame))
    }

    fn max_frame_length(&self) -> usize {
        self.length
    }
}

impl<T: AsRef<[u8]>> Encoder<T> for FixedCodec {
    type Error = FrameError;

    fn encode(&mut self, message: T, output: &mut Vec<u8>) -> Result<(), FrameError> {
        let frame = message.as_ref();
        if frame.len() != self.length {
            return Err(FrameError::Invalid { reason: "a frame of another size" });
        }
        output.extend_from_slice(frame);
        Ok(())
    }
}
