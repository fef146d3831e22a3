//! Events as counters, gauges and histograms of the `metrics` crate.

#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::OnceLock;

use ::metrics::Counter;
use ::metrics::Gauge;
use ::metrics::Histogram;
use ::metrics::SharedString;
use ::metrics::Unit;
use ::metrics::counter;
use ::metrics::describe_counter;
use ::metrics::describe_gauge;
use ::metrics::describe_histogram;
use ::metrics::gauge;
use ::metrics::histogram;

use crate::end::End;
use crate::event::Event;
use crate::event::Observer;
use crate::event::Traffic;

/// An observer that counts events with the `metrics` crate; see
/// [`HandlerFactoryExt::measured`](crate::HandlerFactoryExt::measured).
pub struct Measurements {
    server: SharedString,
    /// What every connection touches, looked up once: at the first event, when the program has its recorder.
    handles: OnceLock<Handles>,
}

impl Measurements {
    /// Measurements with the label `server`.
    #[must_use]
    pub fn new(server: impl Into<String>) -> Self {
        Self { server: SharedString::from_owned(server.into()), handles: OnceLock::new() }
    }

    fn label(&self) -> SharedString {
        self.server.clone()
    }
}

impl fmt::Debug for Measurements {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Measurements").field("server", &self.server).finish_non_exhaustive()
    }
}

const ENDS: [End; 11] = [
    End::Detached,
    End::Drained,
    End::Failed,
    End::Forced,
    End::HandlerClosed,
    End::IdleTimeout,
    End::Panicked,
    End::PeerClosed,
    End::Refused,
    End::Shed,
    End::TimedOut,
];

struct Handles {
    started: Counter,
    ended: [Counter; ENDS.len()],
    open: Gauge,
    received: Counter,
    sent: Counter,
    calls: Counter,
    duration: Histogram,
    workers: Gauge,
}

impl Handles {
    fn new(server: &SharedString) -> Self {
        describe();
        let server = || server.clone();
        Self {
            started: counter!("socketserver_started_total", "server" => server()),
            ended: ENDS.map(|end| counter!("socketserver_ended_total", "server" => server(), "end" => end.name())),
            open: gauge!("socketserver_open", "server" => server()),
            received: counter!("socketserver_received_bytes_total", "server" => server()),
            sent: counter!("socketserver_sent_bytes_total", "server" => server()),
            calls: counter!("socketserver_calls_total", "server" => server()),
            duration: histogram!("socketserver_duration_seconds", "server" => server()),
            workers: gauge!("socketserver_workers", "server" => server()),
        }
    }
}

fn describe() {
    describe_counter!("socketserver_started_total", "Connections and messages accepted.");
    describe_counter!("socketserver_ended_total", "Connections and messages that are over, by how they ended.");
    describe_gauge!("socketserver_open", "Connections and messages open now.");
    describe_counter!(
        "socketserver_received_bytes_total",
        Unit::Bytes,
        "Bytes received, counted at the end of each connection."
    );
    describe_counter!(
        "socketserver_sent_bytes_total",
        Unit::Bytes,
        "Bytes sent, counted at the end of each connection."
    );
    describe_counter!("socketserver_calls_total", "Calls of handle, counted at the end of each connection.");
    describe_histogram!("socketserver_duration_seconds", Unit::Seconds, "Time from the accept to the end.");
    describe_counter!("socketserver_refused_total", "Connections that were turned away, by reason.");
    describe_counter!("socketserver_errors_total", "Errors and panics of steps, by stage.");
    describe_counter!("socketserver_accept_episodes_total", "How often accepting began to fail.");
    describe_counter!("socketserver_accept_failures_total", "Failures of accept, counted when it works again.");
    describe_counter!("socketserver_accept_lost_total", "Connections lost before they could be accepted.");
    describe_counter!("socketserver_child_exits_total", "Children that have ended, by outcome.");
    describe_gauge!("socketserver_workers", "Threads that run handlers.");
    describe_counter!("socketserver_slow_total", "Handlers found in one call for long.");
    describe_counter!("socketserver_long_calls_total", "Calls that took long, on threads that serve many.");
    describe_counter!("socketserver_waits_ended_total", "Waits that were ended early, for the sake of others.");
    describe_counter!("socketserver_restarts_total", "Hot restarts, by outcome.");
    describe_gauge!("socketserver_listening", "1 while the server accepts.");
    describe_gauge!("socketserver_draining", "1 from the stop on.");
    describe_counter!("socketserver_drains_forced_total", "Drains whose deadline has passed.");
}

impl Observer for Measurements {
    fn observe(&self, event: &Event<'_>) {
        let handles = self.handles.get_or_init(|| Handles::new(&self.server));
        match event {
            Event::AcceptFailing { .. } => {
                counter!("socketserver_accept_episodes_total", "server" => self.label()).increment(1);
            }
            Event::AcceptLost { .. } => {
                counter!("socketserver_accept_lost_total", "server" => self.label()).increment(1)
            }
            Event::AcceptRecovered { failures } => {
                counter!("socketserver_accept_failures_total", "server" => self.label()).increment(*failures);
            }
            Event::ChildExit { code, .. } => {
                let outcome = match code {
                    Some(0) => "success",
                    Some(_) => "failure",
                    None => "signal",
                };
                counter!("socketserver_child_exits_total", "server" => self.label(), "outcome" => outcome).increment(1);
            }
            Event::DrainStart { .. } => gauge!("socketserver_draining", "server" => self.label()).set(1.0),
            Event::DrainForce { .. } => {
                counter!("socketserver_drains_forced_total", "server" => self.label()).increment(1);
            }
            Event::Error { error, .. } => {
                let stage = error.stage().to_string();
                counter!("socketserver_errors_total", "server" => self.label(), "stage" => stage).increment(1);
            }
            Event::ListenStart { .. } => gauge!("socketserver_listening", "server" => self.label()).set(1.0),
            Event::ListenStop { .. } => gauge!("socketserver_listening", "server" => self.label()).set(0.0),
            Event::Refused { reason } => {
                let reason = reason.name();
                counter!("socketserver_refused_total", "server" => self.label(), "reason" => reason).increment(1);
            }
            Event::LongCall { .. } => counter!("socketserver_long_calls_total", "server" => self.label()).increment(1),
            Event::WaitsEnded { ended, .. } => {
                counter!("socketserver_waits_ended_total", "server" => self.label()).increment(*ended as u64);
            }
            Event::Restarting { .. } => {}
            Event::Restarted { .. } => {
                counter!("socketserver_restarts_total", "server" => self.label(), "outcome" => "success").increment(1);
            }
            Event::RestartFailed { .. } => {
                counter!("socketserver_restarts_total", "server" => self.label(), "outcome" => "failure").increment(1);
            }
            Event::Slow { .. } => counter!("socketserver_slow_total", "server" => self.label()).increment(1),
            Event::Start { .. } => {
                handles.started.increment(1);
                handles.open.increment(1.0);
            }
            Event::Stop { end, duration, traffic: Traffic { received, sent }, calls, .. } => {
                if let Some(place) = ENDS.iter().position(|other| other == end) {
                    handles.ended[place].increment(1);
                }
                handles.open.decrement(1.0);
                handles.received.increment(*received);
                handles.sent.increment(*sent);
                handles.calls.increment(*calls);
                handles.duration.record(*duration);
            }
            Event::WorkerStart { .. } => handles.workers.increment(1.0),
            Event::WorkerStop { .. } => handles.workers.decrement(1.0),
        }
    }
}
