//! No more threads may be started, all wait, and there is work: some give way, and only then.

use super::*;
use crate::request::mailbox::Mailbox;
use crate::request::wake::Wake;

/// Waits for what never comes, and is closed when the wait has been ended.
fn gives_way(name: char) -> impl Fn(&Call<'_>) -> Next + Send + Sync {
    move |call| {
        call.serve(name);
        if call.wait_for_peer(false, |notes| notes.released) { Next::Wait } else { Next::Close }
    }
}

fn quick(name: char) -> impl Fn(&Call<'_>) -> Next + Send + Sync {
    move |call| {
        call.serve(name);
        Next::Wait
    }
}

/// One that waits gives way to another.
fn give_way(mut pool: Pool) {
    let waits = pool.open(gives_way('a'));
    let other = pool.open(quick('b'));
    pool.start_with_monitor();
    waits.send();
    pool.board.wait_for("a");
    other.send();
    other.receive();
    waits.receive_end();
    // As before.
    other.send();
    other.receive();
    pool.end();
}

#[test]
fn model_one_that_waits_gives_way_at_the_bound() {
    check(|| give_way(Pool::growing(1, 1)));
}

#[test]
fn model_one_that_waits_gives_way_where_no_thread_can_be_started() {
    check(|| {
        let pool = Pool::growing(1, 3);
        pool.scheduler.set_start(Some(Box::new(|_| Err(io::ErrorKind::OutOfMemory.into()))));
        give_way(pool);
    });
}

/// A thread that could not be started is started at the next look.
#[test]
fn model_a_thread_that_is_refused_once_is_asked_for_again() {
    check(|| {
        let mut pool = Pool::growing(1, 3);
        let (start, refused) = (pool.starter(), std::sync::atomic::AtomicBool::new(false));
        pool.scheduler.set_start(Some(Box::new(move |index| {
            if refused.swap(true, SeqCst) { start(index) } else { Err(io::ErrorKind::OutOfMemory.into()) }
        })));
        let waits = pool.open(|call| {
            call.wait_for_peer(false, |notes| notes.has_served("b"));
            call.serve('a');
            Next::Wait
        });
        let other = pool.open(quick('b'));
        pool.start_with_monitor();
        waits.send();
        other.send();
        other.receive();
        waits.receive();
        pool.wait_for_spares_to_end();
        pool.end();
    });
}

/// What comes when the monitor has long had nothing to do is seen, although no thread polls.
#[test]
fn model_what_comes_later_is_seen() {
    check(|| {
        let mut pool = Pool::growing(1, 1);
        let waits = pool.open(gives_way('a'));
        let other = pool.open(quick('b'));
        pool.start_with_monitor();
        waits.send();
        while pool.scheduler.reporter.core().threads.waiting.load(SeqCst) == 0 {
            thread::yield_now();
        }
        for _ in 0..50 {
            thread::yield_now();
        }
        other.send();
        other.receive();
        waits.receive_end();
        pool.end();
    });
}

/// What is sent to a parked connection from elsewhere is something to do, too, though the poller knows nothing of it.
#[test]
fn model_one_that_waits_gives_way_to_what_is_sent_from_elsewhere() {
    check(|| {
        let mut pool = Pool::growing(1, 1);
        let waits = pool.open(gives_way('a'));
        let mailbox = Arc::new(Mailbox::new(100));
        let (_client, mut conversation) = {
            let mailbox = Arc::clone(&mailbox);
            pool.connect(move |call| {
                drop(mailbox.take());
                call.serve('m');
                Next::Wait
            })
        };
        conversation.mailbox = Some(Arc::clone(&mailbox));
        let token = pool.park(conversation);
        assert!(mailbox.await_mail(|| Wake::Parked(pool.serve_loop.park.wake_queue(), token.raw())));
        pool.start_with_monitor();
        waits.send();
        pool.board.wait_for("a");
        mailbox.send(b"x").unwrap();
        waits.receive_end();
        pool.board.wait_for("m");
        pool.end();
    });
}

/// Nor does it keep the pool from accepting.
#[test]
fn model_one_that_waits_gives_way_to_the_acceptor() {
    check(|| {
        let mut pool = Pool::growing(1, 1);
        let waits = pool.open(gives_way('a'));
        pool.start_with_monitor();
        waits.send();
        pool.board.wait_for("a");
        let (other, conversation) = pool.connect(quick('b'));
        pool.listener.push(conversation);
        pool.hand_over();
        waits.receive_end();
        other.send();
        other.receive();
        pool.end();
    });
}

/// Several wait, and as many give way as have to.
#[test]
fn model_some_of_those_that_wait_give_way() {
    check(|| {
        let mut pool = Pool::growing(1, 2);
        let waits = ['a', 'b'].map(|name| pool.open(gives_way(name)));
        let others = ['c', 'd'].map(|name| pool.open(quick(name)));
        pool.start_with_monitor();
        waits.iter().for_each(Client::send);
        pool.board.wait_for("ab");
        others[0].send_unseen();
        others[1].send();
        others.iter().for_each(Client::receive);
        pool.board.note(|notes| notes.released = true);
        pool.end();
    });
}

/// One thread; its wait ends by itself while it is being ended.
#[test]
fn model_a_flag_that_comes_too_late_is_taken_back() {
    check(|| {
        let mut pool = Pool::growing(1, 1);
        let waits = pool.open(|call| {
            call.wait_for_peer(false, |notes| notes.has_served("x"));
            Next::Wait
        });
        let other = pool.open(quick('b'));
        pool.start_with_monitor();
        waits.send_unseen();
        other.send();
        pool.board.serve('x');
        other.receive();
        waits.receive();
        pool.end();
    });
}

/// The waits end by themselves while they are being ended.
#[test]
fn model_a_wait_that_ends_by_itself_leaves_nothing_behind() {
    check(|| {
        let mut pool = Pool::growing(1, 2);
        let waits = ['a', 'b'].map(|name| {
            pool.open(move |call| {
                for _ in 0..2 {
                    let served = call.served().len();
                    call.wait_for_peer(true, |notes| notes.served.len() > served || notes.released);
                    call.serve(name);
                }
                Next::Wait
            })
        });
        let other = pool.open(quick('c'));
        pool.start_with_monitor();
        waits.iter().for_each(Client::send);
        other.send();
        pool.board.note(|notes| notes.served.push('d'));
        other.receive();
        pool.board.note(|notes| notes.released = true);
        waits.iter().for_each(Client::receive);
        pool.end();
    });
}

/// The first wait of a call is over; what was meant for it does not end the second.
#[test]
fn model_no_later_wait_is_ended_in_the_place_of_another() {
    check(|| {
        let mut pool = Pool::growing(1, 2);
        let waits = ['a', 'b'].map(|name| {
            pool.open(move |call| {
                call.wait_for_peer(false, |notes| notes.has_served("x"));
                call.wait_for_peer(false, |notes| notes.has_served("y"));
                call.serve(name);
                Next::Wait
            })
        });
        let other = pool.open(quick('c'));
        pool.start_with_monitor();
        waits.iter().for_each(Client::send);
        other.send();
        pool.board.serve('x');
        other.receive();
        pool.board.serve('y');
        waits.iter().for_each(Client::receive);
        pool.end();
    });
}

/// Every thread waits, and there is nothing to do.
#[test]
fn model_no_wait_is_ended_for_nothing() {
    check(|| {
        let mut pool = Pool::growing(1, 2);
        let waits = ['a', 'b'].map(|name| pool.open(gives_way(name)));
        pool.start_with_monitor();
        waits.iter().for_each(Client::send);
        pool.board.wait_for("ab");
        for _ in 0..5 {
            thread::yield_now();
        }
        pool.board.note(|notes| notes.released = true);
        waits.iter().for_each(Client::receive);
        assert_eq!(pool.board.evicted(), 0, "their threads are not needed");
        pool.end();
    });
}
