//! What a client and the proxy say to each other before bytes are carried.

use std::io::BufRead;
use std::io::Write;
use std::net::Ipv4Addr;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use socketserver::Flow;
use socketserver::Handler;
use socketserver::HandlerResult;
use socketserver::Socket;
use socketserver::Stream;

use crate::common::Outcome;
use crate::dial::dial;
use crate::protocol;
use crate::protocol::Method;
use crate::protocol::Reply;
use crate::protocol::Request;

/// What all connections have in common.
#[derive(Debug)]
pub struct Settings {
    /// Without any, no client has to authenticate.
    pub users: Vec<User>,
    /// For resolving and connecting.
    pub timeout: Duration,
    /// For a relay in which nothing is carried.
    pub idle: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self { users: Vec::new(), timeout: Duration::from_secs(10), idle: Duration::from_secs(600) }
    }
}

/// Who may use the proxy.
#[derive(Debug)]
pub struct User {
    name: Vec<u8>,
    password: Vec<u8>,
}

impl User {
    /// A name and a password, each of 1 to 255 bytes (RFC 1929), as `NAME:PASSWORD`.
    pub fn parse(text: &str) -> Outcome<Self> {
        let (name, password) = text.split_once(':').ok_or("give it as NAME:PASSWORD")?;
        if [name, password].iter().any(|part| !(1..=255).contains(&part.len())) {
            return Err("name and password have 1 to 255 bytes each".into());
        }
        Ok(Self { name: name.into(), password: password.into() })
    }

    fn is(&self, name: &[u8], password: &[u8]) -> bool {
        // Both, always: how long it takes tells neither which of them is wrong nor where.
        is_same(&self.name, name) & is_same(&self.password, password)
    }
}

fn is_same(one: &[u8], other: &[u8]) -> bool {
    one.len() == other.len() && one.iter().zip(other).fold(0, |differs, (one, other)| differs | (one ^ other)) == 0
}

/// How far the client is.
#[derive(Clone, Copy, Debug)]
enum Stage {
    Greeting,
    Password,
    Request,
}

/// The handler of one connection.
#[derive(Debug)]
pub struct Session {
    settings: Arc<Settings>,
    stage: Stage,
}

impl Session {
    pub fn new(settings: Arc<Settings>) -> Self {
        Self { settings, stage: Stage::Greeting }
    }

    /// Answers the next message, if all of it has arrived; what comes after that.
    fn step<S: Socket>(&mut self, request: &mut Stream<S>) -> HandlerResult<Option<Flow>> {
        match self.stage {
            Stage::Greeting => {
                let wanted = if self.settings.users.is_empty() { Method::Nothing } else { Method::Password };
                let Some((method, length)) = protocol::greeting(request.buffered(), wanted)? else {
                    return Ok(Some(Flow::Continue));
                };
                request.consume(length);
                request.write_all(&protocol::chosen(method))?;
                self.stage = match method {
                    Method::Nothing => Stage::Request,
                    Method::Password => Stage::Password,
                    Method::Unacceptable => return Ok(Some(Flow::Close)),
                };
            }
            Stage::Password => {
                let Some(((name, password), length)) = protocol::password(request.buffered())? else {
                    return Ok(Some(Flow::Continue));
                };
                // All of them, for the same reason.
                let is_right = self.settings.users.iter().fold(false, |is, user| is | user.is(name, password));
                request.consume(length);
                request.write_all(&protocol::admitted(is_right))?;
                if !is_right {
                    return Ok(Some(Flow::Close));
                }
                self.stage = Stage::Request;
            }
            Stage::Request => {
                let Some((wish, length)) = protocol::request(request.buffered())? else {
                    return Ok(Some(Flow::Continue));
                };
                request.consume(length);
                return self.serve(&wish, request).map(Some);
            }
        }
        Ok(None)
    }

    fn serve<S: Socket>(&self, wish: &Request, request: &mut Stream<S>) -> HandlerResult {
        const NOWHERE: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);
        let outcome = match wish {
            Request::Connect(destination) => dial(destination, self.settings.timeout),
            Request::Refuse(reply) => Err(*reply),
        };
        let other = match outcome {
            Ok(other) => other,
            Err(reply) => {
                request.write_all(&protocol::reply(reply, NOWHERE))?;
                return Ok(Flow::Close);
            }
        };
        request.write_all(&protocol::reply(Reply::Succeeded, other.local_addr()?))?;
        request.set_idle_timeout(self.settings.idle);
        request.relay_to(other)?;
        Ok(Flow::Relay)
    }
}

impl<S: Socket> Handler<Stream<S>> for Session {
    fn handle(&mut self, request: &mut Stream<S>) -> HandlerResult {
        loop {
            if let Some(flow) = self.step(request)? {
                return Ok(flow);
            }
        }
    }
}
