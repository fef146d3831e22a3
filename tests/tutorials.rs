//! The programs of Python's tutorials, from the sources that the guide shows, served to real Python clients.

mod common;

use std::net::SocketAddr;
use std::net::TcpListener;
use std::path::Path;
use std::process::Child;
use std::process::Command;

use common::TempDir;
use common::cases::Trial;
use common::cases::needs;
use common::cases::run;
use socketserver::Builder;
use socketserver::Fork;
use socketserver::Pool;
use socketserver::Sync as OneThread;
use socketserver::Tcp;
use socketserver::ThreadPerRequest;
use socketserver::frames;
use socketserver::handler::function;
use socketserver::signals::stop_on_signals;

macro_rules! programs {
    ($($module:ident: $($file:literal),+;)+) => {$(
        #[allow(missing_debug_implementations, unreachable_pub, unused_qualifications, reason = "programs as the guide shows them")]
        mod $module {
            $(include!(concat!("../src/guide/programs/", $file, ".rs"));)+
        }
    )+};
}

programs! {
    actions: "actions";
    boundaries: "boundaries";
    by_server: "page", "page_by_server";
    by_threads: "page", "page_by_threads";
    echo_upper: "echo_upper";
    greeting: "greeting";
    visitors: "visitors";
}

#[cfg(target_os = "linux")]
programs! {
    by_polling: "page", "page_by_poll", "page_by_epoll";
}

/// What the scripts have in common. Each gets the address on its command line, and its end stops the server.
const HEAD: &str = r#"
import hashlib, json, os, signal, socket, struct, sys, threading, urllib.error, urllib.request
address = (sys.argv[1], int(sys.argv[2]))

class Client:
    def __init__(self):
        self.socket = socket.create_connection(address, timeout=30)
        self.lines = self.socket.makefile("rb")

    def ask(self, data):
        self.socket.sendall(data)
        return self.answer()

    def answer(self):
        return self.lines.readline()

def equal(found, expected):
    assert found == expected, (found, expected)
"#;

/// Starts Python with `script`, in which `stop` stands for how it tells that it is done.
fn python(script: &str, address: SocketAddr, at_the_end: &str) -> Child {
    let script: String = script.lines().map(|line| format!("    {line}\n")).collect();
    let program = format!("{HEAD}\ntry:\n    pass\n{script}\nfinally:\n    {at_the_end}\n");
    let (ip, port) = (address.ip().to_string(), address.port().to_string());
    Command::new("python3").args(["-c", &program, &ip, &port]).spawn().expect("python3")
}

fn assert_success(mut client: Child) {
    let status = client.wait().expect("python3 is waited for");
    assert!(status.success(), "the client has failed: {status}");
}

/// Serves on this thread, until the client is done with `$script` and sends SIGTERM; how many requests have failed.
macro_rules! serve {
    ($dispatch:ty, $factory:expr, $script:expr) => {{
        let server = Builder::<Tcp, $dispatch, _>::new($factory).bind("127.0.0.1:0").expect("it can be bound");
        let _signals = stop_on_signals(server.stop_handle()).expect("signals can be handled");
        let client = python($script, server.local_addr(), "os.kill(os.getppid(), signal.SIGTERM)");
        let report = server.serve_forever().expect("it serves");
        assert_success(client);
        report.failed
    }};
}

/// A trial for each dispatch that is named; `Fork` has to come before those with threads.
macro_rules! under {
    ($name:literal, [$($dispatch:ident),+], $factory:expr, $script:expr) => {
        under!($name, [$($dispatch),+], $factory, $script, failed: 0)
    };
    ($name:literal, [$($dispatch:ident),+], $factory:expr, $script:expr, failed: $failed:literal) => {
        [$(needs("python3", Trial::test(concat!($name, "::", stringify!($dispatch)), || {
            assert_eq!(serve!($dispatch, $factory, $script), $failed);
            Ok(())
        }))),+]
    };
}

/// Two clients in the middle of their conversations, and one that resets its connection.
const TALK: &str = r#"
first, second, third = Client(), Client(), Client()
for _ in range(3):
    equal(first.ask(b"hello\n"), b"HELLO\n")
    equal(second.ask("stra\u00dfe\n".encode()), "STRA\u00dfE\n".encode())
equal(third.ask(b"bye\n"), b"BYE\n")
third.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
third.lines.close()
third.socket.close()
equal(first.ask(b"still here\n"), b"STILL HERE\n")
for client in first, second:
    client.socket.shutdown(socket.SHUT_WR)
    equal(client.answer(), b"")
"#;

/// Under one thread, a handler that loops serves the second client when the first has gone.
const ONE_AFTER_THE_OTHER: &str = r#"
first, second = Client(), Client()
equal(first.ask(b"hello\n"), b"HELLO\n")
second.socket.sendall(b"anyone?\n")
second.socket.settimeout(0.3)
try:
    second.socket.recv(1)
    raise AssertionError("the second client was answered beside the first")
except TimeoutError:
    second.socket.settimeout(30)
first.lines.close()
first.socket.close()
equal(second.socket.recv(100), b"ANYONE?\n")
second.socket.shutdown(socket.SHUT_WR)
equal(second.socket.recv(100), b"")
"#;

const FIVE_GREETINGS: &str = r#"
for number in range(5):
    client = Client()
    equal(client.ask(b"client %d\n" % number).decode(), "Gr\u00fc\u00dfe aus dem S\u00fcden\n")
    equal(client.answer(), b"")
"#;

const VISITS: &str = r#"
answers = []
def visit(message):
    answers.append(Client().ask(message))

threads = [threading.Thread(target=visit, args=(b"message %d\n" % number,)) for number in range(3)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
equal(sorted(answer.split(b": ")[1] for answer in answers), [b"message 0\n", b"message 1\n", b"message 2\n"])
"#;

const PAGES: &str = r#"
url = "http://%s:%d/" % address
for _ in range(3):
    with urllib.request.urlopen(url + "index.html", timeout=30) as page:
        equal(page.read(), b"<h1>hello</h1>\n")
for name in "missing.html", "", "../secret", "..":
    try:
        urllib.request.urlopen(url + name, timeout=30)
        raise AssertionError(name)
    except urllib.error.HTTPError as error:
        equal(error.code, 404)
"#;

const ACTIONS: &str = r#"
client = Client()
content = os.urandom(300_000)
sha256 = hashlib.sha256(content).hexdigest()
def ask(message, body=b""):
    return json.loads(client.ask(json.dumps(message).encode() + b"\n" + body))

equal(ask({"action": "get", "name": "new"}), {"error": "there is no such file"})
equal(ask({"action": "put", "name": "new", "size": len(content), "sha256": "0"}, content), {"error": "the hash is another"})
equal(ask({"action": "put", "name": "new", "size": len(content), "sha256": sha256}, content), {"stored": len(content)})
equal(ask({"action": "get", "name": "new"}), {"size": len(content), "sha256": sha256})
equal(client.lines.read(len(content)), content)
equal(ask({"action": "delete"}), {"error": 'there is no action "delete"'})
"#;

/// Two messages in one send, and one in two.
const STICKING: &str = r#"
client = Client()
client.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
def read_two(answer):
    equal([answer(), answer()], [b"5 bytes\n", b"3 bytes\n"])

both = head(5) + b"hello" + head(3) + b"abc"
client.socket.sendall(both)
read_two(client.answer)
for byte in both:
    client.socket.sendall(bytes([byte]))
read_two(client.answer)
"#;

fn with_length() -> String {
    format!("head = lambda length: struct.pack('>I', length)\n{STICKING}")
}

fn counting() -> String {
    format!("head = lambda length: b'%d\\n' % length\n{STICKING}")
}

/// The answers of frames have lengths, too.
fn framed() -> String {
    let read = "    found = client.lines.read(22)\n    equal(found, head(7) + b'5 bytes' + head(7) + b'3 bytes')";
    with_length().replace("    equal([answer(), answer()], [b\"5 bytes\\n\", b\"3 bytes\\n\"])", read)
}

fn sticking() -> Vec<Trial> {
    let counted = frames::function(frames::LengthDelimitedCodec::new(), |message: &[u8], replies| {
        replies.send(format!("{} bytes", message.len()))?;
        Ok(socketserver::Flow::Continue)
    });
    let mut trials = vec![needs(
        "python3",
        Trial::test("sticking::frames", move || {
            assert_eq!(serve!(Pool, counted, &framed()), 0);
            Ok(())
        }),
    )];
    // Acknowledged, whole messages need no boundaries.
    let acknowledged = "client = Client()\nfor _ in range(5):\n    equal(client.ask(b'hello'), b'5 bytes\\n')";
    trials.extend(under!("sticking::acknowledged", [OneThread, Pool], function(boundaries::count_reads), acknowledged));
    trials.extend(under!(
        "sticking::length",
        [ThreadPerRequest, Pool],
        function(boundaries::with_length),
        &with_length()
    ));
    trials.extend(under!(
        "sticking::left",
        [ThreadPerRequest, Pool],
        function(boundaries::counting_what_is_left),
        &counting()
    ));
    trials
}

/// A folder with a file to be served in `www`, and one beside it.
fn site() -> TempDir {
    let site = TempDir::new();
    std::fs::create_dir(site.join("www")).expect("a folder");
    std::fs::write(site.join("secret"), "secret").expect("a file");
    std::fs::write(site.join("www/index.html"), "<h1>hello</h1>\n").expect("a file");
    site
}

macro_rules! pages_by_server {
    ($($dispatch:ident),+) => {
        [$(needs("python3", Trial::test(concat!("page_by_server::", stringify!($dispatch)), || {
            let site = site();
            let folder = site.join("www");
            assert_eq!(serve!($dispatch, move || by_server::Page { folder: folder.clone() }, PAGES), 0);
            Ok(())
        }))),+]
    };
}

/// Its loop cannot be stopped, and ends with the process.
fn page_by(name: &str, serve: fn(&TcpListener, &Path) -> std::io::Result<()>) -> Trial {
    let page = move || {
        let site = site();
        let folder = site.join("www");
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        std::thread::spawn(move || serve(&listener, &folder));
        assert_success(python(PAGES, address, "pass"));
        Ok(())
    };
    needs("python3", Trial::test(name, page))
}

fn actions() -> Trial {
    needs(
        "python3",
        Trial::test("actions", || {
            let folder = TempDir::new();
            let path = folder.path().to_owned();
            assert_eq!(serve!(Pool, move || actions::Files { folder: path.clone() }, ACTIONS), 0);
            Ok(())
        }),
    )
}

fn main() {
    // Those that fork are first: no thread may be left of another.
    let mut cases = Vec::new();
    cases.extend(under!("echo_upper", [Fork, ThreadPerRequest, Pool], || echo_upper::EchoUpper, TALK));
    // The reset is the server's to notice.
    cases.extend(under!("echo_upper_in_turns", [OneThread, Pool], || echo_upper::EchoUpperInTurns, TALK, failed: 1));
    cases.extend(under!("one_after_the_other", [OneThread], || echo_upper::EchoUpper, ONE_AFTER_THE_OTHER));
    cases.extend(under!("greeting", [OneThread, ThreadPerRequest, Pool], function(greeting::greet), FIVE_GREETINGS));
    cases.extend(under!("visitors", [ThreadPerRequest, Pool], || visitors::Visitors, VISITS));
    cases.extend(pages_by_server!(OneThread, ThreadPerRequest, Pool));
    cases.push(page_by("page_by_threads", by_threads::serve_with_threads));
    #[cfg(target_os = "linux")]
    cases.extend([
        page_by("page_by_poll", by_polling::serve_with_poll),
        page_by("page_by_epoll", by_polling::serve_with_epoll),
    ]);
    cases.push(actions());
    cases.extend(sticking());
    run(cases);
}
