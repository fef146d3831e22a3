//! Lines of text.

use super::codec::DEFAULT_MAX_LENGTH;
use super::codec::Decoder;
use super::codec::Encoder;
use super::codec::FrameError;
use super::codec::find;

/// Lines of UTF-8 text that end with `\n` or `\r\n`; lines sent end with `\n`.
///
/// Messages are `&str` without the line ending. A line that is too long or not UTF-8 is an error, after which the codec
/// can continue: if [`error`](super::FrameHandler::error) returns `Flow::Continue`, the handler gets the next line. At
/// the end of input an unfinished line counts as a line.
#[derive(Clone, Debug)]
pub struct LinesCodec {
    max_length: usize,
    crlf: bool,
    /// This many bytes have been searched without finding an end.
    searched: usize,
    /// Inside a line that was too long.
    discarding: bool,
}

impl LinesCodec {
    /// Lines of up to 64 KiB.
    #[must_use]
    pub fn new() -> Self {
        Self::with_max_length(DEFAULT_MAX_LENGTH)
    }

    /// Lines of up to `max_length` bytes, without their ending.
    #[must_use]
    pub fn with_max_length(max_length: usize) -> Self {
        Self { max_length, crlf: false, searched: 0, discarding: false }
    }

    /// Sends lines that end with `\r\n`, as in most Internet protocols.
    #[must_use]
    pub fn crlf(mut self) -> Self {
        self.crlf = true;
        self
    }

    /// The maximum length of a line, without its ending.
    #[must_use]
    pub fn max_length(&self) -> usize {
        self.max_length
    }

    fn line<'a>(&self, line: &'a [u8]) -> Result<Option<&'a str>, FrameError> {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.len() > self.max_length {
            return Err(FrameError::TooLong { limit: self.max_length });
        }
        match std::str::from_utf8(line) {
            Ok(line) => Ok(Some(line)),
            Err(_) => Err(FrameError::Invalid { reason: "the line is not UTF-8" }),
        }
    }
}

impl Default for LinesCodec {
    fn default() -> Self {
        Self::new()
    }
}

impl Decoder for LinesCodec {
    type Item<'a> = &'a str;
    type Error = FrameError;

    fn decode<'a>(&mut self, input: &mut &'a [u8]) -> Result<Option<&'a str>, FrameError> {
        loop {
            let bytes = *input;
            let from = self.searched.min(bytes.len());
            let Some(at) = find(b'\n', &bytes[from..]) else {
                if self.discarding {
                    *input = &[];
                    return Ok(None);
                }
                // One more may be the `\r` of the line's end.
                if bytes.len() > self.max_length.saturating_add(1) {
                    *input = &[];
                    self.searched = 0;
                    self.discarding = true;
                    return Err(FrameError::TooLong { limit: self.max_length });
                }
                self.searched = bytes.len();
                return Ok(None);
            };
            *input = &bytes[from + at + 1..];
            self.searched = 0;
            if !std::mem::take(&mut self.discarding) {
                return self.line(&bytes[..from + at]);
            }
        }
    }

    fn decode_eof<'a>(&mut self, input: &mut &'a [u8]) -> Result<Option<&'a str>, FrameError> {
        if let Some(line) = self.decode(input)? {
            return Ok(Some(line));
        }
        let rest = std::mem::take(input);
        self.searched = 0;
        if rest.is_empty() || rest == b"\r" { Ok(None) } else { self.line(rest) }
    }

    fn max_frame_length(&self) -> usize {
        self.max_length.saturating_add(2)
    }
}

impl<T: AsRef<str>> Encoder<T> for LinesCodec {
    type Error = FrameError;

    fn encode(&mut self, message: T, output: &mut Vec<u8>) -> Result<(), FrameError> {
        let line = message.as_ref().as_bytes();
        if line.len() > self.max_length {
            return Err(FrameError::TooLong { limit: self.max_length });
        }
        if find(b'\n', line).is_some() || line.ends_with(b"\r") {
            return Err(FrameError::Invalid { reason: "a line cannot hold the end of a line" });
        }
        output.extend_from_slice(line);
        output.extend_from_slice(if self.crlf { b"\r\n" } else { b"\n" });
        Ok(())
    }
}
