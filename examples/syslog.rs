//! Collects syslog messages (RFC 3164 and 5424) and prints each as a line of `name=value`.
//!
//! ```text
//! cargo run --example syslog
//! logger --server 127.0.0.1 --port 5514 --udp --tag demo "hello"
//!
//! cargo run --example syslog -- --transport unix --listen log.sock
//! logger --socket log.sock "hello"
//! ```

#![allow(unreachable_pub, reason = "the parts of a program need no finer distinction")]

mod common;
#[path = "syslog/message.rs"]
mod message;

use std::fmt::Debug;
use std::fmt::Write as _;
use std::io::Write;
use std::process::ExitCode;

use socketserver::Datagram;
use socketserver::Flow;
use socketserver::Handler;
use socketserver::HandlerResult;
use socketserver::Udp;
use socketserver::UnixDatagram;

const USAGE: &str =
    "usage: syslog [--listen ADDR|PATH] [--transport udp|unix] [--dispatch sync|threads|fork|pool] [--workers N]";

/// Prints each message in one write, so that lines of several workers do not mix.
struct Collect;

impl<A: Clone + Debug + Send + Sync + 'static> Handler<Datagram<A>> for Collect {
    fn handle(&mut self, request: &mut Datagram<A>) -> HandlerResult {
        let payload = String::from_utf8_lossy(request.payload());
        let message = message::parse(&payload);
        let mut line = format!("facility={} severity={}", message.facility, message.severity);
        let fields = [
            ("time", message.time),
            ("host", message.host),
            ("app", message.app),
            ("pid", message.pid),
            ("id", message.id),
            ("data", message.data),
        ];
        for (name, value) in fields.into_iter().filter(|(_, value)| !value.is_empty()) {
            // Quoted and escaped: nobody writes a second line into the log, or a field that is not his.
            write!(line, " {name}={value:?}")?;
        }
        writeln!(line, " text={:?}", message.text)?;
        let mut out = std::io::stdout().lock();
        out.write_all(line.as_bytes())?;
        out.flush()?;
        Ok(Flow::Close)
    }
}

fn main() -> ExitCode {
    common::run(USAGE, serve)
}

fn serve() -> common::Outcome {
    let flags = common::Flags::parse(USAGE, |_, _| Ok(false))?;
    match flags.transport.as_deref().unwrap_or("udp") {
        "udp" => serve_with!(Udp, flags, "sync", flags.listen_or("127.0.0.1:5514"), |_: &_| Collect),
        "unix" => serve_with!(UnixDatagram, flags, "sync", flags.listen_or("syslog.sock"), |_: &_| Collect),
        other => Err(common::wrong_usage(format!("--transport {other}: choose udp or unix"))),
    }
}
