//! Every name of Python's `socketserver`, its counterpart here, and what is different on purpose.
//!
//! A class that inherits from a mix-in and a server becomes a type composed of parts; an overridden method becomes a
//! trait method, or a closure passed to the builder.
//!
//! # Classes
//!
//! | Python | here |
//! |---|---|
//! | `BaseServer` | [`Server<T, D, H>`](crate::Server), over a custom [`Transport`](crate::Transport) |
//! | `TCPServer`, `UDPServer` | [`TcpServer`](crate::TcpServer), [`UdpServer`](crate::UdpServer) |
//! | `UnixStreamServer`, `UnixDatagramServer` | `UnixStreamServer`, `UnixDatagramServer` |
//! | `ThreadingTCPServer`, `ThreadingUDPServer` | [`ThreadingTcpServer`](crate::ThreadingTcpServer), [`ThreadingUdpServer`](crate::ThreadingUdpServer) |
//! | `ThreadingUnixStreamServer`, `ThreadingUnixDatagramServer` | the same |
//! | `ForkingTCPServer`, `ForkingUDPServer` | `ForkingTcpServer`, `ForkingUdpServer` |
//! | `ForkingUnixStreamServer`, `ForkingUnixDatagramServer` | the same |
//! | `ThreadingMixIn` | the dispatch [`ThreadPerRequest`](crate::ThreadPerRequest) |
//! | `ForkingMixIn` | the dispatch `Fork` |
//! | (no thread pool) | the dispatch [`Pool`](crate::Pool), and four flavours `Pool...Server` |
//! | `BaseRequestHandler` | [`Handler<R>`](crate::Handler) |
//! | `StreamRequestHandler` | `Handler<Stream<S>>`; `rfile` and `wfile` are the [`Stream`](crate::Stream) itself, which is `BufRead + Write` |
//! | `DatagramRequestHandler` | `Handler<Datagram<A>>`; see [`payload`](crate::Datagram::payload) and [`reply`](crate::Datagram::reply) |
//!
//! # Methods
//!
//! | Python | here |
//! |---|---|
//! | `server_bind`, `server_activate` | [`Builder::bind`](crate::Builder::bind), and [`transport::Bind`](crate::transport::Bind) for a custom transport |
//! | `server_close`, `with` | dropping the server |
//! | `fileno` | `AsFd` |
//! | `serve_forever` | [`serve_forever`](crate::Server::serve_forever), or [`serve_in_background`](crate::Server::serve_in_background) instead of a thread |
//! | `shutdown` | [`StopHandle::shutdown`](crate::StopHandle::shutdown); see [`stopping`](super::stopping) |
//! | `handle_request`, `handle_timeout` | [`handle_request`](crate::Server::handle_request), [`HandlerFactory::handle_timeout`](crate::HandlerFactory::handle_timeout) |
//! | `get_request` | [`Transport::accept`](crate::Transport::accept) |
//! | `verify_request` | [`HandlerFactory::verify_request`](crate::HandlerFactory::verify_request), or [`Builder::verify`](crate::Builder::verify) |
//! | `process_request` | [`Process::process_request`](crate::dispatch::Process::process_request) |
//! | `process_request_thread` | nothing to override: `setup` and `finish` of a handler run on its thread |
//! | `finish_request` | [`HandlerFactory::make`](crate::HandlerFactory::make) |
//! | `shutdown_request`, `close_request` | done by the server, once on every path; a handler that wants the socket returns [`Flow::Detach`](crate::Flow::Detach) |
//! | `handle_error` | [`HandlerFactory::handle_error`](crate::HandlerFactory::handle_error), or [`Builder::on_error`](crate::Builder::on_error) |
//! | `service_actions` | [`HandlerFactory::service_actions`](crate::HandlerFactory::service_actions), or [`Builder::on_service`](crate::Builder::on_service) |
//! | `collect_children` | done by `Fork` as soon as a child ends; [`Event::ChildExit`](crate::Event::ChildExit) reports it |
//! | `setup`, `handle`, `finish` of a handler | [`setup`](crate::Handler::setup), [`handle`](crate::Handler::handle), [`finish`](crate::Handler::finish) |
//!
//! # Attributes
//!
//! | Python | here, with its default |
//! |---|---|
//! | `server_address` | [`local_addr`](crate::Server::local_addr) |
//! | `address_family` | follows from the address; [`only_v6`](crate::Builder::only_v6), the system's default |
//! | `request_queue_size` | [`backlog`](crate::Builder::backlog), 4096 |
//! | `allow_reuse_address` | [`reuse_address`](crate::Builder::reuse_address), true for TCP |
//! | `allow_reuse_port` | `reuse_port`, false; only for TCP and UDP |
//! | `timeout` of a server | [`request_timeout`](crate::Builder::request_timeout), none |
//! | `timeout` of a handler | [`read_timeout`](crate::Builder::read_timeout), [`write_timeout`](crate::Builder::write_timeout), 30 s; [`idle_timeout`](crate::Builder::idle_timeout), 60 s |
//! | `poll_interval` | not needed: a stop takes effect at once; for `service_actions`, [`service_interval`](crate::Builder::service_interval) or [`wake`](crate::StopHandle::wake) |
//! | `max_packet_size` | [`max_datagram_size`](crate::Builder::max_datagram_size), 65 535 |
//! | `daemon_threads`, `block_on_close` | [`drain_timeout`](crate::Builder::drain_timeout), 15 s |
//! | `max_children` | `Fork::max_children`, 40 |
//! | `rbufsize`, `wbufsize` | reads are buffered; [`write_buffer`](crate::Builder::write_buffer), 0 |
//! | `disable_nagle_algorithm` | [`nodelay`](crate::Builder::nodelay), true |
//! | `bind_and_activate=False` | the builder: options first, the address last |
//! | `self.request`, `self.client_address` | the argument of `handle`, and its `peer_addr` |
//! | `self.server` | whatever the factory captures |
//!
//! # The first handler
//!
//! ```python
//! class Upper(socketserver.StreamRequestHandler):
//!     def handle(self):
//!         for line in self.rfile:
//!             self.wfile.write(line.upper())
//!
//! with socketserver.ThreadingTCPServer(("127.0.0.1", 9999), Upper) as server:
//!     server.serve_forever()
//! ```
//!
//! The same, line by line: one call of `handle` for the whole conversation.
//!
//! ```no_run
//! use std::io::{BufRead, Write};
//! use socketserver::{Flow, Handler, HandlerResult, Socket, Stream, ThreadingTcpServer};
//!
//! struct Upper;
//!
//! impl<S: Socket> Handler<Stream<S>> for Upper {
//!     fn handle(&mut self, request: &mut Stream<S>) -> HandlerResult {
//!         while request.wait_for_message()? {
//!             let mut line = String::new();
//!             request.read_line(&mut line)?;
//!             request.write_all(line.to_uppercase().as_bytes())?;
//!         }
//!         Ok(Flow::Close)
//!     }
//! }
//!
//! let server = ThreadingTcpServer::bind(("127.0.0.1", 9999), || Upper)?;
//! let report = server.serve_forever()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! [`wait_for_message`](crate::Stream::wait_for_message) waits *between* two messages: at the idle timeout or a stop it
//! returns false. `while request.read_line(&mut line)? > 0` works too, but is subject to the shorter read timeout once
//! something has been read or written.
//!
//! Such a handler works under `ThreadPerRequest`, `Fork` and `Pool` (which starts another thread while it blocks). Under
//! [`Sync`](crate::Sync) one client would block all others, so `wait_for_message` returns an error there. Its message says
//! what to do instead: handle one message per call, which works everywhere and, under [`Sync`](crate::Sync) and
//! [`Pool`](crate::Pool), costs no thread between messages.
//!
//! ```
//! use std::io::Write;
//! use socketserver::{Flow, HandlerResult, Socket, Stream};
//!
//! fn upper<S: Socket>(request: &mut Stream<S>) -> HandlerResult {
//!     let Some(line) = request.line()? else { return Ok(Flow::Continue) };
//!     request.write_all(line.to_uppercase().as_bytes())?;
//!     Ok(Flow::Continue)
//! }
//! ```
//!
//! # A greeting
//!
//! Python calls `handle` as soon as a client has connected. So do `ThreadPerRequest` and `Fork`, which have spent the
//! thread or process anyway. `Pool` and `Sync` call it when the client has sent something, so that a silent client costs
//! nothing. A handler that greets sets [`SPEAKS_FIRST`](crate::Handler::SPEAKS_FIRST), and is called at once everywhere.
//! Without it, server and client would wait for each other until the idle timeout.
//!
//! ```
//! use std::io::{Read, Write};
//! use socketserver::{Flow, Handler, HandlerResult, PoolTcpServer, Socket, Stream};
//!
//! struct Greeter;
//!
//! impl<S: Socket> Handler<Stream<S>> for Greeter {
//!     const SPEAKS_FIRST: bool = true;
//!
//!     fn setup(&mut self, request: &mut Stream<S>) -> HandlerResult<()> {
//!         Ok(request.write_all(b"welcome\n")?)
//!     }
//!
//!     fn handle(&mut self, request: &mut Stream<S>) -> HandlerResult {
//!         // Called at once, before a line has arrived.
//!         let Some(line) = request.line()? else { return Ok(Flow::Continue) };
//!         request.write_all(line.to_uppercase().as_bytes())?;
//!         Ok(Flow::Continue)
//!     }
//! }
//!
//! let server = PoolTcpServer::bind("127.0.0.1:0", || Greeter)?.serve_in_background()?;
//! let mut client = std::net::TcpStream::connect(server.local_addr())?;
//! let mut greeting = [0; 8];
//! client.read_exact(&mut greeting)?;
//! assert_eq!(&greeting, b"welcome\n");
//! # drop(server);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Different on purpose
//!
//! - **A failing hook does not end the server.** In Python, an exception in `verify_request` or `handle_error` ends the
//!   loop and can leak the connection. Here a panic in any hook is caught, and the connection is closed exactly once.
//! - **Nothing is printed.** Errors are values that go to `handle_error`; if you do not handle them, you will not see
//!   them.
//! - **Stopping closes the listener**, and `serve_forever` consumes the server: nothing can be closed under a running
//!   loop, and a stop cannot affect the next run. If a server is stopped before it serves, `serve_forever` returns at once.
//! - **Drain before close.** Handlers that are running at the stop can still reply before the socket of a datagram server
//!   is closed.
//! - **Timeouts are on.** A client that sends nothing, or does not read, holds a connection for a minute at most.
//! - **A silent client costs no thread** under `Pool` and `Sync`: `setup` and `handle` run when the first bytes have
//!   arrived, or at once if the handler [speaks first](#a-greeting). At a clean end of input `handle` is not called again.
//! - **Wildcard addresses are explicit.** Python's `("", 8080)` is `"0.0.0.0:8080"` here, or `"[::]:8080"` for both
//!   families; an empty host is an error.
//! - **`SO_REUSEADDR` is on for TCP**, so that a server can be restarted at once; not on Windows, where it means
//!   something else.
//! - **A truncated datagram is marked** [`truncated`](crate::Datagram::truncated). Python truncates silently.
//! - **No reply unless the handler sends one.** Python sends an empty datagram if the handler wrote nothing, and part of a
//!   reply after an error.
//! - **The file of a Unix-domain socket is removed** at the end, if the server created it; a stale one, left by a killed
//!   server, is replaced.
//! - **A child exits with 0 or 1, or with the code set by its handler**, and the exit is reported. Python discards it.
//! - **Only children of the server are waited for**, each by its own process ID: the exit status of any other child is left
//!   to its owner.
//! - **A child of a stream server closes the listener**, so that the port is free once the server has ended.
//! - **`Fork` refuses to run in a multi-threaded process**; Python warns.
