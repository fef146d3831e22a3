//! Outgoing connections: names are resolved and addresses tried, all within one limit of time.

use std::io;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::net::TcpStream;
use std::net::ToSocketAddrs;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use crate::protocol::Destination;
use crate::protocol::Reply;

/// A resolver that does not answer cannot be told to stop, and keeps its thread: at most this many.
const MOST_LOOKUPS: usize = 256;

/// Connects to the first address of `destination` that can be connected to; an error is what the client is told.
pub fn dial(destination: &Destination, timeout: Duration) -> Result<TcpStream, Reply> {
    let until = Instant::now() + timeout;
    let addresses = match destination {
        Destination::Address(address) => vec![*address],
        Destination::Name(name, port) => resolve(name, *port, timeout)?,
    };
    let mut outcome = Err(Reply::HostUnreachable);
    for (place, address) in addresses.iter().enumerate() {
        // One that does not answer leaves the others their share.
        let others = u32::try_from(addresses.len() - place).unwrap_or(u32::MAX);
        let left = until.saturating_duration_since(Instant::now()) / others;
        if left.is_zero() {
            break;
        }
        match TcpStream::connect_timeout(address, left) {
            Ok(socket) => {
                // What is relayed has its pace from elsewhere. Where the system cannot, it is merely slower.
                let _ = socket.set_nodelay(true);
                return Ok(socket);
            }
            Err(error) => outcome = Err(reason(&error)),
        }
    }
    outcome
}

/// The addresses of a name. The system's resolver has no limit of time: it runs on a thread that is not waited for any
/// longer than that.
fn resolve(name: &str, port: u16, timeout: Duration) -> Result<Vec<SocketAddr>, Reply> {
    static LOOKUPS: AtomicUsize = AtomicUsize::new(0);
    /// Counts a look-up until it is over, whatever its end.
    struct Lookup;

    impl Drop for Lookup {
        fn drop(&mut self) {
            LOOKUPS.fetch_sub(1, Ordering::SeqCst);
        }
    }

    // An address needs no resolver, and no thread.
    if let Ok(address) = name.parse() {
        return Ok(vec![SocketAddr::new(address, port)]);
    }
    let before = LOOKUPS.fetch_add(1, Ordering::SeqCst);
    let lookup = Lookup;
    if before >= MOST_LOOKUPS {
        return Err(Reply::Failed);
    }
    let (sender, answer) = mpsc::channel();
    let name = name.to_owned();
    let resolver = thread::Builder::new().name("resolver".to_owned()).spawn(move || {
        let addresses = (name.as_str(), port).to_socket_addrs().map(Iterator::collect);
        drop(lookup);
        // Who has asked may have gone.
        let _ = sender.send(addresses);
    });
    resolver.map_err(|_| Reply::Failed)?;
    match answer.recv_timeout(timeout) {
        Ok(Ok(addresses)) => Ok(addresses),
        Ok(Err(_)) | Err(_) => Err(Reply::HostUnreachable),
    }
}

fn reason(error: &io::Error) -> Reply {
    match error.kind() {
        ErrorKind::ConnectionRefused => Reply::Refused,
        ErrorKind::NetworkUnreachable => Reply::NetworkUnreachable,
        ErrorKind::HostUnreachable | ErrorKind::TimedOut => Reply::HostUnreachable,
        ErrorKind::PermissionDenied => Reply::NotAllowed,
        _ => Reply::Failed,
    }
}
