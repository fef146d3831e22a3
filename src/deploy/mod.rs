//! Deployment: running servers under process managers.
//!
//! - [`inetd`] serves the single connection that a program was started with.
//! - With the feature `systemd`: `Sockets` takes the sockets that a process manager has opened, the module `systemd`
//!   sends it notifications, and `Restart` replaces the program without a client noticing.

pub mod inetd;
#[cfg(feature = "systemd")]
mod restart;
#[cfg(feature = "systemd")]
mod sockets;
#[cfg(feature = "systemd")]
pub mod systemd;

#[cfg(feature = "systemd")]
pub use restart::Restart;
#[cfg(feature = "systemd")]
pub use restart::RestartError;
#[cfg(feature = "systemd")]
pub use restart::RestartHandle;
#[cfg(feature = "systemd")]
pub use sockets::PassedSocket;
#[cfg(feature = "systemd")]
pub use sockets::PassedSocketError;
#[cfg(feature = "systemd")]
pub use sockets::PassedSockets;
#[cfg(feature = "systemd")]
pub use sockets::Sockets;
