//! The server's side of the program: what each name means, and the handlers of this crate's servers.

use std::error::Error;
use std::fmt::Debug;
use std::fmt::Display;
use std::io;
use std::io::BufRead;
use std::io::Write;
use std::thread;

use socketserver::Builder;
use socketserver::Datagram;
use socketserver::Flow;
use socketserver::Fork;
use socketserver::Handler;
use socketserver::HandlerFactory;
use socketserver::HandlerResult;
use socketserver::Pool;
use socketserver::PreFork;
use socketserver::Socket;
use socketserver::Stream;
use socketserver::Sync;
use socketserver::Tcp;
use socketserver::ThreadPerRequest;
use socketserver::Tls;
use socketserver::Udp;
use socketserver::UnixStream;
use socketserver::dispatch::Job;
use socketserver::dispatch::Process;
use socketserver::transport::Bind;
use socketserver::transport::ProxyOptions;
use socketserver::transport::ProxyProtocol;

use crate::bare;
use crate::certificate;
use crate::message::NAP;
use crate::message::SLOW;
use crate::rivals;

pub(crate) type Outcome<T = ()> = Result<T, Box<dyn Error + Send + std::marker::Sync>>;

/// Answers to lines that have arrived together leave together.
pub(crate) const GATHERED: usize = 16 << 10;

/// What a handler does with a message.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Does {
    /// Sends the bytes back as they come.
    Echo,
    /// Reads a line and sends it back in upper case.
    Lines,
    /// Sends the bytes back, and sleeps before that when the message asks for it.
    Naps,
}

impl Does {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Echo => "echo",
            Self::Lines => "lines",
            Self::Naps => "naps",
        }
    }

    fn of(name: &str) -> Outcome<Self> {
        [Self::Echo, Self::Lines, Self::Naps]
            .into_iter()
            .find(|does| does.name() == name)
            .ok_or_else(|| format!("a handler that does {name}?").into())
    }
}

/// Where to listen: `tcp:ADDR`, `tls:ADDR`, `unix:PATH`, `udp:ADDR`.
#[derive(Clone, Debug)]
pub(crate) enum Address {
    Tcp(String),
    Tls(String),
    Unix(String),
    Udp(String),
}

impl Address {
    pub(crate) fn parse(text: &str) -> Outcome<Self> {
        match text.split_once(':') {
            Some(("tcp", rest)) => Ok(Self::Tcp(rest.to_owned())),
            Some(("tls", rest)) => Ok(Self::Tls(rest.to_owned())),
            Some(("unix", rest)) => Ok(Self::Unix(rest.to_owned())),
            Some(("udp", rest)) => Ok(Self::Udp(rest.to_owned())),
            _ => Err(format!("{text} is no address: tcp:ADDR, tls:ADDR, unix:PATH or udp:ADDR").into()),
        }
    }
}

/// Says where the server listens.
pub(crate) fn announce(address: &impl Display) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "listening on {address}")?;
    out.flush()
}

/// Serves as `name` until the process is killed: `--serve NAME ADDRESS HANDLER WORKERS`.
pub(crate) fn serve(name: &str, address: &str, does: &str, workers: &str) -> Outcome {
    let address = Address::parse(address)?;
    let does = Does::of(does)?;
    let workers: usize = workers.parse()?;
    match name {
        "epoll" => bare::serve(&address),
        "std" => rivals::threads(does, &address),
        "tokio" => rivals::tokio(does, &address, workers),
        "sync" => ours(Sync, does, &address),
        "pool" => ours(Pool::new(workers), does, &address),
        "threads" => ours(ThreadPerRequest::default(), does, &address),
        "fork" => ours(Fork::default(), does, &address),
        "prefork" => preforked(Pool::new(1), workers, &address),
        "prefork-sync" => preforked(Sync, workers, &address),
        "sync-proxy" => behind_a_proxy(Sync, &address),
        "pool-proxy" => behind_a_proxy(Pool::new(workers), &address),
        _ => Err(format!("there is no server {name}").into()),
    }
}

/// Every transport and handler under one dispatch of this crate.
fn ours<D>(dispatch: D, does: Does, address: &Address) -> Outcome
where
    D: Default,
    D: Process<Job<Tcp, fn() -> Echo>> + Process<Job<Tcp, fn() -> Upper>>,
    D: Process<Job<Tcp, fn() -> Naps>> + Process<Job<Udp, fn() -> Echo>>,
    D: Process<Job<UnixStream, fn() -> Echo>> + Process<Job<UnixStream, fn() -> Upper>>,
    D: Process<Job<Tls<Tcp>, fn() -> Echo>>,
{
    match (address, does) {
        (Address::Tcp(at), Does::Echo) => run(builder::<Tcp, D, _>(dispatch, ECHO), at),
        (Address::Tcp(at), Does::Lines) => run(builder::<Tcp, D, _>(dispatch, UPPER).write_buffer(GATHERED), at),
        (Address::Tcp(at), Does::Naps) => run(builder::<Tcp, D, _>(dispatch, NAPS), at),
        (Address::Tls(at), Does::Echo) => run(builder::<Tls<Tcp>, D, _>(dispatch, ECHO).tls(certificate::ours()?), at),
        (Address::Udp(at), Does::Echo) => run(builder::<Udp, D, _>(dispatch, ECHO), at),
        (Address::Unix(at), Does::Echo) => run(builder::<UnixStream, D, _>(dispatch, ECHO), at),
        (Address::Unix(at), Does::Lines) => {
            run(builder::<UnixStream, D, _>(dispatch, UPPER).write_buffer(GATHERED), at)
        }
        _ => Err(format!("{} over {address:?} is not measured", does.name()).into()),
    }
}

/// Several processes of this crate's that echo.
fn preforked<D>(dispatch: D, processes: usize, address: &Address) -> Outcome
where
    D: Default + Process<Job<Tcp, fn() -> Echo>>,
{
    let Address::Tcp(at) = address else { return Err("processes are measured over TCP".into()) };
    run(builder::<Tcp, PreFork<D>, _>(PreFork::new(processes, dispatch), ECHO), at)
}

/// What a visitor says before its message, to the server of this name: who it is, if that expects it of a proxy.
pub(crate) fn first_words(server: &str) -> &'static [u8] {
    if server.ends_with("-proxy") {
        b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\x02\x01\xc0\0\x02\x02\x30\x39\0\x50"
    } else {
        b""
    }
}

/// An echo of this crate's that expects a header of a proxy.
fn behind_a_proxy<D>(dispatch: D, address: &Address) -> Outcome
where
    D: Default + Process<Job<ProxyProtocol<Tcp>, fn() -> Echo>>,
{
    let Address::Tcp(at) = address else { return Err("headers are measured over TCP".into()) };
    let trusting = ProxyOptions::new().trust("127.0.0.0/8".parse()?);
    run(builder::<ProxyProtocol<Tcp>, D, _>(dispatch, ECHO).transport_options(trusting), at)
}

fn builder<T: Bind, D: Default, H: HandlerFactory<T::Request>>(dispatch: D, factory: H) -> Builder<T, D, H> {
    Builder::new(factory).dispatch(dispatch)
}

fn run<T, D, H>(builder: Builder<T, D, H>, address: &str) -> Outcome
where
    T: Bind,
    T::Address: for<'a> From<&'a str>,
    D: Process<Job<T, H>>,
    H: HandlerFactory<T::Request>,
{
    let server = builder.bind(address)?;
    announce(&server.local_addr())?;
    println!("{}", server.serve_forever()?);
    Ok(())
}

const ECHO: fn() -> Echo = || Echo;
const UPPER: fn() -> Upper = || Upper;
const NAPS: fn() -> Naps = || Naps;

struct Echo;

impl<S: Socket> Handler<Stream<S>> for Echo {
    fn handle(&mut self, request: &mut Stream<S>) -> HandlerResult {
        request.fill_buf()?;
        let (bytes, writer) = request.split_buffered();
        let count = bytes.len();
        writer.write_all(bytes)?;
        request.consume(count);
        Ok(Flow::Continue)
    }
}

impl<A: Clone + Debug + Send + std::marker::Sync + 'static> Handler<Datagram<A>> for Echo {
    fn handle(&mut self, request: &mut Datagram<A>) -> HandlerResult {
        let payload = request.take_payload();
        request.reply_owned(payload)?;
        Ok(Flow::Close)
    }
}

struct Upper;

impl<S: Socket> Handler<Stream<S>> for Upper {
    fn handle(&mut self, request: &mut Stream<S>) -> HandlerResult {
        let mut line = Vec::new();
        request.read_until(b'\n', &mut line)?;
        line.make_ascii_uppercase();
        request.write_all(&line)?;
        Ok(Flow::Continue)
    }
}

struct Naps;

impl<S: Socket> Handler<Stream<S>> for Naps {
    fn handle(&mut self, request: &mut Stream<S>) -> HandlerResult {
        if request.fill_buf()?.first() == Some(&SLOW) {
            thread::sleep(NAP);
        }
        Echo.handle(request)
    }
}
