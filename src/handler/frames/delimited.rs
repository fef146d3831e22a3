//! Frames that end with a sequence of bytes.

use super::codec::DEFAULT_MAX_LENGTH;
use super::codec::Decoder;
use super::codec::Encoder;
use super::codec::FrameError;
use super::codec::find;

/// Frames of any bytes that end with a delimiter: a zero byte, `\r\n.\r\n`, a boundary.
///
/// Messages are `&[u8]` without the delimiter. A frame that is too long is an error, after which the codec can
/// continue. At the end of input an unfinished frame counts as a frame.
#[derive(Clone, Debug)]
pub struct DelimiterCodec {
    delimiter: Box<[u8]>,
    max_length: usize,
    /// The delimiter does not begin before here.
    searched: usize,
    /// Inside a frame that was too long.
    discarding: bool,
}

impl DelimiterCodec {
    /// Frames of up to 64 KiB that end with `delimiter`.
    ///
    /// # Panics
    ///
    /// If the delimiter is empty.
    #[must_use]
    pub fn new(delimiter: impl AsRef<[u8]>) -> Self {
        Self::with_max_length(delimiter, DEFAULT_MAX_LENGTH)
    }

    /// Frames of up to `max_length` bytes, without the delimiter.
    ///
    /// # Panics
    ///
    /// If the delimiter is empty.
    #[must_use]
    pub fn with_max_length(delimiter: impl AsRef<[u8]>, max_length: usize) -> Self {
        let delimiter: Box<[u8]> = delimiter.as_ref().into();
        assert!(!delimiter.is_empty(), "a delimiter has at least one byte");
        Self { delimiter, max_length, searched: 0, discarding: false }
    }

    /// The longest frame, without its delimiter.
    #[must_use]
    pub fn max_length(&self) -> usize {
        self.max_length
    }

    /// Where the first delimiter in `bytes` begins, if not before `from`.
    fn position(&self, bytes: &[u8], mut from: usize) -> Option<usize> {
        while let Some(at) = bytes.get(from..).and_then(|bytes| find(self.delimiter[0], bytes)) {
            if bytes[from + at..].starts_with(&self.delimiter) {
                return Some(from + at);
            }
            from += at + 1;
        }
        None
    }
}

impl Decoder for DelimiterCodec {
    type Item<'a> = &'a [u8];
    type Error = FrameError;

    fn decode<'a>(&mut self, input: &mut &'a [u8]) -> Result<Option<&'a [u8]>, FrameError> {
        loop {
            let bytes = *input;
            let Some(at) = self.position(bytes, self.searched) else {
                // The last bytes may be the begin of a delimiter.
                let kept = bytes.len().min(self.delimiter.len() - 1);
                let searched = bytes.len() - kept;
                if self.discarding {
                    *input = &bytes[searched..];
                    return Ok(None);
                }
                if searched > self.max_length {
                    *input = &bytes[searched..];
                    self.searched = 0;
                    self.discarding = true;
                    return Err(FrameError::TooLong { limit: self.max_length });
                }
                self.searched = searched;
                return Ok(None);
            };
            *input = &bytes[at + self.delimiter.len()..];
            self.searched = 0;
            if std::mem::take(&mut self.discarding) {
                continue;
            }
            if at > self.max_length {
                return Err(FrameError::TooLong { limit: self.max_length });
            }
            return Ok(Some(&bytes[..at]));
        }
    }

    fn decode_eof<'a>(&mut self, input: &mut &'a [u8]) -> Result<Option<&'a [u8]>, FrameError> {
        if let Some(frame) = self.decode(input)? {
            return Ok(Some(frame));
        }
        let rest = std::mem::take(input);
        self.searched = 0;
        if rest.is_empty() || std::mem::take(&mut self.discarding) {
            return Ok(None);
        }
        if rest.len() > self.max_length {
            return Err(FrameError::TooLong { limit: self.max_length });
        }
        Ok(Some(rest))
    }

    fn max_frame_length(&self) -> usize {
        self.max_length.saturating_add(self.delimiter.len())
    }
}

impl<T: AsRef<[u8]>> Encoder<T> for DelimiterCodec {
    type Error = FrameError;

    fn encode(&mut self, message: T, output: &mut Vec<u8>) -> Result<(), FrameError> {
        let frame = message.as_ref();
        if frame.len() > self.max_length {
            return Err(FrameError::TooLong { limit: self.max_length });
        }
        let start = output.len();
        output.extend_from_slice(frame);
        output.extend_from_slice(&self.delimiter);
        // The end of the frame and the begin of the delimiter may make one, too.
        if self.position(&output[start..], 0) != Some(frame.len()) {
            output.truncate(start);
            return Err(FrameError::Invalid { reason: "a frame cannot hold its delimiter" });
        }
        Ok(())
    }
}
