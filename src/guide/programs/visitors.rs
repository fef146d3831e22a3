use std::io::Write;

use socketserver::{End, Flow, Handler, HandlerResult, Socket, Stream};

/// Says when clients come and go.
#[derive(Debug)]
pub struct Visitors;

impl<S: Socket> Handler<Stream<S>> for Visitors {
    fn setup(&mut self, request: &mut Stream<S>) -> HandlerResult<()> {
        println!("{:?} has come", request.peer_addr());
        Ok(())
    }

    fn handle(&mut self, request: &mut Stream<S>) -> HandlerResult {
        let Some(line) = request.line()? else { return Ok(Flow::Continue) };
        write!(request, "{:?}: {line}", std::thread::current().name())?;
        Ok(Flow::Continue)
    }

    fn finish(&mut self, request: &mut Stream<S>, end: End) -> HandlerResult<()> {
        println!("{:?} has gone: {end}", request.peer_addr());
        Ok(())
    }
}
