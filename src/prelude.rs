//! The names that most servers need: `use socketserver::prelude::*`.
//!
//! The dispatch [`Sync`](crate::Sync) is left out, because it would shadow [`std::marker::Sync`]; the flavours that use
//! it have their own names.
//!
//! ```
//! use std::io::Write;
//! use socketserver::prelude::*;
//!
//! let server = PoolTcpServer::bind_fn("127.0.0.1:0", |request| {
//!     let Some(line) = request.line()? else { return Ok(Flow::Continue) };
//!     request.write_all(line.to_uppercase().as_bytes())?;
//!     Ok(Flow::Continue)
//! })?;
//! # Ok::<(), socketserver::BindError>(())
//! ```

pub use crate::Builder;
pub use crate::Datagram;
pub use crate::End;
pub use crate::Event;
pub use crate::Flow;
pub use crate::Handler;
pub use crate::HandlerFactory;
pub use crate::HandlerFactoryExt;
pub use crate::HandlerResult;
pub use crate::Pool;
pub use crate::Server;
pub use crate::ServerOptions;
pub use crate::Socket;
pub use crate::StopHandle;
pub use crate::Stream;
pub use crate::flavours::*;
pub use crate::frames;
