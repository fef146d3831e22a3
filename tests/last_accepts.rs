//! What has been accepted is served, also when the server stops in that very moment, or its listener breaks.

#![cfg(unix)]

#[macro_use]
mod common;

use std::io::Write;
use std::sync::Arc;
use std::sync::OnceLock;

use common::Listen;
use common::connect;
use common::echo::echo_line;
use common::read_line;
use common::read_rest;
use socketserver::Builder;
use socketserver::Event;
use socketserver::ServeError;
use socketserver::StopHandle;
use socketserver::Tcp;
use socketserver::handler::function;
use socketserver::testing::Accept;
use socketserver::testing::Faulty;
use socketserver::testing::Script;

under_each_dispatch! {
    fn a_stop_between_accept_and_dispatch_forces_nobody<D>() {
        let stop = Arc::new(OnceLock::<StopHandle>::new());
        let server = Builder::<Tcp, D, _>::new(function(echo_line))
            .observed({
                let stop = Arc::clone(&stop);
                move |event: &Event<'_>| {
                    if let Event::Start { .. } = event {
                        stop.get().unwrap().shutdown();
                    }
                }
            })
            .listen();
        stop.set(server.stop_handle()).unwrap();
        let mut clients: Vec<_> = (0..3).map(|_| connect(server.local_addr())).collect();
        for client in &mut clients {
            client.write_all(b"hello\n").unwrap();
        }
        let report = server.start().join();
        assert_eq!(read_line(&clients[0]), "hello");
        for client in clients {
            assert_eq!(read_rest(client), b"");
        }
        assert_eq!((report.accepted, report.forced, report.refused), (3, 0, 2), "{report}");
    }

    fn a_listener_that_breaks_takes_no_one_along<D>() {
        let script = Script::new();
        script.push([Accept::Real, Accept::Real, Accept::Error(libc::EBADF)]);
        let server = Builder::<Faulty<Tcp>, D, _>::new(function(echo_line))
            .transport_options(script.options())
            .listen();
        let mut clients: Vec<_> = (0..2).map(|_| connect(server.local_addr())).collect();
        for client in &mut clients {
            client.write_all(b"hello\n").unwrap();
        }
        // Where requests are accepted one by one, the listener is only tried again for a client.
        let _late = connect(server.local_addr());
        let seen = server.seen.clone();
        let error = server.start().try_join().unwrap_err();
        assert!(matches!(error, ServeError::Accept { .. }), "{error}");
        for client in clients {
            assert_eq!(read_line(&client), "hello");
            assert_eq!(read_rest(client), b"");
        }
        assert_eq!(seen.ended(socketserver::End::Forced), 0);
    }
}
