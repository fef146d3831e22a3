//! Documentation only; the modules contain no code to call.
//!
//! - [`cookbook`]: "I want to ...", with a program for each.
//! - [`coming_from_python`]: every name of Python's `socketserver`, its counterpart here, and what is different on
//!   purpose.
//! - [`first_programs`]: the programs of Python's tutorials.
//! - [`limits`]: every limit and timeout, with its default.
//! - [`what_one_client_can_hold`]: every place where a client can tie up bytes or a thread, and its bound.
//! - [`stopping`]: how to stop a server from anywhere, and what happens until it has stopped.
//! - [`events`]: how to see what a server does, and what went wrong.
//! - [`other_connections`]: how to write to other clients, and how to take a connection out of the server.
//! - [`wrapping_transports`]: several listeners, proxies, limits by source, TLS, and how they combine.
//! - [`custom_transport`]: how to write a transport, or one that wraps another.
//! - `tls`, with the feature `tls`: certificate renewal, what a connection costs, and what is not defended.
//! - `deployment`, with the features `signals` and `systemd`, on Unix: process managers, inetd, hot restarts, signals,
//!   load balancers, containers.
//! - [`platforms`]: platform support, and the features of the crate.

pub mod coming_from_python;
pub mod cookbook;
pub mod custom_transport;
#[cfg(all(unix, feature = "signals", feature = "systemd"))]
pub mod deployment;
pub mod events;
pub mod first_programs;
pub mod limits;
pub mod other_connections;
pub mod platforms;
pub mod stopping;
#[cfg(feature = "tls")]
pub mod tls;
pub mod what_one_client_can_hold;
pub mod wrapping_transports;
