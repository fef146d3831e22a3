//! "I want to ...": a program for each.
//!
//! - [a server that greets](#a-server-that-greets)
//! - [a limit per connection](#a-limit-per-connection)
//! - [a limit per client address](#a-limit-per-client-address)
//! - [a timeout for a login](#a-timeout-for-a-login)
//! - [a broadcast](#a-broadcast)
//! - [a file server](#a-file-server)
//! - [to relay](#to-relay)
//! - [a shared counter](#a-shared-counter)
//! - [to stop on a signal](#to-stop-on-a-signal)
//! - [two servers in one program](#two-servers-in-one-program)
//! - [to choose the dispatch at run time](#to-choose-the-dispatch-at-run-time)
//! - [a pool of fixed size, for a database](#a-pool-of-fixed-size)
//! - [to answer datagrams](#to-answer-datagrams)
//! - [to log errors](#to-log-errors)
//! - [to test a handler](#to-test-a-handler)
//!
//! # A server that greets
//!
//! The handler sets `SPEAKS_FIRST`, and greets in `setup`.
//!
//! ```
//! use std::io::{BufRead, BufReader, Write};
//! use socketserver::{Flow, Handler, HandlerResult, PoolTcpServer, Socket, Stream};
//!
//! struct Greeter;
//!
//! impl<S: Socket> Handler<Stream<S>> for Greeter {
//!     const SPEAKS_FIRST: bool = true;
//!
//!     fn setup(&mut self, request: &mut Stream<S>) -> HandlerResult<()> {
//!         Ok(writeln!(request, "220 ready")?)
//!     }
//!
//!     fn handle(&mut self, request: &mut Stream<S>) -> HandlerResult {
//!         let Some(line) = request.line()? else { return Ok(Flow::Continue) };
//!         write!(request, "250 {line}")?;
//!         Ok(Flow::Continue)
//!     }
//! }
//!
//! let server = PoolTcpServer::bind("127.0.0.1:0", || Greeter)?.serve_in_background()?;
//! let client = std::net::TcpStream::connect(server.local_addr())?;
//! let mut greeting = String::new();
//! BufReader::new(client).read_line(&mut greeting)?;
//! assert_eq!(greeting, "220 ready\n");
//! # drop(server);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # A limit per connection
//!
//! The state of a connection is a field of its handler. This one answers a hundred lines, and raises the limit on unread
//! input from 64 KiB to 1 MiB.
//!
//! ```
//! use std::io::Write;
//! use socketserver::{Flow, Handler, HandlerResult, PoolTcpServer, Socket, Stream};
//!
//! struct Limited {
//!     lines_left: u32,
//! }
//!
//! impl<S: Socket> Handler<Stream<S>> for Limited {
//!     fn setup(&mut self, request: &mut Stream<S>) -> HandlerResult<()> {
//!         request.set_max_buffered(1 << 20);
//!         Ok(())
//!     }
//!
//!     fn handle(&mut self, request: &mut Stream<S>) -> HandlerResult {
//!         let Some(line) = request.line()? else { return Ok(Flow::Continue) };
//!         if self.lines_left == 0 {
//!             request.write_all(b"that was enough\n")?;
//!             return Ok(Flow::Close);
//!         }
//!         self.lines_left -= 1;
//!         request.write_all(line.as_bytes())?;
//!         Ok(Flow::Continue)
//!     }
//! }
//!
//! let server = PoolTcpServer::bind("127.0.0.1:0", || Limited { lines_left: 100 })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # A limit per client address
//!
//! The handler owns its place in the count, so that it is given back on every path. The place is taken when the client has
//! sent something (under [`ThreadPerRequest`](crate::ThreadPerRequest) and `Fork`, at once). The transport
//! [`PerSource`](crate::transport::PerSource) limits connections without any code, and before a handshake.
//!
//! ```
//! use std::collections::HashMap;
//! use std::io::{Read, Write};
//! use std::net::{IpAddr, TcpStream};
//! use std::sync::{Arc, Mutex};
//! use socketserver::handler::from_request;
//! use socketserver::{Flow, Handler, HandlerResult, PoolTcpServer, Stream};
//!
//! type Open = Arc<Mutex<HashMap<IpAddr, u32>>>;
//!
//! /// One of the places of an address.
//! struct Place(Open, IpAddr);
//!
//! impl Place {
//!     fn take(open: &Open, address: IpAddr, most: u32) -> Option<Self> {
//!         let mut places = open.lock().unwrap();
//!         let count = places.entry(address).or_insert(0);
//!         (*count < most).then(|| {
//!             *count += 1;
//!             Self(Arc::clone(open), address)
//!         })
//!     }
//! }
//!
//! impl Drop for Place {
//!     fn drop(&mut self) {
//!         let mut places = self.0.lock().unwrap();
//!         let count = places.get_mut(&self.1).expect("it was counted");
//!         *count -= 1;
//!         if *count == 0 {
//!             places.remove(&self.1);
//!         }
//!     }
//! }
//!
//! struct Echo(Option<Place>);
//!
//! impl Handler<Stream<TcpStream>> for Echo {
//!     fn handle(&mut self, request: &mut Stream<TcpStream>) -> HandlerResult {
//!         if self.0.is_none() {
//!             request.write_all(b"too many connections from your address\n")?;
//!             return Ok(Flow::Close);
//!         }
//!         let Some(line) = request.line()? else { return Ok(Flow::Continue) };
//!         request.write_all(line.as_bytes())?;
//!         Ok(Flow::Continue)
//!     }
//! }
//!
//! let open = Open::default();
//! let factory = from_request(move |request: &Stream<TcpStream>| {
//!     Echo(request.peer_addr().and_then(|peer| Place::take(&open, peer.ip(), 2)))
//! });
//! let server = PoolTcpServer::bind("127.0.0.1:0", factory)?.serve_in_background()?;
//!
//! let connect = || -> std::io::Result<TcpStream> {
//!     let mut client = TcpStream::connect(server.local_addr())?;
//!     client.write_all(b"hello\n")?;
//!     Ok(client)
//! };
//! let (mut first, mut second) = (connect()?, connect()?);
//! let mut answer = [0; 6];
//! first.read_exact(&mut answer)?;
//! second.read_exact(&mut answer)?;
//! assert_eq!(&answer, b"hello\n");
//! let mut answer = String::new();
//! connect()?.read_to_string(&mut answer)?;
//! assert_eq!(answer, "too many connections from your address\n");
//! # drop(server);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # A timeout for a login
//!
//! Short timeouts at first, longer ones once the client has logged in.
//!
//! ```
//! use std::io::Write;
//! use std::time::Duration;
//! use socketserver::{Flow, Handler, HandlerResult, PoolTcpServer, Socket, Stream};
//!
//! #[derive(Default)]
//! struct Session {
//!     user: Option<String>,
//! }
//!
//! impl<S: Socket> Handler<Stream<S>> for Session {
//!     fn handle(&mut self, request: &mut Stream<S>) -> HandlerResult {
//!         let Some(line) = request.line()? else { return Ok(Flow::Continue) };
//!         match &self.user {
//!             None => {
//!                 self.user = Some(line.trim_end().to_owned());
//!                 request.set_idle_timeout(Duration::from_secs(3600));
//!                 request.set_read_timeout(Duration::from_secs(60));
//!             }
//!             Some(user) => write!(request, "{user}: {line}")?,
//!         }
//!         Ok(Flow::Continue)
//!     }
//! }
//!
//! let server = PoolTcpServer::builder(Session::default)
//!     .idle_timeout(Duration::from_secs(5))
//!     .read_timeout(Duration::from_secs(5))
//!     .bind("127.0.0.1:0")?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # A broadcast
//!
//! Each handler shares the [`Sender`](crate::Sender) of its connection with the others; see [other
//! connections](super::other_connections).
//!
//! ```
//! use std::sync::{Arc, Mutex};
//! use socketserver::{Flow, Handler, HandlerResult, PoolTcpServer, Sender, Socket, Stream};
//!
//! #[derive(Clone, Default)]
//! struct Room(Arc<Mutex<Vec<Sender>>>);
//!
//! impl<S: Socket> Handler<Stream<S>> for Room {
//!     const SPEAKS_FIRST: bool = true;
//!
//!     fn setup(&mut self, request: &mut Stream<S>) -> HandlerResult<()> {
//!         self.0.lock().unwrap().push(request.sender()?);
//!         Ok(())
//!     }
//!
//!     fn handle(&mut self, request: &mut Stream<S>) -> HandlerResult {
//!         let Some(line) = request.line()? else { return Ok(Flow::Continue) };
//!         // Drops clients that are gone, and clients that do not read.
//!         self.0.lock().unwrap().retain(|guest| guest.send(&line).is_ok());
//!         Ok(Flow::Continue)
//!     }
//! }
//!
//! let room = Room::default();
//! let server = PoolTcpServer::bind("127.0.0.1:0", move || room.clone())?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # A file server
//!
//! With [`send_file`](crate::Stream::send_file) the kernel sends the file, and a slow client holds no thread. This server
//! sends the file that the client names; the example `http_files` speaks HTTP.
//!
//! ```
//! use std::fs::File;
//! use std::io::Write;
//! use std::path::{Path, PathBuf};
//! use socketserver::{Flow, Handler, HandlerResult, PoolTcpServer, Socket, Stream};
//!
//! struct Files(PathBuf);
//!
//! impl<S: Socket> Handler<Stream<S>> for Files {
//!     fn handle(&mut self, request: &mut Stream<S>) -> HandlerResult {
//!         let Some(line) = request.line()? else { return Ok(Flow::Continue) };
//!         let name = Path::new(line.trim_end());
//!         // A file name without a path: nothing outside the folder.
//!         let path = name.file_name().filter(|file| *file == name).map(|file| self.0.join(file));
//!         match path.map(File::open) {
//!             Some(Ok(file)) => {
//!                 let length = file.metadata()?.len();
//!                 request.send_file(file, 0, length)?;
//!             }
//!             _ => request.write_all(b"there is no such file\n")?,
//!         }
//!         Ok(Flow::Close)
//!     }
//! }
//!
//! let server = PoolTcpServer::bind("127.0.0.1:0", || Files("/srv/files".into()))?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # To relay
//!
//! [`Flow::Relay`](crate::Flow::Relay) carries bytes both ways between the client and another connection, without a
//! thread; the example `socks` is a complete proxy. If the other side speaks first, use
//! [`speaking_first`](crate::HandlerFactoryExt::speaking_first).
//!
//! ```
//! use std::net::{SocketAddr, TcpStream};
//! use std::time::Duration;
//! use socketserver::{Flow, PoolTcpServer};
//!
//! let upstream: SocketAddr = "127.0.0.1:8080".parse()?;
//! let server = PoolTcpServer::bind_fn("127.0.0.1:0", move |request| {
//!     let other = TcpStream::connect_timeout(&upstream, Duration::from_secs(5))?;
//!     request.relay_to(other)?;
//!     Ok(Flow::Relay)
//! })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # A shared counter
//!
//! What the factory captures is shared by all handlers. The compiler asks for an atomic or a lock only where handlers run
//! on several threads.
//!
//! ```
//! use std::io::{BufRead, BufReader, Write};
//! use std::sync::Arc;
//! use std::sync::atomic::{AtomicU64, Ordering};
//! use socketserver::{Flow, PoolTcpServer};
//!
//! let visits = Arc::new(AtomicU64::new(0));
//! let counter = Arc::clone(&visits);
//! let server = PoolTcpServer::bind_fn("127.0.0.1:0", move |request| {
//!     let Some(_) = request.line()? else { return Ok(Flow::Continue) };
//!     writeln!(request, "{}", counter.fetch_add(1, Ordering::Relaxed) + 1)?;
//!     Ok(Flow::Continue)
//! })?
//! .serve_in_background()?;
//!
//! for expected in ["1\n", "2\n", "3\n"] {
//!     let mut client = std::net::TcpStream::connect(server.local_addr())?;
//!     client.write_all(b"?\n")?;
//!     let mut answer = String::new();
//!     BufReader::new(client).read_line(&mut answer)?;
//!     assert_eq!(answer, expected);
//! }
//! assert_eq!(visits.load(Ordering::Relaxed), 3);
//! # drop(server);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # To stop on a signal
//!
//! With the feature `signals`. Keep the guard: dropping it undoes this.
//!
#![cfg_attr(all(unix, feature = "signals"), doc = "```no_run")]
#![cfg_attr(not(all(unix, feature = "signals")), doc = "```ignore")]
//! use socketserver::{Flow, PoolTcpServer};
//!
//! let server = PoolTcpServer::bind_fn("127.0.0.1:9999", |_| Ok(Flow::Close))?;
//! let _signals = socketserver::signals::stop_on_signals(server.stop_handle())?;
//! let report = server.serve_forever()?;
//! eprintln!("{report}");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Two servers in one program
//!
//! One in the background, and one on this thread. Each has its own stop handle.
//!
//! ```
//! use std::io::Write;
//! use socketserver::{Flow, PoolTcpServer, TcpServer};
//!
//! let service = PoolTcpServer::bind_fn("127.0.0.1:0", |request| {
//!     let Some(line) = request.line()? else { return Ok(Flow::Continue) };
//!     request.write_all(line.as_bytes())?;
//!     Ok(Flow::Continue)
//! })?
//! .serve_in_background()?;
//!
//! // The second one reports on the first, and stops both.
//! let (stats, stop) = (service.stats_handle(), service.stop_handle());
//! let control = TcpServer::bind_fn("127.0.0.1:0", move |request| {
//!     let Some(command) = request.line()? else { return Ok(Flow::Continue) };
//!     if command == "stop\n" {
//!         stop.shutdown();
//!         request.stop_handle().into_iter().for_each(|own| own.shutdown());
//!         return Ok(Flow::Close);
//!     }
//!     writeln!(request, "{} open", stats.snapshot().active)?;
//!     Ok(Flow::Continue)
//! })?;
//! let mut client = std::net::TcpStream::connect(control.local_addr())?;
//! client.write_all(b"status\nstop\n")?;
//! println!("{}", control.serve_forever()?);
//! println!("{}", service.join()?);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # To choose the dispatch at run time
//!
//! The dispatch is a type, so each choice is a match arm that calls a generic function. The bound [`Serves`] says that a
//! dispatch can serve a transport and a factory.
//!
//! ```
//! use socketserver::dispatch::Serves;
//! use socketserver::{Builder, Flow, HandlerFactory, Pool, Report, Stream, Sync, Tcp, ThreadPerRequest, Transport};
//!
//! fn serve<D, H>(dispatch: D, factory: H) -> Result<Report, Box<dyn std::error::Error>>
//! where
//!     D: Serves<Tcp, H> + Default,
//!     H: HandlerFactory<<Tcp as Transport>::Request>,
//! {
//!     let server = Builder::<Tcp, D, H>::new(factory).dispatch(dispatch).bind("127.0.0.1:0")?;
//!     # server.stop_handle().shutdown();
//!     Ok(server.serve_forever()?)
//! }
//!
//! let factory = socketserver::handler::function(|_: &mut Stream<std::net::TcpStream>| Ok(Flow::Close));
//! let report = match std::env::args().nth(1).as_deref() {
//!     Some("sync") => serve(Sync, factory)?,
//!     Some("threads") => serve(ThreadPerRequest::default(), factory)?,
//!     _ => serve(Pool::default(), factory)?,
//! };
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! [`Serves`]: crate::dispatch::Serves
//!
//! # A pool of fixed size
//!
//! For a database that allows ten connections: at most ten handlers run at a time, and each thread keeps a connection of
//! its own. When all ten are busy, waits for clients are ended early; see [`max_threads`](crate::Pool::max_threads).
//!
//! ```
//! use std::cell::RefCell;
//! use std::io::Write;
//! use socketserver::{Flow, Pool, PoolTcpServer};
//!
//! # struct Database;
//! # impl Database { fn look_up(&self, key: &str) -> String { key.to_uppercase() } }
//! thread_local! {
//!     static DATABASE: RefCell<Database> = const { RefCell::new(Database) };
//! }
//!
//! let server = PoolTcpServer::builder_fn(|request| {
//!     let Some(key) = request.line()? else { return Ok(Flow::Continue) };
//!     let value = DATABASE.with_borrow(|database| database.look_up(key.trim_end()));
//!     writeln!(request, "{value}")?;
//!     Ok(Flow::Continue)
//! })
//! .dispatch(Pool::new(10).max_threads(10))
//! .bind("127.0.0.1:0")?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # To answer datagrams
//!
//! Each datagram is a request; `reply` sends a datagram back to its sender, from the address it was sent to.
//!
//! ```
//! use std::net::UdpSocket;
//! use socketserver::{Flow, PoolUdpServer};
//!
//! let server = PoolUdpServer::bind_fn("127.0.0.1:0", |message| {
//!     let answer = message.payload().to_ascii_uppercase();
//!     message.reply(&answer)?;
//!     Ok(Flow::Close)
//! })?
//! .serve_in_background()?;
//!
//! let client = UdpSocket::bind("127.0.0.1:0")?;
//! client.send_to(b"hello", server.local_addr())?;
//! let mut answer = [0; 10];
//! let length = client.recv(&mut answer)?;
//! assert_eq!(&answer[..length], b"HELLO");
//! # drop(server);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # To log errors
//!
//! The library never logs. Errors are passed to `on_error` as values, with the step that failed. Everything else is
//! reported by [events](super::events), which the features `tracing` and `metrics` pass to those crates.
//!
//! ```
//! use socketserver::{Flow, PoolTcpServer};
//!
//! let server = PoolTcpServer::builder_fn(|_| Ok(Flow::Close))
//!     .on_error(|error, peer| {
//!         if !error.is_disconnect() && !error.is_timeout() {
//!             eprintln!("{peer:?}: {error}");
//!         }
//!     })
//!     .bind("127.0.0.1:0")?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # To test a handler
//!
//! With the feature `testing`, over an in-memory connection. Each piece arrives when the handler has taken the one before.
//!
#![cfg_attr(feature = "testing", doc = "```")]
#![cfg_attr(not(feature = "testing"), doc = "```ignore")]
//! use std::io::Write;
//! use socketserver::testing::converse;
//! use socketserver::{Flow, Handler, HandlerResult, Socket, Stream};
//!
//! struct Upper;
//!
//! impl<S: Socket> Handler<Stream<S>> for Upper {
//!     fn handle(&mut self, request: &mut Stream<S>) -> HandlerResult {
//!         let Some(line) = request.line()? else { return Ok(Flow::Continue) };
//!         request.write_all(line.to_uppercase().as_bytes())?;
//!         Ok(Flow::Continue)
//!     }
//! }
//!
//! let outcome = converse(|| Upper, ["one\nt", "wo\n"]);
//! assert_eq!(outcome.output, b"ONE\nTWO\n");
//! ```
//!
//! [`converse_with`](crate::testing::converse_with) takes a [`Client`](crate::testing::Client) that goes silent, does not
//! read, or vanishes, and can stop the server. [`converse_over`](crate::testing::converse_over) serves the handler behind
//! a transport that wraps others.
