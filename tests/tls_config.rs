//! What a TLS server shows is loaded from files, or not, with an error that names the file; and loaded anew while it
//! serves.

mod common;

use std::fs;
use std::io::BufRead;
use std::io::Write;
use std::net::SocketAddr;
use std::net::TcpStream;
use std::path::Path;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;

use common::Start;
use common::TempDir;
use common::ask;
use common::tls::Authority;
use common::tls::Client;
use common::tls::Identity;
use common::tls::TlsClient;
use common::tls::authority;
use common::tls::localhost;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use socketserver::BindError;
use socketserver::Builder;
use socketserver::Flow;
use socketserver::HandlerResult;
use socketserver::Pool;
use socketserver::Stream;
use socketserver::Tcp;
use socketserver::Tls;
use socketserver::TlsConfig;
use socketserver::handler::function;
use socketserver::transport::TlsConfigError;
use socketserver::transport::TlsSocket;

/// The files of an identity.
struct Files {
    dir: TempDir,
    certificate: PathBuf,
    key: PathBuf,
}

impl Files {
    fn of(identity: &Identity) -> Self {
        let dir = TempDir::new();
        let (certificate, key) = (dir.join("cert.pem"), dir.join("key.pem"));
        let files = Self { dir, certificate, key };
        files.write(identity);
        files
    }

    fn write(&self, identity: &Identity) {
        fs::write(&self.certificate, &identity.certificate).unwrap();
        fs::write(&self.key, &identity.key).unwrap();
    }

    fn load(&self) -> Result<TlsConfig, TlsConfigError> {
        TlsConfig::from_pem_files(&self.certificate, &self.key)
    }

    /// What is wrong, with `DIR` for the folder.
    fn error(&self) -> String {
        self.named(&self.load().unwrap_err())
    }

    fn named(&self, error: &TlsConfigError) -> String {
        error.to_string().replace(&self.dir.join("").display().to_string(), "DIR/")
    }
}

#[test]
fn what_cannot_be_loaded_is_an_error_that_names_the_file() {
    let files = Files::of(localhost());
    assert!(files.load().is_ok());

    fs::remove_file(&files.key).unwrap();
    assert_eq!(files.error(), "cannot read the private key in DIR/key.pem: No such file or directory (os error 2)");

    fs::write(&files.key, "not a key").unwrap();
    assert_eq!(
        files.error(),
        "there is no private key in DIR/key.pem: expected PEM with a line `-----BEGIN PRIVATE KEY-----`"
    );
    fs::write(&files.key, &localhost().certificate).unwrap();
    assert!(files.error().contains("no private key in DIR/key.pem; it has a certificate: "), "{}", files.error());

    fs::write(&files.key, "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n")
        .unwrap();
    assert!(files.error().contains("DIR/key.pem; the one it has is encrypted: `openssl pkey`"), "{}", files.error());

    fs::write(&files.key, "-----BEGIN PRIVATE KEY-----\n!!!!\n-----END PRIVATE KEY-----\n").unwrap();
    assert!(files.error().starts_with("the private key in DIR/key.pem cannot be used: "), "{}", files.error());
    fs::write(&files.key, "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n").unwrap();
    assert!(files.error().starts_with("the private key in DIR/key.pem cannot be used: "), "{}", files.error());

    fs::write(&files.key, &authority().server(&["localhost"]).key).unwrap();
    assert_eq!(
        files.error(),
        "the key in DIR/key.pem does not match the certificate in DIR/cert.pem, which must be the first in its file"
    );

    files.write(localhost());
    fs::write(&files.certificate, "").unwrap();
    assert_eq!(
        files.error(),
        "there is no certificate in DIR/cert.pem: expected PEM with a line `-----BEGIN CERTIFICATE-----`"
    );
    fs::write(&files.certificate, &localhost().key).unwrap();
    assert!(files.error().contains("no certificate in DIR/cert.pem; it has a key: "), "{}", files.error());
    fs::write(&files.certificate, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n").unwrap();
    assert!(files.error().starts_with("the certificate in DIR/cert.pem cannot be used: "), "{}", files.error());
    fs::remove_file(&files.certificate).unwrap();
    fs::create_dir(&files.certificate).unwrap();
    assert!(files.error().starts_with("cannot read the certificate in DIR/cert.pem: "), "{}", files.error());
}

#[test]
fn an_authority_that_cannot_be_loaded_is_one_too() {
    let files = Files::of(localhost());
    let authorities = files.dir.join("clients.pem");
    let error = |authorities: &Path| {
        let builder = TlsConfig::builder().pem_files(&files.certificate, &files.key);
        files.named(&builder.client_ca_file(authorities).build().unwrap_err())
    };
    assert!(error(&authorities).starts_with("cannot read the certificate of an authority in DIR/clients.pem: "));
    fs::write(&authorities, &localhost().key).unwrap();
    assert!(
        error(&authorities).starts_with("there is no certificate of an authority in DIR/clients.pem; it has a key")
    );
    fs::write(&authorities, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n").unwrap();
    assert!(error(&authorities).starts_with("the certificate of an authority in DIR/clients.pem cannot be used: "));
}

#[test]
fn what_was_given_from_memory_has_no_file_to_name() {
    let error = TlsConfig::from_pem("", &localhost().key).unwrap_err();
    assert!(error.to_string().starts_with("there is no certificate in the PEM text given: "), "{error}");
    let error = TlsConfig::builder().build().unwrap_err();
    assert!(error.to_string().contains("pem_files"), "{error}");
    let builder = || TlsConfig::builder().pem(&localhost().certificate, &localhost().key);
    let error = builder().alpn(["h2", ""]).build().unwrap_err();
    assert_eq!(error.to_string(), "the protocol `` cannot be offered: an ALPN name has 1 to 255 bytes");
    assert!(builder().alpn(["x".repeat(256)]).build().is_err());
    // As an error of `bind`, so that one `?` is enough for both.
    let bound = || -> Result<TlsConfig, BindError> { Ok(TlsConfig::from_pem("", "")?) };
    assert!(matches!(bound().unwrap_err(), BindError::Tls(TlsConfigError::Missing { .. })));
}

#[test]
fn keys_are_not_shown() {
    let config = localhost().config();
    let shown = format!("{config:?} {:?}", TlsConfig::builder().pem(&localhost().certificate, &localhost().key));
    assert!(!shown.contains("PRIVATE") && shown.contains("the PEM text given"), "{shown}");
}

/// Keys as other programs write them; that of RSA, which *ring* does not make, was made by `openssl genpkey`, and secures
/// nothing.
#[test]
fn every_kind_of_key_is_taken() {
    const RSA: &str = include_str!("common/tls/rsa.pem");
    for algorithm in [&rcgen::PKCS_ECDSA_P256_SHA256, &rcgen::PKCS_ECDSA_P384_SHA384, &rcgen::PKCS_ED25519] {
        let key = rcgen::KeyPair::generate_for(algorithm).unwrap();
        let params = rcgen::CertificateParams::new(["localhost".to_owned()]).unwrap();
        let certificate = params.self_signed(&key).unwrap();
        serves(&TlsConfig::from_pem(certificate.pem(), key.serialize_pem()).unwrap(), certificate.der().clone());
    }
    let key = rcgen::KeyPair::from_pem(RSA).unwrap();
    let params = rcgen::CertificateParams::new(["localhost".to_owned()]).unwrap();
    let certificate = params.self_signed(&key).unwrap();
    // PKCS #8, and the older form inside of it.
    let PrivateKeyDer::Pkcs8(_) = PrivateKeyDer::from_pem_slice(RSA.as_bytes()).unwrap() else { panic!("PKCS #8") };
    serves(&TlsConfig::from_pem(certificate.pem(), RSA).unwrap(), certificate.der().clone());
    let old = include_str!("common/tls/rsa-old.pem");
    serves(&TlsConfig::from_pem(certificate.pem(), old).unwrap(), certificate.der().clone());
}

/// A server with this configuration serves a client that trusts its certificate alone.
fn serves(config: &TlsConfig, trusted: CertificateDer<'static>) {
    let server = start(config);
    let mut client = Client::default();
    let mut roots = rustls::RootCertStore::empty();
    roots.add(trusted).unwrap();
    client.config = rustls::ClientConfig::builder_with_provider(rustls::crypto::ring::default_provider().into())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    assert_eq!(ask(client.connect(server.local_addr()), "resumed"), "false");
}

type Connection = Stream<TlsSocket<TcpStream>>;

/// Whether the session was resumed; another word comes back.
fn tell(request: &mut Connection) -> HandlerResult {
    let mut line = String::new();
    request.read_line(&mut line)?;
    let line = if line == "resumed\n" { format!("{}\n", request.get_ref().is_resumed()) } else { line };
    request.write_all(line.as_bytes())?;
    Ok(Flow::Continue)
}

fn start(config: &TlsConfig) -> common::Running<Tls<Tcp>> {
    Builder::<_, Pool, _>::new(function(tell as fn(&mut Connection) -> HandlerResult)).tls(config.clone()).start()
}

/// The certificate that a server shows, once it has answered.
fn shown(client: &mut TlsClient<TcpStream>) -> CertificateDer<'static> {
    assert_eq!(ask(&mut *client, "hello"), "hello");
    client.session().peer_certificates().unwrap()[0].clone()
}

fn resumed(client: &Client, address: SocketAddr) -> String {
    ask(client.connect(address), "resumed")
}

#[test]
fn a_certificate_is_loaded_anew_while_it_serves() {
    let (old, new) = (authority().server(&["localhost"]), authority().server(&["localhost"]));
    let files = Files::of(&old);
    let config = files.load().unwrap();
    let server = start(&config);
    // One that has not been here before, and resumes nothing.
    let stranger = || Client::default().connect(server.local_addr());
    let client = Client::default();
    let mut before = client.connect(server.local_addr());
    assert_eq!(shown(&mut before), old.chain()[0]);

    files.write(&new);
    assert_eq!(shown(&mut stranger()), old.chain()[0], "nobody has said that it is new");
    config.reload().unwrap();
    assert_eq!(shown(&mut stranger()), new.chain()[0]);
    // One that is open goes on with what it began with, and so does a session that is resumed.
    assert_eq!(shown(&mut before), old.chain()[0]);
    assert_eq!(resumed(&client, server.local_addr()), "true");
}

#[test]
fn what_cannot_be_loaded_anew_leaves_what_is_there() {
    let files = Files::of(localhost());
    let config = files.load().unwrap();
    let server = start(&config);
    fs::write(&files.key, &authority().server(&["localhost"]).key).unwrap();
    assert!(files.named(&config.reload().unwrap_err()).contains("does not match the certificate in DIR/cert.pem"));
    fs::remove_file(&files.certificate).unwrap();
    assert!(files.named(&config.reload().unwrap_err()).starts_with("cannot read the certificate in DIR/cert.pem"));
    assert_eq!(shown(&mut Client::default().connect(server.local_addr())), localhost().chain()[0]);
}

#[test]
fn what_was_given_from_memory_is_replaced() {
    let config = localhost().config();
    let server = start(&config);
    assert_eq!(config.reload().unwrap_err().to_string(), TlsConfigError::NoFiles.to_string());
    let new = authority().server(&["localhost"]);
    config.replace(&new.config());
    assert_eq!(shown(&mut Client::default().connect(server.local_addr())), new.chain()[0]);
}

/// A thousand connections before, during and after: none is refused.
#[test]
fn loading_anew_is_not_noticed_by_clients() {
    let files = Files::of(localhost());
    let config = files.load().unwrap();
    let server = start(&config);
    let address = server.local_addr();
    let (done, client) = (AtomicBool::new(false), Client::default());
    let mut reloads = 0;
    std::thread::scope(|scope| {
        for _ in 0..2 {
            let (done, client) = (&done, client.clone());
            scope.spawn(move || {
                for _ in 0..500 {
                    assert_eq!(ask(client.connect(address), "hello"), "hello");
                }
                done.store(true, Ordering::Relaxed);
            });
        }
        while !done.load(Ordering::Relaxed) {
            config.reload().unwrap();
            reloads += 1;
        }
    });
    let report = server.stop();
    assert!(reloads > 1, "{reloads} reloads");
    assert_eq!((report.accepted, report.failed, report.refused), (1000, 0, 0), "{report}");
}

#[test]
fn sessions_are_resumed() {
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let server = start(&localhost().config());
        let client = Client::of(authority(), &[version], None);
        assert_eq!(resumed(&client, server.local_addr()), "false");
        assert_eq!(resumed(&client, server.local_addr()), "true");
        assert_eq!(resumed(&client, server.local_addr()), "true");
        // Not by another server.
        let other = start(&localhost().config());
        assert_eq!(resumed(&client, other.local_addr()), "false");
    }
}

#[test]
fn who_has_resumed_was_let_in_by_the_same_rules() {
    let (clients, others) = (Authority::new("clients"), Authority::new("others"));
    let files = Files::of(localhost());
    let authorities = files.dir.join("clients.pem");
    fs::write(&authorities, clients.pem()).unwrap();
    let config = TlsConfig::builder()
        .pem_files(&files.certificate, &files.key)
        .client_ca_file(&authorities)
        .client_certificates_optional()
        .build()
        .unwrap();
    let server = start(&config);
    let client = Client::presenting(&clients.client("x"));
    assert_eq!(resumed(&client, server.local_addr()), "false");
    assert_eq!(resumed(&client, server.local_addr()), "true");
    config.reload().unwrap();
    assert_eq!(resumed(&client, server.local_addr()), "true", "nothing has changed");
    // From here on its certificate is worth nothing, and its ticket no more.
    fs::write(&authorities, others.pem()).unwrap();
    config.reload().unwrap();
    let outcome = client.shake_hands(server.local_addr()).and_then(|mut client| {
        client.write_all(b"resumed\n")?;
        client.try_read_rest()
    });
    assert!(outcome.is_err(), "{outcome:?}");
    assert_eq!(resumed(&Client::default(), server.local_addr()), "false");
}
