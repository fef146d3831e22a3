//! Errors of a type of the handler's own: what they wrap is still known for a disconnect, a timeout, or a forced end.

#[macro_use]
mod common;

use std::io;
use std::io::BufRead;
use std::io::Write;
use std::net::SocketAddr;
use std::net::TcpStream;
use std::time::Duration;

use common::Log;
use common::Start;
use common::connect;
use common::read_rest;
use common::reset;
use socketserver::Builder;
use socketserver::End;
use socketserver::Flow;
use socketserver::HandlerFactoryExt;
use socketserver::HandlerResult;
use socketserver::RequestError;
use socketserver::Stream;
use socketserver::Tcp;
use socketserver::handler::function;

#[derive(Debug, thiserror::Error)]
enum OwnError {
    #[error("cannot serve the line")]
    Wrapped {
        #[source]
        source: io::Error,
    },
    /// Its source is that of the `io::Error`, not the `io::Error` itself.
    #[error(transparent)]
    Transparent(#[from] io::Error),
}

/// Reads a second line inside of `handle`; fails with the error that the first line asks for.
fn two_lines(request: &mut Stream<TcpStream>) -> HandlerResult {
    let mut kind = String::new();
    request.read_line(&mut kind)?;
    request.write_all(b"and?\n")?;
    let mut line = String::new();
    match request.read_line(&mut line) {
        Ok(_) => Ok(Flow::Close),
        Err(source) if kind == "wrapped\n" => Err(OwnError::Wrapped { source }.into()),
        Err(source) => Err(OwnError::from(source).into()),
    }
}

/// Whether it was a disconnect, a timeout, a forced end.
type Classes = (bool, bool, bool);

fn classes(error: &RequestError) -> Classes {
    (error.is_disconnect(), error.is_timeout(), error.is_stopping())
}

/// A client that is waited for in its second line.
fn in_second_line(server: SocketAddr, kind: &str) -> TcpStream {
    let client = connect(server);
    assert_eq!(common::ask(&client, kind), "and?");
    client
}

const KINDS: [&str; 2] = ["wrapped", "transparent"];

under_each_dispatch! {
    fn the_deadline_of_a_drain_is_a_forced_end<D>()
    but_fork("a signal ends a child that a busy machine has kept from running") {
        for kind in KINDS {
            let errors = Log::<Classes>::default();
            let told = errors.clone();
            let factory = function(two_lines).on_error(move |error: &RequestError, _: Option<&SocketAddr>| told.push(classes(error)));
            let server = Builder::<Tcp, D, _>::new(factory).drain_timeout(Duration::from_millis(50)).start();
            let client = in_second_line(server.local_addr(), kind);
            let report = server.stop();
            assert_eq!((report.forced, report.failed), (1, 0), "{kind}: {report}");
            assert!(!report.is_clean(), "{kind}");
            assert_eq!(errors.entries(), [(true, false, true)], "{kind}");
            drop(client);
        }
    }

    fn a_timeout_is_a_timeout<D>() {
        for kind in KINDS {
            let errors = Log::<Classes>::default();
            let told = errors.clone();
            let factory = function(two_lines).on_error(move |error: &RequestError, _: Option<&SocketAddr>| told.push(classes(error)));
            let server = Builder::<Tcp, D, _>::new(factory).read_timeout(Duration::from_millis(50)).start();
            let client = in_second_line(server.local_addr(), kind);
            assert_eq!(read_rest(&client), b"");
            drop(client);
            assert_eq!(server.seen.wait_for_ends(1), [End::TimedOut], "{kind}");
            server.stop();
            assert_eq!(errors.entries(), [(false, true, false)], "{kind}");
        }
    }

    fn a_reset_is_a_disconnect<D>() {
        for kind in KINDS {
            let errors = Log::<Classes>::default();
            let told = errors.clone();
            let factory = function(two_lines).on_error(move |error: &RequestError, _: Option<&SocketAddr>| told.push(classes(error)));
            let server = Builder::<Tcp, D, _>::new(factory).start();
            reset(in_second_line(server.local_addr(), kind));
            server.seen.wait_for_ends(1);
            server.stop();
            assert_eq!(errors.entries(), [(true, false, false)], "{kind}");
        }
    }
}
