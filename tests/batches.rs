//! Datagrams come and go in batches: a panic in the middle of one costs no other message its answer.
#![cfg(unix)]

#[macro_use]
mod common;

use std::net::SocketAddr;
use std::net::UdpSocket;
use std::sync::Mutex;
use std::sync::mpsc;
use std::time::Duration;

use common::Count;
use common::Listen;
use common::PATIENCE;
use common::Start;
use common::connect_udp;
use common::receive;
use socketserver::Builder;
use socketserver::Datagram;
use socketserver::Flow;
use socketserver::Handler;
use socketserver::HandlerFactory;
use socketserver::HandlerResult;
use socketserver::PanicPolicy;
use socketserver::Pool;
use socketserver::ServeError;
use socketserver::Udp;
use socketserver::dispatch::Dispatch;
use socketserver::handler::function;

/// Fits into one batch.
const MESSAGES: usize = 8;

/// The message in the middle.
const PANICS: usize = 4;

type Message = Datagram<SocketAddr>;

/// Sends the number back; the middle one panics, after its answer.
fn answer(request: &mut Message) -> HandlerResult {
    let number = request.payload().to_vec();
    request.reply(&number)?;
    if number == PANICS.to_string().as_bytes() {
        std::panic::resume_unwind(Box::new("on purpose"));
    }
    Ok(Flow::Close)
}

/// A client whose messages are all in the kernel's queue before the server looks.
fn client(server: SocketAddr) -> UdpSocket {
    let client = connect_udp("127.0.0.1:0", server);
    for number in 0..MESSAGES {
        client.send(number.to_string().as_bytes()).unwrap();
    }
    client
}

/// So many answers, in any order.
fn answers(client: &UdpSocket, count: usize) -> Vec<usize> {
    let mut numbers: Vec<usize> = (0..count)
        .map(|_| String::from_utf8(receive(|buffer| client.recv(buffer))).unwrap().parse().unwrap())
        .collect();
    numbers.sort_unstable();
    numbers
}

/// Asked for each message, as it is for each connection.
#[derive(Default)]
struct PanicsAt(Count);

struct Answers;

impl Handler<Message> for Answers {
    fn handle(&mut self, request: &mut Message) -> HandlerResult {
        let payload = request.take_payload();
        request.reply_owned(payload)?;
        Ok(Flow::Close)
    }
}

impl HandlerFactory<Message> for PanicsAt {
    type Handler = Answers;

    fn make(&self, _: &Message) -> Answers {
        Answers
    }

    fn speaks_first(&self) -> bool {
        if self.0.add_one() == PANICS {
            std::panic::resume_unwind(Box::new("on purpose"));
        }
        false
    }
}

under_each_dispatch! {
    fn a_handler_that_panics_costs_nobody_an_answer<D>() {
        let server = Builder::<Udp, D, _>::new(function(answer)).listen();
        let client = client(server.local_addr());
        let server = server.start();
        assert!(answers(&client, MESSAGES).into_iter().eq(0..MESSAGES));
        server.seen.wait_for_ends(MESSAGES);
        let report = server.stop();
        assert_eq!((report.finished, report.failed), (MESSAGES as u64 - 1, 1), "{report}");
    }

    fn a_hook_that_panics_costs_nobody_an_answer<D>() {
        let server = Builder::<Udp, D, _>::new(PanicsAt::default()).listen();
        let client = client(server.local_addr());
        let server = server.start();
        assert_eq!(answers(&client, MESSAGES - 1).len(), MESSAGES - 1);
        server.seen.wait_for_ends(MESSAGES);
        let report = server.stop();
        assert_eq!((report.finished, report.failed), (MESSAGES as u64 - 1, 1), "{report}");
    }

    fn a_panic_that_stops_the_server_comes_after_the_answers<D>() {
        let server = Builder::<Udp, D, _>::new(function(answer)).panic_policy(PanicPolicy::Stop).listen();
        let client = client(server.local_addr());
        let error = server.start().try_join().unwrap_err();
        assert!(matches!(error, ServeError::Panicked { .. }), "{error}");
        // Those behind it may have been left in the queue; those before it were handled.
        let first = answers(&client, PANICS);
        assert!(D::NAME != socketserver::Sync::NAME || first.into_iter().eq(0..PANICS));
    }
}

/// Under a pool that knows that handlers block, what was answered before in the same batch does not wait for them.
#[test]
fn a_message_that_blocks_holds_no_answer_back() {
    const TRIES: usize = 5;
    const A_WHILE: Duration = Duration::from_millis(500);
    let (goes_on, go_on) = mpsc::channel::<()>();
    let go_on = Mutex::new(go_on);
    let handler = function(move |request: &mut Message| {
        if request.payload() == b"block" {
            go_on.lock().unwrap().recv_timeout(PATIENCE)?;
        }
        let answer = request.payload().to_vec();
        request.reply(&answer)?;
        Ok(Flow::Close)
    });
    let server = Builder::<Udp, Pool, _>::new(handler).dispatch(Pool::new(1)).start();
    let client = connect_udp("127.0.0.1:0", server.local_addr());
    let answered_meanwhile = (0..TRIES).any(|_| {
        // Both are there when the server looks.
        server.stop_handle().pause();
        client.send(b"quick").unwrap();
        client.send(b"block").unwrap();
        server.stop_handle().resume();
        client.set_read_timeout(Some(A_WHILE)).unwrap();
        let mut answer = [0; 16];
        let quick = client.recv(&mut answer);
        goes_on.send(()).unwrap();
        client.set_read_timeout(Some(PATIENCE)).unwrap();
        for _ in 0..if quick.is_ok() { 1 } else { 2 } {
            client.recv(&mut answer).unwrap();
        }
        quick.is_ok()
    });
    assert!(answered_meanwhile, "the answer waited for the message behind it in each of {TRIES} tries");
    drop(server.stop());
}
