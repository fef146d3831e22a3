//! Frames that begin with their length.

use super::codec::DEFAULT_MAX_LENGTH;
use super::codec::Decoder;
use super::codec::Encoder;
use super::codec::FrameError;

/// How a length is written.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum LengthField {
    /// Two bytes.
    U16,
    /// Three bytes.
    U24,
    /// Four bytes.
    U32,
    /// Eight bytes.
    U64,
    /// One byte.
    U8,
    /// Seven bits per byte, lowest first, the eighth bit set on all but the last: LEB128, as in Protocol Buffers.
    Varint,
}

impl LengthField {
    /// The bytes of the field; the most for a varint.
    fn width(self) -> usize {
        match self {
            Self::U8 => 1,
            Self::U16 => 2,
            Self::U24 => 3,
            Self::U32 => 4,
            Self::U64 => 8,
            Self::Varint => MAX_VARINT,
        }
    }
}

/// The bytes of the longest varint of 64 bits.
const MAX_VARINT: usize = 10;

/// Frames with a header that contains their length.
///
/// By default the header is only the length, four bytes in big-endian order, which counts what follows it:
///
/// ```
/// use socketserver::frames::{Encoder, LengthDelimitedCodec, LengthField};
///
/// let mut output = Vec::new();
/// LengthDelimitedCodec::new().encode("hello", &mut output)?;
/// assert_eq!(output, b"\0\0\0\x05hello");
///
/// output.clear();
/// LengthDelimitedCodec::new().length_field(LengthField::U16).little_endian().encode("hello", &mut output)?;
/// assert_eq!(output, b"\x05\0hello");
/// # Ok::<(), socketserver::frames::FrameError>(())
/// ```
///
/// Messages are `&[u8]` without the header, unless [`num_skip`](Self::num_skip) says otherwise. An error ends the
/// conversation: after an invalid length, the start of the next frame is unknown.
#[derive(Clone, Debug)]
pub struct LengthDelimitedCodec {
    field: LengthField,
    little_endian: bool,
    offset: usize,
    adjustment: isize,
    num_skip: Option<usize>,
    max_frame_length: usize,
}

impl LengthDelimitedCodec {
    /// Four bytes in big-endian order, then up to 64 KiB.
    #[must_use]
    pub fn new() -> Self {
        Self {
            field: LengthField::U32,
            little_endian: false,
            offset: 0,
            adjustment: 0,
            num_skip: None,
            max_frame_length: DEFAULT_MAX_LENGTH,
        }
    }

    /// How the length is written. Default: four bytes.
    #[must_use]
    pub fn length_field(mut self, field: LengthField) -> Self {
        self.field = field;
        self
    }

    /// Encodes the length in little-endian order.
    #[must_use]
    pub fn little_endian(mut self) -> Self {
        self.little_endian = true;
        self
    }

    /// Encodes the length in big-endian order, the default.
    #[must_use]
    pub fn big_endian(mut self) -> Self {
        self.little_endian = false;
        self
    }

    /// How many bytes of the header precede the length. Default 0. They are sent as zeros.
    #[must_use]
    pub fn length_field_offset(mut self, bytes: usize) -> Self {
        self.offset = bytes;
        self
    }

    /// What to add to the length to get the number of bytes that follow it: negative if the length includes the header.
    /// Default 0.
    #[must_use]
    pub fn length_adjustment(mut self, bytes: isize) -> Self {
        self.adjustment = bytes;
        self
    }

    /// How many bytes are removed from the front of a received frame. Default: the header up to the end of the length.
    #[must_use]
    pub fn num_skip(mut self, bytes: usize) -> Self {
        self.num_skip = Some(bytes);
        self
    }

    /// The maximum number of bytes that may follow the length. Default 64 KiB.
    #[must_use]
    pub fn max_frame_length(mut self, bytes: usize) -> Self {
        self.max_frame_length = bytes;
        self
    }

    /// The length and where it ends; `None` if it has not arrived.
    fn head(&self, input: &[u8]) -> Result<Option<(u64, usize)>, FrameError> {
        let Some(field) = input.get(self.offset..) else { return Ok(None) };
        if self.field == LengthField::Varint {
            return Ok(varint(field)?.map(|(length, width)| (length, self.offset + width)));
        }
        let width = self.field.width();
        let Some(field) = field.get(..width) else { return Ok(None) };
        let append = |length: u64, byte: &u8| length << 8 | u64::from(*byte);
        let length = match self.little_endian {
            true => field.iter().rev().fold(0, append),
            false => field.iter().fold(0, append),
        };
        Ok(Some((length, self.offset + width)))
    }
}

impl Default for LengthDelimitedCodec {
    fn default() -> Self {
        Self::new()
    }
}

impl Decoder for LengthDelimitedCodec {
    type Item<'a> = &'a [u8];
    type Error = FrameError;

    fn decode<'a>(&mut self, input: &mut &'a [u8]) -> Result<Option<&'a [u8]>, FrameError> {
        let Some((length, head)) = self.head(input)? else { return Ok(None) };
        let body = i128::from(length) + self.adjustment as i128;
        if body < 0 {
            return Err(FrameError::Invalid { reason: "the length is less than what it has to count" });
        }
        if body > self.max_frame_length as i128 {
            return Err(FrameError::TooLong { limit: self.max_frame_length });
        }
        let total = head.saturating_add(body as usize);
        let Some((frame, rest)) = input.split_at_checked(total) else { return Ok(None) };
        *input = rest;
        Ok(Some(&frame[self.num_skip.unwrap_or(head).min(total)..]))
    }

    fn max_frame_length(&self) -> usize {
        self.max_frame_length.saturating_add(self.offset).saturating_add(self.field.width())
    }
}

impl<T: AsRef<[u8]>> Encoder<T> for LengthDelimitedCodec {
    type Error = FrameError;

    fn encode(&mut self, message: T, output: &mut Vec<u8>) -> Result<(), FrameError> {
        let body = message.as_ref();
        if body.len() > self.max_frame_length {
            return Err(FrameError::TooLong { limit: self.max_frame_length });
        }
        let Ok(length) = u64::try_from(body.len() as i128 - self.adjustment as i128) else {
            return Err(FrameError::Invalid { reason: "the length would be less than nothing" });
        };
        let width = self.field.width();
        if width < 8 && length >> (8 * width) != 0 {
            return Err(FrameError::TooLong { limit: (1 << (8 * width)) - 1 });
        }
        output.resize(output.len() + self.offset, 0);
        if self.field == LengthField::Varint {
            put_varint(length, output);
        } else if self.little_endian {
            output.extend_from_slice(&length.to_le_bytes()[..width]);
        } else {
            output.extend_from_slice(&length.to_be_bytes()[8 - width..]);
        }
        output.extend_from_slice(body);
        Ok(())
    }
}

/// The number at the front of `bytes` and how many bytes it has; `None` if its end has not arrived.
fn varint(bytes: &[u8]) -> Result<Option<(u64, usize)>, FrameError> {
    let mut number = 0;
    for (at, &byte) in bytes.iter().take(MAX_VARINT).enumerate() {
        let bits = u64::from(byte & 0x7f);
        if at == MAX_VARINT - 1 && byte > 1 {
            return Err(FrameError::Invalid { reason: "a varint of more than 64 bits" });
        }
        number |= bits << (7 * at);
        if byte < 0x80 {
            return Ok(Some((number, at + 1)));
        }
    }
    Ok(None)
}

fn put_varint(mut number: u64, output: &mut Vec<u8>) {
    while number >= 0x80 {
        output.push(number as u8 | 0x80);
        number >>= 7;
    }
    output.push(number as u8);
}
