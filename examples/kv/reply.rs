//! Answers, in the client's version of the protocol: RESP2 has lists where RESP3 has maps and sets.

/// The version of the protocol that a client has asked for.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Version {
    #[default]
    Resp2 = 2,
    Resp3 = 3,
}

/// Where the answer to a command goes.
#[derive(Debug)]
pub struct Reply<'a> {
    pub bytes: &'a mut Vec<u8>,
    pub version: Version,
}

impl Reply<'_> {
    /// `+OK`
    pub fn ok(&mut self) {
        self.bytes.extend_from_slice(b"+OK\r\n");
    }

    /// `+PONG`: a word of the protocol.
    pub fn status(&mut self, word: &str) {
        self.bytes.push(b'+');
        self.bytes.extend_from_slice(word.as_bytes());
        self.bytes.extend_from_slice(b"\r\n");
    }

    /// `-ERR syntax error`: a code and a text, which is kept to one line; ends of lines are left out behind it.
    pub fn error(&mut self, code: &str, text: &[u8]) {
        let is_end = |byte: &u8| matches!(byte, b'\r' | b'\n');
        let text = &text[..text.iter().rposition(|byte| !is_end(byte)).map_or(0, |last| last + 1)];
        self.bytes.push(b'-');
        self.bytes.extend_from_slice(code.as_bytes());
        self.bytes.push(b' ');
        self.bytes.extend(text.iter().map(|byte| if is_end(byte) { b' ' } else { *byte }));
        self.bytes.extend_from_slice(b"\r\n");
    }

    /// `:12`
    pub fn integer(&mut self, number: i64) {
        self.line(b':', number);
    }

    /// `$5`, then five bytes of any kind.
    pub fn bulk(&mut self, bytes: impl AsRef<[u8]>) {
        let bytes = bytes.as_ref();
        self.line(b'$', bytes.len() as i64);
        self.bytes.extend_from_slice(bytes);
        self.bytes.extend_from_slice(b"\r\n");
    }

    /// A text for people, which clients show as it is.
    pub fn text(&mut self, text: &str) {
        match self.version {
            Version::Resp2 => self.bulk(text),
            Version::Resp3 => {
                const FORMAT: &[u8] = b"txt:";
                self.line(b'=', (FORMAT.len() + text.len()) as i64);
                self.bytes.extend_from_slice(FORMAT);
                self.bytes.extend_from_slice(text.as_bytes());
                self.bytes.extend_from_slice(b"\r\n");
            }
        }
    }

    /// Nothing, where a value could be.
    pub fn nil(&mut self) {
        self.bytes.extend_from_slice(match self.version {
            Version::Resp2 => b"$-1\r\n",
            Version::Resp3 => b"_\r\n",
        });
    }

    /// `*2`, in front of this many answers.
    pub fn array(&mut self, count: usize) {
        self.line(b'*', count as i64);
    }

    /// As [`array`](Self::array), where the order means nothing.
    pub fn set(&mut self, count: usize) {
        match self.version {
            Version::Resp2 => self.array(count),
            Version::Resp3 => self.line(b'~', count as i64),
        }
    }

    /// In front of this many pairs of a name and a value.
    pub fn map(&mut self, pairs: usize) {
        match self.version {
            Version::Resp2 => self.array(pairs * 2),
            Version::Resp3 => self.line(b'%', pairs as i64),
        }
    }

    fn line(&mut self, kind: u8, number: i64) {
        self.bytes.push(kind);
        self.bytes.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
        self.bytes.extend_from_slice(b"\r\n");
    }
}
