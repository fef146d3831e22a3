//! The acceptor on its way to the leader and back.

use shuttle::thread;

use super::*;

#[test]
fn model_who_is_accepted_is_served() {
    check(|| {
        let mut pool = Pool::new(2);
        pool.start();
        let clients = ['a', 'b'].map(|name| {
            let (client, conversation) = pool.connect(move |board| {
                board.serve(name);
                Next::Wait
            });
            let (listener, poller) = (Arc::clone(&pool.listener), Arc::clone(&pool.serve_loop.park.poller));
            thread::spawn(move || {
                listener.push(conversation);
                poller.look();
                client.send();
                client.receive();
            })
        });
        pool.hand_over();
        for client in clients {
            client.join().unwrap();
        }
        pool.end();
    });
}

#[test]
fn model_the_acceptor_comes_back() {
    check(|| {
        let mut pool = Pool::new(2);
        let client = pool.open(|_| Next::Wait);
        pool.start();
        pool.hand_over();
        client.send();
        pool.stop();
        pool.take_back();
        // The drain goes on.
        client.send();
        client.receive();
        pool.end();
    });
}

/// One worker, with which the acceptor may be, sits in a handler. What comes during the drain is served by another.
#[test]
fn model_a_leader_that_blocks_does_not_keep_the_acceptor() {
    check(|| {
        let mut pool = Pool::new(2);
        let blocked = pool.open(|board| {
            board.serve('a');
            board.wait_for("b");
            Next::Wait
        });
        let other = pool.open(|board| {
            board.serve('b');
            Next::Wait
        });
        pool.start_with_monitor();
        pool.hand_over();
        blocked.send();
        pool.board.wait_for("a");
        pool.stop();
        pool.take_back();
        other.send();
        other.receive();
        blocked.receive();
        pool.end();
    });
}

#[test]
fn model_the_acceptor_comes_back_while_everybody_blocks() {
    check(|| {
        let mut pool = Pool::new(1);
        let blocked = pool.open(|board| {
            board.serve('a');
            board.wait(|notes| notes.released);
            Next::Wait
        });
        pool.start_with_monitor();
        pool.hand_over();
        blocked.send();
        pool.board.wait_for("a");
        pool.stop();
        pool.take_back();
        pool.board.note(|notes| notes.released = true);
        blocked.receive();
        pool.end();
    });
}
