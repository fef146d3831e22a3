//! Connections that are served in turns, by `Sync` and by `Pool`, and wait in the parking place between them.

use std::io;
use std::time::Instant;

use super::drive::Drive;
use super::drive::Turn;
use super::serve_loop::Rejected;
use super::task::Task;
use super::worker::Worker;
use crate::end::End;
use crate::park::ParkingPlace;
use crate::park::token::Token;
use crate::request::wake::Wake;
use crate::sys::Interest;

/// What became of a new connection.
pub(crate) enum Started<J> {
    Waits,
    Runs(Token, Box<J>),
}

/// Registers a new connection with the poller, where it waits for its first bytes unless its handler speaks first.
pub(crate) fn start<J: Task>(
    park: &ParkingPlace<Box<J>>,
    job: Box<J>,
    now: Instant,
) -> Result<Started<J>, Rejected<J>> {
    let Some(descriptor) = Drive::descriptor(&*job) else {
        return Err(Rejected::new(*job, io::ErrorKind::Unsupported.into()));
    };
    let token = match park.insert(descriptor) {
        Ok(token) => token,
        Err(error) => return Err(Rejected::new(*job, error)),
    };
    let Some(wait) = job.first_wait() else { return Ok(Started::Runs(token, job)) };
    match park.park(token, job, wait, now) {
        Ok(None) => Ok(Started::Waits),
        Ok(Some((mut job, hangup))) => {
            if hangup {
                job.set_hangup();
            }
            Ok(Started::Runs(token, job))
        }
        Err((job, error)) => {
            park.remove(token, &job);
            Err(Rejected::new(*job, error))
        }
    }
}

/// Runs one turn of a connection and does what it asks for; gives it back if it has more to do at once.
pub(crate) fn run_turn<J: Task>(
    park: &ParkingPlace<Box<J>>,
    token: Token,
    mut job: Box<J>,
    worker: &mut Worker,
) -> Option<Box<J>> {
    loop {
        match job.turn(worker) {
            Turn::Again => return Some(job),
            Turn::Done => {
                park.remove(token, &job);
                return None;
            }
            Turn::Detach => {
                if let Some(descriptor) = Drive::descriptor(&*job) {
                    // The new owner's registration is his; ours must not wake us for it.
                    let _ = park.release(token, descriptor);
                }
                job.detach();
                return None;
            }
            Turn::Park(wait) => {
                if wait.interest == Interest::Read
                    && let Some(mailbox) = job.mailbox()
                    && !mailbox.await_mail(|| Wake::Parked(park.wake_queue(), token.raw()))
                {
                    return Some(job);
                }
                match park.park(token, job, wait, worker.now()) {
                    Ok(None) => return None,
                    Ok(Some((news, hangup))) => {
                        job = news;
                        if hangup {
                            job.set_hangup();
                        }
                    }
                    Err((mut failed, _)) => {
                        failed.cut(End::Forced);
                        park.remove(token, &failed);
                        return None;
                    }
                }
            }
        }
    }
}
