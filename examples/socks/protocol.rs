//! The messages of RFC 1928 and RFC 1929: each is taken from the front of what has arrived, once all of it has.

use std::fmt;
use std::net::IpAddr;
use std::net::SocketAddr;

const VERSION: u8 = 5;
const PASSWORD_VERSION: u8 = 1;

/// How a client may say who it is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u8)]
pub enum Method {
    Nothing = 0,
    Password = 2,
    /// None of those that the client offers.
    Unacceptable = 0xff,
}

/// What the server says to a request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u8)]
pub enum Reply {
    Succeeded = 0,
    Failed = 1,
    NotAllowed = 2,
    NetworkUnreachable = 3,
    HostUnreachable = 4,
    Refused = 5,
    CommandNotSupported = 7,
    AddressNotSupported = 8,
}

/// Where a client wants to be connected to.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Destination {
    Address(SocketAddr),
    Name(String, u16),
}

/// What a client asks for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Request {
    Connect(Destination),
    /// It cannot be done, for this reason.
    Refuse(Reply),
}

/// No client of this protocol says so: there is nothing to be said to it.
#[derive(Debug, Eq, PartialEq)]
pub struct NotSocks(&'static str);

impl fmt::Display for NotSocks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the client does not speak SOCKS5: {}", self.0)
    }
}

impl std::error::Error for NotSocks {}

/// What was taken, and how many bytes it has; `None` while more has to come.
pub type Parsed<T> = Result<Option<(T, usize)>, NotSocks>;

/// The bytes of a message that have not been looked at; `None` where it has not come to its end.
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N).and_then(|bytes| bytes.try_into().ok())
    }

    /// As many bytes as the first of them says.
    fn counted(&mut self) -> Option<&'a [u8]> {
        let [count] = self.array()?;
        self.take(count.into())
    }
}

/// Takes a message whose first byte is `version`. One that begins otherwise is an error at once.
fn parse<'a, T>(input: &'a [u8], version: u8, rest: impl FnOnce(&mut Rest<'a>) -> Option<T>) -> Parsed<T> {
    match input {
        [] => Ok(None),
        [first, behind @ ..] if *first == version => {
            let mut unread = Rest(behind);
            Ok(rest(&mut unread).map(|message| (message, input.len() - unread.0.len())))
        }
        _ => Err(NotSocks("a message has another version")),
    }
}

/// The first message: the methods that the client offers. `wanted` is chosen if it is among them.
pub fn greeting(input: &[u8], wanted: Method) -> Parsed<Method> {
    parse(input, VERSION, |rest| {
        let offered = rest.counted()?;
        Some(if offered.contains(&(wanted as u8)) { wanted } else { Method::Unacceptable })
    })
}

/// Name and password.
pub fn password(input: &[u8]) -> Parsed<(&[u8], &[u8])> {
    parse(input, PASSWORD_VERSION, |rest| Some((rest.counted()?, rest.counted()?)))
}

/// What the client wants; of an address whose kind is not known, the length is not known either.
pub fn request(input: &[u8]) -> Parsed<Request> {
    const CONNECT: u8 = 1;
    parse(input, VERSION, |rest| {
        let [command, _reserved, kind] = rest.array()?;
        let host = match kind {
            1 => Host::Address(rest.array::<4>()?.into()),
            3 => Host::Name(rest.counted()?),
            4 => Host::Address(rest.array::<16>()?.into()),
            _ => return Some(Request::Refuse(Reply::AddressNotSupported)),
        };
        let port = u16::from_be_bytes(rest.array()?);
        Some(match (command, host) {
            (CONNECT, Host::Address(address)) => Request::Connect(Destination::Address((address, port).into())),
            (CONNECT, Host::Name(name)) => match host_name(name) {
                Some(name) => Request::Connect(Destination::Name(name, port)),
                None => Request::Refuse(Reply::HostUnreachable),
            },
            _ => Request::Refuse(Reply::CommandNotSupported),
        })
    })
}

enum Host<'a> {
    Address(IpAddr),
    Name(&'a [u8]),
}

/// What can be asked of a resolver: letters, digits and a few signs. (An address in text is taken for a name, and is its own
/// answer.)
fn host_name(name: &[u8]) -> Option<String> {
    let is_usual = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._:".contains(byte);
    let is_name = !name.is_empty() && name.iter().all(is_usual);
    is_name.then(|| String::from_utf8_lossy(name).into_owned())
}

/// Answers a greeting.
pub fn chosen(method: Method) -> [u8; 2] {
    [VERSION, method as u8]
}

/// Answers a password.
pub fn admitted(is_right: bool) -> [u8; 2] {
    [PASSWORD_VERSION, u8::from(!is_right)]
}

/// Answers a request; `local` is the address that the outgoing connection has here.
pub fn reply(reply: Reply, local: SocketAddr) -> Vec<u8> {
    let mut message = vec![VERSION, reply as u8, 0];
    match local.ip() {
        IpAddr::V4(address) => {
            message.push(1);
            message.extend(address.octets());
        }
        IpAddr::V6(address) => {
            message.push(4);
            message.extend(address.octets());
        }
    }
    message.extend(local.port().to_be_bytes());
    message
}
