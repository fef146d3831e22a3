//! Writing to other connections, and taking a connection out of the server.
//!
//! # Writing to another client
//!
//! A handler has its own connection and no other. It writes to others through their
//! [`Sender`](crate::Sender)s, which their own handlers get from [`Stream::sender`](crate::Stream::sender) and put
//! where others find them. Which clients are told what is up to the program: a room, a topic, a list of subscribers.
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
//! Sending never blocks, so it may be done under a lock, as above: then all receive the messages in the same order.
//! [`Sender::wake_after`](crate::Sender::wake_after) has the lock free again before the first of them is woken, so that a
//! thousand subscribers do not hold it for long. A sender may also go to any thread: one that reads a queue, or rings every
//! minute.
//!
//! ## When a message leaves
//!
//! Only the thread that serves a connection writes to its socket; a message waits in the connection's mailbox until
//! that thread looks.
//!
//! - While the connection waits for its client, whether parked or on a thread of its own: at once. The server wakes up
//!   for it.
//! - While its handler runs: when `handle` has returned, behind what it has written, or as soon as a read inside
//!   `handle` has to wait. So a message is never in the middle of an answer, and a handler that computes for a second
//!   delays what others send by a second.
//! - While it is ending: what was sent before `finish` has returned still leaves; then sending fails with
//!   [`SendError::Closed`](crate::SendError::Closed). That holds for a drain, too, which no sender can delay.
//!
//! ## Clients that do not read
//!
//! What waits for one connection, its handler's output included, is at most
//! [`max_pending_output`](crate::Builder::max_pending_output) (64 KiB). Beyond it [`Sender::send`](crate::Sender::send)
//! fails with [`SendError::Full`](crate::SendError::Full) and has sent nothing, and the program decides: drop the
//! message, remember that something was missed, or end the connection with [`close_with`](crate::Sender::close_with).
//! The write timeout ends a client that reads nothing at all. Where clients send many messages at once, raise the
//! limit: what one sends in one go should fit.
//!
//! What is sent to a client does not make it less idle: [`idle_timeout`](crate::Builder::idle_timeout) counts from its
//! own last message. Raise it where clients only listen.
//!
//! ## Under each dispatch
//!
//! `Sync`, `Pool` and `ThreadPerRequest` do the same. A connection whose thread waits for its client needs another
//! descriptor for that thread (an eventfd, on Linux) once it has a sender; a parked one needs none. Under `Fork` each
//! connection has a process of its own, whose memory no other can reach: `sender` fails and says so.
//!
//! The example `chat` is a complete program.
//!
//! # Taking a connection out
//!
//! A handler that returns [`Flow::Detach`](crate::Flow::Detach) takes its connection out of the server:
//! [`Handler::detached`](crate::Handler::detached) gets it by value, to speak another protocol, or to hand it to
//! another thread or library. The [`Stream`](crate::Stream) still has the bytes that came with the last message; it
//! blocks as before, but has no timeouts and sees no stop. [`into_parts`](crate::Stream::into_parts) takes it apart.
//!
//! ```
//! use std::io::{BufRead, Read, Write};
//! use std::net::TcpStream;
//! use socketserver::{Flow, Handler, HandlerResult, PoolTcpServer, Stream};
//!
//! /// Speaks lines, until its client wants a tunnel.
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
//!         // The worker goes back to its other connections.
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
//! For the server the connection has ended: its place is free for another, its [`Event::Stop`](crate::Event::Stop) says
//! [`End::Detached`](crate::End::Detached), and the [`Report`](crate::Report) counts it among the finished and as
//! [`detached`](crate::Report::detached). `finish` is not called, and its senders fail; what they have sent before
//! leaves with the new owner's first write or flush. Under `Fork` it happens in the child, which ends when `detached`
//! returns: until then it counts as open.
