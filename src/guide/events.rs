//! How to see what a server does, and what went wrong.
//!
//! The library never logs. There are four ways to observe a server.
//!
//! # Errors
//!
//! [`on_error`](crate::Builder::on_error) (or [`HandlerFactory::handle_error`](crate::HandlerFactory::handle_error))
//! receives every error as a value: its [`stage`](crate::RequestError::stage), whether the peer simply
//! [disconnected](crate::RequestError::is_disconnect), whether it was a [timeout](crate::RequestError::is_timeout) or a
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
//! [`on_event`](crate::Builder::on_event), or an observer passed to [`observed`](crate::Builder::observed), receives every
//! [`Event`](crate::Event): connections that start and stop (exactly once each), refusals with their reason, periods in
//! which accepting fails, threads that start and stop, children that exit, the phases of a drain. There may be several
//! observers; without any, events are not even built. An observer is called on the thread where the event happens, and
//! should return quickly.
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
//! With the feature `tracing`, `traced` creates a span per connection and reports everything else as events; what a handler
//! records with `tracing` is inside its connection's span. With the feature `metrics`, `measured` maintains counters, gauges
//! and a histogram. Both take a name for the server, for programs with several, and can be combined with each other and with
//! custom observers.
//!
#![cfg_attr(all(feature = "metrics", feature = "tracing"), doc = "```")]
#![cfg_attr(not(all(feature = "metrics", feature = "tracing")), doc = "```ignore")]
//! use std::io::{BufRead, Write};
//! use socketserver::{Flow, PoolTcpServer};
//!
//! // The program installs the subscriber and the recorder: tracing_subscriber::fmt().init(), and the like.
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
//! `HandlerFactoryExt::traced` and `HandlerFactoryExt::measured` list the spans, events and metrics with their fields and
//! labels. A subscriber that prints only events does not show how a connection ended, unless it also prints the end of
//! spans: with `tracing_subscriber::fmt()`, `.with_span_events(FmtSpan::CLOSE)`.
//!
//! # Counters
//!
//! [`Server::stats`](crate::Server::stats), and a [`StatsHandle`](crate::StatsHandle) from anywhere, return a snapshot of the
//! counters for a few atomic loads: accepted, active, finished (and how many of them were detached), idle closed, forced,
//! refused, failed. The [`Report`](crate::Report) has the same counters at the end.
