//! Session tickets that every process with the same configuration can read.
//!
//! The keys follow from each other: each period has its own, which is derived from that of the period before, and cannot
//! be derived back. So processes that were forked at different times have the same keys at the same time without a word
//! between them, and a key that is stolen opens no ticket of an earlier period.

use std::fmt;
use std::time::Duration;
use std::time::Instant;

use parking_lot::Mutex;
use ring::aead;
use ring::aead::LessSafeKey;
use ring::aead::NONCE_LEN;
use ring::aead::UnboundKey;
use ring::hkdf;
use ring::rand::SecureRandom;
use ring::rand::SystemRandom;
use rustls::server::ProducesTickets;

/// How long a key seals tickets; for as long again it opens them.
const PERIOD: Duration = Duration::from_secs(6 * 60 * 60);

static ALGORITHM: &aead::Algorithm = &aead::CHACHA20_POLY1305;

const SECRET: usize = 32;
const NAME: usize = 16;

/// Seals and opens tickets: `name | nonce | sealed`.
pub(super) struct Tickets {
    /// The first period begins. On a clock that forked processes share.
    since: Instant,
    keys: Mutex<Keys>,
}

struct Keys {
    period: u64,
    /// What the secret of the next period follows from.
    secret: [u8; SECRET],
    current: Key,
    previous: Option<Key>,
}

struct Key {
    name: [u8; NAME],
    key: LessSafeKey,
}

impl Tickets {
    /// Tickets under random keys; `None` if the system has no random bytes.
    pub(super) fn new() -> Option<Self> {
        let mut secret = [0; SECRET];
        SystemRandom::new().fill(&mut secret).ok()?;
        let current = Key::of(&secret)?;
        let keys = Keys { period: 0, secret, current, previous: None };
        Some(Self { since: Instant::now(), keys: Mutex::new(keys) })
    }

    /// Goes on to the key of the present period, so that processes that are forked need not do it each for itself.
    pub(super) fn keep_up(&self) {
        self.with_keys(|_| ());
    }

    fn with_keys<T>(&self, work: impl FnOnce(&Keys) -> T) -> T {
        let period = self.since.elapsed().as_secs() / PERIOD.as_secs();
        let mut keys = self.keys.lock();
        keys.go_on_to(period);
        work(&keys)
    }
}

impl Keys {
    fn go_on_to(&mut self, period: u64) {
        while self.period < period {
            let Some(secret) = derive(&self.secret, b"next") else { return };
            let Some(key) = Key::of(&secret) else { return };
            self.secret = secret;
            self.previous = Some(std::mem::replace(&mut self.current, key));
            self.period += 1;
        }
    }
}

impl Key {
    fn of(secret: &[u8; SECRET]) -> Option<Self> {
        let key = UnboundKey::new(ALGORITHM, &derive::<SECRET>(secret, b"key")?).ok()?;
        Some(Self { name: derive(secret, b"name")?, key: LessSafeKey::new(key) })
    }
}

/// `LENGTH` bytes that follow from `secret`, for this use.
fn derive<const LENGTH: usize>(secret: &[u8; SECRET], usage: &[u8]) -> Option<[u8; LENGTH]> {
    struct Length(usize);

    impl hkdf::KeyType for Length {
        fn len(&self) -> usize {
            self.0
        }
    }

    let mut derived = [0; LENGTH];
    let info = [b"socketserver tickets ".as_slice(), usage];
    hkdf::Prk::new_less_safe(hkdf::HKDF_SHA256, secret).expand(&info, Length(LENGTH)).ok()?.fill(&mut derived).ok()?;
    Some(derived)
}

impl ProducesTickets for Tickets {
    fn enabled(&self) -> bool {
        true
    }

    fn lifetime(&self) -> u32 {
        // The last ticket under a key is opened for one period more.
        u32::try_from(PERIOD.as_secs()).unwrap_or(u32::MAX)
    }

    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        // At random: processes that have the same keys cannot count together.
        let mut nonce = [0; NONCE_LEN];
        SystemRandom::new().fill(&mut nonce).ok()?;
        self.with_keys(|Keys { current, .. }| {
            let mut ticket = Vec::with_capacity(NAME + NONCE_LEN + plain.len() + ALGORITHM.tag_len());
            ticket.extend_from_slice(&current.name);
            ticket.extend_from_slice(&nonce);
            ticket.extend_from_slice(plain);
            let nonce = aead::Nonce::assume_unique_for_key(nonce);
            let sealed = &mut ticket[NAME + NONCE_LEN..];
            let tag = current.key.seal_in_place_separate_tag(nonce, aead::Aad::from(current.name), sealed).ok()?;
            ticket.extend_from_slice(tag.as_ref());
            Some(ticket)
        })
    }

    fn decrypt(&self, ticket: &[u8]) -> Option<Vec<u8>> {
        let (name, rest) = ticket.split_first_chunk::<NAME>()?;
        let (nonce, sealed) = rest.split_first_chunk::<NONCE_LEN>()?;
        self.with_keys(|Keys { current, previous, .. }| {
            // Names are no secret.
            let key = [Some(current), previous.as_ref()].into_iter().flatten().find(|key| key.name == *name)?;
            let mut plain = sealed.to_vec();
            let nonce = aead::Nonce::assume_unique_for_key(*nonce);
            let length = key.key.open_in_place(nonce, aead::Aad::from(*name), &mut plain).ok()?.len();
            plain.truncate(length);
            Some(plain)
        })
    }
}

impl fmt::Debug for Tickets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tickets").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Tickets {
        /// As a process has them that is forked from this one now.
        fn forked(&self) -> Self {
            let Keys { period, secret, .. } = *self.keys.lock();
            let keys = Keys { period, secret, current: Key::of(&secret).unwrap(), previous: None };
            Self { since: self.since, keys: Mutex::new(keys) }
        }
    }

    #[test]
    fn what_was_sealed_is_opened() {
        let tickets = Tickets::new().unwrap();
        for plain in [&b""[..], b"a session", &[7; 10_000]] {
            let ticket = tickets.encrypt(plain).unwrap();
            assert_eq!(tickets.decrypt(&ticket).unwrap(), plain);
            assert_ne!(tickets.encrypt(plain).unwrap(), ticket);
        }
    }

    #[test]
    fn what_was_changed_is_not() {
        let tickets = Tickets::new().unwrap();
        let ticket = tickets.encrypt(b"a session").unwrap();
        for at in 0..ticket.len() {
            let mut changed = ticket.clone();
            changed[at] ^= 1;
            assert_eq!(tickets.decrypt(&changed), None, "byte {at}");
            assert_eq!(tickets.decrypt(&ticket[..at]), None, "{at} bytes");
        }
        assert_eq!(Tickets::new().unwrap().decrypt(&ticket), None, "the tickets of another server");
    }

    /// The machine may have been started a minute ago, and its clock has no time before that: time is not moved back.
    fn later(tickets: &Tickets, periods: u64) {
        tickets.keys.lock().go_on_to(periods);
    }

    #[test]
    fn a_ticket_is_opened_in_its_period_and_in_the_next() {
        let tickets = Tickets::new().unwrap();
        let ticket = tickets.encrypt(b"a session").unwrap();
        later(&tickets, 1);
        assert!(tickets.decrypt(&ticket).is_some());
        assert_ne!(tickets.encrypt(b"a session").unwrap()[..NAME], ticket[..NAME]);
        later(&tickets, 2);
        assert_eq!(tickets.decrypt(&ticket), None);
    }

    #[test]
    fn processes_that_were_forked_at_different_times_have_the_same_keys() {
        let parent = Tickets::new().unwrap();
        let early = parent.forked();
        later(&parent, 3);
        let late = parent.forked();
        later(&early, 5);
        later(&late, 5);
        let ticket = early.encrypt(b"a session").unwrap();
        assert_eq!(late.decrypt(&ticket).unwrap(), b"a session");
    }
}
