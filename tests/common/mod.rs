//! What the tests have in common: servers that are watched, clients with a safety net, folders, figures of a process.

#![allow(dead_code, unreachable_pub, unused_imports, reason = "each test target uses what it needs")]

#[cfg(unix)]
pub mod activation;
pub mod cases;
mod clients;
#[cfg(unix)]
mod descriptors;
pub mod echo;
#[cfg(unix)]
pub mod example;
mod figures;
mod folder;
mod knocking;
#[cfg(unix)]
pub mod own_sockets;
pub mod proxy_headers;
mod recorder;
mod server;
#[cfg(unix)]
pub mod site;
mod slow;
#[cfg(target_os = "linux")]
pub mod streams;
pub mod tls;
mod wait;

pub use clients::*;
#[cfg(unix)]
pub use descriptors::*;
pub use figures::*;
pub use folder::*;
pub use knocking::*;
pub use recorder::*;
pub use server::*;
pub use slow::*;
pub use wait::*;

/// Writes each test three times: under `Sync`, `ThreadPerRequest` and `Pool`, which its body calls by the name in angle
/// brackets.
#[macro_export]
macro_rules! under_each_dispatch {
    ($($(#[$attribute:meta])* fn $name:ident<$D:ident>() $body:block)+) => {$(
        mod $name {
            use super::*;

            $(#[$attribute])*
            #[test]
            fn sync() {
                type $D = socketserver::Sync;
                $body
            }

            $(#[$attribute])*
            #[test]
            fn threads() {
                type $D = socketserver::ThreadPerRequest;
                $body
            }

            $(#[$attribute])*
            #[test]
            fn pool() {
                type $D = socketserver::Pool;
                $body
            }
        }
    )+};
}
