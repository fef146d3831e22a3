//! Python's `socketserver`, re-thought in Rust: a server is put together from a transport, a dispatch and a handler.
//!
//! - The *transport* is where requests come from: TCP, UDP, Unix-domain streams or datagrams, or a [custom
//!   one](Transport).
//! - The *dispatch* is how they are executed: on one thread, a thread per request, a process per request, or a pool; or
//!   a [custom one](dispatch#a-custom-dispatch).
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
//! // Over TCP, Unix-domain sockets, and anything else that is a stream.
//! impl<S: Socket> Handler<Stream<S>> for Upper {
//!     fn handle(&mut self, request: &mut Stream<S>) -> HandlerResult {
//!         // Not all of it has arrived: call me again when there is more.
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
//! A server that is the whole program calls [`serve_forever`](Server::serve_forever) instead. For a handler that is a
//! function there is [`bind_fn`](Server::bind_fn); options go to a [`builder`](Server::builder), before the address.
//! [`Stream`] says in which three ways messages are read, and what each costs; [`frames`] take apart protocols with
//! delimiters, length prefixes or records.
//!
//! # Which flavour when
//!
//! Every transport goes with every dispatch; the sixteen types have names, and so have those for TLS, which is a feature.
//!
#![doc = include_str!("../docs/flavours.md")]
//!
//! Take a pool unless there is a reason not to. One thread ([`Sync`]) is the least machinery for quick handlers, and
//! lets them hold an `Rc`; a thread each ([`ThreadPerRequest`]) is for long conversations that block inside `handle`; a
//! process each (`Fork`) is for isolation. The [`dispatch`] module compares them.
//!
//! # The steps of a request
//!
//! Accepted by the serve loop, a request is taken through its steps by the dispatch: establish, `verify_request`,
//! `setup`, `handle` as often as it returns [`Flow::Continue`], `finish`, and a close that loses no answer. The order
//! is the same on every path; a panic or an error ends its own request and no other. [`HandlerFactory`] has the hooks.
//!
//! # The guide
//!
//! - [Cookbook](guide::cookbook): "I want to ...", with a program for each.
//! - [Coming from Python](guide::coming_from_python): name by name, and what is different on purpose.
//! - [The programs that everybody begins with](guide::programs_that_everybody_begins_with): those of the tutorials.
//! - [Limits and timeouts](guide::limits), with their defaults.
//! - [What one client can make the server hold](guide::what_one_client_can_hold), and where that ends.
//! - [Stopping](guide::stopping): who may stop a server, in what order it ends, and what it reports.
//! - [Events](guide::events): errors, events and counters.
//! - [Other connections](guide::other_connections): writing to the clients of other handlers, and taking a connection
//!   out of the server.
//! - [Transports that wrap others](guide::wrapping_transports), and [custom ones](guide::custom_transport).
//! - TLS (`guide::tls`, with the feature `tls`): certificates, clients that have one, and what a session costs.
//! - Running it (`guide::running_it`, with the features `signals` and `systemd`): systemd, inetd, hot restarts, signals,
//!   HAProxy, limits, containers.
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
