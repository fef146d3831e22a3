//! Writing to other connections, and taking a connection out of the server.
//!
//! # Writing to another client
//!
//! A handler has access to its own connection only. To write to another, it uses the [`Sender`](crate::Sender) that the
//! other's handler got from [`Stream::sender`](crate::Stream::sender) and has shared. Who receives what is up to the
//! program: a room, a topic, a list of subscribers.
//!
//! ```
//! use std::collections::HashMap;
//! use std::sync::{Arc, Mutex};
//! use socketserver::frames::{FrameHandler, Frames, LinesCodec, Replies};
//! use socketserver::{End, Flow, HandlerResult, PoolTcpServer, SendError, Sender, Socket, Stream};
//!
//! /// The subscribers of each topic.
//! type Topics = Arc<Mutex<HashMap<String, Vec<Sender>>>>;
//!
//! /// `topic` subscribes, `topic text` publishes.
//! struct Client {
//!     topics: Topics,
//!     own: Option<Sender>,
//! }
//!
//! impl<S: Socket> FrameHandler<LinesCodec, S> for Client {
//!     fn setup(&mut self, request: &mut Stream<S>, _: &mut Replies<'_, LinesCodec>) -> HandlerResult<()> {
//!         self.own = Some(request.sender()?);
//!         Ok(())
//!     }
//!
//!     fn message(&mut self, line: &str, _: &mut Replies<'_, LinesCodec>) -> HandlerResult {
//!         let Some((topic, text)) = line.split_once(' ') else {
//!             self.topics.lock().unwrap().entry(line.to_owned()).or_default().extend(self.own.clone());
//!             return Ok(Flow::Continue);
//!         };
//!         let message = format!("{topic}: {text}\n");
//!         let tell = |subscriber: &Sender| match subscriber.send(&message) {
//!             Ok(()) => true,
//!             Err(SendError::Closed) => false,
//!             Err(_) => {
//!                 subscriber.close_with("you read too slowly\n");
//!                 false
//!             }
//!         };
//!         Sender::wake_after(|| {
//!             if let Some(subscribers) = self.topics.lock().unwrap().get_mut(topic) {
//!                 subscribers.retain(tell);
//!             }
//!         });
//!         Ok(Flow::Continue)
//!     }
//! }
//!
//! let topics = Topics::default();
//! let server = PoolTcpServer::bind("127.0.0.1:0", move || {
//!     Frames::new(LinesCodec::new(), Client { topics: Arc::clone(&topics), own: None })
//! })?;
//! # Ok::<(), socketserver::BindError>(())
//! ```
//!
//! Sending never blocks, so it can be done under a lock, as above: then all clients receive the messages in the same order.
//! [`Sender::wake_after`](crate::Sender::wake_after) wakes the receiving connections only after the lock has been
//! released, so that a thousand subscribers do not hold it for long. A sender can also be moved to any other thread, such
//! as one that reads a queue.
//!
//! ## When a message is sent
//!
//! Only the thread that serves a connection writes to its socket. Until it does, a message is in the connection's mailbox:
//!
//! - While the connection waits for its client, whether parked or on its own thread: for no time at all; the server wakes
//!   up for it.
//! - While its handler runs: until `handle` has returned, or a read inside `handle` blocks; it is sent after what the
//!   handler has written. So a message is never in the middle of a reply, and a handler that computes for a second delays
//!   messages from others by a second.
//! - While it is ending: what was sent before `finish` returned is still delivered; after that, sending fails with
//!   [`SendError::Closed`](crate::SendError::Closed). The same holds during a drain, which no sender can delay.
//!
//! ## Clients that do not read
//!
//! The pending output of a connection, its handler's included, is limited to
//! [`max_pending_output`](crate::Builder::max_pending_output) (64 KiB). Beyond that, [`Sender::send`](crate::Sender::send)
//! returns [`SendError::Full`](crate::SendError::Full) and sends nothing, and the program decides: drop the message,
//! remember that the client missed something, or close the connection with [`close_with`](crate::Sender::close_with). The
//! write timeout closes the connection of a client that reads nothing at all. If clients send bursts of messages, raise the
//! limit: a burst should fit.
//!
//! Sending to a client does not reset its [`idle_timeout`](crate::Builder::idle_timeout), which counts from its own last
//! message. Raise it for clients that only listen.
//!
//! ## Under each dispatch
//!
//! Senders work the same under `Sync`, `Pool` and `ThreadPerRequest`. A connection that has a sender, and whose thread
//! blocks for its client, needs one more descriptor (an eventfd, on Linux); a parked one does not. Under `Fork` each
//! connection is in its own process, which no other can reach: `sender` returns an error that says so.
//!
//! The example `chat` is a complete program.
//!
//! # Taking a connection out
//!
//! A handler that returns [`Flow::Detach`](crate::Flow::Detach) takes its connection out of the server:
//! [`Handler::detached`](crate::Handler::detached) receives it by value, to speak another protocol, or to pass it to another
//! thread or library. The [`Stream`](crate::Stream) still has the bytes that arrived after the last message. It blocks as
//! before, but has no timeouts and is not affected by a stop. [`into_parts`](crate::Stream::into_parts) takes it apart.
//!
//! ```
//! use std::io::{BufRead, Read, Write};
//! use std::net::TcpStream;
//! use socketserver::{Flow, Handler, HandlerResult, PoolTcpServer, Stream};
//!
//! /// Speaks lines until the client asks for a tunnel.
//! struct Lines;
//!
//! impl Handler<Stream<TcpStream>> for Lines {
//!     fn handle(&mut self, request: &mut Stream<TcpStream>) -> HandlerResult {
//!         let mut line = String::new();
//!         request.read_line(&mut line)?;
//!         if line == "UPGRADE tunnel\n" {
//!             request.write_all(b"OK\n")?;
//!             return Ok(Flow::Detach);
//!         }
//!         request.write_all(b"what?\n")?;
//!         Ok(Flow::Continue)
//!     }
//!
//!     fn detached(self, mut request: Stream<TcpStream>) {
//!         // Leaves the worker free for other connections.
//!         std::thread::spawn(move || {
//!             let mut bytes = [0; 1024];
//!             while let Ok(count @ 1..) = request.read(&mut bytes) {
//!                 if request.write_all(&bytes[..count]).is_err() {
//!                     return;
//!                 }
//!             }
//!         });
//!     }
//! }
//!
//! let server = PoolTcpServer::bind("127.0.0.1:0", || Lines)?;
//! # Ok::<(), socketserver::BindError>(())
//! ```
//!
//! For the server, the connection has ended: its place is free, its [`Event::Stop`](crate::Event::Stop) has
//! [`End::Detached`](crate::End::Detached), and the [`Report`](crate::Report) counts it as finished and as
//! [`detached`](crate::Report::detached). `finish` is not called, and its senders fail; what they sent earlier goes out with
//! the new owner's first write or flush. Under `Fork`, `detached` runs in the child, which exits when it returns; until
//! then the connection counts as open.
