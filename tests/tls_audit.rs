//! What testssl.sh has to say of an example over TLS.

#![cfg(unix)]

mod common;

use std::process::Command;

use common::TempDir;
use common::example::Example;
use common::tls::localhost;

/// The severities of what is no finding; beside those that count there is one for an audit that failed.
const HARMLESS: [&str; 5] = ["OK", "INFO", "LOW", "DEBUG", "WARN"];

/// What is looked at: not whom certificates are trusted by, nor what each of thirty clients would negotiate.
const CHECKS: [&str; 6] =
    ["--protocols", "--standard", "--pfs", "--server-preference", "--server-defaults", "--vulnerable"];

#[test]
#[ignore = "needs testssl"]
fn an_audit_has_nothing_to_say_but_of_the_certificate() {
    let folder = TempDir::new();
    let path = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    let (certificate, key, found) = (path("cert.pem"), path("key.pem"), path("found.json"));
    std::fs::write(&certificate, &localhost().certificate).unwrap();
    std::fs::write(&key, &localhost().key).unwrap();
    let server = Example::start("echo", &["--listen", "127.0.0.1:0", "--tls-cert", &certificate, "--tls-key", &key]);

    let mut testssl = Command::new("testssl");
    testssl.args(["--quiet", "--warnings", "off", "--color", "0", "--nodns", "none", "--jsonfile", &found]);
    // How many seconds it waits for a reply; a machine may be busy.
    for patience in ["MAX_WAITSOCK", "CCS_MAX_WAITSOCK", "HEARTBLEED_MAX_WAITSOCK"] {
        testssl.env(patience, "60");
    }
    let output = testssl.args(CHECKS).arg(&server.address).output().expect("testssl");
    let output = String::from_utf8_lossy(&output.stdout);
    // It says so of itself when it has come to its end.
    assert!(output.contains("Testing vulnerabilities") && output.contains(" Done "), "{output}");

    let found: Vec<serde_json::Value> = serde_json::from_slice(&std::fs::read(found).unwrap()).unwrap();
    let severity_of = |id: &str| found.iter().find(|one| one["id"] == id).map(|one| &one["severity"]);
    for id in ["TLS1_3", "TLS1_2", "cipher_order", "heartbleed", "secure_renego"] {
        assert_eq!(severity_of(id), Some(&"OK".into()), "{id} in {output}");
    }
    let bad: Vec<_> = found
        .iter()
        .filter(|one| !HARMLESS.iter().any(|severity| one["severity"] == *severity))
        .filter(|one| one["id"].as_str().is_none_or(|id| !id.starts_with("cert_")))
        .collect();
    assert!(bad.is_empty(), "{bad:?} in {output}");
}
