//! The command line.

use std::error::Error;

use lexopt::Arg;
use lexopt::Parser;
use lexopt::ValueExt;

use socketserver::Pool;

use super::front::FrontFlags;
use super::front::FrontOptions;
use super::outcome::Outcome;
use super::outcome::print;
use super::outcome::wrong_usage;
use super::tls::TlsFlags;

/// The flags every server example has.
#[derive(Debug, Default)]
pub struct Flags {
    pub listen: Vec<String>,
    pub dispatch: Option<String>,
    pub transport: Option<String>,
    /// Threads of the pool; the other dispatches have as many as there are requests.
    pub workers: Option<usize>,
    /// Threads of the pool while others wait for their clients, and those are counted, too.
    pub max_threads: Option<usize>,
    pub max_connections: Option<usize>,
    pub front: FrontFlags,
    pub tls: TlsFlags,
    /// Processes on one listener, each with the dispatch that was chosen.
    pub processes: Option<usize>,
}

/// Where a server listens, and how much it serves at a time.
#[derive(Clone, Debug)]
pub struct Listen {
    pub addresses: Vec<String>,
    pub max_connections: Option<usize>,
}

/// The flags that all examples have, or all of one kind.
pub const MORE: &str = "every server: --listen may be repeated; --max-connections N
streams: --proxy-from CIDR[,CIDR] (`unix` for a Unix-domain socket), --max-per-source N
dispatch pool: --max-threads N";

impl Flags {
    /// Reads the command line; `own` takes the flags that only this example has, and says whether it knew one.
    pub fn parse(usage: &str, mut own: impl FnMut(&str, &mut Parser) -> Outcome<bool>) -> Outcome<Self> {
        let mut flags = Self::default();
        let mut parser = Parser::from_env();
        while let Some(arg) = parser.next().map_err(|error| wrong_usage(error.to_string()))? {
            let name = match arg {
                Arg::Long(name) => name.to_owned(),
                other => return Err(wrong_usage(other.unexpected().to_string())),
            };
            if name == "help" {
                print(format_args!("{usage}\n{MORE}"))?;
                std::process::exit(0);
            }
            let is_known = flags.take(&name, &mut parser, &mut own);
            if !is_known.map_err(|error| explain(&name, &*error))? {
                return Err(wrong_usage(format!("unknown flag --{name}")));
            }
        }
        Ok(flags)
    }

    fn take(
        &mut self,
        name: &str,
        parser: &mut Parser,
        own: impl FnOnce(&str, &mut Parser) -> Outcome<bool>,
    ) -> Outcome<bool> {
        match name {
            "listen" => self.listen.push(parser.value()?.string()?),
            "dispatch" => self.dispatch = Some(parser.value()?.string()?),
            "transport" => self.transport = Some(parser.value()?.string()?),
            "processes" => self.processes = Some(count(parser)?),
            "workers" => self.workers = Some(count(parser)?),
            "max-threads" => self.max_threads = Some(count(parser)?),
            "max-connections" => self.max_connections = Some(count(parser)?),
            name if self.front.take(name, parser)? => {}
            name if self.tls.take(name, parser)? => {}
            name => return own(name, parser),
        }
        Ok(true)
    }

    /// For programs whose processes would have to share what they cannot.
    pub fn refuse_processes(&self, why: &str) -> Outcome {
        match self.processes {
            Some(count) => Err(wrong_usage(format!("--processes {count}: {why}"))),
            None => Ok(()),
        }
    }

    /// Where to listen: on what was given, or a default for the transport.
    pub fn listen_or(&self, default: &str) -> Listen {
        let addresses = if self.listen.is_empty() { vec![default.to_owned()] } else { self.listen.clone() };
        Listen { addresses, max_connections: self.max_connections }
    }

    /// The dispatch that was asked for, or a default.
    pub fn dispatch_or<'a>(&'a self, default: &'a str) -> Outcome<&'a str> {
        let dispatch = self.dispatch.as_deref().unwrap_or(default);
        match self.max_threads {
            Some(most) if dispatch != "pool" => Err(wrong_usage(format!(
                "--max-threads {most}: only the pool has this limit, and the dispatch is {dispatch}"
            ))),
            _ => Ok(dispatch),
        }
    }

    /// The pool that was asked for.
    pub fn pool(&self) -> Pool {
        let pool = self.workers.map_or_else(Pool::default, Pool::new);
        self.max_threads.into_iter().fold(pool, Pool::max_threads)
    }

    /// The options of a transport of streams.
    pub fn front<O: Default>(&self) -> Outcome<FrontOptions<O>> {
        self.front.options(self.transport.as_deref().is_some_and(|transport| transport.starts_with("unix")))
    }
}

/// The value of a flag that says how many of something there are.
pub fn count(parser: &mut Parser) -> Outcome<usize> {
    let value = parser.value()?.string()?;
    match value.parse() {
        Ok(count) if count > 0 => Ok(count),
        _ => Err(lexopt::Error::ParsingFailed { value, error: "it must be a whole number, 1 or more".into() }.into()),
    }
}

/// Names the flag and its value, which the parser's errors do not.
fn explain(flag: &str, error: &(dyn Error + 'static)) -> Box<dyn Error> {
    let text = match error.downcast_ref() {
        Some(lexopt::Error::ParsingFailed { value, error }) => format!("--{flag} {value}: {error}"),
        Some(error @ lexopt::Error::MissingValue { .. }) => error.to_string(),
        _ => format!("--{flag}: {error}"),
    };
    wrong_usage(text)
}
