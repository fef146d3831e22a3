//! Files are sent whole and in order, by the kernel or in copies, and no thread waits for those who read them slowly.

#[macro_use]
mod common;

use std::fs::File;
use std::io;
use std::io::BufRead;
use std::io::ErrorKind;
use std::io::Read;
use std::io::Write;
use std::net::Shutdown;
use std::net::SocketAddr;
use std::net::TcpStream;
use std::os::unix::net::UnixStream as Pair;
use std::sync::Arc;
use std::time::Duration;

use common::Sender;
use common::Start;
use common::TempDir;
use common::channel;
use common::own_sockets::OwnSockets;
use socketserver::Builder;
use socketserver::End;
use socketserver::Flow;
use socketserver::Handler;
use socketserver::HandlerResult;
use socketserver::Pool;
use socketserver::PoolTcpServer;
use socketserver::RequestError;
use socketserver::Socket;
use socketserver::Stream;
use socketserver::Tcp;
use socketserver::TcpServer;
use socketserver::dispatch::Dispatch;

/// More than the kernel takes in for a client that does not read.
const MUCH: u64 = 16 << 20;

/// Bytes that differ from their neighbours, so that a lost or doubled one shows.
fn pattern(length: u64) -> Vec<u8> {
    let mut bytes = (0..251).collect::<Vec<u8>>().repeat(length.div_ceil(251) as usize);
    bytes.truncate(length as usize);
    bytes
}

fn file(folder: &TempDir, length: u64) -> Arc<File> {
    std::fs::write(folder.join("file"), pattern(length)).unwrap();
    Arc::new(File::open(folder.join("file")).unwrap())
}

/// A line "OFFSET LENGTH" is answered by this part of the file between two words; other lines come back.
struct Parts(Arc<File>);

impl<S: Socket> Handler<Stream<S>> for Parts {
    fn handle(&mut self, request: &mut Stream<S>) -> HandlerResult {
        let mut line = String::new();
        request.read_line(&mut line)?;
        match line.trim_end().split_once(' ') {
            Some((offset, length)) => {
                request.write_all(b"begin ")?;
                request.send_file(Arc::clone(&self.0), offset.parse()?, length.parse()?)?;
                request.write_all(b" end")?;
            }
            None => request.write_all(line.as_bytes())?,
        }
        Ok(Flow::Continue)
    }
}

/// The whole file, and nothing behind it that would wait for it.
struct Whole(Arc<File>);

impl<S: Socket> Handler<Stream<S>> for Whole {
    fn handle(&mut self, request: &mut Stream<S>) -> HandlerResult {
        let mut line = String::new();
        request.read_line(&mut line)?;
        if line == "file\n" {
            request.send_file(Arc::clone(&self.0), 0, MUCH)?;
        } else {
            request.write_all(line.as_bytes())?;
        }
        Ok(Flow::Continue)
    }
}

/// TCP that changes every byte on its way, as encryption does.
struct Masked(TcpStream);

const MASK: u8 = 0x55;

impl Read for Masked {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let count = self.0.read(bytes)?;
        bytes[..count].iter_mut().for_each(|byte| *byte ^= MASK);
        Ok(count)
    }
}

impl Write for Masked {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let masked: Vec<u8> = bytes.iter().map(|byte| byte ^ MASK).collect();
        self.0.write(&masked)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

own_socket!(Masked);

/// Tells of an error: its kind and its text.
fn tell(sender: Sender<(String, String)>) -> impl Fn(&RequestError, Option<&SocketAddr>) {
    move |error, _| {
        let source = std::error::Error::source(error).and_then(|source| source.downcast_ref::<io::Error>());
        sender.send((format!("{:?}", source.map(io::Error::kind)), error.to_string())).unwrap();
    }
}

under_each_dispatch! {
    fn parts_arrive_whole_and_in_order<D>() {
        let folder = TempDir::new();
        let file = file(&folder, 3 << 20);
        let server = Builder::<Tcp, D, _>::new(move || Parts(Arc::clone(&file))).start();
        let mut client = common::connect(server.local_addr());
        let all = pattern(3 << 20);
        let mut expected = Vec::new();
        for (offset, length) in [(0, 3 << 20), (0, 0), (1 << 20, 17), (123_457, 1_000_003), ((3 << 20) - 1, 1)] {
            writeln!(client, "{offset} {length}").unwrap();
            expected.extend_from_slice(b"begin ");
            expected.extend_from_slice(&all[offset..offset + length]);
            expected.extend_from_slice(b" end");
        }
        client.shutdown(Shutdown::Write).unwrap();
        assert!(common::read_rest(client) == expected);
        let report = server.stop();
        assert_eq!((report.finished, report.failed), (1, 0), "{report}");
    }

    fn a_socket_that_changes_what_is_written_gets_copies<D>() {
        let folder = TempDir::new();
        let file = file(&folder, 3 << 20);
        let server = Builder::<OwnSockets<Masked>, D, _>::new(move || Parts(Arc::clone(&file))).start();
        let mut client = Masked(common::connect(server.local_addr()));
        client.write_all(b"5 3000000\n7 9\n").unwrap();
        client.shutdown_write().unwrap();
        let all = pattern(3 << 20);
        let expected = [b"begin ", &all[5..3_000_005], b" end", b"begin ", &all[7..16], b" end"].concat();
        assert!(common::read_rest(client) == expected);
        server.stop();
    }

    fn a_file_that_becomes_shorter_is_an_error_that_says_so<D>() {
        let folder = TempDir::new();
        let file = file(&folder, MUCH);
        let (sender, told) = channel();
        let server = Builder::<Tcp, D, _>::new(move || Whole(Arc::clone(&file))).on_error(tell(sender))
            .start();
        let mut client = common::connect(server.local_addr());
        client.write_all(b"file\n").unwrap();
        // It is on its way, and the rest waits for this client.
        client.read_exact(&mut [0]).unwrap();
        let writable = File::options().write(true).open(folder.join("file")).unwrap();
        writable.set_len(MUCH - 1).unwrap();
        let rest = common::read_rest(client);
        assert_eq!(rest.len() as u64, MUCH - 2, "all there is");
        let (kind, text) = told.recv().unwrap();
        assert_eq!(kind, "Some(InvalidData)", "{text}");
        assert!(text.contains(&format!("ends at byte {}, 1 bytes before", MUCH - 1)), "{text}");
        let report = server.stop();
        assert_eq!(report.failed, 1, "{report}");
    }

    fn a_client_that_goes_away_ends_it<D>() {
        let folder = TempDir::new();
        let file = file(&folder, MUCH);
        let held = Arc::clone(&file);
        let server = Builder::<Tcp, D, _>::new(move || Whole(Arc::clone(&file))).start();
        let mut client = common::connect(server.local_addr());
        client.write_all(b"file\n").unwrap();
        client.read_exact(&mut [0; 1000]).unwrap();
        drop(client);
        assert_eq!(server.seen.wait_for_ends(1), [End::Failed]);
        server.stop();
        // Under Fork the file goes with the child.
        common::eventually("nobody keeps the file", || D::NAME == "Fork" || Arc::strong_count(&held) == 1);
    }

    /// Neither does it help to go on sending.
    fn a_client_that_never_reads_meets_the_deadline<D>() {
        let folder = TempDir::new();
        let file = file(&folder, MUCH);
        let (sender, told) = channel();
        let server = Builder::<Tcp, D, _>::new(move || Whole(Arc::clone(&file))).on_error(tell(sender))
            .write_timeout(Duration::from_millis(300)).start();
        let mut client = common::connect(server.local_addr());
        client.set_nodelay(true).unwrap();
        client.write_all(b"file\n").unwrap();
        let (kind, text) = loop {
            match told.recv_timeout(Duration::from_millis(20)) {
                Ok(told) => break told,
                Err(_) => client.write_all(b"x").unwrap(),
            }
        };
        assert_eq!(kind, "Some(TimedOut)", "{text}");
        let report = server.stop();
        assert_eq!(report.failed, 1, "{report}");
    }

    fn what_the_deadline_cuts_of_a_last_answer_is_forced<D>() {
        let folder = TempDir::new();
        for flow in [Flow::Continue, Flow::Close] {
            let last = Last(file(&folder, MUCH), flow);
            let server = Builder::<Tcp, D, _>::new(move || last.clone()).write_timeout(None).start();
            let mut client = common::connect(server.local_addr());
            client.write_all(b"file\n").unwrap();
            let report = server.join();
            assert_eq!((report.accepted, report.forced, report.failed), (1, 1, 0), "{flow:?}: {report}");
            drop(client);
        }
    }

    fn a_drain_does_not_wait_for_it_beyond_its_deadline<D>() {
        let folder = TempDir::new();
        let file = file(&folder, MUCH);
        let server = Builder::<Tcp, D, _>::new(move || Whole(Arc::clone(&file))).write_timeout(None).start();
        let mut never = common::connect(server.local_addr());
        let mut slow = common::connect(server.local_addr());
        for client in [&mut never, &mut slow] {
            client.write_all(b"file\n").unwrap();
            client.read_exact(&mut [0]).unwrap();
        }
        server.stop_handle().shutdown_within(Duration::from_secs(3));
        // Who reads in time gets it whole.
        let rest = common::read_rest(slow);
        assert_eq!(rest.len() as u64, MUCH - 1);
        let report = server.join();
        assert_eq!((report.forced, report.failed), (1, 0), "{report}");
        drop(never);
    }
}

/// Stops the server, and answers with the whole file.
#[derive(Clone)]
struct Last(Arc<File>, Flow);

impl<S: Socket> Handler<Stream<S>> for Last {
    fn handle(&mut self, request: &mut Stream<S>) -> HandlerResult {
        request.read_line(&mut String::new())?;
        request.stop_handle().unwrap().shutdown_within(Duration::from_millis(200));
        request.send_file(Arc::clone(&self.0), 0, MUCH)?;
        Ok(self.1)
    }
}

/// The check of the promise: two threads, sixty-four clients that have asked for a large file and do not read it, and
/// one more.
#[test]
fn slow_downloads_hold_no_worker() {
    let folder = TempDir::new();
    let file = file(&folder, MUCH);
    let server =
        PoolTcpServer::builder(move || Whole(Arc::clone(&file))).dispatch(Pool::new(2)).write_timeout(None).start();
    let slow: Vec<_> = (0..64)
        .map(|_| {
            let mut client = common::connect(server.local_addr());
            client.write_all(b"file\n").unwrap();
            client.read_exact(&mut [0]).unwrap();
            client
        })
        .collect();
    for number in 0..100 {
        let client = common::connect(server.local_addr());
        assert_eq!(common::ask(&client, &number.to_string()), number.to_string());
    }
    // And each of the slow ones is served to the end once it reads.
    for (number, mut client) in slow.into_iter().enumerate() {
        if number % 16 == 0 {
            let mut rest = vec![0; MUCH as usize - 1];
            client.read_exact(&mut rest).unwrap();
            assert!(rest == pattern(MUCH)[1..]);
            assert_eq!(common::ask(&client, "and on"), "and on");
        }
    }
    server.stop();
}

/// The file waits for its reader, not the only thread, and the requests behind it wait for it.
#[test]
fn pipelined_files_are_sent_one_after_the_other() {
    let folder = TempDir::new();
    let file = file(&folder, MUCH);
    let server = TcpServer::builder(move || Whole(Arc::clone(&file))).start();
    let mut client = common::connect(server.local_addr());
    client.write_all(b"file\none\nfile\ntwo\n").unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    let other = common::connect(server.local_addr());
    assert_eq!(common::ask(&other, "hello"), "hello");
    let all = pattern(MUCH);
    assert!(common::read_rest(client) == [&all[..], b"one\n", &all[..], b"two\n"].concat());
    server.stop();
}

/// What is gathered leaves with a short file in one write.
#[test]
fn a_short_file_joins_what_is_gathered() {
    let folder = TempDir::new();
    let file = file(&folder, 100);
    let server = TcpServer::builder(move || Parts(Arc::clone(&file))).write_buffer(4096).start();
    let mut client = common::connect(server.local_addr());
    client.write_all(b"10 20\n").unwrap();
    let mut answer = [0; 100];
    let count = client.read(&mut answer).unwrap();
    assert_eq!(answer[..count], [b"begin ", &pattern(100)[10..30], b" end"].concat());
    server.stop();
}

#[test]
fn what_cannot_be_sent_is_an_error() {
    let folder = TempDir::new();
    let file = file(&folder, 100);
    let (ours, mut theirs) = Pair::pair().unwrap();
    ours.set_nonblocking(true).unwrap();
    let mut stream = Stream::new(ours, None);
    let error = stream.send_file(Arc::clone(&file), 2, u64::MAX).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
    let error = stream.send_file(Arc::clone(&file), 90, 11).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidData, "{error}");
    let folder = File::open(folder.path()).unwrap();
    stream.send_file(folder, 0, 1).unwrap_err();
    // What was there has left, and the connection can be used.
    stream.write_all(b".").unwrap();
    let mut answer = [0; 11];
    theirs.read_exact(&mut answer).unwrap();
    assert_eq!(answer, [&pattern(100)[90..], b"."].concat()[..]);
}

/// Without a server a stream waits for as long as it takes.
#[test]
fn a_stream_without_a_server_sends_files() {
    let folder = TempDir::new();
    let file = file(&folder, MUCH);
    let (ours, theirs) = Pair::pair().unwrap();
    ours.set_nonblocking(true).unwrap();
    let reader = std::thread::spawn(move || common::read_rest(theirs));
    let mut stream = Stream::new(ours, None);
    stream.send_file(file, 0, MUCH).unwrap();
    assert_eq!(stream.traffic().sent, MUCH);
    drop(stream);
    assert!(reader.join().unwrap() == pattern(MUCH));
}
