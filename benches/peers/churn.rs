//! The load of short visits: connect, one message there and back, close; so many visitors at a time.

use std::io::ErrorKind;
use std::time::Duration;
use std::time::Instant;

use rustix::buffer::spare_capacity;
use rustix::event::epoll;
use rustix::event::epoll::EventData;
use rustix::event::epoll::EventFlags;

use crate::load::PATIENCE;
use crate::measure::Measurement;
use crate::measure::Window;
use crate::message::Pattern;
use crate::message::QUICK;
use crate::process::Server;
use crate::servers::Outcome;
use crate::socket::Socket;

struct Visit {
    socket: Socket,
    number: u32,
    began: Instant,
    received: Vec<u8>,
}

/// Each visitor says `first` before its message, in the same segment.
pub(crate) fn run(
    server: &Server,
    at_once: usize,
    first: &[u8],
    size: usize,
    upper: bool,
    time: Duration,
) -> Outcome<Measurement> {
    let mut pattern = Pattern::new(size, upper);
    let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    let mut count = 0;
    let mut said = Vec::with_capacity(first.len() + size);
    let mut visit = |place: usize, pattern: &mut Pattern| -> Outcome<Visit> {
        let began = Instant::now();
        let mut socket = Socket::connect(&server.address)?;
        socket.set_nonblocking()?;
        epoll::add(&epoll, &socket, EventData::new_u64(place as u64), EventFlags::IN)?;
        count += 1;
        // A new socket has room for a small message.
        said.clear();
        said.extend_from_slice(first);
        said.extend_from_slice(pattern.request(QUICK, place, count));
        if socket.write(&said)? < said.len() {
            return Err("a message did not fit into an empty socket".into());
        }
        Ok(Visit { socket, number: count, began, received: Vec::with_capacity(size) })
    };
    let mut visits = Vec::with_capacity(at_once);
    for place in 0..at_once {
        visits.push(visit(place, &mut pattern)?);
    }
    let mut window = Window::new(server, time);
    let mut events = Vec::with_capacity(512);
    let mut buffer = vec![0; size + 1];
    loop {
        epoll::wait(&epoll, spare_capacity(&mut events), Some(&PATIENCE))?;
        if events.is_empty() {
            return Err("no reply for 10 s".into());
        }
        for event in events.drain(..) {
            let place = event.data.u64() as usize;
            let guest = &mut visits[place];
            match guest.socket.read(&mut buffer) {
                Ok(0) => return Err("the server has closed a connection".into()),
                Ok(got) => guest.received.extend_from_slice(&buffer[..got]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => continue,
                Err(error) => return Err(error.into()),
            }
            if guest.received.len() < size {
                continue;
            }
            if guest.received != pattern.reply(QUICK, place, guest.number) {
                return Err(format!("visit {}: a wrong reply", guest.number).into());
            }
            window.count(guest.began.elapsed());
            // The old socket closes here, and a new visit takes its place.
            *guest = visit(place, &mut pattern)?;
        }
        if let Some(measurement) = window.tick(Instant::now())? {
            return Ok(measurement);
        }
    }
}
