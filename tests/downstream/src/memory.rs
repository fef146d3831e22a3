//! Connections between threads of one process: a queue of accepted ends, and a doorbell to wait for.

use std::fmt;
use std::io;
use std::io::Read;
use std::io::Write;
use std::net::Shutdown;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::sync::mpsc;

use socketserver::transport::Descriptor;
use socketserver::Socket;
use socketserver::Stream;
use socketserver::Transport;
use socketserver::transport::Immediate;

/// The listening side.
#[derive(Debug)]
pub struct Memory {
    name: &'static str,
    queue: mpsc::Receiver<(Line, Caller)>,
    doorbell: UnixStream,
}

/// The calling side.
#[derive(Clone, Debug)]
pub struct Connector {
    queue: mpsc::Sender<(Line, Caller)>,
    doorbell: Arc<UnixStream>,
    calls: Arc<AtomicU64>,
}

/// Who calls: the number of the call.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Caller(pub u64);

/// The server's end of a connection.
#[derive(Debug)]
pub struct Line(UnixStream);

impl Memory {
    /// A listener with this name, and how to call it.
    pub fn listen(name: &'static str) -> io::Result<(Self, Connector)> {
        let (sender, queue) = mpsc::channel();
        let (bell, button) = UnixStream::pair()?;
        bell.set_nonblocking(true)?;
        let connector = Connector { queue: sender, doorbell: Arc::new(button), calls: Arc::default() };
        Ok((Self { name, queue, doorbell: bell }, connector))
    }
}

impl Connector {
    /// A connection; it is accepted when the server comes to it.
    pub fn connect(&self) -> io::Result<UnixStream> {
        let (ours, theirs) = UnixStream::pair()?;
        theirs.set_nonblocking(true)?;
        let caller = Caller(self.calls.fetch_add(1, Ordering::Relaxed) + 1);
        self.queue.send((Line(theirs), caller)).map_err(|_| io::ErrorKind::ConnectionRefused)?;
        // In the queue first: whoever hears the bell finds somebody at the door.
        (&*self.doorbell).write_all(&[1])?;
        Ok(ours)
    }
}

/// The name of a listener, as servers show it.
#[derive(Clone, Copy, Debug)]
pub struct Name(&'static str);

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "memory:{}", self.0)
    }
}

impl Transport for Memory {
    type Request = Stream<Line>;
    type Pending = Immediate<Stream<Line>>;
    type Addr = Name;

    fn accept(&mut self) -> io::Result<Self::Pending> {
        if self.doorbell.read(&mut [0; 1])? == 0 {
            // All connectors are gone: nobody will call any more.
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let (line, caller) = self.queue.try_recv().map_err(io::Error::other)?;
        Ok(Immediate(Stream::new(line, Some(caller))))
    }

    fn descriptor(&self) -> Descriptor<'_> {
        self.doorbell.as_fd()
    }

    fn local_addr(&self) -> Name {
        Name(self.name)
    }
}

impl Read for Line {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        self.0.read(bytes)
    }
}

impl Write for Line {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl Socket for Line {
    type Addr = Caller;

    fn descriptor(&self) -> Descriptor<'_> {
        self.0.as_fd()
    }

    fn shutdown_write(&mut self) -> io::Result<()> {
        self.0.shutdown(Shutdown::Write)
    }
}
