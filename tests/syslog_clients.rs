//! The programs that send system messages are understood by the example `syslog`.

#[path = "common/example.rs"]
mod example;
#[path = "common/folder.rs"]
mod folder;
#[path = "common/installed.rs"]
mod installed;

use std::process::Child;
use std::process::Command;
use std::time::Duration;
use std::time::Instant;

use example::Example;
use folder::TempDir;
use installed::installed;

/// A safety net: no test waits this long unless it fails.
const PATIENCE: Duration = Duration::from_secs(30);

fn run(program: &str, args: &[&str]) {
    let status =
        Command::new(program).args(args).status().unwrap_or_else(|error| panic!("{program}: {error}: install it"));
    assert!(status.success(), "{program} {args:?}: {status}");
}

#[test]
#[ignore = "needs logger"]
fn logger_is_understood_in_both_formats() {
    let mut server = Example::start("syslog", &["--listen", "127.0.0.1:0"]);
    let port = server.port().to_owned();
    let to = ["--server", "127.0.0.1", "--port", &port, "--udp", "--tag", "demo", "--priority", "mail.warning"];
    for format in ["--rfc3164", "--rfc5424"] {
        run("logger", &[&to[..], &[format, "hello there"]].concat());
        let line = server.line();
        assert!(line.starts_with("facility=mail severity=warning time="), "{line}");
        assert!(line.contains(" app=\"demo\"") && line.contains(" host="), "{line}");
        assert!(line.ends_with("text=\"hello there\"\n"), "{line}");
    }
}

#[test]
#[ignore = "needs logger"]
fn logger_is_understood_on_its_own_socket() {
    let path = std::env::temp_dir().join(format!("syslog-{}-logger.sock", std::process::id()));
    let path = path.to_str().expect("a path of text");
    let mut server = Example::start("syslog", &["--transport", "unix", "--listen", path]);
    run("logger", &["--socket", path, "--tag", "demo", "--id=77", "hello there"]);
    let line = server.line();
    assert!(line.starts_with("facility=user severity=notice time="), "{line}");
    assert!(line.ends_with(" app=\"demo\" pid=\"77\" text=\"hello there\"\n"), "{line}");
}

#[test]
#[ignore = "needs python3"]
fn pythons_handler_is_understood() {
    let mut server = Example::start("syslog", &["--listen", "127.0.0.1:0"]);
    let script = format!(
        "import logging, logging.handlers\n\
         log = logging.getLogger()\n\
         log.addHandler(logging.handlers.SysLogHandler(('127.0.0.1', {})))\n\
         log.error('it is %s', 'serious')\n",
        server.port()
    );
    run("python3", &["-c", &script]);
    assert_eq!(server.line(), "facility=user severity=err text=\"it is serious\"\n");
}

#[test]
#[ignore = "needs loggen"]
fn loggen_is_understood_in_both_formats() {
    for format in [&[][..], &["--syslog-proto", "--no-framing"]] {
        let mut server = Example::start("syslog", &["--listen", "127.0.0.1:0"]);
        let port = server.port().to_owned();
        let to = ["--quiet", "--inet", "--dgram", "--number", "3", "127.0.0.1", &port];
        run("loggen", &[format, &to].concat());
        for number in 0..3 {
            let line = server.line();
            assert!(line.starts_with("facility=auth severity=info time=\"2"), "{line}");
            assert!(line.contains(" host=\"localhost\" app=\"prg00000\" pid=\"1234\" text=\"seq: "), "{line}");
            assert!(line.contains(&format!("seq: {number:010}, thread: ")), "{line}");
        }
    }
}

#[test]
#[ignore = "needs loggen"]
fn loggen_is_understood_on_a_unix_socket() {
    let folder = TempDir::new();
    let path = folder.join("log.sock");
    let path = path.to_str().expect("a path of text");
    let mut server = Example::start("syslog", &["--transport", "unix", "--listen", path]);
    run("loggen", &["--quiet", "--unix", "--dgram", "--number", "1", path]);
    let line = server.line();
    assert!(line.contains(" host=\"localhost\" app=\"prg00000\" pid=\"1234\" text=\"seq: 0000000000, "), "{line}");
}

/// A log daemon that runs until the test ends.
struct Daemon(Child);

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
#[ignore = "needs rsyslog"]
fn rsyslog_forwards_to_it() {
    let mut server = Example::start("syslog", &["--listen", "127.0.0.1:0"]);
    let folder = TempDir::new();
    let (socket, settings) = (folder.join("log.sock"), folder.join("rsyslog.conf"));
    let text = format!(
        "module(load=\"imuxsock\" SysSock.Use=\"off\")\n\
         input(type=\"imuxsock\" Socket=\"{}\")\n\
         action(type=\"omfwd\" target=\"127.0.0.1\" port=\"{}\" protocol=\"udp\" template=\"RSYSLOG_ForwardFormat\")\n",
        socket.display(),
        server.port()
    );
    std::fs::write(&settings, text).expect("written");
    let rsyslog = installed("rsyslog");
    let daemon = Command::new(rsyslog.join("usr/sbin/rsyslogd"))
        .args(["-n", "-i", "NONE", "-f"])
        .arg(&settings)
        .arg("-M")
        .arg(rsyslog.join(format!("usr/lib/{}-linux-gnu/rsyslog", std::env::consts::ARCH)))
        .spawn()
        .map(Daemon)
        .expect("rsyslogd");
    let deadline = Instant::now() + PATIENCE;
    while !socket.exists() {
        assert!(Instant::now() < deadline, "rsyslogd does not listen");
        std::thread::sleep(Duration::from_millis(1));
    }
    let socket = socket.to_str().expect("a path of text");
    run("logger", &["--socket", socket, "--tag", "demo", "--id=77", "--priority", "mail.err", "hello: there"]);
    let line = server.line();
    assert!(line.starts_with("facility=mail severity=err time=\"2") && line.contains("T"), "{line}");
    assert!(line.contains(" host=\"") && line.ends_with(" app=\"demo\" pid=\"77\" text=\"hello: there\"\n"), "{line}");
    drop(daemon);
}
