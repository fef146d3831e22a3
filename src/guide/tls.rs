//! TLS: certificates that are renewed, what a connection costs, what is defended and what is not.
//!
//! A [`Tls<T>`](crate::Tls) transport makes the handshake and hands on a stream like any other: a handler that is written
//! for `Stream<S>` with any socket `S` is served over TLS as it is.
//!
//! ```
//! use std::io::Write;
//! use socketserver::{Flow, Handler, HandlerResult, PoolTlsServer, Socket, Stream, TlsConfig};
//!
//! struct Upper;
//!
//! impl<S: Socket> Handler<Stream<S>> for Upper {
//!     fn handle(&mut self, request: &mut Stream<S>) -> HandlerResult {
//!         while let Some(line) = request.line()? {
//!             request.write_all(line.to_uppercase().as_bytes())?;
//!         }
//!         Ok(Flow::Continue)
//!     }
//! }
//!
//! # let made = rcgen::generate_simple_self_signed(["localhost".to_owned()])?;
//! # let folder = tempfile::tempdir()?;
//! # let (certificate, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
//! # std::fs::write(&certificate, made.cert.pem())?;
//! # std::fs::write(&key, made.signing_key.serialize_pem())?;
//! let config = TlsConfig::from_pem_files(certificate, key)?;
//! let server = PoolTlsServer::builder(|| Upper).tls(config).bind("127.0.0.1:0")?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! To try it without a certificate of an authority, make one that clients have to be told to trust:
//!
//! ```console
//! $ openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -subj /CN=localhost \
//!       -addext subjectAltName=DNS:localhost -keyout key.pem -out cert.pem
//! $ cargo run --example upper -- --tls-cert cert.pem --tls-key key.pem
//! $ openssl s_client -quiet -CAfile cert.pem -verify_return_error -connect localhost:9999
//! ```
//!
//! # Certificates that are renewed
//!
//! A client of an ACME service (certbot, lego, acme.sh) keeps two files: the certificate, followed by those that lead to an
//! authority (`fullchain.pem`), and the key (`privkey.pem`). Both are what
//! [`from_pem_files`](crate::TlsConfig::from_pem_files) takes. Every few weeks it writes them again and runs a command: let
//! that send SIGHUP, and [`reload`](crate::TlsConfig::reload) the configuration when the signal comes.
//!
#![cfg_attr(all(unix, feature = "signals"), doc = "```")]
#![cfg_attr(not(all(unix, feature = "signals")), doc = "```ignore")]
//! use std::sync::Arc;
//! use std::sync::atomic::{AtomicBool, Ordering};
//! use signal_hook::consts::SIGHUP;
//! use socketserver::{Flow, PoolTlsServer, TlsConfig};
//!
//! # let made = rcgen::generate_simple_self_signed(["localhost".to_owned()])?;
//! # let folder = tempfile::tempdir()?;
//! # let (certificate, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
//! # std::fs::write(&certificate, made.cert.pem())?;
//! # std::fs::write(&key, made.signing_key.serialize_pem())?;
//! let config = TlsConfig::from_pem_files(certificate, key)?;
//! let (handle, is_stale) = (config.clone(), Arc::new(AtomicBool::new(false)));
//! signal_hook::flag::register(SIGHUP, Arc::clone(&is_stale))?;
//! let server = PoolTlsServer::builder_fn(|_| Ok(Flow::Close))
//!     .tls(config)
//!     .on_service(move || {
//!         if is_stale.swap(false, Ordering::SeqCst)
//!             && let Err(error) = handle.reload()
//!         {
//!             eprintln!("the certificate stays as it was: {error}");
//!         }
//!     })
//!     .bind("127.0.0.1:0")?;
//! let _wake = socketserver::signals::wake_on_signal(SIGHUP, server.stop_handle())?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Both files are read before anything changes. For a moment, while they are being written, the key does not belong to the
//! certificate: that is an error which leaves the old ones in force. Open connections keep what they began with. Under
//! `Fork`, children that are forked afterwards have the new certificate. Under `PreFork`, each process has a copy of the
//! configuration and has to be told by itself.
//!
//! Who can read the key can impersonate the server: let only the server's user read the file (`chmod 600`), or load it
//! before the server gives up its privileges. A reload still needs the privilege to read it.
//!
//! # Clients with certificates
//!
//! With [`client_ca_file`](crate::transport::TlsConfigBuilder::client_ca_file) a client has to present a certificate for
//! clients that was issued by an authority of that file. The handler gets it, in DER, from
//! [`client_certificate`](crate::transport::TlsSocket::client_certificate); a crate such as `x509-parser` reads what it says
//! about its owner. In TLS 1.3 a client has finished its handshake before the server has seen its certificate: that it is
//! refused it learns from the alert that answers its first message.
//!
//! If a reload changes the authorities, tickets issued before it are void, because their clients were judged by other
//! rules.
//!
//! # A connection that begins in the clear
//!
//! SMTP, IMAP, LDAP and PostgreSQL have a command that begins TLS in the middle of a connection. Over
//! [`StartTls<T>`](crate::transport::StartTls) the handler answers it and calls [`start_tls`](crate::Stream::start_tls);
//! the same handler goes on, with the same state, and is called again with the first message inside of TLS.
//!
//! - What the handler has learned in the clear is not to be believed afterwards, because anybody could have said it: forget
//!   the client's name, and a login. RFC 3207 (section 4.2) says so of SMTP.
//! - What came in the clear behind the command is never taken for a message inside of TLS: `start_tls` fails if it has
//!   been read, and the handshake if it has not.
//! - The handshake holds no thread under `Sync` and `Pool`, and has the builder's
//!   [`establish_timeout`](crate::Builder::establish_timeout), from the end of the call that has begun it. A read in the same
//!   call of `handle` blocks like any other.
//! - A client may be kept from beginning: an attacker between the two can strike the offer out. A handler that serves
//!   nothing of worth while [`is_secure`](crate::transport::StartTlsSocket::is_secure) is false has nothing to lose; where
//!   the protocol has a port for TLS from the first byte, prefer it (RFC 8314).
//! - [`frames`](crate::frames) do not go with it: their functions see messages, and not the connection.
//!
//! # What a connection costs
//!
//! | state | what it holds |
//! |---|---|
//! | silent, before its first byte | the pending socket and a timer: 0.6 KB |
//! | in the handshake | the session, 3 KB, and what has arrived of a message: 64 KiB at most |
//! | idle | keys and state of rustls, under 5 KB; no buffer: records are read and made in those of the thread |
//! | with a record that has not arrived whole | that part of it as well, 16 KiB at most |
//! | with a client that does not read | 64 KiB of records at most, beside the builder's `max_pending_output` |
//!
//! The kilobytes are resident memory of the example `echo` on 64-bit Linux, divided by 3,000 connections, and by 5,000 for
//! idle ones. A full handshake of TLS 1.3, with one message and the close, took this server about 0.12 ms of processor time
//! with an ECDSA certificate (P-256), and 0.6 ms with RSA (2048 bits): prefer the former.
//!
//! [`send_file`](crate::Stream::send_file) reads and encrypts: the kernel cannot send a file by itself here.
//!
//! # What is defended
//!
//! - All of the handshake has the builder's [`establish_timeout`](crate::Builder::establish_timeout), however slowly it
//!   arrives. Clients that are silent or slow, or do not read the answer, block no thread under `Sync` and `Pool`.
//! - Under `Sync`, handshakes take turns with established connections: a message waits for the handshake under way and not
//!   for all those that are due.
//! - What is not TLS (plain HTTP, garbage) is recognized by its first bytes; the error says what it was.
//! - A client whose handshake fails gets the alert that says why, also if it is still sending: the server lingers as it does
//!   behind an answer.
//! - A connection that was cut is told from one that was ended: [`Stream::is_truncated`](crate::Stream::is_truncated).
//! - Records and messages that are too long, endless key updates and endless empty records end the connection. There is no
//!   renegotiation and no early data.
//! - The farewell of [`AtLimit::Refuse`](crate::AtLimit::Refuse) is not sent: in the clear it would not be TLS, and a
//!   handshake for it would cost more than what it refuses.
//!
//! # What is not defended
//!
//! - *A flood of handshakes*: each costs the server more than its client. Limit
//!   [new connections](crate::transport::PerSourceOptions::new_connections) by source with
//!   [`PerSource`](crate::transport::PerSource) inside `Tls`, which counts them before the handshake, or let a balancer do
//!   it.
//! - *Revoked certificates of clients*: no list of them is looked at, unless a [configuration of
//!   rustls](crate::TlsConfig::from_rustls) has one. A session is resumed for up to twelve hours without a second look at
//!   the certificate.
//! - *Who talks to whom*: the name that a client asks for (SNI) is sent in the clear; there is no ECH.
//! - *The length and the time of messages*: records are not padded, and answers are sent when they are ready.
//! - *A stolen key*: what was said before stays secret, as every handshake agrees on keys of its own, and the keys of
//!   tickets, which are kept in memory only, are dropped after twelve hours. What follows is not secret until the
//!   certificate is replaced.
//! - *Quantum computers*: keys are exchanged by elliptic curves. A [configuration of rustls](crate::TlsConfig::from_rustls)
//!   with another provider can have hybrids.
//! - *The memory of the process*: keys are not wiped from it.
