//! The options of sockets, each as a type, so that the builder can set them through any wrapper.

use std::time::Duration;

use super::TcpOptions;
use super::UdpOptions;
#[cfg(unix)]
use super::UnixDatagramOptions;
#[cfg(unix)]
use super::UnixStreamOptions;

/// Options that include the option `O`: the bound of [`Builder::backlog`](crate::Builder::backlog) and the like on a
/// transport's [`Options`](super::Bind::Options).
///
/// The options of a transport that wraps another offer what those of the inner one do, so that the builder's methods
/// work through all wrappers:
///
/// ```
/// use socketserver::transport::{Bind, Offers};
///
/// /// The options of a transport over `T`.
/// struct GuardedOptions<T: Bind> {
///     inner: T::Options,
///     password: String,
/// }
///
/// impl<O, T: Bind<Options: Offers<O>>> Offers<O> for GuardedOptions<T> {
///     fn set(&mut self, option: O) {
///         self.inner.set(option);
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "this transport has no option `{O}`",
    label = "`{Self}` does not offer `{O}`",
    note = "options of a custom transport are set with `transport_options`; one that wraps another passes its options on by implementing `Offers`"
)]
pub trait Offers<O> {
    /// Sets the option.
    fn set(&mut self, option: O);
}

/// How many clients may wait to be accepted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Backlog(pub u32);

/// How long a client is silent before it is probed, and the interval of the probes (`SO_KEEPALIVE`).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct KeepAlive(pub Option<Duration>);

/// The longest message that is received whole.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct MaxDatagramSize(pub usize);

/// The permissions of a socket's file.
#[cfg(unix)]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Mode(pub u32);

/// Whether small writes are sent at once (`TCP_NODELAY`).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct NoDelay(pub bool);

/// Whether an IPv6 socket takes IPv6 peers only (`IPV6_V6ONLY`).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct OnlyV6(pub bool);

/// Whether an address can be reused (`SO_REUSEADDR`); see [`Builder::reuse_address`](crate::Builder::reuse_address).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ReuseAddress(pub bool);

/// Whether several servers may share the port (`SO_REUSEPORT`).
#[cfg(unix)]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ReusePort(pub bool);

macro_rules! offers {
    ($($(#[$attribute:meta])* $options:ty: $option:ident => $field:ident;)+) => {$(
        $(#[$attribute])*
        impl Offers<$option> for $options {
            fn set(&mut self, $option(value): $option) {
                self.$field = value.into();
            }
        }
    )+};
}

offers! {
    TcpOptions: Backlog => backlog;
    TcpOptions: KeepAlive => keepalive;
    TcpOptions: NoDelay => nodelay;
    TcpOptions: OnlyV6 => only_v6;
    TcpOptions: ReuseAddress => reuse_address;
    #[cfg(unix)]
    TcpOptions: ReusePort => reuse_port;
    UdpOptions: MaxDatagramSize => max_datagram_size;
    UdpOptions: OnlyV6 => only_v6;
    UdpOptions: ReuseAddress => reuse_address;
    #[cfg(unix)]
    UdpOptions: ReusePort => reuse_port;
    #[cfg(unix)]
    UnixStreamOptions: Backlog => backlog;
    #[cfg(unix)]
    UnixStreamOptions: Mode => mode;
    #[cfg(unix)]
    UnixDatagramOptions: MaxDatagramSize => max_datagram_size;
    #[cfg(unix)]
    UnixDatagramOptions: Mode => mode;
}
