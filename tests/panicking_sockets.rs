//! A socket of somebody's own that panics costs its own connection, wherever that happens, and no thread.
#![cfg(unix)]

#[macro_use]
mod common;

use std::io;
use std::io::Read;
use std::io::Write;
use std::net::TcpStream;

use common::Start;
use common::ask;
use common::connect;
use common::echo::Echo;
use common::own_sockets::OwnSockets;
use socketserver::Builder;
use socketserver::End;

/// Panics when it meets these words.
struct Touchy(TcpStream);

fn check(bytes: &[u8], word: &[u8]) {
    if bytes.starts_with(word) {
        std::panic::resume_unwind(Box::new("on purpose"));
    }
}

impl Read for Touchy {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let count = self.0.read(bytes)?;
        check(&bytes[..count], b"read");
        Ok(count)
    }
}

impl Write for Touchy {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        check(bytes, b"write");
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

own_socket!(Touchy);

under_each_dispatch! {
    fn each_costs_its_own_connection<D>() {
        let server = Builder::<OwnSockets<Touchy>, D, _>::new(|| Echo).start();
        let stays = connect(server.local_addr());
        assert_eq!(ask(&stays, "here"), "here");
        // More often than a pool has threads.
        for round in 1..=40 {
            let mut client = connect(server.local_addr());
            client.write_all(if round % 2 == 0 { b"read\n" } else { b"write\n" }).unwrap();
            // Closed, or reset: its line may be unread.
            let _ = client.read(&mut [0]);
            drop(client);
            server.seen.wait_for_ends(round);
            assert_eq!(ask(&stays, "still here"), "still here");
        }
        assert_eq!(server.seen.ended(End::Panicked), 40);
        let report = server.stop();
        assert_eq!((report.failed, report.idle_closed), (40, 1), "{report}");
    }
}
