//! What is measured: each row is a load, and the servers that bear it; the first server is what the others are compared
//! with.

use crate::load;
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
    Echo(load::Echo),
    Churn { at_once: usize },
    Udp { sockets: usize, in_flight: usize },
}

#[derive(Clone, Copy)]
pub(crate) enum Listen {
    Tcp,
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

const BARE: Contender = contender("epoll", Does::Echo, "bare epoll loop");
/// The same program once more: how far it is from 1 is the noise.
const AGAIN: Contender = contender("epoll", Does::Echo, "bare epoll loop, again");

fn streams() -> Vec<Contender> {
    vec![
        BARE,
        AGAIN,
        contender("sync", Does::Echo, "Sync"),
        contender("pool", Does::Echo, "Pool"),
        contender("threads", Does::Echo, "ThreadPerRequest"),
        contender("std", Does::Echo, "std threads"),
        contender("tokio", Does::Echo, "tokio"),
        contender("sync", Does::Lines, "Sync, lines"),
        contender("pool", Does::Lines, "Pool, lines"),
        contender("threads", Does::Lines, "ThreadPerRequest, lines"),
        contender("tokio", Does::Lines, "tokio, lines"),
    ]
}

fn churn() -> Vec<Contender> {
    let mut contenders = streams();
    contenders.push(contender("fork", Does::Echo, "Fork"));
    contenders
}

fn napping() -> Vec<Contender> {
    vec![
        contender("tokio", Does::Naps, "tokio with spawn_blocking"),
        contender("pool", Does::Naps, "Pool"),
        contender("threads", Does::Naps, "ThreadPerRequest"),
        contender("std", Does::Naps, "std threads"),
    ]
}

/// All rows, in the order in which they run.
pub(crate) fn all() -> Vec<Row> {
    let base = load::Echo { connections: 64, active: 64, slow: 0, size: SIZE, in_flight: 1 };
    let row = |name, what: &str, load| Row {
        name,
        what: what.to_owned(),
        load: Load::Echo(load),
        listen: Listen::Tcp,
        workers: 2,
        pinned: true,
        contenders: streams(),
    };
    let mut rows = Vec::new();
    for (name, connections) in ["echo-1", "echo-64", "echo-1000", "echo-10000"].into_iter().zip(CONNECTIONS) {
        let what = format!("64 bytes, connections: {connections}");
        rows.push(row(name, &what, load::Echo { connections, active: connections, ..base }));
    }
    rows.push(row(
        "in-flight",
        "64 bytes, 64 connections, 16 messages under way on each",
        load::Echo { in_flight: 16, ..base },
    ));
    let large = load::Echo { connections: 16, active: 16, size: 16 << 10, ..base };
    rows.push(row("large", "16 KiB, 16 connections", large));
    rows.push(Row { listen: Listen::Unix, ..row("unix", "Unix-domain stream, 64 bytes, 64 connections", base) });
    let load = Load::Churn { at_once: 32 };
    rows.push(Row {
        load,
        contenders: churn(),
        ..row("churn", "connect, 64 bytes, close; 32 visitors at a time", base)
    });
    rows.push(Row {
        load,
        contenders: vec![
            contender("pool", Does::Echo, "Pool"),
            contender("pool", Does::Echo, "Pool, again"),
            contender("pool-proxy", Does::Echo, "Pool, a header before each message"),
            contender("sync", Does::Echo, "Sync"),
            contender("sync-proxy", Does::Echo, "Sync, a header before each message"),
        ],
        ..row("proxy", "connect, a PROXY v2 header and 64 bytes, close; 32 visitors at a time", base)
    });
    rows.push(Row {
        load,
        contenders: vec![
            contender("pool", Does::Echo, "Pool, 2 workers"),
            contender("pool", Does::Echo, "Pool, 2 workers, again"),
            contender("prefork", Does::Echo, "PreFork, 2 processes of a Pool with 1 worker"),
            contender("prefork-sync", Does::Echo, "PreFork, 2 processes of Sync"),
        ],
        ..row("prefork", "connect, 64 bytes, close; 32 visitors at a time", base)
    });
    let mostly_idle = load::Echo { connections: 10_000, active: 64, ..base };
    rows.push(row("idle", "64 bytes, 10,000 connections of which 64 are active", mostly_idle));
    let both = "64 bytes, 64 connections, server and load generator on any CPU";
    rows.push(Row { pinned: false, ..row("unpinned", both, base) });
    rows.push(Row {
        load: Load::Udp { sockets: 8, in_flight: 8 },
        listen: Listen::Udp,
        contenders: vec![
            contender("epoll", Does::Echo, "std recv_from, send_to"),
            contender("epoll", Does::Echo, "std recv_from, send_to, again"),
            contender("sync", Does::Echo, "Sync"),
            contender("pool", Does::Echo, "Pool"),
            contender("tokio", Does::Echo, "tokio"),
        ],
        ..row("udp", "UDP, 64 bytes, 8 sockets, 8 messages under way on each", base)
    });
    let what =
        "8 workers, 64 connections; half of the handlers sleep 50 ms a message, the figures are the other half's";
    rows.push(Row { workers: 8, contenders: napping(), ..row("blocked", what, load::Echo { slow: 32, ..base }) });
    rows.push(Row {
        workers: 8,
        contenders: napping(),
        ..row(
            "not-blocked",
            "the same without the half that sleeps: 32 connections",
            load::Echo { connections: 32, active: 32, ..base },
        )
    });
    rows
}
