//! Deployment: process managers, restarts, signals, load balancers, system limits, containers.
//!
//! # A deployable program
//!
//! It serves on a socket opened by systemd, on one inherited from the previous process, or on an address. It reports its
//! state to systemd, shuts down gracefully, and can be restarted without a client noticing:
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
//! // First of all: it records the path of the program.
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
//! The socket exists before the service, and remains when the service is restarted: meanwhile clients wait in its backlog,
//! and none is refused. A restart closes connections that are idle; a hot restart serves those, too. `docs/units/` in the
//! repository has two such units, for the example `kv`, with a sandbox around the service.
//!
//! ```ini
//! # upper.socket
//! [Socket]
//! ListenStream=127.0.0.1:7007
//! # The name the program asks for.
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
//! [`Sockets`](crate::deploy::Sockets) holds the sockets that systemd has opened, [`Builder::adopt`](crate::Builder::adopt)
//! serves on one, and [`Manager::watch`](crate::deploy::systemd::Manager::watch) notifies systemd of the start (`READY=1`),
//! the drain (`STOPPING=1`), the counters (`STATUS=`) and that the serve loop is alive (`WATCHDOG=1`). `TimeoutStopSec=` has
//! to be longer than the [`drain_timeout`](crate::Builder::drain_timeout), 15 s by default. `KillMode=mixed` sends SIGTERM to
//! the main process alone: children of [`PreFork`](crate::PreFork) ignore it, but children of [`Fork`](crate::Fork) would end
//! in the middle of their requests.
//!
//! # From inetd
//!
//! [`deploy::inetd`](crate::deploy::inetd) serves the single connection that a program was started with:
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
//! A line of `/etc/inetd.conf`, the same with socat, and the same with systemd, where standard error goes to the journal:
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
//! Starting a program for each connection costs more than [`Fork`](crate::Fork), which only forks. It suits programs that
//! are rarely needed, which then use no memory in between.
//!
//! # Hot restart
//!
//! On SIGUSR2, [`Restart`](crate::deploy::Restart) starts the program again and passes it the listeners of this process.
//! Once the new process serves, the old one [hands over](crate::StopHandle::hand_over): each open connection is served, and
//! closed after its next reply. If the new process exits, does not serve in time, or cannot be executed, the old one keeps
//! serving, and [`RestartFailed`](crate::Event::RestartFailed) says why.
//!
//! To deploy a new version, move it over the old one (with `mv`; the file of a running program cannot be written to), and
//! send the signal: `systemctl reload upper`, with the units above. As with every server, a client that keeps its connection
//! alive has to expect that it is closed between two requests. The state in the memory of the program is not passed on.
//!
//! # Signals
//!
//! By default no signal is handled. With [`stop_on_signals`](crate::signals::stop_on_signals) and
//! [`Restart::on_signal`](crate::deploy::Restart::on_signal):
//!
//! | signal | the server | children of `PreFork` | children of `Fork` |
//! |---|---|---|---|
//! | SIGTERM | the first drains, the second stops at once | ignore it: the server tells them | end at once |
//! | SIGINT | as SIGTERM; ignored if it was ignored when the program started | ignore it: the server tells them | ignore it, and finish |
//! | SIGUSR2 | starts the program again | ignore it | end at once |
//! | SIGHUP | ends at once, its default | end at once, and are replaced | end at once |
//! | SIGHUP, with [`wake_on_signal`](crate::signals::wake_on_signal) | calls `service_actions` | ignore it: the server forwards it | ignore it |
//! | SIGKILL | ends at once | end at once, and are replaced | end at once |
//! | SIGPIPE | ignored, by Rust's standard library | ignored | ignored |
//!
//! However a server under `PreFork` ends, its children then drain. Those of `Fork` serve their requests to the end. [The
//! chapter on stopping](super::stopping) describes the drain.
//!
//! # Behind HAProxy
//!
//! Several servers, each on its own port, any of which may be killed, restarted or drained:
//!
//! ```text
#![doc = include_str!("../../docs/haproxy.cfg")]
//! ```
//!
//! - `send-proxy-v2` announces the address of the client; the transport is a
//!   [`ProxyProtocol`](crate::transport::ProxyProtocol) that trusts the load balancer (see [wrapping
//!   transports](super::wrapping_transports)). The health checks send the header as well.
//! - During a hot restart the server never refuses a connection, and HAProxy does not notice.
//! - A server that has stopped or was killed refuses connections. `redispatch 1` tries another server at once, and `check`
//!   takes it out of rotation until it is back.
//! - A connection that is closed without a response is an `empty-response`: the server was killed, or it stopped while a
//!   request was on its way. Retrying those is safe only if every request may be executed twice.
//! - If a server is killed, only the responses it had begun are lost.
//! - HAProxy resets connections that it no longer needs. For the server that is an error for which
//!   [`is_disconnect`](crate::RequestError::is_disconnect) is true, and the report counts it as failed.
//! - A process that has handed over may wait until its [`drain_timeout`](crate::Builder::drain_timeout) for connections that
//!   HAProxy keeps open but does not use. The new process serves meanwhile.
//!
//! On one machine and one address, [`PreFork`](crate::PreFork) is simpler: a child that crashes is replaced, and no load
//! balancer is needed.
//!
//! # Limits to raise
//!
//! - Descriptors: each connection takes one. Raise `LimitNOFILE=` of the unit, or `ulimit -n`; by default
//!   [`max_connections`](crate::Builder::max_connections) is three quarters of it, and at most 16 384.
//! - The backlog: the kernel clamps it to `net.core.somaxconn` (4096 on Linux since 5.4). A socket unit has `Backlog=`.
//! - Threads and processes: `TasksMax=` of the unit bounds what `ThreadPerRequest`, `Pool` and `Fork` may start.
//! - Unix datagrams: `net.unix.max_dgram_qlen` is how many datagrams can wait for one reader (10 by default).
//!
//! [Limits and timeouts](super::limits) lists those of the server itself.
//!
//! # In a container
//!
//! The program is process 1 of its container. Process 1 ignores a SIGTERM that it has no handler for, so the container would
//! be killed after its grace period: use [`stop_on_signals`](crate::signals::stop_on_signals). The grace period is 10 s by
//! default in Docker and 30 s in Kubernetes; choose a shorter [`drain_timeout`](crate::Builder::drain_timeout).
//!
//! A hot restart is refused in process 1, because the container would end with it: roll out a new container instead.
//!
//! Orphaned processes become children of process 1, which collects only the children it has started itself. If handlers
//! start programs that start others, run a small init as process 1 (`docker run --init`).
