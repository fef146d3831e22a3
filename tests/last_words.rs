//! What is said to a client whose handshake has failed reaches it, whatever it was sending meanwhile: a reset, which input that
//! nobody has read would cause, could overtake it.

#[macro_use]
mod common;

use std::io::ErrorKind;
use std::io::Read;
use std::io::Write;
use std::net::Shutdown;
use std::time::Duration;

use common::Start;
use common::ask;
use common::connect;
use common::echo::Echo;
use common::tls::Authority;
use common::tls::Client;
use common::tls::connect_tls;
use common::tls::localhost;
use common::tls::server_config;
use rustls::version::TLS12;
use rustls::version::TLS13;
use socketserver::Builder;
use socketserver::End;
use socketserver::Tcp;
use socketserver::Tls;
use socketserver::TlsConfig;

const LONG: Duration = Duration::from_secs(600);

/// More than what the server reads at a time, and less than what it lingers for.
const MUCH: usize = 4 << 20;

type EchoFactory = fn() -> Echo;

fn builder<D: Default>(config: TlsConfig) -> Builder<Tls<Tcp>, D, EchoFactory> {
    let factory: EchoFactory = || Echo;
    Builder::new(factory).tls(config).establish_timeout(LONG).linger(LONG, 2 * MUCH).drain_timeout(LONG)
}

under_each_dispatch! {
    fn an_alert_reaches_a_client_that_goes_on_sending<D>() {
        let server = builder::<D>(server_config()).start();
        let mut client = connect(server.local_addr());
        client.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
        client.write_all(&vec![b'x'; MUCH]).unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        let mut heard = Vec::new();
        client.read_to_end(&mut heard).unwrap();
        // A record of an alert: fatal, decode_error.
        assert_eq!(heard, [21, 3, 3, 0, 2, 2, 50]);
        assert_eq!(server.seen.wait_for_ends(1), [End::Failed]);
        assert_eq!(server.stop().seen.errors().len(), 1);
    }

    fn a_client_that_is_not_let_in_learns_why<D>() {
        let clients = Authority::new("the authority of the clients");
        let config = TlsConfig::builder().pem(&localhost().certificate, &localhost().key).client_ca_pem(clients.pem());
        let config = config.build().unwrap();
        for version in [&TLS12, &TLS13] {
            let server = builder::<D>(config.clone()).start();
            let mut client = Client::of(common::tls::authority(), &[version], None).connect(server.local_addr());
            // In TLS 1.3 its part of the handshake is done by then.
            let outcome = client.shake_hands().and_then(|()| client.write_all(&vec![b'x'; MUCH]));
            let outcome = outcome.and_then(|()| client.try_read_rest().map(drop));
            let error = outcome.unwrap_err();
            assert_eq!(error.to_string(), "received fatal alert: CertificateRequired");
            drop(client);
            assert_eq!(server.seen.wait_for_ends(1), [End::Failed]);
        }
    }

    fn a_client_that_never_stops_sending_is_closed<D>() {
        let server = builder::<D>(server_config()).linger(LONG, MUCH).start();
        let mut client = connect(server.local_addr());
        let error = loop {
            if let Err(error) = client.write_all(&[b'x'; 64 * 1024]) {
                break error;
            }
        };
        assert!(matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset), "{error}");
        assert_eq!(server.seen.wait_for_ends(1), [End::Failed]);
    }

    fn one_that_stays_has_the_time_of_the_linger<D>() {
        let server = builder::<D>(server_config()).linger(Duration::from_millis(100), MUCH).start();
        let mut client = connect(server.local_addr());
        client.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
        assert_eq!(server.seen.wait_for_ends(1), [End::Failed]);
        drop(client);
    }

    fn a_stop_does_not_wait_for_one_that_stays_and_others_are_served<D>() {
        let server = builder::<D>(server_config()).start();
        let mut client = connect(server.local_addr());
        client.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
        let mut heard = Vec::new();
        client.read_to_end(&mut heard).unwrap();
        assert_eq!(ask(&mut connect_tls(server.local_addr()), "hello"), "hello");
        let report = server.stop();
        assert_eq!((report.accepted, report.failed, report.forced), (2, 1, 0), "{report}");
        drop(client);
    }
}
