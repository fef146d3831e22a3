//! First programs: those of Python's tutorials, and their counterparts here.
//!
//! `tests/tutorials.rs` runs each of them, from the source shown here, against a real Python client.
//!
//! # Echo in upper case
//!
//! The handler loops over `recv`, prints who wrote what, sends it back in upper case, and notices a reset.
//!
//! ```python
//! class EchoUpper(socketserver.BaseRequestHandler):
//!     def handle(self):
//!         while True:
//!             try:
//!                 data = self.request.recv(1024)
//!             except ConnectionResetError:
//!                 print(self.client_address, "has reset the connection")
//!                 break
//!             if not data:
//!                 break
//!             print(self.client_address, "wrote", data)
//!             self.request.sendall(data.upper())
//! ```
//!
#![doc = "```"]
#![doc = include_str!("programs/echo_upper.rs")]
#![doc = ""]
//! let server = socketserver::PoolTcpServer::bind("127.0.0.1:0", || EchoUpper)?;
//! # Ok::<(), socketserver::BindError>(())
//! ```
//!
//! | served by | with `EchoUpper`, the second client | with `EchoUpperInTurns` |
//! |---|---|---|
//! | `TcpServer` | waits until the first has gone, as in Python | is served alternately with the first |
//! | `ThreadingTcpServer` | has its own thread | has its own thread |
//! | `ForkingTcpServer` | has its own process | has its own process |
//! | `PoolTcpServer` | has a thread; if none is free, a spare one is started | costs no thread while it is silent |
//!
//! # A greeting
//!
//! One line in, a fixed text out, and the name of the thread that served it.
//!
#![doc = "```"]
#![doc = include_str!("programs/greeting.rs")]
#![doc = ""]
//! use socketserver::ThreadingTcpServer;
//!
//! let server = ThreadingTcpServer::bind_fn("127.0.0.1:0", greet)?.serve_in_background()?;
//! for number in 1..=5 {
//!     let mut client = std::net::TcpStream::connect(server.local_addr())?;
//!     writeln!(client, "client {number}")?;
//!     let mut answer = String::new();
//!     std::io::BufReader::new(client).read_line(&mut answer)?;
//!     assert_eq!(answer, "Grüße aus dem Süden\n");
//! }
//! println!("{}", server.shutdown()?);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Connect and disconnect
//!
//! `setup` and `finish` print when clients connect and disconnect; each message has its own client thread; at the end the
//! server is shut down. There is no `server_close`: `shutdown` of a background server waits until everything is closed.
//!
#![doc = "```"]
#![doc = include_str!("programs/visitors.rs")]
#![doc = ""]
//! use socketserver::ThreadingTcpServer;
//! use std::io::{BufRead, BufReader};
//! use std::net::TcpStream;
//!
//! let server = ThreadingTcpServer::bind("127.0.0.1:0", || Visitors)?.serve_in_background()?;
//! let address = server.local_addr();
//! let clients = ["hello one", "hello two", "hello three"].map(|message| {
//!     std::thread::spawn(move || -> std::io::Result<String> {
//!         let mut client = TcpStream::connect(address)?;
//!         writeln!(client, "{message}")?;
//!         let mut answer = String::new();
//!         BufReader::new(client).read_line(&mut answer)?;
//!         Ok(answer)
//!     })
//! });
//! for client in clients {
//!     print!("{}", client.join().unwrap()?);
//! }
//! let report = server.shutdown()?;
//! assert_eq!(report.finished, 3);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # A page, four ways
//!
//! A GET request is answered with a file from a folder. All four programs send the same response:
//!
#![doc = "```"]
#![doc = include_str!("programs/page.rs")]
#![doc = "```"]
//!
//! **One: a handler.** It has the limits, timeouts and graceful stop of its server, and works under every dispatch. (For a
//! real file server, see the example `http_files`.)
//!
#![doc = "```"]
#![doc = include_str!("programs/page_by_server.rs")]
#![doc = ""]
//! # fn answer(_: &str, _: &std::path::Path) -> Vec<u8> { Vec::new() }
//! let server = socketserver::PoolTcpServer::bind("127.0.0.1:0", || Page { folder: "/srv/www".into() })?;
//! # Ok::<(), socketserver::BindError>(())
//! ```
//!
//! **Two: threads, with a listener of the standard library.** Nothing limits their number, a silent client is never
//! disconnected, and the loop cannot be stopped.
//!
#![doc = "```"]
#![doc = include_str!("programs/page_by_threads.rs")]
//! # fn answer(_: &str, _: &std::path::Path) -> Vec<u8> { Vec::new() }
#![doc = "```"]
//!
//! **Three: one thread and poll(2)**, the successor of `select`. Each round costs time proportional to the number of clients.
//!
#![cfg_attr(unix, doc = "```")]
#![cfg_attr(not(unix), doc = "```ignore")]
#![doc = include_str!("programs/page_by_poll.rs")]
//! # fn answer(_: &str, _: &std::path::Path) -> Vec<u8> { Vec::new() }
#![doc = "```"]
//!
//! **Four: one thread and epoll(7)**, which Python's `selectors` uses on Linux. `Client` is the same as in three.
//!
#![cfg_attr(target_os = "linux", doc = "```")]
#![cfg_attr(not(target_os = "linux"), doc = "```ignore")]
#![doc = include_str!("programs/page_by_epoll.rs")]
#![doc = ""]
//! # use std::{collections::HashMap, io, net::TcpListener, path::Path};
//! # struct Client(std::net::TcpStream);
//! # impl Client {
//! #     fn accept(listener: &TcpListener) -> io::Result<Self> { Ok(Self(listener.accept()?.0)) }
//! #     fn read(&mut self, _: &Path) -> bool { true }
//! # }
//! # impl std::os::fd::AsFd for Client {
//! #     fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> { self.0.as_fd() }
//! # }
#![doc = "```"]
//!
//! Two corresponds to [`ThreadPerRequest`](crate::ThreadPerRequest), four to [`Sync`](crate::Sync), and [`Pool`](crate::Pool)
//! is four on several threads. They add what is missing here: limits, deadlines, care for clients that do not read, and a
//! stop that lets replies finish.
//!
//! # Dispatching on a field
//!
//! A line of JSON has an `action` that names the method to call; files go both ways, with their size and hash.
//!
#![doc = "```"]
#![doc = include_str!("programs/actions.rs")]
#![doc = ""]
//! let server = socketserver::PoolTcpServer::bind("127.0.0.1:0", || Files { folder: "/srv/files".into() })?;
//! # Ok::<(), socketserver::BindError>(())
//! ```
//!
//! # Messages that stick together
//!
//! A connection carries bytes, not messages: two sends may arrive as one read, and one send as two. The first handler below
//! is wrong; the tutorials fix it in three ways.
//!
#![doc = "```"]
#![doc = include_str!("programs/boundaries.rs")]
#![doc = "```"]
//!
//! *Acknowledge*, where the client waits for a reply before it sends more, needs no change to the first handler, but costs a
//! round trip per message, and does not help if a message arrives in two parts. *A length in front* and *count what is left*
//! are correct. A fourth way does not block while the rest is on its way, has a limit, and needs no code:
//!
//! ```
//! use socketserver::frames::{self, LengthDelimitedCodec};
//! use socketserver::{Flow, PoolTcpServer};
//!
//! let factory = frames::function(LengthDelimitedCodec::new(), |message, replies| {
//!     replies.send(format!("{} bytes", message.len()))?;
//!     Ok(Flow::Continue)
//! });
//! let server = PoolTcpServer::bind("127.0.0.1:0", factory)?;
//! # Ok::<(), socketserver::BindError>(())
//! ```
