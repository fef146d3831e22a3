//! Tokens have 64 bits, and the keys of `polling` as many as a `usize`.

#[cfg(not(target_pointer_width = "64"))]
pub(super) use self::narrow::Keys;
#[cfg(target_pointer_width = "64")]
pub(super) use self::wide::Keys;

#[cfg(target_pointer_width = "64")]
mod wide {
    /// Each token is its own key.
    #[derive(Debug)]
    pub(in super::super) struct Keys;

    #[allow(clippy::unused_self, reason = "with 32 bits there is something to look up")]
    impl Keys {
        pub(in super::super) fn new() -> Self {
            Self
        }

        #[allow(clippy::cast_possible_truncation, reason = "a usize has 64 bits here")]
        pub(in super::super) fn key(&self, token: u64) -> usize {
            token as usize
        }

        pub(in super::super) fn token(&self, key: usize) -> u64 {
            key as u64
        }
    }
}

/// A key of 32 bits has room for the lower half of a token. The upper half of a connection's is its generation: the one
/// that was registered last is the only one at its index. The tokens of others have all of those bits set, and have the
/// upper half of the keys to themselves.
#[cfg(any(test, not(target_pointer_width = "64")))]
#[allow(clippy::cast_possible_truncation, reason = "keys have 32 bits, and each half of a token has as many")]
mod narrow {
    use parking_lot::Mutex;

    #[derive(Debug)]
    pub(in super::super) struct Keys {
        /// Of the connections, by index.
        generations: Mutex<Vec<u32>>,
    }

    /// No connection has this generation: see `Token::END`.
    const OF_OTHERS: u32 = u32::MAX;

    /// Set in the keys of others.
    const OTHER: u32 = 1 << 31;

    /// Process IDs are less than this; what the owner of the poller tells apart by other numbers is not.
    const RESERVED: u32 = OTHER - 16;

    impl Keys {
        pub(in super::super) fn new() -> Self {
            Self { generations: Mutex::default() }
        }

        pub(in super::super) fn key(&self, token: u64) -> usize {
            let (generation, low) = ((token >> 32) as u32, token as u32);
            let key = if generation == OF_OTHERS {
                low | OTHER
            } else {
                debug_assert!(low < OTHER, "the index of a connection");
                let index = low as usize;
                let mut generations = self.generations.lock();
                if generations.len() <= index {
                    generations.resize(index + 1, 0);
                }
                generations[index] = generation;
                low
            };
            key as usize
        }

        pub(in super::super) fn token(&self, key: usize) -> u64 {
            let key = key as u32;
            let (generation, low) = if key & OTHER == 0 {
                (self.generations.lock().get(key as usize).copied().unwrap_or_default(), key)
            } else if key & !OTHER < RESERVED {
                (OF_OTHERS, key & !OTHER)
            } else {
                (OF_OTHERS, key)
            };
            (u64::from(generation) << 32) | u64::from(low)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::narrow::Keys;

    fn connection(index: u32, generation: u32) -> u64 {
        (u64::from(generation) << 32) | u64::from(index)
    }

    #[test]
    fn tokens_come_back_whole_from_keys_of_32_bits() {
        let keys = Keys::new();
        // What the serve loop watches for itself, and the processes that it waits for.
        let specials = (2..8).map(|less| u64::MAX - less);
        let children = [1, 4_711, 4_194_304, (1 << 31) - 17].map(|pid| (u64::from(u32::MAX) << 32) | pid);
        let connections = [(0, 0), (1, 7), (2, u32::MAX - 1), (70_000, 1)].map(|(at, of)| connection(at, of));
        let tokens: Vec<u64> = specials.chain(children).chain(connections).collect();
        let made: Vec<usize> = tokens.iter().map(|token| keys.key(*token)).collect();
        assert!(made.iter().all(|key| *key < u32::MAX as usize), "`polling` keeps the greatest for itself");
        let back: Vec<u64> = made.iter().map(|key| keys.token(*key)).collect();
        assert_eq!(back, tokens);
        let mut different = made.clone();
        different.sort_unstable();
        different.dedup();
        assert_eq!(different.len(), made.len(), "each has its own");
    }

    #[test]
    fn a_key_stands_for_the_connection_that_was_registered_last() {
        let keys = Keys::new();
        let key = keys.key(connection(5, 1));
        assert_eq!(keys.key(connection(5, 2)), key);
        assert_eq!(keys.token(key), connection(5, 2));
    }
}
