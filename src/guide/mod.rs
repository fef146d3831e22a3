//! Chapters to read: nothing here is code to call.
//!
//! - [`coming_from_python`]: every name of Python's `socketserver`, what it is here, and what is different on purpose.
//! - [`stopping`]: what happens between a stop and the report, and who may ask for it.
//! - [`limits`]: every limit and timeout with its default.
//! - [`events`]: how to see what a server does, and what went wrong.
//! - [`other_connections`]: how to write to the clients of other handlers, and how to take a connection out of the
//!   server.
//! - [`platforms`]: what is where, and the features of the crate.

pub mod coming_from_python;
pub mod events;
pub mod limits;
pub mod other_connections;
pub mod platforms;
pub mod stopping;
