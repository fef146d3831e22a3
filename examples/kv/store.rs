//! The keys and their values: several maps, each behind its own lock, and the times at which keys expire.

use std::collections::BTreeSet;
use std::hash::BuildHasher;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use hashbrown::DefaultHashBuilder;
use hashbrown::HashMap;
use hashbrown::hash_map::EntryRef;
use parking_lot::Mutex;
use parking_lot::MutexGuard;

/// More than there are workers, so that two of them seldom meet.
const SHARDS: usize = 16;

/// A shard removes at most this many expired keys at a time.
const SWEPT_AT_ONCE: usize = 1000;

/// Milliseconds between two sweeps.
const SWEEP_EVERY: u64 = 100;

/// All keys.
pub struct Store {
    shards: [Mutex<Shard>; SHARDS],
    hasher: DefaultHashBuilder,
    next_sweep: AtomicU64,
}

/// The keys of one lock.
#[derive(Default)]
pub struct Shard {
    entries: HashMap<Box<[u8]>, Entry>,
    /// The keys that expire, the next first.
    expiring: BTreeSet<(u64, Box<[u8]>)>,
}

struct Entry {
    value: Vec<u8>,
    expires: Option<u64>,
}

impl Entry {
    fn lives(&self) -> bool {
        self.expires.is_none_or(|at| at > now())
    }
}

/// What becomes of the time at which a key expires when it is set.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Expiry {
    At(u64),
    Keep,
    Never,
}

impl Store {
    pub fn new() -> Self {
        Self {
            shards: std::array::from_fn(|_| Mutex::default()),
            hasher: DefaultHashBuilder::default(),
            next_sweep: AtomicU64::new(0),
        }
    }

    /// The shard of a key, locked.
    pub fn shard(&self, key: &[u8]) -> MutexGuard<'_, Shard> {
        self.shards[self.index(key)].lock()
    }

    /// All shards, locked in their order: for commands on several keys, which no client may see half done.
    pub fn all(&self) -> Shards<'_> {
        Shards { store: self, guards: self.shards.each_ref().map(Mutex::lock) }
    }

    fn index(&self, key: &[u8]) -> usize {
        // The map in the shard uses the low bits and the highest of a hash of its own.
        (self.hasher.hash_one(key) >> 32) as usize % SHARDS
    }

    /// Removes keys whose time has come, if it is time to look for them again.
    pub fn sweep(&self) {
        let now = now();
        let next = self.next_sweep.load(Ordering::Relaxed);
        let mine = || self.next_sweep.compare_exchange(next, now + SWEEP_EVERY, Ordering::Relaxed, Ordering::Relaxed);
        if now < next || mine().is_err() {
            return;
        }
        for shard in &self.shards {
            let mut shard = shard.lock();
            for _ in 0..SWEPT_AT_ONCE {
                match shard.expiring.first() {
                    Some((at, _)) if *at <= now => {}
                    _ => break,
                }
                if let Some((_, key)) = shard.expiring.pop_first() {
                    shard.entries.remove(&key);
                }
            }
        }
    }
}

/// All shards, locked.
pub struct Shards<'a> {
    store: &'a Store,
    guards: [MutexGuard<'a, Shard>; SHARDS],
}

impl Shards<'_> {
    pub fn of(&mut self, key: &[u8]) -> &mut Shard {
        &mut self.guards[self.store.index(key)]
    }

    pub fn clear(&mut self) {
        for shard in &mut self.guards {
            **shard = Shard::default();
        }
    }

    /// How many keys there are, and how many of them expire.
    pub fn count(&self) -> (usize, usize) {
        let keys = self.guards.iter().map(|shard| shard.entries.len()).sum();
        (keys, self.guards.iter().map(|shard| shard.expiring.len()).sum())
    }
}

impl Shard {
    /// The value of a key, unless its time is over.
    pub fn get(&self, key: &[u8]) -> Option<&[u8]> {
        self.entries.get(key).filter(|entry| entry.lives()).map(|entry| &entry.value[..])
    }

    /// As [`get`](Self::get), to change it.
    pub fn get_mut(&mut self, key: &[u8]) -> Option<&mut Vec<u8>> {
        self.entries.get_mut(key).filter(|entry| entry.lives()).map(|entry| &mut entry.value)
    }

    /// Sets the value of a key, which may be new.
    pub fn set(&mut self, key: &[u8], value: &[u8], expiry: Expiry) {
        let before = match self.entries.entry_ref(key) {
            EntryRef::Occupied(mut entry) => {
                let entry = entry.get_mut();
                // The memory of the old value is good for the new one, unless that would waste most of it.
                if entry.value.capacity() / 4 > value.len() + 64 {
                    entry.value = value.to_vec();
                } else {
                    entry.value.clear();
                    entry.value.extend_from_slice(value);
                }
                entry.expires
            }
            EntryRef::Vacant(entry) => {
                entry.insert(Entry { value: value.to_vec(), expires: None });
                None
            }
        };
        match expiry {
            Expiry::Keep if before.is_none_or(|at| at > now()) => {}
            Expiry::Never if before.is_none() => {}
            Expiry::Keep | Expiry::Never => self.expire(key, None),
            Expiry::At(at) => self.expire(key, Some(at)),
        }
    }

    /// Removes a key; false if it was not there.
    pub fn remove(&mut self, key: &[u8]) -> bool {
        let Some((key, entry)) = self.entries.remove_entry(key) else { return false };
        let Some(at) = entry.expires else { return true };
        self.expiring.remove(&(at, key));
        at > now()
    }

    /// When a key that is there expires.
    pub fn expires(&self, key: &[u8]) -> Option<u64> {
        self.entries.get(key).filter(|entry| entry.lives()).and_then(|entry| entry.expires)
    }

    /// Sets or takes away the time at which a key that is there expires.
    pub fn expire(&mut self, key: &[u8], at: Option<u64>) {
        let Some(entry) = self.entries.get_mut(key) else { return };
        let before = std::mem::replace(&mut entry.expires, at);
        if let Some(before) = before {
            self.expiring.remove(&(before, key.into()));
        }
        if let Some(at) = at {
            self.expiring.insert((at, key.into()));
        }
    }
}

/// Milliseconds since 1970.
pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}
