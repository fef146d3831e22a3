//! Every legal combination of transport, dispatch and handler compiles, and those that serve in the background echo.

#[macro_use]
mod common;

use std::io;
use std::io::BufRead;
use std::io::Write;
use std::rc::Rc;

use common::Listen;
use common::echo::Echo;
use common::echo::scenario;
use socketserver::request::Request;
use socketserver::transport::Descriptor;
use socketserver::*;

/// Calls itself nothing, does what [`Sync`] does in step mode.
#[derive(Debug, Default)]
struct InPlace;

impl dispatch::Dispatch for InPlace {
    const NAME: &'static str = "InPlace";
}

impl dispatch::ServesInBackground for InPlace {}

crate::serve_on_a_thread!(InPlace);

impl<J: dispatch::Task> dispatch::Process<J> for InPlace {
    type Running = ();

    fn start(&self, _: &mut dispatch::ServeLoop<J>) -> Result<(), ServeError> {
        Ok(())
    }

    fn process_request(
        &self,
        (): &mut (),
        _: &mut dispatch::ServeLoop<J>,
        job: J,
    ) -> Result<(), dispatch::Rejected<J>> {
        job.run();
        Ok(())
    }
}

/// A transport that passes on what another accepts.
#[derive(Debug)]
struct Through<T>(T);

impl<T: Transport> Transport for Through<T> {
    type Request = T::Request;
    type Pending = T::Pending;
    type Addr = T::Addr;

    fn accept(&mut self) -> io::Result<T::Pending> {
        self.0.accept()
    }

    fn descriptor(&self) -> Descriptor<'_> {
        self.0.descriptor()
    }

    fn local_addr(&self) -> T::Addr {
        self.0.local_addr()
    }

    fn has_buffered(&self) -> bool {
        self.0.has_buffered()
    }

    fn answers_itself(&self) -> bool {
        self.0.answers_itself()
    }
}

impl<T: transport::Bind> transport::Bind for Through<T> {
    type Address = T::Address;
    type Options = T::Options;

    fn bind(address: &T::Address, options: &T::Options) -> Result<Self, BindError> {
        T::bind(address, options).map(Self)
    }
}

impl<T: common::echo::Wire> common::echo::Wire for Through<T> {
    fn place(dir: &common::TempDir) -> T::Address {
        T::place(dir)
    }

    fn options() -> T::Options {
        T::options()
    }

    fn bound_name(socket: std::os::fd::OwnedFd) -> String {
        T::bound_name(socket)
    }

    fn exchange(address: &T::Addr, dir: &common::TempDir, message: &[u8]) -> Vec<u8> {
        T::exchange(address, dir, message)
    }
}

/// A factory of its own type, with a hook.
struct EchoFactory;

impl<R: Request> HandlerFactory<R> for EchoFactory
where
    Echo: Handler<R>,
{
    type Handler = Echo;

    fn make(&self, _: &R) -> Echo {
        Echo
    }

    fn verify_request(&self, request: &R) -> bool {
        request.client_address().is_some()
    }
}

/// Binds one server for each kind of handler.
macro_rules! instantiate {
    ($($alias:ident at $address:expr, $function:expr;)+) => {$(
        // A factory of a type of one's own, a closure that makes handlers, wrappers around one, a function.
        let _ = $alias::bind($address, EchoFactory)?;
        let _ = $alias::bind($address, || Echo)?;
        let greeting = String::from("hello");
        let _ = $alias::builder(move || { assert!(!greeting.is_empty()); Echo })
            .verify(|_| true)
            .on_error(|_, _| ())
            .on_service(|| ())
            .on_timeout(|| ())
            .observed(|_: &Event<'_>| ())
            .speaking_first()
            .bind($address)?;
        let _ = $alias::bind_fn($address, $function)?;
        let _ = $alias::builder_fn($function).verify(|_| true).bind($address)?;
    )+};
}

/// If it compiles, it is right: what each combination does is the matter of the tests below.
#[allow(dead_code, clippy::too_many_lines, reason = "called by nobody")]
fn every_legal_combination() -> Result<(), BindError> {
    macro_rules! line {
        () => {
            |request| {
                let mut line = String::new();
                request.read_line(&mut line)?;
                request.write_all(line.as_bytes())?;
                Ok(Flow::Continue)
            }
        };
    }
    macro_rules! message {
        () => {
            |request| {
                let payload = request.take_payload();
                request.reply_owned(payload)?;
                Ok(Flow::Close)
            }
        };
    }
    instantiate! {
        TcpServer at "127.0.0.1:0", line!();
        ThreadingTcpServer at "127.0.0.1:0", line!();
        ForkingTcpServer at "127.0.0.1:0", line!();
        PoolTcpServer at "127.0.0.1:0", line!();
        UdpServer at "127.0.0.1:0", message!();
        ThreadingUdpServer at "127.0.0.1:0", message!();
        ForkingUdpServer at "127.0.0.1:0", message!();
        PoolUdpServer at "127.0.0.1:0", message!();
        UnixStreamServer at "/nowhere", line!();
        ThreadingUnixStreamServer at "/nowhere", line!();
        ForkingUnixStreamServer at "/nowhere", line!();
        PoolUnixStreamServer at "/nowhere", line!();
        UnixDatagramServer at "/nowhere", message!();
        ThreadingUnixDatagramServer at "/nowhere", message!();
        ForkingUnixDatagramServer at "/nowhere", message!();
        PoolUnixDatagramServer at "/nowhere", message!();
        TlsServer at "127.0.0.1:0", line!();
        ThreadingTlsServer at "127.0.0.1:0", line!();
        ForkingTlsServer at "127.0.0.1:0", line!();
        PoolTlsServer at "127.0.0.1:0", line!();
    }
    type Own<T, D, H> = Server<Through<T>, D, H>;
    macro_rules! own {
        ($($transport:ty, $address:expr;)+) => {$(
            let _ = Own::<$transport, Sync, _>::bind($address, EchoFactory)?;
            let _ = Own::<$transport, ThreadPerRequest, _>::bind($address, EchoFactory)?;
            let _ = Own::<$transport, Fork, _>::bind($address, EchoFactory)?;
            let _ = Own::<$transport, Pool, _>::bind($address, EchoFactory)?;
            let _ = Own::<$transport, InPlace, _>::bind($address, EchoFactory)?;
            let _ = Server::<$transport, InPlace, _>::bind($address, EchoFactory)?;
        )+};
    }
    own! {
        Tcp, "127.0.0.1:0";
        Udp, "127.0.0.1:0";
        UnixStream, "/nowhere";
        UnixDatagram, "/nowhere";
        Tls<Tcp>, "127.0.0.1:0";
        Tls<UnixStream>, "/nowhere";
        Tls<Through<Tcp>>, "127.0.0.1:0";
    }
    // What is not `Send` is at home where handlers stay on the serving thread.
    let shared = Rc::new(());
    let function = {
        let shared = Rc::clone(&shared);
        move |_: &mut Stream<std::net::TcpStream>| {
            Ok(if Rc::strong_count(&shared) > 0 { Flow::Close } else { Flow::Continue })
        }
    };
    let _ = TcpServer::bind_fn("127.0.0.1:0", function.clone())?;
    let _ = ForkingTcpServer::bind_fn("127.0.0.1:0", function.clone())?;
    let _ = Server::<Tcp, InPlace, _>::bind_fn("127.0.0.1:0", function)?;
    Ok(())
}

#[test]
fn a_handler_that_is_not_send_is_served_on_the_serving_thread() {
    let calls = Rc::new(std::cell::Cell::new(0));
    let counted = Rc::clone(&calls);
    let server = TcpServer::builder_fn(move |request| {
        counted.set(counted.get() + 1);
        let mut line = String::new();
        request.read_line(&mut line)?;
        request.write_all(line.as_bytes())?;
        Ok(Flow::Close)
    })
    .listen();
    let address = server.local_addr();
    let stop = server.stop_handle();
    let client = std::thread::spawn(move || {
        let answer = common::ask(&common::connect(address), "hello");
        stop.shutdown();
        answer
    });
    let report = server.serve_forever();
    assert_eq!(client.join().unwrap(), "hello");
    assert_eq!((report.finished, calls.get()), (1, 1));
}

/// The scenario for a transport under a dispatch, with a factory and with a closure.
macro_rules! echoes {
    ($($name:ident: $transport:ty, $dispatch:expr;)+) => {$(
        #[test]
        fn $name() {
            scenario::<$transport, _, _>($dispatch, EchoFactory);
            scenario::<$transport, _, _>($dispatch, || Echo);
        }
    )+};
}

echoes! {
    tcp_sync: Tcp, Sync;
    tcp_threads: Tcp, ThreadPerRequest::default();
    tcp_fresh_threads: Tcp, ThreadPerRequest::default().fresh_threads();
    tcp_pool: Tcp, Pool::default();
    udp_sync: Udp, Sync;
    udp_threads: Udp, ThreadPerRequest::default();
    udp_pool: Udp, Pool::default();
    unix_stream_sync: UnixStream, Sync;
    unix_stream_threads: UnixStream, ThreadPerRequest::default();
    unix_stream_pool: UnixStream, Pool::default();
    unix_datagram_sync: UnixDatagram, Sync;
    unix_datagram_threads: UnixDatagram, ThreadPerRequest::default();
    unix_datagram_pool: UnixDatagram, Pool::default();
    tls_sync: Tls<Tcp>, Sync;
    tls_threads: Tls<Tcp>, ThreadPerRequest::default();
    tls_fresh_threads: Tls<Tcp>, ThreadPerRequest::default().fresh_threads();
    tls_pool: Tls<Tcp>, Pool::default();
    tls_over_unix_sync: Tls<UnixStream>, Sync;
    tls_over_unix_threads: Tls<UnixStream>, ThreadPerRequest::default();
    tls_over_unix_pool: Tls<UnixStream>, Pool::default();
    own_transport_stream: Through<UnixStream>, Pool::default();
    own_transport_datagram: Through<Udp>, ThreadPerRequest::default();
    own_transport_of_tls: Through<Tls<Tcp>>, Sync;
    own_dispatch_stream: Tcp, InPlace;
    own_dispatch_tls: Tls<Tcp>, InPlace;
    own_dispatch_datagram: UnixDatagram, InPlace;
}
