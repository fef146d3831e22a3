//! TLS over any stream transport.

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

/// TLS over the transport `T`: [`Tcp`](super::Tcp), `UnixStream`, or a wrapper, whose requests are streams. If the
/// requests of `T` are `Stream<S>`, those of `Tls<T>` are [`Stream<TlsSocket<S>>`](TlsSocket).
///
/// ```
/// use std::io::Write;
/// use socketserver::{Flow, PoolTlsServer, TlsConfig};
///
/// # let made = rcgen::generate_simple_self_signed(["localhost".to_owned()])?;
/// # let (certificate, key) = (made.cert.pem(), made.signing_key.serialize_pem());
/// // Usually from files: `TlsConfig::from_pem_files`.
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
/// The handshake is the second phase of a request and does not block: under `Sync` and `Pool` a slow client holds no
/// thread, and a silent one costs its socket and a timer. The builder's
/// [`establish_timeout`](crate::Builder::establish_timeout) applies to the whole handshake; `verify_request` is called
/// after it. Under `Fork` the child performs it. Errors have the stage [`Stage::Establish`](crate::Stage::Establish).
///
/// Both sides close with `close_notify`. For a client that does not, see
/// [`Stream::is_truncated`](crate::Stream::is_truncated).
///
/// See the chapter on [TLS](crate::guide::tls) for certificate renewal, what a connection costs, and what is not
/// defended.
pub struct Tls<T> {
    inner: T,
    config: TlsConfig,
}

impl<T> Tls<T> {
    /// Wraps an existing transport.
    pub fn over(inner: T, config: TlsConfig) -> Self {
        Self { inner, config }
    }

    /// The inner transport.
    pub fn get_ref(&self) -> &T {
        &self.inner
    }

    /// A handle to the configuration.
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
