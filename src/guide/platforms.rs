//! Platform support, and the features of the crate.
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
//! | `Fork` checks that its process has one thread | yes | yes (macOS, FreeBSD), else not checked | |
//! | credentials of a Unix-domain peer | yes | no | no |
//! | abstract socket names | yes | no | no |
//!
//! The tests run on Linux, with epoll and with the `polling` crate. For macOS, FreeBSD and Windows the library is only
//! type-checked, except that a Windows program that serves TCP under three dispatches, and UDP, runs under Wine.
//!
//! # Features
//!
//! None is enabled by default.
//!
#![doc = include_str!("../../docs/features.md")]
//!
//! The minimum Rust version is 1.88.
