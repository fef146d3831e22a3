//! What the tests have in common: servers that are watched, clients with a safety net, folders, figures of a process.

#![allow(dead_code, unreachable_pub, unused_imports, reason = "each test target uses what it needs")]

#[cfg(unix)]
pub mod activation;
pub mod background;
mod beside;
pub mod cases;
mod channel;
mod clients;
#[cfg(unix)]
mod descriptors;
pub mod echo;
mod entry;
#[cfg(unix)]
pub mod example;
mod figures;
mod folder;
mod handshake_transport;
mod log;
#[cfg(unix)]
pub mod own_sockets;
#[cfg(unix)]
pub mod process;
pub mod proxy_headers;
mod recorder;
mod report;
#[cfg(unix)]
pub mod restarted;
mod server;
#[cfg(unix)]
mod server_process;
#[cfg(unix)]
pub mod site;
mod slow;
#[cfg(target_os = "linux")]
pub mod streams;
pub mod tls;
mod wait;

pub use beside::*;
pub use channel::*;
pub use clients::*;
#[cfg(unix)]
pub use descriptors::*;
pub use figures::*;
pub use folder::*;
pub use handshake_transport::*;
pub use log::*;
pub use recorder::*;
pub use server::*;
pub use slow::*;
pub use wait::*;

/// Writes each test four times: under `Sync`, `ThreadPerRequest`, `Pool` and `Fork`, which its body calls by the name in
/// angle brackets.
///
/// Under `Fork` the body runs in a process of its own, and a server that is started, in another: what handlers and hooks
/// tell the test goes through a [`Log`], a [`Count`] or a [`channel`]. What cannot be held under `Fork` says why, for one
/// test, `fn name<D>() but_fork("reason") { .. }`, or for all: `under_each_dispatch! { but_fork("reason"): .. }`.
#[macro_export]
macro_rules! under_each_dispatch {
    (but_fork($reason:literal): $($(#[$attribute:meta])* fn $name:ident<$D:ident>() $body:block)+) => {
        under_each_dispatch! {
            $($(#[$attribute])* fn $name<$D>() but_fork($reason) $body)+
        }
    };
    ($($(#[$attribute:meta])* fn $name:ident<$D:ident>() $(but_fork($reason:literal))? $body:block)+) => {$(
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

            $crate::under_fork! { $($reason)? { $(#[$attribute])* $D $body } }
        }
    )+};
}

#[doc(hidden)]
#[macro_export]
macro_rules! under_fork {
    ($reason:literal $test:tt) => {};
    ({ $(#[$attribute:meta])* $D:ident $body:block }) => {
        $(#[$attribute])*
        #[cfg(unix)]
        #[test]
        fn fork() {
            type $D = socketserver::Fork;
            $crate::common::process::alone(module_path!(), || $body)
        }
    };
}
