//! Transports that wrap others: what is done before a connection is served, stage by stage.
//!
//! A transport can have another inside. What comes out of the inner one is the outer one's to go on with, so the types
//! are read from the inside out: `PerSource<ProxyProtocol<Tcp>>` accepts on TCP, reads the header of a proxy, and counts
//! the client that the header announces.
//!
//! | transport | what it does | its requests over `Tcp` |
//! |---|---|---|
//! | [`Many<T>`](crate::transport::Many) | listens on several addresses | `Stream<TcpStream>` |
//! | [`PerSource<T>`](crate::transport::PerSource) | serves a number of connections of one source at a time, or in a time, and no more | `Stream<TcpStream>` |
//! | [`ProxyProtocol<T>`](crate::transport::ProxyProtocol) | takes the client's address from a proxy's header | `Stream<Proxied<TcpStream>>` |
//! | `Tls<T>` (feature `tls`) | encrypts | `Stream<TlsSocket<TcpStream>>` |
//! | `StartTls<T>` (feature `tls`) | encrypts from where the handler says so | `Stream<StartTlsSocket<TcpStream>>` |
//! | [a custom one](crate::guide::custom_transport) | what it is written for | what it makes |
//!
//! Each goes over TCP, over Unix-domain sockets, and over the others. A handler that is written for any `S: Socket` serves
//! them all.
//!
//! # Options
//!
//! The options of a wrapper hold those of the transport inside, in the order of the types. The builder's methods for
//! sockets reach through: `backlog` is that of the listener, whatever is around it.
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
//! A transport that exists already, because its socket came from elsewhere or because it cannot be bound, is wrapped with
//! `over`, and served with [`Builder::with_transport`](crate::Builder::with_transport) or
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
//! | types | what it means |
//! |---|---|
//! | `PerSource<ProxyProtocol<T>>` | clients are counted, as the proxy announces them: what is usually wanted |
//! | `ProxyProtocol<PerSource<T>>` | proxies are counted: a balancer has a number of connections, and no more |
//! | `PerSource<Many<T>>` | a source is counted over all listeners together |
//! | `Many<PerSource<T>>` | each listener counts for itself: a source has its share on each |
//! | `ProxyProtocol<Many<T>>`, `Many<ProxyProtocol<T>>` | the same: every connection has a header, on every listener |
//! | `Tls<ProxyProtocol<T>>` | the header comes in the clear, and TLS behind it, from the client or from the proxy: what HAProxy and nginx send |
//! | `ProxyProtocol<Tls<T>>` | the header is the first message inside of TLS: for proxies that encrypt it, too |
//! | `Tls<PerSource<T>>`, `PerSource<Tls<T>>` | the same: a place is taken before the handshake |
//! | `Tls<Many<T>>`, `Many<Tls<T>>` | the same, if bound with one configuration; [`Many::of`](crate::transport::Many::of) takes listeners with a certificate each |
//! | `StartTls<ProxyProtocol<T>>`, `StartTls<PerSource<T>>` | the header, or a place, comes first: TLS is begun by the handler, behind every second phase |
//! | `Tls<Tls<T>>` | TLS inside of TLS, each with its own handshake and certificate |
//! | `Many<Many<T>>` | all listeners of all; the inner ones take turns among themselves |
//! | `ProxyProtocol<ProxyProtocol<T>>` | two proxies in a row, each of which adds a header: the inner options trust the near one, the outer ones the far one |
//! | `PerSource<PerSource<T>>` | two limits, of addresses and of networks, say |
//!
//! All of them are transports, and so are longer chains:
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
//! A server behind a balancer sees the balancer's address on each connection. The PROXY protocol tells it the client's:
//! HAProxy sends it with `send-proxy-v2` on its `server` line, nginx with `proxy_protocol on;` in a `stream` block, the
//! balancers of clouds have a switch for it.
//!
//! - Without the header nothing is served, and only peers in the [named networks](crate::transport::ProxyOptions::trust)
//!   may send one: a client that could send a header could announce any address. So a port is either for proxies or for
//!   clients; for both, listen on two with two servers.
//! - On a Unix-domain socket all peers or none [are trusted](crate::transport::ProxyOptions::trust_unix): its permissions
//!   say who may connect to it.
//! - `verify_request`, `handle_error` and the handler's [`peer_addr`](crate::Stream::peer_addr) have the announced
//!   address; [`Event::Start`](crate::Event::Start), which is told before the header has come, has the proxy's.
//! - Checks that connect and close are no errors. Checks that send `LOCAL` are served as what they are, connections of the
//!   balancer.
//! - It costs two system calls a connection. A silent one costs its entry in the table of connections, until the
//!   [`establish_timeout`](crate::Builder::establish_timeout) ends it.
//!
//! A program whose configuration says whether there are proxies has one type for both cases:
//! [`without_headers`](crate::transport::ProxyOptions::without_headers) leaves the wrapper without effect, as
//! `usize::MAX` does for [`most`](crate::transport::PerSourceOptions::most).
//!
//! # Limits by source
//!
//! [`max_connections`](crate::Builder::max_connections) bounds all connections, and
//! [`PerSource`](crate::transport::PerSource) those of one source. Many clients may share an address: an office, a mobile
//! network, and a proxy, if its header is not read. Leave them room.
//!
//! - The place is taken before a handshake, as soon as the source is known, and given back when the connection is closed.
//! - A [rate](crate::transport::PerSourceOptions::new_connections) bounds those that come and go: so many new connections in
//!   a time, refused ones left out. Against a flood of handshakes it does more than the number at a time.
//! - One that finds no place is closed without a word. It is counted, and
//!   [`Event::Refused`](crate::Event::Refused) has the reason: [`PerSource`](crate::Refusal::PerSource),
//!   [`SourceRate`](crate::Refusal::SourceRate), or
//!   [`SourcesFull`](crate::Refusal::SourcesFull) if more sources have connections than the
//!   [table](crate::transport::PerSourceOptions::max_sources) holds. Those that are in it are served as ever then.
//! - An IPv6 source is a /64 by default, because a client can have any address of its network. A client with a /48 has
//!   65 536 of them: against it there is the limit on all connections.
//!
//! # Under each dispatch
//!
//! Under `Sync` and `Pool` all of this happens in turns, and a connection that waits for its peer holds no thread; under
//! `ThreadPerRequest` it has its own. Under `Fork` a child does it, with one exception: a child that counted would count
//! its own connection alone, so `PerSource<ProxyProtocol<T>>` has the parent read the headers, in turns, and fork behind
//! them. The processes of `PreFork` share the listeners, and each counts its own connections.
//!
//! What is refused as soon as it is accepted costs no thread and no process.
