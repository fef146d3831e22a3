//! The load generator: one thread, epoll, a closed loop. Every byte of every reply is compared with what was expected.

use std::collections::VecDeque;
use std::io::ErrorKind;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use rustix::buffer::spare_capacity;
use rustix::event::Timespec;
use rustix::event::epoll;
use rustix::event::epoll::EventData;
use rustix::event::epoll::EventFlags;

use crate::measure::Measurement;
use crate::measure::Window;
use crate::message::Pattern;
use crate::message::QUICK;
use crate::message::SLOW;
use crate::process::Server;
use crate::servers::Outcome;
use crate::socket::Socket;

/// A server that is silent for so long has lost a message.
pub(crate) const PATIENCE: Timespec = Timespec { tv_sec: 10, tv_nsec: 0 };

/// How many connections are opened before their first replies are waited for.
const AT_ONCE: usize = 256;

/// Connections that stay open and send again and again.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Echo {
    pub(crate) connections: usize,
    /// So many of them send; the others are silent after their first message.
    pub(crate) active: usize,
    /// So many of the active ones ask the handler to sleep. Their replies do not count.
    pub(crate) slow: usize,
    pub(crate) size: usize,
    /// Messages under way on each active connection.
    pub(crate) in_flight: usize,
}

struct Client {
    socket: Socket,
    number: usize,
    kind: u8,
    sent: u32,
    received: u32,
    /// Bytes of the next reply that have come.
    partial: usize,
    began: VecDeque<Instant>,
    unsent: Vec<u8>,
}

impl Client {
    /// Puts `count` more messages under way.
    fn send(&mut self, pattern: &mut Pattern, count: usize, now: Instant) -> Outcome {
        for _ in 0..count {
            self.unsent.extend_from_slice(pattern.request(self.kind, self.number, self.sent));
            self.sent += 1;
            self.began.push_back(now);
        }
        self.flush()
    }

    fn flush(&mut self) -> Outcome {
        self.socket.flush()?;
        while !self.unsent.is_empty() {
            match self.socket.write(&self.unsent) {
                Ok(sent) if sent == self.unsent.len() => self.unsent.clear(),
                Ok(sent) => drop(self.unsent.drain(..sent)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Reads what is there; how many replies are complete with it.
    fn receive(&mut self, pattern: &mut Pattern, buffer: &mut [u8]) -> Outcome<usize> {
        let mut complete = 0;
        loop {
            let count = match self.socket.read(buffer) {
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(complete),
                Err(error) => return Err(error.into()),
            };
            complete += self.compare(pattern, &buffer[..count])?;
            if count < buffer.len() && self.socket.is_emptied_by_a_short_read() {
                return Ok(complete);
            }
        }
    }

    /// Waits for the replies to all that was sent. The socket blocks: one read at a time, each of what there is.
    fn receive_all(&mut self, pattern: &mut Pattern, buffer: &mut [u8]) -> Outcome {
        while self.received < self.sent {
            let count = self.socket.read(buffer)?;
            self.compare(pattern, &buffer[..count])?;
        }
        Ok(())
    }

    /// What has come is what was expected; how many replies are complete with it.
    fn compare(&mut self, pattern: &mut Pattern, bytes: &[u8]) -> Outcome<usize> {
        let (mut rest, mut complete) = (bytes, 0);
        if rest.is_empty() {
            return Err("the server has closed a connection".into());
        }
        while !rest.is_empty() {
            let expected = &pattern.reply(self.kind, self.number, self.received)[self.partial..];
            let (part, after) = rest.split_at(rest.len().min(expected.len()));
            if self.received == self.sent || part != &expected[..part.len()] {
                return Err(format!("connection {}: a wrong reply", self.number).into());
            }
            self.partial += part.len();
            if self.partial == pattern.size() {
                self.partial = 0;
                self.received += 1;
                complete += 1;
            }
            rest = after;
        }
        Ok(complete)
    }
}

/// Opens all connections, each with one message there and back; then sends from the active ones for `time`.
pub(crate) fn run(server: &Server, load: &Echo, upper: bool, time: Duration) -> Outcome<Measurement> {
    let mut pattern = Pattern::new(load.size, upper);
    let empty = server.resident()?;
    let mut clients = open(server, load, &mut pattern)?;
    // What the last replies have set in motion in the server comes to rest.
    thread::sleep(Duration::from_millis(100));
    let resident = server.resident()?;

    let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    let flags = EventFlags::IN | EventFlags::OUT | EventFlags::ET;
    for client in &clients {
        epoll::add(&epoll, &client.socket, EventData::new_u64(client.number as u64), flags)?;
    }
    let mut window = Window::new(server, time);
    for client in &mut clients[..load.active] {
        client.send(&mut pattern, load.in_flight, Instant::now())?;
    }
    let mut events = Vec::with_capacity(512);
    let mut buffer = vec![0; 64 << 10];
    loop {
        epoll::wait(&epoll, spare_capacity(&mut events), Some(&PATIENCE))?;
        if events.is_empty() {
            return Err("no reply for 10 s".into());
        }
        for event in events.drain(..) {
            let client = &mut clients[event.data.u64() as usize];
            client.flush()?;
            let complete = client.receive(&mut pattern, &mut buffer)?;
            let now = Instant::now();
            for began in client.began.drain(..complete) {
                if client.kind == QUICK {
                    window.count(now - began);
                }
            }
            client.send(&mut pattern, complete, now)?;
        }
        if let Some(measurement) = window.tick(Instant::now())? {
            let per_connection = (resident - empty) / load.connections as f64;
            return Ok(Measurement { resident, per_connection, ..measurement });
        }
    }
}

/// Connects and exchanges a message on each connection, so that none is still to be accepted.
fn open(server: &Server, load: &Echo, pattern: &mut Pattern) -> Outcome<Vec<Client>> {
    let mut clients: Vec<Client> = Vec::with_capacity(load.connections);
    let mut buffer = vec![0; 64 << 10];
    while clients.len() < load.connections {
        let first = clients.len();
        for number in first..load.connections.min(first + AT_ONCE) {
            let socket = Socket::connect(&server.address)?;
            let kind = QUICK;
            let (began, unsent) = (VecDeque::new(), Vec::new());
            let mut client = Client { socket, number, kind, sent: 0, received: 0, partial: 0, began, unsent };
            client.send(pattern, 1, Instant::now())?;
            clients.push(client);
        }
        for client in &mut clients[first..] {
            client.receive_all(pattern, &mut buffer)?;
            client.began.clear();
            client.socket.set_nonblocking()?;
            if client.number < load.slow {
                client.kind = SLOW;
            }
        }
    }
    Ok(clients)
}
