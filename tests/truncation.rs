//! The end of a connection is not always the end of what the peer had to say: a socket that can tell the two apart has
//! its handlers told.
#![cfg(unix)]

#[macro_use]
mod common;

use std::io;
use std::io::BufRead;
use std::io::Read;
use std::io::Write;
use std::net::Shutdown;
use std::net::SocketAddr;
use std::net::TcpStream;
use std::os::fd::AsFd;

use common::Start;
use common::ask;
use common::connect;
use common::own_sockets::OwnSockets;
use common::read_rest;
use socketserver::Builder;
use socketserver::End;
use socketserver::Flow;
use socketserver::HandlerResult;
use socketserver::Socket;
use socketserver::Stream;
use socketserver::frames::LinesCodec;
use socketserver::handler::function;
use socketserver::transport::Descriptor;

/// A peer ends its side with the byte for the end of a transmission; where the connection ends without one, somebody may
/// have cut it.
struct Signed {
    socket: TcpStream,
    end: Option<Ended>,
}

/// How the input has ended.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Ended {
    Proper,
    Cut,
}

const END_OF_TRANSMISSION: u8 = 4;

impl From<TcpStream> for Signed {
    fn from(socket: TcpStream) -> Self {
        Self { socket, end: None }
    }
}

impl Read for Signed {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        if self.end.is_some() {
            return Ok(0);
        }
        let count = self.socket.read(bytes)?;
        if count == 0 {
            self.end = Some(Ended::Cut);
        } else if let Some(at) = bytes[..count].iter().position(|&byte| byte == END_OF_TRANSMISSION) {
            self.end = Some(Ended::Proper);
            return Ok(at);
        }
        Ok(count)
    }
}

impl Write for Signed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.socket.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Socket for Signed {
    type Addr = SocketAddr;

    fn descriptor(&self) -> Descriptor<'_> {
        self.socket.as_fd()
    }

    fn shutdown_write(&mut self) -> io::Result<()> {
        self.socket.shutdown(Shutdown::Write)
    }

    fn is_truncated(&self) -> bool {
        self.end == Some(Ended::Cut)
    }
}

type Connection = Stream<Signed>;

/// What a handler read, and whether it was cut.
fn tell(request: &mut Connection, read: &[u8]) -> HandlerResult {
    let text = String::from_utf8_lossy(read).into_owned();
    let how = if request.is_truncated() { "cut" } else { "whole" };
    writeln!(request, "{how}: {}", text.trim_end())?;
    Ok(Flow::Close)
}

/// Takes lines, in Python's style, up to the end.
fn lines(request: &mut Connection) -> HandlerResult {
    let mut read = String::new();
    while request.read_line(&mut read)? > 0 {}
    tell(request, read.as_bytes())
}

fn to_the_end(request: &mut Connection) -> HandlerResult {
    let mut read = Vec::new();
    request.read_to_end(&mut read)?;
    tell(request, &read)
}

fn exactly_six(request: &mut Connection) -> HandlerResult {
    let mut read = [0; 6];
    request.read_exact(&mut read)?;
    tell(request, &read)
}

/// Takes what there is, as an upload that ends with the connection.
fn as_it_comes(request: &mut Connection) -> HandlerResult {
    let (mut read, mut piece) = (Vec::new(), [0; 100]);
    loop {
        match request.read(&mut piece)? {
            0 => return tell(request, &read),
            count => read.extend(&piece[..count]),
        }
    }
}

/// Sends back what there is.
fn echo(request: &mut Connection) -> HandlerResult {
    let bytes = request.fill_buf()?.to_vec();
    request.consume(bytes.len());
    request.write_all(&bytes)?;
    Ok(if bytes.is_empty() { Flow::Close } else { Flow::Continue })
}

/// Leaves what is no whole line.
fn whole_lines(request: &mut Connection) -> HandlerResult {
    let Some(line) = request.line()? else { return Ok(Flow::Continue) };
    request.write_all(line.as_bytes())?;
    Ok(Flow::Continue)
}

type Handle = fn(&mut Connection) -> HandlerResult;

const CUT: &str = "handle: the connection was closed in the middle of a message, without a proper close";

/// What a client that sends this and closes is answered, and the errors that the server tells of.
fn after<D: Default>(handle: Handle, says: &[u8]) -> (String, Vec<String>)
where
    Builder<OwnSockets<Signed>, D, socketserver::handler::Function<Handle>>: Start<Transport = OwnSockets<Signed>>,
{
    let server = Builder::<OwnSockets<Signed>, D, _>::new(function(handle)).start();
    let mut client = connect(server.local_addr());
    client.write_all(says).unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    let heard = String::from_utf8(read_rest(client)).unwrap();
    server.seen.wait_for_ends(1);
    (heard, server.stop().seen.errors())
}

under_each_dispatch! {
    fn a_message_that_is_cut_is_an_error<D>() {
        let cut = || (String::new(), vec![CUT.to_owned()]);
        assert_eq!(after::<D>(lines, b"hello\nwor"), cut());
        assert_eq!(after::<D>(to_the_end, b"hello"), cut());
        assert_eq!(after::<D>(exactly_six, b"hello"), cut());
        assert_eq!(after::<D>(as_it_comes, b"hello"), cut());
        let (heard, errors) = after::<D>(whole_lines, b"hello\nwor");
        assert_eq!((heard.as_str(), errors), ("hello\n", vec![CUT.to_owned()]));
    }

    fn a_message_that_is_whole_is_none<D>() {
        let whole = |text: &str| (format!("whole: {text}\n"), Vec::<String>::new());
        assert_eq!(after::<D>(lines, b"hello\nwor\x04"), whole("hello\nwor"));
        assert_eq!(after::<D>(to_the_end, b"hello\x04"), whole("hello"));
        assert_eq!(after::<D>(exactly_six, b"hello!"), whole("hello!"));
        assert_eq!(after::<D>(as_it_comes, b"hello\x04"), whole("hello"));
        assert_eq!(after::<D>(whole_lines, b"hello\nwor\x04"), ("hello\nwor".to_owned(), Vec::new()));
    }

    fn a_cut_between_messages_is_an_end_like_any_other<D>() {
        // Its handler may ask, because where a message ends only it knows.
        assert_eq!(after::<D>(lines, b"hello\n"), ("cut: hello\n".to_owned(), Vec::new()));
        assert_eq!(after::<D>(echo, b"hello"), ("hello".to_owned(), Vec::new()));
        assert_eq!(after::<D>(whole_lines, b"hello\n"), ("hello\n".to_owned(), Vec::new()));
        assert_eq!(after::<D>(whole_lines, b""), (String::new(), Vec::new()));
    }

    fn a_frame_that_is_cut_is_an_error<D>() {
        let echo = socketserver::frames::function(LinesCodec::new(), |line, replies| {
            replies.send(line)?;
            Ok(Flow::Continue)
        });
        let server = Builder::<OwnSockets<Signed>, D, _>::new(echo).start();
        let client = connect(server.local_addr());
        assert_eq!(ask(&client, "one"), "one");
        (&client).write_all(b"tw").unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        assert_eq!(read_rest(&client), b"");
        assert_eq!(server.seen.wait_for_ends(1), [End::Failed]);
        assert_eq!(server.stop().seen.errors(), [CUT]);
    }
}
