//! Handlers that wait for their peers, and tell: others are served meanwhile, by threads that are started for it and end
//! afterwards.
//!
//! Most have no monitor: what a thread tells is enough.

use super::*;

/// A handler that waits, and tells, until the clients of `others` have been served.
fn waits_until(others: &'static str, name: char) -> impl Fn(&Call<'_>) -> Next + Send + Sync {
    move |call| {
        assert!(call.wait_for_peer(false, |notes| notes.has_served(others)), "nothing is at its bound");
        call.serve(name);
        Next::Wait
    }
}

fn quick(name: char) -> impl Fn(&Call<'_>) -> Next + Send + Sync {
    move |call| {
        call.serve(name);
        Next::Wait
    }
}

#[test]
fn model_others_are_served_while_one_waits() {
    check(|| {
        let mut pool = Pool::growing(1, 2);
        let waits = pool.open(waits_until("b", 'a'));
        let other = pool.open(quick('b'));
        pool.start();
        waits.send();
        other.send();
        other.receive();
        waits.receive();
        // Its registration is armed again, whoever polls now.
        waits.send();
        waits.receive();
        pool.end();
    });
}

/// The others have come together with the one that makes the thread wait.
#[test]
fn model_the_ring_of_one_that_waits_is_served() {
    check(|| {
        let mut pool = Pool::growing(1, 2);
        let waits = pool.open(waits_until("bc", 'a'));
        let others = ['b', 'c'].map(|name| pool.open(quick(name)));
        pool.start();
        waits.send_unseen();
        others[0].send_unseen();
        others[1].send();
        others.iter().chain([&waits]).for_each(Client::receive);
        pool.end();
    });
}

#[test]
fn model_two_may_wait() {
    check(|| {
        let mut pool = Pool::growing(1, 3);
        let first = pool.open(waits_until("bc", 'a'));
        let second = pool.open(waits_until("c", 'b'));
        let other = pool.open(quick('c'));
        pool.start();
        let sender = thread::spawn(move || {
            second.send_unseen();
            first.send();
            first.receive();
            second.receive();
        });
        other.send();
        other.receive();
        sender.join().unwrap();
        pool.end();
    });
}

/// One waits and tells, the other only blocks, and the monitor finds it.
#[test]
fn model_one_may_wait_and_another_block() {
    check(|| {
        let mut pool = Pool::growing(1, 3);
        let first = pool.open(waits_until("c", 'a'));
        let second = pool.open(|call| {
            call.wait_for("c");
            call.serve('b');
            Next::Wait
        });
        let other = pool.open(quick('c'));
        pool.start_with_monitor();
        let sender = thread::spawn(move || {
            second.send_unseen();
            first.send();
            first.receive();
            second.receive();
        });
        other.send();
        other.receive();
        sender.join().unwrap();
        pool.end();
    });
}

/// Slow ones that wait lend their places; there is one, and no other thread may be started.
#[test]
fn model_slow_ones_that_wait_leave_their_place_to_others() {
    check(|| {
        let mut pool = Pool::growing(2, 2);
        let first = pool.open_slow(|call| {
            // It may have to give way.
            call.wait_for_peer(false, |notes| notes.has_served("bc"));
            Next::Wait
        });
        let second = pool.open_slow(quick('b'));
        let other = pool.open(quick('c'));
        pool.start_with_monitor();
        first.send();
        second.send();
        other.send();
        for client in [&other, &second, &first] {
            client.receive();
        }
        pool.end();
    });
}

/// What nobody needs any more ends: even a spare thread that polls, which leaves that to a worker.
#[test]
fn model_spare_threads_end() {
    check(|| {
        let mut pool = Pool::growing(1, 3);
        let waits = [("bc", 'a'), ("c", 'b')].map(|(others, name)| pool.open(waits_until(others, name)));
        let other = pool.open(quick('c'));
        pool.start();
        waits.iter().for_each(Client::send);
        other.send();
        other.receive();
        waits.iter().for_each(Client::receive);
        pool.wait_for_spares_to_end();
        assert_eq!(pool.scheduler.lanes.used(), 1, "a lane without a thread is looked at");
        // The worker polls.
        other.send();
        other.receive();
        pool.end();
    });
}

/// A thread is started again for a lane whose thread has just ended, or is about to.
#[test]
fn model_spare_threads_come_and_go() {
    check(|| {
        let mut pool = Pool::growing(1, 2);
        let waits = pool.open(|call| {
            if !call.has_message() {
                return Next::Wait;
            }
            let served = call.served().len();
            call.note(|notes| notes.inside += 1);
            assert!(call.wait_for_peer(false, |notes| notes.served.len() > served));
            Next::Wait
        });
        let other = pool.open(quick('b'));
        pool.start();
        for round in 1..4 {
            waits.send();
            pool.board.wait(|notes| notes.inside == round);
            other.send();
            waits.receive();
            other.receive();
        }
        pool.wait_for_spares_to_end();
        pool.end();
    });
}

/// Whatever the threads are at: waiting, being started, ending.
#[test]
fn model_a_growing_pool_ends() {
    check(|| {
        let mut pool = Pool::growing(1, 3);
        let waits = ['a', 'b'].map(|name| {
            pool.open(move |call| {
                call.serve(name);
                call.wait_for_peer(false, |notes| notes.released);
                Next::Wait
            })
        });
        let other = pool.open(quick('c'));
        pool.start_with_monitor();
        waits[0].send();
        pool.board.wait_for("a");
        waits[1].send();
        other.send();
        pool.scheduler.end_all();
        pool.board.note(|notes| notes.released = true);
        pool.end();
    });
}
