//! Identities already counted, so that one request seen twice is one attempt.

use std::collections::HashMap;

use crate::model::attempt::AttemptId;
use crate::model::time::Timestamp;

/// Two sightings of one identity are the same attempt within so many seconds (contract §3, reading "Identity").
const SAME_SECS: i64 = 2;
/// Memory of one identity in the maps.
const BYTES_PER_ID: usize = 32;

/// A bounded memory of identities: two generations, the older one forgotten when the newer one is full.
#[derive(Debug)]
pub struct Seen {
    recent: HashMap<AttemptId, i64, ahash::RandomState>,
    older: HashMap<AttemptId, i64, ahash::RandomState>,
    generation_max: usize,
}

impl Seen {
    /// Uses up to `memory_bytes`.
    pub fn new(memory_bytes: usize) -> Self {
        let generation_max = (memory_bytes / BYTES_PER_ID / 2).max(1_024);
        Self { recent: HashMap::default(), older: HashMap::default(), generation_max }
    }

    /// Identities that fit in.
    pub const fn capacity(&self) -> usize {
        self.generation_max * 2
    }

    /// Takes an identity that was counted in an earlier run.
    pub fn preload(&mut self, id: AttemptId, second: i64) {
        self.insert(id, second);
    }

    /// Whether it is new; from now on it is known.
    pub fn is_new(&mut self, id: AttemptId, time: Timestamp) -> bool {
        let second = time.secs();
        let known = self.recent.get(&id).or_else(|| self.older.get(&id));
        if known.is_some_and(|known| (known - second).abs() <= SAME_SECS) {
            return false;
        }
        self.insert(id, second);
        true
    }

    fn insert(&mut self, id: AttemptId, second: i64) {
        if self.recent.len() >= self.generation_max {
            self.older = std::mem::take(&mut self.recent);
        }
        self.recent.insert(id, second);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_identity_within_two_seconds_is_one_attempt() {
        let mut seen = Seen::new(1 << 20);
        let at = |secs| Timestamp::from_parts(secs, 0);
        assert!(seen.is_new(AttemptId(1), at(100)));
        assert!(!seen.is_new(AttemptId(1), at(102)));
        assert!(!seen.is_new(AttemptId(1), at(98)));
        assert!(seen.is_new(AttemptId(2), at(100)));
        assert!(seen.is_new(AttemptId(1), at(103)), "the same numbers much later are another request");
    }

    #[test]
    fn its_memory_is_bounded_and_the_newest_stay() {
        let mut seen = Seen::new(0);
        for id in 0..10_000 {
            assert!(seen.is_new(AttemptId(id), Timestamp(0)));
        }
        assert!(seen.recent.len() + seen.older.len() <= seen.capacity());
        assert!(!seen.is_new(AttemptId(9_999), Timestamp(0)));
    }
}
