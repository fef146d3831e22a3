//! Where a server comes from: an address, or a socket that a process manager has passed.

use socketserver::Builder;
use socketserver::Event;
use socketserver::HandlerFactory;
use socketserver::Server;
use socketserver::deploy::PassedSocket;
use socketserver::deploy::Restart;
use socketserver::deploy::RestartError;
use socketserver::deploy::Sockets;
use socketserver::dispatch::Job;
use socketserver::dispatch::Process;
use socketserver::handler::Observed;
use socketserver::transport::Adopt;

use super::Outcome;
use super::complain;

/// What the factory is when hot restarts are told of.
pub type Told<H> = Observed<H, fn(&Event<'_>)>;

/// A server that can be restarted.
pub type Deployed<T, D, H> = (Server<T, D, Told<H>>, Restart);

/// A server at the address; for `systemd` on the one socket that was passed, for `systemd:NAME` on the one of that name. A
/// process that a hot restart has started goes on with the socket of the one before.
pub fn bind<T, D, H>(builder: Builder<T, D, H>, listen: &str) -> Outcome<Deployed<T, D, H>>
where
    T: Adopt<Socket: PassedSocket>,
    T::Address: for<'a> From<&'a str>,
    D: Process<Job<T, Told<H>>>,
    H: HandlerFactory<T::Request>,
{
    const NAME: &str = "listen";
    let builder = builder.observed(tell as fn(&Event<'_>));
    let mut restart = Restart::new(Sockets::take()?);
    let server = match passed_name(listen) {
        Some(name) if !restart.is_restarted() => {
            let socket = take_one(restart.sockets(), name)?;
            let server = builder.adopt(socket)?;
            restart.serve(NAME, &server)?;
            server
        }
        // What is wrong with an address or an option is told as it is without restarts.
        _ => restart.bind(NAME, builder, listen).map_err(|error| -> Box<dyn std::error::Error> {
            match error {
                RestartError::Bind(error) => error.into(),
                error => error.into(),
            }
        })?,
    };
    restart.sockets().finish()?;
    Ok((server, restart))
}

/// Tells of hot restarts.
pub fn tell(event: &Event<'_>) {
    match event {
        Event::Restarting { pid } => complain(format_args!("restarting: process {pid} is on its way")),
        Event::Restarted { pid } => complain(format_args!("restarted: process {pid} serves")),
        Event::RestartFailed { error } => complain(format_args!("no restart: {error}")),
        _ => {}
    }
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
