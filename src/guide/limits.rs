//! Every limit and timeout with its default.
//!
//! | what | default | set by |
//! |---|---|---|
//! | requests at a time | 16 384, or three quarters of the descriptors the process may open | [`max_connections`](crate::Builder::max_connections) |
//! | at that limit | clients wait in the backlog | [`at_limit`](crate::Builder::at_limit) |
//! | clients in the backlog | 4096, clamped by the kernel | [`backlog`](crate::Builder::backlog) |
//! | waiting for the next message, or the first | 60 s | [`idle_timeout`](crate::Builder::idle_timeout) |
//! | a read, or the rest of a message that has begun | 30 s | [`read_timeout`](crate::Builder::read_timeout) |
//! | a write; taking nothing of what it left to be sent | 30 s | [`write_timeout`](crate::Builder::write_timeout) |
//! | a handshake, on transports that have one | 5 s | [`establish_timeout`](crate::Builder::establish_timeout) |
//! | a request in all, from accept to its end | no limit | [`total_timeout`](crate::Builder::total_timeout) |
//! | the rate of a client in mid-message, or that is sent an answer | 100 bytes a second, after 30 s | [`min_rate`](crate::Builder::min_rate), [`rate_grace`](crate::Builder::rate_grace) |
//! | finding out that a TCP client has vanished without a word | as the other timeouts do | [`keepalive`](crate::Builder::keepalive) |
//! | `handle_request` waiting for a request | for ever | [`request_timeout`](crate::Builder::request_timeout) |
//! | busy connections after a stop | 15 s | [`drain_timeout`](crate::Builder::drain_timeout) |
//! | reading on after the last answer | 2 s or 8 MiB | [`linger`](crate::Builder::linger) |
//! | unread input of a connection between two calls | 64 KiB | [`max_buffered`](crate::Builder::max_buffered) |
//! | output waiting for a client that does not read, of its handler and of senders | 64 KiB | [`max_pending_output`](crate::Builder::max_pending_output) |
//! | a reply that waits for room in a full send buffer: of a UDP socket, of a Unix socket | 30 s, 50 ms | [`write_timeout`](crate::Builder::write_timeout), or less |
//! | replies that peers on Unix datagram sockets have not read, together | 8 MiB | see `UnixDatagram` |
//! | gathering small writes | off | [`write_buffer`](crate::Builder::write_buffer) |
//! | the longest datagram | 65 535 bytes | [`max_datagram_size`](crate::Builder::max_datagram_size) |
//! | threads of `ThreadPerRequest` | the requests at a time | [`max_threads`](crate::ThreadPerRequest::max_threads) |
//! | threads of `Pool` | four for each CPU, at least 16 | [`workers`](crate::Pool::workers) |
//! | children of `Fork` | 40 | `Fork::max_children` |
//!
//! A timeout is a deadline on the operation, not on each system call: a `read_line` whose bytes trickle in ends in
//! time. `None` switches one off. The number of requests is exact: a place is taken before a connection is accepted and
//! given back once, on return, error or panic.
//!
//! What a handler reads by itself is the handler's to limit: a `read_line` or `read_to_end` takes as much memory as the
//! client sends in its time. The codecs of [`frames`](crate::frames) have limits, 64 KiB a frame by default.
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
