//! Identities already counted, so that one request seen twice is one attempt.

use std::collections::HashMap;

use crate::model::attempt::AttemptId;
use crate::model::time::Timestamp;

/// Two sightings of one identity are the same attempt within so many seconds (contract §3, reading "Identity").
const SAME_SECS: i64 = 2;
/// Memory of one identity in the maps.
const BYTES_PER_ID: usize = 32;

/// What is known of an identity.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Sighting {
    /// It was seen before in this run: a second interface, a VLAN, a copy in another file.
    Again,
    /// It was counted in an earlier run. It counts no more, but what depends on it goes on as it did then.
    Earlier,
    /// Not seen before.
    New,
}

/// When an identity was seen, and in which run.
#[derive(Clone, Copy, Debug)]
struct Known(i64);

impl Known {
    const fn new(second: i64, sighting: Sighting) -> Self {
        Self(second.saturating_mul(2) | matches!(sighting, Sighting::Earlier) as i64)
    }

    const fn second(self) -> i64 {
        self.0 >> 1
    }

    const fn sighting(self) -> Sighting {
        if self.0 & 1 == 1 { Sighting::Earlier } else { Sighting::Again }
    }
}

/// A bounded memory of identities: two generations, the older one forgotten when the newer one is full.
#[derive(Debug)]
pub struct Seen {
    recent: HashMap<AttemptId, Known, ahash::RandomState>,
    older: HashMap<AttemptId, Known, ahash::RandomState>,
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
        self.insert(id, Known::new(second, Sighting::Earlier));
    }

    /// What is known of an identity.
    pub fn look(&self, id: AttemptId, time: Timestamp) -> Sighting {
        let known = self.recent.get(&id).or_else(|| self.older.get(&id));
        known
            .filter(|known| (known.second() - time.secs()).abs() <= SAME_SECS)
            .map_or(Sighting::New, |known| known.sighting())
    }

    /// The same; from now on it is known.
    pub fn sight(&mut self, id: AttemptId, time: Timestamp) -> Sighting {
        let found = self.look(id, time);
        if found != Sighting::Again {
            // What an earlier run counted and this one has met is known as any other: copies of it are copies.
            self.insert(id, Known::new(time.secs(), Sighting::New));
        }
        found
    }

    fn insert(&mut self, id: AttemptId, known: Known) {
        if self.recent.len() >= self.generation_max {
            self.older = std::mem::take(&mut self.recent);
        }
        self.recent.insert(id, known);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_new(seen: &mut Seen, id: AttemptId, time: Timestamp) -> bool {
        seen.sight(id, time) == Sighting::New
    }

    #[test]
    fn what_an_earlier_run_counted_is_told_from_a_copy_in_this_one() {
        let mut seen = Seen::new(1 << 20);
        let at = |secs| Timestamp::from_parts(secs, 500_000);
        seen.preload(AttemptId(1), -7);
        seen.preload(AttemptId(2), 100);
        assert_eq!(seen.look(AttemptId(2), at(100)), Sighting::Earlier);
        assert_eq!(seen.sight(AttemptId(1), at(-7)), Sighting::Earlier);
        assert_eq!(seen.sight(AttemptId(1), at(-7)), Sighting::Again);
        assert_eq!(seen.sight(AttemptId(2), at(200)), Sighting::New, "much later it is another");
        assert_eq!(seen.sight(AttemptId(3), at(100)), Sighting::New);
        assert_eq!(seen.look(AttemptId(3), at(101)), Sighting::Again);
    }

    #[test]
    fn one_identity_within_two_seconds_is_one_attempt() {
        let mut seen = Seen::new(1 << 20);
        let at = |secs| Timestamp::from_parts(secs, 0);
        assert!(is_new(&mut seen, AttemptId(1), at(100)));
        assert!(!is_new(&mut seen, AttemptId(1), at(102)));
        assert!(!is_new(&mut seen, AttemptId(1), at(98)));
        assert!(is_new(&mut seen, AttemptId(2), at(100)));
        assert!(is_new(&mut seen, AttemptId(1), at(103)), "the same numbers much later are another request");
    }

    #[test]
    fn its_memory_is_bounded_and_the_newest_stay() {
        let mut seen = Seen::new(0);
        for id in 0..10_000 {
            assert!(is_new(&mut seen, AttemptId(id), Timestamp(0)));
        }
        assert!(seen.recent.len() + seen.older.len() <= seen.capacity());
        assert!(!is_new(&mut seen, AttemptId(9_999), Timestamp(0)));
    }
}
