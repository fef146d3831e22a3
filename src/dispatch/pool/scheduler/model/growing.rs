//! Handlers that wait for their peers, and tell: others are served meanwhile, by threads that are started for it and end
//! afterwards.
//!
//! Most have no monitor: what a thread tells is enough.

use super::*;

fn quick(name: char) -> impl Fn(&Call<'_>) -> Next + Send + Sync {
    move |call| {
        call.serve(name);
        Next::Wait
    }
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
