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
