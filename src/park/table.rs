//! The table of parked connections, and the state machine that keeps each on one worker at a time.
//!
//! ```text
//!            insert                    event, expire, drain
//! Vacant ------------> Parked(job) --------------------------> Running { news: false }
//!    ^                   ^   |                                   |      | event
//!    |                   |   +-- (a second event: ignored, the   |      v
//!    |                   |        job is not here any more)      |   Running { news: true }
//!    |                   +---------- park, without news ---------+      |
//!    |                                (with news: run again) <----------+
//!    +----------------------------- remove ----------------------+
//! ```
//!
//! A slot's generation is in its token: an event for a connection that has gone, or whose slot has a new tenant, finds
//! nothing.

use super::token::Class;
use super::token::Expiry;
use super::token::Token;
use crate::segments::Segments;
use crate::sync::Mutex;
use crate::sync::atomic::AtomicUsize;
use crate::sync::atomic::Ordering;
use crate::sys::Interest;

/// Where a parked connection stands, beside its job.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Parking {
    /// Since when and until when, in milliseconds on the timers' clock.
    pub(crate) since: u64,
    pub(crate) deadline: u64,
    pub(crate) class: Class,
    pub(crate) interest: Interest,
}

#[derive(Debug)]
enum State<J> {
    Vacant,
    Parked(J),
    Running { news: bool, hangup: bool },
}

#[derive(Debug)]
struct Slot<J> {
    state: State<J>,
    generation: u32,
    /// The time of this slot's entry in the wheel; `u64::MAX` if it has none. Entries with another time are stale. It
    /// stays there for the next tenant, so that connections that come and go leave no entries behind.
    entry: u64,
    slow: bool,
    /// The poller watches for nothing: its handler waits for it by itself.
    disarmed: bool,
    parking: Parking,
}

/// What an event, a timer or the drain found.
#[derive(Debug)]
pub(crate) enum Found<J> {
    /// The job; the slot is now running.
    Job(J),
    /// It runs, and has been told that there is news.
    Told,
    /// The place is empty.
    Gone,
}

/// What became of a job that wanted to park.
#[derive(Debug)]
pub(crate) enum Parked<J> {
    /// It waits; a timer has to be queued if `queue_timer`.
    Waits { queue_timer: bool },
    /// The poller watches for something else: tell it first, then park with `rearmed`.
    Unarmed(J),
    /// There was news meanwhile: run it again; the flag says whether the peer may have closed.
    News(J, bool),
}

/// The slots never move, so that workers look them up without a common lock.
#[derive(Debug)]
pub(crate) struct Table<J> {
    slots: Segments<Mutex<Slot<J>>>,
    free: Mutex<Vec<u32>>,
    /// How many slots have ever been used.
    used: AtomicUsize,
}

impl<J> Table<J> {
    pub(crate) fn new() -> Self {
        Self { slots: Segments::new(), free: Mutex::new(Vec::new()), used: AtomicUsize::new(0) }
    }

    /// A slot for a connection that is running already.
    pub(crate) fn insert(&self) -> Token {
        let recycled = self.free.lock().pop();
        let index = recycled.map_or_else(|| self.used.fetch_add(1, Ordering::Relaxed), |index| index as usize);
        let mut slot = self.slot(index).lock();
        slot.state = State::Running { news: false, hangup: false };
        slot.slow = false;
        slot.disarmed = false;
        slot.parking = Parking { since: 0, deadline: u64::MAX, class: Class::Idle, interest: Interest::Read };
        Token::new(index, slot.generation)
    }

    /// An event: takes the job out to run it, or tells the one who runs it.
    pub(crate) fn wake(&self, token: Token, hangup: bool) -> Found<J> {
        let Some(mut slot) = self.tenant(token) else { return Found::Gone };
        match &mut slot.state {
            State::Vacant => Found::Gone,
            State::Running { news, hangup: ended } => {
                *news = true;
                *ended |= hangup;
                Found::Told
            }
            state @ State::Parked(_) => {
                let State::Parked(job) = std::mem::replace(state, State::Running { news: false, hangup: false }) else {
                    unreachable!("matched above");
                };
                Found::Job(job)
            }
        }
    }

    /// As [`wake`](Self::wake), but leaves a running one alone.
    pub(crate) fn take_parked(&self, token: Token) -> Option<J> {
        let mut slot = self.tenant(token)?;
        slot.take_parked()
    }

    /// As [`take_parked`](Self::take_parked), if it has been waiting for its next message since just then and is still
    /// `silent`.
    pub(crate) fn take_idle_since(&self, token: Token, since: u64, silent: impl FnOnce(&J) -> bool) -> Option<J> {
        let mut slot = self.tenant(token)?;
        let unchanged = slot.parking.class.is_sheddable() && slot.parking.since == since;
        let silent = unchanged && matches!(&slot.state, State::Parked(job) if silent(job));
        if silent { slot.take_parked() } else { None }
    }

    /// Puts a job back to wait, unless there was news while it ran.
    pub(crate) fn park(&self, token: Token, job: J, parking: Parking, rearmed: bool) -> Parked<J> {
        let mut guard = self.slot(token.index()).lock();
        let slot = &mut *guard;
        match &mut slot.state {
            State::Running { news: true, hangup } => {
                let ended = std::mem::take(hangup);
                slot.state = State::Running { news: false, hangup: false };
                Parked::News(job, ended)
            }
            _ if !rearmed && (slot.disarmed || slot.parking.interest != parking.interest) => Parked::Unarmed(job),
            state => {
                *state = State::Parked(job);
                slot.disarmed = false;
                slot.parking = parking;
                // An entry that comes too early looks again; only one that would come too late has to be replaced.
                let queue_timer = parking.deadline < slot.entry;
                if queue_timer {
                    slot.entry = parking.deadline;
                }
                Parked::Waits { queue_timer }
            }
        }
    }

    /// Frees the slot of a running connection; later events for it find nothing. True if it was slow.
    pub(crate) fn remove(&self, token: Token) -> bool {
        let was_slow = {
            let mut slot = self.slot(token.index()).lock();
            slot.state = State::Vacant;
            slot.generation = (slot.generation + 1) % u32::MAX;
            std::mem::take(&mut slot.slow)
        };
        self.free.lock().push(token.index() as u32);
        was_slow
    }

    /// The timer queued for the time `entry` has come to the slot of `token`, whatever is in it now.
    pub(crate) fn expire(&self, token: Token, entry: u64, now: u64) -> Expiry<J> {
        let mut slot = self.slot(token.index()).lock();
        if slot.entry != entry {
            return Expiry::Drop;
        }
        if matches!(slot.state, State::Parked(_)) && slot.parking.deadline > now {
            slot.entry = slot.parking.deadline;
            return if slot.entry == u64::MAX { Expiry::Drop } else { Expiry::Later(slot.entry) };
        }
        // One that is running queues a timer anew when it parks.
        slot.entry = u64::MAX;
        let (token, class) = (Token::new(token.index(), slot.generation), slot.parking.class);
        slot.take_parked().map_or(Expiry::Drop, |job| Expiry::Job(token, class, job))
    }

    /// The poller does not watch a running connection any more: parking arms it again.
    pub(crate) fn set_disarmed(&self, token: Token) {
        if let Some(mut slot) = self.tenant(token) {
            slot.disarmed = true;
        }
    }

    pub(crate) fn is_slow(&self, token: Token) -> bool {
        self.tenant(token).is_some_and(|slot| slot.slow)
    }

    /// Notes whether a connection is slow; what was noted before, or `slow` itself for one that is gone.
    pub(crate) fn set_slow(&self, token: Token, slow: bool) -> bool {
        match self.tenant(token) {
            Some(mut slot) if !matches!(slot.state, State::Vacant) => std::mem::replace(&mut slot.slow, slow),
            _ => slow,
        }
    }

    /// Up to `count` connections that have waited longest for a message, the longest first, with since when.
    pub(crate) fn longest_idle(&self, count: usize) -> Vec<(u64, Token)> {
        let used = self.used.load(Ordering::Relaxed);
        let mut idle: Vec<_> = (0..used)
            .filter_map(|index| {
                let slot = self.slot(index).lock();
                let idle = matches!(slot.state, State::Parked(_)) && slot.parking.class.is_sheddable();
                idle.then(|| (slot.parking.since, Token::new(index, slot.generation)))
            })
            .collect();
        idle.sort_unstable_by_key(|entry| entry.0);
        idle.truncate(count);
        idle
    }

    /// The tokens of all that were parked at some moment of the call.
    pub(crate) fn parked(&self) -> Vec<Token> {
        let used = self.used.load(Ordering::Relaxed);
        (0..used)
            .filter_map(|index| {
                let slot = self.slot(index).lock();
                matches!(slot.state, State::Parked(_)).then(|| Token::new(index, slot.generation))
            })
            .collect()
    }

    fn tenant(&self, token: Token) -> Option<impl std::ops::DerefMut<Target = Slot<J>> + '_> {
        let slot = self.slot(token.index()).lock();
        (slot.generation == token.generation()).then_some(slot)
    }

    fn slot(&self, index: usize) -> &Mutex<Slot<J>> {
        self.slots.get_or_make(index, |_| Mutex::new(Slot::vacant()))
    }
}

impl<J> Slot<J> {
    fn vacant() -> Self {
        Self {
            state: State::Vacant,
            generation: 0,
            entry: u64::MAX,
            slow: false,
            disarmed: false,
            parking: Parking { since: 0, deadline: u64::MAX, class: Class::Idle, interest: Interest::Read },
        }
    }

    fn take_parked(&mut self) -> Option<J> {
        if !matches!(self.state, State::Parked(_)) {
            return None;
        }
        match std::mem::replace(&mut self.state, State::Running { news: false, hangup: false }) {
            State::Parked(job) => Some(job),
            _ => None,
        }
    }
}

#[cfg(all(test, not(socketserver_shuttle)))]
mod tests {
    use super::*;

    const PARKING: Parking = Parking { since: 0, deadline: 100, class: Class::Idle, interest: Interest::Read };

    #[test]
    fn an_event_for_a_former_tenant_finds_nothing() {
        let table = Table::new();
        let old = table.insert();
        assert!(matches!(table.park(old, "old", PARKING, false), Parked::Waits { queue_timer: true }));
        assert!(matches!(table.wake(old, false), Found::Job("old")));
        table.remove(old);
        let new = table.insert();
        assert_eq!(new.index(), old.index());
        assert!(matches!(table.wake(old, false), Found::Gone));
        assert!(matches!(table.park(new, "new", PARKING, false), Parked::Waits { .. }));
        assert!(matches!(table.wake(old, false), Found::Gone));
        assert!(table.take_parked(old).is_none());
        assert!(matches!(table.wake(new, false), Found::Job("new")));
    }

    #[test]
    fn the_timer_of_a_slot_serves_its_next_tenant() {
        let table = Table::new();
        let old = table.insert();
        assert!(matches!(table.park(old, "old", PARKING, false), Parked::Waits { queue_timer: true }));
        assert!(matches!(table.wake(old, false), Found::Job("old")));
        table.remove(old);
        assert_eq!(table.expire(old, 90, 95), Expiry::Drop, "another's time");
        let new = table.insert();
        let later = Parking { deadline: 200, ..PARKING };
        assert!(matches!(table.park(new, "new", later, false), Parked::Waits { queue_timer: false }));
        assert_eq!(table.expire(old, 100, 100), Expiry::Later(200));
        assert_eq!(table.expire(old, 200, 200), Expiry::Job(new, Class::Idle, "new"));
        table.remove(new);
        let third = table.insert();
        assert!(matches!(table.park(third, "third", PARKING, false), Parked::Waits { queue_timer: true }));
        assert!(matches!(table.wake(third, false), Found::Job("third")));
        table.remove(third);
        assert_eq!(table.expire(third, 100, 100), Expiry::Drop, "nobody is there");
        let fourth = table.insert();
        assert!(matches!(table.park(fourth, "fourth", PARKING, false), Parked::Waits { queue_timer: true }));
    }

    #[test]
    fn generations_begin_anew_before_the_tokens_of_others() {
        let table = Table::<u8>::new();
        let token = table.insert();
        table.slot(token.index()).lock().generation = u32::MAX - 2;
        table.remove(token);
        for generation in [u32::MAX - 1, 0, 1] {
            let token = table.insert();
            assert_eq!(token.generation(), generation);
            assert!(token.raw() < Token::END);
            table.remove(token);
        }
    }

    #[test]
    fn news_while_running_makes_it_run_again() {
        let table = Table::new();
        let token = table.insert();
        assert!(matches!(table.wake(token, true), Found::Told));
        assert!(matches!(table.park(token, 1, PARKING, false), Parked::News(1, true)));
        assert!(matches!(table.park(token, 1, PARKING, false), Parked::Waits { .. }));
        assert!(matches!(table.wake(token, false), Found::Job(1)));
        assert!(matches!(table.wake(token, false), Found::Told));
        assert!(matches!(table.park(token, 1, PARKING, false), Parked::News(1, false)));
    }

    #[test]
    fn a_timer_waits_for_the_newest_deadline_and_fires_once() {
        let table = Table::new();
        let token = table.insert();
        assert!(matches!(table.park(token, 7, PARKING, false), Parked::Waits { queue_timer: true }));
        assert!(matches!(table.wake(token, false), Found::Job(7)));
        let later = Parking { deadline: 200, ..PARKING };
        assert!(matches!(table.park(token, 7, later, false), Parked::Waits { queue_timer: false }));
        assert_eq!(table.expire(token, 100, 100), Expiry::Later(200));
        assert_eq!(table.expire(token, 100, 250), Expiry::Drop, "replaced by the entry for 200");
        assert_eq!(table.expire(token, 200, 200), Expiry::Job(token, Class::Idle, 7));
        assert_eq!(table.expire(token, 200, 300), Expiry::Drop);
    }

    #[test]
    fn an_earlier_deadline_gets_a_timer_of_its_own() {
        let table = Table::new();
        let token = table.insert();
        assert!(matches!(table.park(token, 7, PARKING, false), Parked::Waits { queue_timer: true }));
        assert!(matches!(table.wake(token, false), Found::Job(7)));
        let sooner = Parking { since: 0, deadline: 20, class: Class::Linger, interest: Interest::Read };
        assert!(matches!(table.park(token, 7, sooner, false), Parked::Waits { queue_timer: true }));
        assert_eq!(table.expire(token, 20, 20), Expiry::Job(token, Class::Linger, 7));
        assert_eq!(table.expire(token, 100, 100), Expiry::Drop);
    }
}
