//! The command line.

use std::error::Error;

use lexopt::Arg;
use lexopt::Parser;
use lexopt::ValueExt;

use super::outcome::Outcome;
use super::outcome::print;
use super::outcome::wrong_usage;
use super::tls::TlsFlags;

/// The flags every server example has.
#[derive(Debug, Default)]
pub struct Flags {
    pub listen: Option<String>,
    pub dispatch: Option<String>,
    pub transport: Option<String>,
    /// Threads of the pool; the other dispatches have as many as there are requests.
    pub workers: Option<usize>,
    pub tls: TlsFlags,
}

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
                print(usage)?;
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
            "listen" => self.listen = Some(parser.value()?.string()?),
            "dispatch" => self.dispatch = Some(parser.value()?.string()?),
            "transport" => self.transport = Some(parser.value()?.string()?),
            "workers" => self.workers = Some(parser.value()?.parse()?),
            name if self.tls.take(name, parser)? => {}
            name => return own(name, parser),
        }
        Ok(true)
    }

    /// The address to listen on: what was given, or a default for the transport.
    pub fn listen_or(&self, default: &str) -> String {
        self.listen.clone().unwrap_or_else(|| default.to_owned())
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
