//! Clients that are slow on purpose.

use std::io::ErrorKind;
use std::io::Read;
use std::io::Write;
use std::net::TcpStream;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Sends a byte every 10 ms, never a newline, until the server closes; how many it sent.
pub fn drip(client: &TcpStream) -> usize {
    let closed = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let dripping = scope.spawn(|| {
            let (mut sender, mut sent) = (client, 0);
            while !closed.load(Ordering::SeqCst) && sender.write_all(b"x").is_ok() {
                sent += 1;
                std::thread::sleep(Duration::from_millis(10));
            }
            sent
        });
        let mut reader = client;
        let end = reader.read(&mut [0]);
        closed.store(true, Ordering::SeqCst);
        // A server that does not linger answers the byte that comes too late with a reset.
        let reset = matches!(&end, Err(error) if error.kind() == ErrorKind::ConnectionReset);
        assert!(reset || matches!(end, Ok(0)), "{end:?}");
        dripping.join().unwrap()
    })
}

/// Reads a thousand bytes every 10 ms, as long as `goes_on` says so; how many it got.
pub fn sip(mut client: &TcpStream, goes_on: impl Fn() -> bool) -> usize {
    let mut taken = 0;
    while goes_on() {
        match client.read(&mut [0; 1000]) {
            Ok(0) => break,
            Ok(count) => taken += count,
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{error}");
                break;
            }
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    taken
}
