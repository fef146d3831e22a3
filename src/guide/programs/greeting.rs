use std::io::{BufRead, Write};

use socketserver::{Flow, HandlerResult, Socket, Stream};

/// One line in, a greeting out.
pub fn greet<S: Socket>(request: &mut Stream<S>) -> HandlerResult {
    let mut name = String::new();
    request.read_line(&mut name)?;
    println!("{:?}: {}", std::thread::current().name(), name.trim_end());
    request.write_all("Grüße aus dem Süden\n".as_bytes())?;
    Ok(Flow::Close)
}
