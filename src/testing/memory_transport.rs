//! A transport in memory, which has one request.

use std::fmt;
use std::io;
use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::OnceLock;

use super::memory_socket::MemorySocket;
use crate::request::Request;
use crate::request::Stream;
use crate::stop::StopHandle;
use crate::sys::Descriptor;
use crate::sys::flag::Flag;
use crate::transport::Immediate;
use crate::transport::Transport;

/// The address of the peer that is not there, from the block for documentation.
pub(super) const PEER: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), 1);

/// The transport of a connection in memory: what [`converse_over`](super::converse_over) gives to be wrapped.
///
/// It has one connection, whose peer has the address 192.0.2.1, port 1.
pub struct Memory<R = Stream<MemorySocket>> {
    request: Option<R>,
    /// Raised while the request is there.
    ready: Flag,
    stop: Arc<OnceLock<StopHandle>>,
}

impl<R> Memory<R> {
    pub(super) fn new(request: R, stop: Arc<OnceLock<StopHandle>>) -> Self {
        let ready = Flag::new().expect("a descriptor");
        ready.raise();
        Self { request: Some(request), ready, stop }
    }
}

impl<R: Request + 'static> Transport for Memory<R> {
    type Request = R;
    type Pending = Immediate<R>;
    type Addr = SocketAddr;

    fn accept(&mut self) -> io::Result<Immediate<R>> {
        self.ready.clear();
        self.request.take().map(Immediate).ok_or_else(|| {
            // The request has ended at once, and there will not be another.
            if let Some(stop) = self.stop.get() {
                stop.shutdown();
            }
            io::ErrorKind::WouldBlock.into()
        })
    }

    fn descriptor(&self) -> Descriptor<'_> {
        self.ready.descriptor()
    }

    fn local_addr(&self) -> SocketAddr {
        SocketAddr::new(PEER.ip(), 0)
    }
}

impl<R> fmt::Debug for Memory<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Memory").field("accepted", &self.request.is_none()).finish_non_exhaustive()
    }
}
