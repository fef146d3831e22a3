//! Tools for tests of servers and handlers.
//!
//! - [`converse`] and [`deliver`] serve one connection or one message in memory: every step of a real server, without
//!   sockets, threads or waiting. For unit tests of handlers. [`converse_with`] has a [`Client`] that falls silent, does
//!   not read or vanishes, and a server that stops; [`converse_over`] has a transport that wraps another between them.
//! - [`CheckingObserver`] counts and checks a server's events: for tests with real clients.
//! - [`Faulty`] is a transport that fails according to a [`Script`].
//!
//! A handler in memory:
//!
//! ```
//! use std::io::{BufRead, Write};
//! use socketserver::testing::converse;
//! use socketserver::{End, Flow, Handler, HandlerResult, Socket, Stream};
//!
//! struct Upper;
//!
//! impl<S: Socket> Handler<Stream<S>> for Upper {
//!     fn handle(&mut self, request: &mut Stream<S>) -> HandlerResult {
//!         let mut line = String::new();
//!         request.read_line(&mut line)?;
//!         request.write_all(line.to_uppercase().as_bytes())?;
//!         Ok(Flow::Continue)
//!     }
//! }
//!
//! // The input arrives in these pieces, and then the client closes.
//! let outcome = converse(|| Upper, ["one\nt", "wo\n"]);
//! assert_eq!(outcome.output, b"ONE\nTWO\n");
//! assert_eq!(outcome.end, End::PeerClosed);
//! ```
//!
//! A server whose transport fails, and an observer that checks it:
//!
//! ```
//! use std::time::Duration;
//! use socketserver::testing::{CheckingObserver, Faulty, Script};
//! use socketserver::{Builder, Flow, Sync, Tcp};
//!
//! const EMFILE: i32 = 24;
//!
//! let script = Script::new();
//! script.fail(&[EMFILE, EMFILE]);
//! let observer = CheckingObserver::new();
//! let factory = socketserver::handler::function(|_: &mut _| Ok(Flow::Close));
//! let server = Builder::<Faulty<Tcp>, Sync, _>::new(factory)
//!     .transport_options(script.options())
//!     .observed(observer.clone())
//!     .bind("127.0.0.1:0")?
//!     .serve_in_background()?;
//!
//! let client = std::net::TcpStream::connect(server.local_addr())?;
//! drop(client);
//! assert!(observer.wait_for_stops(1, Duration::from_secs(10)));
//! assert_eq!(observer.accept_recovered(), [2]);
//!
//! let report = server.shutdown()?;
//! observer.assert_adds_up(&report);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod checking;
mod client;
mod faulty;
mod memory;
mod memory_socket;
mod memory_transport;
mod outcome;
#[cfg(unix)]
mod signals;

pub use checking::CheckingObserver;
pub use checking::ChildExit;
pub use client::Client;
pub use faulty::Accept;
pub use faulty::Faulty;
pub use faulty::FaultyOptions;
pub use faulty::Script;
pub use memory::converse;
pub use memory::converse_over;
pub use memory::converse_with;
pub use memory::deliver;
pub use memory_socket::MemorySocket;
pub use memory_transport::Memory;
pub use outcome::Failure;
pub use outcome::Outcome;
#[cfg(unix)]
pub use signals::interrupt_by;
