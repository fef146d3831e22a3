//! RFC 862: sends back every byte it receives, over every transport, under every dispatch.
//!
//! ```text
//! cargo run --example echo -- --listen 127.0.0.1:7007 --dispatch pool
//! nc 127.0.0.1 7007
//!
//! cargo run --example echo -- --transport unix-datagram --listen echo.sock
//! echo hello | socat - UNIX-SENDTO:echo.sock,bind=me.sock
//! ```

mod common;

use std::fmt::Debug;
use std::io::BufRead;
use std::io::Write;
use std::process::ExitCode;
use std::sync::Once;

use socketserver::Datagram;
use socketserver::Flow;
use socketserver::Handler;
use socketserver::HandlerResult;
use socketserver::RequestError;
use socketserver::ServerOptions;
use socketserver::Socket;
use socketserver::Stream;
use socketserver::Tcp;
use socketserver::Udp;
use socketserver::UnixDatagram;
use socketserver::UnixStream;
use socketserver::deploy::inetd;
use socketserver::transport::Many;

const USAGE: &str = "usage: echo [--listen ADDR|PATH] [--transport tcp|udp|unix-stream|unix-datagram]
            [--dispatch sync|threads|fork|pool] [--workers N] [--processes N] [--loop]
            [--inetd]
            [--tls-cert FILE --tls-key FILE [--tls-client-ca FILE]]";

/// What has arrived goes back; then the connection waits for more without a thread (under `sync` and `pool`).
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

/// The same in Python's style: one call for the whole conversation, which waits inside of it.
struct EchoInALoop;

impl<S: Socket> Handler<Stream<S>> for EchoInALoop {
    fn handle(&mut self, request: &mut Stream<S>) -> HandlerResult {
        while !request.fill_buf()?.is_empty() {
            Echo.handle(request)?;
        }
        Ok(Flow::Close)
    }
}

impl<A: Clone + Debug + Send + Sync + 'static> Handler<Datagram<A>> for Echo {
    fn handle(&mut self, request: &mut Datagram<A>) -> HandlerResult {
        if request.truncated() {
            // A part of it would look like all of it.
            let length = request.payload().len();
            return Err(format!("a message longer than {length} bytes was cut: it is not sent back").into());
        }
        let payload = request.take_payload();
        request.reply_owned(payload)?;
        Ok(Flow::Close)
    }
}

/// Tells of the first message that could not be sent back; the report counts the others.
fn say_once<A>(error: &RequestError, _: Option<&A>) {
    static SAID: Once = Once::new();
    SAID.call_once(|| common::complain(error));
}

fn main() -> ExitCode {
    common::run(USAGE, serve)
}

/// Serves the connection that inetd has started this program with.
fn serve_standard_input(flags: &common::Flags, in_a_loop: bool) -> common::Outcome {
    const ONE: &str = "with --inetd there is only the connection that the program was started with";
    flags.refuse_processes(ONE)?;
    flags.front.refuse(ONE)?;
    flags.tls.refuse(ONE)?;
    if let Some(address) = flags.listen.first() {
        return Err(common::wrong_usage(format!("--listen {address}: {ONE}")));
    }
    if let Some(dispatch) = &flags.dispatch {
        return Err(common::wrong_usage(format!("--dispatch {dispatch}: {ONE}")));
    }
    let options = ServerOptions::default();
    let report = match (flags.transport.as_deref().unwrap_or("tcp"), in_a_loop) {
        ("tcp", false) => inetd::serve::<std::net::TcpStream, _>(|| Echo, options)?,
        ("tcp", true) => inetd::serve::<std::net::TcpStream, _>(|| EchoInALoop, options)?,
        ("unix-stream", false) => inetd::serve::<std::os::unix::net::UnixStream, _>(|| Echo, options)?,
        ("unix-stream", true) => inetd::serve::<std::os::unix::net::UnixStream, _>(|| EchoInALoop, options)?,
        (other, _) => {
            return Err(common::wrong_usage(format!("--transport {other}: --inetd works with tcp and unix-stream")));
        }
    };
    if report.failed == 0 { Ok(()) } else { Err("the connection has failed".into()) }
}

fn serve() -> common::Outcome {
    let (mut in_a_loop, mut by_inetd) = (false, false);
    let flags = common::Flags::parse(USAGE, |name, _| {
        in_a_loop |= name == "loop";
        by_inetd |= name == "inetd";
        Ok(matches!(name, "loop" | "inetd"))
    })?;
    if by_inetd {
        return serve_standard_input(&flags, in_a_loop);
    }
    let inet = || flags.listen_or("127.0.0.1:7007");
    let path = || flags.listen_or("echo.sock");
    match (flags.transport.as_deref().unwrap_or("tcp"), in_a_loop) {
        ("tcp", false) => serve_streams_with!(Tcp, flags, &[], "pool", inet(), || Echo),
        ("tcp", true) => serve_streams_with!(Tcp, flags, &[], "pool", inet(), || EchoInALoop),
        ("udp", false) => {
            flags.tls.refuse(common::tls::MESSAGES)?;
            flags.front.refuse(common::front::MESSAGES)?;
            serve_with!(Many<Udp>, flags, "sync", inet(), || Echo, on_error(say_once))
        }
        ("unix-stream", false) => serve_streams_with!(UnixStream, flags, &[], "pool", path(), || Echo),
        ("unix-stream", true) => serve_streams_with!(UnixStream, flags, &[], "pool", path(), || EchoInALoop),
        ("unix-datagram", false) => {
            flags.tls.refuse(common::tls::MESSAGES)?;
            flags.front.refuse(common::front::MESSAGES)?;
            serve_with!(Many<UnixDatagram>, flags, "sync", path(), || Echo, on_error(say_once))
        }
        ("udp" | "unix-datagram", true) => Err(common::wrong_usage("--loop: no message follows a datagram")),
        (other, _) => {
            Err(common::wrong_usage(format!("--transport {other}: choose tcp, udp, unix-stream or unix-datagram")))
        }
    }
}
