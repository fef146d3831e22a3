//! What one client can make the server hold: every place where its bytes or a thread wait, and where that ends.
//!
//! A client may be slow, silent, deaf, endless or hostile. What it can take is bounded in each place below, with the
//! defaults as they are; the last column names the file in `tests/` that shows it.
//!
//! # Bytes
//!
//! | what waits | at most | option | shown by |
//! |---|---|---|---|
//! | input that `handle` has not taken | 64 KiB | [`max_buffered`](crate::Builder::max_buffered), [`set_max_buffered`](crate::Stream::set_max_buffered) | `streams.rs`, `endless_message.rs` |
//! | a line without an end | 64 KiB, then an error | [`max_line`](crate::Builder::max_line) | `lines.rs` |
//! | a frame without an end | 64 KiB, then an error | the codec, see [`frames`](crate::frames) | `frames_any_input.rs` |
//! | `read_to_end`, `read_to_string` | what the client sends in its time | [`take`](std::io::Read::take) | none: this is the handler's to bound |
//! | output that the client does not read | 64 KiB, then a write blocks | [`max_pending_output`](crate::Builder::max_pending_output) | `sender.rs`, `min_rate.rs` |
//! | messages of [`Sender`](crate::Sender)s | the same 64 KiB, then `send` fails | [`max_pending_output`](crate::Builder::max_pending_output) | `sender.rs` |
//! | input that is read and dropped after the last answer | 8 MiB, in the worker's buffer | [`linger`](crate::Builder::linger) | `timeouts.rs`, `closing_allocations.rs` |
//! | bytes of a [relay](crate::Flow::Relay) that one side does not take | 64 KiB each way | fixed | `relay.rs` |
//! | one datagram | 65 535 bytes | [`max_datagram_size`](crate::Builder::max_datagram_size) | `datagrams.rs` |
//! | replies that Unix datagram peers do not read | 8 MiB in all | fixed; what has no room is dropped | `deaf_peers.rs` |
//!
//! The kernel holds as much again on both sides of each socket, as the system is set up. A connection that waits
//! between two messages holds an entry in a table and no buffer: the buffer is lent by the thread that serves it, and
//! kept only while unread bytes are in it.
//!
//! # Threads, and time
//!
//! | what the client does | what it holds | until | shown by |
//! |---|---|---|---|
//! | connects beyond the limit | a place in the backlog | there is room; or see [`at_limit`](crate::Builder::at_limit) | `limits.rs` |
//! | does not finish its handshake | a table entry | [`establish_timeout`](crate::Builder::establish_timeout), 5 s | `establish.rs` |
//! | says nothing, or nothing more | a table entry | [`idle_timeout`](crate::Builder::idle_timeout), 60 s | `crowd.rs`, `timeouts.rs` |
//! | sends half a message that `line` or `frames` wait for | a table entry | [`read_timeout`](crate::Builder::read_timeout), 30 s | `lines.rs`, `timeouts.rs` |
//! | sends half a message that a read in `handle` waits for | a thread | [`read_timeout`](crate::Builder::read_timeout), 30 s | `no_client_holds_the_server.rs` |
//! | sends its message byte by byte | the same | [`min_rate`](crate::Builder::min_rate), 100 bytes a second after 30 s | `min_rate.rs` |
//! | sends a message that does not end | the same | [`read_timeout`](crate::Builder::read_timeout), 30 s | `endless_message.rs` |
//! | sends messages without a pause | turns, between those of the others | [`total_timeout`](crate::Builder::total_timeout), off | `no_client_holds_the_server.rs`, `frames.rs`, `total_timeout.rs` |
//! | reads nothing of its answer | a table entry; a thread, if the write blocks | [`write_timeout`](crate::Builder::write_timeout), 30 s | `no_client_holds_the_server.rs` |
//! | reads its answer byte by byte | the same | [`min_rate`](crate::Builder::min_rate) | `min_rate.rs` |
//! | ends its side in the middle of a message | a call of `handle` | at once | `half_message.rs` |
//! | sends on after the last answer | a table entry | [`linger`](crate::Builder::linger), 2 s | `timeouts.rs` |
//! | is relayed, and neither side sends, or takes, anything | a table entry, and a second connection | [`idle_timeout`](crate::Builder::idle_timeout), 60 s | `relay.rs` |
//! | vanishes without a word | what it held | the timeouts, or [`keepalive`](crate::Builder::keepalive) | `timeouts.rs` |
//! | does not end when the server stops | what it held | [`drain_timeout`](crate::Builder::drain_timeout), 15 s | `stop_in_every_state.rs` |
//!
//! "A table entry" is so under [`Pool`](crate::Pool) and [`Sync`](crate::Sync). Under
//! [`ThreadPerRequest`](crate::ThreadPerRequest) each connection holds its thread from accept to close, under `Fork`
//! its process, whatever it does.
//!
//! # When "a thread" is too much
//!
//! - Under [`Pool`](crate::Pool), a thread that blocks for its client is replaced: spare threads are started, up to
//!   [`max_threads`](crate::Pool::max_threads), and end when they are not needed. The default is as many as there may
//!   be connections, so no number of clients stops the others. At a lower bound the pool ends waits early, those
//!   between two messages first, and then the longest; none that has lasted less than
//!   [`least_wait`](crate::Pool::least_wait) (1 s), unless others have been waiting that long.
//!   [`Event::WaitsEnded`](crate::Event::WaitsEnded) and [`Stats::waits_ended`](crate::Stats::waits_ended) tell of
//!   it.
//! - Under [`Sync`](crate::Sync) a read that blocks inside `handle` blocks every client. Use
//!   [`line`](crate::Stream::line), [`buffered`](crate::Stream::buffered) or [`frames`](crate::frames) there;
//!   [`Event::LongCall`](crate::Event::LongCall) tells of calls that take longer than
//!   [`long_call`](crate::Builder::long_call), 100 ms. With [`track_calls`](crate::Builder::track_calls),
//!   [`StatsHandle::running_calls`](crate::StatsHandle::running_calls) says which calls have not returned yet.
//! - Memory for the worst case is `max_connections` times what one may hold: with the defaults 16 384 times 128 KiB are
//!   2 GiB. Lower [`max_connections`](crate::Builder::max_connections), or the two numbers of 64 KiB, where that is too
//!   much.
//!
//! What is not bounded by default is how many connections one address opens: [`PerSource`](crate::transport::PerSource) bounds
//! that.
//!
//! # What that comes to
//!
//! `benches/attacks.py` in the repository does this to the examples, and asks beside it, as a client that is known and as
//! one that connects for it. On a virtual machine with two processors, busy with other work, the median answer took:
//!
//! | beside | the known client | a new one |
//! |---|---|---|
//! | 2,000 clients with half a line, `upper` under `Pool` and `Sync` | 0.2 ms | 0.3 ms |
//! | the same, read with `read_line` under `Pool`: 2,000 threads, which are gone 20 s after the clients | 0.1 ms | 0.4 ms |
//! | 8 clients that pipeline and read, `http_files` with folders under `Sync` | 14 ms | 26 ms |
//! | the same under `Pool` | 0.1 ms | 0.2 ms |
//! | 5,000 silent handshakes under `Sync` or `Pool`, at 860 bytes each | | 0.03 ms |
//! | 200 clients with half a line and `max_threads(32)`, from the second second on | 0.1 ms | |
//! | 28 datagram peers that read no replies, under each dispatch | 0.2 to 1.5 ms | |
