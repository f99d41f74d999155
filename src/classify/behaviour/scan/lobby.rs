//! First contacts that were answered, of sources that never failed: what they did before their first failure. Tools ask for
//! the common ports first, which are often open.
//!
//! A table of fixed size: most sources are honest clients, and none of them may cost more than a place here.

use crate::classify::behaviour::scan::probe::Probe;
use crate::model::place::SourceKey;

/// Places that a source may be in; of its answered contacts so many are remembered.
const PLACES: usize = 4;

/// The places that share a hash.
type Set = [Option<(SourceKey, Probe)>; PLACES];

/// The lobby.
#[derive(Debug)]
pub struct Lobby {
    sets: Vec<Set>,
    sets_max: usize,
}

impl Lobby {
    /// Uses up to `memory_bytes`, from the first contact on.
    pub const fn new(memory_bytes: usize) -> Self {
        let sets = memory_bytes / size_of::<Set>();
        Self { sets: Vec::new(), sets_max: if sets == 0 { 1 } else { sets } }
    }

    fn set(&mut self, source: SourceKey, hasher: &ahash::RandomState) -> Option<&mut Set> {
        if self.sets.is_empty() {
            self.sets = vec![[None; PLACES]; self.sets_max];
        }
        let at = hasher.hash_one(source) % self.sets_max as u64;
        self.sets.get_mut(usize::try_from(at).ok()?)
    }

    /// Takes an answered first contact in; it takes the place of the oldest one there.
    pub fn enter(&mut self, source: SourceKey, probe: &Probe, hasher: &ahash::RandomState) {
        let Some(set) = self.set(source, hasher) else { return };
        let is_known = set.iter().flatten().any(|(who, known)| *who == source && known.is_same_target(probe));
        let oldest = set.iter_mut().min_by_key(|place| place.map(|(_, known)| known.order()));
        if let Some(oldest) = oldest
            && !is_known
        {
            *oldest = Some((source, *probe));
        }
    }

    /// What a source did so far, in the order of time; it is not kept here any more.
    pub fn leave(&mut self, source: SourceKey, hasher: &ahash::RandomState) -> Vec<Probe> {
        let Some(set) = self.set(source, hasher) else { return Vec::new() };
        let mut found = Vec::new();
        for place in set.iter_mut().filter(|place| place.is_some_and(|(who, _)| who == source)) {
            found.extend(place.take().map(|(_, probe)| probe));
        }
        found.sort_unstable_by_key(Probe::order);
        found
    }

    /// Bytes that it holds.
    #[cfg(test)]
    pub const fn bytes(&self) -> usize {
        self.sets.capacity() * size_of::<Set>()
    }
}
