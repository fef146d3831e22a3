//! Deadlines hold against clients that are silent, that drip, and that never read; bytes that trickle in do not extend
//! them.

#[macro_use]
mod common;

use std::io::BufRead;
use std::io::Write;
use std::net::TcpStream;
use std::time::Duration;
use std::time::Instant;

use common::Listen;
use common::PATIENCE;
use common::Sender;
use common::Start;
use common::ask;
use common::channel;
use common::connect;
use common::drip;
use common::echo::echo_line;
use common::read_rest;
use socketserver::Builder;
use socketserver::End;
use socketserver::Flow;
use socketserver::Handler;
use socketserver::HandlerResult;
use socketserver::RequestError;
use socketserver::Stage;
use socketserver::Stream;
use socketserver::Tcp;
use socketserver::frames;
use socketserver::frames::Decoder;
use socketserver::frames::Encoder;
use socketserver::frames::FrameError;
use socketserver::frames::Replies;
use socketserver::handler::function;

const SHORT: Duration = Duration::from_millis(150);

/// More than the kernel takes in for a client that does not read.
const MUCH: usize = 64 << 20;

/// Takes whole lines only: a part of one stays in the buffer, and the connection waits for the rest.
fn echo_whole_line(request: &mut Stream<TcpStream>) -> HandlerResult {
    if request.buffered().contains(&b'\n') { echo_line(request) } else { Ok(Flow::Continue) }
}

/// Takes lines as they come, and answers their ends.
fn take_pieces(request: &mut Stream<TcpStream>) -> HandlerResult {
    let (count, is_whole) = (request.buffered().len(), request.buffered().ends_with(b"\n"));
    request.consume(count);
    if is_whole {
        request.write_all(b"whole\n")?;
    } else {
        request.message_goes_on();
    }
    Ok(Flow::Continue)
}

/// Lines, whose parts it keeps for itself.
#[derive(Clone, Default)]
struct Collects(Vec<u8>);

impl Decoder for Collects {
    type Item<'a> = Vec<u8>;
    type Error = FrameError;

    fn decode(&mut self, input: &mut &[u8]) -> Result<Option<Vec<u8>>, FrameError> {
        let end = input.iter().position(|byte| *byte == b'\n').map_or(input.len(), |at| at + 1);
        let (piece, rest) = input.split_at(end);
        self.0.extend_from_slice(piece);
        *input = rest;
        Ok(self.0.ends_with(b"\n").then(|| std::mem::take(&mut self.0)))
    }
}

impl Encoder<Vec<u8>> for Collects {
    type Error = FrameError;

    fn encode(&mut self, line: Vec<u8>, output: &mut Vec<u8>) -> Result<(), FrameError> {
        output.extend(line);
        Ok(())
    }
}

type Told = (Stage, bool, String);

fn tell(sender: Sender<Told>) -> impl Fn(&RequestError, Option<&std::net::SocketAddr>) {
    move |error, peer| {
        assert!(peer.is_some());
        let told = (error.stage(), error.is_timeout(), error.to_string());
        sender.send(told).unwrap();
    }
}

#[test]
fn a_thread_may_wait_for_ever_for_its_next_request() {
    let threads = socketserver::ThreadPerRequest::default().idle_timeout(Duration::MAX);
    let server = Builder::<Tcp, socketserver::ThreadPerRequest, _>::new(function(echo_line)).dispatch(threads).start();
    for _ in 0..2 {
        assert_eq!(ask(connect(server.local_addr()), "hello"), "hello");
    }
    assert!(server.seen.wait_for_stops(2, PATIENCE));
    let report = server.stop();
    assert_eq!((report.accepted, report.finished), (2, 2), "{report}");
}

under_each_dispatch! {
    fn the_longest_times_are_as_none<D>() {
        let server = Builder::<Tcp, D, _>::new(function(echo_line))
            .idle_timeout(Duration::MAX)
            .read_timeout(Duration::MAX)
            .write_timeout(Duration::MAX)
            .establish_timeout(Duration::MAX)
            .total_timeout(Duration::MAX)
            .rate_grace(Duration::MAX)
            .linger(Duration::MAX, usize::MAX)
            .drain_timeout(Duration::MAX)
            .service_interval(Duration::MAX)
            .max_buffered(usize::MAX)
            .max_pending_output(usize::MAX)
            .start();
        let client = connect(server.local_addr());
        assert_eq!(ask(&client, "hello"), "hello");
        (&client).write_all(b"in two ").unwrap();
        assert_eq!(ask(&client, "parts"), "in two parts");
        drop(client);
        assert!(server.seen.wait_for_stops(1, PATIENCE));
        let report = server.stop();
        assert_eq!((report.accepted, report.finished), (1, 1), "{report}");
    }

    fn a_silent_client_is_closed<D>() {
        let server = Builder::<Tcp, D, _>::new(function(echo_line)).idle_timeout(SHORT).start();
        let begun = Instant::now();
        assert_eq!(read_rest(&connect(server.local_addr())), b"");
        assert!(begun.elapsed() >= SHORT, "after {:?}", begun.elapsed());
        assert!(server.seen.wait_for_stops(1, PATIENCE));
        assert_eq!((server.seen.ended(End::IdleTimeout), server.seen.errors().len()), (1, 0));
        let report = server.stop();
        assert_eq!((report.accepted, report.idle_closed), (1, 1), "{report}");
    }

    fn a_client_that_falls_silent_is_closed_and_its_handler_told<D>() {
        struct Notes(Sender<End>);
        impl Handler<Stream<TcpStream>> for Notes {
            fn handle(&mut self, request: &mut Stream<TcpStream>) -> HandlerResult {
                echo_line(request)
            }
            fn finish(&mut self, request: &mut Stream<TcpStream>, end: End) -> HandlerResult<()> {
                request.write_all(b"bye\n")?;
                self.0.send(end)?;
                Ok(())
            }
        }
        let (note, noted) = channel();
        let make = move || Notes(note.clone());
        let server = Builder::<Tcp, D, _>::new(make).idle_timeout(SHORT).start();
        let client = connect(server.local_addr());
        // The time counts anew from each message.
        for _ in 0..3 {
            assert_eq!(ask(&client, "hello"), "hello");
        }
        assert_eq!(read_rest(&client), b"bye\n");
        assert_eq!(noted.recv_timeout(PATIENCE).unwrap(), End::IdleTimeout);
        drop(client);
        let report = server.stop();
        assert_eq!(report.seen.ended(End::IdleTimeout), 1);
    }

    fn a_message_that_drips_in_has_one_deadline<D>() {
        let (sender, told) = channel();
        let server = Builder::<Tcp, D, _>::new(function(echo_whole_line)).read_timeout(SHORT)
            .on_error(tell(sender))
            .start();
        let client = connect(server.local_addr());
        assert_eq!(ask(&client, "whole"), "whole");
        let sent = drip(&client);
        // Each byte came long before the deadline; all of them together did not extend it.
        assert!((1..1000).contains(&sent), "{sent} bytes");
        let error = told.recv_timeout(PATIENCE).unwrap();
        assert_eq!(error, (Stage::Handle, true, "handle: receiving a message took longer than 150ms".to_owned()));
        drop(client);
        let report = server.stop();
        assert_eq!(report.seen.ended(End::TimedOut), 1);
        assert_eq!((report.accepted, report.failed), (1, 1), "{report}");
    }

    fn a_message_that_is_taken_piece_by_piece_has_one_deadline<D>() {
        let (sender, told) = channel();
        let server = Builder::<Tcp, D, _>::new(function(take_pieces)).read_timeout(SHORT).on_error(tell(sender)).start();
        let client = connect(server.local_addr());
        // The time is that of one message: those before it, and the pauses between them, are not counted.
        for _ in 0..2 {
            (&client).write_all(b"who").unwrap();
            assert_eq!(ask(&client, "le"), "whole");
            std::thread::sleep(2 * SHORT);
        }
        let sent = drip(&client);
        assert!((1..1000).contains(&sent), "{sent} bytes");
        let error = told.recv_timeout(PATIENCE).unwrap();
        assert_eq!(error, (Stage::Handle, true, "handle: receiving a message took longer than 150ms".to_owned()));
        let report = server.stop();
        assert_eq!((report.accepted, report.failed), (1, 1), "{report}");
    }

    fn a_message_whose_codec_takes_pieces_has_one_deadline<D>() {
        let (sender, told) = channel();
        let echo = frames::function(Collects::default(), |line: Vec<u8>, replies: &mut Replies<'_, Collects>| {
            replies.send(line)?;
            Ok(Flow::Continue)
        });
        let server = Builder::<Tcp, D, _>::new(echo).read_timeout(SHORT).on_error(tell(sender)).start();
        let client = connect(server.local_addr());
        assert_eq!(ask(&client, "one"), "one");
        std::thread::sleep(2 * SHORT);
        (&client).write_all(b"two\nthr").unwrap();
        assert_eq!(ask(&client, "ee"), "two");
        let mut rest = String::new();
        std::io::BufReader::new(&client).read_line(&mut rest).unwrap();
        assert_eq!(rest, "three\n");
        std::thread::sleep(2 * SHORT);
        let sent = drip(&client);
        assert!((1..1000).contains(&sent), "{sent} bytes");
        assert!(told.recv_timeout(PATIENCE).unwrap().1, "a timeout");
        let report = server.stop();
        assert_eq!((report.accepted, report.failed), (1, 1), "{report}");
    }

    fn a_read_inside_handle_has_one_deadline<D>() {
        let (sender, told) = channel();
        let server = Builder::<Tcp, D, _>::new(function(echo_line)).read_timeout(SHORT)
            .on_error(tell(sender))
            .start();
        let client = connect(server.local_addr());
        let sent = drip(&client);
        assert!((1..1000).contains(&sent), "{sent} bytes");
        let (stage, is_timeout, text) = told.recv_timeout(PATIENCE).unwrap();
        assert_eq!((stage, is_timeout), (Stage::Handle, true), "{text}");
        assert!(text.ends_with("took longer than 150ms"), "{text}");
        drop(client);
        let report = server.stop();
        assert_eq!((report.accepted, report.failed), (1, 1), "{report}");
    }

    fn a_write_inside_handle_has_a_deadline<D>() {
        let (sender, told) = channel();
        let handler = function(|request: &mut Stream<TcpStream>| {
            request.write_all(&vec![b'x'; MUCH])?;
            Ok(Flow::Close)
        });
        let server = Builder::<Tcp, D, _>::new(handler).write_timeout(SHORT).on_error(tell(sender)).start();
        let mut client = connect(server.local_addr());
        client.write_all(b"go\n").unwrap();
        let (stage, is_timeout, text) = told.recv_timeout(PATIENCE).unwrap();
        assert_eq!((stage, is_timeout), (Stage::Handle, true), "{text}");
        assert!(text.ends_with("took longer than 150ms"), "{text}");
        drop(client);
        assert!(server.seen.wait_for_stops(1, PATIENCE));
        let report = server.stop();
        assert_eq!((report.accepted, report.failed), (1, 1), "{report}");
    }

    fn handle_request_gives_up_after_its_timeout<D>() {
        let (note, noted) = channel();
        let mut server = Builder::<Tcp, D, _>::new(function(echo_line)).request_timeout(SHORT)
            .on_timeout(move || note.send(()).unwrap())
            .listen();
        let begun = Instant::now();
        assert_eq!(server.handle_request().unwrap(), socketserver::Handled::TimedOut);
        assert!(begun.elapsed() >= SHORT);
        noted.try_recv().unwrap();
        noted.try_recv().unwrap_err();
    }

    fn what_is_left_to_send_has_a_deadline<D>() {
        let (sender, told) = channel();
        let handler = function(|request: &mut Stream<TcpStream>| {
            let count = request.fill_buf()?.len();
            request.consume(count);
            request.write_all(&vec![b'x'; MUCH])?;
            Ok(Flow::Continue)
        });
        let server = Builder::<Tcp, D, _>::new(handler).write_timeout(SHORT).max_pending_output(2 * MUCH)
            .on_error(tell(sender))
            .start();
        let mut client = connect(server.local_addr());
        client.write_all(b"go\n").unwrap();
        let error = told.recv_timeout(PATIENCE).unwrap();
        assert_eq!(error, (Stage::Handle, true, "handle: sending took longer than 150ms".to_owned()));
        assert!(server.seen.wait_for_stops(1, PATIENCE));
        assert_eq!(server.seen.ended(End::TimedOut), 1);
        drop(client);
        let report = server.stop();
        assert_eq!((report.accepted, report.failed), (1, 1), "{report}");
    }
}
