//! The sixteen flavours: a name for every transport under every dispatch; and four more with the feature `tls`.

#[cfg(unix)]
use crate::dispatch::Fork;
use crate::dispatch::Pool;
use crate::dispatch::Sync;
use crate::dispatch::ThreadPerRequest;
use crate::server::Server;
use crate::transport::Tcp;
#[cfg(feature = "tls")]
use crate::transport::Tls;
use crate::transport::Udp;
#[cfg(unix)]
use crate::transport::UnixDatagram;
#[cfg(unix)]
use crate::transport::UnixStream;

/// TCP, one thread.
pub type TcpServer<H> = Server<Tcp, Sync, H>;
/// TCP, a thread per connection.
pub type ThreadingTcpServer<H> = Server<Tcp, ThreadPerRequest, H>;
/// TCP, a process per connection.
#[cfg(unix)]
pub type ForkingTcpServer<H> = Server<Tcp, Fork, H>;
/// TCP, a pool of threads.
pub type PoolTcpServer<H> = Server<Tcp, Pool, H>;

/// UDP, one thread.
pub type UdpServer<H> = Server<Udp, Sync, H>;
/// UDP, a thread per datagram.
pub type ThreadingUdpServer<H> = Server<Udp, ThreadPerRequest, H>;
/// UDP, a process per datagram.
#[cfg(unix)]
pub type ForkingUdpServer<H> = Server<Udp, Fork, H>;
/// UDP, a pool of threads.
pub type PoolUdpServer<H> = Server<Udp, Pool, H>;

/// Unix-domain streams, one thread.
#[cfg(unix)]
pub type UnixStreamServer<H> = Server<UnixStream, Sync, H>;
/// Unix-domain streams, a thread per connection.
#[cfg(unix)]
pub type ThreadingUnixStreamServer<H> = Server<UnixStream, ThreadPerRequest, H>;
/// Unix-domain streams, a process per connection.
#[cfg(unix)]
pub type ForkingUnixStreamServer<H> = Server<UnixStream, Fork, H>;
/// Unix-domain streams, a pool of threads.
#[cfg(unix)]
pub type PoolUnixStreamServer<H> = Server<UnixStream, Pool, H>;

/// Unix-domain datagrams, one thread.
#[cfg(unix)]
pub type UnixDatagramServer<H> = Server<UnixDatagram, Sync, H>;
/// Unix-domain datagrams, a thread per datagram.
#[cfg(unix)]
pub type ThreadingUnixDatagramServer<H> = Server<UnixDatagram, ThreadPerRequest, H>;
/// Unix-domain datagrams, a process per datagram.
#[cfg(unix)]
pub type ForkingUnixDatagramServer<H> = Server<UnixDatagram, Fork, H>;
/// Unix-domain datagrams, a pool of threads.
#[cfg(unix)]
pub type PoolUnixDatagramServer<H> = Server<UnixDatagram, Pool, H>;

/// TLS over TCP, one thread.
#[cfg(feature = "tls")]
pub type TlsServer<H> = Server<Tls<Tcp>, Sync, H>;
/// TLS over TCP, a thread per connection.
#[cfg(feature = "tls")]
pub type ThreadingTlsServer<H> = Server<Tls<Tcp>, ThreadPerRequest, H>;
/// TLS over TCP, a process per connection.
#[cfg(all(feature = "tls", unix))]
pub type ForkingTlsServer<H> = Server<Tls<Tcp>, Fork, H>;
/// TLS over TCP, a pool of threads.
#[cfg(feature = "tls")]
pub type PoolTlsServer<H> = Server<Tls<Tcp>, Pool, H>;
