//! Every limit and timeout with its default.
//!
#![doc = include_str!("../../docs/limits.md")]
//!
//! A timeout is a deadline on the operation, not on each system call: a `read_line` whose bytes trickle in ends in
//! time. `None` switches one off. The number of requests is exact: a place is taken before a connection is accepted and
//! given back once, on return, error or panic.
//!
//! Lines and frames have a limit; `read_to_end` and `read_to_string` take as much memory as the client sends in its
//! time. [What one client can make the server hold](super::what_one_client_can_hold) has all such places.
//!
//! ```
//! use std::time::Duration;
//! use socketserver::{AtLimit, Flow, PoolTcpServer};
//!
//! let server = PoolTcpServer::builder_fn(|_| Ok(Flow::Close))
//!     .max_connections(1000)
//!     .at_limit(AtLimit::ShedIdle)
//!     .idle_timeout(Duration::from_secs(10))
//!     .write_timeout(None)
//!     .bind("127.0.0.1:0")?;
//! # Ok::<(), socketserver::BindError>(())
//! ```
//!
//! A value that cannot work is an error of `bind` that names the option:
//!
//! ```
//! # use socketserver::{Flow, Pool, PoolTcpServer};
//! let error = PoolTcpServer::builder_fn(|_| Ok(Flow::Close)).dispatch(Pool::new(0)).bind("127.0.0.1:0").unwrap_err();
//! assert!(error.to_string().starts_with("option workers = 0: "));
//! ```
