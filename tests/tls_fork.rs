//! Under `Fork` a TLS session is the child's, from its first byte to its last; what children have in common are the keys of
//! their tickets.
//!
//! In a harness without threads, because this process must have one. A client connects before the server looks, and
//! makes its handshake with the child.

mod common;

fn main() {
    #[cfg(target_os = "linux")]
    linux::main();
}

#[cfg(target_os = "linux")]
mod linux {
    use crate::cases;
    use crate::common::Listen;
    use crate::common::Listening;
    use crate::common::TempDir;
    use crate::common::ask;
    use crate::common::becomes;
    use crate::common::cases;
    use crate::common::connect;
    use crate::common::connect_unix;
    use crate::common::descriptors;
    use crate::common::read_rest;
    use crate::common::tls::Client;
    use crate::common::tls::TlsClient;
    use crate::common::tls::authority;
    use crate::common::tls::server_config;
    use socketserver::Builder;
    use socketserver::Event;
    use socketserver::Flow;
    use socketserver::Fork;
    use socketserver::HandlerResult;
    use socketserver::Socket;
    use socketserver::Stream;
    use socketserver::Tcp;
    use socketserver::Tls;
    use socketserver::TlsConfig;
    use socketserver::UnixStream;
    use socketserver::handler::Function;
    use socketserver::handler::Observed;
    use socketserver::handler::function;
    use socketserver::transport::TlsSocket;
    use std::cell::RefCell;
    use std::collections::BTreeSet;
    use std::io::BufRead;
    use std::io::Write;
    use std::net::TcpStream;
    use std::rc::Rc;
    use std::time::Duration;

    pub(crate) fn main() {
        cases::run(cases![
            each_client_has_its_process,
            unix_stream,
            children_read_the_tickets_of_other_children,
            what_is_loaded_anew_is_shown_by_the_next_child,
            the_parent_keeps_nothing_and_says_nothing,
            a_failed_handshake_is_a_child_that_failed,
        ])
    }

    /// `resumed` is answered with whether the session was, `process` with its number, `close` with an end.
    fn tell<S: Socket>(request: &mut Stream<TlsSocket<S>>) -> HandlerResult {
        let mut line = String::new();
        request.read_line(&mut line)?;
        let answer = match line.as_str() {
            "resumed\n" => request.get_ref().is_resumed().to_string(),
            "process\n" => std::process::id().to_string(),
            "close\n" => return Ok(Flow::Close),
            other => other.trim_end().to_owned(),
        };
        writeln!(request, "{answer}")?;
        Ok(Flow::Continue)
    }

    type Handle = fn(&mut Stream<TlsSocket<TcpStream>>) -> HandlerResult;

    type Server = Listening<Tls<Tcp>, Fork, Observed<Function<Handle>, crate::common::Recorder>>;

    fn listen(config: TlsConfig) -> Server {
        Builder::<Tls<Tcp>, Fork, _>::new(function(tell::<TcpStream> as Handle)).tls(config).listen()
    }

    /// A client, and a child that serves it.
    fn served(server: &mut Server, client: &Client) -> TlsClient<TcpStream> {
        let client = client.over(connect(server.local_addr()));
        server.handle_request().expect("handle_request");
        client
    }

    fn each_client_has_its_process() {
        let mut server = listen(server_config());
        let mut processes = BTreeSet::from([std::process::id().to_string()]);
        for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
            let mut client = Client::of(authority(), &[version], None).over(connect(server.local_addr()));
            // What it says first is there before there is a child.
            client.flush_records();
            server.handle_request().expect("handle_request");
            assert!(processes.insert(ask(&mut client, "process")));
            assert_eq!(ask(&mut client, "hello"), "hello");
            client.write_all(b"close\n").expect("send");
            // Nothing else holds the connection open.
            assert_eq!(read_rest(&mut client), b"");
        }
    }

    fn unix_stream() {
        let folder = TempDir::new();
        let path = folder.join("socket");
        let handle = tell as fn(&mut Stream<TlsSocket<std::os::unix::net::UnixStream>>) -> HandlerResult;
        let builder = Builder::<Tls<UnixStream>, Fork, _>::new(function(handle)).tls(server_config());
        let mut server = builder.listen_at(&path);
        let mut client = Client::default().over(connect_unix(&path));
        server.handle_request().expect("handle_request");
        assert_eq!(ask(&mut client, "hello"), "hello");
        client.write_all(b"close\n").expect("send");
        assert_eq!(read_rest(&mut client), b"");
    }

    fn children_read_the_tickets_of_other_children() {
        for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
            let mut server = listen(server_config());
            let client = Client::of(authority(), &[version], None);
            assert_eq!(ask(served(&mut server, &client), "resumed"), "false");
            for _ in 0..3 {
                assert_eq!(ask(served(&mut server, &client), "resumed"), "true");
            }
        }
    }

    fn what_is_loaded_anew_is_shown_by_the_next_child() {
        let config = server_config();
        let mut server = listen(config.clone());
        let shown = |client: &mut TlsClient<TcpStream>| {
            assert_eq!(ask(&mut *client, "hello"), "hello");
            client.session().peer_certificates().expect("a certificate")[0].clone()
        };
        let mut before = served(&mut server, &Client::default());
        let old = shown(&mut before);
        let other = authority().server(&["localhost"]);
        config.replace(&other.config());
        assert_eq!(shown(&mut served(&mut server, &Client::default())), other.chain()[0]);
        assert_eq!(shown(&mut before), old);
    }

    fn the_parent_keeps_nothing_and_says_nothing() {
        let mut server = listen(server_config());
        // What serving needs is there from the first client on; it has one descriptor, and what tells of its child's end
        // another.
        let first = served(&mut server, &Client::default());
        let before = descriptors();
        let mut client = Client::default().over(connect(server.local_addr()));
        client.flush_records();
        server.handle_request().expect("handle_request");
        assert_eq!(ask(&mut client, "hello"), "hello");
        becomes("descriptors", &(before + 2), descriptors);
        client.write_all(b"close\n").expect("send");
        assert_eq!(read_rest(&mut client), b"");
        drop(first);
    }

    fn a_failed_handshake_is_a_child_that_failed() {
        let codes = Rc::new(RefCell::new(Vec::new()));
        let seen = Rc::clone(&codes);
        let mut server = Builder::<Tls<Tcp>, Fork, _>::new(function(tell::<TcpStream> as Handle))
            .tls(server_config())
            .request_timeout(Duration::ZERO)
            .on_event(move |event| {
                if let Event::ChildExit { code, .. } = event {
                    seen.borrow_mut().push(*code);
                }
            })
            .bind("127.0.0.1:0")
            .expect("bind");
        let mut client = connect(server.local_addr());
        client.write_all(b"GET / HTTP/1.1\r\n\r\n").expect("send");
        server.handle_request().expect("handle_request");
        // An alert, and nothing that HTTP could take for an answer.
        let heard = read_rest(client);
        assert_eq!(heard[..2], [21, 3], "{heard:?}");
        becomes("exit codes", &vec![Some(1)], || {
            server.handle_request().expect("handle_request");
            codes.borrow().clone()
        });
    }
}
