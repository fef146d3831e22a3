//! What both sides of a TLS connection have to know: the load generator makes a certificate when it starts, trusts it, and
//! passes it on to the servers.

use std::env;
use std::process::Command;
use std::sync::Arc;
use std::sync::OnceLock;

use rustls::ClientConfig;
use rustls::RootCertStore;
use rustls::ServerConfig;
use rustls::client::Resumption;
use rustls::crypto::ring;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use rustls::version::TLS13;
use socketserver::TlsConfig;

use crate::servers::Outcome;

/// The server's.
pub(crate) const NAME: &str = "localhost";

/// Where `--serve` finds them.
const CERTIFICATE: &str = "SOCKETSERVER_BENCH_CERTIFICATE";
const KEY: &str = "SOCKETSERVER_BENCH_KEY";

/// A certificate with its key, as PEM.
struct Identity {
    certificate: String,
    key: String,
}

/// Made once by the load generator; ECDSA over P-256.
fn identity() -> Outcome<&'static Identity> {
    static IDENTITY: OnceLock<Identity> = OnceLock::new();
    if let Some(identity) = IDENTITY.get() {
        return Ok(identity);
    }
    let made = rcgen::generate_simple_self_signed([NAME.to_owned()])?;
    let identity = Identity { certificate: made.cert.pem(), key: made.signing_key.serialize_pem() };
    Ok(IDENTITY.get_or_init(|| identity))
}

/// Gives it to a server.
pub(crate) fn pass_on(server: &mut Command) -> Outcome {
    let Identity { certificate, key } = identity()?;
    server.env(CERTIFICATE, certificate).env(KEY, key);
    Ok(())
}

/// For the servers of this crate.
pub(crate) fn ours() -> Outcome<TlsConfig> {
    Ok(TlsConfig::from_pem(env::var(CERTIFICATE)?, env::var(KEY)?)?)
}

/// For a peer: as rustls has it by default.
pub(crate) fn peers() -> Outcome<Arc<ServerConfig>> {
    let chain = CertificateDer::pem_slice_iter(env::var(CERTIFICATE)?.as_bytes()).collect::<Result<_, _>>()?;
    let key = PrivateKeyDer::from_pem_slice(env::var(KEY)?.as_bytes())?;
    let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
    Ok(Arc::new(builder.with_safe_default_protocol_versions()?.with_no_client_auth().with_single_cert(chain, key)?))
}

/// For the load generator: TLS 1.3, and no session is resumed.
pub(crate) fn client() -> Outcome<Arc<ClientConfig>> {
    static CLIENT: OnceLock<Arc<ClientConfig>> = OnceLock::new();
    if let Some(client) = CLIENT.get() {
        return Ok(Arc::clone(client));
    }
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(identity()?.certificate.as_bytes())?)?;
    let mut client = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[&TLS13])?
        .with_root_certificates(roots)
        .with_no_client_auth();
    client.resumption = Resumption::disabled();
    Ok(Arc::clone(CLIENT.get_or_init(|| Arc::new(client))))
}
