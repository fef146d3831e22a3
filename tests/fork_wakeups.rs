//! A child that has ended wakes its server once, also while a younger child lives that has inherited its descriptors.

#[cfg(unix)]
mod common;

fn main() {
    #[cfg(unix)]
    unix::main();
}

#[cfg(unix)]
mod unix {
    use crate::cases;
    use crate::common::Listen;
    use crate::common::cases;
    use socketserver::Event;
    use socketserver::Flow;
    use socketserver::ForkingTcpServer;
    use std::cell::Cell;
    use std::cell::OnceCell;
    use std::io::Read;
    use std::io::Write;
    use std::net::TcpStream;
    use std::process::Command;
    use std::rc::Rc;
    use std::time::Duration;

    /// How many clients come and go while one stays.
    const VISITS: u64 = 30;

    /// A visit is an accept and a child's exit; each may need a second look.
    const WAKEUPS_PER_VISIT: u64 = 6;

    pub(super) fn main() {
        if let Some(address) = cases::started_again("--be-the-client") {
            return client(&address[0]);
        }
        cases::run(cases![an_ended_child_wakes_its_server_once])
    }

    fn an_ended_child_wakes_its_server_once() {
        let wakeups = Rc::new(Cell::new(0_u64));
        let exits = Cell::new(0);
        let stop = Rc::new(OnceCell::<socketserver::StopHandle>::new());
        let server = ForkingTcpServer::builder_fn({
            let wakeups = Rc::clone(&wakeups);
            // The child has the count from the time of its fork.
            move |request| {
                request.read_exact(&mut [0])?;
                request.write_all(&wakeups.get().to_ne_bytes())?;
                Ok(Flow::Continue)
            }
        })
        .on_service(move || wakeups.set(wakeups.get() + 1))
        .observed({
            let stop = Rc::clone(&stop);
            move |event: &Event<'_>| {
                if let Event::ChildExit { .. } = event {
                    exits.set(exits.get() + 1);
                    if exits.get() == VISITS + 1 {
                        stop.get().expect("set before serving").shutdown();
                    }
                }
            }
        })
        .listen();
        stop.set(server.stop_handle()).unwrap();
        let address = server.local_addr().to_string();
        let program = std::env::current_exe().unwrap();
        let mut client = Command::new(program).args(["--be-the-client", &address]).spawn().unwrap();
        let report = server.serve_forever();
        assert!(client.wait().unwrap().success(), "the client says what was wrong");
        assert_eq!(report.accepted, VISITS + 1);
    }

    fn client(address: &str) {
        let connect = || {
            let socket = TcpStream::connect(address).unwrap();
            socket.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
            socket
        };
        let ask = |mut socket: &TcpStream| {
            socket.write_all(b"?").unwrap();
            let mut count = [0; 8];
            socket.read_exact(&mut count).unwrap();
            u64::from_ne_bytes(count)
        };
        let first = connect();
        let before = ask(&first);
        let stays = connect();
        ask(&stays);
        drop(first);
        // The one that stays has inherited what the server watches the first one with.
        let mut last = before;
        for _ in 2..=VISITS {
            last = ask(&connect());
        }
        let wakeups = last - before;
        let most = WAKEUPS_PER_VISIT * (VISITS + 1);
        assert!(wakeups <= most, "{wakeups} wake-ups for {VISITS} visits: more than {most}");
    }
}
