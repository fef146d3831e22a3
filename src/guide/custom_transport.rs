//! How to write a transport: one that wraps another, or one for a new kind of connection.
//!
//! A [`Transport`](crate::Transport) accepts connections without waiting for a peer. Whatever needs the peer is the *second
//! phase*, an [`Establish`](crate::transport::Establish) that advances without blocking. Limits, timeouts, the dispatch, the
//! drain and the report are the server's.
//!
//! # One that wraps another
//!
//! Most custom transports wrap another and do something before a connection is served. That step is a
//! [`Preamble`](crate::transport::Preamble), from which [`PreamblePending`](crate::transport::PreamblePending) makes a second
//! phase. This one serves clients that send a password first, over TCP, Unix-domain sockets, or other wrappers:
//!
//! ```
//! use std::io::{self, BufRead, Read, Write};
//! use std::net::TcpStream;
//! use socketserver::handler::function;
//! use socketserver::request::Fill;
//! use socketserver::transport::{Advance, Bind, Descriptor, Interest, Many, Preamble, PreamblePending};
//! use socketserver::request::Request;
//! use socketserver::{BindError, Builder, Flow, Pool, Refusal, Socket, Stream, Tcp, Transport};
//!
//! /// Serves clients that know the password.
//! struct Guarded<T>(T);
//!
//! /// The step before a connection is served.
//! struct Password;
//!
//! const PASSWORD: &[u8] = b"open sesame\n";
//!
//! impl<T: Transport<Request = Stream<S>>, S: Socket + 'static> Transport for Guarded<T> {
//!     type Request = Stream<S>;
//!     type Pending = PreamblePending<T::Pending, S, Password>;
//!     type Addr = T::Addr;
//!
//!     fn accept(&mut self) -> io::Result<Self::Pending> {
//!         Ok(PreamblePending::new(self.0.accept()?, Password))
//!     }
//!
//!     fn descriptor(&self) -> Descriptor<'_> {
//!         self.0.descriptor()
//!     }
//!
//!     fn descriptors<'a>(&'a self, show: &mut dyn FnMut(Descriptor<'a>)) {
//!         self.0.descriptors(show);
//!     }
//!
//!     fn addresses(&self, show: &mut dyn FnMut(&str)) {
//!         self.0.addresses(show);
//!     }
//!
//!     fn local_addr(&self) -> T::Addr {
//!         self.0.local_addr()
//!     }
//!
//!     fn hand_over(&mut self) {
//!         self.0.hand_over();
//!     }
//! }
//!
//! impl<S: Socket> Preamble<S> for Password {
//!     type Socket = S;
//!
//!     fn advance(&mut self, stream: &mut Stream<S>) -> io::Result<Advance> {
//!         while stream.buffered().len() < PASSWORD.len() {
//!             match stream.fill()? {
//!                 Fill::Data => {}
//!                 Fill::NotReady => return Ok(Advance::Wait(Interest::Read)),
//!                 _ => return Ok(Advance::Closed),
//!             }
//!         }
//!         if !stream.buffered().starts_with(PASSWORD) {
//!             return Ok(Advance::Refused(Refusal::Untrusted));
//!         }
//!         // The bytes after it belong to the first message, and stay in the buffer.
//!         stream.consume(PASSWORD.len());
//!         Ok(Advance::Done)
//!     }
//!
//!     fn into_stream(self, stream: Stream<S>) -> Stream<S> {
//!         stream
//!     }
//! }
//!
//! // Gives it a builder, and the options of the inner transport.
//! impl<T: Bind<Request = Stream<S>>, S: Socket + 'static> Bind for Guarded<T> {
//!     type Address = T::Address;
//!     type Options = T::Options;
//!
//!     fn bind(address: &T::Address, options: &T::Options) -> Result<Self, BindError> {
//!         T::bind(address, options).map(Self)
//!     }
//! }
//!
//! let greeter = function(|request: &mut Stream<TcpStream>| {
//!     request.write_all(b"come in\n")?;
//!     Ok(Flow::Close)
//! });
//! let server = Builder::<Guarded<Many<Tcp>>, Pool, _>::new(greeter)
//!     .backlog(100)
//!     .bind(["127.0.0.1:0", "127.0.0.2:0"])?;
//! let addresses = server.local_addr();
//! let server = server.serve_in_background()?;
//!
//! // Clients that say nothing keep no others waiting.
//! let silent = TcpStream::connect(addresses[0])?;
//! let mut client = TcpStream::connect(addresses[1])?;
//! client.write_all(b"open sesame\nhello")?;
//! let mut answer = String::new();
//! client.read_to_string(&mut answer)?;
//! assert_eq!(answer, "come in\n");
//! # drop((silent, server));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! ## Methods to forward
//!
//! Wrappers compose if each also forwards the methods that have a default to the inner transport:
//!
//! | of the transport | if not forwarded |
//! |---|---|
//! | `descriptors`, `addresses` | only the first of several inner listeners is served, and named in events |
//! | `hand_over` | a server that hands over removes the file of its Unix-domain socket |
//! | `has_buffered`, `answers_itself` | datagrams received in one batch are delayed, and forked children cannot answer them |
//!
//! | of the second phase (`PreamblePending` forwards them all) | if not forwarded |
//! |---|---|
//! | `connection`, `knows_client` | an outer wrapper counts or trusts the wrong peer |
//! | `take_claim` | an inner wrapper that counts frees its place too early |
//! | `stays` | under `Fork`, an inner wrapper counts in the child |
//! | `close` | an inner wrapper cannot tell its peer about a failure, as TLS does |
//!
//! # The second phase
//!
//! [`Establish::advance`](crate::transport::Establish::advance) does what it can without blocking, and returns its state:
//! [done](crate::transport::Advance::Done), [waiting](crate::transport::Advance::Wait) until the socket is readable or
//! writable, [idle](crate::transport::Advance::Idle) because nothing has arrived yet,
//! [refused](crate::transport::Advance::Refused), or [closed](crate::transport::Advance::Closed) by a peer that has sent
//! nothing. Any other failure is an error. It is called again when the socket is ready, or sooner, and has to read until
//! nothing is left: readiness is reported once.
//!
//! What it holds while it waits is the price of a silent client. Allocate with the first byte, not with the connection.
//!
//! # A custom socket
//!
//! If the bytes are transformed on their way (encryption, compression), or there is no system socket (a connection in
//! memory), the connection is a `Stream` over a type that implements [`Socket`](crate::Socket), whose documentation says
//! what the server relies on. A socket that buffers output implements `flush`. Create the stream with
//! [`Stream::new`](crate::Stream::new), or with [`from_parts`](crate::Stream::from_parts) if the second phase has read
//! ahead.
//!
//! # Options
//!
//! If a wrapper has options, its [`Bind::Options`](crate::transport::Bind::Options) contain those of the inner transport
//! and implement [`Offers`](crate::transport::Offers) for them, so that `backlog` and the like work on the builder.
//!
//! # Tests
//!
//! `testing::converse_over` serves one in-memory connection over a wrapper, with a scripted client: one that sends half
//! of a header, goes silent, or replies to what it receives. `testing::Faulty`, around a custom transport or inside
//! one, makes accepting fail on demand. `testing::CheckingObserver` checks that each connection starts and stops once,
//! and that the report adds up. Test under every dispatch: they differ in where the second phase runs.
