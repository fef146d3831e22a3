//! Writing to a connection from elsewhere: whole messages, in order, never waiting, bounded, under every dispatch and
//! over every stream.

#[macro_use]
mod common;

use std::collections::HashMap;
use std::io::BufRead;
use std::io::BufReader;
use std::io::ErrorKind;
use std::io::Read;
use std::io::Write;
use std::net::TcpStream;
use std::os::unix::net::UnixStream as UnixClient;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::mpsc;
use std::time::Duration;

use common::PATIENCE;
use common::Recorder;
use common::Start;
use common::TempDir;
use common::background::InBackground;
use socketserver::Builder;
use socketserver::End;
use socketserver::Event;
use socketserver::Flow;
use socketserver::Handler;
use socketserver::HandlerFactory;
use socketserver::HandlerResult;
use socketserver::SendError;
use socketserver::Sender;
use socketserver::Socket;
use socketserver::Stream;
use socketserver::Tcp;
use socketserver::Traffic;
use socketserver::UnixStream;
use socketserver::dispatch::Job;
use socketserver::dispatch::Process;
use socketserver::handler::Observed;
use socketserver::handler::function;
use socketserver::transport::Bind;

type Connection = Stream<TcpStream>;

/// A transport with clients for it.
trait Wire: Bind<Addr: Send + Sync> + Send {
    fn place(dir: &TempDir) -> Self::Address;
    /// A client to read from, and itself to write to.
    fn connect(address: &Self::Addr) -> (Box<dyn Read + Send>, Box<dyn Write + Send>);
}

impl Wire for Tcp {
    fn place(_: &TempDir) -> Self::Address {
        "127.0.0.1:0".into()
    }

    fn connect(address: &Self::Addr) -> (Box<dyn Read + Send>, Box<dyn Write + Send>) {
        let client = common::connect(*address);
        (Box::new(client.try_clone().unwrap()), Box::new(client))
    }
}

impl Wire for UnixStream {
    fn place(dir: &TempDir) -> Self::Address {
        dir.join("room.sock").into()
    }

    fn connect(address: &Self::Addr) -> (Box<dyn Read + Send>, Box<dyn Write + Send>) {
        let client = common::connect_unix(address.as_path().unwrap());
        (Box::new(client.try_clone().unwrap()), Box::new(client))
    }
}

/// Everybody's senders.
#[derive(Clone, Debug, Default)]
struct Room(Arc<Mutex<Vec<Sender>>>);

/// Sends every line of its client to everybody, itself included.
struct Member(Room);

impl<S: Socket> HandlerFactory<Stream<S>> for Room {
    type Handler = Member;

    fn make(&self, _: &Stream<S>) -> Member {
        Member(self.clone())
    }
}

impl<S: Socket> Handler<Stream<S>> for Member {
    fn setup(&mut self, request: &mut Stream<S>) -> HandlerResult<()> {
        self.0.0.lock().unwrap().push(request.sender()?);
        Ok(())
    }

    fn handle(&mut self, request: &mut Stream<S>) -> HandlerResult {
        let mut line = String::new();
        request.read_line(&mut line)?;
        let send = || self.0.0.lock().unwrap().iter().try_for_each(|sender| sender.send(&line));
        // Both ways, between each other.
        if line.len().is_multiple_of(2) { Sender::wake_after(send) } else { send() }?;
        Ok(Flow::Continue)
    }
}

/// Each of `CLIENTS` says `MESSAGES` lines to all; each has to get all of them, whole, and each other's in order.
fn broadcast<T, S, D>()
where
    T: Wire + Bind<Request = Stream<S>>,
    S: Socket,
    D: Process<Job<T, Observed<Room, Recorder>>> + Default + InBackground + Send + 'static,
    socketserver::Server<T, D, Observed<Room, Recorder>>: Send,
{
    const CLIENTS: usize = 8;
    const MESSAGES: usize = 150;
    let dir = TempDir::new();
    let room = Room::default();
    let server = Builder::<T, D, _>::new(room.clone()).max_pending_output(16 << 20).start_at(T::place(&dir));
    let address = server.local_addr();
    let clients: Vec<_> = (0..CLIENTS)
        .map(|number| {
            let (reader, mut writer) = T::connect(&address);
            writer.write_all(format!("hello {number}\n").as_bytes()).unwrap();
            (number, BufReader::new(reader), writer)
        })
        .collect();
    common::eventually("everybody in the room", || room.0.lock().unwrap().len() == CLIENTS);
    std::thread::scope(|scope| {
        for (number, reader, mut writer) in clients {
            scope.spawn(move || {
                for message in 0..MESSAGES {
                    let padding = "x".repeat(message % 7 * 50);
                    writer.write_all(format!("said {number} {message} {padding}.\n").as_bytes()).unwrap();
                }
                let mut next = [0; CLIENTS];
                for line in reader.lines() {
                    let line = line.unwrap();
                    let words: Vec<_> = line.split(' ').collect();
                    if let ["hello", _] = words[..] {
                        continue;
                    }
                    let ["said", from, message, rest] = words[..] else { panic!("{line}") };
                    let (from, message) = (from.parse::<usize>().unwrap(), message.parse::<usize>().unwrap());
                    assert_eq!(message, next[from], "{number} heard {from} out of order");
                    assert_eq!(rest.len(), message % 7 * 50 + 1);
                    next[from] += 1;
                    if next == [MESSAGES; CLIENTS] {
                        return;
                    }
                }
                panic!("{number} has heard only {next:?}");
            });
        }
    });
    let report = server.stop();
    assert_eq!(report.failed, 0, "{report}");
    for sender in room.0.lock().unwrap().iter() {
        assert_eq!(sender.send("late"), Err(SendError::Closed));
    }
}

/// A server whose handler is `handle`, told of its connection's sender before its first call.
macro_rules! serve {
    ($D:ident, $handle:expr $(, $option:ident($($value:expr),*))*) => {{
        let (joined, on_join) = mpsc::channel();
        let handle = $handle;
        let server = Builder::<Tcp, $D, _>::new(function(move |request: &mut Connection| {
            if request.traffic().sent == 0 {
                joined.send(request.sender()?)?;
            }
            handle(request)
        }))
        $(.$option($($value),*))*
        .start();
        let client = common::connect(server.local_addr());
        (server, client, on_join)
    }};
}

/// Sends the line of its client back.
fn echo(request: &mut Connection) -> HandlerResult {
    let mut line = String::new();
    request.read_line(&mut line)?;
    request.write_all(line.as_bytes())?;
    Ok(Flow::Continue)
}

/// Fills the connection of a client that does not read; how many bytes it took.
fn fill(sender: &Sender, message: &[u8]) -> (usize, SendError) {
    let mut taken = 0;
    loop {
        match sender.send(message) {
            Ok(()) => taken += message.len(),
            // What waits may be on its way to the kernel.
            Err(SendError::Full { .. }) if sender.pending() < 32 * 1024 => {}
            Err(error) => return (taken, error),
        }
    }
}

under_each_dispatch! {
    but_fork("a sender would be of the child's own; that it is refused is tested with the rest of Fork"):

    fn everybody_gets_every_message_over_tcp<D>() {
        broadcast::<Tcp, _, D>();
    }

    fn everybody_gets_every_message_over_unix_sockets<D>() {
        broadcast::<UnixStream, _, D>();
    }

    fn a_connection_that_waits_is_written_to_from_any_thread<D>() {
        let (server, client, on_join) = serve!(D, echo);
        assert_eq!(common::ask(&client, "hello"), "hello");
        let sender = on_join.recv_timeout(PATIENCE).unwrap();
        for number in 0..100 {
            let said = format!("message {number}");
            sender.clone().send(format!("{said}\n")).unwrap();
            assert_eq!(common::read_line(&client), said);
        }
        assert_eq!(common::ask(&client, "still there"), "still there");
        server.stop();
    }

    fn a_message_does_not_break_into_what_a_handler_writes<D>() {
        let (reached, on_reach) = mpsc::channel();
        let (go, on_go) = mpsc::channel::<()>();
        let on_go = Mutex::new(on_go);
        let (server, mut client, on_join) = serve!(D, move |request: &mut Connection| {
            request.read_line(&mut String::new())?;
            request.write_all(b"an ans")?;
            reached.send(())?;
            on_go.lock().unwrap().recv_timeout(PATIENCE)?;
            request.write_all(b"wer\n")?;
            Ok(Flow::Continue)
        });
        client.write_all(b"hello\n").unwrap();
        let sender = on_join.recv_timeout(PATIENCE).unwrap();
        on_reach.recv_timeout(PATIENCE).unwrap();
        sender.send("one\n").unwrap();
        sender.send("two\n").unwrap();
        assert_eq!(sender.pending(), 8);
        go.send(()).unwrap();
        for line in ["an answer", "one", "two"] {
            assert_eq!(common::read_line(&client), line);
        }
        server.stop();
    }

    fn a_message_comes_while_a_read_inside_handle_waits<D>() {
        let (server, mut client, on_join) = serve!(D, echo);
        client.write_all(b"half a ").unwrap();
        let sender = on_join.recv_timeout(PATIENCE).unwrap();
        for _ in 0..10 {
            sender.send("meanwhile\n").unwrap();
            assert_eq!(common::read_line(&client), "meanwhile");
        }
        assert_eq!(common::ask(&client, "line"), "half a line");
        server.stop();
    }

    fn a_handler_sends_to_its_own_connection_behind_its_answer<D>() {
        let (stopped, on_stop) = mpsc::channel();
        let server = Builder::<Tcp, D, _>::new(function(|request: &mut Connection| {
            let mut line = String::new();
            request.read_line(&mut line)?;
            request.sender()?.send(format!("sent {line}"))?;
            request.write_all(format!("written {line}").as_bytes())?;
            Ok(if line == "last\n" { Flow::Close } else { Flow::Continue })
        }))
        .observed(move |event: &Event<'_>| {
            if let Event::Stop { traffic, end, .. } = event {
                stopped.send((*traffic, *end)).unwrap();
            }
        })
        .start();
        let mut client = common::connect(server.local_addr());
        assert_eq!(common::ask(&client, "first"), "written first");
        assert_eq!(common::read_line(&client), "sent first");
        client.write_all(b"last\n").unwrap();
        assert_eq!(common::read_rest(&client), b"written last\nsent last\n");
        drop(client);
        let sent = "written first\nsent first\nwritten last\nsent last\n".len() as u64;
        assert_eq!(on_stop.recv_timeout(PATIENCE).unwrap(), (Traffic { received: 11, sent }, End::HandlerClosed));
        server.stop();
    }

    fn senders_and_a_busy_handler_write_at_the_same_time<D>() {
        const MESSAGES: usize = 500;
        let (server, mut client, on_join) = serve!(
            D,
            |request: &mut Connection| {
                let mut line = String::new();
                request.read_line(&mut line)?;
                for piece in ["handler ", line.trim_end(), "\n"] {
                    request.write_all(piece.as_bytes())?;
                }
                Ok(Flow::Continue)
            },
            max_pending_output(16 << 20)
        );
        client.write_all(b"0\n").unwrap();
        let sender = on_join.recv_timeout(PATIENCE).unwrap();
        let mut next = HashMap::new();
        std::thread::scope(|scope| {
            for name in ["first", "second"] {
                let sender = sender.clone();
                scope.spawn(move || (0..MESSAGES).for_each(|n| sender.send(format!("{name} {n}\n")).unwrap()));
            }
            let mut asking = client.try_clone().unwrap();
            scope.spawn(move || (1..MESSAGES).for_each(|n| asking.write_all(format!("{n}\n").as_bytes()).unwrap()));
            for line in BufReader::new(&client).lines().take(3 * MESSAGES) {
                let line = line.unwrap();
                let (name, number) = line.split_once(' ').unwrap_or_else(|| panic!("{line}"));
                let next = next.entry(name.to_owned()).or_insert(0);
                assert_eq!(number.parse::<usize>().unwrap(), *next, "{line}");
                *next += 1;
            }
        });
        assert_eq!(next, ["first", "second", "handler"].map(|name| (name.to_owned(), MESSAGES)).into());
        server.stop();
    }

    fn a_slow_reader_fills_its_own_mailbox_and_nobody_waits_for_it<D>() {
        const LIMIT: usize = 128 * 1024;
        let (server, slow, on_join) = serve!(D, echo, max_pending_output(LIMIT));
        assert_eq!(common::ask(&slow, "slow"), "slow");
        let to_slow = on_join.recv_timeout(PATIENCE).unwrap();
        let quick = common::connect(server.local_addr());
        assert_eq!(common::ask(&quick, "quick"), "quick");
        let to_quick = on_join.recv_timeout(PATIENCE).unwrap();
        let message = [&[b'x'; 1023][..], b"\n"].concat();
        let (taken, error) = fill(&to_slow, &message);
        let SendError::Full { length: 1024, pending, limit: LIMIT } = error else { panic!("{error:?}") };
        assert!(pending + 1024 > LIMIT && pending <= LIMIT, "{error:?}");
        assert!(error.to_string().contains("max_pending_output = 131072"), "{error}");
        let too_long = SendError::TooLong { length: LIMIT + 1, limit: LIMIT };
        assert_eq!(to_quick.send(vec![0; LIMIT + 1]), Err(too_long));
        to_quick.send("for the quick\n").unwrap();
        assert_eq!(common::read_line(&quick), "for the quick");
        assert_eq!(common::ask(&quick, "still quick"), "still quick");
        // What was taken arrives, whole; then there is room again.
        let mut got = vec![0; taken];
        (&slow).read_exact(&mut got).unwrap();
        assert!(got.chunks(1024).all(|chunk| chunk == message));
        common::eventually("room", || to_slow.send("awake\n").is_ok());
        assert_eq!(common::read_line(&slow), "awake");
        server.stop();
    }

    fn a_client_that_never_reads_is_cut_off_however_much_is_sent<D>() {
        const TIMEOUT: Duration = Duration::from_millis(200);
        let (server, client, on_join) =
            serve!(D, echo, write_timeout(TIMEOUT), max_pending_output(1 << 30));
        assert_eq!(common::ask(&client, "hello"), "hello");
        let sender = on_join.recv_timeout(PATIENCE).unwrap();
        // There is always room, and always more to send: that must not begin the timeout anew.
        common::eventually("the end", || sender.send([b'x'; 100_000]) == Err(SendError::Closed));
        assert!(sender.is_closed());
        assert_eq!(server.seen.wait_for_ends(1), [End::TimedOut]);
        drop(client);
        server.stop();
    }

    fn what_others_send_does_not_make_a_silent_client_less_idle<D>() {
        let (server, client, on_join) =
            serve!(D, echo, idle_timeout(Duration::from_millis(200)));
        assert_eq!(common::ask(&client, "hello"), "hello");
        let sender = on_join.recv_timeout(PATIENCE).unwrap();
        common::eventually("the end", || sender.send("are you there?\n") == Err(SendError::Closed));
        let heard = String::from_utf8(common::read_rest(client)).unwrap();
        assert_eq!(server.seen.wait_for_ends(1), [End::IdleTimeout]);
        assert!(heard.lines().count() > 0 && heard.lines().all(|line| line == "are you there?"), "{heard}");
        server.stop();
    }

    fn a_sender_outlives_its_connection<D>() {
        let (server, client, on_join) = serve!(D, echo, max_connections(1));
        assert_eq!(common::ask(&client, "hello"), "hello");
        let sender = on_join.recv_timeout(PATIENCE).unwrap();
        assert!(!sender.is_closed());
        drop(client);
        common::eventually("the end", || sender.is_closed());
        assert_eq!((sender.send("late\n"), sender.pending()), (Err(SendError::Closed), 0));
        sender.close_with("later\n");
        // It keeps no place: the next client is served.
        let client = common::connect(server.local_addr());
        assert_eq!(common::ask(&client, "next"), "next");
        server.stop();
    }

    fn what_was_sent_before_a_stop_arrives<D>() {
        let (server, client, on_join) = serve!(D, echo);
        assert_eq!(common::ask(&client, "hello"), "hello");
        let sender = on_join.recv_timeout(PATIENCE).unwrap();
        let stop = server.stop_handle();
        let sending = std::thread::spawn(move || {
            let mut sent = 0;
            loop {
                match sender.send(format!("{sent}\n")) {
                    Ok(()) => sent += 1,
                    Err(SendError::Full { .. }) => std::thread::yield_now(),
                    Err(SendError::Closed) => return sent,
                    Err(error) => panic!("{error}"),
                }
                if sent == 100 {
                    stop.shutdown();
                }
            }
        });
        let got = String::from_utf8(common::read_rest(client)).unwrap();
        let sent = sending.join().unwrap();
        assert!(sent >= 100);
        assert_eq!(got, (0..sent).map(|number| format!("{number}\n")).collect::<String>());
        let report = server.stop();
        assert_eq!((report.idle_closed, report.is_clean()), (1, true), "{report}");
    }

    fn a_sender_closes_its_connection_with_last_words<D>() {
        let (server, mut client, on_join) = serve!(D, echo, max_pending_output(10));
        // Between two messages, and while a read inside `handle` waits.
        for (says, answer) in [("hello\n", "hello\n"), ("hel", "")] {
            client.write_all(says.as_bytes()).unwrap();
            let sender = on_join.recv_timeout(PATIENCE).unwrap();
            let mut got = vec![0; answer.len()];
            client.read_exact(&mut got).unwrap();
            sender.send("0123456789").unwrap();
            sender.close_with(" and more than there is room for");
            assert!(sender.is_closed());
            assert_eq!(sender.send("x"), Err(SendError::Closed));
            let rest = String::from_utf8(common::read_rest(client)).unwrap();
            // The handler that was reading has answered what it had.
            let rest = if says == "hel" { rest.strip_suffix("hel").expect("the rest of the line") } else { &rest };
            assert_eq!(rest, "0123456789 and more than there is room for");
            client = common::connect(server.local_addr());
        }
        assert_eq!(server.seen.wait_for_ends(2), [End::HandlerClosed; 2]);
        server.stop();
    }
}

#[test]
fn a_connection_that_nobody_serves_has_no_sender() {
    let (ours, _theirs) = UnixClient::pair().unwrap();
    let error = Stream::new(ours, None).sender().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(error.to_string().contains("no server serves this connection"), "{error}");
}
