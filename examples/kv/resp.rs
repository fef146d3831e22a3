//! The commands of the Redis protocol as a codec: arrays of bulk strings, or plain lines. Both versions, RESP2 and RESP3,
//! have the same.

mod inline;

use std::borrow::Cow;

use socketserver::frames::Decoder;
use socketserver::frames::FrameError;

use inline::split_words;

/// The longest value, as Redis has it (`proto-max-bulk-len`).
const MAX_BULK: i64 = 512 * 1024 * 1024;

/// The longest plain line, and the longest line that holds a length.
const MAX_LINE: usize = 64 * 1024;

const LONG_LENGTH: &str = "too big bulk count string";

/// Takes commands apart. What it has seen of an incomplete one it does not look at again.
#[derive(Clone, Debug, Default)]
pub struct Resp {
    /// Where the next argument begins, and how many are missing; 0 between commands.
    seen: usize,
    missing: usize,
    /// The arguments of the command at the front of the input, and where the first begins.
    count: usize,
    first: usize,
}

/// A command: its name and its arguments, still in the connection's buffer.
#[derive(Debug)]
pub struct Command<'a> {
    /// The arguments as they were sent: `$3\r\nGET\r\n$1\r\nk\r\n`.
    frame: Cow<'a, [u8]>,
    count: usize,
}

/// Why the input is no command, as Redis words it.
#[derive(Debug, thiserror::Error)]
pub enum RespError {
    #[error(transparent)]
    Frame(#[from] FrameError),
    #[error("Protocol error: {}", String::from_utf8_lossy(.0))]
    Protocol(Vec<u8>),
}

fn protocol<T>(what: &str) -> Result<T, RespError> {
    Err(RespError::Protocol(what.into()))
}

impl Command<'_> {
    pub fn args(&self) -> Args<'_> {
        Args { frame: &self.frame, left: self.count }
    }
}

/// The arguments that are not taken yet, the name first.
#[derive(Clone, Debug)]
pub struct Args<'a> {
    frame: &'a [u8],
    left: usize,
}

impl<'a> Iterator for Args<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        self.left = self.left.checked_sub(1)?;
        // The codec has checked the frame: a `$`, a length, and as many bytes.
        let mut length = 0;
        let mut at = 1;
        while let digit @ b'0'..=b'9' = self.frame[at] {
            length = length * 10 + usize::from(digit - b'0');
            at += 1;
        }
        let (arg, rest) = self.frame[at + 2..].split_at(length);
        self.frame = &rest[2..];
        Some(arg)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for Args<'_> {}

impl Decoder for Resp {
    type Item<'a> = Command<'a>;
    type Error = RespError;

    fn decode<'a>(&mut self, input: &mut &'a [u8]) -> Result<Option<Command<'a>>, RespError> {
        let before = *input;
        let command = self.next_command(input);
        if command.is_err() {
            // There is no going on behind an error, also if empty commands were passed over in front of it.
            *input = before;
        }
        command
    }

    /// As Redis has it (`client-query-buffer-limit`).
    fn max_frame_length(&self) -> usize {
        1 << 30
    }
}

impl Resp {
    fn next_command<'a>(&mut self, input: &mut &'a [u8]) -> Result<Option<Command<'a>>, RespError> {
        loop {
            let bytes = *input;
            let Some(&first) = bytes.first() else { return Ok(None) };
            if first != b'*' {
                match inline(input)? {
                    Some(Command { count: 0, .. }) => continue,
                    command => return Ok(command),
                }
            }
            if self.seen == 0 {
                let Some((count, end)) = number(bytes, 1, "too big mbulk count string")? else { return Ok(None) };
                let Some(count) = count.filter(|count| *count <= i64::from(i32::MAX)) else {
                    return protocol("invalid multibulk length");
                };
                if count <= 0 {
                    *input = bytes.get(end..).unwrap_or_default();
                    continue;
                }
                self.count = count as usize;
                self.missing = self.count;
                self.first = end;
                self.seen = end;
            }
            while self.missing > 0 {
                let Some(&first) = bytes.get(self.seen) else { return Ok(None) };
                if first != b'$' {
                    // Redis says so when the line has ended.
                    let Some(_) = line_end(bytes, self.seen, LONG_LENGTH)? else { return Ok(None) };
                    return Err(RespError::Protocol([b"expected '$', got '", &[first][..], b"'"].concat()));
                }
                let Some((length, end)) = number(bytes, self.seen + 1, LONG_LENGTH)? else { return Ok(None) };
                let Some(length) = length.filter(|length| (0..=MAX_BULK).contains(length)) else {
                    return protocol("invalid bulk length");
                };
                let end = end + length as usize + 2;
                if bytes.len() < end {
                    return Ok(None);
                }
                self.seen = end;
                self.missing -= 1;
            }
            let end = std::mem::take(&mut self.seen);
            *input = &bytes[end..];
            return Ok(Some(Command { frame: Cow::Borrowed(&bytes[self.first..end]), count: self.count }));
        }
    }
}

/// The number from `at` to the end of its line, and where the next line begins; `None` until it is there. The number
/// itself is `None` if it is not one.
fn number(bytes: &[u8], at: usize, too_long: &'static str) -> Result<Option<(Option<i64>, usize)>, RespError> {
    let rest = &bytes[at..];
    // Nearly all are this short.
    match *rest {
        [ones @ b'0'..=b'9', b'\r', _, ..] => return Ok(Some((Some(i64::from(ones - b'0')), at + 3))),
        [tens @ b'1'..=b'9', ones @ b'0'..=b'9', b'\r', _, ..] => {
            return Ok(Some((Some(i64::from(tens - b'0') * 10 + i64::from(ones - b'0')), at + 4)));
        }
        _ => {}
    }
    let Some(end) = line_end(bytes, at, too_long)? else { return Ok(None) };
    Ok(Some((parse_integer(&bytes[at..end]), end + 2)))
}

/// Where the line that begins at `at` ends, if what follows its `\r` is there, too.
fn line_end(bytes: &[u8], at: usize, too_long: &'static str) -> Result<Option<usize>, RespError> {
    let rest = &bytes[at..];
    match rest.iter().take(MAX_LINE).position(|&byte| byte == b'\r') {
        Some(end) if rest.len() >= end + 2 => Ok(Some(at + end)),
        None if rest.len() >= MAX_LINE => protocol(too_long),
        _ => Ok(None),
    }
}

/// A number as Redis reads it: no spaces, no plus, no zeros in front.
pub fn parse_integer(bytes: &[u8]) -> Option<i64> {
    let shaped = matches!(bytes, b"0" | [b'1'..=b'9', ..] | [b'-', b'1'..=b'9', ..]);
    str::from_utf8(bytes).ok().filter(|_| shaped)?.parse().ok()
}

/// A plain line of words, for people: `SET greeting "hello world"`. No words, no command.
fn inline<'a>(input: &mut &'a [u8]) -> Result<Option<Command<'a>>, RespError> {
    let bytes = *input;
    let Some(end) = bytes.iter().take(MAX_LINE + 1).position(|&byte| byte == b'\n') else {
        return if bytes.len() > MAX_LINE { protocol("too big inline request") } else { Ok(None) };
    };
    let line = bytes[..end].strip_suffix(b"\r").unwrap_or(&bytes[..end]);
    let Some(words) = split_words(line) else { return protocol("unbalanced quotes in request") };
    *input = &bytes[end + 1..];
    let mut frame = Vec::new();
    for word in &words {
        frame.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
        frame.extend_from_slice(word);
        frame.extend_from_slice(b"\r\n");
    }
    Ok(Some(Command { frame: Cow::Owned(frame), count: words.len() }))
}
