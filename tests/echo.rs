//! The example `echo` sends back what came, and not a part of it as if it were the whole.

#![cfg(unix)]

mod common;

use common::TempDir;
use common::connect_unix_datagram;
use common::example::Example;
use common::receive;

/// The longest datagram that the server takes; over Unix sockets longer ones can be sent.
const LONGEST: usize = 65_535;

#[test]
fn a_datagram_that_was_cut_is_not_sent_back_and_that_is_said() {
    for dispatch in ["sync", "threads", "fork", "pool"] {
        let folder = TempDir::new();
        let path = folder.join("echo.sock");
        let listen = path.to_str().expect("a path of text");
        let flags = ["--transport", "unix-datagram", "--listen", listen, "--dispatch", dispatch];
        let server = Example::start("echo", &flags);
        let client = connect_unix_datagram(&folder.join("client.sock"), &path);
        for length in [LONGEST + 1, 100_000] {
            client.send(&vec![b'x'; length]).expect("sent");
        }
        for length in [0, 1, LONGEST] {
            client.send(&vec![b'y'; length]).expect("sent");
            let answer = receive(|buffer| client.recv(buffer));
            assert!(answer == vec![b'y'; length], "{dispatch}: {} bytes for {length}", answer.len());
        }
        let (status, said) = server.stop();
        assert!(status.success(), "{dispatch}: {said}");
        assert!(said.contains("longer than 65535 bytes"), "{dispatch}: {said}");
        assert!(said.contains("5 accepted: 3 finished") && said.contains("2 failed"), "{dispatch}: {said}");
        // Whatever was sent back is in the client's queue by now.
        client.set_nonblocking(true).expect("a flag");
        assert!(client.recv(&mut [0]).is_err(), "{dispatch}");
    }
}
