//! A handler that writes without end to a client that keeps reading never has to wait; it ends at the deadline of a drain
//! all the same.

#[macro_use]
mod common;

use std::fs::File;
use std::io::BufRead;
use std::io::ErrorKind;
use std::io::Read;
use std::io::Write;
use std::net::SocketAddr;
use std::net::TcpStream;
use std::net::UdpSocket;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;
use std::time::Instant;

use common::PATIENCE;
use common::Start;
use common::TempDir;
use common::background::InBackground;
use common::channel;
use common::connect;
use common::connect_udp;
use socketserver::Builder;
use socketserver::Datagram;
use socketserver::End;
use socketserver::Flow;
use socketserver::Handler;
use socketserver::HandlerResult;
use socketserver::Stream;
use socketserver::Tcp;
use socketserver::Udp;
use socketserver::dispatch::Job;
use socketserver::dispatch::Process;
use socketserver::handler::Observed;
use socketserver::handler::function;

type Connection = Stream<TcpStream>;

const DRAIN: Duration = Duration::from_millis(100);

/// Reads on and on, and tells how the server's words end; nothing, if the client has lost its patience.
struct Reads(JoinHandle<Option<Vec<u8>>>);

impl Reads {
    /// Something has come when this returns.
    fn from(address: SocketAddr) -> Self {
        let mut client = connect(address);
        client.write_all(b"go\n").unwrap();
        let (begun, has_begun) = std::sync::mpsc::channel();
        let reads = std::thread::spawn(move || {
            let until = Instant::now() + PATIENCE;
            let (mut room, mut last) = (vec![0; 1 << 16], Vec::new());
            while Instant::now() < until {
                let count = match client.read(&mut room) {
                    Ok(count @ 1..) => count,
                    Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => return None,
                    Ok(0) | Err(_) => return Some(last),
                };
                let _ = begun.send(());
                last.extend_from_slice(&room[..count]);
                last.drain(..last.len().saturating_sub(16));
            }
            None
        });
        has_begun.recv_timeout(PATIENCE).unwrap();
        Self(reads)
    }

    fn last_words(self) -> Vec<u8> {
        self.0.join().unwrap().expect("the server goes on")
    }
}

/// Calls `write` without end, and then says goodbye.
#[derive(Clone)]
struct Endless<F>(F);

impl<F: FnMut(&mut Connection) -> HandlerResult<()>> Handler<Connection> for Endless<F> {
    fn handle(&mut self, request: &mut Connection) -> HandlerResult {
        // What nobody has read when the connection is closed would make the kernel reset it.
        request.read_line(&mut String::new())?;
        loop {
            (self.0)(request)?;
        }
    }

    fn finish(&mut self, request: &mut Connection, end: End) -> HandlerResult<()> {
        request.write_all(format!("goodbye: {end}").as_bytes())?;
        Ok(())
    }
}

/// The handler's writes fail, and its goodbye arrives.
fn ends_at_the_deadline<D, F>(write_buffer: usize, write: F)
where
    F: FnMut(&mut Connection) -> HandlerResult<()> + Clone + Send + Sync + 'static,
    D: Process<Job<Tcp, Observed<Factory<F>, common::Recorder>>> + Default + InBackground + Send + 'static,
    socketserver::Server<Tcp, D, Observed<Factory<F>, common::Recorder>>: Send,
{
    let server = Builder::<Tcp, D, _>::new(Factory(write)).write_buffer(write_buffer).drain_timeout(DRAIN).start();
    let reads = Reads::from(server.local_addr());
    let stop = server.stop_handle();
    stop.shutdown();
    let last = reads.last_words();
    let report = server.join();
    assert_eq!((report.accepted, report.forced), (1, 1), "{report}");
    // A child of `Fork` is killed at the deadline.
    if D::NAME != "Fork" {
        assert!(last.ends_with(b"goodbye: forced"), "{}", last.escape_ascii());
    }
}

struct Factory<F>(F);

impl<F: FnMut(&mut Connection) -> HandlerResult<()> + Clone> socketserver::HandlerFactory<Connection> for Factory<F> {
    type Handler = Endless<F>;

    fn make(&self, _: &Connection) -> Endless<F> {
        Endless(self.0.clone())
    }
}

/// Short, so that the client is always faster.
const PIECE: &[u8] = b"x";

under_each_dispatch! {
    fn whole_writes_fail<D>() {
        ends_at_the_deadline::<D, _>(0, |request| Ok(request.write_all(PIECE)?));
    }

    fn gathered_writes_fail<D>() {
        ends_at_the_deadline::<D, _>(8_000, |request| Ok(write!(request, "{:x}", PIECE.len())?));
    }

    fn gathered_writes_that_are_flushed_fail<D>() {
        ends_at_the_deadline::<D, _>(8_000, |request| {
            request.write_all(b"x")?;
            Ok(request.flush()?)
        });
    }

    fn writes_beside_the_input_fail<D>() {
        ends_at_the_deadline::<D, _>(0, |request| Ok(request.split_buffered().1.write_all(PIECE)?));
    }

    fn writes_of_a_half_fail<D>() {
        ends_at_the_deadline::<D, _>(0, |request| Ok(request.halves().1.write_all(PIECE)?));
    }

    fn files_fail<D>() {
        let folder = TempDir::new();
        let path = folder.join("file");
        std::fs::write(&path, PIECE).unwrap();
        let file = Arc::new(File::open(path).unwrap());
        ends_at_the_deadline::<D, _>(0, move |request| Ok(request.send_file(Arc::clone(&file), 0, PIECE.len() as u64)?));
    }

    fn a_file_without_end_fails<D>() {
        let folder = TempDir::new();
        let path = folder.join("file");
        // It takes no room on the disk.
        let file = File::create_new(&path).unwrap();
        file.set_len(1 << 40).unwrap();
        let file = Arc::new(File::open(path).unwrap());
        let send = function(move |request: &mut Connection| {
            request.send_file(Arc::clone(&file), 0, 1 << 40)?;
            // Waits for the first.
            request.send_file(Arc::clone(&file), 0, 1)?;
            Ok(Flow::Close)
        });
        let server = Builder::<Tcp, D, _>::new(send).drain_timeout(DRAIN).start();
        let reads = Reads::from(server.local_addr());
        server.stop_handle().shutdown();
        reads.last_words();
        let report = server.join();
        assert_eq!((report.accepted, report.forced), (1, 1), "{report}");
    }

    fn writes_of_setup_fail<D>() {
        struct Greets;

        impl Handler<Connection> for Greets {
            fn setup(&mut self, request: &mut Connection) -> HandlerResult<()> {
                loop {
                    request.write_all(PIECE)?;
                }
            }

            fn handle(&mut self, _: &mut Connection) -> HandlerResult {
                Ok(Flow::Close)
            }
        }

        let server = Builder::<Tcp, D, _>::new(|| Greets).drain_timeout(DRAIN).start();
        let reads = Reads::from(server.local_addr());
        server.stop_handle().shutdown();
        reads.last_words();
        let report = server.join();
        assert_eq!((report.accepted, report.forced), (1, 1), "{report}");
    }

    fn a_goodbye_has_an_end<D>() {
        struct Lingers;

        impl Handler<Connection> for Lingers {
            fn handle(&mut self, request: &mut Connection) -> HandlerResult {
                request.write_all(b"hello")?;
                Ok(Flow::Close)
            }

            fn finish(&mut self, request: &mut Connection, _: End) -> HandlerResult<()> {
                loop {
                    request.write_all(PIECE)?;
                }
            }
        }

        let server = Builder::<Tcp, D, _>::new(|| Lingers).drain_timeout(DRAIN).start();
        let reads = Reads::from(server.local_addr());
        server.stop_handle().shutdown();
        reads.last_words();
        let report = server.join();
        assert_eq!(report.accepted, 1, "{report}");
    }

    fn a_handler_that_is_called_without_end_is_not_called_again<D>() {
        let again = function(|request: &mut Connection| {
            if request.traffic().sent == 0 {
                request.read_line(&mut String::new())?;
                request.write_all(b"hello")?;
            }
            Ok(Flow::Flush)
        });
        let server = Builder::<Tcp, D, _>::new(again).drain_timeout(DRAIN).start();
        let reads = Reads::from(server.local_addr());
        server.stop_handle().shutdown();
        assert_eq!(reads.last_words(), b"hello");
        let report = server.join();
        assert_eq!((report.accepted, report.forced), (1, 1), "{report}");
    }

    fn datagrams_fail<D>() {
        let (begun, has_begun) = channel();
        let (ended, has_ended) = channel();
        let answer = function(move |request: &mut Datagram<SocketAddr>| {
            begun.send(())?;
            let until = Instant::now() + PATIENCE;
            while Instant::now() < until {
                if let Err(error) = request.reply_now(b"x") {
                    ended.send(error.to_string())?;
                    return Err(error.into());
                }
            }
            ended.send("it goes on".to_owned())?;
            Ok(Flow::Close)
        });
        let server = Builder::<Udp, D, _>::new(answer).drain_timeout(DRAIN).start();
        let client: UdpSocket = connect_udp("127.0.0.1:0", server.local_addr());
        client.send(b"go").unwrap();
        has_begun.recv().unwrap();
        server.stop_handle().shutdown();
        // A child of `Fork` is killed at the deadline.
        if <D as socketserver::dispatch::Dispatch>::NAME != "Fork" {
            assert_eq!(has_ended.recv().unwrap(), "the server is stopping");
        }
        let report = server.join();
        assert_eq!((report.accepted, report.forced), (1, 1), "{report}");
    }
}
