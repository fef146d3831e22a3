//! Certificates that a test makes for itself, and clients that speak TLS.

use std::io;
use std::io::ErrorKind;
use std::io::Read;
use std::io::Write;
use std::net::SocketAddr;
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::OnceLock;

use rcgen::BasicConstraints;
use rcgen::CertificateParams;
use rcgen::CertifiedIssuer;
use rcgen::DnType;
use rcgen::ExtendedKeyUsagePurpose;
use rcgen::IsCa;
use rcgen::KeyPair;
use rustls::ClientConfig;
use rustls::ClientConnection;
use rustls::RootCertStore;
use rustls::StreamOwned;
use rustls::SupportedProtocolVersion;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use rustls::version::TLS12;
use rustls::version::TLS13;
use socketserver::TlsConfig;

/// Issues certificates.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate with its key, as PEM.
#[derive(Clone, Debug)]
pub struct Identity {
    pub certificate: String,
    pub key: String,
}

impl Authority {
    pub fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    pub fn pem(&self) -> String {
        self.0.pem()
    }

    pub fn der(&self) -> CertificateDer<'static> {
        self.0.der().clone()
    }

    /// For a server with these names.
    pub fn server(&self, names: &[&str]) -> Identity {
        self.issue(names, ExtendedKeyUsagePurpose::ServerAuth, |_| {})
    }

    /// For a client.
    pub fn client(&self, name: &str) -> Identity {
        self.issue(&[name], ExtendedKeyUsagePurpose::ClientAuth, |_| {})
    }

    pub fn issue(
        &self,
        names: &[&str],
        usage: ExtendedKeyUsagePurpose,
        change: impl FnOnce(&mut CertificateParams),
    ) -> Identity {
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.extended_key_usages = vec![usage];
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap().pem();
        Identity { certificate, key: key.serialize_pem() }
    }
}

impl Identity {
    pub fn chain(&self) -> Vec<CertificateDer<'static>> {
        CertificateDer::pem_slice_iter(self.certificate.as_bytes()).map(Result::unwrap).collect()
    }

    pub fn key(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::from_pem_slice(self.key.as_bytes()).unwrap()
    }

    pub fn config(&self) -> TlsConfig {
        TlsConfig::from_pem(&self.certificate, &self.key).unwrap()
    }
}

/// What most tests are content with: one authority, and one server called `localhost`.
pub fn authority() -> &'static Authority {
    static AUTHORITY: OnceLock<Authority> = OnceLock::new();
    AUTHORITY.get_or_init(|| Authority::new("the authority of the tests"))
}

/// The certificate of the server.
pub fn localhost() -> &'static Identity {
    static LOCALHOST: OnceLock<Identity> = OnceLock::new();
    LOCALHOST.get_or_init(|| authority().server(&["localhost", "127.0.0.1"]))
}

/// The configuration of the server.
pub fn server_config() -> TlsConfig {
    localhost().config()
}

/// A client's part, before it connects.
#[derive(Clone)]
pub struct Client {
    pub config: ClientConfig,
    name: String,
}

impl Default for Client {
    fn default() -> Self {
        Self::trusting(authority())
    }
}

impl Client {
    pub fn trusting(authority: &Authority) -> Self {
        Self::of(authority, &[&TLS13, &TLS12], None)
    }

    pub fn of(
        authority: &Authority,
        versions: &[&'static SupportedProtocolVersion],
        identity: Option<&Identity>,
    ) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add(authority.der()).unwrap();
        let builder = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_protocol_versions(versions)
            .unwrap()
            .with_root_certificates(roots);
        let config = match identity {
            Some(identity) => builder.with_client_auth_cert(identity.chain(), identity.key()).unwrap(),
            None => builder.with_no_client_auth(),
        };
        Self { config, name: "localhost".to_owned() }
    }

    /// That takes any server for the one it wants.
    pub fn careless() -> Self {
        let mut client = Self::default();
        client.config.dangerous().set_certificate_verifier(Arc::new(careless::Careless));
        client
    }

    /// With a certificate of its own.
    pub fn presenting(identity: &Identity) -> Self {
        Self::of(authority(), &[&TLS13, &TLS12], Some(identity))
    }

    pub fn alpn(mut self, protocols: &[&str]) -> Self {
        self.config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
        self
    }

    /// The server that it asks for.
    pub fn asking_for(mut self, name: &str) -> Self {
        name.clone_into(&mut self.name);
        self
    }

    /// A session that has not said a word yet.
    pub fn session(&self) -> ClientConnection {
        ClientConnection::new(Arc::new(self.config.clone()), self.name.clone().try_into().unwrap()).unwrap()
    }

    /// Over `socket`. The handshake is made as something is read or written.
    pub fn over<C: Read + Write>(&self, socket: C) -> TlsClient<C> {
        TlsClient(StreamOwned::new(self.session(), socket))
    }

    pub fn connect(&self, address: SocketAddr) -> TlsClient<TcpStream> {
        self.over(super::connect(address))
    }

    /// As [`connect`](Self::connect), with the handshake made.
    pub fn shake_hands(&self, address: SocketAddr) -> io::Result<TlsClient<TcpStream>> {
        let mut client = self.connect(address);
        client.shake_hands()?;
        Ok(client)
    }
}

/// A client that trusts the authority of the tests.
pub fn connect_tls(address: SocketAddr) -> TlsClient<TcpStream> {
    Client::default().connect(address)
}

/// The client of a connection: reads fail where the server's `close_notify` is missing.
pub struct TlsClient<C: Read + Write>(pub StreamOwned<ClientConnection, C>);

impl<C: Read + Write> TlsClient<C> {
    /// Makes the handshake, and waits for what the server has to say to its end: tickets, or an alert.
    pub fn shake_hands(&mut self) -> io::Result<()> {
        while self.0.conn.is_handshaking() {
            self.0.conn.complete_io(&mut self.0.sock)?;
        }
        Ok(())
    }

    pub fn session(&mut self) -> &mut ClientConnection {
        &mut self.0.conn
    }

    pub fn socket(&mut self) -> &mut C {
        &mut self.0.sock
    }

    /// Says that it will say nothing more, and goes on listening.
    pub fn say_goodbye(&mut self) {
        self.0.conn.send_close_notify();
        self.flush_records();
    }

    /// Sends the records that are there.
    pub fn flush_records(&mut self) {
        while self.0.conn.wants_write() {
            self.0.conn.write_tls(&mut self.0.sock).unwrap();
        }
    }

    /// Takes the records of something that is said, instead of sending them.
    pub fn records_of(&mut self, bytes: &[u8]) -> Vec<u8> {
        self.0.conn.writer().write_all(bytes).unwrap();
        let mut records = Vec::new();
        while self.0.conn.wants_write() {
            self.0.conn.write_tls(&mut records).unwrap();
        }
        records
    }

    /// Everything up to the end; the error, if it is not that of an orderly end.
    pub fn try_read_rest(&mut self) -> io::Result<Vec<u8>> {
        let mut rest = Vec::new();
        self.0.read_to_end(&mut rest)?;
        Ok(rest)
    }
}

impl<C: Read + Write> Read for TlsClient<C> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        self.0.read(bytes)
    }
}

impl<C: Read + Write> Write for TlsClient<C> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// The kind of an error that says that the other side has gone.
pub fn is_gone(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::BrokenPipe | ErrorKind::ConnectionAborted | ErrorKind::ConnectionReset | ErrorKind::UnexpectedEof
    )
}

/// One certificate is as good as another, and a thousand as one.
mod careless {
    use rustls::DigitallySignedStruct;
    use rustls::Error;
    use rustls::SignatureScheme;
    use rustls::client::danger::HandshakeSignatureValid;
    use rustls::client::danger::ServerCertVerified;
    use rustls::client::danger::ServerCertVerifier;
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::ServerName;
    use rustls::pki_types::UnixTime;

    #[derive(Debug)]
    pub(super) struct Careless;

    impl ServerCertVerifier for Careless {
        fn verify_server_cert(
            &self,
            _: &CertificateDer<'_>,
            _: &[CertificateDer<'_>],
            _: &ServerName<'_>,
            _: &[u8],
            _: UnixTime,
        ) -> Result<ServerCertVerified, Error> {
            Ok(ServerCertVerified::assertion())
        }

        fn verify_tls12_signature(
            &self,
            _: &[u8],
            _: &CertificateDer<'_>,
            _: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            Ok(HandshakeSignatureValid::assertion())
        }

        fn verify_tls13_signature(
            &self,
            _: &[u8],
            _: &CertificateDer<'_>,
            _: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            Ok(HandshakeSignatureValid::assertion())
        }

        fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
            vec![SignatureScheme::ECDSA_NISTP256_SHA256]
        }
    }
}
