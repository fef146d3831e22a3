//! What one client can make the server hold: every place where it can tie up bytes or a thread, and its bound.
//!
//! A client may be slow, silent, or hostile, may never stop sending or never read. Each place where that costs the server
//! something has a bound, given here for the default options; the last column names the file in `tests/` that checks it.
//!
//! # Bytes
//!
//! | what is held | at most | option | test |
//! |---|---|---|---|
//! | input that `handle` has not consumed | 64 KiB | [`max_buffered`](crate::Builder::max_buffered), [`set_max_buffered`](crate::Stream::set_max_buffered) | `streams.rs`, `endless_message.rs` |
//! | a line without an end | 64 KiB, then an error | [`max_line`](crate::Builder::max_line) | `lines.rs` |
//! | a frame without an end | 64 KiB, then an error | the codec, see [`frames`](crate::frames) | `frames_any_input.rs` |
//! | `read_to_end`, `read_to_string` | what the client sends before the timeout | [`take`](std::io::Read::take) | none: the handler has to limit it |
//! | output that the client does not read | 64 KiB, then a write blocks | [`max_pending_output`](crate::Builder::max_pending_output) | `sender.rs`, `min_rate.rs` |
//! | messages of [`Sender`](crate::Sender)s | the same 64 KiB, then `send` fails | [`max_pending_output`](crate::Builder::max_pending_output) | `sender.rs` |
//! | input discarded after the last reply | 8 MiB, through the worker's buffer | [`linger`](crate::Builder::linger) | `timeouts.rs`, `closing_allocations.rs` |
//! | bytes of a [relay](crate::Flow::Relay) that one side does not take | 64 KiB each way | fixed | `relay.rs` |
//! | one datagram | 65 535 bytes | [`max_datagram_size`](crate::Builder::max_datagram_size) | `datagrams.rs` |
//! | replies that Unix datagram peers do not read | 8 MiB in all | fixed; more is dropped | `deaf_peers.rs` |
//!
//! In addition, the kernel has a receive and a send buffer for each socket, of a size set by the system. A connection that
//! waits between two messages holds an entry in a table and no buffer: it borrows the buffer of the thread that serves it,
//! and keeps a buffer only while there are unread bytes.
//!
//! # Threads, and time
//!
//! | what the client does | what it holds | until | test |
//! |---|---|---|---|
//! | connects at the limit | a place in the backlog | there is room; or see [`at_limit`](crate::Builder::at_limit) | `limits.rs` |
//! | does not finish its handshake | a table entry | [`establish_timeout`](crate::Builder::establish_timeout), 5 s | `establish.rs` |
//! | sends nothing, or nothing more | a table entry | [`idle_timeout`](crate::Builder::idle_timeout), 60 s | `crowd.rs`, `timeouts.rs` |
//! | sends half a message that `line` or `frames` wait for | a table entry | [`read_timeout`](crate::Builder::read_timeout), 30 s | `lines.rs`, `timeouts.rs` |
//! | sends half a message that a read in `handle` waits for | a thread | [`read_timeout`](crate::Builder::read_timeout), 30 s | `no_client_holds_the_server.rs` |
//! | sends its message byte by byte | the same | [`min_rate`](crate::Builder::min_rate), 100 bytes/s after 30 s | `min_rate.rs` |
//! | sends a message that does not end | the same | [`read_timeout`](crate::Builder::read_timeout), 30 s | `endless_message.rs` |
//! | sends messages without a pause | its share of turns | [`total_timeout`](crate::Builder::total_timeout), off | `no_client_holds_the_server.rs`, `frames.rs`, `total_timeout.rs` |
//! | does not read its reply | a table entry; a thread, if the write blocks | [`write_timeout`](crate::Builder::write_timeout), 30 s | `no_client_holds_the_server.rs` |
//! | reads its reply byte by byte | the same | [`min_rate`](crate::Builder::min_rate) | `min_rate.rs` |
//! | closes its side in the middle of a message | a call of `handle` | at once | `half_message.rs` |
//! | keeps sending after the last reply | a table entry | [`linger`](crate::Builder::linger), 2 s | `timeouts.rs` |
//! | is relayed, and neither side sends, or takes, anything | a table entry, and a second connection | [`idle_timeout`](crate::Builder::idle_timeout), 60 s | `relay.rs` |
//! | vanishes without a close or a reset | what it held | the timeouts, or [`keepalive`](crate::Builder::keepalive) | `timeouts.rs` |
//! | does not end when the server stops | what it held | [`drain_timeout`](crate::Builder::drain_timeout), 15 s | `stop_in_every_state.rs` |
//!
//! "A table entry" applies under [`Pool`](crate::Pool) and [`Sync`](crate::Sync). Under
//! [`ThreadPerRequest`](crate::ThreadPerRequest) a connection holds its thread, and under `Fork` its process, from accept to
//! close.
//!
//! # When "a thread" is too much
//!
//! - Under [`Pool`](crate::Pool), a thread that blocks for its client is replaced: spare threads are started, up to
//!   [`max_threads`](crate::Pool::max_threads), and end when they are not needed. The default is the maximum number of
//!   connections, so no number of clients can stop the others. With a lower limit the pool ends waits early: those between
//!   two messages first, and then the longest; none that has lasted less than [`least_wait`](crate::Pool::least_wait)
//!   (1 s), unless others have been waiting that long. [`Event::WaitsEnded`](crate::Event::WaitsEnded) and
//!   [`Stats::waits_ended`](crate::Stats::waits_ended) report it.
//! - Under [`Sync`](crate::Sync) a read that blocks inside `handle` blocks every client. Use
//!   [`line`](crate::Stream::line), [`buffered`](crate::Stream::buffered) or [`frames`](crate::frames) there;
//!   [`Event::LongCall`](crate::Event::LongCall) reports calls that take longer than
//!   [`long_call`](crate::Builder::long_call), 100 ms. With [`track_calls`](crate::Builder::track_calls),
//!   [`StatsHandle::running_calls`](crate::StatsHandle::running_calls) lists the calls that have not returned yet.
//! - The memory in the worst case is `max_connections` times what one connection may hold: with the defaults, 16 384 times
//!   128 KiB is 2 GiB. If that is too much, lower [`max_connections`](crate::Builder::max_connections),
//!   [`max_buffered`](crate::Builder::max_buffered) or [`max_pending_output`](crate::Builder::max_pending_output).
//!
//! The number of connections from one address is not limited by default; [`PerSource`](crate::transport::PerSource) limits
//! it.
//!
//! # Measurements
//!
//! `benches/attacks.py` in the repository attacks the examples in these ways, and meanwhile sends requests as a client that is
//! already connected and as a new one. On a virtual machine with two CPUs, busy with other work, the median reply took:
//!
//! | under attack by | a connected client | a new one |
//! |---|---|---|
//! | 2,000 clients with half a line, `upper` under `Pool` and `Sync` | 0.2 ms | 0.3 ms |
//! | the same, read with `read_line` under `Pool`: 2,000 threads, which end within 20 s of the clients | 0.1 ms | 0.4 ms |
//! | 8 clients that pipeline and read, `http_files` with folders under `Sync` | 14 ms | 26 ms |
//! | the same under `Pool` | 0.1 ms | 0.2 ms |
//! | 5,000 silent handshakes under `Sync` or `Pool`, at 860 bytes each | | 0.03 ms |
//! | 200 clients with half a line and `max_threads(32)`, after the first second | 0.1 ms | |
//! | 28 datagram peers that read no replies, under each dispatch | 0.2 to 1.5 ms | |
