//! Chapters to read: nothing here is code to call.
//!
//! - [`cookbook`]: "I want to ...", with a program for each.
//! - [`coming_from_python`]: every name of Python's `socketserver`, what it is here, and what is different on purpose.
//! - [`programs_that_everybody_begins_with`]: the programs of the tutorials.
//! - [`limits`]: every limit and timeout with its default.
//! - [`what_one_client_can_hold`]: every place where a client's bytes or a thread wait, and where that ends.
//! - [`stopping`]: what happens between a stop and the report, and how to stop a server from anywhere.
//! - [`events`]: how to see what a server does, and what went wrong.
//! - [`other_connections`]: how to write to the clients of other handlers, and how to take a connection out of the
//!   server.
//! - [`wrapping_transports`]: several listeners, proxies, limits by source, TLS, and what each order of them means.
//! - [`custom_transport`]: how to write a transport, or one that wraps others.
//! - `tls`, with the feature: certificates that are renewed, what a connection costs, and what is not defended.
//! - `running_it`, with the features `signals` and `systemd`, on Unix: process managers, inetd, hot restarts, signals,
//!   balancers, containers.
//! - [`platforms`]: platform support, and the features of the crate.

pub mod coming_from_python;
pub mod cookbook;
pub mod custom_transport;
pub mod events;
pub mod limits;
pub mod other_connections;
pub mod platforms;
pub mod programs_that_everybody_begins_with;
#[cfg(all(unix, feature = "signals", feature = "systemd"))]
pub mod running_it;
pub mod stopping;
#[cfg(feature = "tls")]
pub mod tls;
pub mod what_one_client_can_hold;
pub mod wrapping_transports;
