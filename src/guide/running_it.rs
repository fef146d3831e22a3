//! Running it: process managers, restarts, signals, balancers, limits of the system, containers.
//!
//! # A program that can be deployed
//!
//! It serves on a socket that systemd has opened, on one that the process before has left, or on an address; it tells
//! systemd how it is, stops in order, and can be restarted without a client noticing:
//!
//! ```no_run
//! use std::io::Write;
//! use std::net::{TcpListener, TcpStream};
//! use socketserver::deploy::systemd::Manager;
//! use socketserver::deploy::{Restart, Sockets};
//! use socketserver::handler::function;
//! use socketserver::signals::stop_on_signals;
//! use socketserver::{Builder, Flow, Pool, Stream, Tcp};
//!
//! let upper = function(|request: &mut Stream<TcpStream>| {
//!     let Some(line) = request.line()? else { return Ok(Flow::Continue) };
//!     request.write_all(line.to_uppercase().as_bytes())?;
//!     Ok(Flow::Continue)
//! });
//!
//! // First of all, while it is known where the program is.
//! let mut restart = Restart::new(Sockets::take()?);
//! let builder = Builder::<Tcp, Pool, _>::new(upper);
//! let by_systemd = restart.sockets().names().next().is_some();
//! let server = if by_systemd && !restart.is_restarted() {
//!     let server = builder.adopt(restart.sockets().one::<TcpListener>("upper")?)?;
//!     restart.serve("upper", &server)?;
//!     server
//! } else {
//!     restart.bind("upper", builder, "127.0.0.1:7007")?
//! };
//! let _signals = (stop_on_signals(server.stop_handle())?, restart.on_signal()?);
//! Manager::new().watch(&server);
//! let report = server.serve_forever()?;
//! eprintln!("{report}");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Under systemd
//!
//! The socket is there before the service, and stays when that is stopped and started: clients wait in its backlog
//! meanwhile, and none is refused. A stop ends those that are connected already, and idle; a hot restart serves them,
//! too. The repository has both units in `docs/units/`, with a sandbox around the service.
//!
//! ```ini
//! # upper.socket
//! [Socket]
//! ListenStream=127.0.0.1:7007
//! # The name that the program asks for.
//! FileDescriptorName=upper
//! Backlog=4096
//!
//! # upper.service
//! [Service]
//! Type=notify
//! NotifyAccess=main
//! ExecStart=/usr/local/bin/upper
//! ExecReload=/bin/kill -USR2 $MAINPID
//! KillMode=mixed
//! TimeoutStopSec=20
//! WatchdogSec=30
//! LimitNOFILE=65536
//! ```
//!
//! [`Sockets`](crate::deploy::Sockets) are what systemd has opened, [`Builder::adopt`](crate::Builder::adopt) serves on
//! one, and [`Manager::watch`](crate::deploy::systemd::Manager::watch) has systemd told of the start (`READY=1`), the
//! drain (`STOPPING=1`), the counters (`STATUS=`) and that the serve loop turns (`WATCHDOG=1`). `TimeoutStopSec=` is
//! longer than the [`drain_timeout`](crate::Builder::drain_timeout), which is 15 s by default. `KillMode=mixed` sends
//! SIGTERM to the main process alone: children of [`PreFork`](crate::PreFork) ignore it in any case, those of
//! [`Fork`](crate::Fork) would end in the middle of their requests.
//!
//! # From inetd
//!
//! [`deploy::inetd`](crate::deploy::inetd) serves the one connection that a program was started with:
//!
//! ```no_run
//! use std::io::Write;
//! use std::net::TcpStream;
//! use socketserver::handler::function;
//! use socketserver::{Flow, ServerOptions, Stream, deploy::inetd};
//!
//! let upper = function(|request: &mut Stream<TcpStream>| {
//!     let Some(line) = request.line()? else { return Ok(Flow::Continue) };
//!     request.write_all(line.to_uppercase().as_bytes())?;
//!     Ok(Flow::Continue)
//! });
//! inetd::serve(upper, ServerOptions::new())?;
//! # Ok::<(), inetd::InetdError>(())
//! ```
//!
//! A line of `/etc/inetd.conf`, the same by socat, and the same by systemd, whose journal has what the program says on
//! standard error:
//!
//! ```text
//! 7007 stream tcp nowait nobody /usr/local/bin/upper upper
//!
//! socat TCP-LISTEN:7007,fork,reuseaddr EXEC:/usr/local/bin/upper,nofork
//!
//! # upper.socket
//! [Socket]
//! ListenStream=7007
//! Accept=yes
//!
//! # upper@.service
//! [Service]
//! ExecStart=-/usr/local/bin/upper
//! StandardInput=socket
//! StandardError=journal
//! ```
//!
//! Starting a program for each connection costs more than [`Fork`](crate::Fork), which only forks. It is for programs
//! that are seldom asked, and then need no memory in between.
//!
//! # Hot restart
//!
//! [`Restart`](crate::deploy::Restart) starts the program anew, with the listeners of this process, when SIGUSR2 comes.
//! When the new process serves, the old one [hands over](crate::StopHandle::hand_over): what is open is served, and
//! closed behind an answer. If the new one exits, does not come to serve in time, or cannot be executed, the old one
//! serves on, and [`RestartFailed`](crate::Event::RestartFailed) says why.
//!
//! To deploy a new version, move it into the place of the old one (`mv`; a file that runs cannot be written to), and
//! send the signal: `systemctl reload upper`, with the units above. A client that keeps its connection alive has to
//! expect that it is closed between two requests, as with every server. What the program has in memory is not passed
//! on.
//!
//! # Signals
//!
//! None is handled unasked. With [`stop_on_signals`](crate::signals::stop_on_signals) and
//! [`Restart::on_signal`](crate::deploy::Restart::on_signal):
//!
//! | signal | the server | children of `PreFork` | children of `Fork` |
//! |---|---|---|---|
//! | SIGTERM | the first drains, the second stops at once | ignore it: the server tells them | end at once |
//! | SIGINT | as SIGTERM; ignored if it was when the program started | ignore it: the server tells them | ignore it, and finish |
//! | SIGUSR2 | starts the program anew | ignore it | end at once |
//! | SIGHUP | ends at once, its default | end at once, and are replaced | end at once |
//! | SIGHUP, with [`wake_on_signal`](crate::signals::wake_on_signal) | calls `service_actions` | ignore it: the server passes it on | ignore it |
//! | SIGKILL | ends at once | end at once, and are replaced | end at once |
//! | SIGPIPE | ignored, by Rust's standard library | ignored | ignored |
//!
//! Whichever way a server under `PreFork` ends, its children drain when it has gone. Those of `Fork` serve their requests
//! to the end. [The chapter on stopping](super::stopping) has what a drain does.
//!
//! # Behind HAProxy
//!
//! Several servers on ports of their own, any of which may be killed, restarted or drained:
//!
//! ```text
#![doc = include_str!("../../docs/haproxy.cfg")]
//! ```
//!
//! - `send-proxy-v2` says whose a connection is; the transport is a
//!   [`ProxyProtocol`](crate::transport::ProxyProtocol) that trusts the balancer. [The chapter on wrapping
//!   transports](super::wrapping_transports) has it. The health checks send the header as well.
//! - A server that is hot restarted never refuses a connection, and the balancer notices nothing.
//! - A server that stops or is killed refuses connections from then on. `redispatch 1` tries another server at once,
//!   and `check` takes it out of the rotation until it is there again.
//! - A connection that ends without an answer is an `empty-response`: the server was killed, or it stopped while a
//!   request was on its way. Trying again is right for requests that may be done twice; have it only where all are of
//!   that kind.
//! - What a killed server had begun to answer is lost, and nothing else is.
//! - HAProxy resets the connections to a server that it needs no more. For the server that is an error of which
//!   [`is_disconnect`](crate::RequestError::is_disconnect) is true, and the report counts it as failed.
//! - A process that has handed over may wait for connections that HAProxy keeps and does not use until its
//!   [`drain_timeout`](crate::Builder::drain_timeout). The new one serves meanwhile.
//!
//! On one machine and behind one address [`PreFork`](crate::PreFork) is simpler: a child that crashes is replaced, and
//! no balancer is needed.
//!
//! # Limits to raise
//!
//! - Descriptors: each connection takes one. `LimitNOFILE=` of the unit, or `ulimit -n`;
//!   [`max_connections`](crate::Builder::max_connections) is three quarters of it by default, and 16 384 at most.
//! - The backlog: the kernel clamps it to `net.core.somaxconn` (4096 on Linux since 5.4). A socket unit has `Backlog=`.
//! - Threads and processes: `TasksMax=` of the unit bounds what `ThreadPerRequest`, `Pool` and `Fork` may start.
//! - Unix datagrams: `net.unix.max_dgram_qlen` is how many messages wait for one reader (10 by default).
//!
//! [Limits and timeouts](super::limits) has those of the server itself.
//!
//! # In a container
//!
//! The program is process 1 of its container. A process 1 does not die of a SIGTERM that it has no handler for, so that the
//! container would be killed after its time: use [`stop_on_signals`](crate::signals::stop_on_signals). Docker kills
//! after 10 s by default, Kubernetes after 30 s: have the [`drain_timeout`](crate::Builder::drain_timeout) end before.
//!
//! A hot restart is refused in a process 1, because the container would end with it: roll out a new container instead.
//!
//! Processes that have lost their parent become children of process 1, which collects only those that it has started
//! itself. Where handlers start programs that start others, have a small init as process 1 (`docker run --init`).
