//! The steps that are measured, and the servers they are measured on.

use std::convert::Infallible;
use std::env;
use std::error::Error;
use std::hint::black_box;
use std::io;
use std::io::BufRead;
use std::io::ErrorKind;
use std::io::Read;
use std::io::Write;
use std::net::UdpSocket;
use std::os::unix::net::UnixStream as Socket;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use rustix::thread::CpuSet;
use rustix::thread::sched_getaffinity;
use rustix::thread::sched_setaffinity;
use socketserver::Builder;
use socketserver::Datagram;
use socketserver::Flow;
use socketserver::HandlerFactory;
use socketserver::HandlerResult;
use socketserver::Pool;
use socketserver::Server;
use socketserver::Stream;
use socketserver::Sync;
use socketserver::Transport;
use socketserver::Udp;
use socketserver::UnixStream;
use socketserver::dispatch::Job;
use socketserver::dispatch::Process;
use socketserver::dispatch::ServesInBackground;
use socketserver::handler::function;
use socketserver::request::Request;
use socketserver::transport::Descriptor;
use socketserver::transport::Immediate;

use crate::timing::Batches;
use crate::timing::timed;

type Outcome<T = ()> = Result<T, Box<dyn Error>>;

/// Short enough for a socket's buffer, many enough to keep a server busy.
const TOGETHER: usize = 32;

pub(crate) fn main() -> Outcome {
    let quick = env::args().any(|argument| argument == "--quick");
    let batches =
        if quick { Batches { count: 3, operations: 320 } } else { Batches { count: 101, operations: 32_000 } };
    stay_on_one_cpu()?;
    println!("median of {} batches of up to {} operations (least to most)\n", batches.count, batches.operations);

    let name = "a request without system calls: permit, dispatch, all steps; Sync";
    batches.report(name, |count| from_memory(count, Sync))?;
    batches.report("the same; Pool", |count| from_memory(count, Pool::new(2)))?;

    let base = base_of_round_trips()?;
    batches.shorter(10).report("a byte there and back, park and wake; a thread that blocks", round_trips(base))?;
    let (_server, client) = stream_server::<Sync, _>(function(echo))?;
    batches.shorter(10).report("the same; Sync", round_trips(client))?;
    let (_server, client) = stream_server::<Pool, _>(function(echo))?;
    batches.shorter(10).report("the same; Pool", round_trips(client))?;

    let (_server, client) = stream_server::<Sync, _>(function(upper))?;
    batches.report("a line that has come with others, and its answer; Sync", lines(client))?;

    let socket = UdpSocket::bind("127.0.0.1:0")?;
    let address = socket.local_addr()?;
    // It ends with the process.
    thread::spawn(move || echo_datagrams(&socket));
    batches.shorter(10).report("a datagram and its answer, 32 at a time; a thread", datagrams(address)?)?;
    let server = Builder::<Udp, Sync, _>::new(function(answer)).bind("127.0.0.1:0")?.serve_in_background()?;
    batches.shorter(10).report("the same; Sync", datagrams(server.local_addr())?)?;
    Ok(())
}

/// This thread and all that it starts.
fn stay_on_one_cpu() -> Outcome {
    let allowed = sched_getaffinity(None)?;
    let last = (0..CpuSet::MAX_CPU).rev().find(|cpu| allowed.is_set(*cpu)).ok_or("no CPU")?;
    let mut one = CpuSet::new();
    one.set(last);
    Ok(sched_setaffinity(None, &one)?)
}

/// A request that is nothing but itself.
struct Ping;

impl Request for Ping {
    type Addr = Infallible;

    fn client_address(&self) -> Option<&Infallible> {
        None
    }
}

/// A transport that has so many requests at once.
struct Memory {
    left: usize,
    /// Readable for ever, as a listener with a backlog is.
    bell: Socket,
    _ringer: Socket,
}

impl Transport for Memory {
    type Request = Ping;
    type Pending = Immediate<Ping>;
    type Addr = &'static str;

    fn accept(&mut self) -> io::Result<Immediate<Ping>> {
        self.left = self.left.checked_sub(1).ok_or(ErrorKind::WouldBlock)?;
        Ok(Immediate(Ping))
    }

    fn descriptor(&self) -> Descriptor<'_> {
        std::os::fd::AsFd::as_fd(&self.bell)
    }

    fn local_addr(&self) -> &'static str {
        "memory"
    }
}

/// Serves `count` requests; the server's start and end are in the time, and small beside them.
fn from_memory<D>(count: usize, dispatch: D) -> Outcome<Duration>
where
    D: Process<Job<Memory, Countdown>>,
{
    let (bell, mut ringer) = Socket::pair()?;
    ringer.write_all(b"!")?;
    let transport = Memory { left: count, bell, _ringer: ringer };
    let countdown = Countdown { left: Arc::new(AtomicUsize::new(count)), stop: Arc::default() };
    let server = Server::new(transport, dispatch, countdown)?;
    server.factory().stop.set(server.stop_handle()).map_err(|_| "set twice")?;
    let began = Instant::now();
    let report = server.serve_forever()?;
    let elapsed = began.elapsed();
    if report.accepted != count as u64 {
        return Err(format!("{} requests instead of {count}", report.accepted).into());
    }
    Ok(elapsed)
}

/// Stops the server at the last request.
struct Countdown {
    left: Arc<AtomicUsize>,
    stop: Arc<std::sync::OnceLock<socketserver::StopHandle>>,
}

struct Counted(Arc<AtomicUsize>, Arc<std::sync::OnceLock<socketserver::StopHandle>>);

impl HandlerFactory<Ping> for Countdown {
    type Handler = Counted;

    fn make(&self, _: &Ping) -> Counted {
        Counted(Arc::clone(&self.left), Arc::clone(&self.stop))
    }
}

impl socketserver::Handler<Ping> for Counted {
    fn handle(&mut self, request: &mut Ping) -> HandlerResult {
        black_box(request);
        if self.0.fetch_sub(1, Ordering::Relaxed) == 1
            && let Some(stop) = self.1.get()
        {
            stop.shutdown();
        }
        Ok(Flow::Close)
    }
}

fn echo(request: &mut Stream<Socket>) -> HandlerResult {
    request.fill_buf()?;
    let (bytes, writer) = request.split_buffered();
    let count = bytes.len();
    writer.write_all(bytes)?;
    request.consume(count);
    Ok(Flow::Continue)
}

fn upper(request: &mut Stream<Socket>) -> HandlerResult {
    let mut line = Vec::new();
    request.read_until(b'\n', &mut line)?;
    line.make_ascii_uppercase();
    request.write_all(&line)?;
    Ok(Flow::Continue)
}

fn answer(request: &mut Datagram<std::net::SocketAddr>) -> HandlerResult {
    let payload = request.take_payload();
    request.reply_owned(payload)?;
    Ok(Flow::Close)
}

/// A server on a socket's path, and a client of it. Small answers are gathered, so that the handler's calls are what is
/// measured.
fn stream_server<D, H>(factory: H) -> Outcome<(socketserver::BackgroundServer<<UnixStream as Transport>::Addr>, Socket)>
where
    D: Process<Job<UnixStream, H>> + ServesInBackground + Default + Send + 'static,
    H: HandlerFactory<Stream<Socket>> + Send + std::marker::Sync + 'static,
    Server<UnixStream, D, H>: Send,
{
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let name = format!("socketserver-micro-{}-{}.sock", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
    let path = env::temp_dir().join(name);
    let path = path.to_str().ok_or("the folder for temporary files has a strange name")?;
    let server = Builder::<UnixStream, D, H>::new(factory).write_buffer(4096).bind(path)?.serve_in_background()?;
    let client = Socket::connect(path)?;
    client.set_read_timeout(Some(Duration::from_secs(30)))?;
    Ok((server, client))
}

/// What a round trip costs without this crate.
fn base_of_round_trips() -> Outcome<Socket> {
    let (client, mut server) = Socket::pair()?;
    thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok(count @ 1..) = server.read(&mut buffer) {
            if server.write_all(&buffer[..count]).is_err() {
                break;
            }
        }
    });
    Ok(client)
}

fn round_trips(mut client: Socket) -> impl FnMut(usize) -> io::Result<Duration> {
    move |count| {
        timed(|| {
            for number in 0..count {
                let sent = [black_box(number as u8)];
                let mut received = [0];
                client.write_all(&sent)?;
                client.read_exact(&mut received)?;
                assert_eq!(sent, received, "the server echoes");
            }
            Ok(())
        })
    }
}

fn lines(mut client: Socket) -> impl FnMut(usize) -> io::Result<Duration> {
    let (sent, expected) = (b"a line\n".repeat(TOGETHER), b"A LINE\n".repeat(TOGETHER));
    let mut received = vec![0; sent.len()];
    move |count| {
        timed(|| {
            for _ in 0..count / TOGETHER {
                client.write_all(black_box(&sent))?;
                client.read_exact(&mut received)?;
                assert_eq!(received, expected, "lines come back in upper case");
            }
            Ok(())
        })
    }
}

fn echo_datagrams(socket: &UdpSocket) -> io::Result<()> {
    let mut buffer = [0; 2048];
    loop {
        let (count, peer) = socket.recv_from(&mut buffer)?;
        socket.send_to(&buffer[..count], peer)?;
    }
}

fn datagrams(server: std::net::SocketAddr) -> io::Result<impl FnMut(usize) -> io::Result<Duration>> {
    let client = UdpSocket::bind("127.0.0.1:0")?;
    client.connect(server)?;
    client.set_read_timeout(Some(Duration::from_secs(30)))?;
    let mut received = [0; 128];
    Ok(move |count| {
        timed(|| {
            for _ in 0..count / TOGETHER {
                for number in 0..TOGETHER {
                    client.send(&[number as u8; 64])?;
                }
                for number in 0..TOGETHER {
                    let size = client.recv(&mut received)?;
                    assert_eq!(received[..size], [number as u8; 64], "answers keep the order of one sender");
                }
            }
            Ok(())
        })
    })
}
