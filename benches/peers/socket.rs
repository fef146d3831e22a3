//! The client's end of a connection, of each kind that is measured.

use std::io::Read;
use std::io::Result;
use std::io::Write;
use std::net::TcpStream;
use std::os::fd::AsFd;
use std::os::fd::BorrowedFd;
use std::os::unix::net::UnixStream;

use crate::servers::Address;
use crate::servers::Outcome;
use crate::session::Session;

pub(crate) enum Socket {
    Tcp(TcpStream),
    Tls(Box<Session>),
    Unix(UnixStream),
}

impl Socket {
    /// A socket that blocks until it is told otherwise.
    pub(crate) fn connect(address: &Address) -> Outcome<Self> {
        let tcp = |address: &str| -> Result<TcpStream> {
            let socket = TcpStream::connect(address)?;
            socket.set_nodelay(true)?;
            Ok(socket)
        };
        match address {
            Address::Tcp(address) => Ok(Self::Tcp(tcp(address)?)),
            Address::Tls(address) => Ok(Self::Tls(Box::new(Session::over(tcp(address)?)?))),
            Address::Unix(path) => Ok(Self::Unix(UnixStream::connect(path)?)),
            Address::Udp(_) => Err("datagrams have a load of their own".into()),
        }
    }

    pub(crate) fn set_nonblocking(&self) -> Result<()> {
        match self {
            Self::Tcp(socket) => socket.set_nonblocking(true),
            Self::Tls(session) => session.get_ref().set_nonblocking(true),
            Self::Unix(socket) => socket.set_nonblocking(true),
        }
    }

    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        match self {
            Self::Tcp(socket) => socket.read(buffer),
            Self::Tls(session) => session.read(buffer),
            Self::Unix(socket) => socket.read(buffer),
        }
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<usize> {
        match self {
            Self::Tcp(socket) => socket.write(bytes),
            Self::Tls(session) => session.write(bytes),
            Self::Unix(socket) => socket.write(bytes),
        }
    }

    /// Sends what the socket itself holds, as far as the server takes it now.
    pub(crate) fn flush(&mut self) -> Result<()> {
        match self {
            Self::Tls(session) => session.flush(),
            Self::Tcp(_) | Self::Unix(_) => Ok(()),
        }
    }

    /// Whether a read that has left room has read all that was there.
    pub(crate) fn is_emptied_by_a_short_read(&self) -> bool {
        match self {
            Self::Tls(session) => session.is_emptied(),
            Self::Tcp(_) | Self::Unix(_) => true,
        }
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Tcp(socket) => socket.as_fd(),
            Self::Tls(session) => session.get_ref().as_fd(),
            Self::Unix(socket) => socket.as_fd(),
        }
    }
}
