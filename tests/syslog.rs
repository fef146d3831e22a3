//! The example `syslog` understands what the RFCs say, what programs send, and what nobody should send.

#[path = "common/example.rs"]
mod example;

use std::net::UdpSocket;
use std::os::unix::net::UnixDatagram;
use std::process::Command;

use example::Example;

/// Messages, and the lines they become.
const MESSAGES: &[(&str, &str)] = &[
    // RFC 5424, 6.5, examples 1 to 3.
    (
        "<34>1 2003-10-11T22:14:15.003Z mymachine.example.com su - ID47 - \u{feff}'su root' failed for lonvick on /dev/pts/8",
        r#"facility=auth severity=crit time="2003-10-11T22:14:15.003Z" host="mymachine.example.com" app="su" id="ID47" text="'su root' failed for lonvick on /dev/pts/8""#,
    ),
    (
        "<165>1 2003-08-24T05:14:15.000003-07:00 192.0.2.1 myproc 8710 - - %% It's time to make the do-nuts.",
        r#"facility=local4 severity=notice time="2003-08-24T05:14:15.000003-07:00" host="192.0.2.1" app="myproc" pid="8710" text="%% It's time to make the do-nuts.""#,
    ),
    (
        r#"<165>1 - - - - - [a x="1\]\" "][b] both"#,
        r#"facility=local4 severity=notice data="[a x=\"1\\]\\\" \"][b]" text="both""#,
    ),
    ("<165>1 - - - - - -", r#"facility=local4 severity=notice text="""#),
    // RFC 3164, 5.4, example 1.
    (
        "<34>Oct 11 22:14:15 mymachine su: 'su root' failed for lonvick on /dev/pts/8",
        r#"facility=auth severity=crit time="Oct 11 22:14:15" host="mymachine" app="su" text="'su root' failed for lonvick on /dev/pts/8""#,
    ),
    (
        "<13>Feb  5 17:32:18 cron[42]: without a host",
        r#"facility=user severity=notice time="Feb  5 17:32:18" app="cron" pid="42" text="without a host""#,
    ),
    ("<14>just text: yes\0", r#"facility=user severity=info text="just text: yes""#),
    ("no priority", r#"facility=user severity=notice text="no priority""#),
    ("<999>too much", r#"facility=user severity=notice text="<999>too much""#),
    ("<13>two\nlines \"quoted\"", r#"facility=user severity=notice text="two\nlines \"quoted\"""#),
    ("<13>1 not enough", r#"facility=user severity=notice text="1 not enough""#),
    ("<13>1 - - - - - [never closed", r#"facility=user severity=notice text="1 - - - - - [never closed""#),
    ("", r#"facility=user severity=notice text="""#),
];

#[test]
fn messages_become_lines_of_their_parts() {
    let mut server = Example::start("syslog", &["--listen", "127.0.0.1:0"]);
    let client = UdpSocket::bind("127.0.0.1:0").expect("bind");
    for (message, expected) in MESSAGES {
        client.send_to(message.as_bytes(), &server.address).expect("send");
        assert_eq!(server.line().trim_end(), *expected, "{message}");
    }
    client.send_to(b"<13>\xff\xfe bytes", &server.address).expect("send");
    assert_eq!(server.line().trim_end(), "facility=user severity=notice text=\"\u{fffd}\u{fffd} bytes\"");
}

#[test]
fn a_unix_socket_collects_under_every_dispatch() {
    for dispatch in ["sync", "threads", "fork", "pool"] {
        let path = std::env::temp_dir().join(format!("syslog-{}-{dispatch}.sock", std::process::id()));
        let flags = ["--transport", "unix", "--dispatch", dispatch, "--listen", path.to_str().expect("a path of text")];
        let mut server = Example::start("syslog", &flags);
        let client = UnixDatagram::unbound().expect("a socket");
        client.send_to(b"<11>Feb  5 17:32:18 app[1]: hello", &path).expect("send");
        let expected = r#"facility=user severity=err time="Feb  5 17:32:18" app="app" pid="1" text="hello""#;
        assert_eq!(server.line().trim_end(), expected, "{dispatch}");
        let (status, report) = server.stop();
        assert!(status.success() && report.contains("1 accepted"), "{dispatch}: {report}");
        assert!(!path.exists(), "the socket's file is removed");
    }
}

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
