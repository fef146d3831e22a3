//! How a connection is closed that could not be established, so that what is said about it is not lost.

use std::io::ErrorKind;
use std::time::Instant;

use super::Job;
use super::Phase;
use super::Remains;
use super::closing::Linger;
use crate::end::End;
use crate::engine::core::guarded;
use crate::engine::drive::Turn;
use crate::engine::worker::Worker;
use crate::error::RequestError;
use crate::error::Stage;
use crate::handler::HandlerFactory;
use crate::park::Wait;
use crate::park::token::Class;
use crate::sys::Descriptor;
use crate::sys::Interest;
use crate::sys::socket::recv;
use crate::transport::Advance;
use crate::transport::Establish;
use crate::transport::Transport;

/// How far that is.
#[derive(Debug)]
pub(super) struct Parting {
    /// All has been said; the peer may still be sending.
    is_said: bool,
    pub(super) linger: Box<Linger>,
}

/// How far the transport has come with what it has to say.
enum Said {
    All,
    Waits(Interest),
    /// There is nothing, or the peer cannot be told.
    Nothing,
}

impl<T: Transport, H: HandlerFactory<T::Request>> Job<T, H> {
    /// Not established because of this error, of which the transport may have something to say to the peer.
    pub(super) fn part_with(&mut self, error: RequestError) {
        let said = if error.is_disconnect() { Said::Nothing } else { self.say() };
        let is_said = match said {
            Said::Nothing => return self.fail_to_establish(error),
            Said::All => true,
            Said::Waits(_) => false,
        };
        self.account.end.get_or_insert_with(|| End::of(&error));
        self.shared.report(error, Some(self.account.id), self.client_address());
        let phase = std::mem::replace(&mut self.phase, Phase::Over(Remains::Nothing));
        self.phase = match phase {
            Phase::Pending(pending) => {
                Phase::Parting(pending, Parting { is_said, linger: Box::new(Linger::new(Instant::now())) })
            }
            other => other,
        };
    }

    /// Sends what the transport has to say, as far as that goes without waiting.
    fn say(&mut self) -> Said {
        let (Phase::Pending(pending) | Phase::Parting(pending, _)) = &mut self.phase else { return Said::Nothing };
        if pending.descriptor().is_none() {
            return Said::Nothing;
        }
        match guarded(Stage::Close, || pending.close()) {
            Ok(Ok(Advance::Done)) => Said::All,
            Ok(Ok(Advance::Wait(interest))) => Said::Waits(interest),
            Ok(_) | Err(_) => Said::Nothing,
        }
    }

    /// Goes on with it: says the rest, then reads until the peer has closed too, or for a while.
    pub(super) fn part(&mut self, worker: &Worker) -> Turn {
        let said = match &self.phase {
            Phase::Parting(_, Parting { is_said: true, .. }) => Said::All,
            _ => self.say(),
        };
        let Phase::Parting(pending, parting) = &mut self.phase else { return Turn::Done };
        let interest = match said {
            Said::Nothing => return Turn::Done,
            Said::Waits(interest) => interest,
            Said::All => {
                parting.is_said = true;
                let Some(descriptor) = pending.descriptor() else { return Turn::Done };
                match discard(descriptor) {
                    Discarded::End => return Turn::Done,
                    Discarded::All(count) => parting.linger.discard(count, worker.now()),
                    Discarded::Some(count) => {
                        parting.linger.discard(count, worker.now());
                        let is_over = parting.linger.is_over(&self.shared.core, worker.now());
                        return if is_over { Turn::Done } else { Turn::Again };
                    }
                }
                Interest::Read
            }
        };
        if parting.linger.is_over(&self.shared.core, worker.now()) {
            return Turn::Done;
        }
        Turn::Park(Wait { interest, ..self.wait_for(Class::Linger, worker.now()) })
    }
}

/// What a peer has sent and is not read.
enum Discarded {
    /// All that has arrived.
    All(usize),
    /// Some of it: there is more.
    Some(usize),
    /// The peer has closed, or nothing that is sent arrives any more.
    End,
}

/// Reads past the transport: what it has not understood it need not understand now.
fn discard(socket: Descriptor<'_>) -> Discarded {
    /// This much at a time, so that a peer that sends without end does not hold the worker.
    const ROUNDS: usize = 16;
    let (mut room, mut discarded) = ([0; 16 * 1024], 0);
    for _ in 0..ROUNDS {
        match recv(socket, &mut room) {
            Ok(0) => return Discarded::End,
            Ok(count) => discarded += count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Discarded::All(discarded),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(_) => return Discarded::End,
        }
    }
    Discarded::Some(discarded)
}
