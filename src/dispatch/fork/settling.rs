//! Connections that may not be left to a child yet, because the parent has still to hear of whom they are: it takes
//! them forward in turns, and no silent one keeps it from the others.

use std::time::Duration;
use std::time::Instant;

use super::Running;
use crate::dispatch::Rejected;
use crate::dispatch::ServeLoop;
use crate::dispatch::Task;
use crate::end::End;
use crate::engine::serve_loop::Ready;
use crate::park::ParkingPlace;
use crate::park::token::Token;

impl<J: Task> Running<J> {
    /// Does what an event of the loop asks for.
    pub(super) fn take(&mut self, event: Ready<J>, timeout: Option<Duration>, serve_loop: &mut ServeLoop<J>) {
        let outcome = match event {
            Ready::New(job) => self.settle(None, job, timeout, serve_loop),
            Ready::Event { token, hangup } => match serve_loop.park.wake(token, hangup) {
                Some(job) => self.settle(Some(token), job, timeout, serve_loop),
                None => Ok(()),
            },
            Ready::Expired { token, class, mut job } => {
                job.expire(class);
                self.settle(Some(token), job, timeout, serve_loop)
            }
            Ready::Watched(pid) => {
                self.heard(pid, serve_loop);
                Ok(())
            }
        };
        if let Err(rejected) = outcome {
            rejected.close();
        }
    }

    /// Goes on with a connection, and forks for it when it may leave this process.
    fn settle(
        &mut self,
        mut token: Option<Token>,
        mut job: Box<J>,
        timeout: Option<Duration>,
        serve_loop: &mut ServeLoop<J>,
    ) -> Result<(), Rejected<J>> {
        let park = &serve_loop.park;
        while let Some(wait) = job.settle() {
            let place = match token {
                Some(place) => place,
                None => match job.descriptor().map(|descriptor| park.insert(descriptor)) {
                    Some(Ok(place)) => *token.insert(place),
                    Some(Err(error)) => return Err(Rejected::new(*job, error)),
                    None => break,
                },
            };
            match park.park(place, job, wait, Instant::now()) {
                Ok(None) => return Ok(()),
                Ok(Some((news, hangup))) => {
                    job = news;
                    if hangup {
                        job.set_hangup();
                    }
                }
                Err((job, error)) => {
                    park.remove(place, &job);
                    return Err(Rejected::new(*job, error));
                }
            }
        }
        if let Some(token) = token {
            match job.descriptor() {
                // The child goes on with it: nothing of it is to wake the parent.
                Some(descriptor) if !job.is_over() => _ = park.release(token, descriptor),
                _ => park.remove(token, &job),
            }
        }
        self.fork_for(job, timeout, serve_loop)
    }

    /// When the server stops: those of which nothing has come yet end, the others go on.
    pub(super) fn end_silent(&mut self, timeout: Option<Duration>, serve_loop: &mut ServeLoop<J>) {
        if serve_loop.hands_over() {
            return;
        }
        let waiting: Vec<_> = serve_loop.park.take_all().collect();
        for (token, job) in waiting {
            if let Err(rejected) = self.settle(Some(token), job, timeout, serve_loop) {
                rejected.close();
            }
        }
    }

    /// At the deadline of a drain.
    pub(super) fn cut_unsettled(&mut self, serve_loop: &ServeLoop<J>) {
        for (token, mut job) in serve_loop.park.take_all() {
            job.cut(End::Forced);
            serve_loop.park.remove(token, &job);
        }
    }
}

/// In a child: the connections that wait in the parent are none of its business.
pub(super) fn forget_others<J: Task>(park: &ParkingPlace<Box<J>>) {
    for (_, mut job) in park.take_all() {
        job.forget();
    }
}
