//! Every worker ends, whatever it is doing, and so does the monitor.

use super::*;

/// One in a handler, one that polls, one that sleeps, and work from outside that may be too late.
#[test]
fn model_everybody_ends() {
    check(|| {
        let mut pool = Pool::new(3);
        let client = pool.open(|board| {
            board.serve('a');
            board.wait(|notes| notes.released);
            Next::Wait
        });
        pool.start_with_monitor();
        client.send();
        pool.board.wait_for("a");
        let (_, conversation) = pool.connect(|_| Next::Close);
        pool.scheduler.inject(Work::New(Box::new(conversation)));
        pool.scheduler.end_all();
        pool.board.note(|notes| notes.released = true);
        pool.end();
    });
}

#[test]
fn model_everybody_ends_who_has_just_begun() {
    check(|| {
        let mut pool = Pool::new(3);
        pool.start_with_monitor();
        pool.end();
    });
}

/// Slow work that is left when the end comes is given back by nobody but the drain.
#[test]
fn model_what_is_queued_at_the_end_is_found() {
    check(|| {
        let mut pool = Pool::new(2);
        let (client, conversation) = pool.connect(|_| Next::Close);
        pool.start_with_monitor();
        pool.scheduler.inject(Work::New(Box::new(conversation)));
        client.send();
        let scheduler = Arc::clone(&pool.scheduler);
        let park = Arc::clone(&pool.serve_loop.park);
        pool.end();
        // It waits for its message in one of these places, or it has been served and closed.
        let queued = scheduler.take_queued();
        let events = queued.iter().filter(|work| matches!(work, Work::Event { .. })).count();
        let parked = park.take_all().count();
        let elsewhere = queued.len() - events;
        assert!(parked + elsewhere <= 1, "{parked} parked, {elsewhere} queued");
        drop(queued);
        drop((scheduler, park));
        client.receive_end();
    });
}
