//! Commands as plain lines, for people: `SET greeting "hello world"`; the words of such a line.

/// The words of a line, between spaces; `"..."` with `\n`, `\xff` and the like in it, `'...'` with `\'`. `None` if a
/// quote is not closed, or something follows it directly.
pub fn split_words(line: &[u8]) -> Option<Vec<Vec<u8>>> {
    let space = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c);
    // As Redis has it, the other spaces are part of a word that they do not stand in front of.
    let end = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\n' | b'\r');
    let mut words = Vec::new();
    let mut rest = line.iter().copied().peekable();
    loop {
        while rest.next_if(space).is_some() {}
        if rest.peek().is_none() {
            return Some(words);
        }
        let mut word = Vec::new();
        while let Some(byte) = rest.next_if(|byte| !end(byte)) {
            let quote = match byte {
                b'"' | b'\'' => byte,
                _ => {
                    word.push(byte);
                    continue;
                }
            };
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
            break;
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
