//! Python's `socketserver`, re-thought in Rust: a server is put together from a transport, a dispatch and a handler.
//!
//! - The *transport* is where requests come from: TCP, UDP, Unix-domain streams or datagrams, or [one of your
//!   own](Transport).
//! - The *dispatch* is on what they run: one thread, a thread each, a process each, a pool, or [one of your
//!   own](dispatch).
//! - The *handler* is what is done with them: a function, or a type with `setup`, `handle` and `finish`.
//!
//! Handlers are plain blocking code. One that returns [`Flow::Continue`] after each message costs no thread between
//! messages (on one thread, and on a pool).
//!
//! ```
//! use std::io::{BufRead, Write};
//! use socketserver::{Flow, Handler, HandlerResult, PoolTcpServer, Socket, Stream};
//!
//! /// Lines come back in upper case.
//! struct Upper;
//!
//! // Over TCP, Unix-domain sockets, and whatever else is a stream.
//! impl<S: Socket> Handler<Stream<S>> for Upper {
//!     fn handle(&mut self, request: &mut Stream<S>) -> HandlerResult {
//!         let mut line = Vec::new();
//!         request.read_until(b'\n', &mut line)?;
//!         request.write_all(&line.to_ascii_uppercase())?;
//!         Ok(Flow::Continue)
//!     }
//! }
//!
//! let server = PoolTcpServer::bind("127.0.0.1:0", || Upper)?;
//! let address = server.local_addr();
//! let server = server.serve_in_background()?;
//!
//! let mut client = std::net::TcpStream::connect(address)?;
//! client.write_all(b"hello\n")?;
//! let mut answer = String::new();
//! std::io::BufReader::new(client).read_line(&mut answer)?;
//! assert_eq!(answer, "HELLO\n");
//!
//! let report = server.shutdown()?;
//! assert_eq!(report.accepted, 1);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! A server that is the whole program calls [`serve_forever`](Server::serve_forever) instead. For a handler that is a
//! function there is [`bind_fn`](Server::bind_fn); options go to a [`builder`](Server::builder), before the address. A
//! protocol of messages (lines, too, where clients are strangers) is best taken apart by [`frames`], which have limits
//! and wait for the rest of a message without a thread.
//!
//! # Which flavour when
//!
//! Every transport goes with every dispatch; the sixteen types have names, and so have those for TLS, which is a feature.
//!
//! | | one thread | a thread each | a process each | a pool |
//! |---|---|---|---|---|
//! | TCP | [`TcpServer`] | [`ThreadingTcpServer`] | `ForkingTcpServer` | [`PoolTcpServer`] |
//! | TLS over TCP | `TlsServer` | `ThreadingTlsServer` | `ForkingTlsServer` | `PoolTlsServer` |
//! | UDP | [`UdpServer`] | [`ThreadingUdpServer`] | `ForkingUdpServer` | [`PoolUdpServer`] |
//! | Unix streams | `UnixStreamServer` | `ThreadingUnixStreamServer` | `ForkingUnixStreamServer` | `PoolUnixStreamServer` |
//! | Unix datagrams | `UnixDatagramServer` | `ThreadingUnixDatagramServer` | `ForkingUnixDatagramServer` | `PoolUnixDatagramServer` |
//!
//! Take a pool unless there is a reason not to. One thread ([`Sync`]) is the least machinery for quick handlers, and
//! lets them hold an `Rc`; a thread each ([`ThreadPerRequest`]) is for long conversations that block inside `handle`; a
//! process each (`Fork`) is for isolation. The [`dispatch`] module says when *not* to use each.
//!
//! # The steps of a request
//!
//! Accepted by the serve loop, a request is then taken through its steps by the dispatch: establish, `verify_request`,
//! `setup`, `handle` as often as it returns [`Flow::Continue`], `finish`, and a close that loses no answer. The order
//! holds on every path; a panic or an error ends its own request and no other. [`HandlerFactory`] has the hooks; the
//! messages of a protocol are the matter of [`frames`].
//!
//! # Chapters
//!
//! - [Coming from Python](guide::coming_from_python): name by name, and what is different on purpose.
//! - [Stopping](guide::stopping): who may stop a server, in what order it ends, and what it reports.
//! - [Limits and timeouts](guide::limits), with their defaults.
//! - [Events](guide::events): errors, events and counters.
//! - [Other connections](guide::other_connections): writing to the clients of other handlers, and taking a connection
//!   out of the server.
//! - [Platforms and features](guide::platforms).

#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(any(feature = "metrics", feature = "tracing"))]
pub mod adapters;
#[cfg(all(unix, feature = "systemd"))]
pub mod deploy;
pub mod dispatch;
mod end;
mod engine;
mod error;
mod event;
mod flavours;
pub mod guide;
pub mod handler;
mod limits;
mod managed;
mod options;
mod panics;
mod park;
pub mod prelude;
mod request;
mod segments;
mod server;
#[cfg(all(unix, feature = "signals"))]
pub mod signals;
mod stop;
mod sync;
mod sys;
#[cfg(feature = "testing")]
pub mod testing;
pub mod transport;

#[cfg(unix)]
pub use dispatch::Fork;
pub use dispatch::Pool;
#[cfg(unix)]
pub use dispatch::PreFork;
pub use dispatch::Sync;
pub use dispatch::ThreadPerRequest;
pub use end::End;
pub use error::BindError;
pub use error::BoxError;
pub use error::RequestError;
pub use error::ServeError;
pub use error::Stage;
pub use event::Event;
pub use event::Observer;
pub use event::Refusal;
pub use event::RequestId;
pub use flavours::*;
pub use handler::Flow;
pub use handler::Handler;
pub use handler::HandlerFactory;
pub use handler::HandlerFactoryExt;
pub use handler::HandlerResult;
pub use handler::frames;
pub use options::AtLimit;
pub use options::PanicPolicy;
pub use options::ServerOptions;
pub use request::Datagram;
pub use request::Discard;
pub use request::Fill;
pub use request::Mailbox;
pub use request::Outbox;
pub use request::Progress;
pub use request::ReadBuffer;
pub use request::ReplySocket;
pub use request::Request;
pub use request::SendError;
pub use request::Sender;
pub use request::Session;
pub use request::Socket;
pub use request::Stream;
pub use request::Writer;
pub use server::BackgroundServer;
pub use server::Server;
pub use server::builder::Builder;
pub use server::report::Counts;
pub use server::report::Report;
pub use server::report::Stats;
pub use server::step::Handled;
pub use stop::StopHandle;
pub use sys::Descriptor;
pub use transport::Establish;
pub use transport::Tcp;
#[cfg(feature = "tls")]
pub use transport::Tls;
#[cfg(feature = "tls")]
pub use transport::TlsConfig;
pub use transport::Transport;
pub use transport::Udp;
#[cfg(unix)]
pub use transport::UnixAddress;
#[cfg(unix)]
pub use transport::UnixDatagram;
#[cfg(unix)]
pub use transport::UnixStream;

/// The examples of the README, compiled and run.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
