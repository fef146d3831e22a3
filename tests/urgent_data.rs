//! A client that sends urgent data loses none of the rest: a read ends before the urgent byte, which is not the end of
//! what is there.

#[macro_use]
mod common;

use std::io::BufRead;
use std::io::Write;

use common::PATIENCE;
use common::Start;
use common::channel;
use socketserver::Builder;
use socketserver::Flow;
use socketserver::Stream;
use socketserver::Tcp;
use socketserver::handler::function;

under_each_dispatch! {
    fn what_follows_urgent_data_is_answered<D>() {
        let (entered, on_entry) = channel();
        let (go_on, wait) = channel::<()>();
        let handler = function(move |request: &mut Stream<std::net::TcpStream>| {
            let mut line = String::new();
            request.read_line(&mut line)?;
            if line == "wait\n" {
                entered.send(())?;
                wait.recv_timeout(PATIENCE)?;
            }
            request.write_all(line.as_bytes())?;
            Ok(Flow::Continue)
        });
        let server = Builder::<Tcp, D, _>::new(handler).start();
        let mut client = common::connect(server.local_addr());
        // All of it is there when the server looks.
        client.write_all(b"wait\n").unwrap();
        on_entry.recv_timeout(PATIENCE).unwrap();
        client.write_all(b"one\n").unwrap();
        socket2::SockRef::from(&client).send_out_of_band(b"!").unwrap();
        client.write_all(b"two\n").unwrap();
        go_on.send(()).unwrap();
        for line in ["wait", "one", "two"] {
            assert_eq!(common::read_line(&client), line);
        }
        // And from here on one by one.
        for line in ["three", "four"] {
            socket2::SockRef::from(&client).send_out_of_band(b"!").unwrap();
            assert_eq!(common::ask(&client, line), line);
        }
    }
}
