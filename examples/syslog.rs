//! Collects syslog messages (RFC 3164 and 5424) and prints each as a line of `name=value` pairs.
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
use std::io;
use std::io::Write;
use std::process::ExitCode;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use socketserver::Datagram;
use socketserver::End;
use socketserver::Event;
use socketserver::Flow;
use socketserver::Handler;
use socketserver::HandlerResult;
use socketserver::StopHandle;
use socketserver::Udp;
use socketserver::UnixDatagram;
use socketserver::transport::Many;

const USAGE: &str =
    "usage: syslog [--listen ADDR|PATH] [--transport udp|unix] [--dispatch sync|threads|fork|pool] [--workers N]
              [--processes N]";

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
            // Quoted and escaped: no sender writes a second line into the log, or a field that is not its own.
            write!(line, " {name}={value:?}")?;
        }
        writeln!(line, " text={:?}", message.text)?;
        if let Err(error) = print(&line) {
            give_up(request.stop_handle(), &error);
            return Err(error.into());
        }
        Ok(Flow::Close)
    }
}

fn print(line: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(line.as_bytes())?;
    out.flush()
}

/// Says once why, and stops: every message from here on would be lost without a word.
fn give_up(server: Option<StopHandle>, error: &io::Error) {
    let Some(server) = server.filter(|server| !server.is_stopping()) else { return };
    common::complain(format_args!("syslog: cannot write to standard output: {error}"));
    server.shutdown();
}

/// Messages that were not printed. Events are told in this process, also where children handle the messages.
static LOST: AtomicU64 = AtomicU64::new(0);

fn count_lost(event: &Event<'_>) {
    if let Event::Stop { end: End::Failed | End::Forced, .. } = event {
        LOST.fetch_add(1, Ordering::Relaxed);
    }
}

fn main() -> ExitCode {
    common::run(USAGE, serve)
}

fn serve() -> common::Outcome {
    let flags = common::Flags::parse(USAGE, |_, _| Ok(false))?;
    flags.tls.refuse(common::tls::MESSAGES)?;
    flags.front.refuse(common::front::MESSAGES)?;
    match flags.transport.as_deref().unwrap_or("udp") {
        "udp" => {
            let listen = flags.listen_or("127.0.0.1:5514");
            serve_with!(Many<Udp>, flags, "sync", listen, || Collect, on_event(count_lost))
        }
        "unix" => {
            let listen = flags.listen_or("syslog.sock");
            serve_with!(Many<UnixDatagram>, flags, "sync", listen, || Collect, on_event(count_lost))
        }
        other => Err(common::wrong_usage(format!("--transport {other}: choose udp or unix"))),
    }?;
    match LOST.load(Ordering::Relaxed) {
        0 => Ok(()),
        1 => Err("a message was lost".into()),
        count => Err(format!("{count} messages were lost").into()),
    }
}
