//! Where a server comes from: an address, or a socket that a process manager has passed.

use socketserver::Builder;
use socketserver::HandlerFactory;
use socketserver::Server;
use socketserver::deploy::PassedSocket;
use socketserver::deploy::Sockets;
use socketserver::dispatch::Job;
use socketserver::dispatch::Process;
use socketserver::transport::Adopt;

use super::Outcome;

/// A server at the address; for `systemd` on the one socket that was passed, for `systemd:NAME` on the one of that name.
pub fn bind<T, D, H>(builder: Builder<T, D, H>, listen: &str) -> Outcome<Server<T, D, H>>
where
    T: Adopt<Socket: PassedSocket>,
    T::Address: for<'a> From<&'a str>,
    D: Process<Job<T, H>>,
    H: HandlerFactory<T::Request>,
{
    let Some(name) = passed_name(listen) else { return Ok(builder.bind(listen)?) };
    let mut sockets = Sockets::take()?;
    let socket = take_one(&mut sockets, name)?;
    sockets.finish()?;
    Ok(builder.adopt(socket)?)
}

/// Of `--listen systemd:NAME` the name; any will do where there is none. `None` for an address.
pub fn passed_name(listen: &str) -> Option<Option<&str>> {
    match listen.strip_prefix("systemd")? {
        "" => Some(None),
        name => name.strip_prefix(':').map(Some),
    }
}

/// The only socket of this name, or the first of all.
pub fn take_one<S: PassedSocket>(sockets: &mut Sockets, name: Option<&str>) -> Outcome<S> {
    match name {
        Some(name) => Ok(sockets.one(name)?),
        None => {
            let mut found = sockets.any()?;
            match (found.pop(), found.len()) {
                (Some(socket), 0) => Ok(socket),
                (_, more) => {
                    Err(format!("{} sockets were passed: name one of them, --listen systemd:NAME", more + 1).into())
                }
            }
        }
    }
}
