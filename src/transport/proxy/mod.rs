//! The PROXY protocol: a header before the first byte of a relayed connection, which announces the client.

mod header;
mod networks;
mod options;
mod pending;
mod receiving;
mod socket;

use std::io;
use std::sync::Arc;

pub use self::header::Endpoints;
pub use self::header::Header;
pub use self::header::HeaderError;
pub use self::header::Ssl;
pub use self::header::Tlvs;
pub use self::networks::NetworkError;
pub use self::networks::Networks;
pub use self::options::ProxyOptions;
use self::options::Rules;
pub use self::pending::ProxyPending;
pub use self::socket::Proxied;
pub use self::socket::ProxiedAddr;
use super::Adopt;
use super::Bind;
use super::Peer;
use super::Transport;
use super::listens_as_inner;
use crate::error::BindError;
use crate::request::Socket;
use crate::request::Stream;

/// A transport behind proxies that speak the PROXY protocol, version 1 or 2: HAProxy, nginx, cloud load balancers.
///
/// Each connection begins with a header that announces the address of the client. That is the peer's address for
/// handlers, [`verify_request`](crate::HandlerFactory::verify_request), the hooks and [`PerSource`](super::PerSource);
/// the socket has the [rest of the header](Proxied::header) and the [proxy's own address](Proxied::proxy_addr). Nothing
/// after the header is read: TLS may follow.
///
/// - Every connection must have a header (or [none has](ProxyOptions::without_headers)), and only
///   [trusted](ProxyOptions::trust) peers may connect, because any other could announce any address. Untrusted peers
///   are closed unread, and count as refused ([`Refusal::Untrusted`](crate::Refusal::Untrusted)).
/// - A connection that a proxy opens for itself (`LOCAL`), or whose client it does not know (`UNKNOWN`, `UNSPEC`), is
///   served with the proxy's address.
/// - A health check that connects and closes is not an error. Anything other than a header is an error, at
///   [`Stage::Establish`](crate::Stage::Establish), with a [`HeaderError`] as its source.
/// - The header must arrive within the builder's [`establish_timeout`](crate::Builder::establish_timeout). Under `Sync`
///   and `Pool` a connection waits for it without a thread.
///
/// It also works over Unix-domain sockets: see [`ProxiedAddr`].
///
/// ```
/// use std::io::{Read, Write};
/// use std::net::TcpStream;
/// use socketserver::handler::function;
/// use socketserver::transport::{Proxied, ProxyOptions, ProxyProtocol};
/// use socketserver::{Builder, Flow, Pool, Stream, Tcp};
///
/// let greeter = function(|request: &mut Stream<Proxied<TcpStream>>| {
///     let client = request.peer_addr().cloned().unwrap();
///     let proxy = request.get_ref().proxy_addr().copied().unwrap();
///     write!(request, "{client} by way of {}", proxy.ip())?;
///     Ok(Flow::Close)
/// });
/// let server = Builder::<ProxyProtocol<Tcp>, Pool, _>::new(greeter)
///     .transport_options(ProxyOptions::new().trust("127.0.0.0/8".parse()?))
///     .bind("127.0.0.1:0")?;
/// let server = server.serve_in_background()?;
///
/// // What a proxy does:
/// let mut proxy = TcpStream::connect(server.local_addr())?;
/// proxy.write_all(b"PROXY TCP4 192.0.2.1 192.0.2.9 56324 443\r\nhello")?;
/// let mut answer = String::new();
/// proxy.read_to_string(&mut answer)?;
/// assert_eq!(answer, "192.0.2.1:56324 by way of 127.0.0.1");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct ProxyProtocol<T> {
    inner: T,
    rules: Arc<Rules>,
}

impl<T> ProxyProtocol<T> {
    /// Wraps an existing transport; `ProxyOptions::<()>::new()` has no options for the inner one.
    ///
    /// # Errors
    ///
    /// An option has a value that cannot work; the error names it.
    pub fn over<O>(inner: T, options: &ProxyOptions<O>) -> Result<Self, BindError> {
        options.check()?;
        Ok(Self { inner, rules: Arc::new(options.rules.clone()) })
    }

    /// The inner transport.
    pub fn get_ref(&self) -> &T {
        &self.inner
    }
}

impl<T, S> Transport for ProxyProtocol<T>
where
    T: Transport<Request = Stream<S>>,
    S: Socket<Addr: Peer> + 'static,
{
    type Request = Stream<Proxied<S>>;
    type Pending = ProxyPending<T::Pending, S>;
    type Addr = T::Addr;

    fn accept(&mut self) -> io::Result<Self::Pending> {
        Ok(ProxyPending::new(self.inner.accept()?, &self.rules))
    }

    fn local_addr(&self) -> T::Addr {
        self.inner.local_addr()
    }

    listens_as_inner!();
}

impl<T, S> Bind for ProxyProtocol<T>
where
    T: Bind<Request = Stream<S>>,
    S: Socket<Addr: Peer> + 'static,
{
    type Address = T::Address;
    type Options = ProxyOptions<T::Options>;

    fn bind(address: &T::Address, options: &Self::Options) -> Result<Self, BindError> {
        options.check()?;
        Self::over(T::bind(address, &options.inner)?, options)
    }
}

impl<T, S> Adopt for ProxyProtocol<T>
where
    T: Adopt<Request = Stream<S>>,
    S: Socket<Addr: Peer> + 'static,
{
    type Socket = T::Socket;

    fn adopt(socket: T::Socket, options: &Self::Options) -> Result<Self, BindError> {
        options.check()?;
        Self::over(T::adopt(socket, &options.inner)?, options)
    }
}
