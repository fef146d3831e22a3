//! The commands: RFC 5321, 4.1; with SIZE (RFC 1870), 8BITMIME (RFC 6152) and PIPELINING (RFC 2920).

use std::borrow::Cow;
use std::fmt::Display;
use std::io::Write;
use std::sync::Arc;
use std::time::SystemTime;

use socketserver::End;
use socketserver::Flow;
use socketserver::HandlerResult;
use socketserver::Socket;
use socketserver::Stream;
use socketserver::frames::FrameError;
use socketserver::frames::FrameHandler;
use socketserver::frames::Replies;

use crate::crlf::Crlf;
use crate::message;
use crate::message::Incoming;
use crate::message::Spool;
use crate::path;

/// RFC 5321, 4.5.3.1.8.
const MOST_RECIPIENTS: usize = 100;

/// A client that speaks SMTP does not make this many mistakes.
const MOST_ERRORS: usize = 10;

const NO_PATH: &str = "501 it is MAIL FROM:<address> or RCPT TO:<address>";
const OUT_OF_ORDER: &str = "503 it is EHLO, MAIL, RCPT, DATA, in this order";

/// A reply without its end. One that begins with 221 or 421 is the last.
type Reply = Cow<'static, str>;

/// One connection.
pub struct Session {
    spool: Arc<Spool>,
    /// Who is at the other end, as it is written into messages.
    peer: String,
    /// The protocol, and what the client calls itself.
    greeted: Option<(&'static str, String)>,
    stage: Stage,
    errors: usize,
}

enum Stage {
    Idle,
    Envelope { from: String, to: Vec<String> },
    Message(Incoming),
}

impl<S: Socket<Addr: Display>> FrameHandler<Crlf, S> for Session {
    fn setup(&mut self, request: &mut Stream<S>, replies: &mut Replies<'_, Crlf>) -> HandlerResult<()> {
        let peer = request.peer_addr().map(ToString::to_string).unwrap_or_default();
        self.peer = peer.replace(['(', ')', '\\'], "");
        replies.bytes().extend(b"220 localhost ESMTP\r\n");
        Ok(())
    }

    fn message(&mut self, line: &[u8], replies: &mut Replies<'_, Crlf>) -> HandlerResult {
        if let Stage::Message(message) = &mut self.stage
            && line != b"."
        {
            message.add(line);
            return Ok(Flow::Continue);
        }
        let reply = match std::mem::replace(&mut self.stage, Stage::Idle) {
            Stage::Message(message) => message.finish(&self.spool).into(),
            stage => {
                self.stage = stage;
                self.command(line)
            }
        };
        self.say(&reply, replies)
    }

    fn error(&mut self, error: FrameError, replies: &mut Replies<'_, Crlf>) -> HandlerResult {
        match (error, &mut self.stage) {
            // The client has gone in the middle of something: it will try again.
            (FrameError::Truncated { .. }, _) => Ok(Flow::Close),
            (_, Stage::Message(message)) => {
                message.refuse("554 a line is too long");
                Ok(Flow::Continue)
            }
            _ => self.say("500 the line is too long", replies),
        }
    }

    fn finish(&mut self, _: &mut Stream<S>, replies: &mut Replies<'_, Crlf>, end: End) -> HandlerResult<()> {
        if matches!(end, End::Drained | End::IdleTimeout | End::Shed | End::TimedOut) {
            replies.bytes().extend(b"421 the connection is closed: try again later\r\n");
        }
        Ok(())
    }
}

impl Session {
    pub fn new(spool: Arc<Spool>) -> Self {
        Self { spool, peer: String::new(), greeted: None, stage: Stage::Idle, errors: 0 }
    }

    fn say(&mut self, mut reply: &str, replies: &mut Replies<'_, Crlf>) -> HandlerResult {
        self.errors += usize::from(reply.starts_with("50"));
        if self.errors > MOST_ERRORS {
            reply = "421 too many errors";
        }
        write!(replies.bytes(), "{reply}\r\n")?;
        Ok(if reply.starts_with("221") || reply.starts_with("421") { Flow::Close } else { Flow::Continue })
    }

    fn command(&mut self, line: &[u8]) -> Reply {
        let is_printable = line.iter().all(|byte| (b' '..=b'~').contains(byte));
        let Some(line) = std::str::from_utf8(line).ok().filter(|_| is_printable) else {
            return "500 a command is one line of printable ASCII".into();
        };
        let (name, argument) = line.split_once(' ').unwrap_or((line, ""));
        let argument = argument.trim();
        match name.to_ascii_uppercase().as_str() {
            "EHLO" | "HELO" if !path::is_domain(argument) => "501 it is EHLO and a domain".into(),
            "EHLO" => {
                self.greet("ESMTP", argument);
                let size = message::LONGEST;
                format!("250-localhost\r\n250-8BITMIME\r\n250-HELP\r\n250-PIPELINING\r\n250 SIZE {size}").into()
            }
            "HELO" => {
                self.greet("SMTP", argument);
                "250 localhost".into()
            }
            "MAIL" => self.mail(argument).into(),
            "RCPT" => self.recipient(argument).into(),
            "DATA" | "RSET" | "QUIT" if !argument.is_empty() => "501 nothing comes behind it".into(),
            "DATA" => self.data().into(),
            "RSET" => {
                self.stage = Stage::Idle;
                "250 OK".into()
            }
            "NOOP" => "250 OK".into(),
            "VRFY" if argument.is_empty() => "501 it is VRFY and a name".into(),
            "VRFY" => "252 send to it, and see".into(),
            "HELP" => "214 EHLO HELO MAIL RCPT DATA RSET NOOP VRFY HELP QUIT: RFC 5321".into(),
            "QUIT" => "221 goodbye".into(),
            // A browser that was made to post mail.
            _ if argument.contains("HTTP/") => "421 this is not HTTP".into(),
            _ => "500 an unknown command".into(),
        }
    }

    fn greet(&mut self, protocol: &'static str, name: &str) {
        self.greeted = Some((protocol, name.to_owned()));
        self.stage = Stage::Idle;
    }

    fn mail(&mut self, argument: &str) -> &'static str {
        if self.greeted.is_none() || !matches!(self.stage, Stage::Idle) {
            return OUT_OF_ORDER;
        }
        let Some((from, parameters)) = path::parse(argument, "FROM") else { return NO_PATH };
        // Nobody, in the message that another one could not be delivered.
        if !(from.is_empty() || path::is_mailbox(from)) {
            return "553 the address is none";
        }
        for parameter in parameters.split_ascii_whitespace() {
            let parameter = parameter.to_ascii_uppercase();
            match parameter.split_once('=') {
                Some(("BODY", "7BIT" | "8BITMIME")) => {}
                Some(("SIZE", size))
                    if (1..=20).contains(&size.len()) && size.bytes().all(|digit| digit.is_ascii_digit()) =>
                {
                    // Twenty digits can be too many for the type.
                    if size.parse().is_ok_and(|size: u64| size <= message::LONGEST) {
                        continue;
                    }
                    return message::TOO_LONG;
                }
                Some(("BODY" | "SIZE", _)) => return "501 the parameter has another value",
                _ => return "555 an unknown parameter",
            }
        }
        self.stage = Stage::Envelope { from: from.to_owned(), to: Vec::new() };
        "250 OK"
    }

    fn recipient(&mut self, argument: &str) -> &'static str {
        let Stage::Envelope { to, .. } = &mut self.stage else { return OUT_OF_ORDER };
        match path::parse(argument, "TO") {
            None => NO_PATH,
            Some((_, parameters)) if !parameters.is_empty() => "555 an unknown parameter",
            Some((address, _)) if !(path::is_mailbox(address) || address.eq_ignore_ascii_case("postmaster")) => {
                "553 the address is none"
            }
            Some(_) if to.len() == MOST_RECIPIENTS => "452 too many recipients: send to the others later",
            Some((address, _)) => {
                to.push(address.to_owned());
                "250 OK"
            }
        }
    }

    fn data(&mut self) -> &'static str {
        let Stage::Envelope { from, to } = &self.stage else { return OUT_OF_ORDER };
        if to.is_empty() {
            return "554 no valid recipients";
        }
        let (protocol, name) = self.greeted.as_ref().map_or(("SMTP", ""), |(protocol, name)| (*protocol, name));
        let date = httpdate::fmt_http_date(SystemTime::now()).replace("GMT", "+0000");
        let recipients: String = to.iter().map(|to| format!("Delivered-To: {to}\r\n")).collect();
        let received = format!("Received: from {name} ({})\r\n\tby localhost with {protocol}; {date}\r\n", self.peer);
        match Incoming::new(&self.spool, &format!("Return-Path: <{from}>\r\n{recipients}{received}")) {
            Ok(message) => {
                self.stage = Stage::Message(message);
                "354 end with a dot in a line"
            }
            Err(_) => message::NOT_STORED,
        }
    }
}
