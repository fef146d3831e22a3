//! A panic costs one request, whatever it throws: also a value that panics when it is dropped, and throws another one.

#[macro_use]
mod common;

use std::io::BufRead;
use std::io::Read;
use std::io::Write;
use std::net::TcpStream;

use common::Start;
use common::ask;
use common::connect;
use common::echo::Echo;
use socketserver::Builder;
use socketserver::End;
use socketserver::Handler;
use socketserver::HandlerResult;
use socketserver::Stream;
use socketserver::Tcp;

/// Panics when it is dropped, and throws another of its kind.
struct Bomb(u32);

impl Drop for Bomb {
    fn drop(&mut self) {
        if self.0 > 0 {
            std::panic::resume_unwind(Box::new(Self(self.0 - 1)));
        }
    }
}

/// Echoes, but for one word.
struct Bomber(Echo);

impl Handler<Stream<TcpStream>> for Bomber {
    fn handle(&mut self, request: &mut Stream<TcpStream>) -> HandlerResult {
        if request.fill_buf()?.starts_with(b"panic") {
            std::panic::resume_unwind(Box::new(Bomb(2)));
        }
        self.0.handle(request)
    }
}

under_each_dispatch! {
    fn each_costs_its_own_request<D>() {
        let server = Builder::<Tcp, D, _>::new(|| Bomber(Echo)).start();
        let stays = connect(server.local_addr());
        assert_eq!(ask(&stays, "here"), "here");
        // More often than a pool has threads.
        for round in 1..=20 {
            let mut client = connect(server.local_addr());
            client.write_all(b"panic\n").unwrap();
            // Closed, or reset: its line is unread.
            let _ = client.read(&mut [0]);
            drop(client);
            server.seen.wait_for_ends(round);
            assert_eq!(ask(&stays, "still here"), "still here");
        }
        assert_eq!(server.seen.ended(End::Panicked), 20);
        let report = server.stop();
        assert_eq!((report.failed, report.idle_closed), (20, 1), "{report}");
    }
}
