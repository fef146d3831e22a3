//! Transports that wrap others: what happens to a connection before it is served.
//!
//! A transport can wrap another, and continues with the connections of the inner one. So types are read from the inside
//! out: `PerSource<ProxyProtocol<Tcp>>` accepts on TCP, reads the header of a proxy, and counts the client that the header
//! announces.
//!
//! | transport | what it does | its requests over `Tcp` |
//! |---|---|---|
//! | [`Many<T>`](crate::transport::Many) | listens on several addresses | `Stream<TcpStream>` |
//! | [`PerSource<T>`](crate::transport::PerSource) | limits the connections of each source, at a time or within a period | `Stream<TcpStream>` |
//! | [`ProxyProtocol<T>`](crate::transport::ProxyProtocol) | reads the client's address from a proxy's header | `Stream<Proxied<TcpStream>>` |
//! | `Tls<T>` (feature `tls`) | encrypts | `Stream<TlsSocket<TcpStream>>` |
//! | `StartTls<T>` (feature `tls`) | encrypts when the handler says so | `Stream<StartTlsSocket<TcpStream>>` |
//! | [a custom transport](crate::guide::custom_transport) | anything | of any type |
//!
//! Each works over TCP, over Unix-domain sockets, and over the others. A handler written for any `S: Socket` works with all
//! of them.
//!
//! # Options
//!
//! The options of a wrapper contain those of the inner transport. The builder's socket options apply through all wrappers:
//! `backlog` is that of the listener, whatever wraps it.
//!
//! ```
//! use socketserver::handler::function;
//! use socketserver::transport::{Many, PerSource, PerSourceOptions, ProxyOptions, ProxyProtocol};
//! use socketserver::{Builder, Flow, Pool, Tcp};
//!
//! type Front = PerSource<ProxyProtocol<Many<Tcp>>>;
//!
//! let server = Builder::<Front, Pool, _>::new(function(|_: &mut _| Ok(Flow::Close)))
//!     .transport_options(
//!         PerSourceOptions::new()
//!             .most(20)
//!             .inner(ProxyOptions::new().trust("10.0.0.0/8, 127.0.0.1".parse()?)),
//!     )
//!     .backlog(1024)
//!     .bind(["127.0.0.1:0", "127.0.0.2:0"])?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! If a transport already exists, because its socket came from elsewhere or because it cannot be bound, wrap it with `over`,
//! and serve it with [`Builder::with_transport`](crate::Builder::with_transport) or
//! [`Server::with_options`](crate::Server::with_options):
//!
//! ```
//! use socketserver::transport::{Bind, PerSource, PerSourceOptions};
//! use socketserver::{Flow, Server, Sync, Tcp};
//!
//! let tcp = Tcp::bind(&"127.0.0.1:0".into(), &Default::default())?;
//! let counted = PerSource::over(tcp, &PerSourceOptions::<()>::new().most(20))?;
//! let server = Server::new(counted, Sync, socketserver::handler::function(|_: &mut _| Ok(Flow::Close)))?;
//! # Ok::<(), socketserver::BindError>(())
//! ```
//!
//! # Both orders of each pair
//!
//! | types | meaning |
//! |---|---|
//! | `PerSource<ProxyProtocol<T>>` | counts clients, as announced by the proxy: usually what you want |
//! | `ProxyProtocol<PerSource<T>>` | counts proxies: limits the connections of a load balancer |
//! | `PerSource<Many<T>>` | counts a source over all listeners together |
//! | `Many<PerSource<T>>` | counts on each listener separately |
//! | `ProxyProtocol<Many<T>>`, `Many<ProxyProtocol<T>>` | the same: every connection has a header, on every listener |
//! | `Tls<ProxyProtocol<T>>` | the header is in the clear, followed by TLS, from the client or from the proxy: what HAProxy and nginx send |
//! | `ProxyProtocol<Tls<T>>` | the header is the first message inside TLS: for proxies that encrypt it, too |
//! | `Tls<PerSource<T>>`, `PerSource<Tls<T>>` | the same: a place is taken before the handshake |
//! | `Tls<Many<T>>`, `Many<Tls<T>>` | the same, if bound with one configuration; [`Many::of`](crate::transport::Many::of) takes listeners with a certificate each |
//! | `StartTls<ProxyProtocol<T>>`, `StartTls<PerSource<T>>` | the header, or the place, comes first: the handler starts TLS after every second phase |
//! | `Tls<Tls<T>>` | TLS inside TLS, each with its own handshake and certificate |
//! | `Many<Many<T>>` | all listeners of all; each inner one alternates between its own |
//! | `ProxyProtocol<ProxyProtocol<T>>` | two proxies in a row, each of which adds a header: the inner options trust the near one, the outer ones the far one |
//! | `PerSource<PerSource<T>>` | two limits, by address and by network, say |
//!
//! All of these are transports, and so are longer chains:
//!
//! ```
//! # #[cfg(feature = "tls")] {
//! use socketserver::transport::{Many, PerSource, ProxyProtocol, StartTls};
//! use socketserver::{Tcp, Tls, Transport};
//!
//! fn serves<T: Transport>() {}
//!
//! serves::<Tls<ProxyProtocol<Tcp>>>();
//! serves::<ProxyProtocol<Tls<Tcp>>>();
//! serves::<Tls<PerSource<Tcp>>>();
//! serves::<PerSource<Tls<Tcp>>>();
//! serves::<Tls<Many<Tcp>>>();
//! serves::<Many<Tls<Tcp>>>();
//! serves::<Tls<Tls<Tcp>>>();
//! serves::<StartTls<ProxyProtocol<PerSource<Tcp>>>>();
//! serves::<Many<Many<Tcp>>>();
//! serves::<Tls<PerSource<ProxyProtocol<Many<Tcp>>>>>();
//! # }
//! ```
//!
//! # Behind a proxy
//!
//! A server behind a load balancer sees the balancer's address on each connection. The PROXY protocol adds the client's:
//! HAProxy sends it with `send-proxy-v2` on its `server` line, nginx with `proxy_protocol on;` in a `stream` block, and cloud
//! load balancers have a setting for it.
//!
//! - A connection without the header is refused, and only peers in the [trusted
//!   networks](crate::transport::ProxyOptions::trust) may connect: a client that could send a header could announce any
//!   address. So a port is either for proxies or for clients; for both, use two servers on two ports.
//! - On a Unix-domain socket, either all peers or none [are trusted](crate::transport::ProxyOptions::trust_unix): the
//!   permissions of its file say who may connect.
//! - `verify_request`, `handle_error` and the handler's [`peer_addr`](crate::Stream::peer_addr) see the announced address;
//!   [`Event::Start`](crate::Event::Start), which happens before the header has arrived, has the proxy's.
//! - Health checks that connect and close are not errors. Those that send `LOCAL` are served as connections of the balancer
//!   itself.
//! - It costs two system calls per connection. A silent connection costs an entry in a table, until the
//!   [`establish_timeout`](crate::Builder::establish_timeout).
//!
//! A program whose configuration says whether there are proxies can use one type for both cases:
//! [`without_headers`](crate::transport::ProxyOptions::without_headers) disables the wrapper, as `usize::MAX` does for
//! [`most`](crate::transport::PerSourceOptions::most).
//!
//! # Limits by source
//!
//! [`max_connections`](crate::Builder::max_connections) limits all connections, and
//! [`PerSource`](crate::transport::PerSource) those of each source. Many clients may share an address: those of an office or
//! a mobile network, or all behind a proxy whose header is not read. Leave them room.
//!
//! - The place is taken as soon as the source is known, before a handshake, and freed when the connection is closed.
//! - A [rate](crate::transport::PerSourceOptions::new_connections) limits the new connections of a source within a period;
//!   refused ones do not count. Against a flood of handshakes it does more than the limit on concurrent connections.
//! - A connection without a place is closed at once. It is counted, and [`Event::Refused`](crate::Event::Refused) has the
//!   reason: [`PerSource`](crate::Refusal::PerSource), [`SourceRate`](crate::Refusal::SourceRate), or
//!   [`SourcesFull`](crate::Refusal::SourcesFull) if more sources have connections than the
//!   [table](crate::transport::PerSourceOptions::max_sources) holds. Sources already in the table are still served.
//! - An IPv6 source is a /64 by default, because a client can use any address of its network. A client with a /48 has
//!   65 536 of them; only the limit on all connections stops it.
//!
//! # Under each dispatch
//!
//! Under `Sync` and `Pool` none of this blocks, and a connection that waits for its peer holds no thread; under
//! `ThreadPerRequest` it has its own. Under `Fork` a child does it, with one exception: a child would count only its own
//! connection, so with `PerSource<ProxyProtocol<T>>` the parent reads the headers, without blocking, and forks afterwards.
//! The processes of `PreFork` share the listeners, and each counts its own connections.
//!
//! A connection refused as soon as it is accepted costs no thread and no process.
