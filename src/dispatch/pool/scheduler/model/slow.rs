//! The queue of slow work: in order, on some of the workers only, and never forgotten.

use shuttle::thread;

use super::*;

/// Three that block, and two workers for them.
fn leave_workers_to_others(mut pool: Pool) {
    let slow = ['a', 'b', 'c'].map(|name| {
        pool.open_slow(move |board| {
            board.note(|notes| {
                notes.inside += 1;
                assert!(notes.inside <= 2, "slow work on more workers than it may have");
            });
            board.wait_for("q");
            board.note(|notes| notes.inside -= 1);
            board.serve(name);
            Next::Wait
        })
    });
    let quick = pool.open(|board| {
        board.serve('q');
        Next::Wait
    });
    pool.start_with_monitor();
    let sender = thread::spawn(move || {
        slow.iter().for_each(Client::send);
        slow.iter().for_each(Client::receive);
    });
    quick.send();
    quick.receive();
    sender.join().unwrap();
    assert_eq!(pool.scheduler.slow.waiting(), 0);
    pool.end();
}

#[test]
fn model_slow_work_leaves_a_worker_to_the_others() {
    check(|| leave_workers_to_others(Pool::new(3)));
}

#[test]
fn model_slow_work_leaves_two_workers_to_the_others() {
    check(|| leave_workers_to_others(Pool::on_cpus(2, 4)));
}

/// One place for slow work, and three that come one after the other.
#[test]
fn model_slow_work_keeps_its_order() {
    check(|| {
        let mut pool = Pool::new(2);
        let slow = ['a', 'b', 'c'].map(|name| {
            pool.open_slow(move |board| {
                board.wait(|notes| notes.deferred == 3);
                board.serve(name);
                Next::Wait
            })
        });
        pool.start();
        for (index, client) in slow.iter().enumerate() {
            client.send();
            pool.board.wait(|notes| notes.deferred == index + 1);
        }
        slow.iter().for_each(Client::receive);
        assert_eq!(pool.board.served(), "abc");
        pool.end();
    });
}

/// Connections that become slow, and quick again, while workers come and go.
#[test]
fn model_nobody_is_forgotten_on_the_way_between_quick_and_slow() {
    check(|| {
        let mut pool = Pool::new(3);
        let waits = pool.open(|board| {
            board.wait_for("b");
            board.serve('a');
            Next::Wait
        });
        let slow = pool.open_slow(|board| {
            board.serve('s');
            Next::Wait
        });
        let quick = pool.open(|board| {
            board.serve('b');
            Next::Wait
        });
        pool.start_with_monitor();
        let senders = [waits, slow].map(|client| {
            thread::spawn(move || {
                client.send();
                client.send();
                client.receive();
                client.send();
                client.receive();
            })
        });
        quick.send();
        quick.receive();
        for sender in senders {
            sender.join().unwrap();
        }
        pool.end();
    });
}

/// The one on duty blocks, and the other has slow work to do: it does not begin more of it while nobody is on duty.
#[test]
fn model_slow_work_does_not_begin_while_nobody_is_on_duty() {
    check(|| {
        let mut pool = Pool::new(2);
        let (blocks, conversation) = pool.connect(|board| {
            board.wait_for("q");
            Next::Wait
        });
        let token = pool.park(conversation);
        let first = {
            // The parking place holds the conversation with its script: not the other way round, too.
            let park = Arc::downgrade(&pool.serve_loop.park);
            pool.open_slow(move |_| {
                // Until the monitor has seen that the other blocks.
                while park.upgrade().is_some_and(|park| !park.is_slow(token)) {
                    thread::yield_now();
                }
                Next::Wait
            })
        };
        let second = pool.open_slow(|board| {
            board.wait_for("q");
            Next::Wait
        });
        let quick = pool.open(|board| {
            board.serve('q');
            Next::Wait
        });
        pool.start_with_monitor();
        for (index, slow) in [&first, &second].into_iter().enumerate() {
            slow.send();
            pool.board.wait(|notes| notes.deferred == index + 1);
        }
        blocks.send();
        while !pool.serve_loop.park.is_slow(token) {
            thread::yield_now();
        }
        quick.send();
        for client in [&quick, &first, &second, &blocks] {
            client.receive();
        }
        pool.end();
    });
}
