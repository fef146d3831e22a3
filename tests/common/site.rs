//! A folder that the example `http_files` serves, and what clients send to it and get from it.

use std::io::Read;
use std::io::Write;
use std::net::TcpStream;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::path::PathBuf;

use super::TempDir;
use super::connect;
use super::example::Example;

/// A folder with something in it and something outside of it; removed at the end.
pub struct Site(TempDir);

impl Site {
    pub fn new() -> Self {
        let site = Self(TempDir::new());
        std::fs::create_dir_all(site.path("folder")).unwrap();
        std::fs::write(site.outside("secret"), "secret").unwrap();
        site.write("a.txt", "0123456789");
        site.write("empty", "");
        site.write("two words.txt", "words");
        site.write("large", vec![b'x'; 3 << 20]);
        symlink(site.outside("secret"), site.path("leak")).unwrap();
        symlink("../secret", site.path("relative leak")).unwrap();
        symlink("../a.txt", site.path("folder/link")).unwrap();
        site
    }

    /// The path of something that is served.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder().join(name)
    }

    /// The path of something beside the folder.
    pub fn outside(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        std::fs::write(self.path(name), content).unwrap();
    }

    /// The flags that serve it.
    pub fn flags(&self) -> [String; 6] {
        let folder = self.folder().to_str().expect("text").to_owned();
        ["--listen", "127.0.0.1:0", "--workers", "2", "--directory", &folder].map(str::to_owned)
    }

    pub fn serve(&self, more: &[&str]) -> Example {
        let flags = self.flags();
        let flags: Vec<&str> = flags.iter().map(String::as_str).chain(more.iter().copied()).collect();
        Example::start("http_files", &flags)
    }

    fn folder(&self) -> PathBuf {
        Path::new(self.0.path()).join("served")
    }
}

/// Everything the server sends for `request` until it closes.
pub fn exchange(server: &Example, request: impl AsRef<[u8]>) -> String {
    let mut client = connect(server.socket_address());
    client.write_all(request.as_ref()).unwrap();
    rest(client)
}

/// As [`exchange`], with a client that ends its side behind the request.
pub fn exchange_and_end(server: &Example, request: impl AsRef<[u8]>) -> String {
    let mut client = connect(server.socket_address());
    client.write_all(request.as_ref()).unwrap();
    client.shutdown(std::net::Shutdown::Write).unwrap();
    rest(client)
}

fn rest(mut client: TcpStream) -> String {
    let mut answer = Vec::new();
    client.read_to_end(&mut answer).unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

pub fn get(server: &Example, path: &str, fields: &str) -> String {
    exchange(server, format!("GET {path} HTTP/1.1\r\nHost: here\r\n{fields}Connection: close\r\n\r\n"))
}

#[track_caller]
pub fn assert_status(answer: &str, status: u16) {
    assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{status} expected: {answer:.300}");
}

/// The value of a field of the answer's head.
pub fn field<'a>(answer: &'a str, name: &str) -> Option<&'a str> {
    let head = answer.split("\r\n\r\n").next()?;
    head.lines()
        .find_map(|line| line.split_once(": ").filter(|(key, _)| key.eq_ignore_ascii_case(name)).map(|pair| pair.1))
}

pub fn body(answer: &str) -> &str {
    answer.split_once("\r\n\r\n").map_or("", |parts| parts.1)
}
