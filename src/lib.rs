//! Python's `socketserver`, rethought in Rust: a server is composed of a transport, a dispatch and a handler.
//!
//! - The *transport* says where requests come from: TCP, UDP, Unix-domain streams or datagrams, or a [custom
//!   transport](Transport).
//! - The *dispatch* says how they are executed: on one thread, on a thread per request, in a process per request, on a
//!   pool, or by a [custom dispatch](dispatch#a-custom-dispatch).
//! - The *handler* says what is done with them: a function, or a type with `setup`, `handle` and `finish`.
//!
//! Handlers are plain blocking code. On one thread and on a pool, a handler that returns [`Flow::Continue`] after each
//! message costs no thread between messages.
//!
//! ```
//! use std::io::{BufRead, Write};
//! use socketserver::{Flow, Handler, HandlerResult, PoolTcpServer, Socket, Stream};
//!
//! /// Sends each line back in upper case.
//! struct Upper;
//!
//! // Over TCP, Unix-domain sockets, and anything else that is a stream.
//! impl<S: Socket> Handler<Stream<S>> for Upper {
//!     fn handle(&mut self, request: &mut Stream<S>) -> HandlerResult {
//!         // If the line is incomplete, `handle` is called again when more has arrived.
//!         let Some(line) = request.line()? else { return Ok(Flow::Continue) };
//!         request.write_all(line.to_uppercase().as_bytes())?;
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
//! A program that does nothing but serve calls [`serve_forever`](Server::serve_forever) instead.
//! [`bind_fn`](Server::bind_fn) takes a function as the handler, and [`builder`](Server::builder) takes options before the
//! address. [`Stream`] describes the three ways to read messages and what each costs; [`frames`] splits protocols with
//! delimiters, length prefixes or fixed-size records.
//!
//! # Which flavour when
//!
//! Every transport works with every dispatch. Sixteen of the combinations have names, as do four more for TLS (feature
//! `tls`).
//!
#![doc = include_str!("../docs/flavours.md")]
//!
//! Use a pool unless there is a reason not to. One thread ([`Sync`]) is the simplest for quick handlers, and lets them hold
//! an `Rc`; a thread per request ([`ThreadPerRequest`]) is for long conversations that block inside `handle`; a process per
//! request (`Fork`) is for isolation. The [`dispatch`] module compares them.
//!
//! # The steps of a request
//!
//! The serve loop accepts a request, and the dispatch takes it through its steps: establish, `verify_request`, `setup`,
//! `handle` for as long as it returns [`Flow::Continue`], `finish`, and a close that sends pending output first. The order
//! is the same under every dispatch; a panic or an error ends its own request and no other. [`HandlerFactory`] has the
//! hooks.
//!
//! # The guide
//!
//! - [Cookbook](guide::cookbook): "I want to ...", with a program for each.
//! - [Coming from Python](guide::coming_from_python): name by name, and what is different on purpose.
//! - [First programs](guide::first_programs): the programs of Python's tutorials.
//! - [Limits and timeouts](guide::limits), with their defaults.
//! - [What one client can make the server hold](guide::what_one_client_can_hold), and its bounds.
//! - [Stopping](guide::stopping): how to stop a server, the order of a shutdown, and what is reported.
//! - [Events](guide::events): errors, events and counters.
//! - [Other connections](guide::other_connections): writing to other clients, and taking a connection out of the server.
//! - [Transports that wrap others](guide::wrapping_transports), and [custom transports](guide::custom_transport).
//! - TLS (`guide::tls`, feature `tls`): certificates, client certificates, and what a session costs.
//! - Deployment (`guide::deployment`, features `signals` and `systemd`): systemd, inetd, hot restarts, signals, HAProxy,
//!   limits, containers.
//! - [Platforms and features](guide::platforms).

#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(unix)]
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
pub mod request;
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
#[doc(inline)]
pub use dispatch::Fork;
#[doc(inline)]
pub use dispatch::Pool;
#[cfg(unix)]
#[doc(inline)]
pub use dispatch::PreFork;
#[doc(inline)]
pub use dispatch::Sync;
#[doc(inline)]
pub use dispatch::ThreadPerRequest;
pub use end::End;
pub use engine::calls::RunningCall;
pub use engine::report::Report;
pub use engine::report::Stats;
pub use engine::report::StatsHandle;
pub use error::BindError;
pub use error::BoxError;
pub use error::RequestError;
pub use error::ServeError;
pub use error::Stage;
pub use event::Event;
pub use event::Observer;
pub use event::Refusal;
pub use event::RequestId;
pub use event::Traffic;
pub use flavours::*;
#[doc(inline)]
pub use handler::Flow;
#[doc(inline)]
pub use handler::Handler;
#[doc(inline)]
pub use handler::HandlerFactory;
#[doc(inline)]
pub use handler::HandlerFactoryExt;
#[doc(inline)]
pub use handler::HandlerResult;
#[doc(inline)]
pub use handler::frames;
pub use options::AtLimit;
pub use options::PanicPolicy;
pub use options::ServerOptions;
pub use request::Datagram;
pub use request::SendError;
pub use request::Sender;
pub use request::Socket;
pub use request::Stream;
pub use server::BackgroundServer;
pub use server::Server;
pub use server::builder::Builder;
pub use server::step::Handled;
pub use stop::StopHandle;
#[doc(inline)]
pub use transport::Tcp;
#[cfg(feature = "tls")]
#[doc(inline)]
pub use transport::Tls;
#[cfg(feature = "tls")]
#[doc(inline)]
pub use transport::TlsConfig;
#[doc(inline)]
pub use transport::Transport;
#[doc(inline)]
pub use transport::Udp;
#[cfg(unix)]
#[doc(inline)]
pub use transport::UnixAddress;
#[cfg(unix)]
#[doc(inline)]
pub use transport::UnixDatagram;
#[cfg(unix)]
#[doc(inline)]
pub use transport::UnixStream;

/// The examples of the README, compiled and run.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
