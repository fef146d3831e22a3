//! Python's `socketserver`, re-thought in Rust.

#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod dispatch;
mod error;
mod event;
mod flavours;
pub mod handler;
mod limits;
mod park;
mod request;
mod server;
#[cfg(all(unix, feature = "signals"))]
pub mod signals;
mod stop;
mod sys;
#[cfg(feature = "testing")]
pub mod testing;
pub mod transport;

#[cfg(unix)]
pub use dispatch::Fork;
pub use dispatch::Pool;
pub use dispatch::Sync;
pub use dispatch::ThreadPerRequest;
pub use error::BindError;
pub use error::BoxError;
pub use error::RequestError;
pub use error::ServeError;
pub use error::Stage;
pub use event::Event;
pub use event::Observer;
pub use event::Refusal;
pub use event::RequestId;
pub use flavours::*;
pub use handler::End;
pub use handler::Flow;
pub use handler::Handler;
pub use handler::HandlerFactory;
pub use handler::HandlerFactoryExt;
pub use handler::HandlerResult;
pub use handler::frames;
pub use request::Datagram;
pub use request::Discard;
pub use request::Fill;
pub use request::Outbox;
pub use request::Progress;
pub use request::ReplySocket;
pub use request::Request;
pub use request::Session;
pub use request::Socket;
pub use request::Stream;
pub use request::Writer;
pub use server::BackgroundServer;
pub use server::Server;
pub use server::builder::Builder;
pub use server::options::AtLimit;
pub use server::options::PanicPolicy;
pub use server::report::Counts;
pub use server::report::Report;
pub use server::report::Stats;
pub use server::step::Handled;
pub use stop::StopHandle;
pub use sys::Descriptor;
pub use transport::Establish;
pub use transport::Tcp;
pub use transport::Transport;
pub use transport::Udp;
#[cfg(unix)]
pub use transport::UnixAddress;
#[cfg(unix)]
pub use transport::UnixDatagram;
#[cfg(unix)]
pub use transport::UnixStream;
