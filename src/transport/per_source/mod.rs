//! Limits by source.

mod options;
mod rate;
mod table;

use std::io;
use std::sync::Arc;

pub use self::options::PerSourceOptions;
use self::table::Place;
use self::table::Table;
use super::Adopt;
use super::Advance;
use super::Bind;
use super::Claim;
use super::Establish;
use super::Peer;
use super::Source;
use super::Transport;
use super::listens_as_inner;
use crate::error::BindError;
use crate::event::Refusal;
use crate::request::Request;
use crate::sys::Descriptor;

type AddrOf<P> = <<P as Establish>::Request as Request>::Addr;

/// A transport that limits the connections of each source, at a time or within a period.
///
/// The source follows from the peer's address: an IPv4 address, the /64 network of an IPv6 address, the user at the
/// other end of a Unix-domain socket, or what [`Peer`] returns for a custom address. All unknown peers count as one
/// source.
///
/// A place is taken as soon as the source is known, before any handshake, and freed when the connection is over,
/// however it ends; a [detached](crate::Flow::Detach) connection is over for the server. A connection without a place
/// is closed at once and unread: [`Event::Refused`](crate::Event::Refused) has the reason [`Refusal::PerSource`], or
/// [`Refusal::SourceRate`] after [too many new ones](PerSourceOptions::new_connections); it is counted as
/// [`refused`](crate::Report::refused), and no handler is called. It counts towards the builder's
/// [`max_connections`](crate::Builder::max_connections) only for that moment.
///
/// The requests are those of the inner transport. Over [`ProxyProtocol`](super::ProxyProtocol) the announced source is
/// counted; under `Fork` the parent then reads the header, without blocking, because a child would have its own table.
///
/// ```
/// use socketserver::transport::{PerSource, PerSourceOptions, TcpOptions};
/// use socketserver::{Builder, Flow, Pool, Tcp};
///
/// let server = Builder::<PerSource<Tcp>, Pool, _>::new(socketserver::handler::function(|_: &mut _| Ok(Flow::Close)))
///     .transport_options(PerSourceOptions::new().most(8).inner(TcpOptions::new().backlog(128)))
///     .bind("127.0.0.1:0")?;
/// # Ok::<(), socketserver::BindError>(())
/// ```
#[derive(Debug)]
pub struct PerSource<T> {
    inner: T,
    table: Arc<Table>,
}

impl<T> PerSource<T> {
    /// Wraps an existing transport; `PerSourceOptions::<()>::new()` has no options for the inner one.
    ///
    /// # Errors
    ///
    /// An option has a value that cannot work; the error names it.
    pub fn over<O>(inner: T, options: &PerSourceOptions<O>) -> Result<Self, BindError> {
        options.check()?;
        Ok(Self { inner, table: Table::new(options.limits) })
    }

    /// The inner transport.
    pub fn get_ref(&self) -> &T {
        &self.inner
    }
}

impl<T> Transport for PerSource<T>
where
    T: Transport,
    <T::Request as Request>::Addr: Peer,
{
    type Request = T::Request;
    type Pending = Counted<T::Pending>;
    type Addr = T::Addr;

    fn accept(&mut self) -> io::Result<Self::Pending> {
        let inner = self.inner.accept()?;
        if self.table.is_unlimited() {
            return Ok(Counted { inner, place: Counting::Over, ends_at_once: false });
        }
        let mut pending = Counted { inner, place: Counting::Ahead(Arc::clone(&self.table)), ends_at_once: false };
        pending.count();
        pending.ends_at_once = matches!(pending.place, Counting::Refused(_));
        Ok(pending)
    }

    fn local_addr(&self) -> T::Addr {
        self.inner.local_addr()
    }

    listens_as_inner!();
}

impl<T> Bind for PerSource<T>
where
    T: Bind,
    <T::Request as Request>::Addr: Peer,
{
    type Address = T::Address;
    type Options = PerSourceOptions<T::Options>;

    fn bind(address: &T::Address, options: &Self::Options) -> Result<Self, BindError> {
        options.check()?;
        Self::over(T::bind(address, &options.inner)?, options)
    }
}

impl<T> Adopt for PerSource<T>
where
    T: Adopt,
    <T::Request as Request>::Addr: Peer,
{
    type Socket = T::Socket;

    fn adopt(socket: T::Socket, options: &Self::Options) -> Result<Self, BindError> {
        options.check()?;
        Self::over(T::adopt(socket, &options.inner)?, options)
    }
}

/// A connection that is counted, or will be once its source is known.
#[derive(Debug)]
pub struct Counted<P> {
    inner: P,
    place: Counting,
    /// It was refused when it was accepted, and is told so there: no poller and no thread hears of it.
    ends_at_once: bool,
}

#[derive(Debug)]
enum Counting {
    /// The source is not known yet.
    Ahead(Arc<Table>),
    Has(Place),
    Refused(Refusal),
    /// The place has been handed on, or there is none to take.
    Over,
}

impl<P: Establish> Counted<P>
where
    AddrOf<P>: Peer,
{
    /// Takes a place, if it is known by now whose.
    fn count(&mut self) {
        if let Counting::Ahead(table) = &self.place
            && self.inner.knows_client()
        {
            let source = |peer: &AddrOf<P>| peer.source(self.inner.connection());
            let source = self.inner.client_address().map_or(Source::Unknown, source);
            self.place = table.take(source).map_or_else(Counting::Refused, Counting::Has);
        }
    }
}

impl<P: Establish> Establish for Counted<P>
where
    AddrOf<P>: Peer,
{
    type Request = P::Request;

    fn client_address(&self) -> Option<&AddrOf<P>> {
        self.inner.client_address()
    }

    fn descriptor(&self) -> Option<Descriptor<'_>> {
        if self.ends_at_once { None } else { self.inner.descriptor() }
    }

    fn connection(&self) -> Option<Descriptor<'_>> {
        self.inner.connection()
    }

    fn knows_client(&self) -> bool {
        self.inner.knows_client()
    }

    fn stays(&self) -> bool {
        matches!(self.place, Counting::Ahead(_)) || self.inner.stays()
    }

    fn take_claim(&mut self) -> Option<Claim> {
        let inner = self.inner.take_claim();
        match std::mem::replace(&mut self.place, Counting::Over) {
            Counting::Has(place) => Some(Box::new((place, inner))),
            Counting::Ahead(_) | Counting::Refused(_) | Counting::Over => inner,
        }
    }

    fn advance(&mut self) -> io::Result<Advance> {
        if let Counting::Refused(reason) = self.place {
            return Ok(Advance::Refused(reason));
        }
        let outcome = self.inner.advance()?;
        self.count();
        match self.place {
            Counting::Refused(reason) => Ok(Advance::Refused(reason)),
            _ => Ok(outcome),
        }
    }

    fn close(&mut self) -> io::Result<Advance> {
        self.inner.close()
    }

    fn into_request(self) -> P::Request {
        self.inner.into_request()
    }
}
