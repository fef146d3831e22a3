//! `Stream::halves`: one value to read from and one to write to, of the same connection.

#[macro_use]
mod common;

use std::io::BufRead;
use std::io::ErrorKind;
use std::io::Read;
use std::io::Write;
use std::net::Shutdown;
use std::net::TcpStream;

use common::Start;
use common::channel;
use socketserver::Builder;
use socketserver::End;
use socketserver::Flow;
use socketserver::Stream;
use socketserver::Tcp;
use socketserver::ThreadPerRequest;
use socketserver::Traffic;
use socketserver::handler::function;

type Connection = Stream<TcpStream>;

under_each_dispatch! {
    fn each_line_of_a_loop_is_answered_before_the_next_is_waited_for<D>() {
        let server = Builder::<Tcp, D, _>::new(function(|request: &mut Connection| {
            let (reader, mut writer) = request.halves();
            for line in reader.lines() {
                writeln!(writer, "{}!", line?)?;
            }
            Ok(Flow::Close)
        }))
        .start();
        let client = common::connect(server.local_addr());
        for word in ["one", "two", "three"] {
            assert_eq!(common::ask(&client, word), format!("{word}!"));
        }
        (&client).write_all(b"four\nfive").unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        assert_eq!(common::read_rest(client), b"four!\nfive!\n");
        assert_eq!(server.stop().finished, 1);
    }

    fn what_a_half_has_not_read_is_there_for_the_next_call<D>() {
        let server = Builder::<Tcp, D, _>::new(function(|request: &mut Connection| {
            let mut line = String::new();
            let (mut reader, mut writer) = request.halves();
            reader.read_line(&mut line)?;
            writer.write_all(line.as_bytes())?;
            drop(writer);
            let unread = reader.buffered().len();
            drop(reader);
            assert_eq!(request.buffered().len(), unread);
            Ok(Flow::Continue)
        }))
        .start();
        let mut client = common::connect(server.local_addr());
        client.write_all(b"one\ntwo\nthree\nfo").unwrap();
        let mut answer = [0; 14];
        client.read_exact(&mut answer).unwrap();
        client.write_all(b"ur\n").unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        assert_eq!([&answer, &*common::read_rest(client)].concat(), b"one\ntwo\nthree\nfour\n");
        server.stop();
    }

    fn halves_read_and_count_as_the_stream_does<D>() {
        let (seen, on_seen) = channel();
        let server = Builder::<Tcp, D, _>::new(function(move |request: &mut Connection| {
            let (mut reader, mut writer) = request.halves();
            let (mut exact, mut until) = ([0; 3], Vec::new());
            reader.read_exact(&mut exact)?;
            reader.read_until(b';', &mut until)?;
            let skipped = reader.skip_until(b';')?;
            let peeked = reader.fill_buf()?.first().copied();
            reader.consume(1);
            let mut rest = String::new();
            reader.read_to_string(&mut rest)?;
            let ended = reader.read(&mut [0; 8])?;
            write!(writer, "{rest}:{ended}")?;
            writer.flush()?;
            drop((reader, writer));
            seen.send(format!("{exact:?} {until:?} {skipped} {peeked:?} {:?}", request.traffic()))?;
            Ok(Flow::Close)
        }))
        .start();
        let mut client = common::connect(server.local_addr());
        client.write_all(b"abcde;fgh;ijkl").unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        assert_eq!(common::read_rest(client), b"jkl:0");
        let expected = format!("{:?} {:?} 4 Some(105) {:?}", b"abc", b"de;", Traffic { received: 14, sent: 5 });
        assert_eq!(on_seen.recv_timeout(common::PATIENCE).unwrap(), expected);
        server.stop();
    }
}

#[test]
fn a_half_waits_for_a_message_as_the_stream_does() {
    let server = Builder::<Tcp, ThreadPerRequest, _>::new(function(|request: &mut Connection| {
        let (mut reader, mut writer) = request.halves();
        while reader.wait_for_message()? {
            let mut line = String::new();
            reader.read_line(&mut line)?;
            writer.write_all(line.as_bytes())?;
        }
        Ok(Flow::Close)
    }))
    .start();
    let client = common::connect(server.local_addr());
    assert_eq!(common::ask(&client, "one"), "one");
    assert_eq!(common::ask(&client, "two"), "two");
    server.stop_handle().shutdown();
    assert_eq!(common::read_line(&client), "");
    assert_eq!(server.seen.wait_for_ends(1), [End::Drained]);
    server.join();
}

#[test]
fn what_is_written_may_read_from_the_other_half() {
    /// Reads while it is formatted.
    struct Rest<'a>(std::cell::RefCell<socketserver::request::ReadHalf<'a, TcpStream>>);

    impl std::fmt::Display for Rest<'_> {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            let mut rest = String::new();
            self.0.borrow_mut().read_to_string(&mut rest).map_err(|_| std::fmt::Error)?;
            f.write_str(&rest)
        }
    }

    let server = Builder::<Tcp, ThreadPerRequest, _>::new(function(|request: &mut Connection| {
        let (reader, mut writer) = request.halves();
        write!(writer, "<{}>", Rest(reader.into()))?;
        Ok(Flow::Close)
    }))
    .start();
    let mut client = common::connect(server.local_addr());
    client.write_all(b"all of it").unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    assert_eq!(common::read_rest(client), b"<all of it>");
    server.stop();
}

#[test]
fn a_stream_that_no_server_serves_has_halves() {
    let (client, server) = std::os::unix::net::UnixStream::pair().unwrap();
    server.set_nonblocking(true).unwrap();
    let mut stream = Stream::from_parts(server, None, b"early ".to_vec());
    (&client).write_all(b"late").unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    let (mut reader, mut writer) = stream.halves();
    let mut text = String::new();
    reader.read_to_string(&mut text).unwrap();
    writer.write_all(text.as_bytes()).unwrap();
    assert_eq!(reader.read_exact(&mut [0]).unwrap_err().kind(), ErrorKind::UnexpectedEof);
    drop((reader, writer));
    drop(stream);
    assert_eq!(common::read_rest(client), b"early late");
}
