//! What is measured: each row is a load, and the servers that bear it; the first server is what the others are compared
//! with.

use crate::load::Echo;
use crate::servers::Does;

/// A load and its servers.
pub(crate) struct Row {
    pub(crate) name: &'static str,
    pub(crate) what: String,
    pub(crate) load: Load,
    pub(crate) listen: Listen,
    pub(crate) workers: usize,
    /// Whether server and load generator stay on a CPU each.
    pub(crate) pinned: bool,
    pub(crate) contenders: Vec<Contender>,
}

#[derive(Clone, Copy)]
pub(crate) enum Load {
    Echo(Echo),
    Churn { at_once: usize },
    Udp { sockets: usize, in_flight: usize },
}

#[derive(Clone, Copy)]
pub(crate) enum Listen {
    Tcp,
    Tls,
    Unix,
    Udp,
}

/// A server that takes part in a row.
#[derive(Clone)]
pub(crate) struct Contender {
    pub(crate) server: &'static str,
    pub(crate) does: Does,
    pub(crate) label: &'static str,
}

const fn contender(server: &'static str, does: Does, label: &'static str) -> Contender {
    Contender { server, does, label }
}

/// The size of a message, unless the row says otherwise.
pub(crate) const SIZE: usize = 64;

/// The loads whose figures are drawn over the number of connections.
pub(crate) const CONNECTIONS: [usize; 4] = [1, 64, 1_000, 10_000];

const BASE: Echo = Echo { connections: 64, active: 64, slow: 0, size: SIZE, in_flight: 1 };
const LARGE: Echo = Echo { connections: 16, active: 16, size: 16 << 10, ..BASE };
const VISITS: Load = Load::Churn { at_once: 32 };

const BARE: Contender = contender("epoll", Does::Echo, "bare epoll loop");
/// The same program once more: how far it is from 1 is the noise.
const AGAIN: Contender = contender("epoll", Does::Echo, "bare epoll loop, again");

fn streams() -> Vec<Contender> {
    let mut contenders = vec![BARE, AGAIN];
    contenders.extend(echoing([
        ("sync", "Sync"),
        ("pool", "Pool"),
        ("threads", "ThreadPerRequest"),
        ("std", "std threads"),
        ("tokio", "tokio"),
    ]));
    contenders.extend([
        contender("sync", Does::Lines, "Sync, lines"),
        contender("pool", Does::Lines, "Pool, lines"),
        contender("threads", Does::Lines, "ThreadPerRequest, lines"),
        contender("tokio", Does::Lines, "tokio, lines"),
    ]);
    contenders
}

/// Servers that echo, each with its label.
fn echoing(servers: impl IntoIterator<Item = (&'static str, &'static str)>) -> Vec<Contender> {
    servers.into_iter().map(|(server, label)| contender(server, Does::Echo, label)).collect()
}

fn napping() -> Vec<Contender> {
    vec![
        contender("tokio", Does::Naps, "tokio with spawn_blocking"),
        contender("pool", Does::Naps, "Pool"),
        contender("threads", Does::Naps, "ThreadPerRequest"),
        contender("std", Does::Naps, "std threads"),
    ]
}

/// A row over TCP with all the servers of streams.
fn row(name: &'static str, what: impl Into<String>, load: Load) -> Row {
    let (listen, workers, pinned, contenders) = (Listen::Tcp, 2, true, streams());
    Row { name, what: what.into(), load, listen, workers, pinned, contenders }
}

impl Row {
    /// With these servers instead.
    fn by(self, contenders: Vec<Contender>) -> Self {
        Self { contenders, ..self }
    }
}

/// All rows, in the order in which they run.
pub(crate) fn all() -> Vec<Row> {
    let mut rows = messages();
    rows.extend(visits());
    rows.extend(crowds());
    rows.extend(tls());
    rows.push(datagrams());
    rows.extend(blocking());
    rows
}

/// Connections that stay, all of them active.
fn messages() -> Vec<Row> {
    let mut rows: Vec<Row> = ["echo-1", "echo-64", "echo-1000", "echo-10000"]
        .into_iter()
        .zip(CONNECTIONS)
        .map(|(name, connections)| {
            let load = Echo { connections, active: connections, ..BASE };
            row(name, format!("64 bytes, connections: {connections}"), Load::Echo(load))
        })
        .collect();
    rows.extend([
        row(
            "in-flight",
            "64 bytes, 64 connections, 16 messages under way on each",
            Load::Echo(Echo { in_flight: 16, ..BASE }),
        ),
        row("large", "16 KiB, 16 connections", Load::Echo(LARGE)),
        Row { listen: Listen::Unix, ..row("unix", "Unix-domain stream, 64 bytes, 64 connections", Load::Echo(BASE)) },
    ]);
    rows
}

/// Connections that last for one message.
fn visits() -> Vec<Row> {
    let mut with_fork = streams();
    with_fork.push(contender("fork", Does::Echo, "Fork"));
    vec![
        row("churn", "connect, 64 bytes, close; 32 visitors at a time", VISITS).by(with_fork),
        row("proxy", "connect, a PROXY v2 header and 64 bytes, close; 32 visitors at a time", VISITS).by(echoing([
            ("pool", "Pool"),
            ("pool", "Pool, again"),
            ("pool-proxy", "Pool, a header before each message"),
            ("sync", "Sync"),
            ("sync-proxy", "Sync, a header before each message"),
        ])),
        row("prefork", "connect, 64 bytes, close; 32 visitors at a time", VISITS).by(echoing([
            ("pool", "Pool, 2 workers"),
            ("pool", "Pool, 2 workers, again"),
            ("prefork", "PreFork, 2 processes of a Pool with 1 worker"),
            ("prefork-sync", "PreFork, 2 processes of Sync"),
        ])),
    ]
}

fn crowds() -> [Row; 2] {
    let mostly_idle = Load::Echo(Echo { connections: 10_000, ..BASE });
    let both = "64 bytes, 64 connections, server and load generator on any CPU";
    [
        row("idle", "64 bytes, 10,000 connections of which 64 are active", mostly_idle),
        Row { pinned: false, ..row("unpinned", both, Load::Echo(BASE)) },
    ]
}

/// The same loads over TLS 1.3, beside the same program on tokio-rustls.
fn tls() -> [Row; 4] {
    let mostly_idle = Load::Echo(Echo { connections: 5_000, ..BASE });
    let visit = "TLS: connect, a full handshake, 64 bytes, close; 32 visitors at a time";
    [
        ("tls-echo", "TLS, 64 bytes, 64 connections", Load::Echo(BASE)),
        ("tls-large", "TLS, 16 KiB, 16 connections", Load::Echo(LARGE)),
        ("tls-handshake", visit, VISITS),
        ("tls-idle", "TLS, 64 bytes, 5,000 connections of which 64 are active", mostly_idle),
    ]
    .map(|(name, what, load)| {
        let contenders = echoing([
            ("tokio", "tokio-rustls"),
            ("tokio", "tokio-rustls, again"),
            ("sync", "Sync"),
            ("pool", "Pool"),
            ("threads", "ThreadPerRequest"),
        ]);
        Row { listen: Listen::Tls, ..row(name, what, load).by(contenders) }
    })
}

fn datagrams() -> Row {
    let what = "UDP, 64 bytes, 8 sockets, 8 messages under way on each";
    let contenders = echoing([
        ("epoll", "std recv_from, send_to"),
        ("epoll", "std recv_from, send_to, again"),
        ("sync", "Sync"),
        ("pool", "Pool"),
        ("tokio", "tokio"),
    ]);
    Row { listen: Listen::Udp, ..row("udp", what, Load::Udp { sockets: 8, in_flight: 8 }).by(contenders) }
}

/// Handlers that sleep, beside the same servers without any that does.
fn blocking() -> [Row; 2] {
    let what =
        "8 workers, 64 connections; half of the handlers sleep 50 ms a message, the figures are the other half's";
    let without = "the same without the half that sleeps: 32 connections";
    [
        row("blocked", what, Load::Echo(Echo { slow: 32, ..BASE })),
        row("not-blocked", without, Load::Echo(Echo { connections: 32, active: 32, ..BASE })),
    ]
    .map(|row| Row { workers: 8, ..row.by(napping()) })
}
