//! Rings that refill themselves for ever keep nothing else from being served: neither the poller nor slow work.

use super::*;

/// Has more to do until the clients of `others` have been served.
fn goes_on_until(others: &'static str) -> impl Fn(&Call<'_>) -> Next + Send + Sync {
    move |call| {
        // Fair to the other threads, as a CPU is.
        thread::yield_now();
        if call.has_served(others) { Next::Wait } else { Next::Again }
    }
}

fn quick(name: char) -> impl Fn(&Call<'_>) -> Next + Send + Sync {
    move |call| {
        call.serve(name);
        Next::Wait
    }
}

#[test]
fn model_the_poller_is_looked_at_beside_a_ring_that_refills_itself() {
    check(|| {
        let mut pool = Pool::new(1);
        let goes_on = pool.open(goes_on_until("b"));
        let other = pool.open(quick('b'));
        pool.start();
        goes_on.send();
        other.send();
        other.receive();
        goes_on.receive();
        pool.end();
    });
}

#[test]
fn model_work_from_outside_is_run_beside_a_ring_that_refills_itself() {
    check(|| {
        let mut pool = Pool::new(1);
        let goes_on = pool.open(goes_on_until("b"));
        let (other, conversation) = pool.connect(quick('b'));
        pool.start();
        goes_on.send();
        other.send_unseen();
        pool.scheduler.inject(Work::New(Box::new(conversation)));
        other.receive();
        goes_on.receive();
        pool.end();
    });
}

/// As many connections that never stop as there are threads, or one more.
fn slow_work_is_run(mut pool: Pool, count: usize) {
    let go_on: Vec<_> = (0..count).map(|_| pool.open(goes_on_until("s"))).collect();
    let slow = pool.open_slow(quick('s'));
    pool.start_with_monitor();
    go_on.iter().for_each(Client::send);
    slow.send();
    slow.receive();
    go_on.iter().for_each(Client::receive);
    pool.end();
}

#[test]
fn model_slow_work_is_run_by_a_spare_thread_beside_quick_work_that_never_stops() {
    check(|| slow_work_is_run(Pool::growing(1, 2), 1));
}

#[test]
fn model_slow_work_is_run_by_a_worker_beside_quick_work_that_never_stops() {
    check(|| slow_work_is_run(Pool::growing(2, 2), 1));
}

#[test]
fn model_slow_work_is_run_although_every_thread_has_quick_work_that_never_stops() {
    check(|| slow_work_is_run(Pool::growing(2, 2), 3));
}

/// Slow work waits for its place, and that for the quick one.
#[test]
fn model_quick_work_is_served_beside_slow_work_that_waits() {
    check(|| {
        let mut pool = Pool::growing(1, 2);
        let slow = ['a', 'b'].map(|name| {
            pool.open_slow(move |call| {
                call.wait_for("q");
                call.serve(name);
                Next::Wait
            })
        });
        let quick = pool.open(quick('q'));
        pool.start_with_monitor();
        slow.iter().for_each(Client::send);
        quick.send();
        quick.receive();
        slow.iter().for_each(Client::receive);
        pool.wait_for_spares_to_end();
        pool.end();
    });
}
