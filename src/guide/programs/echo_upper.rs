use std::io::{BufRead, ErrorKind, Read, Write};

use socketserver::{End, Flow, Handler, HandlerResult, Socket, Stream};

/// One call for the whole conversation, as in Python.
#[derive(Debug)]
pub struct EchoUpper;

impl<S: Socket> Handler<Stream<S>> for EchoUpper {
    fn handle(&mut self, request: &mut Stream<S>) -> HandlerResult {
        let client = request.peer_addr().cloned();
        let mut data = [0; 1024];
        loop {
            match request.read(&mut data) {
                Ok(0) => return Ok(Flow::Close),
                Ok(count) => {
                    println!("{client:?} wrote {}", String::from_utf8_lossy(&data[..count]));
                    request.write_all(&data[..count].to_ascii_uppercase())?;
                }
                Err(error) if error.kind() == ErrorKind::ConnectionReset => {
                    println!("{client:?} has reset the connection");
                    return Ok(Flow::Close);
                }
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// The same in turns: a call for each message.
#[derive(Debug)]
pub struct EchoUpperInTurns;

impl<S: Socket> Handler<Stream<S>> for EchoUpperInTurns {
    fn handle(&mut self, request: &mut Stream<S>) -> HandlerResult {
        let data = request.buffered().to_vec();
        request.consume(data.len());
        println!("{:?} wrote {}", request.peer_addr(), String::from_utf8_lossy(&data));
        request.write_all(&data.to_ascii_uppercase())?;
        Ok(Flow::Continue)
    }

    fn finish(&mut self, request: &mut Stream<S>, end: End) -> HandlerResult<()> {
        println!("{:?} has gone: {end}", request.peer_addr());
        Ok(())
    }
}
