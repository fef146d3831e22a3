//! A client that ends its side in the middle of a message costs a call, not a CPU.

#[macro_use]
mod common;

use std::io::BufRead;
use std::io::Write;
use std::net::Shutdown;
use std::net::TcpStream;

use common::Count;
use common::Start;
use common::connect;
use common::read_rest;
use socketserver::Builder;
use socketserver::End;
use socketserver::Flow;
use socketserver::HandlerResult;
use socketserver::Stream;
use socketserver::Tcp;
use socketserver::handler::function;

/// Answers whole messages of four bytes, and leaves what is no whole one.
fn by_fours(request: &mut Stream<TcpStream>, calls: &Count) -> HandlerResult {
    assert!(calls.add_one() < 1_000, "called again and again");
    let (bytes, writer) = request.split_buffered();
    let whole = bytes.len().min(4) / 4 * 4;
    writer.write_all(&bytes[..whole])?;
    request.consume(whole);
    Ok(Flow::Continue)
}

under_each_dispatch! {
    fn the_rest_is_shown_once<D>() {
        let calls = Count::default();
        let counted = calls.clone();
        let server = Builder::<Tcp, D, _>::new(function(move |request: &mut _| by_fours(request, &counted))).start();
        for (input, answer) in [("abcdefghij", "abcdefgh"), ("ab", ""), ("abcd", "abcd")] {
            let mut client = connect(server.local_addr());
            client.write_all(input.as_bytes()).unwrap();
            client.shutdown(Shutdown::Write).unwrap();
            assert_eq!(read_rest(&client), answer.as_bytes());
        }
        assert_eq!(server.seen.wait_for_ends(3), [End::PeerClosed; 3]);
        // Bytes that are there already, then the end of input, and nothing taken of the rest: one call more each.
        assert!((6..=12).contains(&calls.get()), "{} calls", calls.get());
    }
}
