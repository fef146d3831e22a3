//! What the examples have in common: their flags, and serving until a signal comes.

#![allow(dead_code, unreachable_pub, reason = "a module of every example, and each uses what it needs")]

pub mod deployed;
mod flags;
pub mod front;
mod outcome;
pub mod tls;

pub use flags::Flags;
pub use flags::Listen;
pub use outcome::Outcome;
pub use outcome::complain;
pub use outcome::print;
pub use outcome::run;
pub use outcome::wrong_usage;

use std::fmt::Display;

use socketserver::Builder;
use socketserver::HandlerFactory;
use socketserver::Server;
use socketserver::Transport;
use socketserver::deploy::PassedSocket;
use socketserver::deploy::Restart;
use socketserver::deploy::systemd::Manager;
use socketserver::dispatch::Job;
use socketserver::dispatch::Process;
use socketserver::transport::Addresses;
use socketserver::transport::Adopt;

use deployed::Told;

/// Binds, says where, serves until SIGINT or SIGTERM, and reports. SIGUSR2 restarts the program.
pub fn serve<T, A, S, D, H>(builder: Builder<T, D, H>, listen: &Listen) -> Outcome
where
    T: Adopt<Socket = Vec<S>, Addr = Addresses<A>>,
    T::Address: for<'a> From<Vec<&'a str>>,
    A: Clone + Display,
    S: PassedSocket,
    D: Process<Job<T, Told<H>>>,
    H: HandlerFactory<T::Request>,
{
    let (server, restart) = deployed::bind(builder, listen)?;
    serve_until_signal(server, &restart)
}

/// Says where the server listens, serves until SIGINT or SIGTERM, and prints the report. SIGUSR2 restarts the program.
pub fn serve_until_signal<T, A, D, H>(server: Server<T, D, H>, restart: &Restart) -> Outcome
where
    T: Transport<Addr = Addresses<A>>,
    A: Clone + Display,
    D: Process<Job<T, H>>,
    H: HandlerFactory<T::Request>,
{
    // Before anybody can know that the server is there: a signal finds it ready.
    #[cfg(unix)]
    let _signals = (
        socketserver::signals::stop_on_signals(server.stop_handle())?,
        restart.on_signal()?,
        tls::reload_on_signal(server.stop_handle())?,
    );
    for address in server.local_addr().iter() {
        print(format_args!("listening on {address}"))?;
    }
    Manager::new().watch(&server);
    let report = server.serve_forever()?;
    complain(report);
    Ok(())
}

/// Serves `$builder` under the dispatch that was asked for; `$default` if none was.
#[macro_export]
macro_rules! serve_with {
    ($transport:ty, $flags:expr, $default:literal, $listen:expr, $factory:expr $(, $option:ident($($value:expr),*))*) => {{
        use socketserver::{Builder, Fork, Pool, Sync, ThreadPerRequest};
        let flags = &$flags;
        let listen: common::Listen = $listen;
        match flags.dispatch_or($default)? {
            "sync" => common::serve(
                Builder::<$transport, Sync, _>::new($factory)$(.$option($($value),*))*, &listen),
            "threads" => common::serve(
                Builder::<$transport, ThreadPerRequest, _>::new($factory)$(.$option($($value),*))*,
                &listen,
            ),
            // The default of 40 children would make a client wait whom the others' conversations do not concern.
            "fork" => common::serve(
                Builder::<$transport, Fork, _>::new($factory)
                    .dispatch(Fork::default().max_children(1024))$(.$option($($value),*))*,
                &listen,
            ),
            "pool" => {
                common::serve(
                    Builder::<$transport, Pool, _>::new($factory).dispatch(flags.pool())$(.$option($($value),*))*, &listen)
            }
            other => Err(common::wrong_usage(format!("--dispatch {other}: choose sync, threads, fork or pool"))),
        }
    }};
}
