//! The head of a request: taken apart without a copy, and refused where it is not one.

use std::mem::MaybeUninit;

use httparse::Header;
use httparse::Status;

use super::conditions::Conditions;
use super::target;

/// The longest target, and the longest head with everything.
const MAX_TARGET: usize = 8 * 1024;
const MAX_HEAD: usize = 32 * 1024;
const MAX_HEADERS: usize = 64;

/// Bodies, which nothing here asks for, are read and thrown away up to here.
const MAX_BODY: u64 = 1024 * 1024;

/// What a request asks for; borrowed from the connection's buffer.
#[derive(Debug, Default)]
pub struct Head<'a> {
    /// Of a folder or file, not decoded yet; begins with a slash.
    pub path: &'a str,
    /// With its question mark, where there is one.
    pub query: &'a str,
    /// Without a body in the answer.
    pub is_head: bool,
    pub keep_alive: bool,
    /// With which status to answer what is a request and is not served.
    pub refusal: Option<u16>,
    pub is_http_10: bool,
    pub conditions: Conditions<'a>,
    /// Bytes of the head, and of the body behind it.
    pub length: usize,
    pub body: u64,
}

/// What the bytes that have arrived are.
#[derive(Debug)]
pub enum Parsed<'a> {
    Whole(Head<'a>),
    Incomplete,
    /// In a later version of HTTP/1, which can be read as 1.1: see [`as_1_1`].
    Later,
    /// With which status to answer before the close.
    Refused(u16),
}

impl<'a> Head<'a> {
    pub fn parse(bytes: &'a [u8]) -> Parsed<'a> {
        let mut headers: [MaybeUninit<Header<'_>>; MAX_HEADERS] = [const { MaybeUninit::uninit() }; MAX_HEADERS];
        let mut request = httparse::Request::new(&mut []);
        let length = match request.parse_with_uninit_headers(bytes, &mut headers) {
            Ok(Status::Complete(length)) if length <= MAX_HEAD => length,
            Ok(Status::Partial) if bytes.len() <= MAX_HEAD => {
                let in_first_line = bytes.len() > MAX_TARGET && !bytes[..MAX_TARGET].contains(&b'\n');
                return if in_first_line { Parsed::Refused(414) } else { Parsed::Incomplete };
            }
            Ok(_) => {
                let long_target = !bytes[..MAX_TARGET].contains(&b'\n');
                return Parsed::Refused(if long_target { 414 } else { 431 });
            }
            Err(httparse::Error::TooManyHeaders) => return Parsed::Refused(431),
            Err(httparse::Error::Version) => return Self::of_another_version(bytes),
            Err(_) => return Parsed::Refused(400),
        };
        match Self::of(&request, length) {
            Ok(head) => Parsed::Whole(head),
            Err(status) => Parsed::Refused(status),
        }
    }

    /// What the parser took for a bad version may be a line that is none at all.
    fn of_another_version(bytes: &[u8]) -> Parsed<'a> {
        let Some(line) = first_line(bytes) else {
            return if bytes.len() > MAX_TARGET { Parsed::Refused(414) } else { Parsed::Incomplete };
        };
        let is_one = line.iter().filter(|&&byte| byte == b' ').count() == 2;
        match line.rsplit(|&byte| byte == b' ').next() {
            Some([b'H', b'T', b'T', b'P', b'/', major, b'.', minor])
                if is_one && major.is_ascii_digit() && minor.is_ascii_digit() =>
            {
                if *major == b'1' {
                    Parsed::Later
                } else {
                    Parsed::Refused(505)
                }
            }
            _ => Parsed::Refused(400),
        }
    }

    fn of(request: &httparse::Request<'_, 'a>, length: usize) -> Result<Self, u16> {
        let is_http_10 = request.version == Some(0);
        let mut head = Head { is_http_10, length, ..Head::default() };
        let target = request.path.unwrap_or_default();
        if target.len() > MAX_TARGET {
            return Err(414);
        }
        let mut hosts = 0;
        let mut content_length = None;
        let mut coding: Option<&[u8]> = None;
        let mut expects = false;
        // In HTTP/1.1 connections are kept unless one side says otherwise.
        let (mut closes, mut keeps) = (false, !is_http_10);
        for &Header { name, value } in request.headers.iter() {
            let is = |other: &str| name.eq_ignore_ascii_case(other);
            match name.len() {
                4 if is("host") => {
                    hosts += 1;
                    if !target::is_host(value) {
                        return Err(400);
                    }
                }
                6 if is("expect") => {
                    if !value.eq_ignore_ascii_case(b"100-continue") {
                        return Err(417);
                    }
                    expects = true;
                }
                10 if is("connection") => {
                    for token in tokens(value) {
                        closes |= token.eq_ignore_ascii_case(b"close");
                        keeps |= token.eq_ignore_ascii_case(b"keep-alive");
                    }
                }
                14 if is("content-length") => {
                    let is_second = content_length.replace(number(value).ok_or(400_u16)?).is_some();
                    if is_second {
                        return Err(400);
                    }
                }
                17 if is("transfer-encoding") => {
                    let twice = coding.replace(value).is_some();
                    if twice {
                        return Err(400);
                    }
                }
                _ => head.conditions.take(name, value),
            }
        }
        if hosts > 1 || hosts == 0 && !is_http_10 {
            return Err(400);
        }
        // What could be read in two ways is how requests are smuggled past a proxy.
        match coding {
            Some(_) if content_length.is_some() || is_http_10 => return Err(400),
            Some(coding) if !coding.eq_ignore_ascii_case(b"chunked") => return Err(501),
            _ => {}
        }
        head.body = content_length.unwrap_or(0);
        if head.body > MAX_BODY {
            return Err(413);
        }
        match request.method.unwrap_or_default() {
            "GET" => {}
            "HEAD" => head.is_head = true,
            "POST" | "PUT" | "DELETE" | "CONNECT" | "OPTIONS" | "TRACE" | "PATCH" => head.refusal = Some(405),
            _ => head.refusal = Some(501),
        }
        match target::split(target) {
            Some((path, query)) => (head.path, head.query) = (path, query),
            // Other methods have other kinds of targets.
            None if head.refusal.is_some() => {}
            None => return Err(400),
        }
        if coding.is_some() {
            return Err(411);
        }
        // The client may or may not send the body after an answer that is not `100 Continue`.
        head.keep_alive = keeps && !closes && !(expects && head.body > 0);
        Ok(head)
    }
}

/// The first line without its end, once it is there.
fn first_line(bytes: &[u8]) -> Option<&[u8]> {
    let line = &bytes[..bytes.iter().position(|&byte| byte == b'\n')?];
    Some(line.strip_suffix(b"\r").unwrap_or(line))
}

/// A copy of a head with the version that the parser knows.
pub fn as_1_1(bytes: &[u8]) -> Vec<u8> {
    let mut copy = bytes.to_vec();
    if let Some(minor) = first_line(bytes).and_then(|line| copy.get_mut(line.len().checked_sub(1)?)) {
        *minor = b'1';
    }
    copy
}

/// How many bytes at the beginning are empty lines, ended by CR LF or LF alone; at the end of the input half of one
/// counts.
pub fn empty_lines(bytes: &[u8], is_ended: bool) -> usize {
    let mut rest = bytes;
    loop {
        rest = match rest {
            [b'\r', b'\n', rest @ ..] | [b'\n', rest @ ..] => rest,
            [b'\r'] if is_ended => &[],
            _ => return bytes.len() - rest.len(),
        };
    }
}

/// The parts of a list, without the space around them.
pub fn tokens(list: &[u8]) -> impl Iterator<Item = &[u8]> {
    list.split(|&byte| byte == b',').map(<[u8]>::trim_ascii)
}

/// Digits, and nothing but digits.
fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}
