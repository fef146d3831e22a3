//! What is where, and the features of the crate.
//!
//! | | Linux | macOS, the BSDs | Windows |
//! |---|---|---|---|
//! | TCP, UDP | yes | yes | yes |
//! | TLS (feature `tls`) | yes | yes | yes |
//! | Unix-domain sockets | yes | yes | no |
//! | `Sync`, `ThreadPerRequest`, `Pool` | yes | yes | yes |
//! | `Fork` | yes | yes | no |
//! | waiting for connections | epoll | the `polling` crate (kqueue) | the `polling` crate |
//! | datagrams in batches | yes | no | no |
//! | replies from the address a datagram was sent to | yes | no | no |
//! | children collected | as they end | as they end (macOS, FreeBSD), else within 20 ms | |
//! | `Fork` counts the threads of its process | yes | yes (macOS, FreeBSD), else the caller has to know | |
//! | credentials of a Unix-domain peer | yes | no | no |
//! | abstract socket names | yes | no | no |
//!
//! The tests run on Linux, under both ways of waiting; for macOS, FreeBSD and Windows the library is type-checked.
//!
//! # Features
//!
//! None is on by default.
//!
//! - `metrics`: `measured`, of the builder and of factories, counts events with the `metrics` crate.
//! - `signals`: the module `signals`, which turns SIGINT and SIGTERM into a drain (Unix).
//! - `testing`: the module `testing`: handlers served in memory, a transport that fails on demand, an observer that
//!   keeps accounts.
//! - `tls`: the transport `Tls`, over TCP, Unix-domain sockets and what wraps them; by rustls, with the cryptography of
//!   *ring*, which takes a C compiler to build.
//! - `tracing`: `traced`, of the builder and of factories, tells the `tracing` crate of events, in a span for each
//!   connection.
//!
//! The least version of Rust is 1.88.
