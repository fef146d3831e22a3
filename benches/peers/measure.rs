//! What a run of the load generator yields: counts and latencies of a window of time, and what the server used in it.

use std::time::Duration;
use std::time::Instant;

use crate::process::Server;
use crate::process::Usage;
use crate::servers::Outcome;

/// One server under one load, once.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Measurement {
    /// Replies a second.
    pub(crate) rate: f64,
    /// The server's CPU time for each, in microseconds.
    pub(crate) cpu: f64,
    /// Half of the replies took no longer, in microseconds.
    pub(crate) p50: f64,
    /// 99 of 100 took no longer.
    pub(crate) p99: f64,
    /// Resident memory of the server with all connections open and idle, in bytes.
    pub(crate) resident: f64,
    /// What it had more than without connections, for each of them.
    pub(crate) per_connection: f64,
}

/// The window in which replies count: it opens after a warm-up.
pub(crate) struct Window<'a> {
    server: &'a Server,
    opens: Instant,
    length: Duration,
    opened: Option<(Instant, Usage)>,
    latencies: Vec<u32>,
}

impl<'a> Window<'a> {
    pub(crate) fn new(server: &'a Server, length: Duration) -> Self {
        Self {
            server,
            opens: Instant::now() + length / 5,
            length,
            opened: None,
            latencies: Vec::with_capacity(1 << 20),
        }
    }

    /// A reply that took so long.
    pub(crate) fn count(&mut self, latency: Duration) {
        self.latencies.push(u32::try_from(latency.as_nanos()).unwrap_or(u32::MAX));
    }

    /// Opens and closes the window by the clock: the measurement, once it is closed.
    pub(crate) fn tick(&mut self, now: Instant) -> Outcome<Option<Measurement>> {
        let Some((opened, before)) = &self.opened else {
            if now >= self.opens {
                self.latencies.clear();
                let usage = self.server.usage()?;
                self.opened = Some((Instant::now(), usage));
            }
            return Ok(None);
        };
        if now.duration_since(*opened) < self.length {
            return Ok(None);
        }
        let used = self.server.usage()?.since(before);
        let elapsed = now.duration_since(*opened);
        if self.latencies.is_empty() {
            return Err("no reply in the whole time".into());
        }
        let count = self.latencies.len() as f64;
        self.latencies.sort_unstable();
        let rank = |share: f64| f64::from(self.latencies[(count * share) as usize]) / 1e3;
        Ok(Some(Measurement {
            rate: count / elapsed.as_secs_f64(),
            cpu: used.as_secs_f64() * 1e6 / count,
            p50: rank(0.5),
            p99: rank(0.99),
            ..Measurement::default()
        }))
    }
}
