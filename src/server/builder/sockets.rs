//! Options that only some transports have.

use std::time::Duration;

use super::Builder;
use crate::transport::Tcp;
use crate::transport::Udp;
#[cfg(unix)]
use crate::transport::UnixDatagram;
#[cfg(unix)]
use crate::transport::UnixStream;

impl<D, H> Builder<Tcp, D, H> {
    /// How many clients may wait to be accepted. Default 4096; the kernel clamps it to `net.core.somaxconn`.
    pub fn backlog(mut self, backlog: u32) -> Self {
        self.transport.backlog = backlog;
        self
    }

    /// Whether a port with connections in `TIME_WAIT` can be bound (`SO_REUSEADDR`). Default true; without effect on
    /// Windows, where the option means something else.
    pub fn reuse_address(mut self, reuse: bool) -> Self {
        self.transport.reuse_address = reuse;
        self
    }

    /// Whether several servers may listen on the port and share its clients (`SO_REUSEPORT`). Default false.
    #[cfg(unix)]
    pub fn reuse_port(mut self, reuse: bool) -> Self {
        self.transport.reuse_port = reuse;
        self
    }

    /// Whether an IPv6 socket takes IPv6 clients only (`IPV6_V6ONLY`). Default: as the system is set up.
    pub fn only_v6(mut self, only_v6: bool) -> Self {
        self.transport.only_v6 = Some(only_v6);
        self
    }

    /// Whether small writes are sent at once (`TCP_NODELAY`). Default true.
    pub fn nodelay(mut self, nodelay: bool) -> Self {
        self.transport.nodelay = nodelay;
        self
    }

    /// After how much silence the system asks a client whether it is still there, and how often from then on
    /// (`SO_KEEPALIVE`): one that has vanished without a word, which no close or reset tells of, is found out after some
    /// unanswered probes (nine, on Linux). Whole seconds from 1 to 32 767; others are an error of `bind`. Default
    /// `None`: no probes, because the [`idle_timeout`](Self::idle_timeout) is over sooner; use it where that is off.
    pub fn keepalive(mut self, period: impl Into<Option<Duration>>) -> Self {
        self.transport.keepalive = period.into();
        self
    }
}

impl<D, H> Builder<Udp, D, H> {
    /// The longest message that is received whole; the rest of a longer one is lost, and it is marked
    /// [`truncated`](crate::Datagram::truncated). Default 65 535: any UDP message.
    pub fn max_datagram_size(mut self, bytes: usize) -> Self {
        self.transport.max_datagram_size = bytes;
        self
    }

    /// Whether other sockets may be bound to the port, too (`SO_REUSEADDR`). Default false: on most systems it lets
    /// another process take messages away.
    pub fn reuse_address(mut self, reuse: bool) -> Self {
        self.transport.reuse_address = reuse;
        self
    }

    /// Whether several servers may share the port's messages (`SO_REUSEPORT`). Default false.
    #[cfg(unix)]
    pub fn reuse_port(mut self, reuse: bool) -> Self {
        self.transport.reuse_port = reuse;
        self
    }

    /// Whether an IPv6 socket takes IPv6 messages only (`IPV6_V6ONLY`). Default: as the system is set up.
    pub fn only_v6(mut self, only_v6: bool) -> Self {
        self.transport.only_v6 = Some(only_v6);
        self
    }
}

#[cfg(unix)]
impl<D, H> Builder<UnixStream, D, H> {
    /// How many clients may wait to be accepted. Default 4096; the kernel clamps it to `net.core.somaxconn`.
    pub fn backlog(mut self, backlog: u32) -> Self {
        self.transport.backlog = backlog;
        self
    }

    /// The permissions of the socket's file, in force before anybody can connect: `0o660`, say; more than `0o777` is an
    /// error of `bind`. Default: as the umask has it.
    pub fn mode(mut self, mode: u32) -> Self {
        self.transport.mode = Some(mode);
        self
    }
}

#[cfg(unix)]
impl<D, H> Builder<UnixDatagram, D, H> {
    /// The longest message that is received whole; the rest of a longer one is lost, and it is marked
    /// [`truncated`](crate::Datagram::truncated). Default 65 535.
    pub fn max_datagram_size(mut self, bytes: usize) -> Self {
        self.transport.max_datagram_size = bytes;
        self
    }

    /// The permissions of the socket's file, in force before anybody can send: `0o660`, say; more than `0o777` is an
    /// error of `bind`. Default: as the umask has it.
    pub fn mode(mut self, mode: u32) -> Self {
        self.transport.mode = Some(mode);
        self
    }
}
