//! The peers: a thread per connection from the standard library, and tokio with its multi-threaded runtime, also with
//! tokio-rustls.

use std::io;
use std::io::Read;
use std::io::Write;
use std::net::TcpListener;
use std::os::unix::net::UnixListener;
use std::sync::Arc;
use std::thread;

use tokio::io::AsyncBufReadExt;
use tokio::io::AsyncRead;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWrite;
use tokio::io::AsyncWriteExt;
use tokio::io::BufReader;
use tokio::io::BufWriter;
use tokio_rustls::TlsAcceptor;

use crate::certificate;
use crate::message::NAP;
use crate::message::SLOW;
use crate::servers::Address;
use crate::servers::Does;
use crate::servers::GATHERED;
use crate::servers::Outcome;
use crate::servers::announce;

const BUFFER: usize = 16 << 10;

/// A fresh thread for each connection.
pub(crate) fn threads(does: Does, address: &Address) -> Outcome {
    match address {
        Address::Tcp(address) => {
            let listener = TcpListener::bind(address)?;
            announce(&listener.local_addr()?)?;
            loop {
                let (socket, _) = listener.accept()?;
                socket.set_nodelay(true)?;
                thread::spawn(move || echo(does, socket));
            }
        }
        Address::Unix(path) => {
            let listener = UnixListener::bind(path)?;
            announce(path)?;
            loop {
                let (socket, _) = listener.accept()?;
                thread::spawn(move || echo(does, socket));
            }
        }
        Address::Tls(_) => Err("TLS in a thread per connection is not measured".into()),
        Address::Udp(_) => Err("a thread per datagram is not measured".into()),
    }
}

/// The connection's error is the end of it, and nothing else.
fn echo(does: Does, mut socket: impl Read + Write) -> io::Result<()> {
    let mut buffer = [0; BUFFER];
    loop {
        let count = socket.read(&mut buffer)?;
        if count == 0 {
            return Ok(());
        }
        match does {
            Does::Naps if buffer[0] == SLOW => thread::sleep(NAP),
            // All that comes is whole lines, for as long as clients wait for their replies.
            Does::Lines => buffer[..count].make_ascii_uppercase(),
            Does::Echo | Does::Naps => {}
        }
        socket.write_all(&buffer[..count])?;
    }
}

/// A task for each connection, on `workers` threads.
pub(crate) fn tokio(does: Does, address: &Address, workers: usize) -> Outcome {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(workers).enable_io().build()?;
    runtime.block_on(async {
        // The accepting loop is a task of the workers as well: the main thread only waits.
        tokio::spawn(accept(does, address.clone())).await?.map_err(|message| message.into())
    })
}

async fn accept(does: Does, address: Address) -> Result<(), String> {
    let text = |error: io::Error| error.to_string();
    match address {
        Address::Tcp(address) => {
            let listener = listen(&address).map_err(text)?;
            loop {
                let (socket, _) = listener.accept().await.map_err(text)?;
                socket.set_nodelay(true).map_err(text)?;
                tokio::spawn(converse(does, socket));
            }
        }
        Address::Tls(address) => {
            let acceptor = TlsAcceptor::from(certificate::peers().map_err(|error| error.to_string())?);
            let listener = listen(&address).map_err(text)?;
            loop {
                let (socket, _) = listener.accept().await.map_err(text)?;
                socket.set_nodelay(true).map_err(text)?;
                let acceptor = acceptor.clone();
                tokio::spawn(async move {
                    let mut socket = acceptor.accept(socket).await?;
                    converse(does, &mut socket).await?;
                    socket.shutdown().await
                });
            }
        }
        Address::Unix(path) => {
            let listener = tokio::net::UnixListener::bind(&path).map_err(text)?;
            announce(&path).map_err(text)?;
            loop {
                let (socket, _) = listener.accept().await.map_err(text)?;
                tokio::spawn(converse(does, socket));
            }
        }
        Address::Udp(address) => {
            let socket = Arc::new(tokio::net::UdpSocket::bind(address).await.map_err(text)?);
            announce(&socket.local_addr().map_err(text)?).map_err(text)?;
            let mut buffer = vec![0; 65_536];
            loop {
                let (count, peer) = socket.recv_from(&mut buffer).await.map_err(text)?;
                socket.send_to(&buffer[..count], peer).await.map_err(text)?;
            }
        }
    }
}

fn listen(address: &str) -> io::Result<tokio::net::TcpListener> {
    let listener = TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    announce(&listener.local_addr()?)?;
    tokio::net::TcpListener::from_std(listener)
}

async fn converse(does: Does, mut socket: impl AsyncRead + AsyncWrite + Unpin) -> io::Result<()> {
    if let Does::Lines = does {
        let mut socket = BufReader::with_capacity(BUFFER, BufWriter::with_capacity(GATHERED, socket));
        let mut line = Vec::new();
        while socket.read_until(b'\n', &mut line).await? > 0 {
            line.make_ascii_uppercase();
            socket.write_all(&line).await?;
            line.clear();
            if !socket.buffer().contains(&b'\n') {
                socket.flush().await?;
            }
        }
        return Ok(());
    }
    let mut buffer = vec![0; BUFFER];
    loop {
        let count = socket.read(&mut buffer).await?;
        if count == 0 {
            return Ok(());
        }
        if let Does::Naps = does
            && buffer[0] == SLOW
        {
            tokio::task::spawn_blocking(|| thread::sleep(NAP)).await?;
        }
        socket.write_all(&buffer[..count]).await?;
        // Nothing to do for a socket; TLS may hold something back.
        socket.flush().await?;
    }
}
