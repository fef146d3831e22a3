//! Every message is answered, whoever leads, steals or sleeps meanwhile.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;

use shuttle::thread;

use super::*;
use crate::request::mailbox::Mailbox;
use crate::request::wake::Wake;

fn serve(workers: usize) {
    let mut pool = Pool::new(workers);
    let first = pool.open(|_| Next::Wait);
    let asked = AtomicBool::new(false);
    let again = pool.open(move |_| if asked.fetch_not(Relaxed) { Next::Wait } else { Next::Again });
    let short = pool.open(|_| Next::Close);
    pool.start_with_monitor();
    let batch = thread::spawn(move || {
        again.send_unseen();
        short.send();
        short.receive_end();
        again.send();
        again.receive();
    });
    first.send();
    first.send();
    first.receive();
    first.send();
    first.receive();
    batch.join().unwrap();
    pool.end();
}

#[test]
fn model_every_message_is_answered() {
    check(|| serve(2));
}

#[test]
fn model_every_message_is_answered_by_three() {
    check(|| serve(3));
}

/// What is sent to a connection that waits is taken by a worker, without anything from its client.
#[test]
fn model_a_parked_connection_is_called() {
    check(|| {
        let mut pool = Pool::new(2);
        let mailbox = Arc::new(Mailbox::new(100));
        let (client, mut conversation) = {
            let mailbox = Arc::clone(&mailbox);
            pool.connect(move |board| {
                mailbox.take().unwrap_or_default().front().iter().for_each(|_| board.serve('m'));
                Next::Wait
            })
        };
        conversation.mailbox = Some(Arc::clone(&mailbox));
        let token = pool.park(conversation);
        // As after its first turn.
        assert!(mailbox.await_mail(|| Wake::Parked(pool.serve_loop.park.wake_queue(), token.raw())));
        pool.start();
        let sender = thread::spawn(move || (0..2).for_each(|_| mailbox.send(b"x").unwrap()));
        client.send();
        client.receive();
        sender.join().unwrap();
        pool.board.wait(|notes| notes.served.len() == 2);
        pool.end();
    });
}
