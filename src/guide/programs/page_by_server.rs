use std::io::Write;
use std::path::PathBuf;

use socketserver::{Flow, Handler, HandlerResult, Socket, Stream};

/// One: a handler, under any dispatch.
#[derive(Debug)]
pub struct Page {
    pub folder: PathBuf,
}

impl<S: Socket> Handler<Stream<S>> for Page {
    fn handle(&mut self, request: &mut Stream<S>) -> HandlerResult {
        let Some(line) = request.line()? else { return Ok(Flow::Continue) };
        request.write_all(&answer(&line, &self.folder))?;
        Ok(Flow::Close)
    }
}
