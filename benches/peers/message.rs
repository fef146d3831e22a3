//! What is sent, and what has to come back: messages differ by connection and by number, so a stale or foreign reply is
//! noticed.

/// A kind, six letters for the connection, eight for the number.
const HEADER: usize = 15;

/// The handler may answer at once.
pub(crate) const QUICK: u8 = b'q';
/// The handler sleeps first, where it is one that does.
pub(crate) const SLOW: u8 = b's';

/// How long a handler sleeps that was asked to.
pub(crate) const NAP: std::time::Duration = std::time::Duration::from_millis(50);

/// The messages of one size, and their replies: lines in lower case, which come back as they are or in upper case.
pub(crate) struct Pattern {
    request: Vec<u8>,
    reply: Vec<u8>,
    first_letter: u8,
}

impl Pattern {
    pub(crate) fn new(size: usize, upper: bool) -> Self {
        assert!(size > HEADER, "{size} bytes have no room for the header");
        let mut request: Vec<u8> = (b'a'..=b'z').cycle().take(size).collect();
        request[size - 1] = b'\n';
        let reply = if upper { request.to_ascii_uppercase() } else { request.clone() };
        Self { request, reply, first_letter: if upper { b'A' } else { b'a' } }
    }

    pub(crate) fn size(&self) -> usize {
        self.request.len()
    }

    /// The message `number` of a connection.
    pub(crate) fn request(&mut self, kind: u8, connection: usize, number: u32) -> &[u8] {
        self.request[0] = kind;
        write_header(&mut self.request, b'a', connection, number);
        &self.request
    }

    /// What has to come back for it.
    pub(crate) fn reply(&mut self, kind: u8, connection: usize, number: u32) -> &[u8] {
        self.reply[0] = kind - b'a' + self.first_letter;
        write_header(&mut self.reply, self.first_letter, connection, number);
        &self.reply
    }
}

/// The number in a reply that has a whole header.
pub(crate) fn number_of(reply: &[u8]) -> Option<u32> {
    let digits = reply.get(7..HEADER)?;
    digits.iter().try_fold(0, |number, letter| {
        let digit = letter.to_ascii_lowercase().checked_sub(b'a').filter(|digit| *digit < 16)?;
        Some(number << 4 | u32::from(digit))
    })
}

fn write_header(bytes: &mut [u8], first_letter: u8, connection: usize, number: u32) {
    let letter = |value: usize| first_letter + (value & 0xf) as u8;
    for (place, byte) in bytes[1..7].iter_mut().rev().enumerate() {
        *byte = letter(connection >> (4 * place));
    }
    for (place, byte) in bytes[7..HEADER].iter_mut().rev().enumerate() {
        *byte = letter((number >> (4 * place)) as usize);
    }
}
