//! Every limit and timeout with its default.
//!
#![doc = include_str!("../../docs/limits.md")]
//!
//! A timeout is a deadline for the operation, not for each system call: a `read_line` whose bytes trickle in still ends on
//! time. `None` disables it. The limit on requests is exact: a place is taken before a connection is accepted and given
//! back once, on return, error or panic.
//!
//! Lines and frames are limited; `read_to_end` and `read_to_string` use as much memory as the client can fill before the
//! timeout. [What one client can make the server hold](super::what_one_client_can_hold) lists all such places.
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
//! For a value that cannot work, `bind` returns an error that names the option:
//!
//! ```
//! # use socketserver::{Flow, Pool, PoolTcpServer};
//! let error = PoolTcpServer::builder_fn(|_| Ok(Flow::Close)).dispatch(Pool::new(0)).bind("127.0.0.1:0").unwrap_err();
//! assert!(error.to_string().starts_with("option workers = 0: "));
//! ```
