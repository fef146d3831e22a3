//! A key-value store for Redis clients: RESP2 and RESP3, pipelining, inline commands, expiry.
//!
//! ```text
//! cargo run --release --example kv
//! redis-cli -p 6380 SET greeting "hello world" EX 60
//! redis-cli -p 6380                                    # interactive
//! redis-benchmark -p 6380 -t get,set -c 50 -P 16 -q
//!
//! cargo run --release --example kv -- --transport unix --listen kv.sock
//! redis-cli -s kv.sock PING
//! ```
//!
//! Commands: PING ECHO GET SET (EX PX EXAT PXAT NX XX GET KEEPTTL) DEL EXISTS MGET MSET INCR DECR INCRBY DECRBY EXPIRE
//! PEXPIRE TTL PTTL PERSIST DBSIZE FLUSHALL FLUSHDB; HELLO AUTH CLIENT (ID INFO GETNAME SETNAME SETINFO) SELECT 0 RESET
//! QUIT; INFO COMMAND (COUNT DOCS INFO LIST) CONFIG GET.
//!
//! The library splits the input into whole commands, borrowed from the connection's buffer, and sends the replies to a
//! pipeline in one write. `resp` is the codec and `reply` writes replies; `store` is the map, `commands` the table of
//! commands, and the other modules implement them.

#![allow(unreachable_pub, reason = "the parts of a program need no finer distinction")]

#[path = "kv/client.rs"]
mod client;
#[path = "kv/commands.rs"]
mod commands;
mod common;
#[path = "kv/connection.rs"]
mod connection;
#[path = "kv/keys.rs"]
mod keys;
#[path = "kv/reply.rs"]
mod reply;
#[path = "kv/resp.rs"]
mod resp;
#[path = "kv/server.rs"]
mod server;
#[path = "kv/store.rs"]
mod store;
#[path = "kv/strings.rs"]
mod strings;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use client::Client;
use resp::Resp;
use socketserver::HandlerFactory;
use socketserver::Socket;
use socketserver::Stream;
use socketserver::Tcp;
use socketserver::UnixStream;
use socketserver::frames::Frames;
use store::Store;

const USAGE: &str = "usage: kv [--listen ADDR|PATH] [--transport tcp|unix] [--dispatch sync|threads|pool] [--workers N]
          [--metrics ADDR|PORT] [--tls-cert FILE --tls-key FILE [--tls-client-ca FILE]]

--metrics: on a second port, / for a browser, /metrics for Prometheus, and /healthz. There is no authentication: PORT alone
           is on 127.0.0.1; to make it reachable by others, give the full address";

/// Answers for a client that does not read are held up to here; then its worker waits for it.
const HELD_ANSWERS: usize = 16 * 1024 * 1024;

/// A client may be silent for ever, but it has to be there: after this long its system is asked, and then as often again;
/// nine questions without an answer are the end. Ten minutes in all, as in Redis (`tcp-keepalive`).
const ASKED_AFTER: Duration = Duration::from_secs(60);

/// Makes the handlers, which share one store; between times it looks for keys whose time is over.
struct Clients {
    store: Arc<Store>,
}

impl<S: Socket> HandlerFactory<Stream<S>> for Clients {
    type Handler = Frames<Resp, Client>;

    fn make(&self, _: &Stream<S>) -> Self::Handler {
        Frames::new(Resp::default(), Client::new(&self.store))
    }

    fn service_actions(&self) {
        self.store.sweep();
    }
}

fn main() -> ExitCode {
    common::run(USAGE, serve)
}

fn serve() -> common::Outcome {
    let mut metrics = common::metrics::MetricsFlag::default();
    let flags = common::Flags::parse(USAGE, |name, parser| metrics.take(name, parser))?;
    metrics.start("kv", &flags)?;
    if flags.dispatch.as_deref() == Some("fork") {
        return Err(common::wrong_usage(
            "--dispatch fork: each client would write to the memory of its own process, and no other would see it: choose sync, threads or pool",
        ));
    }
    flags
        .refuse_processes("each would have keys of its own: choose threads or pool, or start several and a balancer")?;
    server::STARTED.get_or_init(Instant::now);
    let clients = Clients { store: Arc::new(Store::new()) };
    let often = Duration::from_millis(100);
    match flags.transport.as_deref().unwrap_or("tcp") {
        "tcp" => serve_streams_with!(
            Tcp,
            flags,
            &[],
            "pool",
            flags.listen_or("127.0.0.1:6380"),
            clients,
            service_interval(often),
            idle_timeout(None),
            keepalive(ASKED_AFTER),
            max_pending_output(HELD_ANSWERS)
        ),
        "unix" => serve_streams_with!(
            UnixStream,
            flags,
            &[],
            "pool",
            flags.listen_or("kv.sock"),
            clients,
            service_interval(often),
            idle_timeout(None),
            max_pending_output(HELD_ANSWERS)
        ),
        other => Err(common::wrong_usage(format!("--transport {other}: choose tcp or unix"))),
    }
}
