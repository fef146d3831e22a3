//! What clients of the balancer ask for, and what comes of it.

#![allow(unreachable_pub, reason = "a part of a test")]

use std::io::BufRead;
use std::io::BufReader;
use std::io::Error;
use std::io::Read;
use std::io::Result;
use std::io::Write;
use std::net::SocketAddr;
use std::net::TcpStream;

use crate::common::PATIENCE;

/// A client that keeps its connection, or makes one for each request.
pub struct Client {
    address: SocketAddr,
    keeps: bool,
    stream: Option<BufReader<TcpStream>>,
}

impl Client {
    pub fn new(address: SocketAddr, keeps: bool) -> Self {
        Self { address, keeps, stream: None }
    }

    /// The content of a file; anything but all of it is an error.
    pub fn get(&mut self, path: &str) -> Result<String> {
        let mut stream = match self.stream.take() {
            Some(stream) => stream,
            None => connect(self.address)?,
        };
        let length = ask(&mut stream, path, self.keeps)?;
        let mut body = vec![0; length];
        stream.read_exact(&mut body)?;
        if self.keeps {
            self.stream = Some(stream);
        }
        String::from_utf8(body).map_err(Error::other)
    }
}

/// A large file, of which the beginning has been read: the rest is on its way.
pub struct Download {
    stream: BufReader<TcpStream>,
    left: usize,
    /// The first letter, which tells whose file it is.
    pub letter: u8,
}

impl Download {
    pub fn begin(address: SocketAddr, path: &str) -> Self {
        let mut stream = connect(address).unwrap();
        let length = ask(&mut stream, path, false).unwrap();
        let mut letter = [0];
        stream.read_exact(&mut letter).unwrap();
        Self { stream, left: length - 1, letter: letter[0] }
    }

    /// Reads the rest; whether it was all there.
    pub fn comes_whole(mut self) -> bool {
        let mut rest = Vec::with_capacity(self.left);
        let outcome = self.stream.read_to_end(&mut rest);
        outcome.is_ok() && rest.len() == self.left
    }
}

fn connect(address: SocketAddr) -> Result<BufReader<TcpStream>> {
    let stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    Ok(BufReader::new(stream))
}

/// Sends a request, and reads the head of its answer. How long the content is.
fn ask(stream: &mut BufReader<TcpStream>, path: &str, keeps: bool) -> Result<usize> {
    let close = if keeps { "" } else { "Connection: close\r\n" };
    let request = format!("GET {path} HTTP/1.1\r\nHost: test\r\n{close}\r\n");
    stream.get_mut().write_all(request.as_bytes())?;
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if stream.read_line(&mut head)? == 0 {
            return Err(Error::other(format!("no answer but {head:?}")));
        }
    }
    let length = head.to_lowercase().lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
    match length {
        Some(length) if head.starts_with("HTTP/1.1 200 ") => Ok(length),
        _ => Err(Error::other(head)),
    }
}
