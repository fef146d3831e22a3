//! What client and server have agreed on is known to the handler; who may not come in is told why, and so is the server.

#[macro_use]
mod common;

use std::io;
use std::io::BufRead;
use std::io::Write;
use std::net::TcpStream;

use common::Running;
use common::Start;
use common::ask;
use common::tls::Authority;
use common::tls::Client;
use common::tls::Identity;
use common::tls::authority;
use common::tls::localhost;
use rcgen::ExtendedKeyUsagePurpose;
use rcgen::date_time_ymd;
use rustls::version::TLS12;
use rustls::version::TLS13;
use socketserver::Builder;
use socketserver::End;
use socketserver::Flow;
use socketserver::HandlerResult;
use socketserver::Stream;
use socketserver::Tcp;
use socketserver::Tls;
use socketserver::TlsConfig;
use socketserver::dispatch::Job;
use socketserver::dispatch::Process;
use socketserver::handler::Function;
use socketserver::handler::function;
use socketserver::transport::TlsConfigBuilder;
use socketserver::transport::TlsSocket;

type Connection = Stream<TlsSocket<TcpStream>>;

type Handle = fn(&mut Connection) -> HandlerResult;

/// Answers each word with what it asks for.
fn tell(request: &mut Connection) -> HandlerResult {
    let mut line = String::new();
    request.read_line(&mut line)?;
    let tls = request.get_ref();
    let answer = match line.trim_end() {
        "alpn" => format!("{:?}", tls.alpn().map(String::from_utf8_lossy)),
        "name" => format!("{:?}", tls.server_name()),
        "version" => tls.protocol_version().to_owned(),
        "suite" => tls.cipher_suite(),
        "resumed" => tls.is_resumed().to_string(),
        "certificate" => format!("{:?}", tls.client_certificate().map(<[u8]>::len)),
        "certificates" => tls.client_certificates().count().to_string(),
        "port" => tls.get_ref().peer_addr()?.port().to_string(),
        "rustls" => format!("{:?}", tls.rustls_state().protocol_version()),
        _ => return Ok(Flow::Close),
    };
    writeln!(request, "{answer}")?;
    Ok(Flow::Continue)
}

fn start<D>(config: &TlsConfig) -> Running<Tls<Tcp>>
where
    Builder<Tls<Tcp>, D, Function<Handle>>: Start<Transport = Tls<Tcp>>,
    D: Default,
{
    Builder::<_, D, _>::new(function(tell as Handle)).tls(config.clone()).start()
}

fn built() -> TlsConfigBuilder {
    TlsConfig::builder().pem(&localhost().certificate, &localhost().key)
}

/// What a client is told that asks for this.
fn says(server: &Running<Tls<Tcp>>, client: &Client, what: &str) -> String {
    ask(client.connect(server.local_addr()), what)
}

/// What the server says of a client that does not come in; the client has an error, too.
fn refused<D>(config: &TlsConfig, client: &Client) -> String
where
    Builder<Tls<Tcp>, D, Function<Handle>>: Start<Transport = Tls<Tcp>>,
    D: Default,
{
    let server = start::<D>(config);
    let outcome = client.shake_hands(server.local_addr()).and_then(|mut client| {
        // In TLS 1.3 a client is done before the server has looked at its certificate.
        client.write_all(b"version\n")?;
        client.try_read_rest()
    });
    assert!(outcome.is_err(), "it was let in");
    assert_eq!(server.seen.wait_for_ends(1), [End::Failed]);
    let errors = server.stop().seen.errors();
    assert_eq!(errors.len(), 1, "{errors:?}");
    errors[0].clone()
}

/// What the client says about it.
fn alert(error: &io::Error) -> String {
    let error = error.get_ref().and_then(|error| error.downcast_ref::<rustls::Error>());
    error.map_or_else(|| "none".to_owned(), |error| format!("{error:?}"))
}

under_each_dispatch! {
    fn version_and_cipher_suite<D>() {
        let server = start::<D>(&built().build().unwrap());
        let client = |version| Client::of(authority(), &[version], None);
        assert_eq!(says(&server, &client(&TLS13), "version"), "TLSv1.3");
        assert_eq!(says(&server, &client(&TLS12), "version"), "TLSv1.2");
        assert_eq!(says(&server, &client(&TLS13), "suite"), "TLS_AES_256_GCM_SHA384");
        assert_eq!(says(&server, &client(&TLS12), "suite"), "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384");
        assert_eq!(says(&server, &client(&TLS13), "rustls"), "Some(TLSv1_3)");
        let mut client = client(&TLS13).connect(server.local_addr());
        let port = client.socket().local_addr().unwrap().port();
        assert_eq!(ask(&mut client, "port"), port.to_string());
    }

    fn the_name_that_was_asked_for<D>() {
        let config = authority().server(&["localhost", "www.example.org", "127.0.0.1"]).config();
        let server = start::<D>(&config);
        for name in ["localhost", "www.example.org"] {
            for version in [&TLS12, &TLS13] {
                let client = Client::of(authority(), &[version], None).asking_for(name);
                assert_eq!(says(&server, &client, "name"), format!("Some({name:?})"));
            }
        }
        // An address is no name.
        assert_eq!(says(&server, &Client::default().asking_for("127.0.0.1"), "name"), "None");
        // Nor is that of the last client the next one's.
        let mut silent = Client::default();
        silent.config.enable_sni = false;
        assert_eq!(says(&server, &silent, "name"), "None");
    }

    fn protocols<D>() {
        let config = built().alpn(["h2", "http/1.1"]).build().unwrap();
        let server = start::<D>(&config);
        assert_eq!(says(&server, &Client::default(), "alpn"), "None");
        assert_eq!(says(&server, &Client::default().alpn(&["http/1.1"]), "alpn"), r#"Some("http/1.1")"#);
        assert_eq!(says(&server, &Client::default().alpn(&["http/1.1", "h2"]), "alpn"), r#"Some("h2")"#);
        server.stop();
        assert_eq!(
            refused::<D>(&config, &Client::default().alpn(&["smtp"])),
            "establish: the client offers only protocols (ALPN) that this server does not support"
        );
        let server = start::<D>(&built().build().unwrap());
        assert_eq!(says(&server, &Client::default().alpn(&["smtp"]), "alpn"), "None");
    }

    fn certificates_that_are_required<D>() {
        let clients = Authority::new("the authority of the clients");
        let config = built().client_ca_pem(clients.pem()).build().unwrap();
        let server = start::<D>(&config);
        let identity = clients.client("somebody");
        let length = identity.chain()[0].len();
        for version in [&TLS12, &TLS13] {
            let client = Client::of(authority(), &[version], Some(&identity));
            assert_eq!(says(&server, &client, "certificate"), format!("Some({length})"));
            assert_eq!(says(&server, &client, "certificates"), "1");
        }
        server.stop();
        assert_eq!(
            refused::<D>(&config, &Client::default()),
            "establish: no certificate was presented, but this server requires one"
        );
        let not_accepted = |identity: &Identity| {
            let said = refused::<D>(&config, &Client::presenting(identity));
            said.strip_prefix("establish: the client's certificate is not accepted: ").unwrap_or(&said).to_owned()
        };
        assert_eq!(
            not_accepted(&authority().client("somebody else")),
            "it was not issued by an authority that this server trusts"
        );
        assert_eq!(not_accepted(&clients.server(&["a server"])), "it is not meant for clients");
        let usage = || ExtendedKeyUsagePurpose::ClientAuth;
        assert_eq!(
            not_accepted(&clients.issue(&["x"], usage(), |params| params.not_after = date_time_ymd(2020, 1, 1))),
            "it has expired"
        );
        assert_eq!(
            not_accepted(&clients.issue(&["x"], usage(), |params| params.not_before = date_time_ymd(4000, 1, 1))),
            "it is not valid yet"
        );
    }

    fn certificates_that_are_optional<D>() {
        let clients = Authority::new("the authority of the clients");
        let config = built().client_ca_pem(clients.pem()).client_certificates_optional().build().unwrap();
        let server = start::<D>(&config);
        assert_eq!(says(&server, &Client::default(), "certificate"), "None");
        let client = Client::presenting(&clients.client("somebody"));
        assert!(says(&server, &client, "certificate").starts_with("Some("));
        server.stop();
        let stranger = Client::presenting(&authority().client("somebody else"));
        assert!(refused::<D>(&config, &stranger).contains("not issued by an authority"));
    }

    fn clients_of_another_age<D>() {
        let mut config = localhost_by_rustls();
        config.ticketer = rustls::crypto::ring::Ticketer::new().unwrap();
        let config = TlsConfig::from_rustls(config);
        assert_eq!(
            refused::<D>(&config, &Client::of(authority(), &[&TLS12], None)),
            "establish: the client and this server are incompatible: no common version of TLS"
        );
        let server = start::<D>(&config);
        assert_eq!(says(&server, &Client::default(), "version"), "TLSv1.3");
        assert_eq!(says(&server, &Client::default(), "name"), r#"Some("localhost")"#);
    }

    fn clients_that_do_not_trust_the_server<D>() {
        let stranger = Client::trusting(&Authority::new("another authority"));
        assert_eq!(
            refused::<D>(&built().build().unwrap(), &stranger),
            "establish: the client ended the handshake: it does not trust the authority of this server's certificate (unknown CA)"
        );
    }
}

/// TLS 1.3 alone, by rustls' own means.
fn localhost_by_rustls() -> rustls::ServerConfig {
    rustls::ServerConfig::builder_with_provider(rustls::crypto::ring::default_provider().into())
        .with_protocol_versions(&[&TLS13])
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(localhost().chain(), localhost().key())
        .unwrap()
}

/// The alert arrives, whatever else the client has sent meanwhile.
#[test]
fn a_client_is_told_why_it_is_turned_away() {
    let clients = Authority::new("the authority of the clients");
    let config = built().client_ca_pem(clients.pem()).alpn(["h2"]).build().unwrap();
    let server = start::<socketserver::Pool>(&config);
    let turned_away = |client: Client| {
        let error = client
            .shake_hands(server.local_addr())
            .and_then(|mut client| client.try_read_rest())
            .expect_err("it is turned away");
        alert(&error)
    };
    assert_eq!(turned_away(Client::default()), "AlertReceived(CertificateRequired)");
    assert_eq!(turned_away(Client::presenting(&authority().client("x"))), "AlertReceived(UnknownCA)");
    let welcome = Client::presenting(&clients.client("x"));
    assert_eq!(turned_away(welcome.alpn(&["smtp"])), "AlertReceived(NoApplicationProtocol)");
}

/// For the compiler: what a server of TLS is made of can be written down.
#[allow(dead_code, reason = "checked by the compiler, never called")]
struct Named<D: Process<Job<Tls<Tcp>, Function<Handle>>>> {
    server: socketserver::Server<Tls<Tcp>, D, Function<Handle>>,
    config: TlsConfig,
}
