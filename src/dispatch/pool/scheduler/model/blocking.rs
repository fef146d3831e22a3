//! The promise: a handler that blocks keeps nobody waiting, neither in its worker's ring nor in the poller.

use shuttle::thread;

use super::*;

/// A handler that blocks until the clients of `others` have been served.
fn blocks_until(others: &'static str, name: char) -> impl Fn(&Call<'_>) -> Next + Send + Sync {
    move |board| {
        board.wait_for(others);
        board.serve(name);
        Next::Wait
    }
}

fn quick(name: char) -> impl Fn(&Call<'_>) -> Next + Send + Sync {
    blocks_until("", name)
}

#[test]
fn model_the_ring_of_a_worker_that_blocks_is_served() {
    check(|| {
        let mut pool = Pool::new(2);
        let blocks = pool.open(blocks_until("bc", 'a'));
        let others = ['b', 'c'].map(|name| pool.open(quick(name)));
        pool.start_with_monitor();
        blocks.send_unseen();
        others[0].send_unseen();
        others[1].send();
        for client in others.iter().chain([&blocks]) {
            client.receive();
        }
        pool.end();
    });
}

#[test]
fn model_the_poller_is_not_left_alone_by_a_worker_that_blocks() {
    check(|| {
        let mut pool = Pool::new(2);
        let blocks = pool.open(blocks_until("bc", 'a'));
        let others = ['b', 'c'].map(|name| pool.open(quick(name)));
        pool.start_with_monitor();
        let others = others.map(|client| {
            thread::spawn(move || {
                client.send();
                client.receive();
            })
        });
        blocks.send();
        for client in others {
            client.join().unwrap();
        }
        blocks.receive();
        // Slow now, or quick again: as before, as far as its client can see.
        blocks.send();
        blocks.receive();
        pool.end();
    });
}

#[test]
fn model_two_of_three_may_block() {
    check(|| {
        let mut pool = Pool::new(3);
        let first = pool.open(blocks_until("bc", 'a'));
        let second = pool.open(blocks_until("c", 'b'));
        let quick = pool.open(quick('c'));
        pool.start_with_monitor();
        let sender = thread::spawn(move || {
            second.send_unseen();
            first.send();
            first.receive();
            second.receive();
        });
        quick.send();
        quick.receive();
        sender.join().unwrap();
        pool.end();
    });
}

/// As a drain does it, which has no event for those that it takes out of the parking place.
#[test]
fn model_what_is_given_from_outside_is_served_beside_a_worker_that_blocks() {
    check(|| {
        let mut pool = Pool::new(2);
        let blocks = pool.open(blocks_until("b", 'a'));
        pool.start_with_monitor();
        blocks.send();
        let (other, conversation) = pool.connect(quick('b'));
        other.send_unseen();
        pool.scheduler.inject(Work::New(Box::new(conversation)));
        other.receive();
        blocks.receive();
        let mut given = 0;
        while given < 2 {
            for (token, job) in pool.serve_loop.park.take_all() {
                pool.scheduler.inject(Work::Again { token, job });
                given += 1;
            }
            // A worker may be about to park the other.
            thread::yield_now();
        }
        pool.board.wait(|notes| notes.served.len() == 2 + given);
        pool.end();
    });
}

/// Those of a datagram server, which its leader takes many at a time and never parks.
#[test]
fn model_messages_behind_one_whose_handler_blocks_are_handled() {
    check(|| {
        let mut pool = Pool::new(2);
        for (name, others) in [('a', "bc"), ('b', ""), ('c', "")] {
            let (_, mut message) = pool.connect(move |board| {
                board.wait_for(others);
                board.serve(name);
                Next::Close
            });
            message.parks = false;
            pool.listener.push(message);
        }
        pool.start_with_monitor();
        pool.hand_over();
        pool.board.wait_for("abc");
        pool.end();
    });
}

/// The call for the work from outside reaches a worker together with an event that makes it block.
#[test]
fn model_a_call_is_not_lost_with_a_worker_that_blocks_before_it_answers() {
    check(|| {
        let mut pool = Pool::new(2);
        let blocks = pool.open(blocks_until("b", 'a'));
        let (_, mut message) = pool.connect(|board| {
            board.serve('b');
            Next::Close
        });
        message.parks = false;
        pool.start_with_monitor();
        blocks.send_unseen();
        pool.scheduler.inject(Work::New(Box::new(message)));
        pool.serve_loop.park.poller.look();
        blocks.receive();
        pool.end();
    });
}

/// Of those that could take over the ring behind the first, the second blocks, too.
#[test]
fn model_the_ring_of_one_that_blocks_is_left_to_a_third() {
    check(|| {
        let mut pool = Pool::new(3);
        let first = pool.open(blocks_until("b", 'a'));
        let behind = pool.open(quick('b'));
        let second = pool.open(blocks_until("b", 'c'));
        pool.start_with_monitor();
        let sender = thread::spawn(move || {
            first.send_unseen();
            behind.send();
            behind.receive();
            first.receive();
        });
        second.send();
        second.receive();
        sender.join().unwrap();
        pool.end();
    });
}
