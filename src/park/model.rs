//! A model check of the table: every interleaving (of many thousands, chosen by shuttle) of events, parking, timers,
//! closing and stopping, and of messages that are sent to parked connections from elsewhere.
//!
//! Run with `RUSTFLAGS="--cfg socketserver_shuttle" cargo test --release --lib model`.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::SeqCst;

use shuttle::thread;

use super::table::Found;
use super::table::Parked;
use super::table::Parking;
use super::table::Table;
use super::token::Class;
use super::token::Expiry;
use super::token::Token;
use crate::request::mailbox::Mailbox;
use crate::request::wake::Wake;
use crate::sync::Condvar;
use crate::sync::Mutex;
use crate::sync::Notify;
use crate::sys::Interest;

const SCHEDULES: usize = 20_000;
const PARKING: Parking = Parking { since: 0, deadline: 10, class: Class::Idle, interest: Interest::Read };

/// A connection: whoever holds it checks that nobody else does, and takes in the messages that have arrived.
#[derive(Debug, PartialEq)]
struct Job(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    held: AtomicBool,
    arrived: AtomicUsize,
    handled: AtomicUsize,
    closed: AtomicBool,
}

impl PartialEq for Shared {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self, other)
    }
}

impl Shared {
    fn hold(&self) {
        assert!(!self.held.swap(true, SeqCst), "one connection on two workers");
        assert!(!self.closed.load(SeqCst), "a closed connection is run");
        self.handled.store(self.arrived.load(SeqCst), SeqCst);
        thread::yield_now();
        self.held.store(false, SeqCst);
    }
}

/// What a worker does with a job it was given: runs it, and parks it until there is no news.
fn run(table: &Table<Job>, token: Token, mut job: Job) {
    loop {
        job.0.hold();
        match table.park(token, job, PARKING, false) {
            Parked::Waits { .. } => return,
            Parked::News(news, _) | Parked::Unarmed(news) => job = news,
        }
    }
}

/// A message arrives: the poller reports it to a worker.
fn event(table: &Table<Job>, token: Token, shared: &Shared) {
    shared.arrived.fetch_add(1, SeqCst);
    if let Found::Job(job) = table.wake(token, false) {
        run(table, token, job);
    }
}

fn close(table: &Table<Job>, token: Token, job: Job) {
    job.0.hold();
    job.0.closed.store(true, SeqCst);
    table.remove(token);
}

fn parked() -> (Arc<Table<Job>>, Token, Arc<Shared>) {
    let (table, shared) = (Table::new(), Arc::new(Shared::default()));
    let token = table.insert();
    run(&table, token, Job(Arc::clone(&shared)));
    (Arc::new(table), token, shared)
}

fn check(model: impl Fn() + Send + Sync + 'static) {
    let model = Arc::new(model);
    let random = Arc::clone(&model);
    shuttle::check_random(move || random(), SCHEDULES);
    shuttle::check_pct(move || model(), SCHEDULES, 3);
}

#[test]
fn model_no_message_is_forgotten_and_no_connection_runs_twice() {
    check(|| {
        let (table, token, shared) = parked();
        let events: Vec<_> = (0..3)
            .map(|_| {
                let (table, shared) = (Arc::clone(&table), Arc::clone(&shared));
                thread::spawn(move || event(&table, token, &shared))
            })
            .collect();
        for event in events {
            event.join().unwrap();
        }
        assert_eq!(shared.handled.load(SeqCst), 3, "a message was forgotten");
    });
}

#[test]
fn model_a_timer_or_a_stop_closes_once_and_never_under_a_worker() {
    check(|| {
        let (table, token, shared) = parked();
        let events = {
            let (table, shared) = (Arc::clone(&table), Arc::clone(&shared));
            thread::spawn(move || (0..2).for_each(|_| event(&table, token, &shared)))
        };
        let timer = {
            let table = Arc::clone(&table);
            thread::spawn(move || {
                if let Expiry::Job(_, _, job) = table.expire(token, 10, 20) {
                    close(&table, token, job);
                }
            })
        };
        let stop = {
            let table = Arc::clone(&table);
            thread::spawn(move || {
                for token in table.parked() {
                    if let Some(job) = table.take_parked(token) {
                        close(&table, token, job);
                    }
                }
            })
        };
        for thread in [events, timer, stop] {
            thread.join().unwrap();
        }
        // Whoever did not close it left it parked with everything handled.
        if !shared.closed.load(SeqCst) {
            assert_eq!(shared.handled.load(SeqCst), 2, "a message was forgotten");
            assert!(table.take_parked(token).is_some(), "the connection is lost");
        }
    });
}

#[test]
fn model_an_event_of_a_former_tenant_never_runs_the_new_one() {
    check(|| {
        let (table, old, former) = parked();
        let late = {
            let (table, former) = (Arc::clone(&table), Arc::clone(&former));
            thread::spawn(move || {
                if let Found::Job(job) = table.wake(old, false) {
                    assert!(Arc::ptr_eq(&job.0, &former), "the new connection was taken by an event of the old one");
                    run(&table, old, job);
                }
            })
        };
        if let Some(job) = table.take_parked(old) {
            close(&table, old, job);
            let shared = Arc::new(Shared::default());
            let new = table.insert();
            run(&table, new, Job(Arc::clone(&shared)));
            late.join().unwrap();
            assert!(table.take_parked(new).is_some(), "the new connection is lost");
        } else {
            late.join().unwrap();
        }
    });
}

/// What a poller that is called does: it wakes the connections, here until it is told that no more calls will come.
#[derive(Default)]
struct Called {
    calls: Mutex<(Vec<Token>, bool)>,
    news: Condvar,
}

impl Notify for Called {
    fn notify(&self, token: u64) {
        self.calls.lock().0.push(Token::from_raw(token));
        self.news.notify_one();
    }
}

impl Called {
    fn next(&self) -> Option<Token> {
        let mut calls = self.calls.lock();
        loop {
            match (calls.0.pop(), calls.1) {
                (Some(token), _) => return Some(token),
                (None, true) => return None,
                (None, false) => calls = self.news.wait(calls),
            }
        }
    }

    fn end(&self) {
        self.calls.lock().1 = true;
        self.news.notify_one();
    }
}

/// A connection others can send to, and what has been sent on.
struct Addressed {
    table: Table<Job>,
    called: Arc<Called>,
    mailbox: Mailbox,
    sent: Mutex<Vec<u8>>,
}

impl Addressed {
    /// As [`run`]; the messages are taken where a turn begins, and the mailbox is looked at before the connection
    /// parks.
    fn run(&self, token: Token, mut job: Job) {
        loop {
            job.0.hold();
            self.sent.lock().extend_from_slice(self.mailbox.take().unwrap_or_default().front());
            if !self.mailbox.await_mail(|| Wake::Parked(Arc::clone(&self.called) as Arc<dyn Notify>, token.raw())) {
                continue;
            }
            match self.table.park(token, job, PARKING, false) {
                Parked::Waits { .. } => return,
                Parked::News(news, _) | Parked::Unarmed(news) => job = news,
            }
        }
    }

    fn wake(&self, token: Token) {
        if let Found::Job(job) = self.table.wake(token, false) {
            self.run(token, job);
        }
    }
}

#[test]
fn model_what_is_sent_to_a_connection_leaves_in_order_without_another_event() {
    check(|| {
        let connection = Arc::new(Addressed {
            table: Table::new(),
            called: Arc::default(),
            mailbox: Mailbox::new(1000),
            sent: Mutex::default(),
        });
        let token = connection.table.insert();
        let shared = Arc::new(Shared::default());
        connection.run(token, Job(Arc::clone(&shared)));
        let poller = {
            let connection = Arc::clone(&connection);
            thread::spawn(move || {
                while let Some(token) = connection.called.next() {
                    connection.wake(token);
                }
            })
        };
        let senders = [10, 20].map(|first| {
            let connection = Arc::clone(&connection);
            thread::spawn(move || (first..first + 3).for_each(|byte| connection.mailbox.send(&[byte, byte]).unwrap()))
        });
        let event = {
            let (connection, shared) = (Arc::clone(&connection), Arc::clone(&shared));
            thread::spawn(move || {
                shared.arrived.fetch_add(1, SeqCst);
                connection.wake(token);
            })
        };
        for thread in senders.into_iter().chain([event]) {
            thread.join().unwrap();
        }
        connection.called.end();
        poller.join().unwrap();
        assert_eq!(shared.handled.load(SeqCst), 1, "a message of the client was forgotten");
        assert!(connection.table.take_parked(token).is_some(), "the connection is lost");
        let sent = connection.sent.lock().clone();
        let of = |first| sent.iter().copied().filter(|byte| (first..first + 3).contains(byte)).collect::<Vec<u8>>();
        assert_eq!((of(10), of(20)), (vec![10, 10, 11, 11, 12, 12], vec![20, 20, 21, 21, 22, 22]));
        assert!(sent.chunks(2).all(|message| message[0] == message[1]), "a message was cut: {sent:?}");
    });
}
