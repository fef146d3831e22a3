//! The example `smtp` takes what RFC 5321 allows, refuses what it does not, and stores nothing of which the client cannot
//! know that it is stored.

#![cfg(unix)]

mod common;

use std::io::BufRead;
use std::io::BufReader;
use std::io::Read;
use std::io::Write;
use std::net::Shutdown;
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::process::Stdio;

use common::TempDir;
use common::connect;
use common::connect_unix;
use common::example::Example;
use common::example::finish;
use common::example::program;

const DISPATCHES: [&str; 4] = ["sync", "threads", "fork", "pool"];

/// The longest message, as `EHLO` tells, and the longest line.
const LONGEST: usize = 10 * 1024 * 1024;
const LONGEST_LINE: usize = 2048;

/// A server with a folder.
struct Server {
    example: Example,
    folder: TempDir,
}

impl Server {
    fn start(dispatch: &str) -> Self {
        let folder = TempDir::new();
        let path = folder.path().to_str().expect("a path of text");
        let example = Example::start("smtp", &["--listen", "127.0.0.1:0", "--dispatch", dispatch, "--folder", path]);
        Self { example, folder }
    }

    /// A client that has seen the greeting, without having sent a byte.
    fn client(&self) -> Client<TcpStream> {
        Client::new(connect(self.example.socket_address()))
    }

    /// As [`client`](Self::client), after `EHLO`, and with an envelope.
    fn sender(&self) -> Client<TcpStream> {
        let mut client = self.client();
        client.asks("EHLO client.test", 250);
        client.envelope();
        client
    }

    /// The messages in the order of their names, which is that of their times. There is nothing else.
    fn messages(&self) -> Vec<String> {
        stored(self.folder.path())
    }
}

fn stored(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
    let mut paths: Vec<_> = entries.collect();
    paths.sort();
    assert!(paths.iter().all(|path| path.extension().is_some_and(|end| end == "eml")), "{paths:?}");
    let read = |path| String::from_utf8_lossy(&std::fs::read(path).expect("a message")).into_owned();
    paths.into_iter().map(read).collect()
}

/// What the client has sent of a message: behind the lines that the server has added.
fn content(message: &str) -> &str {
    let (_, rest) = message.split_once("Received: ").expect("a trace");
    let (_, rest) = rest.split_once("\r\n").expect("its first line");
    rest.split_once("\r\n").expect("its second line").1
}

/// One end of a conversation.
struct Client<S: Read + Write>(BufReader<S>);

impl<S: Read + Write> Client<S> {
    fn new(socket: S) -> Self {
        let mut client = Self(BufReader::new(socket));
        client.hears(220);
        client
    }

    fn sends(&mut self, bytes: impl AsRef<[u8]>) {
        self.0.get_mut().write_all(bytes.as_ref()).expect("send");
    }

    /// The next reply, all its lines.
    #[track_caller]
    fn hears(&mut self, code: u32) -> String {
        let mut reply = String::new();
        loop {
            let start = reply.len();
            self.0.read_line(&mut reply).expect("a line");
            let line = &reply[start..];
            assert!(line.starts_with(&code.to_string()) && line.ends_with("\r\n"), "{code}? {reply:?}");
            if line.as_bytes()[3] == b' ' {
                return reply;
            }
        }
    }

    #[track_caller]
    fn asks(&mut self, line: &str, code: u32) -> String {
        self.sends(format!("{line}\r\n"));
        self.hears(code)
    }

    fn envelope(&mut self) {
        self.asks("MAIL FROM:<me@client.test>", 250);
        self.asks("RCPT TO:<you@server.test>", 250);
    }

    #[track_caller]
    fn ends(&mut self) {
        let mut rest = String::new();
        self.0.read_to_string(&mut rest).expect("the end");
        assert_eq!(rest, "");
    }
}

fn conversation(mut client: Client<impl Read + Write>, folder: &Path, peer: &str) {
    let extensions = client.asks("EHLO client.test", 250);
    for extension in ["8BITMIME", "PIPELINING", &format!("SIZE {LONGEST}")] {
        assert!(extensions.contains(extension), "{extensions}");
    }
    client.asks("MAIL FROM:<me@client.test> BODY=8BITMIME SIZE=100", 250);
    client.asks("RCPT TO:<one@server.test>", 250);
    client.asks("RCPT TO:<two@server.test>", 250);
    client.asks("DATA", 354);
    client.sends("Subject: gr\u{fc}n\r\n\r\nhello\r\n..dot\r\n...\r\n. \r\n\r\n");
    client.asks(".", 250);
    client.asks("MAIL FROM:<>", 250);
    client.asks("RCPT TO:<Postmaster>", 250);
    client.asks("DATA", 354);
    // An empty one.
    client.asks(".", 250);
    client.asks("QUIT", 221);
    client.ends();
    let messages = stored(folder);
    assert_eq!(messages.len(), 2);
    let envelope =
        "Return-Path: <me@client.test>\r\nDelivered-To: one@server.test\r\nDelivered-To: two@server.test\r\nReceived: ";
    assert!(messages[0].starts_with(envelope), "{messages:?}");
    let trace = format!("Received: from client.test ({peer}");
    assert!(messages[0].contains(&trace) && messages[0].contains("by localhost with ESMTP; "), "{messages:?}");
    assert_eq!(content(&messages[0]), "Subject: gr\u{fc}n\r\n\r\nhello\r\n.dot\r\n..\r\n \r\n\r\n");
    assert!(messages[1].starts_with("Return-Path: <>\r\nDelivered-To: Postmaster\r\nReceived: "), "{messages:?}");
    assert_eq!(content(&messages[1]), "");
}

#[test]
fn a_message_is_stored_under_every_dispatch() {
    for dispatch in DISPATCHES {
        let server = Server::start(dispatch);
        conversation(server.client(), server.folder.path(), "127.0.0.1:");
        let (status, report) = server.example.stop();
        assert!(status.success() && report.contains("1 finished"), "{dispatch}: {report}");
        let (sockets, folder) = (TempDir::new(), TempDir::new());
        let path = sockets.join("smtp.sock");
        let [listen, store] = [&path, folder.path()].map(|path| path.to_str().expect("a path of text"));
        let flags = ["--transport", "unix", "--listen", listen, "--dispatch", dispatch, "--folder", store];
        let example = Example::start("smtp", &flags);
        conversation(Client::new(connect_unix(&path)), folder.path(), "");
        assert!(example.stop().0.success(), "{dispatch}");
    }
}

/// RFC 2920: all in one go, and byte by byte.
#[test]
fn commands_may_come_in_any_pieces() {
    let all = "EHLO client.test\r\nMAIL FROM:<me@client.test>\r\nRCPT TO:<you@server.test>\r\nRCPT TO:<none>\r\n\
               DATA\r\nhello\r\n.\r\nRSET\r\nMAIL FROM:<me@client.test>\r\nRCPT TO:<you@server.test>\r\nDATA\r\n.x\r\n.\r\nQUIT\r\nNOOP\r\n";
    for dispatch in DISPATCHES {
        let server = Server::start(dispatch);
        let mut clients = [server.client(), server.client()];
        clients[0].sends(all);
        clients[1].0.get_ref().set_nodelay(true).expect("a flag");
        for byte in all.bytes() {
            clients[1].sends([byte]);
        }
        for client in &mut clients {
            for code in [250, 250, 250, 553, 354, 250, 250, 250, 250, 354, 250, 221] {
                client.hears(code);
            }
            client.ends();
        }
        let messages = server.messages();
        let mut contents: Vec<&str> = messages.iter().map(|message| content(message)).collect();
        contents.sort_unstable();
        assert_eq!(contents, ["hello\r\n", "hello\r\n", "x\r\n", "x\r\n"], "{dispatch}");
    }
}

/// What some servers take for the end of a message, so that the rest of it becomes commands: nothing but CR LF, dot, CR LF
/// is.
#[test]
fn no_second_message_is_smuggled_in() {
    let ends = [
        "\n.\n",
        "\n.\r\n",
        "\r\n.\n",
        "\r.\r",
        "\r.\r\n",
        "\r\n.\r",
        "\r\r\n.\n",
        "\n\n.\n\n",
        "\r\n\0.\r\n",
        "\r\n.\0\r\n",
        "\r\n. \r\n",
        "\n.\r",
        "\r.\n",
        "\r\n..\r\n",
        "\r\n.\r\r\n",
        "\r\n\n.\r\n\r",
    ];
    let server = Server::start("pool");
    let smuggled = "MAIL FROM:<evil@client.test>\r\nRCPT TO:<you@server.test>\r\nDATA\r\nevil";
    let mut number_stored = 0;
    for end in ends {
        let mut client = server.sender();
        client.asks("DATA", 354);
        client.sends(format!("good{end}{smuggled}\r\n.\r\n"));
        // One message, and one reply. A lone CR or LF is the reason to refuse it.
        let mut rest = end.replace("\r\n", "");
        rest.retain(|letter| letter == '\r' || letter == '\n');
        client.hears(if rest.is_empty() { 250 } else { 554 });
        number_stored += usize::from(rest.is_empty());
        client.asks("VRFY you", 252);
        client.envelope();
        client.asks("DATA", 354);
        client.asks("good\r\n.", 250);
        number_stored += 1;
        let messages = server.messages();
        assert_eq!(messages.len(), number_stored, "{end:?}");
        assert!(messages.iter().all(|message| message.starts_with("Return-Path: <me@client.test>")), "{end:?}");
    }
}

#[test]
fn a_lone_line_feed_ends_no_command() {
    let server = Server::start("pool");
    let mut client = server.client();
    client.sends("EHLO client.test\nMAIL FROM:<me@client.test>\n");
    client.asks("NOOP", 500);
    client.asks("EHLO client.test\rNOOP", 500);
    client.asks("EHLO client.test", 250);
    client.asks("MAIL FROM:<me@cli\u{e9}nt.test>", 500);
    client.asks("NOOP \0", 500);
    client.asks("NOOP \t", 500);
}

#[test]
fn commands_have_an_order_and_a_form() {
    let server = Server::start("pool");
    let mut client = server.client();
    for (line, code) in [
        ("MAIL FROM:<me@client.test>", 503),
        ("RCPT TO:<you@server.test>", 503),
        ("DATA", 503),
        ("NOOP", 250),
        ("noop anything", 250),
        ("HELP", 214),
        ("VRFY", 501),
        ("vrfy you", 252),
        ("RSET", 250),
        ("HELO", 501),
        ("EHLO two words", 501),
    ] {
        client.asks(line, code);
    }
    let mut client = server.client();
    for (line, code) in [
        ("helo client.test", 250),
        ("EHLO [127.0.0.1]", 250),
        ("EHLO [IPv6:::1]", 250),
        ("RCPT TO:<you@server.test>", 503),
        ("DATA", 503),
        ("mail from:<me@client.test>", 250),
        ("MAIL FROM:<me@client.test>", 503),
        ("DATA", 554),
        ("RCPT TO:<you@server.test>", 250),
        ("RSET", 250),
        ("DATA", 503),
        ("MAIL FROM:<me@client.test>", 250),
        ("EHLO client.test", 250),
        ("RCPT TO:<you@server.test>", 503),
    ] {
        client.asks(line, code);
    }
    for line in ["DATA now", "RSET all", "QUIT it", "", " ", "EXPN list", "AUTH PLAIN", "STARTTLS", "BDAT 3 LAST"] {
        let mut client = server.client();
        let code = if line.contains(' ') && line.starts_with(['D', 'R', 'Q']) { 501 } else { 500 };
        client.asks("EHLO client.test", 250);
        client.asks(line, code);
    }
}

#[test]
fn addresses_are_what_the_standard_says() {
    let server = Server::start("pool");
    let long = |local: usize, domain: usize| format!("FROM:<{}@{}>", "l".repeat(local), "d".repeat(domain));
    let (most, too_long_local, too_long) = (long(64, 189), long(65, 10), long(64, 190));
    for (argument, code) in [
        ("FROM:<>", 250),
        ("FROM: <me@client.test>", 250),
        ("from:<me+tag.x@client.test>", 250),
        ("FROM:<me@[127.0.0.1]>", 250),
        ("FROM:<\"a b>c@d\"@client.test>", 250),
        ("FROM:<\"a\\\">\"@client.test>", 250),
        ("FROM:<@one.test,@two.test:me@client.test>", 250),
        ("FROM:<me@client.test> size=100 body=7bit", 250),
        ("FROM:<me@client.test> SIZE=10485760", 250),
        (&most, 250),
        ("FROM:<me@client.test> SIZE=10485761", 552),
        ("FROM:<me@client.test> SIZE=99999999999999999999", 552),
        ("FROM:<me@client.test> SIZE=", 501),
        ("FROM:<me@client.test> SIZE=-1", 501),
        ("FROM:<me@client.test> SIZE", 555),
        ("FROM:<me@client.test> BODY=BINARYMIME", 501),
        ("FROM:<me@client.test> SMTPUTF8", 555),
        ("FROM:<me@client.test>SIZE=1", 501),
        ("FROM:me@client.test", 501),
        ("FROM:<me@client.test", 501),
        ("FROM <me@client.test>", 501),
        ("TO:<me@client.test>", 501),
        ("", 501),
        ("FROM:<me>", 553),
        ("FROM:<@client.test>", 501),
        ("FROM:<me@>", 553),
        ("FROM:<a b@client.test>", 553),
        ("FROM:<me@client test>", 553),
        ("FROM:<me@client.test,you@client.test>", 553),
        (&too_long_local, 553),
        (&too_long, 553),
    ] {
        let mut client = server.client();
        client.asks("EHLO client.test", 250);
        client.asks(&format!("MAIL {argument}"), code);
    }
    let mut client = server.client();
    client.asks("EHLO client.test", 250);
    client.asks("MAIL FROM:<me@client.test>", 250);
    for (argument, code) in [
        ("TO:<>", 553),
        ("TO:<you>", 553),
        ("TO:<postMASTER>", 250),
        ("TO:<you@server.test> NOTIFY=NEVER", 555),
        ("TO:", 501),
    ] {
        client.asks(&format!("RCPT {argument}"), code);
    }
}

#[test]
fn there_are_limits() {
    let server = Server::start("pool");
    let mut client = server.client();
    client.asks("EHLO client.test", 250);
    client.asks(&format!("NOOP {}", "x".repeat(LONGEST_LINE - 5)), 250);
    client.asks(&format!("NOOP {}", "x".repeat(LONGEST_LINE - 4)), 500);
    client.asks(&"x".repeat(1_000_000), 500);
    client.asks("NOOP", 250);
    client.asks("MAIL FROM:<me@client.test>", 250);
    for number in 0..100 {
        client.asks(&format!("RCPT TO:<{number}@server.test>"), 250);
    }
    client.asks("RCPT TO:<one-more@server.test>", 452);
    // The hundred get it.
    client.asks("DATA", 354);
    client.asks(&format!("{}\r\n.", "x".repeat(LONGEST_LINE)), 250);
    assert_eq!(server.messages()[0].matches("Delivered-To: ").count(), 100);
    client.envelope();
    client.asks("DATA", 354);
    // Behind a line that is too long the message goes on.
    client.asks(&format!("{}\r\nMAIL FROM:<me@client.test>\r\n.", "x".repeat(LONGEST_LINE + 1)), 554);
    client.asks("NOOP", 250);
    // The longest message, with dots that do not count.
    let line = format!(".{}\r\n", "x".repeat(1022));
    for (more, code) in [("", 250), ("\r\n", 552)] {
        client.envelope();
        client.asks("DATA", 354);
        client.sends(line.replace(".x", "..x").repeat(LONGEST / line.len() - 1));
        let rest = LONGEST % line.len() + line.len() - 2;
        client.sends(format!("{}\r\n{more}", "x".repeat(rest)));
        client.asks(".", code);
    }
    assert_eq!(server.messages().len(), 2);
    assert_eq!(content(&server.messages()[1]).len(), LONGEST);
}

#[test]
fn a_client_that_speaks_something_else_is_sent_away() {
    let server = Server::start("pool");
    let mut client = server.client();
    for _ in 0..10 {
        client.asks("hello", 500);
    }
    client.asks("hello", 421);
    client.ends();
    // What a browser sends that was made to post mail.
    let mut client = server.client();
    client.sends(
        "POST / HTTP/1.1\r\nHost: x\r\n\r\nEHLO x\r\nMAIL FROM:<evil@x>\r\nRCPT TO:<you@server.test>\r\nDATA\r\n.\r\n",
    );
    client.hears(421);
    client.ends();
    assert_eq!(server.messages().len(), 0);
}

#[test]
fn half_a_message_is_not_stored() {
    for dispatch in DISPATCHES {
        let server = Server::start(dispatch);
        // The client ends before the message does.
        for end in ["hello", "hello\r\n", "hello\r\n.", "hello\r\n.\r", "hello\r\n.\n"] {
            let mut client = server.sender();
            client.asks("DATA", 354);
            client.sends(end);
            client.0.get_ref().shutdown(Shutdown::Write).expect("shutdown");
            client.ends();
        }
        // The server ends before the message does, and says so.
        let mut client = server.sender();
        client.asks("DATA", 354);
        client.sends("hello\r\n");
        let mut idle = server.client();
        let Server { example, folder } = server;
        let (status, report) = example.stop();
        assert!(status.success(), "{dispatch}: {report}");
        for client in [&mut client, &mut idle] {
            client.hears(421);
            client.ends();
        }
        assert_eq!(stored(folder.path()).len(), 0, "{dispatch}");
    }
}

#[test]
fn what_cannot_be_stored_is_not_accepted() {
    let server = Server::start("pool");
    let mut client = server.sender();
    client.asks("DATA", 354);
    std::fs::remove_dir_all(server.folder.path()).expect("it goes");
    client.asks("hello\r\n.", 451);
    client.envelope();
    client.asks("DATA", 451);
    client.asks("NOOP", 250);
    std::fs::create_dir(server.folder.path()).expect("it comes back");
    client.asks("DATA", 354);
    client.asks("hello\r\n.", 250);
    assert_eq!(server.messages().len(), 1);
    let ended = finish(Command::new(program("smtp")).args(["--folder", "/nowhere/at/all"]));
    assert_eq!(ended.code, Some(1));
    assert!(ended.errors.starts_with("smtp: cannot store in /nowhere/at/all: "), "{}", ended.errors);
}

#[test]
fn without_a_folder_messages_are_printed() {
    for dispatch in DISPATCHES {
        let mut example = Example::start("smtp", &["--listen", "127.0.0.1:0", "--dispatch", dispatch]);
        let mut client = Client::new(connect(example.socket_address()));
        client.asks("HELO client.test", 250);
        client.envelope();
        client.asks("DATA", 354);
        client.asks("Subject: hi\r\n\r\nhello\r\n.", 250);
        let mut lines = std::iter::from_fn(|| Some(example.line()).filter(|line| line != "hello\r\n"));
        assert_eq!(lines.next().as_deref(), Some("Return-Path: <me@client.test>\r\n"), "{dispatch}");
        assert!(lines.any(|line| line == "Subject: hi\r\n"), "{dispatch}");
        assert!(example.stop().0.success(), "{dispatch}");
    }
}

/// Many at once, and none waits for another that is in the middle of something.
#[test]
fn slow_clients_hold_nobody_up() {
    for dispatch in ["sync", "threads", "pool"] {
        let server = Server::start(dispatch);
        let mut slow: Vec<_> = (0..50).map(|_| server.sender()).collect();
        for (number, client) in slow.iter_mut().enumerate() {
            client.asks("DATA", 354);
            client.sends(&b"Subject: half a line"[..number % 20]);
        }
        let mut quick = server.sender();
        quick.asks("DATA", 354);
        quick.asks("hello\r\n.", 250);
        for client in &mut slow {
            client.asks("\r\n.", 250);
        }
        assert_eq!(server.messages().len(), 51, "{dispatch}");
    }
}

/// Runs another's client to its end.
fn run(command: &mut Command) -> String {
    let output = command.stdin(Stdio::null()).output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    assert!(output.status.success(), "{command:?}: {said}");
    said
}

#[test]
#[ignore = "needs python3"]
fn pythons_smtplib_is_served() {
    let script = "import smtplib, sys
from email.message import EmailMessage
message = EmailMessage()
message['Subject'] = 'grün'
message['From'], message['To'] = 'me@client.test', 'one@server.test, two@server.test'
message.set_content('hello\\n.\\n..dot\\n' + 'ü' * 100 + '\\n')
message.add_attachment(bytes(range(256)) * 1000, maintype='application', subtype='octet-stream', filename='bytes')
with smtplib.SMTP('127.0.0.1', int(sys.argv[1]), timeout=30) as smtp:
    assert not smtp.send_message(message)
    assert smtp.esmtp_features['size'] == '10485760', smtp.esmtp_features
    assert smtp.verify('you')[0] == 252
    try:
        smtp.sendmail('me@client.test', ['none', 'one@server.test'], b'Subject: two\\r\\n\\r\\nhello')
        smtp.sendmail('me@client.test', 'none', b'')
        raise SystemExit('all recipients are wrong')
    except smtplib.SMTPRecipientsRefused as error:
        assert error.recipients['none'][0] == 553, error
    try:
        smtp.sendmail('me@client.test', 'one@server.test', b'x' * 10485761)
        raise SystemExit('it is too long')
    except smtplib.SMTPSenderRefused as error:
        assert error.smtp_code == 552, error
";
    for dispatch in DISPATCHES {
        let server = Server::start(dispatch);
        run(Command::new("python3").args(["-c", script, server.example.port()]));
        let messages = server.messages();
        assert_eq!(messages.len(), 2, "{dispatch}");
        assert!(messages[0].contains("Delivered-To: two@server.test\r\n"), "{dispatch}");
        // Written by its sender as the standard library of Python reads it.
        let read = "import sys, email, email.policy
message = email.message_from_bytes(open(sys.argv[1], 'rb').read(), policy=email.policy.SMTP)
assert message['Subject'] == 'grün', message['Subject']
text, attachment = message.iter_parts()
assert text.get_content() == 'hello\\n.\\n..dot\\n' + 'ü' * 100 + '\\n', text.get_content()
assert attachment.get_content() == bytes(range(256)) * 1000
";
        let mut paths: Vec<_> = std::fs::read_dir(server.folder.path()).expect("a folder").flatten().collect();
        paths.sort_by_key(std::fs::DirEntry::file_name);
        run(Command::new("python3").args(["-c", read]).arg(paths[0].path()));
        assert!(content(&messages[1]).ends_with("Subject: two\r\n\r\nhello\r\n"), "{dispatch}");
    }
}

#[test]
#[ignore = "needs swaks"]
fn swaks_is_served() {
    for dispatch in DISPATCHES {
        let server = Server::start(dispatch);
        for flags in [&["--pipeline"][..], &["--protocol", "SMTP"], &["--protocol", "ESMTP", "--drop-after", "RCPT"]] {
            let mut swaks = Command::new("swaks");
            swaks.args(["--server", &server.example.address, "--to", "one@server.test,two@server.test"]);
            swaks.args(["--from", "me@client.test", "--header", "Subject: hi", "--body", "hello\\n.\\n"]).args(flags);
            let said = run(&mut swaks);
            assert!(said.contains("220 localhost ESMTP"), "{said}");
        }
        let messages = server.messages();
        assert_eq!(messages.len(), 2, "{dispatch}");
        assert!(messages.iter().all(|message| message.contains("\r\nSubject: hi\r\n")), "{dispatch}: {messages:?}");
    }
}
