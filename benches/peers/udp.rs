//! The load of datagrams: some sockets with several messages under way on each; replies may come in any order.

use std::io::ErrorKind;
use std::net::UdpSocket;
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
use crate::message::number_of;
use crate::process::Server;
use crate::servers::Address;
use crate::servers::Outcome;

struct Sender {
    socket: UdpSocket,
    next: u32,
    under_way: Vec<(u32, Instant)>,
}

impl Sender {
    fn send(&mut self, pattern: &mut Pattern, place: usize) -> Outcome {
        self.socket.send(pattern.request(QUICK, place, self.next))?;
        self.under_way.push((self.next, Instant::now()));
        self.next += 1;
        Ok(())
    }
}

/// No datagram is sent again: on the loopback none is lost as long as `sockets * in_flight` of them fit into the
/// server's socket.
pub(crate) fn run(
    server: &Server,
    sockets: usize,
    in_flight: usize,
    size: usize,
    time: Duration,
) -> Outcome<Measurement> {
    let Address::Udp(address) = &server.address else {
        return Err("the server has no datagram socket".into());
    };
    let mut pattern = Pattern::new(size, false);
    let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    let mut senders = Vec::with_capacity(sockets);
    for place in 0..sockets {
        let socket = UdpSocket::bind("127.0.0.1:0")?;
        socket.connect(address)?;
        socket.set_nonblocking(true)?;
        epoll::add(&epoll, &socket, EventData::new_u64(place as u64), EventFlags::IN)?;
        senders.push(Sender { socket, next: 0, under_way: Vec::new() });
    }
    let mut window = Window::new(server, time);
    for (place, sender) in senders.iter_mut().enumerate() {
        for _ in 0..in_flight {
            sender.send(&mut pattern, place)?;
        }
    }
    let mut events = Vec::with_capacity(sockets);
    let mut buffer = vec![0; size + 1];
    loop {
        epoll::wait(&epoll, spare_capacity(&mut events), Some(&PATIENCE))?;
        if events.is_empty() {
            return Err("no reply for 10 s".into());
        }
        for event in events.drain(..) {
            let place = event.data.u64() as usize;
            let sender = &mut senders[place];
            for _ in 0..in_flight {
                let reply = match sender.socket.recv(&mut buffer) {
                    Ok(count) => &buffer[..count],
                    Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                    Err(error) => return Err(error.into()),
                };
                let number = number_of(reply).ok_or("a reply without a number")?;
                let at = sender.under_way.iter().position(|(sent, _)| *sent == number).ok_or("a reply to nothing")?;
                if reply != pattern.reply(QUICK, place, number) {
                    return Err(format!("socket {place}: a wrong reply").into());
                }
                let (_, began) = sender.under_way.swap_remove(at);
                window.count(began.elapsed());
                sender.send(&mut pattern, place)?;
            }
        }
        if let Some(measurement) = window.tick(Instant::now())? {
            return Ok(measurement);
        }
    }
}
