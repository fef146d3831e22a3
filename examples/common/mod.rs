//! What the examples have in common: their flags, and serving until a signal comes.

#![allow(dead_code, unreachable_pub, reason = "a module of every example, and each uses what it needs")]

use std::error::Error;
use std::fmt::Display;
use std::io::Write;

use lexopt::Arg;
use lexopt::ValueExt;
use socketserver::Builder;
use socketserver::HandlerFactory;
use socketserver::Server;
use socketserver::Transport;
use socketserver::dispatch::Job;
use socketserver::dispatch::Process;
use socketserver::transport::Bind;

/// The result of an example's `main`: errors are printed as they read.
pub type Outcome<T = ()> = Result<T, Box<dyn Error>>;

/// The flags every server example has.
#[derive(Debug, Default)]
pub struct Flags {
    pub listen: Option<String>,
    pub dispatch: Option<String>,
    pub transport: Option<String>,
    /// Threads of the pool; the other dispatches have as many as there are requests.
    pub workers: Option<usize>,
}

impl Flags {
    /// Reads the command line; `own` takes the flags that only this example has, and says whether it knew one.
    pub fn parse(usage: &str, mut own: impl FnMut(&str, &mut lexopt::Parser) -> Outcome<bool>) -> Outcome<Self> {
        let mut flags = Self::default();
        let mut parser = lexopt::Parser::from_env();
        while let Some(arg) = parser.next()? {
            let name = match arg {
                Arg::Long(name) => name.to_owned(),
                other => return Err(format!("{}\n{usage}", other.unexpected()).into()),
            };
            match name.as_str() {
                "listen" => flags.listen = Some(parser.value()?.string()?),
                "dispatch" => flags.dispatch = Some(parser.value()?.string()?),
                "transport" => flags.transport = Some(parser.value()?.string()?),
                "workers" => flags.workers = Some(parser.value()?.parse()?),
                "help" => {
                    println!("{usage}");
                    std::process::exit(0);
                }
                name if own(name, &mut parser)? => {}
                name => return Err(format!("unknown flag --{name}\n{usage}").into()),
            }
        }
        Ok(flags)
    }

    /// The address to listen on: what was given, or a default for the transport.
    pub fn listen_or(&self, default: &str) -> String {
        self.listen.clone().unwrap_or_else(|| default.to_owned())
    }
}

/// Binds, says where, serves until SIGINT or SIGTERM, and reports.
pub fn serve<T, D, H>(builder: Builder<T, D, H>, listen: &str) -> Outcome
where
    T: Bind,
    T::Address: for<'a> From<&'a str>,
    D: Process<Job<T, H>>,
    H: HandlerFactory<T::Request>,
{
    let server = builder.bind(listen)?;
    announce(&server.local_addr())?;
    serve_until_signal(server)
}

/// Serves until SIGINT or SIGTERM, and prints the report.
pub fn serve_until_signal<T, D, H>(server: Server<T, D, H>) -> Outcome
where
    T: Transport,
    D: Process<Job<T, H>>,
    H: HandlerFactory<T::Request>,
{
    #[cfg(unix)]
    let _signals = socketserver::signals::stop_on_signals(server.stop_handle())?;
    let report = server.serve_forever()?;
    eprintln!("{report}");
    Ok(())
}

/// The first line of every server example.
pub fn announce(address: &impl Display) -> Outcome {
    let mut out = std::io::stdout().lock();
    writeln!(out, "listening on {address}")?;
    out.flush()?;
    Ok(())
}

/// Serves `$builder` under the dispatch that was asked for; `$default` if none was.
#[macro_export]
macro_rules! serve_with {
    ($transport:ty, $flags:expr, $default:literal, $listen:expr, $factory:expr $(, $option:ident($($value:expr),*))*) => {{
        use socketserver::{Builder, Fork, Pool, Sync, ThreadPerRequest};
        let flags = &$flags;
        let listen: String = $listen;
        match flags.dispatch.as_deref().unwrap_or($default) {
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
                let mut dispatch = Pool::default();
                if let Some(workers) = flags.workers {
                    dispatch = dispatch.workers(workers);
                }
                common::serve(
                    Builder::<$transport, Pool, _>::new($factory).dispatch(dispatch)$(.$option($($value),*))*, &listen)
            }
            other => Err(format!("--dispatch {other}: choose sync, threads, fork or pool").into()),
        }
    }};
}
