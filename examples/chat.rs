//! A chat room: what one guest says, all the others receive.
//!
//! ```text
//! cargo run --example chat
//! nc 127.0.0.1 9990                      # in two terminals or more; the first line is a name
//!
//! cargo run --example chat -- --transport unix --listen chat.sock
//! socat - UNIX-CONNECT:chat.sock
//! ```
//!
//! Lines that begin with a slash are commands: `/who`, `/nick NAME`, `/quit`. Lines from the room itself begin with
//! `*`.
//!
//! A guest's handler reads that guest's lines, and writes to the others through their senders, which never block. At
//! most 64 KiB are pending for a guest, apart from what the kernel holds, which is bounded as well: a guest costs the
//! room 128 KiB (buffers grow by doubling), whatever it does. A guest that reads more slowly than the others talk
//! misses lines, and is told how many; a guest that reads nothing for ten seconds is disconnected.

#![allow(unreachable_pub, reason = "the parts of a program need no finer distinction")]

mod common;

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Duration;

use lexopt::ValueExt;
use rustix::net::sockopt::set_socket_send_buffer_size;
use socketserver::End;
use socketserver::Flow;
use socketserver::HandlerFactory;
use socketserver::HandlerResult;
use socketserver::SendError;
use socketserver::Sender;
use socketserver::Socket;
use socketserver::Stream;
use socketserver::Tcp;
use socketserver::UnixStream;
use socketserver::frames::FrameError;
use socketserver::frames::FrameHandler;
use socketserver::frames::Frames;
use socketserver::frames::LinesCodec;
use socketserver::frames::Replies;

const USAGE: &str =
    "usage: chat [--listen ADDR|PATH] [--transport tcp|unix] [--dispatch sync|threads|pool] [--workers N]
            [--timeout SECONDS] [--tls-cert FILE --tls-key FILE [--tls-client-ca FILE]]";

/// The longest line, in bytes.
const LONGEST: usize = 1000;

/// What may wait for one guest.
const HELD: usize = 64 * 1024;

/// What it takes to say how many lines were missed.
const LONGEST_NOTICE: usize = 64;

/// What the kernel may hold beside that; it takes the double. By itself it would take megabytes for a guest that does
/// not read.
const HELD_BY_KERNEL: usize = 64 * 1024;

/// A guest who says nothing for this long has gone away.
const IDLE: Duration = Duration::from_secs(3600);

/// All who have said their names, by these. One lock for each line said, so that all hear the lines in the same order.
#[derive(Clone, Default)]
struct Room(Arc<Mutex<Guests>>);

type Guests = BTreeMap<String, Seat>;

/// Where a guest hears what the others say.
struct Seat {
    sender: Sender,
    /// Lines for which there was no room.
    missed: usize,
}

impl Seat {
    fn hear(&mut self, line: &str) {
        // Most of those who are behind stay so for a while.
        if self.missed > 0 && self.sender.pending() + line.len() + LONGEST_NOTICE > HELD {
            self.missed += 1;
            return;
        }
        let outcome = match self.missed {
            0 => self.sender.send(line),
            missed => self.sender.send(format!("* you read too slowly and missed {missed} lines\n{line}")),
        };
        match outcome {
            Ok(()) => self.missed = 0,
            Err(SendError::Full { .. }) => self.missed += 1,
            // One that has closed just now says goodbye itself.
            Err(_) => {}
        }
    }
}

impl Room {
    fn guests(&self) -> MutexGuard<'_, Guests> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Talks to the guests, who are woken when the room is free again: a thread that is woken may take the processor from
    /// the one that has woken it.
    fn talk<T>(&self, talk: impl FnOnce(&mut Guests) -> T) -> T {
        Sender::wake_after(|| talk(&mut self.guests()))
    }

    fn names(&self) -> String {
        let guests = self.guests();
        list(guests.keys(), guests.len())
    }
}

/// This many names fit into a line, and are read.
const NAMED: usize = 40;

/// The first of these names, and how many there are beside them.
fn list<'a>(names: impl Iterator<Item = &'a String>, count: usize) -> String {
    let named: Vec<&str> = names.take(NAMED).map(String::as_str).collect();
    let others = match count.saturating_sub(named.len()) {
        0 => String::new(),
        1 => " and 1 other".to_owned(),
        others => format!(" and {others} others"),
    };
    named.join(", ") + &others
}

/// Tells a line to all but one, without waiting for any of them.
fn tell(guests: &mut Guests, but: &str, line: &str) {
    let line = format!("{line}\n");
    guests.iter_mut().filter(|(name, _)| *name != but).for_each(|(_, seat)| seat.hear(&line));
}

/// One client.
struct Guest {
    room: Room,
    /// From `setup` on.
    sender: Option<Sender>,
    /// Once it has said one.
    name: Option<String>,
}

impl Guest {
    /// Takes a name, if it is one and is free; what there is to say about it.
    fn take_name(&mut self, wanted: &str) -> String {
        let is_name = (1..=20).contains(&wanted.len()) && wanted.chars().all(|letter| letter.is_ascii_alphanumeric());
        if !is_name {
            return "* a name has 1 to 20 letters and digits (a to z, 0 to 9)".to_owned();
        }
        self.room.talk(|guests| {
            if guests.contains_key(wanted) {
                return format!("* {wanted} is here already: choose another name");
            }
            let seat = self.name.as_ref().and_then(|name| guests.remove(name));
            let seat = seat.or_else(|| self.sender.clone().map(|sender| Seat { sender, missed: 0 }));
            guests.extend(seat.map(|seat| (wanted.to_owned(), seat)));
            let news = match self.name.replace(wanted.to_owned()) {
                Some(before) => format!("* {before} is {wanted} now"),
                None => format!("* {wanted} is here"),
            };
            tell(guests, wanted, &news);
            format!("* you are {wanted}")
        })
    }

    /// One without a name has never been here.
    fn leave(&mut self, how: &str) {
        if let Some(name) = self.name.take() {
            self.room.talk(|guests| {
                guests.remove(&name);
                tell(guests, &name, &format!("* {name} {how}"));
            });
        }
    }
}

impl<S: Socket> FrameHandler<LinesCodec, S> for Guest {
    fn setup(&mut self, request: &mut Stream<S>, replies: &mut Replies<'_, LinesCodec>) -> HandlerResult<()> {
        set_socket_send_buffer_size(request.get_ref().descriptor(), HELD_BY_KERNEL)?;
        self.sender = Some(request.sender()?);
        replies.send("* welcome! what is your name?")?;
        Ok(())
    }

    fn message(&mut self, line: &str, replies: &mut Replies<'_, LinesCodec>) -> HandlerResult {
        // Terminals obey what they are shown.
        let line = line.replace(char::is_control, " ");
        let (command, argument) = line.split_once(' ').unwrap_or((&line, ""));
        match (command, &self.name) {
            ("/quit", _) => {
                replies.send("* goodbye")?;
                return Ok(Flow::Close);
            }
            ("/who", _) => replies.send(format!("* here: {}", self.room.names()))?,
            ("/nick", _) => replies.send(self.take_name(argument.trim()))?,
            (command, _) if command.starts_with('/') => replies.send("* commands: /who, /nick NAME, /quit")?,
            (_, None) => replies.send(self.take_name(line.trim()))?,
            (_, Some(name)) => {
                self.room.talk(|guests| tell(guests, name, &format!("{name}: {line}")));
                // The others have their turns before it has said all that it has sent.
                return Ok(Flow::Flush);
            }
        }
        Ok(Flow::Continue)
    }

    fn error(&mut self, error: FrameError, replies: &mut Replies<'_, LinesCodec>) -> HandlerResult {
        replies.send(format!("* nobody has heard that: {error}"))?;
        Ok(Flow::Continue)
    }

    fn finish(&mut self, _: &mut Stream<S>, replies: &mut Replies<'_, LinesCodec>, end: End) -> HandlerResult<()> {
        let is_behind = self.sender.as_ref().is_some_and(|sender| sender.pending() > 0);
        match end {
            // Everybody leaves.
            End::Drained => replies.send("* the room closes: goodbye")?,
            End::TimedOut if is_behind => self.leave("does not read and had to leave"),
            _ => self.leave("has left"),
        }
        Ok(())
    }
}

impl<S: Socket> HandlerFactory<Stream<S>> for Room {
    type Handler = Frames<LinesCodec, Guest>;

    fn make(&self, _: &Stream<S>) -> Self::Handler {
        Frames::new(LinesCodec::with_max_length(LONGEST), Guest { room: self.clone(), sender: None, name: None })
    }
}

fn main() -> ExitCode {
    common::run(USAGE, serve)
}

fn serve() -> common::Outcome {
    // A guest that takes nothing for this long has gone away.
    let mut stalled = 10;
    let flags = common::Flags::parse(USAGE, |name, parser| {
        if name == "timeout" {
            stalled = parser.value()?.parse()?;
        }
        Ok(name == "timeout")
    })?;
    let stalled = Duration::from_secs(stalled);
    flags.refuse_processes("guests of one would not hear those of another")?;
    if flags.dispatch.as_deref() == Some("fork") {
        return Err(common::wrong_usage(
            "--dispatch fork: each guest would be in its own process, and hear no other: choose sync, threads or pool",
        ));
    }
    match flags.transport.as_deref().unwrap_or("tcp") {
        "tcp" => serve_streams_with!(
            Tcp,
            flags,
            &[],
            "pool",
            flags.listen_or("127.0.0.1:9990"),
            Room::default(),
            speaking_first(),
            max_pending_output(HELD),
            idle_timeout(IDLE),
            write_timeout(stalled)
        ),
        "unix" => serve_streams_with!(
            UnixStream,
            flags,
            &[],
            "pool",
            flags.listen_or("chat.sock"),
            Room::default(),
            speaking_first(),
            max_pending_output(HELD),
            idle_timeout(IDLE),
            write_timeout(stalled)
        ),
        other => Err(common::wrong_usage(format!("--transport {other}: choose tcp or unix"))),
    }
}
