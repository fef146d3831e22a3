//! What is served in memory takes the same steps as on a real server.

use std::io::BufRead;
use std::io::Read;
use std::io::Write;
use std::net::SocketAddr;
use std::time::Duration;

use socketserver::Datagram;
use socketserver::End;
use socketserver::Flow;
use socketserver::Handler;
use socketserver::HandlerFactoryExt;
use socketserver::HandlerResult;
use socketserver::ServerOptions;
use socketserver::Socket;
use socketserver::Stage;
use socketserver::Stream;
use socketserver::frames;
use socketserver::frames::LinesCodec;
use socketserver::handler::function;
use socketserver::testing::Client;
use socketserver::testing::MemorySocket;
use socketserver::testing::converse;
use socketserver::testing::converse_with;
use socketserver::testing::deliver;

type Memory = Stream<MemorySocket>;

/// Lines come back, between a greeting and a farewell.
struct Polite;

impl<S: Socket> Handler<Stream<S>> for Polite {
    fn setup(&mut self, request: &mut Stream<S>) -> HandlerResult<()> {
        request.write_all(b"hello\n")?;
        Ok(())
    }

    fn handle(&mut self, request: &mut Stream<S>) -> HandlerResult {
        let mut line = String::new();
        request.read_line(&mut line)?;
        match line.trim_end() {
            "fail" => return Err("on purpose".into()),
            "panic" => std::panic::resume_unwind(Box::new("on purpose")),
            "quit" => return Ok(Flow::Close),
            _ => request.write_all(line.as_bytes())?,
        }
        Ok(Flow::Continue)
    }

    fn finish(&mut self, request: &mut Stream<S>, end: End) -> HandlerResult<()> {
        request.write_all(format!("bye, {end:?}\n").as_bytes())?;
        Ok(())
    }
}

#[test]
fn a_conversation_goes_on_to_the_end_of_input() {
    let outcome = converse(|| Polite, ["one\ntwo\n"]);
    assert_eq!(String::from_utf8(outcome.output).unwrap(), "hello\none\ntwo\nbye, PeerClosed\n");
    assert_eq!((outcome.end, outcome.calls, outcome.errors.len()), (End::PeerClosed, 2, 0));
}

#[test]
fn what_the_handler_leaves_unread_is_no_obstacle() {
    let outcome = converse(|| Polite, ["quit\nunread\n", "and more\n"]);
    assert_eq!(outcome.output, b"hello\nbye, HandlerClosed\n");
    assert_eq!(outcome.end, End::HandlerClosed);
}

#[test]
fn errors_and_panics_are_told_and_finish_is_called() {
    for (line, end, error) in
        [("fail\n", End::Failed, "handle: on purpose"), ("panic\n", End::Panicked, "handle: panicked: on purpose")]
    {
        let outcome = converse(|| Polite, [line]);
        assert_eq!((outcome.end, outcome.errors.len()), (end, 1));
        assert_eq!((outcome.errors[0].to_string(), outcome.errors[0].is_panic), (error.to_owned(), line == "panic\n"));
        assert_eq!(String::from_utf8(outcome.output).unwrap(), format!("hello\nbye, {end:?}\n"));
    }
}

#[test]
fn pieces_arrive_one_by_one() {
    // A handler that looks at what is there, and takes whole words only.
    let seen = std::cell::RefCell::new(Vec::new());
    let words = function(|request: &mut Memory| {
        seen.borrow_mut().push(request.buffered().len());
        if request.buffered().len() >= 4 {
            let mut word = [0; 4];
            request.read_exact(&mut word)?;
            request.write_all(&word)?;
        }
        Ok(Flow::Continue)
    });
    assert_eq!(converse(words, ["ab", "c", "", "defgh"]).output, b"abcdefgh");
    assert_eq!(*seen.borrow(), [2, 3, 8, 4]);
    // And one that waits inside handle.
    let waits = function(|request: &mut Memory| {
        let mut word = [0; 8];
        request.read_exact(&mut word)?;
        request.write_all(&word)?;
        Ok(Flow::Close)
    });
    let outcome = converse(waits, ["ab", "cd", "ef", "gh"]);
    assert_eq!((outcome.output.as_slice(), outcome.calls), (b"abcdefgh".as_slice(), 1));
}

#[test]
fn silent_clients_and_refused_ones_meet_no_handler() {
    let outcome = converse(|| Polite, [""; 0]);
    assert_eq!((outcome.output.as_slice(), outcome.end, outcome.calls), (b"".as_slice(), End::PeerClosed, 0));
    let outcome = converse((|| Polite).verify(|request: &Memory| request.peer_addr().is_none()), ["one\n"]);
    assert_eq!((outcome.output.as_slice(), outcome.end), (b"".as_slice(), End::Refused));
}

#[test]
fn handlers_of_frames_are_served_too() {
    let factory = frames::function(LinesCodec::new(), |line: &str, replies| {
        replies.send(line.to_uppercase())?;
        Ok(Flow::Continue)
    });
    assert_eq!(converse(factory, ["one\r\nt", "wo\n"]).output, b"ONE\nTWO\n");
}

#[test]
fn more_than_any_buffer_holds_passes() {
    let input = vec![b'x'; 1 << 20];
    let echo = function(|request: &mut Memory| {
        let bytes = request.buffered().to_vec();
        request.consume(bytes.len());
        request.write_all(&bytes)?;
        Ok(Flow::Continue)
    });
    assert!(converse(echo, [&input]).output == input);
}

#[test]
fn a_message_has_its_replies() {
    let talk = |request: &mut Datagram<SocketAddr>| {
        assert!(request.payload() != b"panic", "on purpose");
        let payload = request.payload().to_vec();
        request.reply(&payload)?;
        request.reply(b"and")?;
        request.reply(b"")?;
        Ok(Flow::Close)
    };
    let outcome = deliver(function(talk), "hello");
    assert_eq!(outcome.output, [b"hello".as_slice(), b"and", b""]);
    assert_eq!((outcome.end, outcome.calls), (End::HandlerClosed, 1));
    let outcome = deliver(function(talk), "panic");
    assert!(outcome.output.is_empty());
    assert_eq!(outcome.errors[0].message, "handle: panicked: on purpose");
}

fn short() -> ServerOptions {
    let short = Duration::from_millis(20);
    ServerOptions::new().idle_timeout(short).read_timeout(short).write_timeout(short).drain_timeout(short)
}

#[test]
fn a_client_that_falls_silent() {
    let outcome = converse_with(|| Polite, Client::new().sends("one\n").then_is_silent(), short());
    assert_eq!((outcome.end, outcome.errors.len()), (End::IdleTimeout, 0));
    assert_eq!(String::from_utf8(outcome.output).unwrap(), "hello\none\nbye, IdleTimeout\n");
    let outcome = converse_with(|| Polite, Client::new().sends("one\ntw").then_is_silent(), short());
    assert_eq!(outcome.end, End::TimedOut);
    let [error] = &outcome.errors[..] else { panic!("{:?}", outcome.errors) };
    assert_eq!((error.stage, error.is_timeout, error.is_disconnect), (Stage::Handle, true, false));
}

#[test]
fn a_client_that_does_not_read() {
    let outcome = converse_with(|| Polite, Client::new().sends("one\n").reads_at_most(8), short());
    assert_eq!((outcome.end, &outcome.output[..]), (End::TimedOut, &b"hello\non"[..]));
}

#[test]
fn a_client_that_vanishes() {
    let outcome = converse_with(|| Polite, Client::new().sends("one\ntw").then_resets(), short());
    assert_eq!(outcome.end, End::Failed);
    let [error] = &outcome.errors[..] else { panic!("{:?}", outcome.errors) };
    assert!(error.is_disconnect);
}

#[test]
fn a_server_that_stops() {
    // Between two messages at once, in the middle of one when it is over, or at the deadline.
    let client = Client::new().sends("one\n").server_stops().sends("two\n").then_is_silent();
    let outcome = converse_with(|| Polite, client, short());
    assert_eq!((outcome.end, &outcome.output[..]), (End::Drained, &b"hello\none\nbye, Drained\n"[..]));
    let client = Client::new().sends("tw").server_stops().sends("o\nthree\n").then_is_silent();
    let outcome = converse_with(|| Polite, client, ServerOptions::new());
    assert_eq!(outcome.end, End::Drained);
    assert!(outcome.output.starts_with(b"hello\ntwo\n"), "{:?}", outcome.output);
}
