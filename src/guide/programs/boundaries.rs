use std::io::{BufRead, Read, Write};

use socketserver::{Flow, HandlerResult, Socket, Stream};

/// Wrong: takes the result of one read for a message, when it may be half a message, or three.
pub fn count_reads<S: Socket>(request: &mut Stream<S>) -> HandlerResult {
    let length = request.buffered().len();
    request.consume(length);
    writeln!(request, "{length} bytes")?;
    Ok(Flow::Continue)
}

/// A length in front: four bytes, big-endian.
pub fn with_length<S: Socket>(request: &mut Stream<S>) -> HandlerResult {
    let mut head = [0; 4];
    request.read_exact(&mut head)?;
    let length = u32::from_be_bytes(head) as usize;
    if length > 64 << 10 {
        return Err(format!("a message of {length} bytes is too long").into());
    }
    let mut message = vec![0; length];
    request.read_exact(&mut message)?;
    writeln!(request, "{length} bytes")?;
    Ok(Flow::Continue)
}

/// The length is a line of text, and the rest is counted down while it arrives: for files, which need not fit in memory.
pub fn counting_what_is_left<S: Socket>(request: &mut Stream<S>) -> HandlerResult {
    let mut line = String::new();
    request.read_line(&mut line)?;
    let length: usize = line.trim().parse()?;
    let mut left = length;
    while left > 0 {
        let count = request.fill_buf()?.len().min(left);
        if count == 0 {
            return Err("the client has gone in the middle of a message".into());
        }
        request.consume(count);
        left -= count;
    }
    writeln!(request, "{length} bytes")?;
    Ok(Flow::Continue)
}
