//! One thread for everything: the classic multiplexing server.

use std::collections::VecDeque;
use std::time::Duration;
use std::time::Instant;

use super::Dispatch;
use super::Process;
use super::Rejected;
use super::ServeLoop;
use super::ServesInBackground;
use super::Task;
use crate::end::End;
use crate::engine::answered::Answering;
use crate::engine::drive::Drive;
use crate::engine::drive::Turn;
use crate::engine::serve_loop::Ready;
use crate::engine::source::Observe;
use crate::engine::turns::Started;
use crate::engine::turns::run_turn;
use crate::engine::turns::start;
use crate::error::ServeError;
use crate::park::ParkingPlace;
use crate::park::Wait;
use crate::park::token::Token;

/// Runs every handler on the serving thread, one at a time.
///
/// Connections whose handlers return [`Flow::Continue`](crate::Flow::Continue) wait in the poller between messages, so
/// one thread serves thousands. A handler that blocks or loops inside `handle` delays all others. Nothing has to be
/// `Send`. Handshakes ([`Establish`](crate::transport::Establish)) alternate with the messages of established
/// connections.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sync;

impl Dispatch for Sync {
    const NAME: &'static str = "Sync";
}

impl ServesInBackground for Sync {}

/// What `Sync` has between two turns of the loop.
pub struct Running<J> {
    worker: Answering<J>,
    again: VecDeque<(Token, Box<J>)>,
    /// Those that can go on with their handshake, the longest waiting first.
    establishing: VecDeque<(Token, Box<J>)>,
    ready: Vec<Ready<J>>,
    /// All parked connections have been told of a drain in which they may stay.
    swept: bool,
}

impl<J> std::fmt::Debug for Running<J> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Running").finish_non_exhaustive()
    }
}

impl<J: Task> Process<J> for Sync {
    type Running = Running<J>;

    fn start(&self, serve_loop: &mut ServeLoop<J>) -> Result<Running<J>, ServeError> {
        serve_loop.reporter.core().session.set_one_thread();
        Ok(Running {
            worker: Answering::new(),
            again: VecDeque::new(),
            establishing: VecDeque::new(),
            ready: Vec::new(),
            swept: false,
        })
    }

    /// Runs the request to its end: `handle_request` returns when it has been served, as in Python. What is left to do
    /// for a client that still sends waits in the poller, for the next call.
    fn process_request(
        &self,
        running: &mut Running<J>,
        serve_loop: &mut ServeLoop<J>,
        mut job: J,
    ) -> Result<(), Rejected<J>> {
        match job.run_until_lingering() {
            Turn::Detach => job.detach(),
            Turn::Park(wait) => running.leave(&serve_loop.park, Box::new(job), wait)?,
            Turn::Again | Turn::Done => {}
        }
        Ok(())
    }

    fn begin(&self, running: &mut Running<J>, serve_loop: &mut ServeLoop<J>, job: J) -> Result<(), Rejected<J>> {
        running.worker.set_now(Instant::now());
        running.begin(&serve_loop.park, Box::new(job));
        running.flush(serve_loop);
        Ok(())
    }

    fn service(&self, running: &mut Running<J>, serve_loop: &mut ServeLoop<J>) {
        if serve_loop.in_use() == 0 {
            return;
        }
        // A turn without the listener, and without waiting.
        let acceptor = serve_loop.acceptor.take();
        // A poller that fails now fails in the next wait, too, which is told of it.
        let _ = running.turn_at_once(serve_loop);
        serve_loop.acceptor = acceptor;
    }

    fn serve(&self, running: &mut Running<J>, serve_loop: &mut ServeLoop<J>) -> Result<(), ServeError> {
        while running.turn(serve_loop)? {}
        Ok(())
    }

    fn drain(&self, running: &mut Running<J>, serve_loop: &mut ServeLoop<J>, until: Instant) {
        // Each takes in what has arrived and ends; those that still have to send or to linger park again. One look is
        // enough at those that may stay.
        if !std::mem::replace(&mut running.swept, serve_loop.hands_over()) {
            let parked: Vec<_> = serve_loop.park.take_all().collect();
            for (token, job) in parked {
                running.run(&serve_loop.park, token, job);
            }
            running.flush(serve_loop);
        }
        while serve_loop.in_use() > 0 && Instant::now() < until {
            let wait = until.min(Instant::now() + Duration::from_millis(10));
            if running.turn_until(serve_loop, wait).is_err() {
                return;
            }
        }
    }

    fn force(&self, running: &mut Running<J>, serve_loop: &mut ServeLoop<J>) {
        let parked: Vec<_> = serve_loop.park.take_all().collect();
        let Running { again, establishing, .. } = running;
        for (token, mut job) in parked.into_iter().chain(again.drain(..)).chain(establishing.drain(..)) {
            job.cut(End::Forced);
            serve_loop.park.remove(token, &job);
        }
    }
}

/// Handshakes have this long in a turn of the loop, and there is always time for one: it may have much to compute (that
/// of TLS has), and between two turns established connections are served.
const HANDSHAKES_PER_TURN: Duration = Duration::from_millis(1);

impl<J: Task> Running<J> {
    /// One turn of the loop with everything it brings; false once the server has been told to stop.
    fn turn(&mut self, serve_loop: &mut ServeLoop<J>) -> Result<bool, ServeError> {
        let busy = self.has_more();
        self.turn_with(serve_loop, busy)
    }

    fn turn_at_once(&mut self, serve_loop: &mut ServeLoop<J>) -> Result<bool, ServeError> {
        self.turn_with(serve_loop, true)
    }

    fn turn_with(&mut self, serve_loop: &mut ServeLoop<J>, busy: bool) -> Result<bool, ServeError> {
        let mut ready = std::mem::take(&mut self.ready);
        let outcome = serve_loop.turn(busy, &mut ready);
        self.worker.set_now(Instant::now());
        // Those that had more to do when their turn was over come before what is new: they have waited a round.
        for _ in 0..self.again.len() {
            let Some((token, job)) = self.again.pop_front() else { break };
            self.run(&serve_loop.park, token, job);
        }
        for event in ready.drain(..) {
            self.process(&serve_loop.park, event);
        }
        self.ready = ready;
        self.establish(&serve_loop.park);
        self.flush(serve_loop);
        outcome
    }

    /// Whether the next turn has something to do already.
    fn has_more(&self) -> bool {
        !self.again.is_empty() || !self.establishing.is_empty()
    }

    /// Goes on with handshakes.
    fn establish(&mut self, park: &ParkingPlace<Box<J>>) {
        let mut until = None;
        while let Some((token, job)) = self.establishing.pop_front() {
            let now = Instant::now();
            self.worker.set_now(now);
            let until = *until.get_or_insert(now + HANDSHAKES_PER_TURN);
            self.run(park, token, job);
            if Instant::now() >= until {
                break;
            }
        }
    }

    /// Runs a connection's turn, or lets it wait for that if it is in its handshake.
    fn run_or_wait(&mut self, park: &ParkingPlace<Box<J>>, token: Token, job: Box<J>) {
        if job.is_establishing() {
            self.establishing.push_back((token, job));
        } else {
            self.run(park, token, job);
        }
    }

    fn turn_until(&mut self, serve_loop: &mut ServeLoop<J>, until: Instant) -> Result<(), ServeError> {
        if !self.has_more() {
            serve_loop.wait_ready(until);
        }
        self.turn(serve_loop).map(drop)
    }

    fn process(&mut self, park: &ParkingPlace<Box<J>>, event: Ready<J>) {
        match event {
            Ready::Event { token, hangup } => {
                if let Some(mut job) = park.wake(token, hangup) {
                    if hangup {
                        job.set_hangup();
                    }
                    self.run_or_wait(park, token, job);
                }
            }
            Ready::New(job) => self.begin(park, job),
            Ready::Expired { token, class, mut job } => {
                job.expire(class);
                self.run(park, token, job);
            }
            Ready::Watched(_) => {}
        }
    }

    /// Lets a connection that was served elsewhere wait here.
    fn leave(&mut self, park: &ParkingPlace<Box<J>>, job: Box<J>, wait: Wait) -> Result<(), Rejected<J>> {
        let Some(descriptor) = Drive::descriptor(&*job) else { return Ok(()) };
        let token = match park.insert(descriptor) {
            Ok(token) => token,
            Err(error) => return Err(Rejected::new(*job, error)),
        };
        match park.park(token, job, wait, Instant::now()) {
            Ok(None) => {}
            Ok(Some((job, _))) => self.run(park, token, job),
            Err((job, error)) => {
                park.remove(token, &job);
                return Err(Rejected::new(*job, error));
            }
        }
        Ok(())
    }

    /// A new request: a connection is registered, a message handled at once.
    fn begin(&mut self, park: &ParkingPlace<Box<J>>, job: Box<J>) {
        if !job.parks() {
            return self.worker.handle(job);
        }
        match start(park, job, self.worker.now()) {
            Ok(Started::Waits) => {}
            Ok(Started::Runs(token, job)) => self.run_or_wait(park, token, job),
            Err(rejected) => rejected.close(),
        }
    }

    fn run(&mut self, park: &ParkingPlace<Box<J>>, token: Token, job: Box<J>) {
        if let Some(job) = run_turn(park, token, job, &mut self.worker) {
            self.again.push_back((token, job));
        }
    }

    fn flush(&mut self, serve_loop: &ServeLoop<J>) {
        self.worker.flush(&serve_loop.reporter);
    }
}
