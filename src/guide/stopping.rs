//! How to stop a server from anywhere, and what happens until it has stopped.
//!
//! # Stop handles
//!
//! A [`StopHandle`](crate::StopHandle) can be cloned and used from anywhere: another thread, a handler
//! ([`Stream::stop_handle`](crate::Stream::stop_handle)), a signal. Its methods return at once, cannot deadlock, and may be
//! called before, during and after serving. There is no poll interval: the serve loop wakes up at once. Under `Fork` the
//! handle of a handler, which runs in a child, also stops, pauses and resumes the server itself.
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
//! With the feature `signals`, `signals::stop_on_signals(server.stop_handle())` does this on SIGINT and SIGTERM: the first
//! drains, a second one does not wait. By default no signal handler is installed. Two signals of the same number that arrive
//! within milliseconds can merge into one; SIGINT after SIGTERM cannot. A program with several servers uses
//! `signals::stop_all_on_signals`.
//!
//! # The order
//!
//! 1. The server stops accepting. Clients in the backlog see a close (not a reset), and are counted as refused. On a socket
//!    passed by a process manager they stay in the backlog, for the next process.
//! 2. The listener is closed; the file of a Unix-domain socket is removed.
//! 3. Idle connections are closed. Their handlers' `finish` receives [`End::Drained`](crate::End::Drained).
//! 4. Busy ones continue until they are done. Handlers that loop can check [`is_stopping`](crate::Stream::is_stopping). A
//!    handler that blocks in [`wait_for_message`](crate::Stream::wait_for_message) is between two messages, so its
//!    connection is idle; one that blocks in the middle of a message is busy until the client has sent the rest or closed. A
//!    [relay](crate::Flow::Relay) is busy until both of its sides have ended.
//! 5. At the deadline ([`drain_timeout`](crate::Builder::drain_timeout), 15 s) reads and writes fail: those that
//!    block, and shortly afterwards those that would not block, so that a handler ends whose client sends or reads without
//!    end. What was written before, and what `finish` writes then, is still sent if the client has room for it: at most
//!    [`max_pending_output`](crate::Builder::max_pending_output), or 64 KiB. The remaining connections are closed; children
//!    of `Fork` receive SIGTERM, and shortly afterwards SIGKILL.
//! 6. [`serve_forever`](crate::Server::serve_forever) returns its [`Report`](crate::Report): how many requests there
//!    were, how they ended, and how long the drain took.
//!
//! [`shutdown_within`](crate::StopHandle::shutdown_within) sets another deadline, and
//! [`shutdown_now`](crate::StopHandle::shutdown_now) does not wait at all; a second call can shorten the remaining time but
//! never lengthen it. No deadline can end a handler that computes or sleeps: under `ThreadPerRequest` and `Pool` it is
//! reported as [`abandoned`](crate::Report::abandoned); `Sync` waits for it.
//!
//! # Handing over to another process
//!
//! A new version of a server can share the listener of the old one: it inherits the descriptor, gets it from a process
//! manager, or binds with `reuse_port`. [`hand_over`](crate::StopHandle::hand_over) then drains the old one without a client
//! noticing:
//!
//! - The backlog is left to the other process instead of being closed, and the file of a Unix-domain socket stays.
//! - A connection that has not sent anything yet is served its first message.
//! - A kept-alive connection is not closed at once, but after its next reply, or at the deadline. Handlers can check
//!   [`is_stopping`](crate::Stream::is_stopping) to announce the close if their protocol can (`Connection: close`). The close
//!   lingers: a request that crosses it sees the end of the stream, not a reset.
//!
//! A later `shutdown` closes idle connections as usual. In this example, a second server in the same process plays the new
//! process:
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
//! // The old server replies once more, then closes; the new one has the address.
//! assert_eq!(ask(&client)?, "HELLO\n");
//! assert!(old.join()?.is_clean());
//! assert_eq!(ask(&TcpStream::connect(address)?)?, "HELLO\n");
//! # new.shutdown()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Other ways to stop
//!
//! Dropping a server that has served with [`handle_request`](crate::Server::handle_request) drains it. Dropping a
//! [`BackgroundServer`](crate::BackgroundServer) stops it and waits; [`shutdown`](crate::BackgroundServer::shutdown) does the
//! same and returns the report.
//!
//! [`pause`](crate::StopHandle::pause) stops accepting until [`resume`](crate::StopHandle::resume): the address stays bound,
//! and open connections are still served.
