//! Where a server comes from: an address, or a socket that a process manager has passed.

use socketserver::Builder;
use socketserver::Event;
use socketserver::HandlerFactory;
use socketserver::Server;
use socketserver::deploy::PassedSocket;
use socketserver::deploy::Restart;
use socketserver::deploy::RestartError;
use socketserver::deploy::Sockets;
use socketserver::dispatch::Serves;
use socketserver::handler::Observed;
use socketserver::transport::Adopt;

use super::Listen;
use super::Outcome;
use super::complain;
use super::metrics;
use super::wrong_usage;

/// What the factory is when hot restarts are told of.
pub type Told<H> = Observed<H, fn(&Event<'_>)>;

/// A server that can be restarted, and the one of its metrics.
pub type Deployed<T, D, H> = (Server<T, D, Told<H>>, Option<metrics::Bound>, Restart);

/// A server at the addresses; for `systemd` on the sockets that were passed, for `systemd:NAME` on those of that name. A
/// process that a hot restart has started goes on with the sockets of the one before.
pub fn bind<T, S, D, H>(builder: Builder<T, D, H>, listen: &Listen) -> Outcome<Deployed<T, D, H>>
where
    T: Adopt<Socket = Vec<S>>,
    T::Address: for<'a> From<Vec<&'a str>>,
    S: PassedSocket,
    D: Serves<T, Told<H>>,
    H: HandlerFactory<T::Request>,
{
    const NAME: &str = "listen";
    let mut builder = builder.observed(tell as fn(&Event<'_>)).track_calls(metrics::are_asked_for());
    if let Some(most) = listen.max_connections {
        builder = builder.max_connections(most);
    }
    let mut restart = Restart::new(Sockets::take()?);
    let server = match passed_names(listen)? {
        Some(names) if !restart.is_restarted() => {
            let server = builder.adopt(take_passed(restart.sockets(), &names)?)?;
            restart.serve(NAME, &server)?;
            server
        }
        // What is wrong with an address or an option is told as it is without restarts.
        _ => restart.bind(NAME, builder, addresses::<T::Address>(listen)).map_err(
            |error| -> Box<dyn std::error::Error> {
                match error {
                    RestartError::Bind(error) => error.into(),
                    error => error.into(),
                }
            },
        )?,
    };
    let metrics = metrics::bind(&mut restart, server.stats_handle())?;
    restart.sockets().finish()?;
    Ok((server, metrics, restart))
}

/// Tells of hot restarts, and counts everything if that was asked for.
pub fn tell(event: &Event<'_>) {
    metrics::count(event);
    tell_of_restarts(event);
}

/// Tells of hot restarts. Of several servers in a process any may be the one that is told of them.
pub fn tell_of_restarts(event: &Event<'_>) {
    match event {
        Event::Restarting { pid } => complain(format_args!("restarting: process {pid} is starting")),
        Event::Restarted { pid } => complain(format_args!("restarted: process {pid} is serving")),
        Event::RestartFailed { error } => complain(format_args!("no restart: {error}")),
        _ => {}
    }
}

/// Where a transport is to listen.
pub fn addresses<A>(listen: &Listen) -> A
where
    A: for<'a> From<Vec<&'a str>>,
{
    listen.addresses.iter().map(String::as_str).collect::<Vec<_>>().into()
}

/// Of each `--listen systemd:NAME` the name; any will do where there is none. `None` for addresses.
pub fn passed_names(listen: &Listen) -> Outcome<Option<Vec<Option<&str>>>> {
    let mut names = Vec::new();
    for given in &listen.addresses {
        match given.strip_prefix("systemd") {
            Some("") => names.push(None),
            Some(rest) if rest.starts_with(':') => names.push(Some(&rest[1..])),
            _ => {}
        }
    }
    match names.len() {
        0 => Ok(None),
        count if count == listen.addresses.len() => Ok(Some(names)),
        _ => Err(wrong_usage("--listen: give either addresses or sockets passed by systemd, not both")),
    }
}

/// The sockets of these names, in order.
pub fn take_passed<S: PassedSocket>(sockets: &mut Sockets, names: &[Option<&str>]) -> Outcome<Vec<S>> {
    let mut taken = Vec::new();
    for name in names {
        taken.extend(match name {
            Some(name) => sockets.all(name)?,
            None => sockets.any()?,
        });
    }
    Ok(taken)
}
