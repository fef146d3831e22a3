//! Running servers under process managers.
//!
//! - [`Sockets`] are what a process manager has opened before the program began; [`systemd`] tells it how the server is.

mod sockets;
pub mod systemd;

pub use sockets::PassedSocket;
pub use sockets::PassedSocketError;
pub use sockets::Sockets;
