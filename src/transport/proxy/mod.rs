//! The PROXY protocol: a header, before the first byte of a relayed connection, that says whose it is.

mod header;
mod networks;

pub use self::header::Endpoints;
pub use self::header::Header;
pub use self::header::HeaderError;
pub use self::header::Ssl;
pub use self::header::Tlvs;
pub use self::networks::NetworkError;
pub use self::networks::Networks;
