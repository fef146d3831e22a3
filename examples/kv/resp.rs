//! The Redis protocol (RESP2) as a codec: commands as arrays of bulk strings or as plain lines, and the words of the
//! answers.

use std::borrow::Cow;

use socketserver::frames::Decoder;
use socketserver::frames::FrameError;

/// The longest value, as Redis has it (`proto-max-bulk-len`).
const MAX_BULK: i64 = 512 * 1024 * 1024;

/// The longest plain line, and the longest line that holds a length.
const MAX_LINE: usize = 64 * 1024;

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
        // The codec has checked the frame: a `$`, a length, and so many bytes.
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
                match bytes.get(self.seen) {
                    Some(b'$') => {}
                    Some(&other) => {
                        return Err(RespError::Protocol([b"expected '$', got '", &[other][..], b"'"].concat()));
                    }
                    None => return Ok(None),
                }
                let Some((length, end)) = number(bytes, self.seen + 1, "too big bulk count string")? else {
                    return Ok(None);
                };
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
    let Some(end) = rest.iter().take(MAX_LINE).position(|&byte| byte == b'\r') else {
        return if rest.len() >= MAX_LINE { protocol(too_long) } else { Ok(None) };
    };
    if rest.len() < end + 2 {
        return Ok(None);
    }
    Ok(Some((parse_integer(&rest[..end]), at + end + 2)))
}

/// A number as Redis reads it: no spaces, no plus, no zeros in front.
pub fn parse_integer(digits: &[u8]) -> Option<i64> {
    let (negative, magnitude) = match digits {
        [b'-', magnitude @ ..] => (true, magnitude),
        magnitude => (false, magnitude),
    };
    match magnitude {
        [b'0'] if !negative => return Some(0),
        [b'1'..=b'9', ..] if magnitude.len() < 20 => {}
        _ => return None,
    }
    let mut number = 0_i64;
    for digit in magnitude {
        let digit = i64::from(digit.wrapping_sub(b'0'));
        if !(0..10).contains(&digit) {
            return None;
        }
        // Downwards, because there is one more number below zero than above.
        number = number.checked_mul(10)?.checked_sub(digit)?;
    }
    if negative { Some(number) } else { number.checked_neg() }
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
        put_bulk(&mut frame, word);
    }
    Ok(Some(Command { frame: Cow::Owned(frame), count: words.len() }))
}

/// Words between spaces; `"..."` with `\n`, `\xff` and the like in it, `'...'` with `\'`. `None` if a quote is not
/// closed, or something follows it directly.
fn split_words(line: &[u8]) -> Option<Vec<Vec<u8>>> {
    let space = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c);
    let mut words = Vec::new();
    let mut rest = line.iter().copied().peekable();
    loop {
        while rest.next_if(space).is_some() {}
        if rest.peek().is_none() {
            return Some(words);
        }
        let mut word = Vec::new();
        while let Some(byte) = rest.next_if(|byte| !space(byte)) {
            match byte {
                quote @ (b'"' | b'\'') => {
                    loop {
                        match rest.next()? {
                            byte if byte == quote => break,
                            b'\\' if quote == b'"' => word.push(escaped(&mut rest)?),
                            b'\\' if rest.next_if_eq(&b'\'').is_some() => word.push(b'\''),
                            byte => word.push(byte),
                        }
                    }
                    if rest.peek().is_some_and(|byte| !space(byte)) {
                        return None;
                    }
                }
                byte => word.push(byte),
            }
        }
        words.push(word);
    }
}

/// What stands behind a backslash in double quotes.
fn escaped(rest: &mut (impl Iterator<Item = u8> + Clone)) -> Option<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let mut ahead = rest.clone();
    if let (Some(b'x'), Some(high), Some(low)) =
        (ahead.next(), ahead.next().and_then(digit), ahead.next().and_then(digit))
    {
        *rest = ahead;
        return Some((high * 16 + low) as u8);
    }
    Some(match rest.next()? {
        b'a' => 7,
        b'b' => 8,
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        byte => byte,
    })
}

/// `:12`
pub fn put_integer(output: &mut Vec<u8>, number: i64) {
    put_line(output, b':', number);
}

/// `*2`, in front of so many answers.
pub fn put_array(output: &mut Vec<u8>, count: usize) {
    put_line(output, b'*', count as i64);
}

/// Bytes of any kind, behind their length.
pub fn put_bulk(output: &mut Vec<u8>, bytes: &[u8]) {
    put_line(output, b'$', bytes.len() as i64);
    output.extend_from_slice(bytes);
    output.extend_from_slice(b"\r\n");
}

/// Nothing, where a value could be.
pub fn put_nil(output: &mut Vec<u8>) {
    output.extend_from_slice(b"$-1\r\n");
}

/// `+OK`
pub fn put_ok(output: &mut Vec<u8>) {
    output.extend_from_slice(b"+OK\r\n");
}

/// `-ERR ...`; the text is kept to one line.
pub fn put_error(output: &mut Vec<u8>, text: &[u8]) {
    output.extend_from_slice(b"-ERR ");
    output.extend(text.iter().map(|&byte| if matches!(byte, b'\r' | b'\n') { b' ' } else { byte }));
    output.extend_from_slice(b"\r\n");
}

fn put_line(output: &mut Vec<u8>, kind: u8, number: i64) {
    let mut digits = Digits::default();
    output.push(kind);
    output.extend_from_slice(digits.of(number));
    output.extend_from_slice(b"\r\n");
}

/// Room for the digits of a number.
#[derive(Default)]
pub struct Digits([u8; 20]);

impl Digits {
    pub fn of(&mut self, number: i64) -> &[u8] {
        let mut magnitude = number.unsigned_abs();
        let mut at = self.0.len();
        loop {
            at -= 1;
            self.0[at] = b'0' + (magnitude % 10) as u8;
            magnitude /= 10;
            if magnitude == 0 {
                break;
            }
        }
        if number < 0 {
            at -= 1;
            self.0[at] = b'-';
        }
        &self.0[at..]
    }
}
