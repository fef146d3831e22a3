//! How the dispatches of this crate drive a request: in turns, in a child, or to its end from outside.

use std::io;

use super::source::Observe;
use super::source::Source;
#[cfg(doc)]
use super::task::Task;
use super::worker::Worker;
use crate::end::End;
use crate::error::RequestError;
use crate::event::Traffic;
use crate::park::Wait;
use crate::park::Waits;
use crate::park::token::Class;
use crate::request::OtherSide;
use crate::request::mailbox::Mailbox;
use crate::sys::Descriptor;

/// What the dispatches of this crate do with a task. It has no public path, so that nothing outside of this crate can
/// name or implement it; a custom dispatch uses [`Task`].
pub trait Drive: Sized {
    /// Where such tasks come from.
    type Source: Source<Task = Self>;

    /// Who is told what happens.
    type Reporter: Observe + Clone;

    /// As [`Task::run`], up to where it is over (`Done`, `Detach`) or only lingers (`Park`).
    fn run_until_lingering(&mut self) -> Turn;

    /// Serves it as far as that goes without waiting for the peer.
    fn turn(&mut self, worker: &mut Worker) -> Turn;

    /// What a poller can wait on.
    fn descriptor(&self) -> Option<Descriptor<'_>>;

    /// Another connection that it waits for as well.
    fn other_side(&self) -> Option<&OtherSide> {
        None
    }

    /// Whether it has ended already, and no dispatch has to run it.
    fn is_over(&self) -> bool;

    /// Whether the second phase of its transport is not over yet.
    fn is_establishing(&self) -> bool {
        false
    }

    /// Whether it can wait in a poller at all.
    fn parks(&self) -> bool;

    /// What others have sent to it, if anybody can.
    fn mailbox(&self) -> Option<&Mailbox>;

    /// What to wait for before the first turn, if there is anything.
    fn first_wait(&self) -> Option<Wait>;

    /// The poller says that the peer may have closed.
    fn set_hangup(&mut self);

    /// The deadline of a wait has passed.
    fn expire(&mut self, class: Class);

    /// Ends the conversation from outside; the closing may need more turns.
    fn cut(&mut self, end: End);

    /// After [`Turn::Detach`]: hands the connection over.
    fn detach(self);

    /// Could not be dispatched.
    fn reject(self, error: RequestError);

    /// Turned away: closed as gracefully as that goes without waiting.
    fn refuse(&mut self);

    /// In a forked child: as [`Task::run`], but the parent does the accounts, and `tell` is what it is told.
    fn run_as_child(self, tell: impl FnOnce(Outcome));

    /// Goes on with what has to be done before the request may leave this process; what it waits for, if it does.
    fn settle(&mut self) -> Option<Wait>;

    /// As [`settle`](Self::settle), waiting on this thread.
    fn settle_here(&mut self);

    /// In a forked child that it does not concern: closes the connection here, and is not accounted for.
    fn forget(&mut self);

    /// In the parent of a forked child: closes the connection here, and keeps what has to be accounted for.
    fn leave_to_child(&mut self);

    /// Records how the request ended in the child, and the rest of the outcome, if known. The first reason recorded
    /// wins.
    fn ended_elsewhere(&mut self, end: End, outcome: Option<Outcome>);

    /// As [`refuse`](Self::refuse), after these bytes.
    fn refuse_with(&mut self, farewell: &[u8]);

    /// A reply could not be sent.
    fn undelivered(&mut self, error: io::Error);

    fn reporter(&self) -> Self::Reporter;
}

impl<J: Drive> Waits for Box<J> {
    fn descriptor(&self) -> Option<Descriptor<'_>> {
        Drive::descriptor(&**self)
    }

    fn other_side(&self) -> Option<&OtherSide> {
        Drive::other_side(&**self)
    }
}

/// What a task wants after a turn.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Turn {
    /// More to do at once, when others have had their turn.
    Again,
    /// It leaves the server: release its descriptor, then call [`Drive::detach`].
    Detach,
    /// It is over: drop it.
    Done,
    /// It waits for its peer.
    Park(Wait),
}

/// How a request went where it was left to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Outcome {
    pub(crate) end: End,
    /// Calls of `handle`.
    pub(crate) calls: u64,
    /// Bytes received and sent.
    pub(crate) traffic: Traffic,
}
