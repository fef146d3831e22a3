//! Stopping, in order: close the listener, end the idle, wait for the busy, interrupt what is left at the deadline.

use std::time::Duration;
use std::time::Instant;

use super::Process;
use crate::engine::report::Stats;
use crate::engine::serve_loop::ServeLoop;
use crate::engine::source::Observe;
use crate::engine::task::Task;
use crate::event::Event;

/// After the deadline, interrupted handlers have this long to return. With what dispatches then wait for their threads,
/// less than the 100 ms that are promised.
const GRACE: Duration = Duration::from_millis(60);

/// Drains until nothing is left or the deadline is over.
pub(crate) fn drain<J: Task, D: Process<J>>(dispatch: &D, running: &mut D::Running, serve_loop: &mut ServeLoop<J>) {
    let reporter = serve_loop.reporter.clone();
    let core = reporter.core();
    // A loop that ended with an error was not told to stop; its connections are.
    if !core.stop.is_stopping() {
        core.stop.shutdown();
    }
    let shared = core.counters.are_of_children().then(|| Stats::of(core).active);
    reporter.observe(&Event::DrainStart { active: shared.unwrap_or_else(|| core.permits.in_use()) });
    serve_loop.tell_errands();
    if core.stop.state.hands_over() {
        for job in serve_loop.accept_received() {
            if let Err(rejected) = dispatch.begin(running, serve_loop, *job) {
                rejected.close();
            }
        }
    }
    serve_loop.close_listener();
    // A second stop may shorten the deadline while this waits.
    while let Some(deadline) = core.stop.state.deadline() {
        if core.permits.in_use() == 0 || Instant::now() >= deadline {
            break;
        }
        dispatch.drain(running, serve_loop, deadline.min(Instant::now() + Duration::from_millis(50)));
    }
    let left = core.permits.in_use();
    if left > 0 {
        reporter.observe(&Event::DrainForce { active: left });
        core.stop.state.force.raise();
        dispatch.force(running, serve_loop);
        serve_loop.wait_idle(Instant::now() + GRACE);
    }
}
