//! One connection as standard input and output, as inetd starts programs.
#![cfg(unix)]

mod common;

use std::io::Write;
use std::net::Shutdown;
use std::net::TcpListener;
use std::net::TcpStream;
use std::os::fd::AsFd;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;

use common::TempDir;
use common::ask;
use common::connect;
use common::connect_unix;
use common::eventually;
use common::example::program;
use common::read_rest;

/// A small inetd: the program gets the connection three times.
fn start(program: &Path, flags: &[&str], connection: OwnedFd) -> Child {
    let copy = || Stdio::from(connection.as_fd().try_clone_to_owned().unwrap());
    Command::new(program).args(flags).stdin(copy()).stdout(copy()).stderr(connection).spawn().unwrap()
}

/// A client, and the other end of its connection.
fn connection() -> (TcpStream, OwnedFd) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = connect(listener.local_addr().unwrap());
    (client, listener.accept().unwrap().0.into())
}

#[test]
fn a_connection_is_served_to_its_end_and_nothing_else_is_written_to_it() {
    let echo = program("echo");
    let (client, server) = connection();
    let mut process = start(&echo, &["--inetd"], server);
    assert_eq!(ask(&client, "hello"), "hello");
    assert_eq!(ask(&client, "again"), "again");
    client.shutdown(Shutdown::Write).unwrap();
    assert_eq!(read_rest(&client), b"");
    assert!(process.wait().unwrap().success());

    let (client, server) = UnixStream::pair().unwrap();
    let mut process = start(&echo, &["--inetd", "--transport", "unix-stream"], server.into());
    assert_eq!(ask(&client, "hello"), "hello");
    client.shutdown(Shutdown::Write).unwrap();
    assert_eq!(read_rest(&client), b"");
    assert!(process.wait().unwrap().success());
}

#[test]
fn who_has_sent_all_before_the_start_is_answered() {
    let (mut client, server) = connection();
    client.write_all(b"early\n").unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    let mut process = start(&program("echo"), &["--inetd"], server);
    assert_eq!(read_rest(&client), b"early\n");
    assert!(process.wait().unwrap().success());
}

#[test]
fn by_hand_it_says_what_is_missing() {
    for (flags, input) in [
        (&["--inetd"][..], Stdio::null()),
        (&["--inetd"], Stdio::from(OwnedFd::from(UnixStream::pair().unwrap().0))),
        (&["--inetd", "--transport", "unix-stream"], Stdio::from(connection().1)),
        (&["--inetd"], Stdio::from(OwnedFd::from(TcpListener::bind("127.0.0.1:0").unwrap()))),
    ] {
        let output = Command::new(program("echo")).args(flags).stdin(input).output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        assert_eq!(output.stdout, b"");
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.starts_with("echo: standard input is not a "), "{said}");
        assert!(said.contains("; start this program from inetd, or"), "{said}");
    }
}

#[test]
fn a_client_reads_no_complaint() {
    let (client, server) = connection();
    let mut process = start(&program("echo"), &["--inetd", "--transport", "unix-stream"], server);
    assert_eq!(read_rest(&client), b"");
    assert_eq!(process.wait().unwrap().code(), Some(1));
}

#[test]
fn a_log_stays_what_it_is() {
    let (client, server) = connection();
    let input = Stdio::from(server.try_clone().unwrap());
    let mut command = Command::new(program("echo"));
    let process = command.args(["--inetd", "--transport", "unix-stream"]).stdin(input).stdout(server);
    let output = process.stderr(Stdio::piped()).output().unwrap();
    drop(command);
    assert_eq!(read_rest(&client), b"");
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.starts_with("echo: standard input is not a connection of a Unix-domain socket"), "{said}");
}

#[test]
fn what_goes_with_many_connections_is_refused() {
    for flags in [["--listen", "127.0.0.1:0"], ["--dispatch", "pool"], ["--processes", "2"], ["--max-per-source", "1"]]
    {
        let output = Command::new(program("echo")).arg("--inetd").args(flags).output().unwrap();
        assert_eq!(output.status.code(), Some(2));
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.contains("with --inetd there is only the connection"), "{said}");
    }
}

#[test]
#[ignore = "needs socat"]
fn socat_starts_it() {
    let folder = TempDir::new();
    let path = folder.join("echo.sock");
    let listen = format!("UNIX-LISTEN:{},fork", path.display());
    let run = format!("EXEC:{} --inetd --transport unix-stream,nofork", program("echo").display());
    let mut socat = Command::new("socat").args([listen, run]).stderr(Stdio::null()).spawn().unwrap();
    eventually("it listens", || UnixStream::connect(&path).is_ok());
    let clients: Vec<_> = (0..3).map(|_| connect_unix(&path)).collect();
    for (number, client) in clients.iter().enumerate() {
        assert_eq!(ask(client, &number.to_string()), number.to_string());
    }
    for client in &clients {
        client.shutdown(Shutdown::Write).unwrap();
        assert_eq!(read_rest(client), b"");
    }
    socat.kill().unwrap();
    socat.wait().unwrap();
}
