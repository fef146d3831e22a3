//! The example `syslog` understands what the RFCs say, and what nobody should send.

#[path = "common/example.rs"]
mod example;

use std::io::BufRead;
use std::io::BufReader;
use std::net::UdpSocket;
use std::os::unix::net::UnixDatagram;
use std::process::Command;
use std::process::Output;
use std::process::Stdio;
use std::time::Duration;
use std::time::Instant;

use example::Example;

/// A safety net: no test waits this long unless it fails.
const PATIENCE: Duration = Duration::from_secs(30);

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
    // The forward format of rsyslog, what loggen sends, and Go's log/syslog: the time of RFC 5424 before the rest of 3164.
    (
        "<13>2003-10-11T22:14:15.003Z host app[1]: x",
        r#"facility=user severity=notice time="2003-10-11T22:14:15.003Z" host="host" app="app" pid="1" text="x""#,
    ),
    (
        "<13>2003-10-11T22:14:15.003000-07:00 host app/part[1]:x: y",
        r#"facility=user severity=notice time="2003-10-11T22:14:15.003000-07:00" host="host" app="app/part" pid="1" text="x: y""#,
    ),
    (
        "<38>2003-10-11T22:14:15 localhost prg00000[1234]: seq: 0000000000\n",
        r#"facility=auth severity=info time="2003-10-11T22:14:15" host="localhost" app="prg00000" pid="1234" text="seq: 0000000000""#,
    ),
    (
        "<13>2003-10-11T22:14:15+02:00 fe80::1 app: x",
        r#"facility=user severity=notice time="2003-10-11T22:14:15+02:00" host="fe80::1" app="app" text="x""#,
    ),
    (
        "<13>2003-10-11T22:14:15Z host no tag, and a colon: here",
        r#"facility=user severity=notice time="2003-10-11T22:14:15Z" host="host" text="no tag, and a colon: here""#,
    ),
    (
        "<13>2003-10-11T22:14:15Z app[1]: no host",
        r#"facility=user severity=notice time="2003-10-11T22:14:15Z" app="app" pid="1" text="no host""#,
    ),
    ("<13>2003-10-11T22:14:15Z", r#"facility=user severity=notice text="2003-10-11T22:14:15Z""#),
    ("<13>2003-10-11T22:14:15.Z h a: x", r#"facility=user severity=notice text="2003-10-11T22:14:15.Z h a: x""#),
    ("<13>2003-10-11T22:14:15-7 h a: x", r#"facility=user severity=notice text="2003-10-11T22:14:15-7 h a: x""#),
    ("<13>2003-10-11 22:14:15 h a: x", r#"facility=user severity=notice text="2003-10-11 22:14:15 h a: x""#),
    // The year and the fractions that routers and their like add.
    (
        "<189>Oct 11 2003 22:14:15 router app: x",
        r#"facility=local7 severity=notice time="Oct 11 2003 22:14:15" host="router" app="app" text="x""#,
    ),
    (
        "<189>Oct 11 22:14:15.003 router app: x",
        r#"facility=local7 severity=notice time="Oct 11 22:14:15.003" host="router" app="app" text="x""#,
    ),
    ("<13>Oct 11 22:1x:15 host app: x", r#"facility=user severity=notice text="Oct 11 22:1x:15 host app: x""#),
    // RFC 3164, 4.1.2: a host may be an address, of either family.
    (
        "<13>Feb  5 17:32:18 fe80::1 app: x",
        r#"facility=user severity=notice time="Feb  5 17:32:18" host="fe80::1" app="app" text="x""#,
    ),
    (
        "<13>Feb  5 17:32:18 2001:db8:0:0:8:800:200c:417a app[7]: x",
        r#"facility=user severity=notice time="Feb  5 17:32:18" host="2001:db8:0:0:8:800:200c:417a" app="app" pid="7" text="x""#,
    ),
    (
        "<13>Feb  5 17:32:18 fe80::1%eth0 app: x",
        r#"facility=user severity=notice time="Feb  5 17:32:18" host="fe80::1%eth0" app="app" text="x""#,
    ),
    (
        "<13>Feb  5 17:32:18 ::ffff:192.0.2.1 no tag",
        r#"facility=user severity=notice time="Feb  5 17:32:18" host="::ffff:192.0.2.1" text="no tag""#,
    ),
    (
        "<13>Feb  5 17:32:18 192.0.2.1 app: x",
        r#"facility=user severity=notice time="Feb  5 17:32:18" host="192.0.2.1" app="app" text="x""#,
    ),
    (
        "<13>Feb  5 17:32:18 beef: fe80::1 is no host here",
        r#"facility=user severity=notice time="Feb  5 17:32:18" app="beef" text="fe80::1 is no host here""#,
    ),
    // Without a time there is no host, and text with colons is not always from a program.
    ("<13>fe80::1 app: x", r#"facility=user severity=notice text="fe80::1 app: x""#),
    ("<13>http://host/: x", r#"facility=user severity=notice text="http://host/: x""#),
    ("<13>app: x", r#"facility=user severity=notice app="app" text="x""#),
    ("<13> a space", r#"facility=user severity=notice text=" a space""#),
    ("<13>app:", r#"facility=user severity=notice app="app" text="""#),
    // Names of programs are more than letters.
    (
        "<86>Feb  5 17:32:18 host cron(pam_unix)[42]: x",
        r#"facility=authpriv severity=info time="Feb  5 17:32:18" host="host" app="cron(pam_unix)" pid="42" text="x""#,
    ),
    (
        "<30>Feb  5 17:32:18 getty@tty1[9]: x",
        r#"facility=daemon severity=info time="Feb  5 17:32:18" app="getty@tty1" pid="9" text="x""#,
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

#[test]
fn a_collector_whose_output_nobody_takes_says_so_and_ends() {
    for dispatch in ["sync", "threads", "fork", "pool"] {
        let mut server = Command::new(example::program("syslog"))
            .args(["--listen", "127.0.0.1:0", "--dispatch", dispatch])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the example starts");
        let mut output = BufReader::new(server.stdout.take().expect("its output"));
        let mut line = String::new();
        output.read_line(&mut line).expect("its first line");
        let address = line.trim_end().strip_prefix("listening on ").expect("an address");
        // The reader of the pipe goes away.
        drop(output);
        let client = UdpSocket::bind("127.0.0.1:0").expect("bind");
        client.connect(address).expect("connect");
        client.send(b"<13>lost").expect("send");
        let deadline = Instant::now() + PATIENCE;
        while server.try_wait().expect("its state").is_none() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(1));
        }
        let _ = server.kill();
        let Output { status, stderr, .. } = server.wait_with_output().expect("it ends");
        let said = String::from_utf8_lossy(&stderr);
        assert_eq!(status.code(), Some(1), "{dispatch}: {said}");
        let reasons = said.lines().filter(|line| line.contains("cannot write to standard output: Broken pipe"));
        assert_eq!(reasons.count(), 1, "{dispatch}: {said}");
        assert!(said.contains("syslog: a message was lost"), "{dispatch}: {said}");
    }
}
