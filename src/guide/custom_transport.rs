//! A custom transport: one that wraps another, or one that accepts from something new.
//!
//! A [`Transport`](crate::Transport) accepts, and never waits for a peer; whatever needs the peer is the *second phase*,
//! an [`Establish`](crate::transport::Establish) that goes on in turns. Everything else is the server's: limits, timeouts, the
//! dispatch, the drain, the report.
//!
//! # One that wraps another
//!
//! Most custom transports have another inside, and something to do before a connection is served. That is a
//! [`Preamble`](crate::transport::Preamble); [`PreamblePending`](crate::transport::PreamblePending) makes the second phase
//! of it. This one serves those who say a password first, over TCP, over Unix-domain sockets, and over other wrappers:
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
//! /// Serves those who know the password.
//! struct Guarded<T>(T);
//!
//! /// What has to be said.
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
//!         // What stands behind it is the first message, and stays where it is.
//!         stream.consume(PASSWORD.len());
//!         Ok(Advance::Done)
//!     }
//!
//!     fn into_stream(self, stream: Stream<S>) -> Stream<S> {
//!         stream
//!     }
//! }
//!
//! // With this it has a builder, and the options of the transport inside.
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
//! ## What is passed on
//!
//! A method with a default is about the transport inside, too. Wrappers compose if each passes them on:
//!
//! | of the transport | without it |
//! |---|---|
//! | `descriptors`, `addresses` | of several listeners inside only the first is served, and named in events |
//! | `hand_over` | a server that hands over removes the file of its Unix-domain socket |
//! | `has_buffered`, `answers_itself` | datagrams that were received together wait, and forked children cannot answer them |
//!
//! | of the second phase (`PreamblePending` has them all) | without it |
//! |---|---|
//! | `connection`, `knows_client` | a wrapper outside counts or trusts the wrong peer |
//! | `take_claim` | a count inside loses its places too early |
//! | `stays` | under `Fork` a wrapper inside counts in the child |
//! | `close` | what a wrapper inside has to say about its failure, as TLS does, is not sent |
//!
//! # The second phase
//!
//! [`Establish::advance`](crate::transport::Establish::advance) does what can be done without waiting, and says how far it has come:
//! [done](crate::transport::Advance::Done), [waiting](crate::transport::Advance::Wait) for the socket to be readable or
//! writable, [idle](crate::transport::Advance::Idle) because nothing has come at all,
//! [refused](crate::transport::Advance::Refused), or [closed](crate::transport::Advance::Closed) by a peer that has said
//! nothing. Anything else that goes wrong is an error. It is called again when the socket is ready, perhaps sooner, and
//! reads until there is nothing more: readiness is told once.
//!
//! What it costs to wait there is what a silent client costs. Allocate with the first byte, not with the connection.
//!
//! # A custom socket
//!
//! Where bytes are not what travels (encryption, compression, a line in memory), the connection is a `Stream` over a type
//! that implements [`Socket`](crate::Socket). Its documentation says what the server relies on; a socket that may hold
//! output back implements `flush`. The stream is made with [`Stream::new`](crate::Stream::new), or with
//! [`from_parts`](crate::Stream::from_parts) where the second phase has read ahead.
//!
//! # Options
//!
//! A type of its own for the options ([`Bind::Options`](crate::transport::Bind::Options)) holds those of the transport
//! inside, and [offers](crate::transport::Offers) what they do, so that the builder's `backlog` and its like work.
//!
//! # Tests
//!
//! `testing::converse_over` serves one connection over a wrapper in memory, with a client that does what a test says:
//! sends half of a header, falls silent, answers what it hears. `testing::Faulty` fails to accept on demand, around a
//! custom transport or inside one, and `testing::CheckingObserver` checks that each connection starts and ends once and
//! that the report adds up. Serve it under all dispatches: they differ in where the second phase runs.
