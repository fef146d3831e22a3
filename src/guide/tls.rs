//! TLS: certificate renewal, what a connection costs, what is defended and what is not.
//!
//! A [`Tls<T>`](crate::Tls) transport performs the handshake and passes on a stream like any other: a handler written for
//! `Stream<S>` with any socket `S` can be served over TLS unchanged.
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
//! To try it without a certificate authority, create a self-signed certificate, which clients have to be told to trust:
//!
//! ```console
//! $ openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -subj /CN=localhost \
//!       -addext subjectAltName=DNS:localhost -keyout key.pem -out cert.pem
//! $ cargo run --example upper -- --tls-cert cert.pem --tls-key key.pem
//! $ openssl s_client -quiet -CAfile cert.pem -verify_return_error -connect localhost:9999
//! ```
//!
//! # Certificate renewal
//!
//! An ACME client (certbot, lego, acme.sh) maintains two files: the certificate, followed by the chain to the authority
//! (`fullchain.pem`), and the key (`privkey.pem`). Pass both to [`from_pem_files`](crate::TlsConfig::from_pem_files). Every
//! few weeks the ACME client rewrites them and runs a command: have it send SIGHUP, and call
//! [`reload`](crate::TlsConfig::reload) on the signal.
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
//!             eprintln!("the old certificate stays in use: {error}");
//!         }
//!     })
//!     .bind("127.0.0.1:0")?;
//! let _wake = socketserver::signals::wake_on_signal(SIGHUP, server.stop_handle())?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Both files are read before anything changes. If the key does not match the certificate, because the files are just being
//! written, `reload` returns an error and the old ones stay in use. Open connections keep the certificate they began with.
//! Under `Fork`, children forked later use the new certificate. Under `PreFork`, each process has its own copy of the
//! configuration, and each has to reload it.
//!
//! Whoever can read the key can impersonate the server: make the file readable for the server's user only (`chmod 600`), or
//! load it before the server drops its privileges. A reload still needs the privilege to read it.
//!
//! # Client certificates
//!
//! With [`client_ca_file`](crate::transport::TlsConfigBuilder::client_ca_file) a client has to present a client certificate
//! issued by an authority in that file. The handler gets it, in DER, from
//! [`client_certificate`](crate::transport::TlsSocket::client_certificate); a crate such as `x509-parser` extracts the
//! subject. In TLS 1.3 a client completes its handshake before the server has seen its certificate: if the certificate is
//! rejected, the client learns it from the alert that follows its first message.
//!
//! If a reload changes the authorities, tickets issued before it are no longer valid.
//!
//! # STARTTLS
//!
//! SMTP, IMAP, LDAP and PostgreSQL have a command that starts TLS in the middle of a connection. Over
//! [`StartTls<T>`](crate::transport::StartTls) the handler replies to it and calls [`start_tls`](crate::Stream::start_tls);
//! the same handler, with its state, is called again for the first message inside TLS.
//!
//! - Do not trust what the client sent in the clear, because anybody could have sent it: forget the client's name, and a
//!   login. RFC 3207 (section 4.2) requires this of SMTP.
//! - Plaintext that follows the command is never taken for a message inside TLS: `start_tls` fails if it has been read, and
//!   the handshake if it has not.
//! - The handshake holds no thread under `Sync` and `Pool`. The builder's
//!   [`establish_timeout`](crate::Builder::establish_timeout) counts from the end of the call that started it. A read in the
//!   same call of `handle` blocks like any other.
//! - An attacker in the middle can suppress the offer of TLS. Serve nothing of value while
//!   [`is_secure`](crate::transport::StartTlsSocket::is_secure) is false; if the protocol has a port for TLS from the first
//!   byte, prefer that (RFC 8314).
//! - It does not work with [`frames`](crate::frames), whose functions see messages and not the connection.
//!
//! # What a connection costs
//!
//! | state | what it holds |
//! |---|---|
//! | silent, before its first byte | the pending socket and a timer: 0.6 KB |
//! | in the handshake | the session, 3 KB, and the part of a message that has arrived: at most 64 KiB |
//! | idle | keys and state of rustls, under 5 KB; no buffers, because those of the thread are used |
//! | with an incomplete record | that part of it as well, at most 16 KiB |
//! | with a client that does not read | at most 64 KiB of records, in addition to the builder's `max_pending_output` |
//!
//! The kilobytes are resident memory of the example `echo` on 64-bit Linux, averaged over 3,000 connections, 5,000 for idle
//! ones. A full TLS 1.3 handshake, with one message and the close, took this server about 0.12 ms of CPU time with an ECDSA
//! certificate (P-256), and 0.6 ms with RSA (2048 bits): prefer the former.
//!
//! [`send_file`](crate::Stream::send_file) has to read and encrypt the file: the kernel cannot send it directly.
//!
//! # What is defended
//!
//! - The whole handshake is subject to the builder's [`establish_timeout`](crate::Builder::establish_timeout), however slowly
//!   it arrives. Clients that are silent or slow, or do not read, block no thread under `Sync` and `Pool`.
//! - Under `Sync`, handshakes alternate with established connections: a message waits for the handshake in progress, not for
//!   all that are pending.
//! - Input that is not TLS (plain HTTP, garbage) is recognized by its first bytes; the error says what it was.
//! - A client whose handshake fails receives an alert with the reason, even if it is still sending: the server lingers, as
//!   after a reply.
//! - A truncated connection is distinguished from one that was closed: [`Stream::is_truncated`](crate::Stream::is_truncated).
//! - Records and messages that are too long, endless key updates and endless empty records end the connection. There is no
//!   renegotiation and no early data.
//! - The message of [`AtLimit::Refuse`](crate::AtLimit::Refuse) is not sent: in the clear it would not be TLS, and a handshake
//!   would cost more than the connection it refuses.
//!
//! # What is not defended
//!
//! - *A flood of handshakes*: each costs the server more than the client. Limit the [new
//!   connections](crate::transport::PerSourceOptions::new_connections) of each source with
//!   [`PerSource`](crate::transport::PerSource) inside `Tls`, which counts them before the handshake, or in a load balancer.
//! - *Revoked client certificates*: no revocation list is checked, unless a [configuration of
//!   rustls](crate::TlsConfig::from_rustls) has one. A session can be resumed for up to twelve hours without checking the
//!   certificate again.
//! - *Who talks to whom*: the name that a client asks for (SNI) is sent in the clear; there is no ECH.
//! - *The length and timing of messages*: records are not padded, and replies are sent when they are ready.
//! - *A stolen key*: earlier sessions stay secret, because every handshake agrees on its own keys, and ticket keys, which are
//!   kept in memory only, are dropped after twelve hours. Later ones are not secret until the certificate is replaced.
//! - *Quantum computers*: keys are exchanged with elliptic curves. A [configuration of
//!   rustls](crate::TlsConfig::from_rustls) with another provider can use hybrids.
//! - *The memory of the process*: keys are not wiped from memory.
