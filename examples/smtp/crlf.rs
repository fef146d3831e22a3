//! Lines that end with CR LF and with nothing else.

use socketserver::frames::Decoder;
use socketserver::frames::DelimiterCodec;
use socketserver::frames::FrameError;

/// The longest line, without its end. RFC 5321 asks for 1000 bytes at least, 4.5.3.1.6.
pub const LONGEST: usize = 2048;

/// A line may have any bytes in it, a lone CR or LF, too.
pub struct Crlf(DelimiterCodec);

impl Crlf {
    pub fn new() -> Self {
        Self(DelimiterCodec::with_max_length("\r\n", LONGEST))
    }
}

impl Decoder for Crlf {
    type Item<'a> = &'a [u8];
    type Error = FrameError;

    fn decode<'a>(&mut self, input: &mut &'a [u8]) -> Result<Option<&'a [u8]>, FrameError> {
        self.0.decode(input)
    }

    // Not `decode_eof`: for `DelimiterCodec`, what is left at the end of input is a line, and a dot would end a message.

    fn max_frame_length(&self) -> usize {
        self.0.max_frame_length()
    }
}
