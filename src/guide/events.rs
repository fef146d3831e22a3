//! How to see what a server does, and what went wrong.
//!
//! The library never logs. There are four ways to see what it does.
//!
//! # Errors
//!
//! [`on_error`](crate::Builder::on_error) (or [`HandlerFactory::handle_error`](crate::HandlerFactory::handle_error)) is
//! given every error of a step as a value: its [`stage`](crate::RequestError::stage), whether the peer simply [went
//! away](crate::RequestError::is_disconnect), whether it was a [timeout](crate::RequestError::is_timeout) or a
//! [panic](crate::RequestError::is_panic), and the error itself.
//!
//! ```
//! use socketserver::TcpServer;
//!
//! let server = TcpServer::builder_fn(|_| Err("not today".into()))
//!     .on_error(|error, peer| {
//!         if !error.is_disconnect() {
//!             eprintln!("{peer:?}: {error}");
//!         }
//!     })
//!     .bind("127.0.0.1:0")?;
//! # Ok::<(), socketserver::BindError>(())
//! ```
//!
//! # Events
//!
//! [`on_event`](crate::Builder::on_event), or an observer given to [`observed`](crate::Builder::observed), is told of
//! every [`Event`](crate::Event): connections that start and stop (exactly once each), refusals with their reason,
//! episodes in which accepting fails, threads that start and stop, children that end, the phases of a drain. A server
//! without an observer does not even build them; with several, each is told. An observer is called on the thread on
//! which the event happens, and should return soon.
//!
//! ```
//! use std::sync::Arc;
//! use std::sync::atomic::{AtomicUsize, Ordering};
//! use socketserver::{Event, Flow, ThreadingTcpServer};
//!
//! let open = Arc::new(AtomicUsize::new(0));
//! let seen = Arc::clone(&open);
//! let server = ThreadingTcpServer::builder_fn(|_| Ok(Flow::Close))
//!     .on_event(move |event| match event {
//!         Event::Start { .. } => {
//!             seen.fetch_add(1, Ordering::Relaxed);
//!         }
//!         Event::Stop { id, end, duration, .. } => {
//!             seen.fetch_sub(1, Ordering::Relaxed);
//!             println!("{id}: {end} after {duration:?}");
//!         }
//!         _ => {}
//!     })
//!     .bind("127.0.0.1:0")?
//!     .serve_in_background()?;
//! let client = std::net::TcpStream::connect(server.local_addr())?;
//! drop(client);
//! let report = server.shutdown()?;
//! assert_eq!(open.load(Ordering::Relaxed), 0);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # `tracing` and `metrics`
//!
//! With the feature `tracing`, `traced` makes a span of every connection and events of the rest; what handlers say with
//! `tracing` belongs to the span of their connection. With the feature `metrics`, `measured` keeps counters, gauges and
//! a histogram. Both take the name of the server, for programs that have several, and go together with each other and
//! with custom observers.
//!
#![cfg_attr(all(feature = "metrics", feature = "tracing"), doc = "```")]
#![cfg_attr(not(all(feature = "metrics", feature = "tracing")), doc = "```ignore")]
//! use std::io::{BufRead, Write};
//! use socketserver::{Flow, PoolTcpServer};
//!
//! // A subscriber and a recorder are the program's to install: tracing_subscriber::fmt().init(), and the like.
//! let server = PoolTcpServer::builder_fn(|request| {
//!     let mut line = String::new();
//!     request.read_line(&mut line)?;
//!     tracing::debug!(length = line.len(), "a line");
//!     request.write_all(line.as_bytes())?;
//!     Ok(Flow::Continue)
//! })
//! .traced("echo")
//! .measured("echo")
//! .bind("127.0.0.1:0")?;
//! # Ok::<(), socketserver::BindError>(())
//! ```
//!
//! The spans, events and metrics are listed, with their fields and labels, at `HandlerFactoryExt::traced` and
//! `HandlerFactoryExt::measured`. A subscriber that prints events only shows how a connection ended when it is told to
//! print the end of spans, too: with `tracing_subscriber::fmt()`, `.with_span_events(FmtSpan::CLOSE)`.
//!
//! # Counters
//!
//! [`Server::stats`](crate::Server::stats), and a [`StatsHandle`](crate::StatsHandle) from anywhere, give a snapshot of the
//! counters at the price of a few atomic loads: accepted, active, finished (and how many of them were detached), idle
//! closed, forced, refused, failed. The [`Report`](crate::Report) has the same at the end.
