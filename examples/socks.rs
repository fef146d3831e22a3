//! A SOCKS5 proxy (RFC 1928): connects to where its clients ask, and carries bytes both ways.
//!
//! ```text
//! cargo run --example socks
//! curl --proxy socks5h://127.0.0.1:1080 https://example.com/
//!
//! cargo run --example socks -- --user me:secret
//! curl --proxy socks5h://me:secret@127.0.0.1:1080 https://example.com/
//! ```
//!
//! It supports the command CONNECT, with IPv4 and IPv6 addresses and with names, which it resolves itself. With
//! `--user`, which may be repeated, clients need a user name and password (RFC 1929), sent in the clear unless there is
//! a `--tls-cert`. Whoever can connect to it can reach whatever this machine can, including services on its loopback
//! address: by default it listens on that address only.
//!
//! Until the outgoing connection is established, for at most `--timeout` seconds, a client holds a thread: under `pool`
//! another is started, and under `sync` all other clients wait. From then on it holds no thread, but two descriptors:
//! lower `--max-connections` if those are scarce. A connection that carries nothing for `--idle` seconds is closed.
//!
//! `protocol` has the messages, `dial` makes outgoing connections, `session` connects the two.

#![allow(unreachable_pub, reason = "the parts of a program need no finer distinction")]

mod common;
#[path = "socks/dial.rs"]
mod dial;
#[path = "socks/protocol.rs"]
mod protocol;
#[path = "socks/session.rs"]
mod session;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use session::Session;
use session::Settings;
use session::User;
use socketserver::Tcp;
use socketserver::UnixStream;

const USAGE: &str = "usage: socks [--listen ADDR|PATH] [--user NAME:PASSWORD] [--timeout SECONDS] [--idle SECONDS]
            [--transport tcp|unix]
            [--dispatch sync|threads|fork|pool] [--workers N] [--processes N]
            [--tls-cert FILE --tls-key FILE [--tls-client-ca FILE]]";

/// A client says what it wants at once.
const NEGOTIATION: Duration = Duration::from_secs(30);

fn main() -> ExitCode {
    common::run(USAGE, serve)
}

fn serve() -> common::Outcome {
    let mut settings = Settings::default();
    let flags = common::Flags::parse(USAGE, |name, parser| {
        use lexopt::ValueExt;
        match name {
            "user" => settings.users.push(User::parse(&parser.value()?.string()?)?),
            "timeout" => settings.timeout = seconds(parser.value()?.parse()?)?,
            "idle" => settings.idle = seconds(parser.value()?.parse()?)?,
            _ => return Ok(false),
        }
        Ok(true)
    })?;
    let settings = Arc::new(settings);
    let session = move || Session::new(Arc::clone(&settings));
    match flags.transport.as_deref().unwrap_or("tcp") {
        "tcp" => {
            let listen = flags.listen_or("127.0.0.1:1080");
            serve_streams_with!(Tcp, flags, &[], "pool", listen, session, idle_timeout(NEGOTIATION))
        }
        "unix" => {
            let listen = flags.listen_or("socks.sock");
            serve_streams_with!(UnixStream, flags, &[], "pool", listen, session, idle_timeout(NEGOTIATION))
        }
        other => Err(common::wrong_usage(format!("--transport {other}: choose tcp or unix"))),
    }
}

fn seconds(seconds: u64) -> common::Outcome<Duration> {
    if seconds == 0 { Err("it must be at least 1".into()) } else { Ok(Duration::from_secs(seconds)) }
}
