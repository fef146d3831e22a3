//! The timeouts hold in the child of a server that forks, and its parent counts what they ended.
//!
//! In a harness without threads, because this process must have one. Clients that have to do something meanwhile are
//! processes: this very program, started again.

#[cfg(target_os = "linux")]
mod common;

fn main() {
    #[cfg(target_os = "linux")]
    linux::main();
}

#[cfg(target_os = "linux")]
mod linux {
    use crate::cases;
    use crate::common::Ended;
    use crate::common::Knocking;
    use crate::common::Listen;
    use crate::common::cases;
    use crate::common::connect;
    use crate::common::drip;
    use crate::common::echo::echo_line;
    use socketserver::Builder;
    use socketserver::End;
    use socketserver::Event;
    use socketserver::Flow;
    use socketserver::Fork;
    use socketserver::Handled;
    use socketserver::HandlerResult;
    use socketserver::RequestError;
    use socketserver::StopHandle;
    use socketserver::Stream;
    use socketserver::Tcp;
    use socketserver::handler::Function;
    use socketserver::handler::function;
    use socketserver::transport::Bind;
    use socketserver::transport::InetAddress;
    use std::cell::OnceCell;
    use std::io::BufRead;
    use std::io::Write;
    use std::net::SocketAddr;
    use std::net::TcpStream;
    use std::os::unix::net::UnixDatagram;
    use std::process::Command;
    use std::rc::Rc;
    use std::time::Duration;
    use std::time::Instant;

    const SHORT: Duration = Duration::from_millis(150);

    /// No other timeout ends anything while a test waits.
    const LONG: Duration = Duration::from_secs(600);

    /// More than the kernel takes in for a client that does not read.
    const MUCH: usize = 64 << 20;

    type Connection = Stream<TcpStream>;
    type Handle = fn(&mut Connection) -> HandlerResult;
    type Server<T = Tcp> = Builder<T, Fork, Function<Handle>>;

    pub(crate) fn main() {
        if let Some(address) = cases::started_again("--drip") {
            drip(&connect(address[0].parse().expect("an address")));
            return;
        }
        cases::run(cases![
            a_silent_client,
            a_read,
            a_message_that_waits,
            a_write,
            output_that_waits,
            a_handshake,
            the_whole_request_idle,
            the_whole_request_in_a_read,
            the_whole_request_in_a_write,
            a_rate_in_a_read,
            a_rate_in_a_message_that_waits,
            a_computing_child,
            handle_request,
        ])
    }

    fn builder<T: Bind<Request = Connection>>(handle: Handle) -> Server<T> {
        Builder::new(function(handle))
            .establish_timeout(LONG)
            .idle_timeout(LONG)
            .read_timeout(LONG)
            .write_timeout(LONG)
            .linger(SHORT, usize::MAX)
            .min_rate(None)
            .rate_grace(SHORT)
    }

    /// What a client does until its server closes.
    enum Client {
        Drips,
        /// Sends this, and neither sends nor reads anything more.
        Sends(&'static [u8]),
    }

    /// Serves one client: what the hook in the child was told, and what the parent counted.
    fn serve<T>(builder: Server<T>, client: &Client) -> (Option<String>, Ended)
    where
        T: Bind<Request = Connection, Address = InetAddress, Addr = SocketAddr>,
    {
        let (here, there) = UnixDatagram::pair().expect("socketpair");
        here.set_nonblocking(true).expect("non-blocking");
        let stop: Rc<OnceCell<StopHandle>> = Rc::default();
        let stopper = Rc::clone(&stop);
        let server = builder
            .on_error(move |error: &RequestError, _: Option<&SocketAddr>| {
                assert!(error.is_timeout(), "{error}");
                there.send(error.to_string().as_bytes()).expect("tell");
            })
            .observed(move |event: &Event<'_>| {
                if let Event::ChildExit { .. } = event {
                    stopper.get().expect("set").shutdown();
                }
            })
            .listen();
        stop.set(server.stop_handle()).expect("once");
        let address = server.local_addr();
        let (mut waits, mut drips) = (None, None);
        match client {
            Client::Drips => {
                let program = std::env::current_exe().expect("this program");
                drips = Some(Command::new(program).arg("--drip").arg(address.to_string()).spawn().expect("a client"));
            }
            Client::Sends(bytes) => {
                let mut client = connect(address);
                client.write_all(bytes).expect("send");
                waits = Some(client);
            }
        }
        let begun = Instant::now();
        let ended = server.serve_forever();
        assert!(begun.elapsed() >= SHORT, "after {:?}", begun.elapsed());
        drop(waits);
        if let Some(mut drips) = drips {
            assert!(drips.wait().expect("wait").success());
        }
        let mut told = [0; 200];
        let told = here.recv(&mut told).ok().map(|length| String::from_utf8_lossy(&told[..length]).into_owned());
        (told, ended)
    }

    /// The child gives up with this error, and its parent counts a failure.
    fn gives_up<T>(builder: Server<T>, client: &Client, error: &str)
    where
        T: Bind<Request = Connection, Address = InetAddress, Addr = SocketAddr>,
    {
        let (told, ended) = serve(builder, client);
        assert_eq!(told.as_deref(), Some(error));
        assert_eq!(ended.seen.child_exits().len(), 1);
        assert_eq!((ended.seen.child_exits()[0].1, ended.seen.child_exits()[0].2), (Some(1), None));
        assert_eq!((ended.accepted, ended.failed, ended.seen.ended(End::TimedOut)), (1, 1, 1), "{ended}");
    }

    fn echo_whole_line(request: &mut Connection) -> HandlerResult {
        if request.buffered().contains(&b'\n') { echo_line(request) } else { Ok(Flow::Continue) }
    }

    fn write_much(request: &mut Connection) -> HandlerResult {
        let count = request.fill_buf()?.len();
        request.consume(count);
        request.write_all(&vec![b'x'; MUCH])?;
        Ok(Flow::Continue)
    }

    fn a_silent_client() {
        let (told, ended) = serve::<Tcp>(builder(echo_line).idle_timeout(SHORT), &Client::Sends(b""));
        assert_eq!(told, None);
        // To be idle is no failure of the child.
        assert_eq!((ended.seen.child_exits()[0].1, ended.seen.child_exits()[0].2), (Some(0), None));
        assert_eq!((ended.accepted, ended.idle_closed, ended.seen.ended(End::IdleTimeout)), (1, 1, 1), "{ended}");
    }

    fn a_read() {
        gives_up::<Tcp>(
            builder(echo_line).read_timeout(SHORT),
            &Client::Drips,
            "handle: reading took longer than 150ms",
        );
    }

    fn a_message_that_waits() {
        let builder = builder::<Tcp>(echo_whole_line).read_timeout(SHORT);
        gives_up(builder, &Client::Drips, "handle: receiving a message took longer than 150ms");
    }

    fn a_write() {
        let builder = builder::<Tcp>(write_much).write_timeout(SHORT);
        gives_up(builder, &Client::Sends(b"go\n"), "handle: writing took longer than 150ms");
    }

    fn output_that_waits() {
        let builder = builder::<Tcp>(write_much).write_timeout(SHORT).max_pending_output(2 * MUCH);
        gives_up(builder, &Client::Sends(b"go\n"), "handle: sending took longer than 150ms");
    }

    fn a_handshake() {
        let builder = builder::<Knocking>(echo_line).establish_timeout(SHORT);
        gives_up(builder, &Client::Sends(b"no line"), "establish: establishing took longer than 150ms");
    }

    fn the_whole_request_idle() {
        let builder = builder::<Tcp>(echo_line).total_timeout(SHORT);
        gives_up(builder, &Client::Sends(b""), "handle: the whole request took longer than 150ms");
    }

    fn the_whole_request_in_a_read() {
        let builder = builder::<Tcp>(echo_line).total_timeout(SHORT);
        gives_up(builder, &Client::Drips, "handle: the whole request took longer than 150ms");
    }

    fn the_whole_request_in_a_write() {
        let builder = builder::<Tcp>(write_much).total_timeout(SHORT);
        gives_up(builder, &Client::Sends(b"go\n"), "handle: the whole request took longer than 150ms");
    }

    fn a_rate_in_a_read() {
        let builder = builder::<Tcp>(echo_line).min_rate(1_000);
        gives_up(builder, &Client::Drips, "handle: reading fell below 1000 bytes/s (after a grace period of 150ms)");
    }

    fn a_rate_in_a_message_that_waits() {
        let builder = builder::<Tcp>(echo_whole_line).min_rate(1_000);
        let error = "handle: receiving a message fell below 1000 bytes/s (after a grace period of 150ms)";
        gives_up(builder, &Client::Drips, error);
    }

    /// No timeout of the child's reaches it: its parent kills it.
    fn a_computing_child() {
        let handle: Handle = |_| {
            loop {
                std::hint::spin_loop();
            }
        };
        let dispatch = Fork::default().child_timeout(SHORT);
        let (told, ended) =
            serve::<Tcp>(builder(handle).total_timeout(SHORT).dispatch(dispatch), &Client::Sends(b"go\n"));
        assert_eq!(told, None);
        assert_eq!(ended.seen.child_exits()[0].2, Some(libc::SIGKILL));
        assert_eq!((ended.accepted, ended.failed, ended.seen.ended(End::TimedOut)), (1, 1, 1), "{ended}");
    }

    fn handle_request() {
        let mut server = builder::<Tcp>(echo_line).request_timeout(SHORT).listen();
        let begun = Instant::now();
        assert_eq!(server.handle_request().expect("handle_request"), Handled::TimedOut);
        assert!(begun.elapsed() >= SHORT, "after {:?}", begun.elapsed());
    }
}
