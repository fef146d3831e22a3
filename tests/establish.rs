//! The second phase of a transport: under its deadline, where the handler runs, and parked afterwards as any other
//! connection.

#[macro_use]
mod common;

use std::io::Write;
use std::net::TcpStream;
use std::time::Duration;
use std::time::Instant;

use common::Knocking;
use common::PATIENCE;
use common::Running;
use common::Seen;
use common::Start;
use common::ask;
use common::connect;
use common::drip;
use common::echo::echo_line;
use common::eventually;
use common::read_line;
use common::read_rest;
use socketserver::AtLimit;
use socketserver::Builder;
use socketserver::End;
use socketserver::HandlerResult;
use socketserver::Refusal;
use socketserver::Stream;
use socketserver::handler::Function;
use socketserver::handler::function;

const SHORT: Duration = Duration::from_millis(150);
const LONG: Duration = Duration::from_secs(600);

type Connection = Stream<TcpStream>;

type EchoLine = Function<fn(&mut Connection) -> HandlerResult>;

fn builder<D: Default>() -> Builder<Knocking, D, EchoLine> {
    Builder::new(function(echo_line as fn(&mut Connection) -> HandlerResult)).establish_timeout(LONG).idle_timeout(LONG)
}

/// A client that does not knock in time is closed, told of and counted.
fn times_out(server: Running<Knocking>, what: &str, client: impl FnOnce(&TcpStream)) {
    let begun = Instant::now();
    client(&connect(server.local_addr()));
    assert!(begun.elapsed() >= SHORT, "after {:?}", begun.elapsed());
    assert!(server.seen.wait_for_stops(1, PATIENCE));
    let report = server.stop();
    assert_eq!(report.seen.errors(), [format!("establish: {what} took longer than {SHORT:?}")]);
    assert_eq!(report.seen.ended(End::TimedOut), 1);
    assert_eq!((report.accepted, report.failed), (1, 1), "{report}");
}

fn silent(mut client: &TcpStream) {
    assert_eq!(read_rest(&mut client), b"");
}

fn dripping(client: &TcpStream) {
    drip(client);
}

under_each_dispatch! {
    fn a_silent_client_is_not_waited_for<D>() {
        times_out(builder::<D>().establish_timeout(SHORT).start(), "establishing", silent);
    }

    fn bytes_that_drip_in_do_not_extend_the_handshake<D>() {
        times_out(builder::<D>().establish_timeout(SHORT).start(), "establishing", dripping);
    }

    fn the_time_for_the_whole_request_holds_in_the_handshake<D>() {
        times_out(builder::<D>().total_timeout(SHORT).start(), "the whole request", silent);
    }

    fn a_drain_ends_the_handshake_at_its_deadline<D>() {
        let server = builder::<D>().start();
        let mut client = connect(server.local_addr());
        client.write_all(b"kno").unwrap();
        eventually("it is accepted", || server.stats().accepted == 1);
        let begun = Instant::now();
        server.stop_handle().shutdown_within(SHORT);
        let report = server.join();
        println!("{:?} after the deadline", begun.elapsed().saturating_sub(SHORT));
        assert!((SHORT..SHORT + PATIENCE / 3).contains(&begun.elapsed()), "{:?}", begun.elapsed());
        assert_eq!(read_rest(client), b"");
        assert_eq!(report.seen.ended(End::Forced), 1);
        assert_eq!((report.accepted, report.forced, report.abandoned), (1, 1, 0), "{report}");
    }

    fn a_stop_does_not_wait_for_those_that_have_said_nothing<D>() {
        let server = builder::<D>().drain_timeout(LONG).start();
        let silent: Vec<_> = (0..20).map(|_| connect(server.local_addr())).collect();
        eventually("they are accepted", || server.stats().accepted == 20);
        let report = server.stop();
        silent.iter().for_each(|client| assert_eq!(read_rest(client), b""));
        assert_eq!(report.seen.ended(End::Drained), 20);
        assert_eq!((report.idle_closed, report.forced, report.failed), (20, 0, 0), "{report}");
    }

    fn a_hand_over_lets_those_that_have_said_nothing_speak<D>()
    but_fork("a child that is idle at the deadline of a hand over is counted with the busy ones") {
        let server = builder::<D>().drain_timeout(SHORT).start();
        let silent = connect(server.local_addr());
        eventually("it is accepted", || server.stats().accepted == 1);
        let stop = server.stop_handle();
        stop.hand_over();
        let report = server.join();
        assert_eq!(read_rest(&silent), b"");
        assert_eq!((report.idle_closed, report.forced, report.failed), (1, 0, 0), "{report}");

        let server = builder::<D>().drain_timeout(LONG).start();
        let mut client = connect(server.local_addr());
        eventually("it is accepted", || server.stats().accepted == 1);
        server.stop_handle().hand_over();
        client.write_all(b"knock\nhello\n").unwrap();
        assert_eq!(read_line(&client), "hello");
        let report = server.join();
        assert_eq!((report.forced, report.failed), (0, 0), "{report}");
    }

    fn who_was_let_in_is_parked_as_any_other<D>() {
        let server = builder::<D>().idle_timeout(SHORT).start();
        let mut first = connect(server.local_addr());
        first.write_all(b"knock\n").unwrap();
        let mut second = connect(server.local_addr());
        second.write_all(b"knock\n").unwrap();
        // Under one thread, too, the one that says nothing holds nobody up.
        assert_eq!(ask(&second, "hello"), "hello");
        assert_eq!((read_rest(&first), read_rest(&second)), (Vec::new(), Vec::new()));
        drop((first, second));
        assert!(server.seen.wait_for_stops(2, PATIENCE));
        let report = server.stop();
        assert_eq!(report.seen.ended(End::IdleTimeout), 2);
        assert_eq!((report.accepted, report.idle_closed), (2, 2), "{report}");
    }

    fn what_a_handshake_has_read_ahead_is_served_at_once<D>() {
        let server = builder::<D>().start();
        let mut client = connect(server.local_addr());
        client.write_all(b"knock\nhello\n").unwrap();
        assert_eq!(read_line(&client), "hello");
        assert_eq!(ask(&client, "again"), "again");
    }

    fn half_a_message_that_was_read_ahead_waits_for_the_rest<D>() {
        let server = builder::<D>().start();
        let mut client = connect(server.local_addr());
        client.write_all(b"knock\nhel").unwrap();
        eventually("it is accepted", || server.stats().accepted == 1);
        client.write_all(b"lo\n").unwrap();
        assert_eq!(read_line(&client), "hello");
    }

    fn who_is_not_let_in_is_refused<D>() {
        let server = builder::<D>().start();
        let mut thief = connect(server.local_addr());
        thief.write_all(b"thief\n").unwrap();
        assert_eq!(read_rest(&thief), b"");
        let mut client = connect(server.local_addr());
        client.write_all(b"knock\n").unwrap();
        assert_eq!(ask(&client, "hello"), "hello");
        let report = server.stop();
        assert_eq!(report.seen.errors(), Vec::<String>::new());
        assert_eq!(report.seen.ended(End::Refused), 1);
        assert!(report.seen.entries().contains(&Seen::Refused(Refusal::Untrusted)));
        assert_eq!((report.accepted, report.refused, report.failed), (2, 1, 0), "{report}");
    }

    fn one_that_goes_before_it_has_said_anything_is_no_error<D>() {
        let server = builder::<D>().start();
        drop(connect(server.local_addr()));
        assert_eq!(server.seen.wait_for_ends(1), [End::PeerClosed]);
        let report = server.stop();
        assert_eq!(report.seen.errors(), Vec::<String>::new());
        assert_eq!((report.accepted, report.finished, report.failed), (1, 1, 0), "{report}");
    }

    fn one_that_goes_in_the_middle_of_it_is_an_error<D>() {
        let server = builder::<D>().start();
        let mut client = connect(server.local_addr());
        client.write_all(b"kno").unwrap();
        drop(client);
        assert_eq!(server.seen.wait_for_ends(1), [End::Failed]);
        assert_eq!(server.stop().seen.errors(), ["establish: unexpected end of file"]);
    }

        fn silent_handshakes_hold_no_thread<D>() but_fork("each has a child, of which there are 40") {
        // More than a pool has workers.
        let server = builder::<D>().start();
        let silent: Vec<_> = (0..64).map(|_| connect(server.local_addr())).collect();
        eventually("they are accepted", || server.stats().accepted == 64);
        let mut client = connect(server.local_addr());
        client.write_all(b"knock\n").unwrap();
        assert_eq!(ask(&client, "hello"), "hello");
        assert_eq!(server.stats().active, 65);
        drop((client, silent));
        server.seen.wait_for_ends(65);
    }

    fn a_silent_handshake_makes_room_at_the_limit<D>() {
        let server = builder::<D>().max_connections(1).at_limit(AtLimit::ShedIdle).establish_timeout(SHORT).start();
        let silent = connect(server.local_addr());
        eventually("it is accepted", || server.stats().accepted == 1);
        let mut client = connect(server.local_addr());
        client.write_all(b"knock\n").unwrap();
        assert_eq!(ask(&client, "hello"), "hello");
        drop((client, silent));
        // Shed where it is parked; where a thread of its own waits for it, its time is over.
        let ends = server.seen.wait_for_ends(2);
        assert!(matches!(ends[0], End::Shed | End::TimedOut), "{ends:?}");
    }
}
