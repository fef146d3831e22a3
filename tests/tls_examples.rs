//! The examples over TLS: each that serves streams, under each dispatch, with certificates that are renewed while it serves.

#![cfg(unix)]

mod common;

use std::io::Read;
use std::io::Write;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;

use common::TempDir;
use common::ask;
use common::connect_unix;
use common::eventually;
use common::example::Example;
use common::example::finish;
use common::example::program;
use common::read_line;
use common::read_rest;
use common::tls::Authority;
use common::tls::Client;
use common::tls::Identity;
use common::tls::TlsClient;
use common::tls::authority;
use common::tls::localhost;
use rustix::process::Pid;
use rustix::process::Signal;
use rustix::process::kill_process;

/// An example of which every transport but those of datagrams can be over TLS.
struct Served {
    name: &'static str,
    flags: &'static [&'static str],
    unix: &'static str,
    dispatches: &'static [&'static str],
    /// What its client says, and the beginning of the first line that comes back.
    says: &'static str,
    hears: &'static str,
}

const ALL: &[&str] = &["sync", "threads", "fork", "pool"];
const IN_ONE_PROCESS: &[&str] = &["sync", "threads", "pool"];

const SERVED: &[Served] = &[
    Served { name: "chat", flags: &[], unix: "unix", dispatches: IN_ONE_PROCESS, says: "", hears: "* welcome" },
    Served { name: "echo", flags: &[], unix: "unix-stream", dispatches: ALL, says: "hello\n", hears: "hello" },
    Served { name: "echo", flags: &["--loop"], unix: "unix-stream", dispatches: ALL, says: "hello\n", hears: "hello" },
    Served {
        name: "http_files",
        flags: &["--hello"],
        unix: "unix",
        dispatches: ALL,
        says: "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
        hears: "HTTP/1.1 200 OK",
    },
    Served { name: "kv", flags: &[], unix: "unix", dispatches: IN_ONE_PROCESS, says: "PING\r\n", hears: "+PONG" },
    Served { name: "smtp", flags: &[], unix: "unix", dispatches: ALL, says: "", hears: "220 " },
    Served { name: "upper", flags: &[], unix: "unix", dispatches: ALL, says: "hello\n", hears: "HELLO" },
    Served { name: "upper", flags: &["--loop"], unix: "unix", dispatches: ALL, says: "hello\n", hears: "HELLO" },
];

/// The files of a certificate, in a folder of their own.
struct Files(TempDir);

impl Files {
    fn of(identity: &Identity) -> Self {
        let files = Self(TempDir::new());
        files.write(identity);
        files
    }

    /// Puts others in their place.
    fn write(&self, identity: &Identity) {
        std::fs::write(self.0.join("cert.pem"), &identity.certificate).unwrap();
        std::fs::write(self.0.join("key.pem"), &identity.key).unwrap();
    }

    fn path(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_owned()
    }

    /// Starts an example with them.
    fn start(&self, name: &str, flags: &[&str]) -> Example {
        let (certificate, key) = (self.path("cert.pem"), self.path("key.pem"));
        let mut all = vec!["--listen", "127.0.0.1:0", "--tls-cert", &certificate, "--tls-key", &key];
        all.extend(flags);
        Example::start(name, &all)
    }
}

/// Says something, and hears what there is to hear. What it was, for a message.
fn converse(served: &Served, mut client: TlsClient<impl Read + Write>) {
    client.shake_hands().unwrap();
    client.write_all(served.says.as_bytes()).unwrap();
    let line = read_line(&mut client);
    assert!(line.starts_with(served.hears), "{}: {line}", served.name);
}

#[test]
fn every_example_of_streams_speaks_tls_under_every_dispatch() {
    let files = Files::of(localhost());
    for served in SERVED {
        for dispatch in served.dispatches {
            let server = files.start(served.name, &[&["--dispatch", dispatch], served.flags].concat());
            converse(served, Client::default().connect(server.socket_address()));
            let (status, report) = server.stop();
            assert!(status.success(), "{} {dispatch}: {report}", served.name);
            assert!(report.contains("1 accepted"), "{} {dispatch}: {report}", served.name);

            let path = files.path("socket");
            let flags = ["--transport", served.unix, "--listen", &path, "--dispatch", dispatch];
            let server = files.start(served.name, &[&flags, served.flags].concat());
            converse(served, Client::default().over(connect_unix(Path::new(&path))));
            let (status, report) = server.stop();
            assert!(status.success(), "{} {dispatch}: {report}", served.name);
        }
    }
}

fn hang_up(server: &Example) {
    let pid = Pid::from_raw(server.pid().cast_signed()).unwrap();
    kill_process(pid, Signal::HUP).unwrap();
}

#[test]
fn sighup_loads_the_certificate_again_and_open_connections_go_on() {
    for dispatch in ALL {
        let files = Files::of(localhost());
        let server = files.start("echo", &["--dispatch", dispatch]);
        let mut open = Client::default().shake_hands(server.socket_address()).unwrap();
        assert_eq!(ask(&mut open, "with the old"), "with the old");

        let another = Authority::new("another authority");
        files.write(&another.server(&["localhost"]));
        let after = Client::trusting(&another);
        assert!(after.shake_hands(server.socket_address()).is_err(), "nobody has said that there is another");
        hang_up(&server);
        eventually("the new certificate is shown", || after.shake_hands(server.socket_address()).is_ok());
        // Another client: the first would resume its session, in which no certificate is shown.
        assert!(Client::default().shake_hands(server.socket_address()).is_err(), "the old certificate is still shown");
        assert_eq!(ask(&mut open, "as before"), "as before");

        drop(open);
        let (status, said) = server.stop();
        assert!(status.success(), "{dispatch}: {said}");
        assert_eq!(said.matches("the certificate was reloaded").count(), 1, "{dispatch}: {said}");
    }
}

#[test]
fn sighup_reaches_the_processes_that_serve() {
    for dispatch in IN_ONE_PROCESS {
        let files = Files::of(localhost());
        let server = files.start("echo", &["--dispatch", dispatch, "--processes", "2"]);
        Client::default().shake_hands(server.socket_address()).unwrap();
        let another = Authority::new("another authority");
        files.write(&another.server(&["localhost"]));
        hang_up(&server);
        let after = Client::trusting(&another);
        // Whichever of them accepts.
        eventually("the new certificate is shown by all", || {
            (0..20).all(|_| after.shake_hands(server.socket_address()).is_ok())
        });
        let (status, said) = server.stop();
        assert!(status.success(), "{dispatch}: {said}");
        assert!(said.matches("the certificate was reloaded").count() >= 2, "{dispatch}: {said}");
    }
}

#[test]
fn files_that_cannot_be_loaded_leave_the_old_certificate_in_force() {
    let files = Files::of(localhost());
    // Here the test waits for what the server says, so that it is known when it has tried.
    let log = files.0.join("log");
    let mut command = Command::new(program("echo"));
    command.args([
        "--listen",
        "127.0.0.1:0",
        "--tls-cert",
        &files.path("cert.pem"),
        "--tls-key",
        &files.path("key.pem"),
    ]);
    command.stdin(Stdio::null()).stderr(std::fs::File::create(&log).unwrap());
    let server = Example::spawn_with(&mut command);
    std::fs::write(files.0.join("key.pem"), &authority().server(&["localhost"]).key).unwrap();
    hang_up(&server);
    let said = || std::fs::read_to_string(&log).unwrap();
    eventually("it has tried", || said().ends_with('\n'));
    assert!(said().starts_with("the old certificate stays in use: the key in "), "{}", said());
    assert!(said().contains(&files.path("key.pem")), "{}", said());
    let mut client = Client::default().shake_hands(server.socket_address()).unwrap();
    assert_eq!(ask(&mut client, "hello"), "hello");
}

#[test]
fn clients_have_to_present_a_certificate_of_the_authority() {
    let files = Files::of(localhost());
    let clients = Authority::new("the authority of the clients");
    std::fs::write(files.0.join("clients.pem"), clients.pem()).unwrap();
    for dispatch in ALL {
        let server = files.start("upper", &["--dispatch", dispatch, "--tls-client-ca", &files.path("clients.pem")]);
        let mut known = Client::presenting(&clients.client("known")).connect(server.socket_address());
        assert_eq!(ask(&mut known, "hello"), "HELLO");
        let stranger = authority().client("a stranger");
        for mut refused in
            [Client::default(), Client::presenting(&stranger)].map(|client| client.connect(server.socket_address()))
        {
            // In TLS 1.3 the client's part is done before the server has looked at its certificate.
            let outcome = refused.shake_hands().and_then(|()| refused.try_read_rest());
            assert!(outcome.is_err(), "{dispatch}: it was let in");
        }
    }
}

#[test]
fn http_files_offers_http_1_1() {
    let server = Files::of(localhost()).start("http_files", &["--hello"]);
    let mut client = Client::default().alpn(&["h2", "http/1.1"]).shake_hands(server.socket_address()).unwrap();
    assert_eq!(client.session().alpn_protocol(), Some(&b"http/1.1"[..]));
}

#[test]
fn what_is_missing_is_named_and_exits_with_2() {
    let files = Files::of(localhost());
    let (certificate, key) = (files.path("cert.pem"), files.path("key.pem"));
    let cases: [(&[&str], &str); 5] = [
        (&["--tls-cert", &certificate], "--tls-cert: --tls-key is needed, too"),
        (&["--tls-key", &key], "--tls-key: --tls-cert is needed, too"),
        (&["--tls-client-ca", &certificate], "--tls-client-ca: --tls-cert and --tls-key are needed, too"),
        (&["--tls-client-ca", &certificate, "--tls-key", &key], "--tls-key: --tls-cert is needed, too"),
        (&["--tls-cert"], "missing argument for option '--tls-cert'"),
    ];
    for served in SERVED {
        for (flags, message) in cases {
            let ended = finish(Command::new(program(served.name)).args(["--listen", "127.0.0.1:0"]).args(flags));
            assert_eq!(ended.code, Some(2), "{} {flags:?}: {}", served.name, ended.errors);
            let expected = format!("{}: {message}\n", served.name);
            assert!(ended.errors.starts_with(&expected), "{flags:?}: {}", ended.errors);
        }
    }
}

#[test]
fn where_tls_cannot_be_the_flags_say_why() {
    let refused: &[(&str, &[&str], &str)] = &[
        ("dns", &[], "UDP"),
        ("echo", &["--transport", "udp"], "datagrams"),
        ("echo", &["--transport", "unix-datagram"], "datagrams"),
        ("exec", &["--run", "cat"], "socket itself"),
        ("syslog", &[], "datagrams"),
        ("syslog", &["--transport", "unix"], "datagrams"),
    ];
    for (name, flags, reason) in refused {
        for flag in ["--tls-cert", "--tls-key", "--tls-client-ca"] {
            let ended = finish(Command::new(program(name)).args([flag, "file"]).args(*flags));
            let said = format!("{name} {flags:?}: {:?}, {}", ended.code, ended.errors);
            assert_eq!(ended.code, Some(2), "{said}");
            let error = ended.errors.lines().next().unwrap_or_default();
            assert!(error.starts_with(&format!("{name}: {flag}: ")) && error.contains(reason), "{said}");
        }
    }
}

#[test]
fn files_that_are_none_are_named_and_exit_with_1() {
    let files = Files::of(localhost());
    let (certificate, key) = (files.path("cert.pem"), files.path("key.pem"));
    for (flags, message) in [
        (["/no/cert.pem", &key], "cannot read the certificate in /no/cert.pem"),
        ([&certificate, "/no/key.pem"], "cannot read the private key in /no/key.pem"),
        ([&certificate, &certificate], &certificate),
    ] {
        let mut command = Command::new(program("echo"));
        command.args(["--listen", "127.0.0.1:0", "--tls-cert", flags[0], "--tls-key", flags[1]]);
        let ended = finish(&mut command);
        assert_eq!((ended.code, ended.output.as_str()), (Some(1), ""), "{}", ended.errors);
        assert!(ended.errors.contains(message) && ended.errors.lines().count() == 1, "{}", ended.errors);
    }
}

/// Clients that others have written.
mod clients {
    use super::*;

    /// The authority's certificate beside those of the server, which a client is told to trust.
    fn with_authority() -> Files {
        let files = Files::of(localhost());
        std::fs::write(files.0.join("ca.pem"), authority().pem()).unwrap();
        files
    }

    #[test]
    #[ignore = "needs curl"]
    fn curl_fetches_a_file_and_keeps_the_connection() {
        let files = with_authority();
        std::fs::write(files.0.join("page.txt"), "over TLS\n").unwrap();
        for dispatch in ALL {
            let folder = files.path("");
            let server = files.start("http_files", &["--dispatch", dispatch, "--directory", &folder]);
            let url = format!("https://localhost:{}/page.txt", server.port());
            let mut curl = Command::new("curl");
            curl.args(["--silent", "--show-error", "--ipv4", "--cacert", &files.path("ca.pem")]);
            curl.args(["--write-out", "%{http_version} %{num_connects}\n", &url, &url]);
            let ended = finish(&mut curl);
            assert_eq!(ended.output, "over TLS\n1.1 1\nover TLS\n1.1 0\n", "{dispatch}: {}", ended.errors);
        }
    }

    #[test]
    #[ignore = "needs openssl"]
    fn openssl_speaks_both_versions_and_presents_a_certificate() {
        let files = with_authority();
        std::fs::write(files.0.join("clients.pem"), authority().pem()).unwrap();
        let client = authority().client("openssl");
        std::fs::write(files.0.join("client.pem"), client.certificate + &client.key).unwrap();
        let server = files.start("upper", &["--tls-client-ca", &files.path("clients.pem")]);
        for version in ["-tls1_2", "-tls1_3"] {
            let mut openssl = Command::new("openssl");
            openssl.args(["s_client", "-quiet", "-verify_return_error", version, "-servername", "localhost"]);
            openssl.args(["-connect", &server.address, "-CAfile", &files.path("ca.pem")]);
            openssl.args(["-cert", &files.path("client.pem")]);
            let mut child =
                openssl.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("openssl");
            child.stdin.as_mut().unwrap().write_all(b"hello\n").unwrap();
            let line = read_line(child.stdout.as_mut().unwrap());
            // At the end of its input, with `-quiet`, it goes on listening.
            child.kill().unwrap();
            let ended = child.wait_with_output().unwrap();
            assert_eq!(line, "HELLO", "{version}: {}", String::from_utf8_lossy(&ended.stderr));
        }
    }

    /// Killed when it is dropped.
    struct Balancer(Child);

    impl Drop for Balancer {
        fn drop(&mut self) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }

    #[test]
    #[ignore = "needs haproxy"]
    fn haproxy_passes_tls_through_behind_a_header() {
        let files = with_authority();
        for dispatch in ALL {
            let server = files.start("echo", &["--dispatch", dispatch, "--proxy-from", "127.0.0.0/8"]);
            let (listener, file) = (TcpListener::bind("127.0.0.1:0").unwrap(), files.path("haproxy.cfg"));
            let address = listener.local_addr().unwrap();
            let timeouts = "timeout connect 30s\n timeout client 30s\n timeout server 30s";
            let server_line = format!("server one {} send-proxy-v2", server.address);
            std::fs::write(&file, format!("listen tls\n mode tcp\n {timeouts}\n bind fd@3\n {server_line}\n")).unwrap();
            let haproxy = Command::new("sh")
                .args(["-c", "exec haproxy -db -f \"$0\" 3<&0 0</dev/null", &file])
                .stdin(OwnedFd::from(listener))
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn();
            let _balancer = Balancer(haproxy.unwrap());
            let mut client = Client::default().connect(address);
            assert_eq!(ask(&mut client, "hello"), "hello", "{dispatch}");
            client.say_goodbye();
            assert_eq!(read_rest(&mut client), b"", "{dispatch}");
            // Who comes without the header is no proxy.
            let direct = Client::default().shake_hands(server.socket_address());
            assert!(direct.is_err(), "{dispatch}: a client without a header is served");
        }
    }

    #[test]
    #[ignore = "needs python3"]
    fn python_ends_with_close_notify_and_sees_that_of_the_server() {
        const SCRIPT: &str = "
import socket, ssl, sys
context = ssl.create_default_context(cafile=sys.argv[2])
with socket.create_connection(('127.0.0.1', int(sys.argv[1])), timeout=30) as plain:
    with context.wrap_socket(plain, server_hostname='localhost', suppress_ragged_eofs=False) as tls:
        tls.sendall(b'hello\\n' * 10000)
        received = b''
        while len(received) < 60000:
            received += tls.recv(65536)
        assert received == b'HELLO\\n' * 10000
        tls.unwrap()
";
        let files = with_authority();
        for dispatch in ALL {
            let server = files.start("upper", &["--dispatch", dispatch]);
            let mut python = Command::new("python3");
            python.args(["-c", SCRIPT, server.port(), &files.path("ca.pem")]);
            let ended = finish(&mut python);
            assert_eq!(ended.code, Some(0), "{dispatch}: {}", ended.errors);
        }
    }
}
