//! Receives mail, and stores each message as a file in a directory, or prints it (RFC 5321).
//!
//! ```text
//! cargo run --example smtp                          # prints what it gets
//! cargo run --example smtp -- --folder mail         # stores it
//! swaks --server 127.0.0.1:2525 --to you@example.test --body hello
//! python3 -c "import smtplib; smtplib.SMTP('127.0.0.1', 2525).sendmail('me@example.test', 'you@example.test', 'Subject: hi')"
//! ```
//!
//! Any client can send to any address: this is for tests, or for use behind another server, not for the Internet. A
//! message is on disk before the client is told that it is accepted. `Return-Path`, `Delivered-To` for each recipient,
//! and `Received` are added before its header. A message with any error is refused as a whole.
//!
//! Lines end with CR LF and nothing else. If one server takes a lone LF for the end of a line and another does not, a
//! message can smuggle in a second one (`<LF>.<LF>`): a message with a lone CR or LF is refused.
//!
//! `crlf` reads lines, `session` handles commands, `path` parses addresses, `message` stores the mail.

#![allow(unreachable_pub, reason = "the parts of a program need no finer distinction")]

mod common;
#[path = "smtp/crlf.rs"]
mod crlf;
#[path = "smtp/message.rs"]
mod message;
#[path = "smtp/path.rs"]
mod path;
#[path = "smtp/session.rs"]
mod session;

use std::fmt::Display;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use crlf::Crlf;
use message::Spool;
use session::Session;
use socketserver::HandlerFactory;
use socketserver::Socket;
use socketserver::Stream;
use socketserver::Tcp;
use socketserver::UnixStream;
use socketserver::frames::Frames;

const USAGE: &str = "usage: smtp [--listen ADDR|PATH] [--folder DIR] [--transport tcp|unix]
            [--dispatch sync|threads|fork|pool] [--workers N] [--processes N]
            [--tls-cert FILE --tls-key FILE [--tls-client-ca FILE]]";

/// RFC 5321, 4.5.3.2.7.
const IDLE: Duration = Duration::from_secs(300);

/// Makes a session for each connection; it greets.
struct Sessions(Arc<Spool>);

impl<S: Socket<Addr: Display>> HandlerFactory<Stream<S>> for Sessions {
    type Handler = Frames<Crlf, Session>;

    fn make(&self, _: &Stream<S>) -> Self::Handler {
        Frames::new(Crlf::new(), Session::new(Arc::clone(&self.0)))
    }

    fn speaks_first(&self) -> bool {
        true
    }
}

fn main() -> ExitCode {
    common::run(USAGE, serve)
}

fn serve() -> common::Outcome {
    let mut folder = None;
    let flags = common::Flags::parse(USAGE, |name, parser| {
        if name == "folder" {
            folder = Some(PathBuf::from(parser.value()?));
        }
        Ok(name == "folder")
    })?;
    let sessions = Sessions(Arc::new(Spool::open(folder)?));
    match flags.transport.as_deref().unwrap_or("tcp") {
        "tcp" => {
            let listen = flags.listen_or("127.0.0.1:2525");
            serve_streams_with!(Tcp, flags, &[], "pool", listen, sessions, idle_timeout(IDLE))
        }
        "unix" => {
            let listen = flags.listen_or("smtp.sock");
            serve_streams_with!(UnixStream, flags, &[], "pool", listen, sessions, idle_timeout(IDLE))
        }
        other => Err(common::wrong_usage(format!("--transport {other}: choose tcp or unix"))),
    }
}
