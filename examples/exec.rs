//! Runs a program for each connection, with the connection as its standard input and output, like inetd and tcpserver.
//!
//! ```text
//! cargo run --example exec -- --listen 127.0.0.1:7000 --run sh -c 'echo "you are $TCPREMOTEIP:$TCPREMOTEPORT"; exec cat'
//! nc 127.0.0.1 7000
//! ```
//!
//! The program's environment has `PROTO`, `TCPLOCALIP`, `TCPLOCALPORT`, `TCPREMOTEIP` and `TCPREMOTEPORT` (`PROTO=UNIX`
//! and `UNIXLOCALPATH` on a Unix-domain socket). At most `--workers` programs (default 40) run at a time; further
//! clients wait.
//!
//! The dispatch is `fork`: the child process of a connection becomes the program.

mod common;

use std::ffi::OsString;
use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream as UnixSocket;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::process::ExitCode;
use std::process::Stdio;
use std::sync::Arc;

use common::front::Front;
use socketserver::Builder;
use socketserver::Fork;
use socketserver::Handler;
use socketserver::HandlerResult;
use socketserver::RequestError;
use socketserver::Stream;
use socketserver::Tcp;
use socketserver::UnixStream;
use socketserver::transport::Proxied;
use socketserver::transport::ProxiedAddr;

const USAGE: &str = "usage: exec [--listen ADDR|PATH] [--transport tcp|unix] [--dispatch fork] [--workers N] --run PROGRAM [ARGUMENT ...]";

/// The program and its arguments.
#[derive(Clone)]
struct Run(Arc<[OsString]>);

impl Run {
    /// This process becomes the program; it returns only if that fails.
    fn become_it<const N: usize>(&self, socket: OwnedFd, environment: [(&str, String); N]) -> HandlerResult {
        let (program, arguments) = self.0.split_first().ok_or("no program")?;
        let input = Stdio::from(socket.try_clone()?);
        let error = Command::new(program).args(arguments).envs(environment).stdin(input).stdout(socket).exec();
        Err(format!("cannot run {}: {error}", program.display()).into())
    }
}

impl Handler<Stream<Proxied<TcpStream>>> for Run {
    fn handle(&mut self, request: &mut Stream<Proxied<TcpStream>>) -> HandlerResult {
        let socket = request.get_ref().get_ref().try_clone()?;
        let local = socket.local_addr()?;
        // A client on a socket of the proxy's machine has no address.
        let announced = request.peer_addr().and_then(ProxiedAddr::socket_addr);
        let remote = announced.map_or_else(|| socket.peer_addr(), Ok)?;
        // Programs expect a standard input that waits.
        socket.set_nonblocking(false)?;
        let environment = [
            ("PROTO", "TCP".to_owned()),
            ("TCPLOCALIP", local.ip().to_string()),
            ("TCPLOCALPORT", local.port().to_string()),
            ("TCPREMOTEIP", remote.ip().to_string()),
            ("TCPREMOTEPORT", remote.port().to_string()),
        ];
        self.become_it(socket.into(), environment)
    }
}

impl Handler<Stream<Proxied<UnixSocket>>> for Run {
    fn handle(&mut self, request: &mut Stream<Proxied<UnixSocket>>) -> HandlerResult {
        let socket = request.get_ref().get_ref().try_clone()?;
        let local = socket.local_addr()?;
        socket.set_nonblocking(false)?;
        let path = local.as_pathname().map(|path| path.display().to_string()).unwrap_or_default();
        self.become_it(socket.into(), [("PROTO", "UNIX".to_owned()), ("UNIXLOCALPATH", path)])
    }
}

fn main() -> ExitCode {
    common::run(USAGE, serve)
}

fn serve() -> common::Outcome {
    let mut program = Vec::new();
    let flags = common::Flags::parse(USAGE, |name, parser| {
        if name == "run" {
            // All that follows is the program's.
            program = parser.raw_args()?.collect();
        }
        Ok(name == "run")
    })?;
    if program.is_empty() {
        return Err(common::wrong_usage("--run is missing: which program should be run?"));
    }
    flags.refuse_processes("there is a process for each connection already")?;
    if let Some(other) = Some(flags.dispatch_or("fork")?).filter(|dispatch| *dispatch != "fork") {
        return Err(common::wrong_usage(format!(
            "--dispatch {other}: the child process becomes the program: choose fork"
        )));
    }
    flags.tls.refuse("the program is given the socket itself, and would have to speak TLS on it")?;
    let run = Run(program.into());
    let dispatch = Fork::default().max_children(flags.workers.unwrap_or(40));
    // At once: the program may be the one that speaks first, and it reads what the client has sent.
    match flags.transport.as_deref().unwrap_or("tcp") {
        "tcp" => {
            let server = Builder::<Front<Tcp>, Fork, _>::new(move || run.clone())
                .transport_options(flags.front()?)
                .dispatch(dispatch)
                .speaking_first();
            common::serve(
                server.on_error(|error: &RequestError, _| common::complain(error)),
                &flags.listen_or("127.0.0.1:7000"),
            )
        }
        "unix" => {
            let server = Builder::<Front<UnixStream>, Fork, _>::new(move || run.clone())
                .transport_options(flags.front()?)
                .dispatch(dispatch)
                .speaking_first();
            common::serve(
                server.on_error(|error: &RequestError, _| common::complain(error)),
                &flags.listen_or("exec.sock"),
            )
        }
        other => Err(common::wrong_usage(format!("--transport {other}: choose tcp or unix"))),
    }
}
