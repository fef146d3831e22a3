//! Options that only some transports have: those of the innermost socket.

use std::time::Duration;

use super::Builder;
use crate::transport::Bind;
use crate::transport::Offers;
#[cfg(feature = "tls")]
use crate::transport::TlsConfig;
#[cfg(feature = "tls")]
use crate::transport::TlsOptions;
use crate::transport::option;

impl<T: Bind, D, H> Builder<T, D, H> {
    /// How many clients may wait to be accepted, on TCP and Unix-domain streams. Default 4096; the kernel clamps it to
    /// `net.core.somaxconn`.
    pub fn backlog(self, backlog: u32) -> Self
    where
        T::Options: Offers<option::Backlog>,
    {
        self.set(option::Backlog(backlog))
    }

    /// `SO_REUSEADDR`. On TCP: whether a port with connections in `TIME_WAIT` can be bound; default true, without effect
    /// on Windows, where the option means something else. On UDP: whether other sockets may be bound to the port, too;
    /// default false, because on most systems it lets another process take messages away.
    pub fn reuse_address(self, reuse: bool) -> Self
    where
        T::Options: Offers<option::ReuseAddress>,
    {
        self.set(option::ReuseAddress(reuse))
    }

    /// Whether several servers may listen on the port and share its clients, or its messages (`SO_REUSEPORT`). Default
    /// false.
    #[cfg(unix)]
    pub fn reuse_port(self, reuse: bool) -> Self
    where
        T::Options: Offers<option::ReusePort>,
    {
        self.set(option::ReusePort(reuse))
    }

    /// Whether an IPv6 socket accepts IPv6 peers only (`IPV6_V6ONLY`). Default: the system's.
    pub fn only_v6(self, only_v6: bool) -> Self
    where
        T::Options: Offers<option::OnlyV6>,
    {
        self.set(option::OnlyV6(only_v6))
    }

    /// Whether small writes are sent at once (`TCP_NODELAY`). Default true.
    pub fn nodelay(self, nodelay: bool) -> Self
    where
        T::Options: Offers<option::NoDelay>,
    {
        self.set(option::NoDelay(nodelay))
    }

    /// How long a client is silent before the system probes it, and the interval of the probes (`SO_KEEPALIVE`): a
    /// client that has vanished without a close or reset is detected after some unanswered probes (nine, on Linux).
    /// Whole seconds from 1 to 32 767; other values are an error of `bind`. Default `None`: no probes, because the
    /// [`idle_timeout`](Self::idle_timeout) is shorter; set it if that is disabled.
    pub fn keepalive(self, period: impl Into<Option<Duration>>) -> Self
    where
        T::Options: Offers<option::KeepAlive>,
    {
        self.set(option::KeepAlive(period.into()))
    }

    /// The longest datagram that is received whole, in bytes; a longer one is truncated, and marked
    /// [`truncated`](crate::Datagram::truncated). Default 65 535: any UDP datagram.
    pub fn max_datagram_size(self, bytes: usize) -> Self
    where
        T::Options: Offers<option::MaxDatagramSize>,
    {
        self.set(option::MaxDatagramSize(bytes))
    }

    /// The permissions of a Unix-domain socket's file, such as `0o660`, in force before a client can connect or send.
    /// More than `0o777` is an error of `bind`. Default: determined by the umask.
    #[cfg(unix)]
    pub fn mode(self, mode: u32) -> Self
    where
        T::Options: Offers<option::Mode>,
    {
        self.set(option::Mode(mode))
    }

    fn set<O>(mut self, option: O) -> Self
    where
        T::Options: Offers<O>,
    {
        self.transport.set(option);
        self
    }
}

#[cfg(feature = "tls")]
impl<T, O, D, H> Builder<T, D, H>
where
    T: Bind<Options = TlsOptions<O>>,
{
    /// The certificate, its key and the other TLS settings, if [`Tls`](crate::Tls) or
    /// [`StartTls`](crate::transport::StartTls) is the outermost transport. There is no default: without it `bind`
    /// fails.
    pub fn tls(mut self, config: TlsConfig) -> Self {
        self.transport.set_config(config);
        self
    }
}
