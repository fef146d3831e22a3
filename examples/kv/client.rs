//! A client: what the server remembers of a connection.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use socketserver::Flow;
use socketserver::HandlerResult;
use socketserver::Socket;
use socketserver::frames::FrameHandler;
use socketserver::frames::Replies;

use crate::commands::run;
use crate::reply::Reply;
use crate::reply::Version;
use crate::resp::Command;
use crate::resp::Resp;
use crate::resp::RespError;
use crate::store::Store;

/// One client.
pub struct Client {
    pub store: Arc<Store>,
    pub id: u64,
    pub version: Version,
    /// What it calls itself; empty if it has not said so.
    pub name: Box<str>,
    /// The name and the version of the library that it uses.
    pub library: Box<str>,
    pub library_version: Box<str>,
}

impl Client {
    pub fn new(store: &Arc<Store>) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Self {
            store: Arc::clone(store),
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            version: Version::default(),
            name: Box::default(),
            library: Box::default(),
            library_version: Box::default(),
        }
    }
}

impl<S: Socket> FrameHandler<Resp, S> for Client {
    fn message(&mut self, command: Command<'_>, replies: &mut Replies<'_, Resp>) -> HandlerResult {
        Ok(run(self, command.args(), replies.bytes()))
    }

    fn error(&mut self, error: RespError, replies: &mut Replies<'_, Resp>) -> HandlerResult {
        if let RespError::Protocol(what) = error {
            let mut reply = Reply { bytes: replies.bytes(), version: self.version };
            reply.error("ERR", &[b"Protocol error: ", &what[..]].concat());
        }
        Ok(Flow::Close)
    }
}
