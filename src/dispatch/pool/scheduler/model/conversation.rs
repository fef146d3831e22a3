//! What a model's pool serves: conversations whose sockets are flags, and whose handlers follow a script.

use std::collections::VecDeque;
use std::io;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use shuttle::sync::Condvar;
use shuttle::sync::Mutex;
use shuttle::sync::atomic::AtomicBool;
use shuttle::sync::atomic::AtomicUsize;
use shuttle::sync::atomic::Ordering::SeqCst;

use crate::end::End;
use crate::engine::core::Core;
use crate::engine::drive::Drive;
use crate::engine::drive::Outcome;
use crate::engine::drive::Turn;
use crate::engine::source::Observe;
use crate::engine::source::Source;
use crate::engine::task::Task;
use crate::engine::worker::Worker;
use crate::error::RequestError;
use crate::event::Event;
use crate::limits::permit::Permit;
use crate::managed::Blocked;
use crate::park::Wait;
use crate::park::token::Class;
use crate::request::mailbox::Mailbox;
use crate::stop::StopHandle;
use crate::stop::StopState;
use crate::sys::Descriptor;
use crate::sys::Interest;
use crate::sys::flag::Flag;
use crate::sys::poller::Poller;

pub(super) const WAIT: Wait = Wait { class: Class::Idle, timeout: None, interest: Interest::Read };

/// What everybody in a model can see, write on and wait for.
#[derive(Debug, Default)]
pub(super) struct Board {
    notes: Mutex<Notes>,
    changed: Condvar,
}

#[derive(Debug, Default)]
pub(super) struct Notes {
    /// The names of those that have been served, in this order.
    pub(super) served: Vec<char>,
    /// How often slow work was put into its queue.
    pub(super) deferred: usize,
    /// How many conversations are in a call that counts itself.
    pub(super) inside: usize,
    /// Whoever waits for this may go on.
    pub(super) released: bool,
    /// How many waits the pool has ended.
    pub(super) evicted: usize,
}

impl Notes {
    pub(super) fn has_served(&self, names: &str) -> bool {
        names.chars().all(|name| self.served.contains(&name))
    }
}

impl Board {
    pub(super) fn note(&self, change: impl FnOnce(&mut Notes)) {
        change(&mut self.notes.lock().unwrap());
        self.changed.notify_all();
    }

    pub(super) fn wait(&self, until: impl Fn(&Notes) -> bool) {
        let mut notes = self.notes.lock().unwrap();
        while !until(&notes) {
            notes = self.changed.wait(notes).unwrap();
        }
    }

    pub(super) fn serve(&self, name: char) {
        self.note(|notes| notes.served.push(name));
    }

    /// Waits until all of these have been served.
    pub(super) fn wait_for(&self, names: &str) {
        self.wait(|notes| notes.has_served(names));
    }

    pub(super) fn has_served(&self, names: &str) -> bool {
        self.notes.lock().unwrap().has_served(names)
    }

    pub(super) fn evicted(&self) -> usize {
        self.notes.lock().unwrap().evicted
    }

    pub(super) fn served(&self) -> String {
        self.notes.lock().unwrap().served.iter().collect()
    }
}

/// What a handler wants.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Next {
    Again,
    Close,
    Wait,
}

type Script = Box<dyn Fn(&Call<'_>) -> Next + Send + Sync>;

/// What a script has: the board, and the connection that is served.
pub(super) struct Call<'a> {
    board: &'a Board,
    connection: &'a Connection,
}

impl Deref for Call<'_> {
    type Target = Board;

    fn deref(&self) -> &Board {
        self.board
    }
}

impl Call<'_> {
    /// False if the poller has told of nothing new, as it may.
    pub(super) fn has_message(&self) -> bool {
        self.connection.sent.load(SeqCst) > *self.connection.answered.lock().unwrap()
    }

    /// Waits as a handler does for its peer, and tells the pool; false if the pool has ended the wait.
    pub(super) fn wait_for_peer(&self, between_messages: bool, until: impl Fn(&Notes) -> bool) -> bool {
        let blocked = Blocked::begin(self.connection.flag.descriptor(), between_messages).expect("a pool's thread");
        // What has come goes before.
        self.board.wait(|notes| until(notes) || blocked.relief().is_raised() && blocked.is_evicted());
        let ready = until(&self.board.notes.lock().unwrap());
        if !ready {
            self.board.note(|notes| notes.evicted += 1);
        }
        ready
    }
}

/// The two ends of a connection.
struct Connection {
    flag: Flag,
    sent: AtomicUsize,
    /// How many messages have been taken in and answered.
    answered: Mutex<usize>,
    answer: Condvar,
    held: AtomicBool,
    closed: AtomicBool,
}

/// The end that sends.
pub(super) struct Client {
    connection: Arc<Connection>,
    poller: Arc<Poller>,
}

/// The end that is served.
pub(super) struct Conversation {
    connection: Arc<Connection>,
    script: Script,
    reporter: Reporter,
    pub(super) mailbox: Option<Arc<Mailbox>>,
    /// A connection; else a message.
    pub(super) parks: bool,
    permit: Option<Permit>,
}

pub(super) fn connect(poller: &Arc<Poller>, reporter: &Reporter, script: Script) -> (Client, Conversation) {
    let connection = Arc::new(Connection {
        flag: Flag::new().unwrap(),
        sent: AtomicUsize::new(0),
        answered: Mutex::new(0),
        answer: Condvar::new(),
        held: AtomicBool::new(false),
        closed: AtomicBool::new(false),
    });
    let client = Client { connection: Arc::clone(&connection), poller: Arc::clone(poller) };
    (client, Conversation { connection, script, reporter: reporter.clone(), mailbox: None, parks: true, permit: None })
}

impl Client {
    pub(super) fn send(&self) {
        self.send_unseen();
        self.poller.look();
    }

    /// As [`send`](Self::send), but the one who polls sees it together with what comes next.
    pub(super) fn send_unseen(&self) {
        self.connection.sent.fetch_add(1, SeqCst);
        self.connection.flag.raise();
    }

    /// Waits until everything that was sent has been answered.
    pub(super) fn receive(&self) {
        let sent = self.connection.sent.load(SeqCst);
        let mut answered = self.connection.answered.lock().unwrap();
        while *answered < sent {
            answered = self.connection.answer.wait(answered).unwrap();
        }
    }

    /// Waits until the server has closed the connection.
    pub(super) fn receive_end(&self) {
        let mut answered = self.connection.answered.lock().unwrap();
        while !self.connection.closed.load(SeqCst) {
            answered = self.connection.answer.wait(answered).unwrap();
        }
    }
}

impl Conversation {
    /// Its socket gets something, which nobody has sent.
    pub(super) fn receive_more(&self) {
        self.connection.flag.raise();
    }
}

impl Drop for Conversation {
    fn drop(&mut self) {
        let connection = &self.connection;
        if !std::thread::panicking() {
            assert!(!connection.closed.swap(true, SeqCst), "closed twice");
            drop(connection.answered.lock());
            connection.answer.notify_all();
        }
    }
}

impl Task for Conversation {
    fn run(self) {
        unreachable!("a pool takes turns");
    }
}

impl Drive for Conversation {
    fn undelivered(&mut self, _: io::Error) {}

    type Source = Arc<Listener>;
    type Reporter = Reporter;

    fn turn(&mut self, _: &mut Worker) -> Turn {
        let connection = &self.connection;
        assert!(!connection.held.swap(true, SeqCst), "one connection on two workers");
        // As one who has read everything: what comes from here on is news.
        connection.flag.clear();
        let sent = connection.sent.load(SeqCst);
        let next = (self.script)(&Call { board: &self.reporter.0.board, connection });
        if next != Next::Again {
            *connection.answered.lock().unwrap() = sent;
            connection.answer.notify_all();
        }
        connection.held.store(false, SeqCst);
        match next {
            Next::Again => Turn::Again,
            Next::Close => Turn::Done,
            Next::Wait => Turn::Park(WAIT),
        }
    }

    fn descriptor(&self) -> Option<Descriptor<'_>> {
        Some(self.connection.flag.descriptor())
    }

    fn is_over(&self) -> bool {
        false
    }

    fn parks(&self) -> bool {
        self.parks
    }

    fn mailbox(&self) -> Option<&Mailbox> {
        self.mailbox.as_deref()
    }

    fn first_wait(&self) -> Option<Wait> {
        Some(WAIT)
    }

    fn cut(&mut self, _: End) {}

    fn set_hangup(&mut self) {
        unreachable!("flags do not hang up");
    }

    fn expire(&mut self, _: Class) {
        unreachable!("nothing has a deadline");
    }

    fn run_until_lingering(&mut self) -> Turn {
        unreachable!("a pool takes turns");
    }

    fn detach(self) {
        unreachable!("nothing is detached");
    }

    fn reject(self, error: RequestError) {
        panic!("could not be parked: {error}");
    }

    fn refuse(&mut self) {}

    fn run_as_child(self, _: impl FnOnce(Outcome)) {
        unreachable!("nothing forks");
    }

    fn settle(&mut self) -> Option<Wait> {
        unreachable!("nothing forks");
    }

    fn settle_here(&mut self) {
        unreachable!("nothing forks");
    }

    fn forget(&mut self) {
        unreachable!("nothing forks");
    }

    fn leave_to_child(&mut self) {
        unreachable!("nothing forks");
    }

    fn ended_elsewhere(&mut self, _: End, _: Option<Outcome>) {
        unreachable!("nothing forks");
    }

    fn refuse_with(&mut self, _: &[u8]) {
        unreachable!("there is room for all");
    }

    fn reporter(&self) -> Reporter {
        self.reporter.clone()
    }
}

/// Where clients that have not been accepted wait.
pub(super) struct Listener {
    flag: Flag,
    backlog: Mutex<VecDeque<Conversation>>,
    reporter: Reporter,
}

impl Listener {
    pub(super) fn new(reporter: &Reporter) -> Self {
        Self { flag: Flag::new().unwrap(), backlog: Mutex::default(), reporter: reporter.clone() }
    }

    /// The one who polls sees it at its next look.
    pub(super) fn push(&self, conversation: Conversation) {
        let mut backlog = self.backlog.lock().unwrap();
        backlog.push_back(conversation);
        self.flag.raise();
    }
}

impl Source for Arc<Listener> {
    type Task = Conversation;

    fn accept(&mut self, permit: Permit, _: Instant) -> io::Result<Box<Conversation>> {
        let mut backlog = self.backlog.lock().unwrap();
        let accepted = backlog.pop_front();
        if backlog.is_empty() {
            self.flag.clear();
        }
        let mut conversation = accepted.ok_or(io::ErrorKind::WouldBlock)?;
        conversation.permit = Some(permit);
        Ok(Box::new(conversation))
    }

    fn has_buffered(&self) -> bool {
        false
    }

    fn descriptors<'a>(&'a self, show: &mut dyn FnMut(Descriptor<'a>)) {
        show(self.flag.descriptor());
    }

    fn address(&self) -> String {
        "model".to_owned()
    }

    fn addresses(&self) -> Vec<String> {
        vec![self.address()]
    }

    fn reporter(&self) -> Reporter {
        self.reporter.clone()
    }

    fn hand_over(&mut self) {
        unreachable!("it lives on nowhere");
    }

    fn answers_itself(&self) -> bool {
        unreachable!("nothing forks");
    }
}

/// Writes on the board what happens.
#[derive(Clone)]
pub(super) struct Reporter(Arc<Reported>);

struct Reported {
    core: Core,
    board: Arc<Board>,
}

impl Reporter {
    pub(super) fn new(board: &Arc<Board>) -> Self {
        let stop = StopHandle { state: Arc::new(StopState::new(Duration::ZERO).unwrap()) };
        Self(Arc::new(Reported {
            core: Core::new(crate::options::ServerOptions::default(), 100, stop).unwrap(),
            board: Arc::clone(board),
        }))
    }
}

impl Observe for Reporter {
    fn error(&self, error: RequestError) {
        panic!("{error}");
    }

    /// Takes its time.
    fn observe(&self, _: &Event<'_>) {
        self.0.board.note(|_| {});
    }

    fn deferred(&self) {
        self.0.board.note(|notes| notes.deferred += 1);
    }

    fn relieved(&self) {
        self.0.board.note(|_| {});
    }

    fn service_actions(&self) {}

    fn core(&self) -> &Core {
        &self.0.core
    }
}
