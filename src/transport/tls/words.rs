//! What went wrong, in words: for those who run the server, who need not know TLS by heart.

use std::io;
use std::io::ErrorKind;

use rustls::AlertDescription;
use rustls::CertificateError;
use rustls::Error;
use rustls::PeerIncompatible;
use rustls::PeerMisbehaved;

use crate::error::told;
use crate::error::told_by;

/// Methods of HTTP, and what follows them.
const METHODS: &[&str] =
    &["CONNECT ", "DELETE ", "GET ", "HEAD ", "OPTIONS ", "PATCH ", "POST ", "PRI * HTTP/2", "PUT ", "TRACE "];

/// What rustls says, as an error of the connection; `handshake` are the bytes at which a handshake has failed.
#[cold]
pub(super) fn failure(error: &Error, handshake: Option<&[u8]>) -> io::Error {
    let text = match handshake {
        Some(bytes) => of_handshake(error, bytes),
        None => of_session(error),
    };
    told_by(kind(error), text, error.clone())
}

fn kind(error: &Error) -> ErrorKind {
    match error {
        Error::AlertReceived(AlertDescription::CloseNotify | AlertDescription::UserCanceled) => {
            ErrorKind::ConnectionAborted
        }
        Error::InvalidCertificate(_) | Error::NoCertificatesPresented => ErrorKind::PermissionDenied,
        _ => ErrorKind::InvalidData,
    }
}

fn of_handshake(error: &Error, bytes: &[u8]) -> String {
    match error {
        Error::InvalidMessage(_) if METHODS.iter().any(|method| bytes.starts_with(method.as_bytes())) => {
            "the client speaks plain HTTP, but this server speaks TLS: use https:// in the address".to_owned()
        }
        Error::InvalidMessage(_) if is_ssl2(bytes) => {
            "the client speaks SSL 2.0: this server speaks TLS 1.2 and 1.3".to_owned()
        }
        Error::InvalidMessage(what) => format!("the client does not speak TLS: {what:?}"),
        Error::NoCertificatesPresented => "no certificate was presented, but this server requires one".to_owned(),
        Error::InvalidCertificate(why) => format!("the client's certificate is not accepted: {}", of_certificate(why)),
        Error::AlertReceived(alert) => format!("the client ended the handshake: {}", of_alert(*alert)),
        Error::PeerIncompatible(why) => {
            format!("the client and this server are incompatible: {}", of_offer(why))
        }
        Error::NoApplicationProtocol => {
            "the client offers only protocols (ALPN) that this server does not support".to_owned()
        }
        Error::General(why) => format!("the handshake failed: {why}"),
        other => format!("the handshake failed: {}", of_session(other)),
    }
}

/// The head of a message with two bytes of length, and then the type of a greeting and the version that is asked for.
fn is_ssl2(bytes: &[u8]) -> bool {
    matches!(bytes, [0x80..=0xff, _, 1, 0 | 2 | 3, ..])
}

fn of_session(error: &Error) -> String {
    match error {
        Error::AlertReceived(alert) => format!("the client ended the session: {}", of_alert(*alert)),
        Error::DecryptError => "received a record that was not encrypted with the keys of this session".to_owned(),
        Error::PeerSentOversizedRecord => "received a record that is longer than TLS allows".to_owned(),
        Error::PeerMisbehaved(PeerMisbehaved::TooManyKeyUpdateRequests) => {
            "the client has requested new keys too often".to_owned()
        }
        Error::PeerMisbehaved(PeerMisbehaved::TooManyRenegotiationRequests) => {
            "the client has requested renegotiation too often".to_owned()
        }
        other => other.to_string(),
    }
}

fn of_certificate(why: &CertificateError) -> String {
    let text = match why {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => "it has expired",
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => "it is not valid yet",
        CertificateError::Revoked => "it has been revoked",
        CertificateError::UnknownIssuer => "it was not issued by an authority that this server trusts",
        CertificateError::BadSignature => "a signature in it is wrong",
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            "it is not meant for clients"
        }
        other => return other.to_string(),
    };
    text.to_owned()
}

fn of_alert(alert: AlertDescription) -> String {
    let text = match alert {
        AlertDescription::UnknownCA => "it does not trust the authority of this server's certificate (unknown CA)",
        AlertDescription::BadCertificate | AlertDescription::CertificateUnknown => {
            "it does not accept this server's certificate"
        }
        AlertDescription::CertificateExpired => "it says that this server's certificate has expired",
        AlertDescription::UnrecognisedName => "it wanted a server of another name",
        AlertDescription::ProtocolVersion => "it speaks none of the versions of TLS that this server speaks",
        AlertDescription::CloseNotify | AlertDescription::UserCanceled => "it cancelled",
        other => return format!("alert {other:?}"),
    };
    text.to_owned()
}

fn of_offer(why: &PeerIncompatible) -> String {
    let text = match why {
        PeerIncompatible::NoCipherSuitesInCommon => "no common cipher suite",
        PeerIncompatible::NoKxGroupsInCommon | PeerIncompatible::NamedGroupsExtensionRequired => {
            "no common key exchange group"
        }
        PeerIncompatible::NoSignatureSchemesInCommon | PeerIncompatible::SignatureAlgorithmsExtensionRequired => {
            "no common signature scheme for this server's key"
        }
        PeerIncompatible::SupportedVersionsExtensionRequired
        | PeerIncompatible::Tls12NotOffered
        | PeerIncompatible::Tls12NotOfferedOrEnabled
        | PeerIncompatible::Tls13RequiredForQuic => "no common version of TLS",
        PeerIncompatible::UncompressedEcPointsRequired | PeerIncompatible::NullCompressionRequired => {
            "no encoding that this server supports"
        }
        other => return format!("{other:?}"),
    };
    text.to_owned()
}

/// The connection ended before the handshake did, or before a record did.
#[cold]
pub(super) fn gone(handshake: bool) -> io::Error {
    let what = if handshake { "the handshake" } else { "a record" };
    told(ErrorKind::UnexpectedEof, format!("the client has closed the connection in the middle of {what}"))
}

/// A message of a handshake that is longer than any that is sent in earnest.
#[cold]
pub(super) fn too_long(most: usize) -> io::Error {
    told(ErrorKind::InvalidData, format!("a handshake message is longer than {most} bytes"))
}

/// Input in the clear that was read ahead of the handshake.
#[cold]
pub(super) fn in_the_clear(count: usize) -> io::Error {
    let text = format!(
        "{count} bytes of plaintext follow the command that starts TLS, where anybody could have inserted them: \
         the connection has to be closed"
    );
    told(ErrorKind::InvalidData, text)
}

/// Nothing more can be read from and written to a session that has failed.
#[cold]
pub(super) fn broken() -> io::Error {
    told(ErrorKind::BrokenPipe, "the TLS session has already failed".to_owned())
}

/// No key seals records without end.
#[cold]
pub(super) fn used_up() -> io::Error {
    told(ErrorKind::BrokenPipe, "the keys of the TLS session are used up".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_clients_speak_instead_is_named() {
        let wrong = Error::InvalidMessage(rustls::InvalidMessage::InvalidContentType);
        let says = |bytes: &[u8]| failure(&wrong, Some(bytes)).to_string();
        assert!(says(b"GET / HTTP/1.1\r\n").starts_with("the client speaks plain HTTP"));
        assert!(says(b"PRI * HTTP/2.0\r\n").starts_with("the client speaks plain HTTP"));
        assert!(says(&[0x80, 0x2e, 1, 3, 1]).starts_with("the client speaks SSL 2.0"));
        assert_eq!(says(b"SSH-2.0-OpenSSH_9.2"), "the client does not speak TLS: InvalidContentType");
        assert_eq!(says(b"G"), "the client does not speak TLS: InvalidContentType");
    }

    #[test]
    fn kinds_tell_a_client_that_went_away_from_one_that_is_wrong() {
        let kind = |error: Error| failure(&error, Some(b"")).kind();
        assert_eq!(kind(Error::AlertReceived(AlertDescription::UserCanceled)), ErrorKind::ConnectionAborted);
        assert_eq!(kind(Error::AlertReceived(AlertDescription::UnknownCA)), ErrorKind::InvalidData);
        assert_eq!(kind(Error::NoCertificatesPresented), ErrorKind::PermissionDenied);
        assert_eq!(gone(true).kind(), ErrorKind::UnexpectedEof);
    }

    #[test]
    fn what_rustls_says_is_the_source() {
        let error = failure(&Error::DecryptError, None);
        let told: &dyn std::error::Error = error.get_ref().unwrap();
        let inner = told.source().and_then(|inner| inner.downcast_ref::<io::Error>()).unwrap();
        assert_eq!(inner.kind(), ErrorKind::InvalidData);
        assert_eq!(inner.get_ref().and_then(|inner| inner.downcast_ref()), Some(&Error::DecryptError));
    }
}
