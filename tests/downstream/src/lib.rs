//! A transport in memory, one that wraps any other, a dispatch with a fixed crew of threads, and a handler that shouts, on
//! the public API of `socketserver`.

mod crew;
mod guarded;
mod memory;
mod shout;

pub use crew::Crew;
pub use guarded::Guarded;
pub use guarded::Password;
pub use memory::Caller;
pub use memory::Connector;
pub use memory::Memory;
pub use shout::Shout;
pub use shout::Shouting;
