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
