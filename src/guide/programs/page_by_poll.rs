use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;

use rustix::event::{PollFd, PollFlags, poll};

/// A client in the middle of its request.
#[derive(Debug)]
pub struct Client {
    socket: TcpStream,
    input: Vec<u8>,
}

impl Client {
    pub fn accept(listener: &TcpListener) -> io::Result<Self> {
        Ok(Self { socket: listener.accept()?.0, input: Vec::new() })
    }

    /// Reads what has arrived; returns true when the client has been answered, or is gone.
    pub fn read(&mut self, folder: &Path) -> bool {
        let mut bytes = [0; 4096];
        match self.socket.read(&mut bytes) {
            Ok(count @ 1..) => self.input.extend_from_slice(&bytes[..count]),
            Ok(0) | Err(_) => return true,
        }
        if !self.input.ends_with(b"\r\n\r\n") {
            return false;
        }
        // A client that does not read its response blocks all others here. A server parks it, and sends the rest later.
        let _ = self.socket.write_all(&answer(&String::from_utf8_lossy(&self.input), folder));
        true
    }
}

/// Three: one thread that asks poll(2) (or its ancestor, select) which clients have sent something.
pub fn serve_with_poll(listener: &TcpListener, folder: &Path) -> io::Result<()> {
    let mut clients: HashMap<u64, Client> = HashMap::new();
    for next in 0_u64.. {
        let ids: Vec<u64> = clients.keys().copied().collect();
        let sockets = ids.iter().map(|id| PollFd::new(&clients[id], PollFlags::IN));
        let mut waiting: Vec<_> = sockets.chain([PollFd::new(listener, PollFlags::IN)]).collect();
        poll(&mut waiting, None)?;
        let ready: Vec<bool> = waiting.iter().map(|socket| !socket.revents().is_empty()).collect();
        for (id, _) in ids.iter().zip(&ready).filter(|(_, is_ready)| **is_ready) {
            if clients.get_mut(id).is_some_and(|client| client.read(folder)) {
                clients.remove(id);
            }
        }
        if ready[ids.len()] {
            clients.insert(next, Client::accept(listener)?);
        }
    }
    Ok(())
}

impl std::os::fd::AsFd for Client {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
