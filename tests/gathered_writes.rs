//! With `write_buffer`, messages that have arrived together are answered together; without it, one by one.
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
use std::sync::LazyLock;

use common::Log;
use common::Start;
use common::connect;
use common::own_sockets::OwnSockets;
use common::read_line;
use common::read_rest;
use socketserver::Builder;
use socketserver::Flow;
use socketserver::HandlerResult;
use socketserver::Stream;
use socketserver::handler::Function;
use socketserver::handler::function;

/// What each write handed to the kernel, with the client's address and the server's.
static WRITES: LazyLock<Log<(SocketAddr, SocketAddr, String)>> = LazyLock::new(Log::default);

/// A TCP connection that notes its writes.
struct Noting(TcpStream);

impl Read for Noting {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        self.0.read(bytes)
    }
}

impl Write for Noting {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.0.write(bytes)?;
        let text = String::from_utf8(bytes[..count].to_vec()).expect("what the test sent");
        WRITES.push((self.0.peer_addr()?, self.0.local_addr()?, text));
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

own_socket!(Noting);

fn upper(request: &mut Stream<Noting>) -> HandlerResult {
    let mut line = String::new();
    request.read_line(&mut line)?;
    request.write_all(line.to_uppercase().as_bytes())?;
    match line.trim_end() {
        "at once" => request.flush()?,
        "flush" => return Ok(Flow::Flush),
        "fail" => return Err(io::Error::other("as asked").into()),
        "close" => return Ok(Flow::Close),
        _ => {}
    }
    Ok(Flow::Continue)
}

type Upper = Function<fn(&mut Stream<Noting>) -> HandlerResult>;

fn builder<D: Default>() -> Builder<OwnSockets<Noting>, D, Upper> {
    // Before there are other processes, so that they share it.
    LazyLock::force(&WRITES);
    Builder::new(function(upper as fn(&mut Stream<Noting>) -> HandlerResult))
}

/// The writes that answer `sent`, which arrives in one piece.
fn writes(server: SocketAddr, sent: &str) -> Vec<String> {
    let mut client = connect(server);
    let own = client.local_addr().unwrap();
    client.write_all(sent.as_bytes()).unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    let answer = String::from_utf8(read_rest(&mut client)).unwrap();
    let these = WRITES.entries().into_iter().filter(|(to, from, _)| (*to, *from) == (own, server));
    let writes: Vec<_> = these.map(|(_, _, text)| text).collect();
    assert_eq!(writes.concat(), answer, "in order, and nothing lost");
    writes
}

/// `sent` is answered in these writes. A thread that is kept from running in between ends its turn, and with it what is
/// gathered: that is not so each time.
#[track_caller]
fn is_answered_in<const N: usize>(server: SocketAddr, sent: &str, expected: [&str; N]) {
    let mut found = Vec::new();
    for _ in 0..50 {
        found = writes(server, sent);
        if found == expected {
            return;
        }
    }
    assert_eq!(found, expected);
}

under_each_dispatch! {
    fn messages_that_arrived_together_are_answered_together<D>() {
        let server = builder::<D>().write_buffer(1024).start();
        let address = server.local_addr();
        is_answered_in(address, "a\nb\nc\n", ["A\nB\nC\n"]);
        is_answered_in(address, "a\nat once\nb\nc\n", ["A\nAT ONCE\n", "B\nC\n"]);
        is_answered_in(address, "a\nflush\nb\nc\n", ["A\nFLUSH\n", "B\nC\n"]);
        is_answered_in(address, "a\nclose\nb\n", ["A\nCLOSE\n"]);
        is_answered_in(address, "a\nfail\nb\n", ["A\nFAIL\n"]);
    }

    fn what_is_gathered_leaves_before_the_rest_of_a_message_is_waited_for<D>() {
        let server = builder::<D>().write_buffer(1024).start();
        let mut client = connect(server.local_addr());
        client.write_all(b"a\nb\nc").unwrap();
        assert_eq!((read_line(&client), read_line(&client)), ("A".to_owned(), "B".to_owned()));
        client.write_all(b"\n").unwrap();
        assert_eq!(read_line(&client), "C");
    }

    fn no_more_are_gathered_than_the_buffer_holds_or_others_wait_for<D>() {
        let server = builder::<D>().write_buffer(10).start();
        is_answered_in(server.local_addr(), "abcd\nefgh\nijkl\n", ["ABCD\nEFGH\n", "IJKL\n"]);
        let server = builder::<D>().write_buffer(1024).start();
        let sent = "a\n".repeat(40);
        is_answered_in(server.local_addr(), &sent, [&*"A\n".repeat(16), &*"A\n".repeat(16), &*"A\n".repeat(8)]);
    }

    fn without_a_buffer_each_is_answered_by_itself<D>() {
        let server = builder::<D>().start();
        assert_eq!(writes(server.local_addr(), "a\nb\nc\n"), ["A\n", "B\n", "C\n"]);
    }
}
