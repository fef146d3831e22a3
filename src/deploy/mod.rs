//! Running servers under process managers.
//!
//! - [`Sockets`] are what a process manager has opened before the program began; [`systemd`] tells it how the server is.
//! - A [`Restart`] replaces the program, without a client noticing.

mod restart;
mod sockets;
pub mod systemd;

pub use restart::Restart;
pub use restart::RestartError;
pub use restart::RestartHandle;
pub use sockets::PassedSocket;
pub use sockets::PassedSocketError;
pub use sockets::PassedSockets;
pub use sockets::Sockets;
