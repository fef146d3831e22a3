//! The list of the calls of handlers that are running.

#[macro_use]
mod common;

use std::net::TcpStream;

use common::Receiver;
use common::Sender;
use common::Start;
use common::ask;
use common::channel;
use common::connect;
use common::eventually;
use socketserver::Builder;
use socketserver::Flow;
use socketserver::HandlerResult;
use socketserver::Stream;
use socketserver::Tcp;
use socketserver::handler::function;

/// A handler that says when a call begins, and then waits until it may go on.
fn echo_when_told(
    begun: Sender<usize>,
    goes_on: Receiver<usize>,
) -> impl Fn(&mut Stream<TcpStream>) -> HandlerResult + Clone + Send + Sync + 'static {
    move |request| {
        begun.send(1)?;
        goes_on.recv()?;
        common::echo::echo_line(request)?;
        Ok(Flow::Continue)
    }
}

under_each_dispatch! {
    fn a_call_is_listed_while_it_runs<D>() {
        let (begun, begins) = channel();
        let (go_on, goes_on) = channel();
        let server = Builder::<Tcp, D, _>::new(function(echo_when_told(begun, goes_on))).track_calls(true).start();
        let in_this_process = !std::any::type_name::<D>().ends_with("Fork");
        let stats = server.stats_handle();
        assert_eq!(stats.running_calls(), []);
        let client = connect(server.local_addr());
        for _ in 0..2 {
            std::thread::scope(|scope| {
                let answer = scope.spawn(|| ask(&client, "hello"));
                begins.recv().unwrap();
                let running = stats.running_calls();
                assert_eq!(running.len(), usize::from(in_this_process), "{running:?}");
                // It goes on; how long it has been running is told again each time.
                if let [call] = running[..] {
                    eventually("time passes", || stats.running_calls()[0].duration > call.duration);
                    assert_eq!((call.id, call.id.to_string()), (stats.running_calls()[0].id, "1".to_owned()));
                }
                go_on.send(1_usize).unwrap();
                assert_eq!(answer.join().unwrap(), "hello");
            });
            eventually("it is over", || stats.running_calls().is_empty());
        }
    }

    fn a_panic_ends_a_call<D>() {
        let server = Builder::<Tcp, D, _>::new(function(|_: &mut Stream<TcpStream>| panic!("tells why")))
            .track_calls(true)
            .start();
        let stats = server.stats_handle();
        drop(ask_for_panic(server.local_addr()));
        server.seen.wait_for_ends(1);
        assert_eq!(stats.running_calls(), []);
    }

    fn nothing_is_listed_by_default<D>() {
        let (begun, begins) = channel();
        let (go_on, goes_on) = channel();
        let server = Builder::<Tcp, D, _>::new(function(echo_when_told(begun, goes_on))).start();
        let client = connect(server.local_addr());
        std::thread::scope(|scope| {
            let answer = scope.spawn(|| ask(&client, "hello"));
            begins.recv().unwrap();
            assert_eq!(server.stats_handle().running_calls(), []);
            go_on.send(1_usize).unwrap();
            assert_eq!(answer.join().unwrap(), "hello");
        });
    }
}

fn ask_for_panic(server: std::net::SocketAddr) -> Vec<u8> {
    use std::io::Write;
    let mut client = connect(server);
    client.write_all(b"anything\n").unwrap();
    common::read_rest(client)
}
