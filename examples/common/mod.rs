//! What the examples have in common: their flags, and serving until a signal comes.

#![allow(dead_code, unreachable_pub, reason = "a module of every example, and each uses what it needs")]

pub mod deployed;
mod flags;
pub mod front;
pub mod metrics;
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
use socketserver::StopHandle;
use socketserver::Transport;
use socketserver::deploy::PassedSocket;
use socketserver::deploy::Restart;
use socketserver::deploy::systemd::Manager;
use socketserver::dispatch::Serves;
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
    D: Serves<T, Told<H>>,
    H: HandlerFactory<T::Request>,
{
    let (server, metrics, restart) = deployed::bind(builder, listen)?;
    serve_beside(metrics, server, &restart, &[])
}

/// Says where the server listens, serves until SIGINT or SIGTERM, which stop these others as well, and prints the report.
/// SIGUSR2 restarts the program.
pub fn serve_until_signal<T, A, D, H>(server: Server<T, D, H>, restart: &Restart, others: &[StopHandle]) -> Outcome
where
    T: Transport<Addr = Addresses<A>>,
    A: Clone + Display,
    D: Serves<T, H>,
    H: HandlerFactory<T::Request>,
{
    serve_beside(None, server, restart, others)
}

/// As [`serve_until_signal`], with the server of its metrics, which goes on until the drain is over.
fn serve_beside<T, A, D, H>(
    metrics: Option<metrics::Bound>,
    server: Server<T, D, H>,
    restart: &Restart,
    others: &[StopHandle],
) -> Outcome
where
    T: Transport<Addr = Addresses<A>>,
    A: Clone + Display,
    D: Serves<T, H>,
    H: HandlerFactory<T::Request>,
{
    // Before anybody can know that the server is there: a signal finds it ready.
    #[cfg(unix)]
    let _signals = (
        socketserver::signals::stop_all_on_signals(others.iter().cloned().chain([server.stop_handle()]))?,
        restart.on_signal()?,
        tls::reload_on_signal(server.stop_handle())?,
    );
    for address in server.local_addr().iter() {
        print(format_args!("listening on {address}"))?;
    }
    let _metrics = match metrics {
        Some(metrics) => {
            print(format_args!("metrics on http://{}/", metrics.local_addr()))?;
            Some(metrics.serve_in_background()?)
        }
        None => None,
    };
    Manager::new().watch(&server);
    let report = server.serve_forever()?;
    complain(report);
    Ok(())
}

/// Serves under this dispatch; in as many processes as were asked for.
#[macro_export]
macro_rules! serve_under {
    ($dispatch:ident, $value:expr, $transport:ty, $flags:ident, $listen:ident, $factory:expr $(, $option:ident($($of:expr),*))*) => {
        match $flags.processes {
            None => common::serve(
                Builder::<$transport, $dispatch, _>::new($factory).dispatch($value)$(.$option($($of),*))*,
                &$listen,
            ),
            Some(count) => common::serve(
                Builder::<$transport, PreFork<$dispatch>, _>::new($factory)
                    .dispatch(PreFork::new(count, $value))$(.$option($($of),*))*,
                &$listen,
            ),
        }
    };
}

/// Serves `$builder` under the dispatch that was asked for; `$default` if none was.
#[macro_export]
macro_rules! serve_with {
    ($transport:ty, $flags:expr, $default:literal, $listen:expr, $($factory_and_options:tt)*) => {{
        use socketserver::{Builder, Fork, Pool, PreFork, Sync, ThreadPerRequest};
        let flags = &$flags;
        let listen: common::Listen = $listen;
        match flags.dispatch_or($default)? {
            "sync" => $crate::serve_under!(Sync, Sync, $transport, flags, listen, $($factory_and_options)*),
            "threads" => {
                $crate::serve_under!(ThreadPerRequest, ThreadPerRequest::default(), $transport, flags, listen, $($factory_and_options)*)
            }
            // The default of 40 children would make a client wait whom the others' conversations do not concern.
            "fork" => {
                $crate::serve_under!(Fork, Fork::default().max_children(1024), $transport, flags, listen, $($factory_and_options)*)
            }
            "pool" => {
                $crate::serve_under!(Pool, flags.pool(), $transport, flags, listen, $($factory_and_options)*)
            }
            other => Err(common::wrong_usage(format!("--dispatch {other}: choose sync, threads, fork or pool"))),
        }
    }};
}
