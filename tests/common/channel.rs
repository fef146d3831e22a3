//! Channels between a test and its handlers, which may run in other processes.
//!
//! As those of the standard library, but every process has both ends: none learns that the other side is gone.

use std::io;
use std::time::Duration;
use std::time::Instant;

use super::Count;
use super::Log;
use super::PATIENCE;
use super::entry::Entry;

pub fn channel<T: Entry>() -> (Sender<T>, Receiver<T>) {
    let log = Log::default();
    (Sender(log.clone()), Receiver { log, taken: Count::default() })
}

/// Clones send to the same channel.
#[derive(Debug)]
pub struct Sender<T>(Log<T>);

/// Of clones, each value comes to one.
#[derive(Debug)]
pub struct Receiver<T> {
    log: Log<T>,
    taken: Count,
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> Clone for Receiver<T> {
    fn clone(&self) -> Self {
        Self { log: self.log.clone(), taken: self.taken.clone() }
    }
}

impl<T: Entry> Sender<T> {
    /// It does not wait, and cannot fail; it is a result as with other channels.
    pub fn send(&self, value: T) -> io::Result<()> {
        self.0.push(value);
        Ok(())
    }
}

impl<T: Entry> Receiver<T> {
    /// The next value. It is an error if that takes too long.
    pub fn recv(&self) -> io::Result<T> {
        self.recv_timeout(PATIENCE)
    }

    /// The next value, if it comes in time.
    pub fn recv_timeout(&self, timeout: Duration) -> io::Result<T> {
        let until = Instant::now() + timeout;
        loop {
            match self.try_recv() {
                Err(_) if Instant::now() < until => std::thread::sleep(Duration::from_millis(1)),
                outcome => return outcome,
            }
        }
    }

    /// The next value, if it is there.
    pub fn try_recv(&self) -> io::Result<T> {
        loop {
            let next = self.taken.get();
            let value = self.log.entries().into_iter().nth(next).ok_or(io::ErrorKind::TimedOut)?;
            if self.taken.raise_from(next) {
                return Ok(value);
            }
        }
    }
}
