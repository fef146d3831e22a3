//! What happens between a stop and the report, and how to stop a server from anywhere.
//!
//! # Who may stop a server
//!
//! A [`StopHandle`](crate::StopHandle) is clonable and works from everywhere: another thread, a handler
//! ([`Stream::stop_handle`](crate::Stream::stop_handle)), a signal. Its methods return at once and cannot deadlock, and
//! may be called before, during and after serving. There is no poll interval: the serve loop wakes up at once. Under
//! `Fork` a handler runs in a child, and its handle stops, pauses and resumes the server all the same.
//!
//! ```
//! use socketserver::{Flow, TcpServer};
//!
//! // A client that says "stop" stops the server that serves it.
//! let server = TcpServer::bind_fn("127.0.0.1:0", |request| {
//!     if request.buffered().starts_with(b"stop")
//!         && let Some(stop) = request.stop_handle()
//!     {
//!         stop.shutdown();
//!         return Ok(Flow::Close);
//!     }
//!     let length = request.buffered().len();
//!     std::io::BufRead::consume(request, length);
//!     Ok(Flow::Continue)
//! })?;
//! let address = server.local_addr();
//! let client = std::thread::spawn(move || {
//!     use std::io::Write;
//!     std::net::TcpStream::connect(address)?.write_all(b"stop")
//! });
//! let report = server.serve_forever()?;
//! assert!(report.is_clean());
//! # client.join().unwrap()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! With the feature `signals`, `signals::stop_on_signals(server.stop_handle())` makes SIGINT and SIGTERM do it: the
//! first drains, the second does not wait. Nothing is installed unasked. Two signals of one number that come within
//! milliseconds can merge into one; SIGINT after SIGTERM cannot.
//!
//! # The order
//!
//! 1. Nothing more is accepted. Clients that wait in the backlog see a close (not a reset), and are counted as refused.
//!    In that of a socket that a process manager has passed they wait on, for the next process.
//! 2. The listener closes; the file of a Unix-domain socket is removed.
//! 3. Connections that wait for their next message end. Their handlers' `finish` is told
//!    [`End::Drained`](crate::End::Drained).
//! 4. Busy ones go on until they are done. Handlers that loop see [`is_stopping`](crate::Stream::is_stopping). A
//!    handler that blocks in [`wait_for_message`](crate::Stream::wait_for_message) is between two messages and ends
//!    with step 3; one that blocks in the middle of a message is busy until the client has sent the rest or closed. A
//!    [relay](crate::Flow::Relay) is busy until both of its sides have ended.
//! 5. At the deadline ([`drain_timeout`](crate::Builder::drain_timeout), 15 s) their blocked reads and writes fail, and
//!    what is left is closed; children of `Fork` get SIGTERM, and shortly after it SIGKILL.
//! 6. [`serve_forever`](crate::Server::serve_forever) returns its [`Report`](crate::Report): how many requests there
//!    were and how they ended, and how long the drain took.
//!
//! [`shutdown_within`](crate::StopHandle::shutdown_within) sets another deadline,
//! [`shutdown_now`](crate::StopHandle::shutdown_now) none at all; a second call can shorten the time that is left,
//! never lengthen it. What no deadline can end is a handler that computes or sleeps: under `ThreadPerRequest` and
//! `Pool` it is reported as [`abandoned`](crate::Report::abandoned), under `Sync` it is waited for.
//!
//! # Handing over to another process
//!
//! A new version of a server can share the listener of the old one: it inherits the descriptor, gets it from a process
//! manager, or binds with `reuse_port`. [`hand_over`](crate::StopHandle::hand_over) is the old one's way to go without
//! a client noticing:
//!
//! - What waits in the backlog is left to the other process instead of being closed, and the file of a Unix-domain
//!   socket stays.
//! - A connection that has not spoken yet is served its first message.
//! - A connection that is kept alive is closed right behind its next answer instead of at once, or at the deadline.
//!   Handlers see [`is_stopping`](crate::Stream::is_stopping), so that a protocol that can announce the close does
//!   (`Connection: close`).
//!   The closing lingers: a request that crosses it meets the end of the stream, and no reset.
//!
//! A `shutdown` afterwards ends what is idle, as it always does. Here the second server of one process takes the part
//! of the new process:
//!
//! ```
//! use std::io::{BufRead, BufReader, Write};
//! use std::net::{TcpListener, TcpStream};
//! use socketserver::{Flow, HandlerResult, PoolTcpServer, Stream};
//!
//! fn upper(request: &mut Stream<TcpStream>) -> HandlerResult {
//!     let Some(line) = request.line()? else { return Ok(Flow::Continue) };
//!     request.write_all(line.to_uppercase().as_bytes())?;
//!     Ok(Flow::Continue)
//! }
//!
//! fn ask(mut client: &TcpStream) -> std::io::Result<String> {
//!     let mut answer = String::new();
//!     client.write_all(b"hello\n")?;
//!     BufReader::new(client).read_line(&mut answer)?;
//!     Ok(answer)
//! }
//!
//! let listener = TcpListener::bind("127.0.0.1:0")?;
//! let address = listener.local_addr()?;
//! let old = PoolTcpServer::builder_fn(upper).adopt(listener.try_clone()?)?.serve_in_background()?;
//! let client = TcpStream::connect(address)?;
//! assert_eq!(ask(&client)?, "HELLO\n");
//!
//! let new = PoolTcpServer::builder_fn(upper).adopt(listener)?.serve_in_background()?;
//! old.stop_handle().hand_over();
//! // The old server answers once more, and closes behind the answer; the new one has the address.
//! assert_eq!(ask(&client)?, "HELLO\n");
//! assert!(old.join()?.is_clean());
//! assert_eq!(ask(&TcpStream::connect(address)?)?, "HELLO\n");
//! # new.shutdown()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Without serving for ever
//!
//! Dropping a server that has served with [`handle_request`](crate::Server::handle_request) drains, too. Dropping a
//! [`BackgroundServer`](crate::BackgroundServer) stops it and waits; its
//! [`shutdown`](crate::BackgroundServer::shutdown) does that and returns the report.
//!
//! [`pause`](crate::StopHandle::pause) and [`resume`](crate::StopHandle::resume) stop accepting for a while: the
//! address stays bound, and connections are served on.
