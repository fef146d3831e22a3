//! What stands before the servers of streams: several listeners, proxies that say whose a connection is
//! (`--proxy-from`), a limit by source (`--max-per-source`).

use lexopt::Parser;
use lexopt::ValueExt;
use socketserver::transport::Many;
use socketserver::transport::Networks;
use socketserver::transport::PerSource;
use socketserver::transport::PerSourceOptions;
use socketserver::transport::ProxyOptions;
use socketserver::transport::ProxyProtocol;

use super::Outcome;
use super::flags::count;
use super::wrong_usage;

/// The transport `T` with all of it. One type for all command lines: what was not asked for is not done.
pub type Front<T> = PerSource<ProxyProtocol<Many<T>>>;

/// The options of a [`Front`].
pub type FrontOptions<O> = PerSourceOptions<ProxyOptions<O>>;

/// Why there is none of it for datagrams.
pub const MESSAGES: &str = "it is for connections, and this transport has datagrams";

/// What was asked for.
#[derive(Debug, Default)]
pub struct FrontFlags {
    proxies: Option<Proxies>,
    most: Option<usize>,
}

#[derive(Debug)]
enum Proxies {
    /// As it was written.
    In(String, Networks),
    Unix,
}

impl FrontFlags {
    /// Takes a flag if it is one of these.
    pub fn take(&mut self, name: &str, parser: &mut Parser) -> Outcome<bool> {
        match name {
            "proxy-from" => {
                let value = parser.value()?;
                self.proxies = Some(match value.to_str() {
                    Some("unix") => Proxies::Unix,
                    _ => Proxies::In(value.to_string_lossy().into_owned(), value.parse()?),
                });
            }
            "max-per-source" => self.most = Some(count(parser)?),
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// The options of the transport; `is_local` is one of Unix-domain sockets.
    pub fn options<O: Default>(&self, is_local: bool) -> Outcome<FrontOptions<O>> {
        let none = ProxyOptions::new();
        let proxies = match &self.proxies {
            None => none.without_headers(),
            Some(Proxies::In(_, networks)) if !is_local => none.trust(networks.clone()),
            Some(Proxies::Unix) if is_local => none.trust_unix(),
            Some(Proxies::In(text, _)) => {
                let why = "peers of a Unix-domain socket have no address; `unix` stands for all who may connect to it";
                return Err(wrong_usage(format!("--proxy-from {text}: {why}")));
            }
            Some(Proxies::Unix) => {
                return Err(wrong_usage("--proxy-from unix: name the networks of the proxies, such as 10.0.0.0/8"));
            }
        };
        Ok(PerSourceOptions::new().most(self.most.unwrap_or(usize::MAX)).inner(proxies))
    }

    /// An error if any of it is asked for where it cannot be, for this reason.
    pub fn refuse(&self, reason: &str) -> Outcome {
        self.refuse_proxies(reason)?;
        if self.most.is_some() { Err(wrong_usage(format!("--max-per-source: {reason}"))) } else { Ok(()) }
    }

    /// An error if there are to be proxies where there cannot be, for this reason.
    pub fn refuse_proxies(&self, reason: &str) -> Outcome {
        if self.proxies.is_some() { Err(wrong_usage(format!("--proxy-from: {reason}"))) } else { Ok(()) }
    }
}
