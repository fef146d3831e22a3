//! TLS over any transport of streams.

mod builder;
mod config;
mod handshake;
mod loaded;
mod names;
mod options;
mod pem;
mod scratch;
mod session;
mod socket;
mod start_tls;
mod tickets;
mod words;

use std::fmt;
use std::io;

pub use self::builder::TlsConfigBuilder;
pub use self::config::TlsConfig;
pub use self::handshake::Handshake;
pub use self::options::TlsOptions;
pub use self::socket::TlsSocket;
pub use self::start_tls::InTheClear;
pub use self::start_tls::StartTls;
pub use self::start_tls::StartTlsSocket;
use super::Adopt;
use super::Bind;
use super::Transport;
use super::listens_as_inner;
use crate::error::BindError;
pub use crate::error::TlsConfigError;
use crate::request::Socket;
use crate::request::Stream;

/// TLS over the transport `T` inside: [`Tcp`](super::Tcp), `UnixStream`, or one that wraps another, whose requests are
/// streams.
/// Its own requests are [`Stream<TlsSocket<S>>`](TlsSocket), where `T` has `Stream<S>`.
///
/// ```
/// use std::io::Write;
/// use socketserver::{Flow, PoolTlsServer, TlsConfig};
///
/// # let made = rcgen::generate_simple_self_signed(["localhost".to_owned()])?;
/// # let (certificate, key) = (made.cert.pem(), made.signing_key.serialize_pem());
/// // Mostly they are in files: `TlsConfig::from_pem_files`.
/// let config = TlsConfig::from_pem(certificate, key)?;
/// let server = PoolTlsServer::builder_fn(|request| {
///     let name = request.get_ref().server_name().unwrap_or("stranger").to_owned();
///     writeln!(request, "you have asked for {name}")?;
///     Ok(Flow::Close)
/// })
/// .tls(config)
/// .bind("127.0.0.1:0")?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// The handshake is part of the second phase of a request and goes in turns: under `Sync` and `Pool` a client that is slow
/// holds no thread, and one that is silent costs its socket and a timer. The builder's
/// [`establish_timeout`](crate::Builder::establish_timeout) is for all of it; `verify_request` comes after it. Under
/// `Fork` it is the child that makes it. What goes wrong is told at [`Stage::Establish`](crate::Stage::Establish), in
/// words.
///
/// Both sides end with `close_notify`. What it means if the client's is missing: see
/// [`Stream::is_truncated`](crate::Stream::is_truncated).
///
/// The chapter on [TLS](crate::guide::tls) says how certificates are renewed, what a connection costs, and what is not
/// defended.
pub struct Tls<T> {
    inner: T,
    config: TlsConfig,
}

impl<T> Tls<T> {
    /// Wraps a transport that exists already, with what `config` shows and asks.
    pub fn over(inner: T, config: TlsConfig) -> Self {
        Self { inner, config }
    }

    /// The transport inside.
    pub fn get_ref(&self) -> &T {
        &self.inner
    }

    /// The configuration: a handle.
    pub fn config(&self) -> &TlsConfig {
        &self.config
    }
}

impl<T, S> Transport for Tls<T>
where
    T: Transport<Request = Stream<S>>,
    S: Socket + 'static,
{
    type Request = Stream<TlsSocket<S>>;
    type Pending = Handshake<T::Pending, S>;
    type Addr = T::Addr;

    fn accept(&mut self) -> io::Result<Self::Pending> {
        self.config.keep_up();
        self.inner.accept().map(|pending| Handshake::new(pending, &self.config))
    }

    fn local_addr(&self) -> T::Addr {
        self.inner.local_addr()
    }

    listens_as_inner!();
}

/// Makes a transport with a `config` that wraps another bind, adopt and show itself as the other does.
macro_rules! wraps_with_config {
    ($transport:ident) => {
        impl<T, S> Bind for $transport<T>
        where
            T: Bind<Request = Stream<S>>,
            S: Socket + 'static,
        {
            type Address = T::Address;
            type Options = TlsOptions<T::Options>;

            fn bind(address: &T::Address, options: &Self::Options) -> Result<Self, BindError> {
                let config = options.config()?.clone();
                Ok(Self::over(T::bind(address, &options.inner)?, config))
            }
        }

        impl<T, S> Adopt for $transport<T>
        where
            T: Adopt<Request = Stream<S>>,
            S: Socket + 'static,
        {
            type Socket = T::Socket;

            fn adopt(socket: T::Socket, options: &Self::Options) -> Result<Self, BindError> {
                let config = options.config()?.clone();
                Ok(Self::over(T::adopt(socket, &options.inner)?, config))
            }
        }

        impl<T: fmt::Debug> fmt::Debug for $transport<T> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($transport))
                    .field("inner", &self.inner)
                    .field("config", &self.config)
                    .finish()
            }
        }

        #[cfg(unix)]
        impl<T: std::os::fd::AsFd> std::os::fd::AsFd for $transport<T> {
            fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
                self.inner.as_fd()
            }
        }
    };
}
use wraps_with_config;

wraps_with_config!(Tls);
