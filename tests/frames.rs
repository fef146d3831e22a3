//! Frames between real clients and handlers: whole messages, few writes, answers to what is no message, slow senders
//! that hold no worker.

mod common;

use std::io;
use std::io::BufRead;
use std::io::BufReader;
use std::io::Read;
use std::io::Write;
use std::net::SocketAddr;
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::mpsc;
use std::sync::mpsc::Receiver;
use std::sync::mpsc::Sender;
use std::time::Duration;

use common::PATIENCE;
use common::Start;
use socketserver::Builder;
use socketserver::End;
use socketserver::Flow;
use socketserver::Handler;
use socketserver::HandlerFactory;
use socketserver::HandlerResult;
use socketserver::Pool;
use socketserver::Socket;
use socketserver::Stream;
use socketserver::Sync;
use socketserver::Tcp;
use socketserver::ThreadPerRequest;
use socketserver::frames;
use socketserver::frames::FrameError;
use socketserver::frames::FrameHandler;
use socketserver::frames::Frames;
use socketserver::frames::LengthDelimitedCodec;
use socketserver::frames::LinesCodec;
use socketserver::frames::Replies;
use socketserver::request::Fill;
use socketserver::request::Request;

/// Answers lines in upper case, says what is wrong with the others, and tells the test about both ends.
struct Shout {
    told: Sender<String>,
    lines: usize,
}

impl<S: Socket> FrameHandler<LinesCodec, S> for Shout {
    fn message(&mut self, line: &str, replies: &mut Replies<'_, LinesCodec>) -> HandlerResult {
        self.lines += 1;
        if line == "fail" {
            return Err("asked to fail".into());
        }
        if line == "panic" {
            std::panic::resume_unwind(Box::new("asked to panic"));
        }
        replies.send(line.to_uppercase())?;
        Ok(if line == "bye" { Flow::Close } else { Flow::Continue })
    }

    fn error(&mut self, error: FrameError, replies: &mut Replies<'_, LinesCodec>) -> HandlerResult {
        replies.send(format!("error: {error}"))?;
        Ok(if let FrameError::TooLong { .. } = error { Flow::Close } else { Flow::Continue })
    }

    fn finish(&mut self, _: &mut Stream<S>, replies: &mut Replies<'_, LinesCodec>, end: End) -> HandlerResult<()> {
        replies.send(format!("{} lines", self.lines))?;
        self.told.send(format!("{} lines, {end:?}", self.lines))?;
        Ok(())
    }
}

struct Client {
    stream: BufReader<TcpStream>,
}

impl Client {
    fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).expect("connect");
        stream.set_read_timeout(Some(PATIENCE)).expect("read timeout");
        stream.set_nodelay(true).expect("nodelay");
        Self { stream: BufReader::new(stream) }
    }

    fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.get_mut().write_all(bytes.as_ref()).expect("send");
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.stream.read_line(&mut line).expect("a line");
        line
    }

    fn rest(mut self) -> String {
        self.stream.get_mut().shutdown(std::net::Shutdown::Write).expect("shutdown");
        let mut rest = String::new();
        self.stream.read_to_string(&mut rest).expect("the rest");
        rest
    }
}

fn shout(told: Sender<String>) -> impl HandlerFactory<Stream<TcpStream>, Handler: Send> + Send + std::marker::Sync {
    move || Frames::new(LinesCodec::with_max_length(100), Shout { told: told.clone(), lines: 0 })
}

/// Runs `$check` against a server of each dispatch that has threads.
macro_rules! check_each_dispatch {
    ($check:expr, $factory:expr) => {{
        let check: fn(SocketAddr, &Receiver<String>) = $check;
        check_each_dispatch!(@ Sync, Sync::default(), check, $factory);
        check_each_dispatch!(@ ThreadPerRequest, ThreadPerRequest::default(), check, $factory);
        check_each_dispatch!(@ Pool, Pool::default().workers(1), check, $factory);
    }};
    (@ $type:ty, $dispatch:expr, $check:expr, $factory:expr) => {{
        let (told, hears) = mpsc::channel();
        let server = Builder::<Tcp, $type, _>::new($factory(told)).dispatch($dispatch).start();
        $check(server.local_addr(), &hears);
        server.stop();
    }};
}

#[test]
fn messages_are_whole_however_they_arrive() {
    check_each_dispatch!(
        |address, hears| {
            let mut client = Client::connect(address);
            client.send("split ");
            client.send("in pieces\r");
            client.send("\nand ");
            client.send("merged\nwith the next\nand a begin");
            assert_eq!(client.line(), "SPLIT IN PIECES\n");
            assert_eq!(client.line(), "AND MERGED\n");
            assert_eq!(client.line(), "WITH THE NEXT\n");
            client.send(" that ends\n");
            assert_eq!(client.line(), "AND A BEGIN THAT ENDS\n");
            client.send("and a last one without an end");
            assert_eq!(client.rest(), "AND A LAST ONE WITHOUT AN END\n5 lines\n");
            assert_eq!(hears.recv_timeout(PATIENCE).expect("finish"), "5 lines, PeerClosed");
        },
        shout
    );
}

#[test]
fn a_line_too_long_is_answered_and_the_connection_closed() {
    check_each_dispatch!(
        |address, hears| {
            let mut client = Client::connect(address);
            client.send("fine\n");
            client.send("x".repeat(100_000));
            assert_eq!(client.line(), "FINE\n");
            assert_eq!(client.line(), "error: frame longer than 100 bytes\n");
            assert_eq!(client.line(), "1 lines\n");
            assert_eq!(client.line(), "", "closed, not reset");
            assert_eq!(hears.recv_timeout(PATIENCE).expect("finish"), "1 lines, HandlerClosed");
        },
        shout
    );
}

#[test]
fn a_handler_may_go_on_behind_a_faulty_message() {
    check_each_dispatch!(
        |address, _| {
            let mut client = Client::connect(address);
            client.send(b"a\n\xff\nb\n");
            assert_eq!(client.rest(), "A\nerror: invalid frame: the line is not UTF-8\nB\n2 lines\n");
        },
        shout
    );
}

#[test]
fn replies_before_a_failure_or_a_close_are_sent() {
    check_each_dispatch!(
        |address, hears| {
            let mut client = Client::connect(address);
            client.send("one\ntwo\nfail\nnever\n");
            assert_eq!(client.rest(), "ONE\nTWO\n3 lines\n");
            assert_eq!(hears.recv_timeout(PATIENCE).expect("finish"), "3 lines, Failed");
            let mut client = Client::connect(address);
            client.send("one\ntwo\npanic\nnever\n");
            assert_eq!(client.rest(), "ONE\nTWO\n3 lines\n");
            assert_eq!(hears.recv_timeout(PATIENCE).expect("finish"), "3 lines, Panicked");
            let mut client = Client::connect(address);
            client.send("one\nbye\nnever\n");
            assert_eq!(client.rest(), "ONE\nBYE\n2 lines\n");
            assert_eq!(hears.recv_timeout(PATIENCE).expect("finish"), "2 lines, HandlerClosed");
        },
        shout
    );
}

#[test]
fn the_end_of_input_ends_a_message_that_was_waited_for() {
    check_each_dispatch!(
        |address, hears| {
            let mut client = Client::connect(address);
            client.send("no end");
            // Meanwhile the first connection has been waited for (on the one thread of `Sync`).
            let mut other = Client::connect(address);
            other.send("other\n");
            assert_eq!(other.line(), "OTHER\n");
            assert_eq!(client.rest(), "NO END\n1 lines\n");
            assert_eq!(hears.recv_timeout(PATIENCE).expect("finish"), "1 lines, PeerClosed");
        },
        shout
    );
}

#[test]
fn slow_senders_hold_no_worker() {
    // One thread serves all: if a message that has begun held it, the others would wait for ever.
    check_each_dispatch!(
        |address, _| {
            let mut slow: Vec<Client> = (0..20).map(|_| Client::connect(address)).collect();
            for part in ["o", "n", "e"] {
                for client in &mut slow {
                    client.send(part);
                }
                let mut quick = Client::connect(address);
                quick.send("quick\n");
                assert_eq!(quick.line(), "QUICK\n");
            }
            for mut client in slow {
                client.send("\ntwo");
                assert_eq!(client.line(), "ONE\n");
                assert_eq!(client.rest(), "TWO\n2 lines\n");
            }
        },
        shout
    );
}

#[test]
fn a_frame_longer_than_the_servers_buffer_arrives_whole() {
    let length = |codec: &LengthDelimitedCodec| {
        let codec = codec.clone();
        move |_| {
            frames::function(codec.clone(), |frame, replies| {
                replies.send(frame)?;
                Ok(Flow::Continue)
            })
        }
    };
    let codec = LengthDelimitedCodec::new().max_frame_length(3_000_000);
    check_each_dispatch!(
        |address, _| {
            let mut client = Client::connect(address);
            let body: Vec<u8> = (0..3_000_000_u32).map(|number| (number % 251) as u8).collect();
            let mut frame = 3_000_000_u32.to_be_bytes().to_vec();
            frame.extend_from_slice(&body);
            let mut sender = client.stream.get_ref().try_clone().expect("a second handle");
            let sent = frame.clone();
            let sending = std::thread::spawn(move || sender.write_all(&sent).expect("send"));
            let mut answer = vec![0; frame.len()];
            client.stream.read_exact(&mut answer).expect("the answer");
            sending.join().expect("the sender");
            assert!(answer == frame, "the frame came back as another");
        },
        length(&codec)
    );
}

#[test]
fn an_error_that_the_handler_does_not_answer_goes_to_handle_error() {
    let (told, hears) = mpsc::channel();
    let codec = LengthDelimitedCodec::new();
    let server = Builder::<Tcp, ThreadPerRequest, _>::new(frames::function(codec, |_, _| Ok(Flow::Continue)))
        .on_error(move |error: &socketserver::RequestError, _| told.send(error.to_string()).expect("the test listens"))
        .start();
    let mut client = Client::connect(server.local_addr());
    client.send([0xff; 4]);
    assert_eq!(client.rest(), "");
    assert_eq!(hears.recv_timeout(PATIENCE).expect("an error"), "handle: frame longer than 65536 bytes");
    let mut client = Client::connect(server.local_addr());
    client.send(b"\0\0\0\x05he");
    assert_eq!(client.rest(), "");
    let error = hears.recv_timeout(PATIENCE).expect("an error");
    assert_eq!(error, "handle: the input ended inside a frame, 6 bytes after its begin");
    server.stop();
}

/// A socket that has read everything it will read, and remembers each write.
struct Remembers {
    input: io::Cursor<Vec<u8>>,
    writes: Vec<Vec<u8>>,
    room: usize,
    descriptor: TcpStream,
}

impl Remembers {
    fn new(input: &[u8], room: usize) -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("bind");
        let descriptor = TcpStream::connect(listener.local_addr().expect("address")).expect("connect");
        Self { input: io::Cursor::new(input.to_vec()), writes: Vec::new(), room, descriptor }
    }
}

impl Read for Remembers {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        match self.input.read(bytes)? {
            0 => Err(io::ErrorKind::WouldBlock.into()),
            count => Ok(count),
        }
    }
}

impl Write for Remembers {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = bytes.len().min(self.room);
        if count == 0 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        self.room -= count;
        self.writes.push(bytes[..count].to_vec());
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Socket for Remembers {
    type Addr = SocketAddr;

    fn descriptor(&self) -> socketserver::transport::Descriptor<'_> {
        Socket::descriptor(&self.descriptor)
    }

    fn shutdown_write(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn replies_to_all_that_arrived_together_leave_in_one_write() {
    let mut stream = Stream::new(Remembers::new("line\n".repeat(1000).as_bytes(), usize::MAX), None);
    let (told, _hears) = mpsc::channel();
    let mut handler = Frames::new(LinesCodec::new(), Shout { told, lines: 0 });
    assert_eq!(stream.fill().expect("fill"), Fill::Data);
    assert_eq!(handler.handle(&mut stream).expect("handle"), Flow::Continue);
    assert_eq!(stream.get_ref().writes, ["LINE\n".repeat(1000).into_bytes()]);
    assert_eq!(stream.buffered(), b"");
}

#[test]
fn many_replies_are_sent_before_the_batch_is_over() {
    // Each of these lines is answered with 1000 bytes: the replies are not gathered without limit.
    let mut stream = Stream::new(Remembers::new("1\n".repeat(10_000).as_bytes(), usize::MAX), None);
    let mut handler = Frames::new(LinesCodec::new(), Blow);
    assert_eq!(stream.fill().expect("fill"), Fill::Data);
    assert_eq!(handler.handle(&mut stream).expect("handle"), Flow::Continue);
    let writes = &stream.get_ref().writes;
    assert_eq!(writes.iter().map(Vec::len).sum::<usize>(), 10_000 * 1001);
    assert!(writes.iter().all(|write| write.len() < 128 * 1024), "a write of a bounded size");
}

/// Answers every line with a thousand bytes.
struct Blow;

impl<S: Socket> FrameHandler<LinesCodec, S> for Blow {
    fn message(&mut self, _: &str, replies: &mut Replies<'_, LinesCodec>) -> HandlerResult {
        replies.send("x".repeat(1000))?;
        Ok(Flow::Continue)
    }
}

/// Answers lines, each of which takes its time, and the first one no sooner than the test says; tells the test of each.
struct Toil {
    told: Sender<String>,
    go_on: Arc<Mutex<Receiver<()>>>,
}

impl<S: Socket> FrameHandler<LinesCodec, S> for Toil {
    fn message(&mut self, line: &str, replies: &mut Replies<'_, LinesCodec>) -> HandlerResult {
        self.told.send(line.to_owned()).expect("the test listens");
        if line == "first" {
            self.go_on.lock().expect("one at a time").recv().expect("the test lets it go on");
        }
        std::thread::sleep(Duration::from_millis(1));
        replies.send(line)?;
        Ok(Flow::Continue)
    }
}

#[test]
fn messages_that_arrived_together_leave_others_their_turn() {
    const MANY: usize = 200;
    let check = |address, hears: &Receiver<String>, go_on: &Sender<()>| {
        let (mut many, mut one) = (Client::connect(address), Client::connect(address));
        many.send(format!("first\n{}", "more\n".repeat(MANY)));
        assert_eq!(hears.recv_timeout(PATIENCE).expect("the first"), "first");
        // The one thread is held; when it goes on, both clients have sent all that they have to say.
        one.send("one\n");
        go_on.send(()).expect("the handler waits");
        assert_eq!(one.line(), "one\n");
        assert_eq!(many.line(), "first\n");
        for _ in 0..MANY {
            assert_eq!(many.line(), "more\n");
        }
        let order: Vec<String> = hears.try_iter().collect();
        let place = order.iter().position(|line| line == "one").expect("it was handled");
        assert_eq!(order.len(), MANY + 1);
        assert!(place < MANY, "it was handled behind all others");
    };
    let factory = || {
        let ((told, hears), (goes, go_on)) = (mpsc::channel(), mpsc::channel());
        let go_on = Arc::new(Mutex::new(go_on));
        (move || Frames::new(LinesCodec::new(), Toil { told: told.clone(), go_on: Arc::clone(&go_on) }), hears, goes)
    };
    let (toil, hears, goes) = factory();
    let server = Builder::<Tcp, Sync, _>::new(toil).start();
    check(server.local_addr(), &hears, &goes);
    server.stop();
    let (toil, hears, goes) = factory();
    let server = Builder::<Tcp, Pool, _>::new(toil).dispatch(Pool::new(1).max_threads(1)).start();
    check(server.local_addr(), &hears, &goes);
    server.stop();
}
