//! The example `exec` gives each client a program of its own, which reads and writes the connection as if nothing were
//! between.

#[path = "common/example.rs"]
mod example;

use std::io::BufRead;
use std::io::BufReader;
use std::io::Read;
use std::io::Write;
use std::net::Shutdown;
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::process::Command;
use std::process::Stdio;
use std::time::Duration;

use example::Example;

/// A safety net: no test waits so long unless it fails.
const PATIENCE: Duration = Duration::from_secs(30);

fn exec(flags: &[&str], program: &[&str]) -> Example {
    Example::start("exec", &[flags, &["--run"], program].concat())
}

fn connect(server: &Example) -> BufReader<TcpStream> {
    let client = TcpStream::connect(&server.address).expect("connect");
    client.set_read_timeout(Some(PATIENCE)).expect("read timeout");
    BufReader::new(client)
}

fn line(client: &mut impl BufRead) -> String {
    let mut line = String::new();
    client.read_line(&mut line).expect("a line");
    line
}

/// Ends the client's side; everything that still comes.
fn rest(mut client: BufReader<TcpStream>) -> String {
    client.get_ref().shutdown(Shutdown::Write).expect("shutdown");
    let mut rest = String::new();
    client.read_to_string(&mut rest).expect("the rest");
    rest
}

#[test]
fn the_program_speaks_first_reads_what_is_sent_and_knows_who_is_there() {
    let script = "echo $PROTO $TCPLOCALIP $TCPLOCALPORT $TCPREMOTEIP $TCPREMOTEPORT; exec cat";
    let server = exec(&["--listen", "127.0.0.1:0"], &["sh", "-c", script]);
    let mut client = connect(&server);
    let own = client.get_ref().local_addr().expect("address").port();
    assert_eq!(line(&mut client), format!("TCP 127.0.0.1 {} 127.0.0.1 {own}\n", server.port()));
    client.get_mut().write_all(b"there and back\n").expect("send");
    assert_eq!(line(&mut client), "there and back\n");
    assert_eq!(rest(client), "");
    let (status, report) = server.stop();
    assert!(status.success(), "{status}: {report}");
    assert!(report.contains("1 accepted: 1 finished"), "{report}");
}

#[test]
fn clients_have_a_program_each_and_no_more_than_allowed() {
    let server = exec(&["--listen", "127.0.0.1:0", "--workers", "2"], &["sh", "-c", "echo $$; exec cat"]);
    let (mut first, mut second) = (connect(&server), connect(&server));
    let (one, two) = (line(&mut first), line(&mut second));
    assert_ne!(one, two, "two processes");
    let mut third = connect(&server);
    // Time in which a third program would have begun, as the first two did.
    for _ in 0..100 {
        first.get_mut().write_all(b"busy\n").expect("send");
        assert_eq!(line(&mut first), "busy\n");
    }
    third.get_ref().set_nonblocking(true).expect("nonblocking");
    let waiting = third.get_mut().read(&mut [0; 16]).expect_err("no program for it yet");
    assert_eq!(waiting.kind(), std::io::ErrorKind::WouldBlock);
    third.get_ref().set_nonblocking(false).expect("blocking");
    assert_eq!(rest(first), "");
    assert_ne!(line(&mut third), two, "now there is a place");
}

#[test]
fn a_program_that_fails_is_reported_as_failed() {
    let server = exec(&["--listen", "127.0.0.1:0"], &["sh", "-c", "echo no; exit 3"]);
    assert_eq!(rest(connect(&server)), "no\n");
    let (_, report) = server.stop();
    assert!(report.contains("1 failed"), "{report}");
}

#[test]
fn a_program_that_does_not_exist_is_told() {
    let server = exec(&["--listen", "127.0.0.1:0"], &["no-such-program-anywhere"]);
    assert_eq!(rest(connect(&server)), "");
    let (_, report) = server.stop();
    assert!(report.contains("cannot run no-such-program-anywhere: No such file or directory"), "{report}");
}

#[test]
fn unix_sockets_are_served_too() {
    let path = std::env::temp_dir().join(format!("exec-{}.sock", std::process::id()));
    let path = path.to_str().expect("a path of text");
    let _server = exec(&["--transport", "unix", "--listen", path], &["sh", "-c", "echo $PROTO $UNIXLOCALPATH"]);
    let client = UnixStream::connect(path).expect("connect");
    client.set_read_timeout(Some(PATIENCE)).expect("read timeout");
    assert_eq!(line(&mut BufReader::new(client)), format!("UNIX {path}\n"));
}

#[test]
fn other_dispatches_are_refused_with_the_reason() {
    let output =
        Command::new(example::program("exec")).args(["--dispatch", "pool", "--run", "cat"]).output().expect("it ends");
    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("the child process becomes the program"), "{said}");
}

#[test]
#[ignore = "needs nc and socat"]
fn nc_and_socat_talk_to_the_program() {
    let server = exec(&["--listen", "127.0.0.1:0"], &["tr", "a-z", "A-Z"]);
    let target = format!("TCP:{}", server.address);
    for (program, args) in [("nc", vec!["-N", "127.0.0.1", server.port()]), ("socat", vec!["-t30", "-", &target])] {
        let mut client = Command::new(program)
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{program}: {error}: install it"));
        client.stdin.take().expect("its input").write_all(b"shout\n").expect("send");
        let output = client.wait_with_output().expect("it ends");
        assert_eq!(String::from_utf8_lossy(&output.stdout), "SHOUT\n", "{program}");
    }
}
