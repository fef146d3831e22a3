//! The programs and libraries that speak to Redis take the example `kv` for it, with their defaults.

#[path = "common/example.rs"]
mod example;
#[path = "common/installed.rs"]
mod installed;
#[path = "common/redis.rs"]
mod redis;

use std::io::Write;
use std::process::Command;
use std::process::Output;
use std::process::Stdio;
use std::sync::mpsc;
use std::sync::mpsc::RecvTimeoutError;

use example::Example;
use installed::installed;
use redis::PATIENCE;
use redis::kv;
use rustix::process::Pid;
use rustix::process::Signal;
use rustix::process::kill_process;

/// Runs a client to its end, which has to be good; its output.
fn run(command: &mut Command, input: &str) -> String {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{command:?}: {error}: .ci/packages installs it"));
    child.stdin.take().expect("its input").write_all(input.as_bytes()).expect("send");
    let (over, waiting) = mpsc::channel::<()>();
    let pid = Pid::from_child(&child);
    let watch = std::thread::spawn(move || {
        if waiting.recv_timeout(PATIENCE) == Err(RecvTimeoutError::Timeout) {
            let _ = kill_process(pid, Signal::KILL);
        }
    });
    let Output { status, stdout, stderr } = child.wait_with_output().expect("it ends");
    drop(over);
    watch.join().expect("the watch");
    let (stdout, stderr) = (String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    assert!(status.success(), "{command:?}: {status}\n{stdout}\n{stderr}");
    stdout.into_owned()
}

/// As [`run`], for a program of Redis.
fn client(program: &str, server: &Example, args: &[&str], input: &str) -> String {
    run(Command::new(program).args(["-p", server.port()]).args(args), input)
}

#[test]
#[ignore = "needs redis-cli"]
fn redis_cli_takes_it_for_redis() {
    const RESP3: &[&str] = &["-3"];
    for (dispatch, version) in [("sync", &[][..]), ("threads", RESP3), ("pool", &[]), ("pool", RESP3)] {
        let server = kv(dispatch);
        let ask = |args: &[&str]| client("redis-cli", &server, &[version, args].concat(), "");
        assert_eq!(ask(&["SET", "greeting", "hello world"]), "OK\n");
        assert_eq!(ask(&["GET", "greeting"]), "hello world\n");
        assert_eq!(ask(&["--no-raw", "MGET", "greeting", "nope"]), "1) \"hello world\"\n2) (nil)\n");
        assert_eq!(ask(&["--no-raw", "NOSUCH"]), "(error) ERR unknown command 'NOSUCH', with args beginning with: \n");
        assert!(ask(&["INFO", "server"]).contains("redis_version:7"));
        let map = if version.is_empty() { "1) \"save\"\n2) \"\"\n" } else { "1# \"save\" => \"\"\n" };
        assert_eq!(ask(&["--no-raw", "CONFIG", "GET", "save"]), map);
        let session = "SET a 1\nINCR a\nGET a\nDBSIZE\n";
        assert_eq!(client("redis-cli", &server, version, session), "OK\n2\n2\n2\n");
        let mut pipe = String::new();
        for number in 0..10_000 {
            pipe += &format!("SET piped:{number} {number}\r\n");
        }
        let said = client("redis-cli", &server, &[version, &["--pipe"]].concat(), &pipe);
        assert!(said.contains("errors: 0, replies: 10000"), "{dispatch}: {said}");
        assert_eq!(ask(&["GET", "piped:9999"]), "9999\n");
    }
}

#[test]
#[ignore = "needs redis-benchmark"]
fn redis_benchmark_runs_through() {
    for dispatch in ["sync", "threads", "pool"] {
        let server = kv(dispatch);
        for more in [&["-P", "1"][..], &["-P", "16"], &["-P", "16", "-3"]] {
            let tests = ["-t", "ping_inline,ping_mbulk,set,get,incr,mset", "-n", "10000", "-r", "1000", "--csv"];
            let said = client("redis-benchmark", &server, &[&tests[..], more].concat(), "");
            for test in ["PING_INLINE", "PING_MBULK", "SET", "GET", "INCR", "MSET (10 keys)"] {
                assert!(said.contains(&format!("\"{test}\"")), "{dispatch}, {more:?}: no {test} in\n{said}");
            }
            assert!(!said.contains("ERR"), "{said}");
        }
    }
}

#[test]
#[ignore = "needs redis-py"]
fn redis_py_works_with_its_defaults() {
    let server = kv("pool");
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients/redis_py.py");
    let mut python = Command::new("python3");
    let said = run(python.env("PYTHONPATH", installed("python")).args([script, server.port()]), "");
    assert!(said.ends_with(" is content\n"), "{said}");
}

#[test]
#[ignore = "needs node-redis"]
fn node_redis_works_with_its_defaults() {
    let server = kv("pool");
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients/node_redis.cjs");
    let mut node = Command::new("node");
    let said = run(node.env("NODE_PATH", installed("node").join("node_modules")).args([script, server.port()]), "");
    assert!(said.ends_with(" is content\n"), "{said}");
}
