//! Lines: taken without waiting, bounded, and within their time whatever they are read through.

#[macro_use]
mod common;

use std::io::BufRead;
use std::io::BufReader;
use std::io::ErrorKind;
use std::io::Read;
use std::io::Write;
use std::net::Shutdown;
use std::net::TcpStream;
use std::time::Duration;
use std::time::Instant;

use common::PATIENCE;
use common::Start;
use common::ask;
use common::connect;
use common::drip;
use common::eventually;
use common::read_line;
use common::read_rest;
use socketserver::Builder;
use socketserver::End;
use socketserver::Flow;
use socketserver::HandlerResult;
use socketserver::Stream;
use socketserver::Tcp;
use socketserver::handler::function;

type Connection = Stream<TcpStream>;

/// The first program of the README.
fn upper(request: &mut Connection) -> HandlerResult {
    let Some(line) = request.line()? else { return Ok(Flow::Continue) };
    request.write_all(line.to_uppercase().as_bytes())?;
    Ok(Flow::Continue)
}

under_each_dispatch! {
    fn a_line_is_taken_when_all_of_it_has_come<D>() {
        let server = Builder::<Tcp, D, _>::new(function(upper)).start();
        let mut client = connect(server.local_addr());
        client.set_nodelay(true).unwrap();
        for piece in ["on", "e\ntwo\nth", "", "r", "ee\n"] {
            client.write_all(piece.as_bytes()).unwrap();
        }
        assert_eq!([read_line(&client), read_line(&client), read_line(&client)], ["ONE", "TWO", "THREE"]);
        // The rest counts as a line, once.
        client.write_all(b"rest").unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        assert_eq!(read_rest(&client), b"REST");
        assert_eq!(server.seen.wait_for_ends(1), [End::PeerClosed]);
    }

    fn half_a_line_holds_no_thread<D>() but_fork("each has a child, of which there are 40") {
        let server = Builder::<Tcp, D, _>::new(function(upper)).start();
        let half: Vec<_> = (0..64)
            .map(|_| {
                let mut client = connect(server.local_addr());
                client.write_all(b"abc").unwrap();
                client
            })
            .collect();
        eventually("they are accepted", || server.stats().accepted == 64);
        assert_eq!(ask(connect(server.local_addr()), "new"), "NEW");
        // A machine that is busy may make a handler slow, and then there is a spare thread; not one for each of these.
        let stats = server.stats();
        assert!(stats.threads_waiting < 8 && stats.threads_spare < 32, "{stats:?}");
        for mut client in &half {
            client.write_all(b"def\n").unwrap();
            assert_eq!(read_line(client), "ABCDEF");
        }
    }

    fn a_line_that_is_too_long_is_an_error_that_names_the_option<D>() {
        let reads: [fn(&mut Connection) -> HandlerResult; 5] = [
            upper,
            |request| {
                let mut line = String::new();
                request.read_line(&mut line)?;
                request.write_all(line.to_uppercase().as_bytes())?;
                Ok(Flow::Continue)
            },
            |request| {
                let mut line = Vec::new();
                request.read_until(b'\n', &mut line)?;
                request.write_all(&line.to_ascii_uppercase())?;
                Ok(Flow::Continue)
            },
            |request| {
                let count = request.skip_until(b'\n')?;
                request.write_all(if count == 0 { b"" } else { b"ABCDEFG\n" })?;
                Ok(Flow::Continue)
            },
            |request| {
                let Some(line) = request.lines().next() else { return Ok(Flow::Close) };
                let line = line?;
                writeln!(request, "{}", line.to_uppercase())?;
                Ok(Flow::Continue)
            },
        ];
        for (number, read) in reads.into_iter().enumerate() {
            let server = Builder::<Tcp, D, _>::new(function(read)).max_line(8).start();
            let client = connect(server.local_addr());
            assert_eq!(ask(&client, "abcdefg"), "ABCDEFG", "read {number}");
            (&client).write_all(b"abcdefgh\n").unwrap();
            assert_eq!(server.seen.wait_for_ends(1), [End::Failed], "read {number}");
            let errors = server.seen.errors();
            assert!(errors[0].contains("max_line = 8 bytes"), "read {number}: {errors:?}");
            drop(client);
        }
    }

    fn without_a_bound_a_line_is_as_long_as_it_is<D>() {
        let server = Builder::<Tcp, D, _>::new(function(|request: &mut Connection| {
            let mut line = String::new();
            let length = request.read_line(&mut line)?;
            writeln!(request, "{length}")?;
            Ok(Flow::Continue)
        }))
        .max_line(None)
        .start();
        let client = connect(server.local_addr());
        assert_eq!(ask(&client, &"a".repeat(1_000_000)), "1000001");
    }

    fn a_line_that_drips_in_has_its_time_through_every_adaptor<D>() {
        let reads: [fn(&mut Connection) -> std::io::Result<usize>; 7] = [
            |request| request.read_line(&mut String::new()),
            |request| Read::by_ref(request).take(u64::MAX).read_line(&mut String::new()),
            |request| Read::by_ref(request).take(u64::MAX).read_until(b'\n', &mut Vec::new()),
            |request| BufReader::new(request).read_line(&mut String::new()),
            |request| request.lines().next().transpose().map(|line| line.map_or(0, |line| line.len())),
            |request| request.read_to_string(&mut String::new()),
            |request| request.skip_until(b'\n'),
        ];
        let timeout = Duration::from_millis(200);
        for (number, read) in reads.into_iter().enumerate() {
            let server = Builder::<Tcp, D, _>::new(function(move |request: &mut Connection| {
                let begun = Instant::now();
                let error = read(request).expect_err("the line never ends");
                assert_eq!(error.kind(), ErrorKind::TimedOut, "read {number}");
                assert!((timeout..PATIENCE).contains(&begun.elapsed()), "read {number}: {:?}", begun.elapsed());
                Err(error.into())
            }))
            .read_timeout(timeout)
            // More than drips in.
            .min_rate(1_000)
            .start();
            let client = connect(server.local_addr());
            drip(&client);
            assert_eq!(server.seen.wait_for_ends(1), [End::TimedOut], "read {number}");
        }
    }

    fn an_upload_that_takes_longer_than_a_read_may_is_no_drip<D>() {
        let timeout = Duration::from_millis(200);
        let server = Builder::<Tcp, D, _>::new(function(|request: &mut Connection| {
            let count = std::io::copy(&mut Read::by_ref(request).take(6_000), &mut std::io::sink())?;
            writeln!(request, "{count}")?;
            Ok(Flow::Close)
        }))
        .read_timeout(timeout)
        // A thousand bytes earn a second.
        .min_rate(1_000)
        .start();
        let mut client = connect(server.local_addr());
        for _ in 0..6 {
            client.write_all(&[0; 1_000]).unwrap();
            // What is tested here is an upload that takes its time.
            std::thread::sleep(timeout / 2);
        }
        assert_eq!(read_line(&client), "6000");
    }
}
